"""One connected socket, TCP or unix, with immediate writes.

Theory of operation. Twisted's ``FileDescriptor.write`` queues, registers for writability, sends on the next turn: two
system calls and a turn for every answer. ``SocketStream.write`` sends at once when nothing is queued, and queues only
what the kernel did not take; ``output_blocked`` and ``output_drained`` tell the user when that happens, so that it can
pause whoever makes the octets. Reads go the other way round: everything that arrives is handed on, until the user
pauses.

The reactor sees an ``IReadWriteDescriptor``. The user is called back with octets, the end of the peer's octets (a
half-close), or the loss of the connection; after ``close`` or ``abort`` it hears nothing more.

A paused socket is registered for nothing and so never hears that its peer left: ``is_peer_gone`` asks the kernel, and
the sweep of the user's deadlines calls it.
"""

from __future__ import annotations

import select
import socket
import struct
from collections import deque
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from zope.interface import implementer

from revproxy.wire.budget import OctetBudget

SMALLEST_READ: Final = 16 * 1024
LARGEST_READ: Final = 256 * 1024
_RESET: Final = struct.pack("ii", 1, 0)
_GONE: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
_RDHUP: Final = getattr(select, "POLLRDHUP", 0)


class StreamUser(Protocol):
    """Who is called back."""

    def octets_received(self, data: bytes) -> None:
        """Octets came; never empty."""

    def input_ended(self) -> None:
        """The peer sends nothing more; it may still read."""

    def stream_lost(self, error: Exception) -> None:
        """The connection is gone without our doing. Nothing more will be called."""

    def output_blocked(self) -> None:
        """The kernel took only a part of what was written: make no more."""

    def output_drained(self) -> None:
        """Everything that was written has been taken."""


class PeerReset(Exception):
    """The peer cut the connection, or it was lost."""


