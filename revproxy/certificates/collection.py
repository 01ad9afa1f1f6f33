"""All certificates of a process, kept fresh, and the choice among them: what listeners ask.

``choose`` answers from a ``Choice`` that is replaced as a whole, never changed while it is asked. What replaces it:
files that changed, certificates that another part provides (ACME), the internal authority's renewals, authorities of
clients that changed, and twice a day new ticket keys.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from revproxy.certificates.authority import LOCAL_NAMES, RENEWED_BEFORE, SOURCE, Authority, open_authority
from revproxy.certificates.checks import covers, doubts
from revproxy.certificates.choice import Choice, ChosenContext, Hook, Selected, Staple
from revproxy.certificates.contexts import TICKET_LIFE
from revproxy.certificates.files import CertificateFiles, Reading
from revproxy.certificates.folder import look
from revproxy.certificates.names import NameTable
from revproxy.certificates.pem import Certificate
from revproxy.certificates.sites import Sites, read_sites
from revproxy.certificates.state import state_folder
from revproxy.config.hosts import normal_pattern
from revproxy.config.model import Config
from revproxy.errors import ConfigError
from revproxy.wire.client_hello import ClientHello

_log = Logger()

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the files."""

InThread = Callable[..., "Deferred[Any]"]
_Internal = dict[tuple[str, ...], Certificate]
"""What the internal authority issued, by names."""


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """Calls in this thread."""
    return succeed(function(*arguments))


@attrs.frozen(eq=False)
class Prepared:
    """What another configuration wants of the certificates: read, checked, and not in force yet."""

    config: Config
    files: CertificateFiles
    sites: Sites
    client_files: tuple[str, ...]
    clients_seen: Any
    authority: Authority | None


