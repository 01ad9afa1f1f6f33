"""A server that does what the test says, octet by octet: for backends that misbehave, or that must be watched."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

from tests.live.support_process import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from typing_extensions import Self


class Accepted:
    """A connection that the proxy opened."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        """Counted from 1."""
        self._read = b""
        sock.settimeout(PATIENCE)

    def read_head(self) -> bytes:
        """The next request's head; nothing when the proxy closed instead."""
        return self._read_until(b"\r\n\r\n")

    def read_line(self) -> bytes:
        return self._read_until(b"\r\n")

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._read += data
        at = self._read.index(mark) + len(mark)
        taken, self._read = self._read[:at], self._read[at:]
        return taken

    def read_available(self) -> bytes:
        """What was read already, with a head."""
        taken, self._read = self._read, b""
        return taken

    def read_exactly(self, size: int) -> bytes:
        """As many octets; fewer where the proxy closed before."""
        while len(self._read) < size:
            data = self.socket.recv(65536)
            if not data:
                break
            self._read += data
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def end_output(self) -> None:
        """Sends nothing more."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes so that the proxy sees a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end(self) -> None:
        """Closes, once the proxy has closed its side too or does not care: it must have heard of it."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(1)
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.close()

    def await_end(self) -> None:
        """Waits until the proxy has closed its side, or cut the connection."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass


class Scripted:
    """Listens on a free port (or a unix socket) and runs ``script`` for each connection, each in a thread."""

    def __init__(self, script: Callable[[Accepted], None], *, path: str = "", port: int = 0) -> None:
        self.script = script
        self.failures: list[BaseException] = []
        self.accepted: list[Accepted] = []
        self.finished = 0
        """Scripts that ran to their end."""
        self._threads: list[threading.Thread] = []
        self._closing = False
        if path:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(path)
            self.url = f"unix:{path}"
            self.port = 0
        else:
            self._socket = socket.socket()
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", port))
            self.port = int(self._socket.getsockname()[1])
            self.url = f"http://127.0.0.1:{self.port}"
        self._socket.listen(128)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            if self._closing:
                sock.close()
                return
            accepted = Accepted(sock, len(self.accepted) + 1)
            self.accepted.append(accepted)
            thread = threading.Thread(target=self._run, args=(accepted,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, accepted: Accepted) -> None:
        try:
            self.script(accepted)
            self.finished += 1
        except Exception as failure:  # noqa: BLE001 -- shown by the test that waits for it
            if not self._closing:
                self.failures.append(failure)
        finally:
            accepted.end()

    def await_finished(self, count: int) -> None:
        """Waits until as many scripts ran to their end."""
        until(lambda: self.failures or self.finished >= count, f"{count} scripts of the server to end")
        assert not self.failures, self.failures

    @contextlib.contextmanager
    def play(self, script: Callable[[Accepted], None]) -> Iterator[Scripted]:
        """Another script for a while; connections of the while do not outlive it, on the proxy's side either."""
        self.script = script
        try:
            yield self
        finally:
            for accepted in list(self.accepted):
                try:
                    accepted.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            for thread in list(self._threads):
                thread.join(PATIENCE)
                assert not thread.is_alive(), "a script does not end"
            self.accepted.clear()
            self._threads.clear()
            self.failures.clear()
            self.finished = 0

    def close(self) -> None:
        """Closes everything."""
        self._closing = True
        # A thread that is blocked in accept() is not woken by a close.
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._acceptor.join(PATIENCE)
        self._socket.close()
        for accepted in self.accepted:
            try:
                accepted.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def answering(octets: bytes) -> Callable[[Accepted], None]:
    """A script that reads the head of each request (none with a body) and answers it with these octets."""

    def script(accepted: Accepted) -> None:
        while accepted.read_head():
            accepted.send(octets)

    return script


def answering_once(octets: bytes) -> Callable[[Accepted], None]:
    """A script that answers one request and closes."""

    def script(accepted: Accepted) -> None:
        if accepted.read_head():
            accepted.send(octets)

    return script
