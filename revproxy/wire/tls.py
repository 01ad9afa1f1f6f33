"""One connected socket under TLS, for both sides, with immediate writes.

Theory of operation. OpenSSL is given the socket itself and not a pair of memory buffers: one call reads, decrypts and
copies once, one call encrypts and sends. (Through memory, each way takes three calls and two copies more: measured, it
costs about twice as much per request.) Everything else is ``SocketStream``'s: what the kernel does not take is queued,
and OpenSSL, which then holds a record half sent, is given the same octets again.

pyOpenSSL wraps each read and write in checks and an allocation that cost as much as the encryption of a small answer.
Where its parts are as we know them the two calls are made directly, else through its public methods.

Ends (RFC 8446 §6.1). close_notify is the end of the peer's octets. A FIN without it is a loss: what came may be
truncated. A FIN behind it is a client's departure and no half-close; a server may well end its answer so. We send
close_notify before every orderly end of ours.

Messages of TLS itself may come at any time (RFC 8446 §4.6), in pieces, from peers that mean no good. Half of one keeps
OpenSSL from writing until the rest comes, and one that it can't answer yet keeps it from reading: then the stream waits
for the other event, since the one it would wait for is there all the time. And one call reads one such message at most,
or who never stops sending them would never be left.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet

from revproxy.wire.budget import OctetBudget
from revproxy.wire.stream import PeerReset, SocketStream

RECORD: Final = 16 * 1024
"""The content octets of the longest record (RFC 8446 §5.1)."""
RECORDS_PER_TURN: Final = 16
SMALL_PIECES: Final = 2 * RECORD
"""Pieces up to this much together are joined, to leave in as few records as possible."""

try:
    from OpenSSL._util import ffi as _ffi
    from OpenSSL._util import lib as _lib

    _ssl_read = _lib.SSL_read
    _ssl_write = _lib.SSL_write
    _ssl_clear_mode = _lib.SSL_clear_mode
    _AUTO_RETRY = _lib.SSL_MODE_AUTO_RETRY
    # One for the process: the reactor reads one record at a time, and the octets are copied out at once.
    _BUFFER: Any = _ffi.new("char[]", RECORD)
    _VIEW: Any = _ffi.buffer(_BUFFER)
    DIRECT = hasattr(SSL.Connection, "_raise_ssl_error")
except (ImportError, AttributeError):
    DIRECT = False


class TruncatedInput(PeerReset):
    """The peer's octets ended without close_notify: some may be missing."""


