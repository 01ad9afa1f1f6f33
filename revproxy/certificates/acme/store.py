"""The state folder of one ACME server: account, certificates, progress, pending challenges, names that were asked for.

    STATE/acme/SERVER/                      0700, all files 0600
        lock                                held by the process that orders; all others only read
        account.json                        key and URL of the account
        server.json                         failures that concern the server as a whole
        certificates/NAME/certificate.pem   private key, certificate and chain in one file, so never of two minds
        certificates/NAME/progress.json
        challenges/TOKEN                    what answers http-01
        challenges/NAME.pem                 what answers tls-alpn-01
        requests/NAME                       a client asked for a name that may be had on demand

Every file is written beside its place and moved there. Any process may read at any time; whoever has the lock writes,
but for ``requests``, which all write. Everything here blocks for a moment; OSError is what it raises.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from typing import Any, Final

import attrs

from revproxy.certificates.acme.renewal import Progress, Window
from revproxy.certificates.state import write_private
from revproxy.errors import ConfigError

MOST_REQUESTS: Final = 1000
"""Names that wait to be looked at."""
CERTIFICATE: Final = "certificate.pem"
_PROGRESS: Final = "progress.json"
_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,200}", re.ASCII)
"""RFC 8555 §8.3: base64url, 128 bits of entropy at least."""


class Store:
    """A folder on disk.

    :param state: the folder for all that is kept.
    :param directory: URL of the server's directory; each server has a folder of its own, so nothing of one is ever
        shown to another.
    """

    def __init__(self, state: str, directory: str) -> None:
        host = re.sub(r"[^a-z0-9.-]+", "-", directory.partition("://")[2].partition("/")[0].lower())
        digest = hashlib.sha256(directory.encode("utf-8")).hexdigest()[:8]
        self.folder = os.path.join(state, "acme", f"{host}-{digest}")
        self.certificates = os.path.join(self.folder, "certificates")
        self._challenges = os.path.join(self.folder, "challenges")
        self._requests = os.path.join(self.folder, "requests")
        self._lock = -1

    def open(self) -> None:
        """Makes the folders, for their owner alone. Raises ConfigError."""
        try:
            parent = os.path.dirname(self.folder)
            state = os.path.dirname(parent)
            os.makedirs(state, mode=0o700, exist_ok=True)
            owner = os.stat(state)
            for folder in (parent, self.folder, self.certificates, self._challenges, self._requests):
                if not os.path.isdir(folder):
                    os.makedirs(folder, mode=0o700, exist_ok=True)
                    if os.geteuid() == 0:
                        # Root is given up before anything is written, to whom the folder above belongs.
                        os.chown(folder, owner.st_uid, owner.st_gid)
                if os.stat(folder).st_mode & 0o077:
                    # Somebody was careless with a copy: there are private keys below.
                    os.chmod(folder, 0o700)
        except OSError as reason:
            raise ConfigError(
                f"tls.state: can't keep ACME's accounts and certificates in {self.folder}: {reason.strerror or reason};"
                " set tls.state to a folder that the proxy may write"
            ) from None

    # The lock.

    @property
    def is_locked(self) -> bool:
        """Whether we hold the lock."""
        return self._lock != -1

    def lock(self) -> bool:
        """Takes the lock, if nobody else has it. Whoever dies gives it up."""
        if self._lock != -1:
            return True
        fd = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._lock = fd
        return True

    def unlock(self) -> None:
        """Gives the lock up."""
        if self._lock != -1:
            os.close(self._lock)
            self._lock = -1

    # The account, and the server as a whole.

    def read_json(self, name: str) -> dict[str, Any]:
        """A file of ours; empty where there is none, or none that can be read."""
        return _read_json(os.path.join(self.folder, name))

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Keeps it."""
        write_private(os.path.join(self.folder, name), _json(value))

    def put_aside(self, name: str) -> None:
        """Renames a file that is of no use any more, for whoever wants to know what it was."""
        path = os.path.join(self.folder, name)
        os.replace(path, path + ".old")

    # Certificates and their progress.

    def names(self) -> list[str]:
        """The first names of all certificates of which something is kept."""
        return sorted(entry.name for entry in os.scandir(self.certificates) if _NAME.fullmatch(entry.name))

    def read_progress(self, name: str) -> Progress | None:
        """What is known of a certificate."""
        return progress_of(_read_json(os.path.join(self.certificates, name, _PROGRESS)))

    def write_progress(self, name: str, progress: Progress) -> None:
        """Keeps it."""
        folder = self._folder_of(name)
        write_private(os.path.join(folder, _PROGRESS), _json(attrs.asdict(progress)))

    def write_certificate(self, name: str, octets: bytes) -> None:
        """Puts a certificate with its key and chain into force."""
        write_private(os.path.join(self._folder_of(name), CERTIFICATE), octets)

    def forget(self, name: str) -> None:
        """Takes away all that is kept of a certificate."""
        shutil.rmtree(os.path.join(self.certificates, name), ignore_errors=True)

    def _folder_of(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f'"{name}" is no name')
        folder = os.path.join(self.certificates, name)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return folder

    # Challenges.

    def publish(self, name: str, octets: bytes) -> None:
        """Keeps what answers a challenge: a token, or a name with ".pem"."""
        write_private(os.path.join(self._challenges, name), octets)

    def withdraw(self, name: str) -> None:
        """Takes it away."""
        _remove(os.path.join(self._challenges, name))

    def withdraw_all(self) -> None:
        """Takes away what a process has left behind that died."""
        for entry in os.scandir(self._challenges):
            _remove(entry.path)

    def answer_of_token(self, token: str) -> bytes | None:
        """What answers http-01."""
        return _read(os.path.join(self._challenges, token)) if _TOKEN.fullmatch(token) else None

    def answer_of_name(self, name: str) -> bytes | None:
        """What answers tls-alpn-01: a certificate and its key as PEM."""
        return _read(os.path.join(self._challenges, name + ".pem")) if _NAME.fullmatch(name) else None

    # Names on demand.

    def request(self, name: str, now: float) -> None:
        """Tells the process with the lock that a client wants a name."""
        if not _NAME.fullmatch(name) or len(os.listdir(self._requests)) >= MOST_REQUESTS:
            return
        fd = os.open(os.path.join(self._requests, name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.utime(fd, (now, now))
        finally:
            os.close(fd)

    def requested(self) -> list[tuple[float, str]]:
        """The names that are asked for, and since when (seconds since 1970), the oldest first."""
        found = []
        for entry in os.scandir(self._requests):
            try:
                if _NAME.fullmatch(entry.name):
                    found.append((entry.stat().st_mtime, entry.name))
            except OSError:
                continue
        return sorted(found)

    def fulfil(self, name: str) -> None:
        """It has been looked at."""
        _remove(os.path.join(self._requests, name))


def progress_of(found: Mapping[str, Any]) -> Progress | None:
    """A progress as it was kept; None for what is none."""
    try:
        window = found["window"]
        return Progress(
            names=tuple(str(name) for name in found["names"]),
            on_demand=bool(found["on_demand"]),
            failures=int(found["failures"]),
            next_time=float(found["next_time"]),
            problem=str(found["problem"]),
            renew_at=float(found["renew_at"]),
            window=Window(float(window["start"]), float(window["end"]), str(window["explanation"])) if window else None,
            ask_again=float(found["ask_again"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode("ascii") + b"\n"


def _read_json(path: str) -> dict[str, Any]:
    octets = _read(path)
    try:
        found = json.loads(octets or b"")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
