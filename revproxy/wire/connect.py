"""Opening connections: non-blocking, one address at a time, with a deadline that the sweep keeps."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from zope.interface import implementer

from revproxy.wire.budget import OctetBudget
from revproxy.wire.stream import SocketStream
from revproxy.wire.sweep import Sweep

OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What failed for want of something of our own: no peer is to blame."""

SocketAddress = tuple[int, Any]
"""An address family and what ``socket.connect`` takes for it."""


class Stream(Protocol):
    """What every stream can do: a socket's, one under TLS, one in memory."""

    user: Any
    queued: int
    closed: bool
    input_at_end: bool
    output_ended: bool
    unread: bytes

    @property
    def is_reading(self) -> bool:
        """Whether octets are handed on."""

    def resume_reading(self) -> None:
        """Hand octets on."""

    def pause_reading(self) -> None:
        """Don't."""

    def write(self, data: bytes | memoryview) -> bool:
        """Send; False: nothing of it was sent."""

    def write_pieces(self, pieces: list[bytes]) -> bool:
        """Send several pieces; False: nothing of them was sent."""

    def end_output(self) -> None:
        """Half-close after what was written."""

    def close(self) -> None:
        """Close after what was written."""

    def abort(self) -> None:
        """Cut."""

    def is_peer_gone(self, *, half_close_counts: bool) -> bool:
        """Ask the kernel."""

    def has_input(self) -> bool:
        """See ``SocketStream``."""


class ConnectUser(Protocol):
    """Who wants the connection."""

    def connected(self, stream: Stream) -> None:
        """Here it is; nobody reads from it yet."""

    def connect_failed(self, reason: OSError) -> None:
        """It could not be opened: nothing was sent."""


@implementer(IReadWriteDescriptor)
class Connecting:
    """One attempt to connect to one address."""

    __slots__ = ("__weakref__", "_budget", "_fd", "_reactor", "_socket", "_sweep", "deadline", "user")

    def __init__(self, reactor: IReactorFDSet, sweep: Sweep, budget: OctetBudget, user: ConnectUser) -> None:
        self._reactor = reactor
        self._sweep = sweep
        self._budget = budget
        self._socket: socket.socket | None = None
        self._fd = -1
        self.deadline = 0.0
        self.user = user

    def start(self, address: SocketAddress, timeout: float) -> None:
        """Begins; ``connected`` or ``connect_failed`` is called later, or at once."""
        family, where = address
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as reason:
            self.user.connect_failed(reason)
            return
        sock.setblocking(False)
        if family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        try:
            code = sock.connect_ex(where)
        except OSError as reason:
            # An address that Python itself can't make sense of.
            self._fail(reason)
            return
        if code == 0:
            self._succeed()
        elif code == errno.EINPROGRESS:
            self._fd = sock.fileno()
            self.deadline = self._sweep.now() + timeout
            self._sweep.add(self)
            self._reactor.addWriter(self)
        else:
            self._fail(OSError(code, os.strerror(code)))

    def cancel(self) -> None:
        """Gives up; nobody is called back."""
        self._forget()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def sweep(self, now: float) -> None:
        """Keeps the deadline."""
        # It may have been cancelled by another's deadline in this same sweep.
        if self._socket is not None and now >= self.deadline:
            self._fail(TimeoutError(errno.ETIMEDOUT, "no answer to the attempt to connect"))

    def fileno(self) -> int:
        """The descriptor while the attempt is under way."""
        return self._fd

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy"

    def doWrite(self) -> None:
        """The attempt ended."""
        if self._socket is None:
            return
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(OSError(code, os.strerror(code)))
        else:
            self._succeed()

    doRead = doWrite

    def connectionLost(self, failure: Any) -> None:
        """An error event, where the reactor does not ask ``doWrite`` itself."""
        if self._socket is not None:
            self.doWrite()

    def writeConnectionLost(self, failure: Any) -> None:
        """Not used."""

    def _forget(self) -> None:
        if self._fd != -1:
            self._sweep.discard(self)
            self._reactor.removeWriter(self)
            self._fd = -1

    def _succeed(self) -> None:
        sock = self._socket
        self._forget()
        self._socket = None
        if sock is not None:
            self._opened(sock)

    def _opened(self, sock: socket.socket) -> None:
        self.user.connected(SocketStream(sock, self._reactor, self._budget))

    def _fail(self, reason: OSError) -> None:
        self.cancel()
        self.user.connect_failed(reason)