class TlsStream(SocketStream):
    """A socket whose TLS handshake is complete."""

    __slots__ = ("_handle", "_read_awaits_output", "_told_end", "_write_awaits_input", "connection", "fin_is_departure")

    connection: SSL.Connection
    """OpenSSL's part; there is none any more once the stream is closed."""

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, reactor: IReactorFDSet, budget: OctetBudget
    ) -> None:
        super().__init__(sock, reactor, budget)
        self.connection = connection
        self._handle: Any = None
        if DIRECT:
            self._handle = connection._ssl
            # pyOpenSSL has set it: SSL_read would go on for as long as there are messages of TLS itself.
            _ssl_clear_mode(self._handle, _AUTO_RETRY)
        self._told_end = False
        self._write_awaits_input = False
        """Whether OpenSSL writes nothing before it has read the rest of a message."""
        self._read_awaits_output = False
        """Whether OpenSSL reads nothing before it has sent a message of its own."""
        self.fin_is_departure = False
        """Whether a peer that closes behind its close_notify wants no answer any more: clients don't."""

    # What the user does.

    def write(self, data: bytes | memoryview) -> bool:
        """As ``SocketStream.write``."""
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
            sent = self._send_records(data)
        except (SSL.Error, OSError) as reason:
            self._break(_loss(reason))
            return False
        if sent != size:
            self._queue(memoryview(data)[sent:] if sent else data)
        return True

    def write_pieces(self, pieces: list[bytes]) -> bool:
        """As ``write``, for several pieces: small ones share a record."""
        if len(pieces) == 1 or sum(map(len, pieces)) <= SMALL_PIECES:
            return self.write(b"".join(pieces))
        if not self.write(pieces[0]):
            return False
        for piece in pieces[1:]:
            self.write(piece)
        return True

    def _save_input(self) -> None:
        """Nothing can be saved: OpenSSL reads no more after an error."""

    def is_peer_gone(self, *, half_close_counts: bool) -> bool:
        """Asks the kernel whether the peer is gone: under TLS every FIN says so, for a half-close is a close_notify."""
        return super().is_peer_gone(half_close_counts=True)

    def pause_reading(self) -> None:
        """As ``SocketStream.pause_reading``."""
        super().pause_reading()
        if self._write_awaits_input and not self.closed:
            self._reactor.addReader(self)

    # What the reactor does.

    def doRead(self) -> None:
        """The socket is readable."""
        if self._write_awaits_input:
            self._write_awaits_input = False
            self._reactor.addWriter(self)
            if not self._reading:
                self._reactor.removeReader(self)
            return
        for _ in range(RECORDS_PER_TURN):
            try:
                data = self._receive()
            except SSL.WantReadError:
                return
            except SSL.WantWriteError:
                self._read_awaits_output = True
                self._reactor.removeReader(self)
                self._reactor.addWriter(self)
                return
            except SSL.ZeroReturnError:
                self._input_ended()
                return
            except (SSL.Error, OSError) as reason:
                self._lose(_loss(reason))
                return
            self.user.octets_received(data)
            # A record that is not full is the last that its sender had: another try would cost a call and find nothing.
            if len(data) < RECORD or not self._reading:
                return

    def doWrite(self) -> None:
        """The socket is writable."""
        if self._read_awaits_output:
            self._read_awaits_output = False
            if self._reading:
                self._reactor.addReader(self)
            if not self._writing:
                self._reactor.removeWriter(self)
                return
        out = self._out
        if out and out[0] is _END:
            self._send_end()
            return
        sent_now = 0
        while out:
            data = out[0]
            self._write_awaits_input = False
            try:
                sent = self._send_records(data)
            except (SSL.Error, OSError) as reason:
                self._lose(_loss(reason))
                return
            sent_now += sent
            if sent != len(data):
                if sent:
                    out[0] = memoryview(data)[sent:]
                break
            out.popleft()
        if self._write_awaits_input:
            self._reactor.removeWriter(self)
            self._reactor.addReader(self)
        self._taken(sent_now)

    # The rest.

    def _receive(self) -> bytes:
        """One record's content. Raises as ``SSL.Connection.recv``."""
        if not DIRECT:
            return self.connection.recv(RECORD)
        got = _ssl_read(self._handle, _BUFFER, RECORD)
        if got > 0:
            return _VIEW[:got]  # type: ignore[no-any-return]
        self.connection._raise_ssl_error(self._handle, got)
        raise PeerReset("OpenSSL read nothing and gave no reason")

    def _send_records(self, data: bytes | memoryview) -> int:
        """Sends until all is sent or the kernel takes no more; the octets sent. Raises SSL.Error."""
        if DIRECT and type(data) is bytes:
            size = len(data)
            sent: int = _ssl_write(self._handle, data, size)
            if sent == size:
                return sent
            if sent <= 0:
                try:
                    self.connection._raise_ssl_error(self._handle, sent)
                except SSL.WantWriteError:
                    return 0
                except SSL.WantReadError:
                    self._write_awaits_input = True
                    return 0
            rest = memoryview(data)[sent:]
        else:
            sent = 0
            rest = memoryview(data)
        send = self.connection.send
        # OpenSSL sends one record for each call.
        while rest:
            try:
                count = send(rest)
            except SSL.WantWriteError:
                break
            except SSL.WantReadError:
                self._write_awaits_input = True
                break
            except (SSL.Error, OSError):
                if not sent:
                    raise
                # Whole records left: nobody may believe that nothing was sent. The rest waits for the same error.
                break
            sent += count
            rest = rest[count:]
        return sent

    def _input_ended(self) -> None:
        self.pause_reading()
        self.input_at_end = True
        if self.fin_is_departure and not self.output_ended and not self._ending:
            poller = select.poll()
            poller.register(self._fd, _RDHUP)
            if poller.poll(0):
                self._lose(PeerReset("the peer closed the connection"))
                return
        self.user.input_ended()

    def _shut(self) -> None:
        if self._say_end() or not self._queue_end():
            super()._shut()

    def _say_end(self) -> bool:
        """Sends close_notify, once; False where the kernel has no room for it."""
        if not self._told_end:
            try:
                self.connection.shutdown()
            except SSL.WantWriteError:
                return False
            except (SSL.Error, OSError):
                pass
            self._told_end = True
        return True

    def _queue_end(self) -> bool:
        """Lets close_notify wait for room like anything else that was written."""
        if not self._budget.take(len(_END)):
            return False
        self._out = deque([_END])
        self.queued = len(_END)
        self._writing = True
        self._reactor.addWriter(self)
        return True

    def _send_end(self) -> None:
        """There is room for the close_notify that waited."""
        if not self._say_end():
            return
        self._out = None
        self._budget.give(self.queued)
        self.queued = 0
        self._writing = False
        self._reactor.removeWriter(self)
        if self._closing:
            self._finish()
        else:
            super()._shut()
            self.user.output_drained()

    def abort(self) -> None:
        """Cuts the connection: no close_notify, so nothing can be taken for complete."""
        self._told_end = True
        super().abort()

    def _finish(self) -> None:
        if self.closed:
            return
        # To a server nothing is lost by it, and nobody would watch over the wait.
        if self._closing and not self._out and not self._say_end() and self.fin_is_departure and self._queue_end():
            return
        if self._write_awaits_input:
            self._reactor.removeReader(self)
        if self._read_awaits_output:
            self._reactor.removeWriter(self)
        super()._finish()
        # The stream and its user know each other, so both stay until the collector comes. OpenSSL's memory, ten times
        # theirs, goes now.
        self._handle = None
        del self.connection


_END: Final = bytes(24)
"""Stands for a close_notify among what waits to be sent, and is about as long."""
_RDHUP: Final = getattr(select, "POLLRDHUP", select.POLLHUP)


def _loss(reason: Exception) -> Exception:
    """OpenSSL's complaint in words."""
    if isinstance(reason, SSL.SysCallError):
        if reason.args[:1] == (-1,):
            return TruncatedInput("the peer closed the connection without close_notify")
        return PeerReset(f"the connection was lost: {reason.args[-1]}")
    if isinstance(reason, SSL.ZeroReturnError):
        return PeerReset("the peer ended the connection")
    if isinstance(reason, SSL.Error):
        return PeerReset(f"TLS failed: {reasons_of(reason)}")
    return reason


def reasons_of(reason: SSL.Error) -> str:
    """What OpenSSL says of a failure: its own reasons, the first cause first."""
    stack = reason.args[0] if reason.args and isinstance(reason.args[0], list) else []
    return "; ".join(dict.fromkeys(str(entry[-1]) for entry in stack)) or str(reason) or type(reason).__name__
