"""TLS handshakes: from a connected socket to a ``TlsStream``, within a deadline.

Theory of operation. Of an accepted connection the first octets are looked at while they stay in the kernel
(``MSG_PEEK``): the client's hello says which context is used, and only then OpenSSL is given the socket, with every
octet still on it. A hello that is not complete would make the socket readable for ever, so the kernel is told to wake
us for more octets only than there were (SO_RCVLOWAT); where it can't (a unix socket) or won't (its buffer is full of
tiny segments), we look again at each sweep.

A refusal is a plain alert record, since nothing is encrypted yet. The octets that were peeked at are taken off before
the socket is closed, or the reset they cause would destroy the alert on its way. The same holds for OpenSSL's own
alerts: a client of TLS 1.3 sends its request before it hears that its certificate is refused.
"""

from __future__ import annotations

import select
import socket
from typing import Any, Final, Protocol

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from zope.interface import implementer

from revproxy.wire.budget import OctetBudget
from revproxy.wire.client_hello import INTERNAL_ERROR, LONGEST, ClientHello, HelloError, parse_client_hello
from revproxy.wire.stream import SocketStream
from revproxy.wire.sweep import Sweep
from revproxy.wire.tls import TlsStream, reasons_of

PEEK: Final = LONGEST + 1024
TOO_LATE: Final = "it was not complete in time"
_ENDED: Final = getattr(select, "POLLRDHUP", 0)


class HandshakeRefused(Exception):
    """A context choice has none for this hello."""

    def __init__(self, alert: int, reason: str) -> None:
        super().__init__(reason)
        self.alert = alert
        """What the client is told (RFC 8446 §6)."""
        self.reason = reason


class Chosen(Protocol):
    """What a context choice answers; whoever chose knows what else it carries."""

    @property
    def context(self) -> SSL.Context:
        """The context for this connection."""


class ContextChoice(Protocol):
    """Who knows which context a client gets."""

    def choose(self, hello: ClientHello) -> Chosen:
        """Raises HandshakeRefused."""


class HandshakeFailed(Exception):
    """There is no TLS connection. The text says why, in words for a log."""


class ServerHandshakeUser(Protocol):
    """Who accepted the connection."""

    def secured(self, stream: TlsStream, chosen: Any) -> None:
        """The handshake is complete; nobody reads from the stream yet."""

    def clear_text_came(self, stream: SocketStream) -> None:
        """The client speaks something in the clear: nothing of it has been read yet."""

    def handshake_failed(self, error: HandshakeFailed) -> None:
        """It is over, and the socket closed."""


class ClientHandshakeUser(Protocol):
    """Who opened the connection."""

    def secured(self, stream: TlsStream) -> None:
        """The handshake is complete; nobody reads from the stream yet."""

    def handshake_failed(self, error: HandshakeFailed) -> None:
        """It is over, and the socket closed."""