@implementer(IReadWriteDescriptor)
class SocketStream:
    """A connected stream socket."""

    __slots__ = (
        "__weakref__",
        "_budget",
        "_closing",
        "_ending",
        "_fd",
        "_out",
        "_reactor",
        "_read_size",
        "_reading",
        "_socket",
        "_writing",
        "closed",
        "input_at_end",
        "output_ended",
        "queued",
        "unread",
        "user",
    )

    user: StreamUser

    def __init__(self, sock: socket.socket, reactor: IReactorFDSet, budget: OctetBudget) -> None:
        self._socket = sock
        self._fd = sock.fileno()
        self._reactor = reactor
        self._budget = budget
        self._out: deque[bytes | memoryview] | None = None
        self._read_size = SMALLEST_READ
        self._reading = False
        self._writing = False
        self._closing = False
        self._ending = False
        self.queued = 0
        """Octets written that the kernel has not taken."""
        self.closed = False
        self.input_at_end = False
        """Whether the peer ended its octets."""
        self.output_ended = False
        """Whether we ended ours."""
        self.unread = b""
        """Octets that the peer had sent before a write failed: whoever asked for them finds them here when it is told
        that the connection is lost."""

    # What the user does.

    def resume_reading(self) -> None:
        """Begins, or goes on, to hand octets to the user."""
        if not self._reading and not self.closed and not self.input_at_end:
            self._reading = True
            self._reactor.addReader(self)

    def pause_reading(self) -> None:
        """Stops handing octets to the user."""
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)

    @property
    def is_reading(self) -> bool:
        """Whether octets are handed on as they come."""
        return self._reading

    def write(self, data: bytes | memoryview) -> bool:
        """Sends what can be sent now and queues the rest.

        False means that the connection is broken or over and that not one octet of ``data`` was or will be sent; a
        break that was not known before is then told through ``stream_lost`` in the reactor's next turn.
        """
        if self.closed or self._ending or self._closing:
            return False
        size = len(data)
        if self._out:
            if not self._budget.take(size):
                self._break(BufferError("the process holds too many octets"))
                return False
            self._out.append(data)
            self.queued += size
            return True
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as reason:
            self._break(reason)
            return False
        if sent != size:
            self._queue(memoryview(data)[sent:])
        return True

    def write_pieces(self, pieces: list[bytes]) -> bool:
        """As ``write``, for several pieces that need not be joined first."""
        if self.closed or self._ending or self._closing:
            return False
        if self._out:
            return self.write(b"".join(pieces))
        try:
            sent = self._socket.sendmsg(pieces)
        except BlockingIOError:
            sent = 0
        except OSError as reason:
            self._break(reason)
            return False
        rest = b"".join(pieces)[sent:] if sent != sum(map(len, pieces)) else b""
        if rest:
            self._queue(rest)
        return True

    def end_output(self) -> None:
        """Ends our octets (a half-close) once everything written is sent."""
        if self.closed or self._ending:
            return
        self._ending = True
        if not self._out:
            self._shut()

    def close(self) -> None:
        """Closes once everything written is sent; octets that still come are not read."""
        if self.closed or self._closing:
            return
        self._closing = True
        self.pause_reading()
        if not self._out:
            self._finish()

    def abort(self) -> None:
        """Cuts the connection at once: the peer sees a reset, and can't take what it got for complete."""
        if self.closed:
            return
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass
        self._finish()

    def is_peer_gone(self, *, half_close_counts: bool) -> bool:
        """Asks the kernel whether the peer cut the connection (or, if that counts, ended its octets)."""
        if self.closed:
            return True
        poller = select.poll()
        poller.register(self._fd, _RDHUP)
        events = poller.poll(0)
        if not events:
            return False
        event = events[0][1]
        if event & (select.POLLERR | select.POLLNVAL):
            return True
        if event & select.POLLHUP and not self.output_ended:
            return True
        return half_close_counts and bool(event & _RDHUP)

    def has_input(self) -> bool:
        """Asks the kernel whether octets (or the end of them) wait to be read."""
        if self.closed:
            return False
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(0))

    # What the reactor does.

    def fileno(self) -> int:
        """The descriptor, or -1 when the socket is closed."""
        return self._fd

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy"

    def doRead(self) -> None:
        """The socket is readable."""
        size = self._read_size
        budget = self._budget
        if budget.held > budget.limit >> 1:
            # Room is short: whoever is slow shall hold little of it.
            size = SMALLEST_READ
        try:
            data = self._socket.recv(size)
        except BlockingIOError:
            return
        except OSError as reason:
            self._lose(reason)
            return
        if not data:
            self.pause_reading()
            self.input_at_end = True
            self.user.input_ended()
            return
        got = len(data)
        if got == size:
            if size < LARGEST_READ:
                self._read_size = size * 2
        elif got < size >> 2 and size > SMALLEST_READ:
            self._read_size = size >> 1
        self.user.octets_received(data)

    def doWrite(self) -> None:
        """The socket is writable."""
        out = self._out
        sent_now = 0
        while out:
            data = out[0]
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                break
            except OSError as reason:
                self._save_input()
                self._lose(reason)
                return
            sent_now += sent
            if sent != len(data):
                out[0] = memoryview(data)[sent:]
                break
            out.popleft()
        self._taken(sent_now)

    def _taken(self, octets: int) -> None:
        """The kernel took octets from the queue."""
        self.queued -= octets
        self._budget.give(octets)
        if self._out:
            return
        self._out = None
        if self._writing:
            self._writing = False
            self._reactor.removeWriter(self)
        if self._closing:
            self._finish()
            return
        if self._ending:
            self._shut()
        self.user.output_drained()

    def connectionLost(self, failure: Any) -> None:
        """The reactor gave the descriptor up (an error event, or the reactor's own end)."""
        if not self.closed:
            self._lose(failure.value if isinstance(failure.value, Exception) else PeerReset("connection lost"))

    def writeConnectionLost(self, failure: Any) -> None:
        """Not used: half-closes are asked for and heard by name."""

    # The rest.

    def _queue(self, rest: bytes | memoryview) -> None:
        if not self._budget.take(len(rest)):
            self._break(BufferError("the process holds too many octets"))
            return
        self._out = deque([rest])
        self.queued = len(rest)
        if not self._writing:
            self._writing = True
            self._reactor.addWriter(self)
        self.user.output_blocked()

    def _shut(self) -> None:
        self.output_ended = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _break(self, reason: Exception) -> None:
        """Closes, and tells the user in the next turn: whoever is writing should not be called back while it does."""
        if isinstance(reason, BufferError):
            # The peer is still there: what it got must not look complete.
            self.abort()
        else:
            self._save_input()
        self._finish()
        self._reactor.callLater(0, self.user.stream_lost, reason)  # type: ignore[attr-defined]  # every reactor has time

    def _save_input(self) -> None:
        """The peer cut the connection while we were writing. What it had said before that is still in the kernel."""
        try:
            self.unread = self._socket.recv(LARGEST_READ)
        except OSError:
            pass
        self.input_at_end = True

    def _lose(self, reason: Exception) -> None:
        if self.closed:
            return
        told = not self._closing
        self._finish()
        if told:
            self.user.stream_lost(reason)

    def _finish(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._reading:
            self._reading = False
            self._reactor.removeReader(self)
        if self._writing:
            self._writing = False
            self._reactor.removeWriter(self)
        self._fd = -1
        self._socket.close()
        self._out = None
        if self.queued:
            self._budget.give(self.queued)
            self.queued = 0
