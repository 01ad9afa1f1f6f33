"""Opening connections under TLS: TCP first, the handshake behind it, one deadline for both."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet

from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import Connecting, ConnectUser, SocketAddress
from revproxy.wire.handshake import TOO_LATE, ClientHandshake, HandshakeFailed
from revproxy.wire.sweep import Sweep
from revproxy.wire.tls import TlsStream


class TlsFailed(OSError):
    """The server was reached, but there is no TLS with it: nothing was sent. The text says why."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EPROTO, text)


class ClientContext:
    """A context for connections to one kind of server, and the session that its next handshake may resume."""

    __slots__ = ("_session", "context", "explain", "prepare")

    def __init__(
        self,
        context: SSL.Context,
        prepare: Callable[[SSL.Connection], None],
        explain: Callable[[SSL.Connection], str],
    ) -> None:
        self.context = context
        self.prepare = prepare
        """Tells a new connection the server's name, and what else belongs to it."""
        self.explain = explain
        """Why the server's certificate was not believed; empty where that was not it."""
        self._session: SSL.Session | None = None

    def connection(self, sock: socket.socket) -> SSL.Connection:
        """A new one for a connected socket."""
        connection = SSL.Connection(self.context, sock)
        self.prepare(connection)
        if self._session is not None:
            connection.set_session(self._session)
        return connection

    def remember(self, connection: SSL.Connection) -> None:
        """Keeps the session of a connection that ends: TLS 1.3's tickets came after the handshake."""
        self._session = connection.get_session()

    def forget(self) -> None:
        """A handshake failed: the next one begins anew."""
        self._session = None


class ResumableStream(TlsStream):
    """A stream that leaves its session to the next connection."""

    __slots__ = ("_shared",)

    def __init__(
        self,
        sock: socket.socket,
        connection: SSL.Connection,
        reactor: IReactorFDSet,
        budget: OctetBudget,
        shared: ClientContext,
    ) -> None:
        super().__init__(sock, connection, reactor, budget)
        self._shared = shared

    def _finish(self) -> None:
        # OpenSSL resumes no session of a connection that was freed without close_notify.
        if not self.closed and (self._closing or self.input_at_end):
            self._shared.remember(self.connection)
        super()._finish()


_NO_TLS: Final = frozenset({"wrong version number", "packet length too long", "unexpected message"})


class _Handshake(ClientHandshake):
    __slots__ = ("_shared",)

    def __init__(
        self, sock: socket.socket, connecting: SecureConnecting, shared: ClientContext, connection: SSL.Connection
    ) -> None:
        super().__init__(
            sock, connecting.reactor, connecting.deadlines, connecting.octets, connection=connection, user=connecting
        )
        self._shared = shared

    def _stream(self, connection: SSL.Connection) -> TlsStream:
        return ResumableStream(self._socket, connection, self._reactor, self._budget, self._shared)

    def _explain(self, reason: SSL.Error) -> str:
        connection = self.connection
        known = self._shared.explain(connection) if connection is not None else ""
        if known:
            return known
        words = super()._explain(reason)
        # OpenSSL takes the first octets of an answer in clear text for the head of a record.
        return f"it does not speak TLS on this port ({words})" if words in _NO_TLS else words


class SecureConnecting(Connecting):
    """One attempt to connect to one address and to speak TLS there."""

    __slots__ = ("_handshake", "_shared", "_until", "deadlines", "octets", "reactor")

    def __init__(
        self, reactor: IReactorFDSet, sweep: Sweep, budget: OctetBudget, user: ConnectUser, shared: ClientContext
    ) -> None:
        super().__init__(reactor, sweep, budget, user)
        self.reactor = reactor
        self.deadlines = sweep
        self.octets = budget
        self._shared = shared
        self._until = 0.0
        self._handshake: ClientHandshake | None = None

    def start(self, address: SocketAddress, timeout: float) -> None:
        """As ``Connecting.start``; the handshake has what is left of the ``timeout``."""
        self._until = self.deadlines.now() + timeout
        super().start(address, timeout)

    def cancel(self) -> None:
        """Gives up; nobody is called back."""
        super().cancel()
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None

    def _opened(self, sock: socket.socket) -> None:
        try:
            connection = self._shared.connection(sock)
        except SSL.Error as reason:
            sock.close()
            self.handshake_failed(HandshakeFailed(f"OpenSSL refuses to begin: {reason}"))
            return
        self._handshake = _Handshake(sock, self, self._shared, connection)
        self._handshake.start(self._until - self.deadlines.now())

    def secured(self, stream: TlsStream) -> None:
        """The handshake is complete."""
        self._handshake = None
        self.user.connected(stream)

    def handshake_failed(self, error: HandshakeFailed) -> None:
        """It failed."""
        self._handshake = None
        self._shared.forget()
        text = str(error)
        if text == TOO_LATE:
            self.user.connect_failed(TimeoutError(errno.ETIMEDOUT, "no end of the TLS handshake"))
        else:
            self.user.connect_failed(TlsFailed(text))