class Certificates:
    """What TLS is spoken with. Implements ``ContextChoice``."""

    def __init__(
        self,
        config: Config,
        *,
        wall: Callable[[], float] = time.time,
        in_thread: InThread = at_once,
        staple: Staple | None = None,
    ) -> None:
        """Reads everything. Raises ConfigError, which says all that is wrong.

        ``in_thread`` calls what reads files. ``staple`` gives, for a certificate, what gives its OCSP answer.
        """
        self._config = config
        self._wall = wall
        self._in_thread = in_thread
        self._staple = staple
        self._files = CertificateFiles(config.tls.certificates)
        self.sites: Sites = read_sites(config)
        wrong = [finding for finding in (*self._files.findings, *self.sites.findings) if not finding.warning]
        if wrong:
            raise ConfigError("\n".join(map(str, wrong)))
        self._client_files = _client_files(config)
        self._clients_seen = look(self._client_files)
        self.authority: Authority | None = None
        if config.tls.internal:
            self.authority = open_authority(state_folder(config.tls), wall())
        self._internal: _Internal = {}
        self._provided: dict[str, tuple[Certificate, ...]] = {}
        self.first_asked: list[Hook] = []
        """Asked before all certificates: whoever knows the hello (``acme-tls/1``) answers it."""
        self.asked_for_unknown: list[Hook] = []
        """Asked where a name has no certificate, before the default or a refusal."""
        self.on_change: list[Callable[[Sequence[Certificate]], None]] = []
        """Told all certificates after each change of them."""
        self._looking = False
        self._next_look = 0.0
        self._keys_made = wall()
        self._all: tuple[Certificate, ...] = ()
        self._choice = self._choose_anew(None)

    # A reload.

    def prepare(self, config: Config) -> Prepared:
        """Reads what another configuration names and this one does not; what both name stays as it was read, since who
        gave up root may not be able to read it again. Raises ConfigError, and changes nothing."""
        files = self._files
        if config.tls.certificates != self._config.tls.certificates:
            files = CertificateFiles(config.tls.certificates)
        # Where it is the same, what was wrong with it was said when it was looked at.
        findings = files.findings if files is not self._files else ()
        client_files = _client_files(config)
        clients_seen = look(client_files)
        sites = read_sites(config)
        wrong = [finding for finding in (*findings, *sites.findings) if not finding.warning]
        if wrong:
            raise ConfigError("\n".join(map(str, wrong)))
        authority = None
        if config.tls.internal:
            authority = self.authority
            if authority is None or state_folder(config.tls) != state_folder(self._config.tls):
                authority = open_authority(state_folder(config.tls), self._wall())
        prepared = Prepared(config, files, sites, client_files, clients_seen, authority)
        # Made once before it counts: what can't be made is a mistake of the configuration.
        held = dict(self._internal)
        self._make(prepared, self._choice, None, held)
        return prepared

    def switch(self, prepared: Prepared) -> None:
        """Puts it into force. Contexts of what did not change go on, and with them the sessions."""
        if prepared.authority is not self.authority:
            self._internal = {}
        self._config = prepared.config
        self._files = prepared.files
        self.sites = prepared.sites
        self._client_files = prepared.client_files
        self._clients_seen = prepared.clients_seen
        self.authority = prepared.authority
        self._choice = self._choose_anew(self._choice)
        self._next_look = 0.0

    # What listeners ask.

    def choose(self, hello: ClientHello) -> ChosenContext:
        """See ``ContextChoice``."""
        for hook in self.first_asked:
            chosen = hook(hello)
            if chosen is not None:
                return chosen
        choice = self._choice
        if self.asked_for_unknown and hello.server_name and not choice.knows(hello.server_name):
            for hook in self.asked_for_unknown:
                chosen = hook(hello)
                if chosen is not None:
                    return chosen
        return choice.choose(hello)

    def select(self, hello: ClientHello) -> Selected:
        """Which certificate in force ``choose`` takes, and why; hooks are not asked. Raises HandshakeRefused."""
        return self._choice.select(hello)

    def knows(self, name: str) -> bool:
        """Whether there is a certificate for a name."""
        return self._choice.knows(name)

    @property
    def all(self) -> tuple[Certificate, ...]:
        """All certificates in force."""
        return self._all

    @property
    def from_files(self) -> tuple[Certificate, ...]:
        """Those of them that lie in files."""
        return self._files.certificates

    # What changes it.

    def provide(self, source: str, certificates: Sequence[Certificate]) -> None:
        """Puts certificates into force that come from elsewhere than files; they replace those of the same source.

        A file's certificate for the same name and kind of key wins over them.
        """
        self._provided[source] = tuple(certificates)
        self._choice = self._choose_anew(self._choice)

    def tick(self, now: float) -> None:
        """Looks at the files, every ``LOOK_EVERY`` seconds of ``now``; for the sweep's ``on_tick``."""
        if now >= self._next_look and not self._looking:
            self._next_look = now + LOOK_EVERY
            self.look()

    def look(self) -> Deferred[None]:
        """Looks at the files now, and at all else that time changes."""
        self._looking = True
        looked: Deferred[Any] = self._in_thread(self._files.look)
        looked.addCallback(self._looked)
        looked.addErrback(lambda failure: _log.failure("looking at the certificates failed", failure))
        looked.addBoth(self._look_is_over)
        return looked

    def _look_is_over(self, result: object) -> None:
        self._looking = False

    def _looked(self, reading: Reading | None) -> None:
        changed = False
        if reading is not None:
            changed, findings = self._files.take(reading)
            for finding in findings:
                if finding.warning:
                    _log.warn("certificates: {finding}", finding=finding)
                else:
                    _log.error("certificates: {finding}; what was there before stays in force", finding=finding)
        changed = self._look_at_clients() or changed
        now = self._wall()
        # A clock that was set back must not keep them for as long as it was ahead.
        keys_are_old = not 0 <= now - self._keys_made < TICKET_LIFE
        renewed = any(each.not_after - now < RENEWED_BEFORE for each in self._internal.values())
        if keys_are_old:
            self._keys_made = now
            self.warn()
        if keys_are_old:
            self._choice = self._choose_anew(None, retired=self._choice)
        elif changed or renewed:
            self._choice = self._choose_anew(self._choice)
        if changed:
            _log.info("certificates: read again, {count} are in force", count=len(self._all))

    def _look_at_clients(self) -> bool:
        seen = look(self._client_files)
        if seen == self._clients_seen:
            return False
        self._clients_seen = seen
        sites = read_sites(self._config)
        wrong = [finding for finding in sites.findings if not finding.warning]
        for finding in wrong:
            _log.error("certificates of clients: {finding}; what was there before stays in force", finding=finding)
        if wrong:
            return False
        self.sites = sites
        return True

    def warn(self) -> None:
        """Says what an operator should know of the certificates in force."""
        for certificate in self._all:
            if certificate.source != SOURCE:
                for text in doubts(certificate, self._wall()):
                    _log.warn("certificates: {source}: {text}", source=certificate.source, text=text)

    def _choose_anew(self, before: Choice | None, retired: Choice | None = None) -> Choice:
        present = Prepared(
            self._config, self._files, self.sites, self._client_files, self._clients_seen, self.authority
        )
        choice, self._all = self._make(present, before, retired, self._internal)
        for told in self.on_change:
            told(self._all)
        return choice

    def _make(
        self, wanted: Prepared, before: Choice | None, retired: Choice | None, held: _Internal
    ) -> tuple[Choice, tuple[Certificate, ...]]:
        """A choice, and all that it chooses among. ``held`` is what the internal authority issued before."""
        options = wanted.config.tls
        certificates = [*wanted.files.certificates]
        for provided in self._provided.values():
            certificates.extend(provided)
        if wanted.authority is not None:
            certificates.extend(self._issue(wanted.config, certificates, wanted.authority, held))
        choice = Choice(
            certificates,
            wanted.sites,
            default=options.default,
            refuses=options.unknown_name == "refuse",
            now=self._wall(),
            staple=self._staple,
            before=before,
            retired=retired,
        )
        return choice, tuple(certificates)

    def _issue(
        self, config: Config, certificates: Sequence[Certificate], authority: Authority, held: _Internal
    ) -> list[Certificate]:
        """Certificates of the internal authority for every site's names that no other is for."""
        table = NameTable((name, certificate) for certificate in certificates for name in certificate.names)
        now = self._wall()
        wanted: list[tuple[str, ...]] = [LOCAL_NAMES]
        for site in config.sites:
            names = tuple(name for name in map(normal_pattern, site.hosts) if name != "*" and not covers(table, name))
            if names and names not in wanted:
                wanted.append(names)
        issued: dict[tuple[str, ...], Certificate] = {}
        for names in wanted:
            certificate = held.get(names)
            if certificate is None or certificate.not_after - now < RENEWED_BEFORE:
                certificate = authority.issue(names, now)
            issued[names] = certificate
        held.clear()
        held.update(issued)
        # The sites' own before the local names: the first is the default.
        return [*list(issued.values())[1:], issued[LOCAL_NAMES]]


def _client_files(config: Config) -> tuple[str, ...]:
    files = [file for site in config.sites for file in (site.tls.client_ca, site.tls.client_crl) if file]
    return tuple(dict.fromkeys(files))
