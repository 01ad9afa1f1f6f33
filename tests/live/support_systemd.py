"""What systemd does for a service, as far as the service can see it: sockets handed over at exec, and somebody who
listens to notifications."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests.live.support_process import Child, python, until
from tests.live.support_proxy import TWISTD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# systemd sets LISTEN_PID between fork and exec, when the id is known.
_EXEC = """
import fcntl, os, sys
given = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 100) for word in sys.argv[1].split()]
for number, descriptor in enumerate(given, 3):
    os.dup2(descriptor, number, inheritable=True)
    os.close(descriptor)
if given:
    os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
HELLO = b"hello\n"
_numbers = itertools.count(1)


class Supervised(Child):
    """``twistd -n revproxy`` as systemd starts it."""

    def __init__(
        self,
        folder: Path,
        text: str,
        sockets: Sequence[tuple[str, socket.socket]] = (),
        variables: Mapping[str, str] | None = None,
        file: str = "revproxy.toml",
        twistd: Sequence[str] = (),
    ) -> None:
        number = next(_numbers)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, "utf-8")
        said = dict(variables or {})
        if sockets:
            said["LISTEN_FDS"] = str(len(sockets))
            said["LISTEN_FDNAMES"] = ":".join(name for name, _ in sockets)
        descriptors = [sock.fileno() for _, sock in sockets]
        super().__init__(
            f"supervised{number}",
            [
                *python("-c", _EXEC, " ".join(map(str, descriptors)), TWISTD),
                *("-n", "--pidfile=", *twistd, "revproxy", "--config", str(folder / file)),
            ],
            folder,
            descriptors,
            said,
        )


class Supervisor:
    """Hears what a service says."""

    def __init__(self, folder: Path, *, abstract: bool = False) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if abstract:
            name = f"revproxy-live-{os.getpid()}-{next(_numbers)}"
            self._socket.bind(b"\0" + name.encode("ascii"))
            self.address = f"@{name}"
        else:
            self.address = str(folder / "notify")
            self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.heard: list[dict[str, str]] = []

    def listen(self) -> list[dict[str, str]]:
        """Everything that was said."""
        try:
            while True:
                message = self._socket.recv(65536).decode("ascii")
                self.heard.append(dict(line.split("=", 1) for line in message.split("\n")))
        except BlockingIOError:
            return self.heard

    def values(self, name: str) -> list[str]:
        """All values of one name so far."""
        return [message[name] for message in self.listen() if name in message]

    def wait_for(self, name: str, text: str = "", count: int = 1) -> list[str]:
        """The values of a name, once there are ``count`` that contain ``text``."""

        def found() -> list[str]:
            return [value for value in self.values(name) if text in value]

        until(lambda: len(found()) >= count, f"{count} of {name}=...{text}..., of {self.heard}")
        return found()

    def close(self) -> None:
        self._socket.close()
