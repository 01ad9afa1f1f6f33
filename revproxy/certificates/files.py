"""The certificates that lie in files, now and after every change of the files.

Theory of operation. A look asks where every file is and when it last changed; only where that differs the files are
read, and only where their octets differ anything is done. Each group of files (see ``folder.py``) is taken when it is
sound: all that is in it belongs together. One that is not keeps what it held before, and that is said once.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from revproxy.certificates.folder import Finding, Group, Understood, look, read_groups, understand
from revproxy.certificates.pem import Certificate


@attrs.frozen(eq=False)
class Reading:
    """What a look found."""

    seen: frozenset[tuple[object, ...]]
    groups: tuple[tuple[Group, bytes, Understood], ...]
    """Each group with its digest and what it holds."""


class CertificateFiles:
    """What ``tls.certificates`` names, watched."""

    __slots__ = ("_held", "_paths", "_reading", "_told")

    def __init__(self, paths: Sequence[str]) -> None:
        """Reads everything; ``findings`` tells what is wrong."""
        self._paths = tuple(paths)
        self._reading = self._read(None)
        self._held: dict[str, tuple[Certificate, ...]] = {}
        self._told: frozenset[Finding] = frozenset(self.findings)
        self._hold()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong or doubtful about the files as they are now."""
        return tuple(finding for _, _, held in self._reading.groups for finding in held.findings)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Those in force, in the order of the files."""
        return tuple(certificate for held in self._held.values() for certificate in held)

    def look(self) -> Reading | None:
        """What changed since the last look that was taken; None for nothing. It only reads: any thread may call it."""
        if look(self._paths) == self._reading.seen:
            return None
        return self._read(self._reading)

    def take(self, reading: Reading) -> tuple[bool, list[Finding]]:
        """Puts what was read into force. Whether certificates changed, and what has not been said yet."""
        before = [certificate.fingerprint for certificate in self.certificates]
        self._reading = reading
        self._hold()
        findings = frozenset(self.findings)
        new = [finding for finding in self.findings if finding not in self._told]
        # Said again if it is mended and comes back.
        self._told = findings
        return [certificate.fingerprint for certificate in self.certificates] != before, new

    def _hold(self) -> None:
        held: dict[str, tuple[Certificate, ...]] = {}
        for group, _, understood in self._reading.groups:
            if understood.is_sound:
                held[group.place] = understood.certificates
            elif group.place in self._held:
                held[group.place] = self._held[group.place]
        self._held = held

    def _read(self, before: Reading | None) -> Reading:
        # Looked at first: a change while files are read is found by the next look.
        seen = look(self._paths)
        known = {group.place: (digest, held) for group, digest, held in before.groups} if before is not None else {}
        groups = []
        for group in read_groups(self._paths):
            digest = group.digest
            old = known.get(group.place)
            held = old[1] if old is not None and old[0] == digest else understand(group)
            # The octets are not kept: there are private keys among them.
            groups.append((attrs.evolve(group, files=()), digest, held))
        return Reading(seen, tuple(groups))
