"""A network in memory: sockets joined by pipes, and the turn of a reactor that reads and writes them.

The streams on top are revproxy's own (``wire.stream.SocketStream``): only the kernel is played. What is played is what
TCP does at its ends: room for a number of octets, a FIN behind the octets, a reset that destroys what is on its way,
and a reset as the answer to octets for a socket that is closed, or that was closed with octets unread.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.task import Clock

from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import ConnectUser, SocketAddress
from revproxy.wire.stream import SocketStream
from revproxy.wire.sweep import Sweep

ROOM = 1 << 20
"""Octets that one direction of a connection holds, unless a test says less."""
MOST_TURNS = 20_000


class MemorySocket:
    """One end of a connection, with the calls of ``socket.socket`` that a stream makes."""

    def __init__(self, descriptor: int, room: int) -> None:
        self.descriptor = descriptor
        self.room = room
        """Octets that wait here before the peer's writes block."""
        self.waiting = b""
        """Octets that came and were not read."""
        self.peer: MemorySocket = self
        self.fin = False
        """Whether the peer ended its octets."""
        self.reset = False
        """Whether the peer cut the connection."""
        self.refuses = False
        """Whether the next write fails: the peer's reset is known to the kernel, and the user has not read it."""
        self.shut = False
        self.closed = False
        self._cuts = False

    def fileno(self) -> int:
        return -1 if self.closed else self.descriptor

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option == socket.SO_LINGER:
            self._cuts = True

    def send(self, data: bytes | memoryview) -> int:
        assert not self.closed, "a closed socket was written"
        if self.refuses or self.reset:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        assert not self.shut, "a socket was written after its end"
        peer = self.peer
        if peer.closed:
            # The kernel takes the octets; the answer to them is a reset.
            self._be_reset()
            return len(data)
        space = peer.room - len(peer.waiting)
        if space <= 0:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        taken = bytes(data[:space])
        peer.waiting += taken
        return len(taken)

    def sendmsg(self, pieces: Sequence[bytes]) -> int:
        return self.send(b"".join(pieces))

    def recv(self, size: int) -> bytes:
        assert not self.closed, "a closed socket was read"
        if self.reset:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if not self.waiting:
            if self.fin:
                return b""
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.reset:
            raise OSError(errno.ENOTCONN, "not connected")
        self.shut = True
        self.peer.fin = True

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._cuts or self.waiting:
            self.peer._be_reset()
        else:
            self.peer.fin = True
        self.waiting = b""

    def _be_reset(self) -> None:
        if not self.closed:
            self.reset = True
            self.waiting = b""

    @property
    def is_readable(self) -> bool:
        return bool(self.waiting) or self.fin or self.reset

    @property
    def is_writable(self) -> bool:
        return self.reset or self.refuses or self.peer.closed or len(self.peer.waiting) < self.peer.room


class MemoryStream(SocketStream):
    """The real stream on a played socket: only ``poll`` has to be played as well."""

    __slots__ = ("sock",)

    def __init__(self, sock: MemorySocket, network: Network, budget: OctetBudget) -> None:
        super().__init__(sock, network, budget)  # type: ignore[arg-type]  # a socket by its behaviour
        self.sock = sock

    def is_peer_gone(self, *, half_close_counts: bool) -> bool:
        if self.closed or self.sock.reset:
            return True
        return self.sock.fin and (half_close_counts or (self.sock.peer.closed and not self.output_ended))

    def has_input(self) -> bool:
        return not self.closed and self.sock.is_readable


class End:
    """The other end of a connection to the proxy, in a test's hands: a client, or an origin."""

    def __init__(self, sock: MemorySocket, network: Network) -> None:
        self.sock = sock
        self.network = network
        self.received = b""
        """Everything that was read."""
        self.reads = True
        """Whether what comes is read at once."""
        self.ended = False
        """Whether the proxy ended its octets."""
        self.was_reset = False
        self.heard: Callable[[], None] | None = None
        """Called after octets were read."""

    def take_in(self) -> bool:
        """Reads what there is; whether there was anything."""
        if self.sock.closed or self.ended or self.was_reset:
            return False
        try:
            data = self.sock.recv(1 << 30)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.was_reset = True
            return True
        if data:
            self.received += data
            if self.heard is not None:
                self.heard()
        else:
            self.ended = True
        return True

    def take(self, octets: int) -> int:
        """Reads up to that many octets, as a slow reader does; how many it got."""
        try:
            data = self.sock.recv(octets)
        except OSError:
            return 0
        self.received += data
        self.network.settle()
        return len(data)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come."""
        return self.ended or self.was_reset

    def send(self, data: bytes, *, cut: Sequence[int] = ()) -> None:
        """Sends octets; after each of the places in ``cut`` the proxy gets a turn."""
        before = 0
        for at in (*cut, len(data)):
            if at > before and not self.sock.closed:
                self._put(data[before:at])
                before = at

    def _put(self, data: bytes) -> None:
        while data and not self.sock.closed:
            try:
                sent = self.sock.send(data)
            except BlockingIOError:
                return
            except ConnectionResetError:
                self.was_reset = True
                return
            data = data[sent:]
            self.network.settle()

    def offer(self, data: bytes) -> int:
        """Sends as much as the proxy has room for; how much that was."""
        try:
            sent = self.sock.send(data)
        except OSError:
            return 0
        self.network.settle()
        return sent

    def fin(self) -> None:
        """Ends its octets."""
        if not self.sock.closed and not self.sock.shut and not self.sock.reset:
            self.sock.shutdown(socket.SHUT_WR)
        self.network.settle()

    def close(self) -> None:
        """Closes, as ``close(2)`` does."""
        self.sock.close()
        self.network.settle()

    def cut(self) -> None:
        """Resets the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"")
        self.close()

    def take_back(self) -> bytes:
        """What was read since this was asked last."""
        data, self.received = self.received, b""
        return data


