"""One connection to a server, carrying one exchange at a time.

A backend is not trusted either: whatever it sends is parsed as strictly as a client's octets. Octets that nobody asked
for end the connection; so does an answer whose end was not beyond doubt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from revproxy.errors import AnswerTimeout, ClosedEarly, Malformed, Overloaded, ProxyError
from revproxy.http.fields import NO_FIELDS
from revproxy.http.framing import (
    TUNNEL,
    Decoder,
    Framing,
    FramingError,
    LengthDecoder,
    RawDecoder,
    decoder_for,
    response_framing,
)
from revproxy.http.parse import ResponseHead, ResponseParser
from revproxy.wire.connect import Stream

if TYPE_CHECKING:
    from revproxy.upstream.exchange import Exchange
    from revproxy.upstream.peer import PeerState
    from revproxy.upstream.pool import Pool

MOST_INTERIM: Final = 32
"""Interim answers to one request before the server counts as broken."""
_NEVER: Final = float("inf")


class UpstreamConnection:
    """The protocol of one connection to a server."""

    __slots__ = (
        "__weakref__",
        "_decoder",
        "_interim",
        "_last_framing",
        "_last_head",
        "_last_persistent",
        "_parser",
        "_pending",
        "_seen_queue",
        "deadline",
        "exchange",
        "framing",
        "persistent",
        "pool",
        "released",
        "state",
        "stream",
        "used",
    )

    def __init__(self, stream: Stream, pool: Pool, state: PeerState) -> None:
        # Per connection.
        self.stream = stream
        self.pool = pool
        self.state = state
        self.released = False
        """Whether the pool let go of it."""
        self.used = 0
        """How often it became free; what failed at once on one that never was has failed for good."""
        self._parser = ResponseParser(pool.response_head_size, pool.response_head_count)
        self.deadline = _NEVER
        self._last_head: ResponseHead | None = None
        self._last_framing: Framing | None = None
        self._last_persistent = False
        # Per exchange.
        self.exchange: Exchange | None = None
        self.framing: Framing | None = None
        self.persistent = False
        self._decoder: Decoder | None = None
        self._pending = b""
        self._seen_queue = 0
        self._interim = 0
        stream.user = self
        stream.resume_reading()

    def move_to(self, pool: Pool, state: PeerState) -> None:
        """Belongs to another pool from now on; only while it carries no exchange."""
        self.pool = pool
        self.state = state
        self._parser = ResponseParser(pool.response_head_size, pool.response_head_count)
        self._last_head = self._last_framing = None

    # What the stream tells.

    def octets_received(self, data: bytes) -> None:
        """Octets came from the server."""
        exchange = self.exchange
        if exchange is None:
            # RFC 9112 §9.2: an answer to no request; whatever comes next could be taken for the next answer.
            self.pool.discard(self)
            return
        pool = self.pool
        decoder = self._decoder
        try:
            if decoder is None:
                if self._pending:
                    data = self._pending + data
                    self._pending = b""
                rest = self._read_head(exchange, data)
                if rest is None:
                    if self.exchange is exchange:
                        self.deadline = pool.now() + pool.answer_timeout
                    return
                data = rest
                decoder = self._decoder
                if self.exchange is not exchange:
                    return
                if decoder is None:
                    # The body was none, or all of it came with the head.
                    self._complete(exchange, data)
                    return
            if data:
                body, rest = decoder.feed(data)
                self.deadline = pool.now() + (pool.tunnel_timeout if self.framing is TUNNEL else pool.idle_timeout)
                if body:
                    exchange.answer_received(body)
                    if self.exchange is not exchange:
                        # Nobody wants the rest.
                        return
                if decoder.done:
                    self._complete(exchange, rest)
                    return
            elif self.framing is not TUNNEL:
                self.deadline = pool.now() + pool.idle_timeout
        except FramingError as mistake:
            self._break(Malformed(str(mistake)))
            return
        except ProxyError as error:
            self._break(error)
            return
        if self.exchange is exchange:
            exchange.request.flush()

    def input_ended(self) -> None:
        """The server sends nothing more."""
        exchange = self.exchange
        decoder = self._decoder
        if exchange is None:
            self.pool.discard(self)
        elif isinstance(decoder, RawDecoder):
            if self.framing is TUNNEL:
                exchange.tunnel_answer_ended()
            else:
                # Close-delimited (RFC 9112 §6.3 rule 8): a clean end is its end.
                self.persistent = False
                self._complete(exchange, b"")
        else:
            self._break(ClosedEarly("the server closed before its answer was complete"))

    def stream_lost(self, error: Exception) -> None:
        """The connection is gone. A server that refuses an upload may have answered, closed, and so cut off the octets
        that were still coming (RFC 9112 §9.5): its answer is what the client is to see."""
        if self.exchange is not None and self.stream.unread:
            self.octets_received(self.stream.unread)
        if self.exchange is None:
            self.pool.discard(self)
        elif isinstance(error, BufferError):
            # Not the server's fault, and no reason to send the request to another one: there is no room there either.
            self._break(Overloaded(str(error)))
        else:
            self._break(ClosedEarly(f"the connection to the server was lost ({error})"))

    def output_blocked(self) -> None:
        """The server takes the request more slowly than it comes."""
        if self.exchange is not None:
            self.exchange.request.pause_body()

    def output_drained(self) -> None:
        """The server took everything."""
        if self.exchange is not None:
            if self._decoder is None:
                self.deadline = self.pool.now() + self.pool.answer_timeout
            self.exchange.request.resume_body()

    # The answer.

    def expect_answer(self, exchange: Exchange) -> None:
        """A request is about to be sent."""
        self.exchange = exchange
        pool = self.pool
        self.deadline = pool.now() + pool.answer_timeout

    def _read_head(self, exchange: Exchange, data: bytes) -> bytes | None:
        """Reads heads up to the final one; the octets behind it, or None while it is incomplete. Raises Malformed."""
        exchange.answered = True
        while True:
            head = self._parser.parse(data)
            if head is None:
                self._pending = data
                return None
            consumed = self._parser.consumed
            data = data[consumed:] if consumed < len(data) else b""
            status = head.status
            if status >= 200:
                break
            if status == 101:
                return self._switch(exchange, head, data)
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise Malformed("too many interim answers")
            exchange.interim_received(head)
            if self.exchange is not exchange:
                return None
            if not data:
                return None
        method = exchange.method
        framing = self._last_framing
        if head is not self._last_head or framing is None or method == b"HEAD":
            framing = response_framing(method, status, head.version, head.fields)
            self._last_persistent = framing.kind != "until close" and self._persists(head)
            if method != b"HEAD":
                self._last_head = head
                self._last_framing = framing
            else:
                self._last_head = None
            self.state.speaks_http10 = head.version < 11
        kind = framing.kind
        self.framing = framing
        self.persistent = self._last_persistent
        exchange.answer_started(head, framing)
        if self.exchange is not exchange:
            return None
        if kind == "none":
            return data
        if kind == "length":
            length = framing.length
            if len(data) == length:
                if data:
                    exchange.answer_received(data)
                return b""
            self._decoder = LengthDecoder(length)
            if not length:
                self._decoder = None
            return data
        self._decoder = decoder_for(framing, self.pool.response_head_size, self.pool.response_head_count)
        return data

    def _persists(self, head: ResponseHead) -> bool:
        """RFC 9112 §9.3."""
        connection = head.fields.get(b"connection")
        if connection is None:
            return head.version >= 11
        if connection == b"keep-alive":
            return True
        options = head.fields.members(b"connection")
        return b"close" not in options and (head.version >= 11 or b"keep-alive" in options)

    def _switch(self, exchange: Exchange, head: ResponseHead, data: bytes) -> bytes:
        """RFC 9110 §7.8: a server switches only to what the request asked for."""
        protocols = head.fields.members(b"upgrade")
        if not exchange.upgrade or protocols != [exchange.upgrade]:
            raise Malformed("101 for a protocol that was not asked for")
        self.framing = TUNNEL
        self._decoder = RawDecoder()
        self.persistent = False
        self.deadline = self.pool.now() + self.pool.tunnel_timeout
        exchange.tunnel_opened(head)
        return data

    def _complete(self, exchange: Exchange, rest: bytes) -> None:
        decoder = self._decoder
        trailers = decoder.trailers if decoder is not None else NO_FIELDS
        stream = self.stream
        reusable = self.persistent and not rest and exchange.body_sent and not stream.input_at_end and not stream.queued
        self.exchange = None
        self._decoder = None
        self._interim = 0
        if reusable:
            if not stream.is_reading:
                stream.resume_reading()
            self.pool.release(self)
        else:
            self.pool.discard(self, abort=not exchange.body_sent or stream.queued > 0)
        exchange.answer_ended(trailers, self._last_head)

    def _break(self, error: ProxyError) -> None:
        exchange = self.exchange
        self.exchange = None
        self.pool.discard(self, abort=True)
        if exchange is not None:
            exchange.connection_broke(self, error)

    # The rest.

    def pause(self) -> None:
        """The client is slower than the server: its deadline stands still meanwhile."""
        self.deadline = _NEVER
        self.stream.pause_reading()

    def resume(self) -> None:
        """The client took everything."""
        pool = self.pool
        self.deadline = pool.now() + (pool.tunnel_timeout if self.framing is TUNNEL else pool.idle_timeout)
        self.stream.resume_reading()

    def touch_tunnel(self) -> None:
        """Octets passed through the tunnel, from the client's side."""
        self.deadline = self.pool.now() + self.pool.tunnel_timeout

    def sweep(self, now: float) -> None:
        """Keeps the deadline of whatever is going on."""
        queued = self.stream.queued
        if queued != self._seen_queue:
            self._seen_queue = queued
            if queued and self.exchange is not None and self._decoder is None:
                # The server takes the request, if slowly: it is not silent.
                self.deadline = now + self.pool.answer_timeout
        if self.framing is TUNNEL and self.stream.input_at_end and self.stream.is_peer_gone(half_close_counts=False):
            # A server that ended its octets is not read from, so nobody else would tell that it is gone.
            self._break(ClosedEarly("the server cut its half-closed tunnel"))
            return
        if now < self.deadline:
            return
        if self.exchange is None:
            self.pool.discard(self)
        elif self.framing is TUNNEL and self._decoder is not None:
            self.exchange.tunnel_idle()
        elif self._decoder is not None:
            self._break(ClosedEarly("the server was silent for too long in the middle of its answer"))
        elif self.exchange.awaits_client and not self.stream.queued:
            # The client's own deadlines say how long its body may take.
            self.deadline = now + self.pool.answer_timeout
        else:
            self._break(AnswerTimeout("the server did not answer in time"))
