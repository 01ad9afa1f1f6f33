"""Files and folders → certificates: what lies where, which key belongs to which certificate, what is wrong.

Theory of operation. Files are read into groups: a folder is a group, a file that is named by itself is one together
with the keys that may lie beside it. Within a group, certificates and keys find each other by the public key, so that
every usual layout is understood: all in one file, ``name.pem`` and ``name.key``, ``tls.crt`` and ``tls.key``, certbot's
``fullchain.pem`` and ``privkey.pem`` in a folder for each name. A group is the unit of a change: while something is
wrong in it (its certificate is renewed and its key not yet), what it held before stays in force.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
from cryptography import x509

from revproxy.certificates.pem import (
    Certificate,
    CertificateError,
    Contents,
    PrivateKey,
    assemble,
    is_authority,
    parse_pem,
    public_octets,
)

SUFFIXES: Final = (".pem", ".crt", ".cer", ".cert", ".key", ".chain")
LARGEST: Final = 1024 * 1024
"""Octets of a file that is read."""
DEPTH: Final = 2
"""Folders below a folder that are looked into: certbot's ``live/NAME`` lies one below."""


@attrs.frozen
class Finding:
    """Something that an operator should know about a file."""

    file: str
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.text}" if self.file else self.text


@attrs.frozen(eq=False)
class Group:
    """Files that belong together, as they were read."""

    place: str
    """The folder, or the file that was named."""
    files: tuple[tuple[str, bytes], ...]
    problems: tuple[Finding, ...] = ()
    """What could not be read."""

    @property
    def digest(self) -> bytes:
        """Equal where every file has the same octets."""
        digest = hashlib.sha256()
        for name, octets in self.files:
            digest.update(b"%d %d " % (len(name.encode("utf-8", "surrogateescape")), len(octets)))
            digest.update(name.encode("utf-8", "surrogateescape"))
            digest.update(octets)
        for problem in self.problems:
            digest.update(str(problem).encode("utf-8", "surrogateescape"))
        return digest.digest()


@attrs.frozen(eq=False)
class Understood:
    """What a group holds."""

    certificates: tuple[Certificate, ...]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, warnings aside."""
        return all(finding.warning for finding in self.findings)


def read_groups(paths: Iterable[str]) -> list[Group]:
    """Reads what ``tls.certificates`` names."""
    groups: list[Group] = []
    for path in paths:
        if os.path.isdir(path):
            found = list(_read_folder(path, DEPTH))
            if not found:
                text = f"there are no certificates in this folder: no file ends with {', '.join(SUFFIXES)}"
                found.append(Group(path, (), (Finding(path, text, warning=True),)))
            groups.extend(found)
        else:
            groups.append(_read_files(path, [path, *_keys_beside(path)]))
    return groups


def look(paths: Iterable[str]) -> frozenset[tuple[object, ...]]:
    """Where every file is and when it last changed: a cheap first question, before anything is read again."""
    seen: set[tuple[object, ...]] = set()
    for path in paths:
        names = _files_of_folder(path, DEPTH) if os.path.isdir(path) else [path, *_keys_beside(path)]
        for name in names:
            try:
                found = os.stat(name)
            except OSError as reason:
                seen.add((name, reason.errno))
            else:
                seen.add((name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return frozenset(seen)


def _keys_beside(path: str) -> list[str]:
    """Where the key of a certificate file may be, as people and tools name it."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    candidates = [f"{stem}.key", f"{stem}-key.pem", f"{stem}.key.pem", f"{name}.key"]
    if stem in ("fullchain", "cert", "chain"):
        candidates.append("privkey.pem")
    return [beside for beside in (os.path.join(folder, each) for each in candidates) if os.path.exists(beside)]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        # Hidden ones belong to tools: Kubernetes keeps its versions of a secret in ``..2024_01_01``.
        return sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)


def _files_of_folder(folder: str, depth: int) -> Iterator[str]:
    try:
        entries = _entries(folder)
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.is_dir():
            if depth > 0:
                yield from _files_of_folder(entry.path, depth - 1)
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path


