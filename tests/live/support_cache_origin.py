"""A server that is told for each target what to answer, and remembers what it was asked."""

from __future__ import annotations

import collections
import re
import socket
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, BinaryIO

import attrs

from tests.live.support_process import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

_INSTANT = re.compile(r"\{([+-]\d+)(?: (rfc850|asctime))?\}")


def timed(line: str, now: float) -> str:
    """A field line in which ``{-60}`` became the date of a minute ago, ``{+60 asctime}`` that of the next one in
    another of the forms of RFC 9110 §5.6.7."""

    def date(match: re.Match[str]) -> str:
        instant = now + int(match[1])
        if match[2] == "rfc850":
            return time.strftime("%A, %d-%b-%y %H:%M:%S GMT", time.gmtime(instant))
        if match[2] == "asctime":
            return time.asctime(time.gmtime(instant))
        return formatdate(instant, usegmt=True)

    return _INSTANT.sub(date, line)


@attrs.frozen
class Reply:
    """One answer of the server."""

    status: int = 200
    lines: tuple[str, ...] = ()
    body: bytes = b""
    ending: str = "length"
    """``length``, ``chunked``, ``cut`` (half of the body comes), ``cut chunked``, ``close`` (the connection's end is
    the body's), ``none`` (no framing field, no body), ``nothing`` (the connection ends without an answer)."""
    interim: tuple[str, ...] = ()
    """Heads of 1xx answers before it."""
    trailers: tuple[str, ...] = ()

    def octets(self, now: float, *, head_only: bool) -> bytes:
        """What goes over the wire."""
        lines = [f"HTTP/1.1 {self.status} Said", *self.lines]
        if not any(line.lower().startswith("date:") for line in lines):
            lines.append(f"Date: {formatdate(now, usegmt=True)}")
        # A line "Date: -" stands for a server that sends none.
        lines = [line for line in lines if line != "Date: -"]
        body = b"" if head_only else self.body
        if self.ending in ("length", "cut"):
            lines.append(f"Content-Length: {len(self.body)}")
        elif "chunked" in self.ending:
            lines.append("Transfer-Encoding: chunked")
            end = "".join(["0\r\n", *(f"{line}\r\n" for line in self.trailers), "\r\n"]).encode()
            body = b"" if head_only else b"%x\r\n%b\r\n" % (len(body), body) + end
        elif self.ending == "close":
            lines.append("Connection: close")
        if self.ending.startswith("cut"):
            body = body[: len(self.body) // 2 + (3 if "chunked" in self.ending else 0)]
        before = "".join(f"{head}\r\n\r\n" for head in self.interim)
        return (before + "\r\n".join([*lines, "", ""])).encode("latin-1") + body


UNTOLD = Reply(599, body=b"nobody said what to answer")


@attrs.frozen
class Asked:
    """A request that came."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name.lower()]

    def get(self, name: str) -> str:
        """All values of a name, as one list."""
        return ", ".join(self.all(name))


@attrs.define
class _Target:
    reply: Reply | Callable[[Asked], Reply]
    asked: list[Asked] = attrs.field(factory=list)


class CacheOrigin:
    """Listens on a free port of 127.0.0.1; each connection is a thread of this process."""

    def __init__(self) -> None:
        self._targets: dict[str, _Target] = collections.defaultdict(lambda: _Target(UNTOLD))
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listening.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listens no more, and cuts what is open: who connects is refused."""
        try:
            self._listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listening.close()
        self._acceptor.join()
        for sock in self._open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def says(self, target: str, reply: Reply | Callable[[Asked], Reply]) -> None:
        """What it answers from now on to requests for a target, or to each of them."""
        self._targets[target].reply = reply

    def asked(self, target: str) -> list[Asked]:
        """What came for a target, so far."""
        return list(self._targets[target].asked)

    def await_asked(self, target: str, count: int) -> list[Asked]:
        """The same, once there are so many."""
        until(lambda: len(self._targets[target].asked) >= count, f"{count} requests for {target}")
        return self.asked(target)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock, sock.makefile("rb") as stream:
                while self._answer(sock, stream):
                    pass
        except OSError:
            pass

    def _answer(self, sock: socket.socket, stream: BinaryIO) -> bool:
        """Reads a request and answers it; false where the connection ends."""
        start = stream.readline().decode("latin-1").split(" ")
        if len(start) != 3:
            return False
        fields = []
        while line := stream.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip()))
        body = stream.read(int(dict(fields).get("content-length", "0")))
        target = self._targets[start[1]]
        asked = Asked(start[0], start[1], tuple(fields), body)
        reply = target.reply if isinstance(target.reply, Reply) else target.reply(asked)
        target.asked.append(asked)
        if reply.ending == "nothing":
            return False
        sock.sendall(reply.octets(time.time(), head_only=start[0] == "HEAD"))
        return reply.ending not in ("close", "cut", "cut chunked")
