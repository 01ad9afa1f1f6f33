"""Clients: curl as a process, and a raw socket that reads answers by its own small reading of HTTP/1.1."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.live.support_process import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


@attrs.frozen
class Answer:
    """An answer, as it was read from the wire."""

    status: int
    head: bytes
    fields: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool
    """Whether its end was reached as its framing says."""
    trailers: tuple[tuple[str, str], ...] = ()

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name: str) -> str:
        """The only field of that name, or nothing."""
        values = self.all(name)
        assert len(values) <= 1, values
        return values[0] if values else ""

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def octets(self) -> bytes:
        """All of it."""
        return self.head + self.body


def _fields(head: bytes) -> tuple[tuple[str, str], ...]:
    pairs = []
    for line in head.decode("latin-1").split("\r\n"):
        if line:
            name, colon, value = line.partition(":")
            assert colon, line
            pairs.append((name, value.strip()))
    return tuple(pairs)


class RawClient:
    """A connected socket that speaks octets."""

    def __init__(self, port: int, *, host: str = "127.0.0.1", path: str = "", receive_buffer: int = 0) -> None:
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            address: str | tuple[str, int] = path
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            address = (host, port)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def end(self) -> None:
        """Sends nothing more."""
        self.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Closes with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self._read += data
        return bool(data)

    def read_until(self, mark: bytes) -> bytes:
        """Everything up to and with a mark that must come."""
        while mark not in self._read:
            assert self._more(), f"the connection ended before {mark!r}: {self._read!r}"
        at = self._read.index(mark) + len(mark)
        taken, self._read = self._read[:at], self._read[at:]
        return taken

    def read_exactly(self, size: int) -> bytes:
        """As many octets."""
        while len(self._read) < size:
            assert self._more(), f"the connection ended after {self._read!r}"
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def read_all(self) -> bytes:
        """Everything up to the end, however it came."""
        try:
            while self._more():
                pass
        except ConnectionError:
            pass
        taken, self._read = self._read, b""
        return taken

    def read_available(self) -> bytes:
        """What was read already."""
        taken, self._read = self._read, b""
        return taken

    def is_ended(self) -> bool:
        """Waits for the end of the connection; False if octets come instead."""
        if self._read:
            return False
        try:
            return not self._more()
        except ConnectionError:
            return True

    def read_answer(self, method: str = "GET") -> Answer:
        """The next answer, 1xx ones included."""
        head = self.read_until(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        assert line.startswith(b"HTTP/1."), line
        status = int(line.split(b" ")[1])
        fields = _fields(rest)
        answer = Answer(status, head, fields, b"", True)
        if status < 200 or status in (204, 304) or method == "HEAD":
            return answer
        if "chunked" in answer.get("Transfer-Encoding"):
            body, trailers, complete = self._read_chunks()
            return attrs.evolve(answer, body=body, trailers=trailers, complete=complete)
        if "Content-Length" in answer:
            size = int(answer.get("Content-Length"))
            try:
                while len(self._read) < size and self._more():
                    pass
            except ConnectionError:
                pass
            body, self._read = self._read[:size], self._read[size:]
            return attrs.evolve(answer, body=body, complete=len(body) == size)
        body, complete = self._read_to_end()
        return attrs.evolve(answer, body=body, complete=complete)

    def count_chunks(self) -> int:
        """How many octets come as chunks, up to a proper end; none are kept."""
        total = 0
        while size := int(self.read_until(b"\r\n"), 16):
            total += size
            size += 2
            while size:
                if not self._read:
                    assert self._more(), "the chunks have no end"
                taken = min(size, len(self._read))
                self._read = self._read[taken:]
                size -= taken
        assert self.read_until(b"\r\n") == b"\r\n"
        return total

    def _read_to_end(self) -> tuple[bytes, bool]:
        complete = True
        try:
            while self._more():
                pass
        except ConnectionError:
            complete = False
        body, self._read = self._read, b""
        return body, complete

    def _read_chunks(self) -> tuple[bytes, tuple[tuple[str, str], ...], bool]:
        body = b""
        try:
            while True:
                while b"\r\n" not in self._read:
                    if not self._more():
                        return body, (), False
                size = int(self.read_until(b"\r\n").strip(), 16)
                if size == 0:
                    break
                while len(self._read) < size + 2:
                    if not self._more():
                        return body + self._read[:size], (), False
                body += self.read_exactly(size)
                assert self.read_exactly(2) == b"\r\n"
            trailers = b""
            while True:
                line = self.read_until(b"\r\n")
                if line == b"\r\n":
                    return body, _fields(trailers), True
                trailers += line
        except ConnectionError:
            return body, (), False

    def ask(self, method: str, target: str, *lines: str, body: bytes = b"", host: str = "example.com") -> Answer:
        """A request and its answer."""
        self.send(request(method, target, *lines, body=body, host=host))
        return self.read_answer(method)


def request(method: str, target: str, *lines: str, body: bytes = b"", host: str = "example.com") -> bytes:
    """The octets of an HTTP/1.1 request."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, *length, "", ""]).encode() + body


def ask(port: int, method: str, target: str, *lines: str, body: bytes = b"", host: str = "example.com") -> Answer:
    """A request on a connection of its own, and its answer."""
    with RawClient(port) as client:
        return client.ask(method, target, *lines, body=body, host=host)


@attrs.frozen
class Curled:
    """What curl made of an exchange."""

    code: int
    body: bytes
    head: str
    error: str


def curl(*arguments: str, give: bytes = b"") -> Curled:
    """Runs curl; the head of what came is kept apart from the body."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    done = subprocess.run(
        [program, "--silent", "--show-error", "--dump-header", "/dev/fd/2", "--noproxy", "*", *arguments],
        input=give,
        capture_output=True,
        check=False,
        timeout=PATIENCE * 3,
    )
    head, _, error = done.stderr.decode("latin-1").rpartition("\r\n\r\n")
    return Curled(done.returncode, done.stdout, head, error)