def _read_folder(folder: str, depth: int) -> Iterator[Group]:
    try:
        entries = _entries(folder)
    except OSError as reason:
        yield Group(folder, (), (Finding(folder, f"the folder can't be read: {_words(reason)}"),))
        return
    files = []
    for entry in entries:
        if entry.is_dir():
            if depth > 0:
                yield from _read_folder(entry.path, depth - 1)
        elif entry.name.lower().endswith(SUFFIXES):
            files.append(entry.path)
    if files:
        yield _read_files(folder, files)


def _read_files(place: str, names: Sequence[str]) -> Group:
    files: list[tuple[str, bytes]] = []
    problems: list[Finding] = []
    for name in names:
        try:
            files.append((name, read_file(name)))
        except OSError as reason:
            problems.append(Finding(name, f"the file can't be read: {_words(reason)}"))
    return Group(place, tuple(files), tuple(problems))


def read_file(name: str) -> bytes:
    """A file's octets. Raises OSError, also for what is no file or far too large for one of ours."""
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "it is no file")
        octets = file.read(LARGEST + 1)
    if len(octets) > LARGEST:
        raise OSError(0, "it is larger than 1 MiB")
    return octets


def _words(reason: OSError) -> str:
    if isinstance(reason, PermissionError):
        return f"no permission (the proxy runs as user id {os.geteuid()})"
    text = reason.strerror or str(reason)
    return text[:1].lower() + text[1:]


@attrs.frozen(eq=False)
class _Key:
    key: PrivateKey
    file: str
    octets: bytes


def understand(group: Group) -> Understood:
    """Matches the certificates and keys of a group."""
    findings = list(group.problems)
    contents: list[tuple[str, Contents]] = []
    for name, octets in group.files:
        try:
            contents.append((name, parse_pem(octets)))
        except CertificateError as mistake:
            findings.append(Finding(name, str(mistake)))
    pool = [each for _, held in contents for each in held.certificates]
    keys = [_Key(key, name, public_octets(key.public_key())) for name, held in contents for key in held.keys]
    certificates: list[Certificate] = []
    used: set[bytes] = set()
    lonely: list[_Key] = []
    for key in keys:
        if key.octets in used:
            continue
        used.add(key.octets)
        try:
            certificate = _best(contents, key, pool)
        except CertificateError as mistake:
            findings.append(Finding(key.file, str(mistake)))
            continue
        if certificate is None:
            lonely.append(key)
            continue
        certificates.append(certificate)
        if not certificate.names:
            text = "the certificate names no host that clients could ask for"
            findings.append(Finding(certificate.source, text, warning=True))
    findings.extend(_unmatched(lonely, _without_key(contents, used)))
    if not certificates and not findings:
        text = "there is no certificate with a private key"
        findings.append(Finding(group.place, text, warning=len(group.files) != 1))
    return Understood(tuple(certificates), tuple(findings))


def _best(contents: Sequence[tuple[str, Contents]], key: _Key, pool: list[x509.Certificate]) -> Certificate | None:
    """The certificate of a key: of several the one that lasts longest, from the file that holds most of its chain."""
    found = [
        (assemble(held, key.key, pool, name), len(held.certificates))
        for name, held in contents
        if any(public_octets(each.public_key()) == key.octets for each in held.certificates)
    ]
    return max(found, key=lambda pair: (pair[0].not_after, pair[1]))[0] if found else None


def _without_key(contents: Sequence[tuple[str, Contents]], used: set[bytes]) -> list[str]:
    """Files of certificates of servers that no key is there for; authorities need none."""
    return [
        name
        for name, held in contents
        if any(not is_authority(each) for each in held.certificates)
        and not any(public_octets(each.public_key()) in used for each in held.certificates)
    ]


def _unmatched(keys: Sequence[_Key], files: list[str]) -> Iterator[Finding]:
    """What to say of keys without a certificate and of certificates without a key."""
    files = list(files)
    for key in keys:
        if not files:
            yield Finding(key.file, "there is no certificate for this key", warning=True)
            continue
        stem = os.path.splitext(key.file)[0]
        other = next((file for file in files if os.path.splitext(file)[0] == stem), files[0])
        files.remove(other)
        where = "the certificate in the same file" if other == key.file else f"the certificate in {other}"
        yield Finding(key.file, f"the private key does not belong to {where}: their public keys differ")
    for file in files:
        text = "the private key is missing: put it into the same file, or beside it under the same name with .key"
        yield Finding(file, text)