class Network:
    """The reactor's part: it knows who waits for what, and gives everybody turns until nothing moves."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.callLater = clock.callLater
        # Dictionaries for their order.
        self._readers: dict[Any, None] = {}
        self._writers: dict[Any, None] = {}
        self._descriptors = 3
        self.ends: list[End] = []
        self._settling = False

    def addReader(self, reader: Any) -> None:
        self._readers[reader] = None

    def addWriter(self, writer: Any) -> None:
        self._writers[writer] = None

    def removeReader(self, reader: Any) -> None:
        self._readers.pop(reader, None)

    def removeWriter(self, writer: Any) -> None:
        self._writers.pop(writer, None)

    def removeAll(self) -> list[Any]:
        raise NotImplementedError

    def getReaders(self) -> list[Any]:
        return list(self._readers)

    def getWriters(self) -> list[Any]:
        return list(self._writers)

    def pair(self, room: int = ROOM) -> tuple[MemorySocket, MemorySocket]:
        """Two joined sockets."""
        self._descriptors += 2
        one, other = MemorySocket(self._descriptors, room), MemorySocket(self._descriptors + 1, room)
        one.peer, other.peer = other, one
        return one, other

    def end(self, sock: MemorySocket) -> End:
        end = End(sock, self)
        self.ends.append(end)
        return end

    def turn(self) -> bool:
        """Whether anything happened."""
        moved = False
        for stream in list(self._writers):
            if stream in self._writers and stream.sock.is_writable:
                stream.doWrite()
                moved = True
        for stream in list(self._readers):
            if stream in self._readers and stream.sock.is_readable:
                stream.doRead()
                moved = True
        for end in self.ends:
            if end.reads and end.sock.is_readable and end.take_in():
                moved = True
        calls = self.clock.calls
        # The next call due is the first: the clock sorts them.
        if calls and calls[0].getTime() <= self.clock.seconds():
            self.clock.advance(0)
            moved = True
        return moved

    def settle(self) -> None:
        """Turns until nothing moves."""
        if self._settling:
            return
        self._settling = True
        try:
            for _ in range(MOST_TURNS):
                if not self.turn():
                    return
            raise AssertionError("the network never comes to rest")
        finally:
            self._settling = False


class Origin:
    """A server that a test plays: it sees connections and octets, and answers when the test says so."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.connections: list[End] = []
        """Every connection that was opened to it, in order."""
        self.attempts = 0
        self.mode = "accept"
        """``accept``, ``accept at once``, ``accept late`` (after a second), ``refuse`` (at once), ``refuse later``, or
        ``silent`` (never answers)."""
        self.room = ROOM
        self.answer: Callable[[End], None] | None = None
        """Called with a new connection."""

    @property
    def last(self) -> End:
        """The newest connection."""
        return self.connections[-1]

    @property
    def received(self) -> bytes:
        """Everything that came over all connections, in the connections' order."""
        return b"".join(end.received for end in self.connections)

    def accept(self, user: ConnectUser, budget: OctetBudget) -> None:
        ours, theirs = self.network.pair(self.room)
        end = self.network.end(theirs)
        self.connections.append(end)
        user.connected(MemoryStream(ours, self.network, budget))
        if self.answer is not None:
            self.answer(end)


class MemoryAttempt:
    """An attempt to connect to an origin, as ``wire.connect.Connecting`` makes one."""

    def __init__(
        self,
        user: ConnectUser,
        origins: dict[Any, Origin],
        network: Network,
        sweep: Sweep,
        budget: OctetBudget,
    ) -> None:
        self._user = user
        self._origins = origins
        self._network = network
        self._sweep = sweep
        self._budget = budget
        self._over = False
        self._deadline = 0.0

    def start(self, address: SocketAddress, timeout: float) -> None:
        where = address[1][:2] if isinstance(address[1], tuple) else address[1]
        origin = self._origins[where]
        origin.attempts += 1
        if origin.mode == "refuse":
            self._fail(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))
        elif origin.mode == "accept at once":
            self._over = True
            origin.accept(self._user, self._budget)
        else:
            self._deadline = self._sweep.now() + timeout
            self._sweep.add(self)
            if origin.mode == "accept":
                self._network.callLater(0, self._accept, origin)
            elif origin.mode == "accept late":
                self._network.callLater(1, self._accept, origin)
            elif origin.mode == "refuse later":
                self._network.callLater(0, self._fail, ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))

    def _accept(self, origin: Origin) -> None:
        if not self._over:
            self.cancel()
            origin.accept(self._user, self._budget)

    def _fail(self, reason: OSError) -> None:
        if not self._over:
            self.cancel()
            self._user.connect_failed(reason)

    def cancel(self) -> None:
        self._over = True
        self._sweep.discard(self)

    def sweep(self, now: float) -> None:
        if now >= self._deadline:
            self._fail(TimeoutError(errno.ETIMEDOUT, "no answer to the attempt to connect"))