@implementer(IReadWriteDescriptor)
class _Handshake:
    """What both sides have in common: a socket, a deadline, and OpenSSL's steps."""

    __slots__ = ("__weakref__", "_budget", "_fd", "_reactor", "_reading", "_socket", "_sweep", "_writing", "connection",
                 "deadline")  # fmt: skip

    def __init__(self, sock: socket.socket, reactor: IReactorFDSet, sweep: Sweep, budget: OctetBudget) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._reactor = reactor
        self._sweep = sweep
        self._budget = budget
        self._reading = False
        self._writing = False
        self.connection: SSL.Connection | None = None
        self.deadline = 0.0

    def cancel(self) -> None:
        """Gives up; nobody is called back."""
        if self._fd != -1:
            self._forget()
            self._socket.close()

    def fileno(self) -> int:
        """The descriptor while the handshake is under way."""
        return self._fd

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy"

    def sweep(self, now: float) -> None:
        """Keeps the deadline."""
        # It may have been cancelled by another's deadline in this same sweep.
        if self._fd != -1 and now >= self.deadline:
            self._fail(TOO_LATE)

    def doRead(self) -> None:
        """The socket is readable."""
        self._go_on()

    def doWrite(self) -> None:
        """The socket is writable."""
        self._go_on()

    def connectionLost(self, failure: Any) -> None:
        """An error event, or the reactor's end."""
        if self._fd != -1:
            self._fail("the connection was lost")

    def writeConnectionLost(self, failure: Any) -> None:
        """Not used."""

    def _begin(self, timeout: float) -> None:
        self.deadline = self._sweep.now() + timeout
        self._sweep.add(self)

    def _go_on(self) -> None:
        connection = self.connection
        if connection is None:
            return
        try:
            connection.do_handshake()
        except SSL.WantReadError:
            self._wait(reading=True, writing=False)
        except SSL.WantWriteError:
            self._wait(reading=False, writing=True)
        except SSL.SysCallError as reason:
            gone = reason.args[:1] == (-1,)
            self._fail("the peer closed the connection in its middle" if gone else f"{reason.args[-1]}")
        except SSL.ZeroReturnError:
            self._fail("the peer ended the connection in its middle")
        except SSL.Error as reason:
            text = self._explain(reason)
            self._let_alert_arrive(PEEK)
            self._fail(text)
        except Exception as reason:  # noqa: BLE001  # raised by a callback: whatever it is, it costs this connection alone
            self._fail(f"{type(reason).__name__}: {reason}")
        else:
            self._forget()
            self._done(self._stream(connection))

    def _explain(self, reason: SSL.Error) -> str:
        return reasons_of(reason)

    def _let_alert_arrive(self, octets: int) -> None:
        """Ends our octets, and takes off those that came: the reset that unread ones cause would destroy the alert."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.recv(octets)
        except OSError:
            pass

    def _stream(self, connection: SSL.Connection) -> TlsStream:
        return TlsStream(self._socket, connection, self._reactor, self._budget)

    def _done(self, stream: TlsStream) -> None:
        raise NotImplementedError

    def _wait(self, *, reading: bool, writing: bool) -> None:
        if reading != self._reading:
            self._reading = reading
            (self._reactor.addReader if reading else self._reactor.removeReader)(self)
        if writing != self._writing:
            self._writing = writing
            (self._reactor.addWriter if writing else self._reactor.removeWriter)(self)

    def _forget(self) -> None:
        self._wait(reading=False, writing=False)
        self._sweep.discard(self)
        self._fd = -1
        # Whoever waited for the handshake may know it for longer: OpenSSL's memory must not stay with it.
        self.connection = None

    def _fail(self, text: str) -> None:
        self._forget()
        self._socket.close()
        self._tell(HandshakeFailed(text))

    def _tell(self, error: HandshakeFailed) -> None:
        raise NotImplementedError


class ServerHandshake(_Handshake):
    """The handshake of an accepted connection."""

    __slots__ = ("_choice", "_chosen", "_seen", "user")

    def __init__(
        self,
        sock: socket.socket,
        reactor: IReactorFDSet,
        sweep: Sweep,
        budget: OctetBudget,
        *,
        choice: ContextChoice,
        user: ServerHandshakeUser,
    ) -> None:
        super().__init__(sock, reactor, sweep, budget)
        self._choice = choice
        self._chosen: Chosen | None = None
        self._seen = 0
        self.user = user

    def start(self, timeout: float) -> None:
        """Begins; the handshake may take ``timeout`` seconds."""
        self._begin(timeout)
        # More often than not, the hello is there when the connection is accepted.
        self._look()

    def doRead(self) -> None:
        """The socket is readable."""
        if self.connection is None:
            self._look()
        else:
            self._go_on()

    def sweep(self, now: float) -> None:
        """Keeps the deadline, and looks again where nobody wakes us."""
        if self._fd != -1 and now < self.deadline and self.connection is None and not self._reading:
            self._look()
        else:
            super().sweep(now)

    def _look(self) -> None:
        """Looks for a complete hello."""
        try:
            octets = self._socket.recv(PEEK, socket.MSG_PEEK)
        except BlockingIOError:
            self._wait(reading=True, writing=False)
            return
        except OSError as reason:
            self._fail(f"the connection was lost: {reason.strerror}")
            return
        if len(octets) <= self._seen:
            if not octets or self._has_ended():
                self._fail("the client closed the connection before its hello was complete")
            else:
                # Readable, with nothing new: only the sweep looks from now on.
                self._wait(reading=False, writing=False)
            return
        try:
            hello = parse_client_hello(octets)
            if hello is None:
                if len(octets) >= PEEK:
                    raise HelloError("the client's hello is too long")
                self._await_more(len(octets))
                return
            self._chosen = self._choice.choose(hello)
        except HelloError as mistake:
            if mistake.is_clear_text:
                self._hand_over()
            else:
                self._refuse(mistake.alert, str(mistake), len(octets))
            return
        except HandshakeRefused as refusal:
            self._refuse(refusal.alert, refusal.reason, len(octets))
            return
        except Exception as mistake:  # noqa: BLE001  # a mistake of whoever chooses costs this connection alone
            self._refuse(INTERNAL_ERROR, f"no context could be chosen: {mistake!r}", len(octets))
            return
        if self._seen:
            self._low_water(1)
        connection = SSL.Connection(self._chosen.context, self._socket)
        connection.set_accept_state()
        self.connection = connection
        self._go_on()

    def _await_more(self, octets: int) -> None:
        self._seen = octets
        # Without it the socket would be readable without end.
        waits = self._socket.family != socket.AF_UNIX and self._low_water(octets + 1)
        self._wait(reading=waits, writing=False)

    def _low_water(self, octets: int) -> bool:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, octets)
        except OSError:
            return False
        return True

    def _has_ended(self) -> bool:
        poller = select.poll()
        poller.register(self._socket, _ENDED)
        return bool(poller.poll(0))

    def _hand_over(self) -> None:
        self._forget()
        if self._seen:
            self._low_water(1)
        self.user.clear_text_came(SocketStream(self._socket, self._reactor, self._budget))

    def _refuse(self, alert: int, reason: str, octets: int) -> None:
        try:
            self._socket.recv(octets)
            self._socket.send(b"\x15\x03\x01\x00\x02\x02%c" % alert)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self._fail(reason)

    def _done(self, stream: TlsStream) -> None:
        stream.fin_is_departure = True
        self.user.secured(stream, self._chosen)

    def _tell(self, error: HandshakeFailed) -> None:
        self.user.handshake_failed(error)


class ClientHandshake(_Handshake):
    """The handshake of a connection that we opened, with a ``connection`` that was made for the socket."""

    __slots__ = ("user",)

    def __init__(
        self,
        sock: socket.socket,
        reactor: IReactorFDSet,
        sweep: Sweep,
        budget: OctetBudget,
        *,
        connection: SSL.Connection,
        user: ClientHandshakeUser,
    ) -> None:
        super().__init__(sock, reactor, sweep, budget)
        connection.set_connect_state()
        self.connection = connection
        self.user = user

    def start(self, timeout: float) -> None:
        """Begins; the handshake may take ``timeout`` seconds."""
        self._begin(timeout)
        self._go_on()

    def _done(self, stream: TlsStream) -> None:
        self.user.secured(stream)

    def _tell(self, error: HandshakeFailed) -> None:
        self.user.handshake_failed(error)
