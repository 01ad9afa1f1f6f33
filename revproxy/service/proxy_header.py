"""The PROXY protocol header in front of a TLS handshake: read octet for octet, since OpenSSL reads what follows."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from zope.interface import implementer

from revproxy.http.proxy_protocol import LONGEST_BLOCK, ProxyProtocolError, parse_proxy_header
from revproxy.wire.sweep import Sweep


class ProxyHeaderUser(Protocol):
    """Who waits for the header."""

    def proxy_header_came(self, sock: socket.socket, peer: bytes | None, port: int) -> None:
        """What it says; the next octet on the socket is the first behind it."""

    def proxy_header_failed(self, reason: str) -> None:
        """It did not come, and the socket is closed."""


@implementer(IReadDescriptor)
class ProxyHeaderRead:
    """Reads one header from a connected socket.

    It looks before it reads: what is incomplete is all header, and is taken; of what is complete only the header is.
    """

    __slots__ = ("__weakref__", "_deadline", "_octets", "_reactor", "_socket", "_sweep", "_user")

    def __init__(self, sock: socket.socket, reactor: IReactorFDSet, sweep: Sweep, user: ProxyHeaderUser) -> None:
        self._socket = sock
        self._reactor = reactor
        self._sweep = sweep
        self._user = user
        self._octets = b""
        self._deadline = 0.0

    def start(self, timeout: float) -> None:
        """Begins; it may take ``timeout`` seconds."""
        self._deadline = self._sweep.now() + timeout
        self._sweep.add(self)
        self._reactor.addReader(self)

    def cancel(self) -> None:
        """Gives up; nobody is called back."""
        self._forget()
        self._socket.close()

    def sweep(self, now: float) -> None:
        """Keeps the deadline."""
        if now >= self._deadline:
            self._fail("the PROXY protocol header did not come in time")

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy"

    def doRead(self) -> None:
        """The socket is readable."""
        try:
            seen = self._socket.recv(LONGEST_BLOCK + 1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError as reason:
            self._fail(f"the connection was lost: {reason.strerror}")
            return
        if not seen:
            self._fail("the balancer closed the connection before its PROXY protocol header was complete")
            return
        try:
            parsed = parse_proxy_header(self._octets + seen)
        except ProxyProtocolError as mistake:
            self._fail(f"PROXY protocol: {mistake}")
            return
        if parsed is None:
            self._octets += self._socket.recv(len(seen))
            return
        self._socket.recv(parsed.consumed - len(self._octets))
        self._forget()
        self._user.proxy_header_came(self._socket, parsed.source, parsed.port)

    def connectionLost(self, failure: Any) -> None:
        """An error event, or the reactor's end."""
        self._fail("the connection was lost")

    def _forget(self) -> None:
        self._reactor.removeReader(self)
        self._sweep.discard(self)

    def _fail(self, reason: str) -> None:
        self._forget()
        self._socket.close()
        self._user.proxy_header_failed(reason)
