"""One HTTP/1.1 connection of a client.

Theory of operation. Octets come in (``octets_received``) and belong to one of four things: a head that is not complete,
the body of the request in flight, the next request while an answer is in flight (they wait, unparsed, up to 64 KiB,
then reading pauses), or nothing any more (lingering). A request is given to the tree as soon as its head is complete;
its body is decoded here and handed to whoever reads it. Answers leave in the order of the requests because the next
head is parsed only after the answer before it is out of our hands.

How it ends. ``answered`` goes on to the next request or closes; ``cut`` ends what must not look complete. Before we
close a connection on which the client may still be sending, we end our side and read on for a moment (``linger``), or
the reset that unread octets cause would destroy the answer on its way (RFC 9112 §9.6). A client's FIN ends its
requests, not the answer in flight; a reset, a failed write, or ``half_close_grace`` seconds without an octet of an
answer mean that it is gone.

Deadlines are compared once a second in ``sweep``.
"""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from revproxy.downstream.frontend import Frontend
from revproxy.downstream.request import StreamingRequest, unread_request
from revproxy.errors import (
    BadRequest,
    ClientGone,
    ClientTooSlow,
    ContentTooLarge,
    Overloaded,
    ProxyError,
    RequestTimeout,
    ShuttingDown,
)
from revproxy.http.facts import request_facts
from revproxy.http.fields import NO_FIELDS
from revproxy.http.forward import Client, is_within
from revproxy.http.framing import Decoder, FramingError, RawDecoder, decoder_for
from revproxy.http.parse import RequestHead, RequestParser
from revproxy.http.proxy_protocol import ProxyProtocolError, parse_proxy_header
from revproxy.http.target import parse_target
from revproxy.wire.connect import Stream

_log = Logger()

UNPARSED: Final = 64 * 1024
"""Octets that may wait for their turn before reading pauses."""
LINGER_TIME: Final = 5.0
LINGER_OCTETS: Final = 4 * 1024 * 1024
RATE_GRACE: Final = 10.0
TURNED_AWAY: Final = 256
"""Connections over the limit that may linger at once."""


class Channel:
    """The protocol of one accepted connection."""

    __slots__ = (
        "__weakref__",
        "_admitted",
        "_awaits_proxy_header",
        "_body_began",
        "_body_paused",
        "_body_paused_at",
        "_body_paused_for",
        "_body_progress",
        "_counted",
        "_deadline",
        "_decoder",
        "_drained",
        "_half_closed",
        "_held_octets",
        "_in_head",
        "_last_output",
        "_lingered",
        "_lingering",
        "_looping",
        "_parser",
        "_pending",
        "_seen_queue",
        "_seen_received",
        "_seen_sent",
        "_served",
        "_stalled_since",
        "client",
        "frontend",
        "request",
        "stream",
    )

    def __init__(
        self, frontend: Frontend, stream: Stream, client: Client, *, awaits_proxy_header: bool = False
    ) -> None:
        # Per connection.
        self.frontend = frontend
        self.stream = stream
        self.client = client
        limits = frontend.limits
        self._parser = RequestParser(limits.head_size, limits.head_count, limits.target_length)
        self._counted = not client.trusted and not awaits_proxy_header
        self._admitted = False
        self._awaits_proxy_header = awaits_proxy_header
        self._served = 0
        self._pending = b""
        self._held_octets = 0
        self._deadline = frontend.now() + limits.head_timeout
        self._in_head = False
        self._half_closed = False
        self._lingering = False
        self._lingered = 0
        self._looping = False
        # Per request.
        self.request: StreamingRequest | None = None
        self._decoder: Decoder | None = None
        self._body_began = 0.0
        self._body_paused = False
        self._body_paused_at = 0.0
        self._body_paused_for = 0.0
        self._body_progress = 0.0
        self._seen_received = 0
        self._seen_sent = 0
        self._drained = True
        self._last_output = 0.0
        self._seen_queue = 0
        self._stalled_since = 0.0

    def begin(self) -> None:
        """Starts to serve, if there is room for one more connection."""
        frontend = self.frontend
        self.stream.user = self
        if not frontend.admission.enter(self.client.peer, counted=self._counted):
            self._turn_away()
            return
        self._admitted = True
        frontend.channels.add(self)
        frontend.sweep.add(self)
        self.stream.resume_reading()

    def _turn_away(self) -> None:
        """RFC 9110 §15.6.4, as cheaply as it can be said. A few such connections linger, so that the answer arrives
        though the client's request was never read; in a flood they are just closed."""
        self.stream.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
            b"Connection: close\r\nCache-Control: no-store\r\n%b\r\n" % self.frontend.dates.line()
        )
        frontend = self.frontend
        if frontend.admission.turning_away < TURNED_AWAY:
            frontend.admission.turning_away += 1
            frontend.channels.add(self)
            frontend.sweep.add(self)
            self._linger(True)
        else:
            self.stream.close()

    # What the stream tells.

    def octets_received(self, data: bytes) -> None:
        """Octets came from the client."""
        if self._decoder is not None:
            request = self.request
            if request is not None and request.sink is not None:
                self._feed_body(request, data)
            else:
                self._keep(data)
        elif self.request is not None:
            self._keep(data)
        elif self._lingering:
            self._lingered += len(data)
            if self._lingered > LINGER_OCTETS:
                self._close()
        else:
            if self._pending:
                data = self._pending + data
                self._set_pending(b"")
            self._read_heads(data)

    def input_ended(self) -> None:
        """The client sends nothing more."""
        self._half_closed = True
        request = self.request
        if request is None:
            self._close()
        elif request.tunnel:
            self._end_tunnel_input(request)
        elif self._decoder is not None and request.sink is not None:
            self._abandon(request, BadRequest("the client closed in the middle of its request's body"))
        else:
            # Perhaps its body is incomplete: that shows when somebody reads it.
            self._last_output = self.frontend.now()

    def stream_lost(self, error: Exception) -> None:
        """The connection is gone."""
        request = self.request
        self._forget()
        if request is not None:
            reason = ClientTooSlow(str(error)) if isinstance(error, BufferError) else ClientGone(str(error))
            self._end_early(request, reason)

    def output_blocked(self) -> None:
        """The client takes its answer more slowly than it is made."""
        self._drained = False
        self._seen_queue = self.stream.queued
        self._stalled_since = self.frontend.now()
        request = self.request
        if request is not None and request.source is not None and not request.finished:
            request.source.pause()

    def output_drained(self) -> None:
        """The client took everything."""
        self._drained = True
        request = self.request
        if request is None:
            return
        if request.finished and not request.tunnel:
            self._complete(request)
        elif request.source is not None:
            self._last_output = self.frontend.now()
            request.source.resume()

    # Heads.

    def _read_heads(self, data: bytes) -> None:
        if self._awaits_proxy_header:
            rest = self._read_proxy_header(data)
            if rest is None:
                return
            data = rest
        parser = self._parser
        self._looping = True
        while data:
            try:
                head = parser.parse(data)
            except ProxyError as error:
                self._looping = False
                self._refuse(error)
                return
            if head is None:
                self._looping = False
                self._await_rest(data)
                return
            consumed = parser.consumed
            data = data[consumed:] if consumed < len(data) else b""
            self._begin_request(head, data)
            if self.request is not None or self._lingering or self.stream.closed:
                self._looping = False
                return
            # The answer is out already, and with it everything that belonged to this request.
            if self._pending:
                data = self._pending
                self._set_pending(b"")
            else:
                data = b""
        self._looping = False
        self._await_next()

    def _await_rest(self, data: bytes) -> None:
        if self._half_closed or self.frontend.draining:
            self._close()
            return
        if not self._in_head:
            self._in_head = True
            if self._served:
                self._deadline = self.frontend.now() + self.frontend.limits.head_timeout
        if not self._set_pending(data):
            self._refuse(Overloaded("no room for a head's octets"))
            return
        if not self.stream.is_reading:
            self.stream.resume_reading()

    def _await_next(self) -> None:
        frontend = self.frontend
        if self._half_closed or frontend.draining:
            self._close()
            return
        self._deadline = frontend.now() + frontend.limits.idle_timeout
        if not self.stream.is_reading:
            self.stream.resume_reading()

    def _begin_request(self, head: RequestHead, rest: bytes) -> None:
        frontend = self.frontend
        self._served += 1
        self._in_head = False
        self._seen_sent = self._seen_received = 0
        try:
            facts = request_facts(head)
        except ProxyError as error:
            self._set_pending(rest)
            self._refuse(error, head)
            return
        request = StreamingRequest(self, head, facts)
        self.request = request
        framing = facts.framing
        if framing.kind != "none":
            limits = frontend.limits
            decoder = decoder_for(framing, limits.head_size, limits.head_count)
            if decoder.done:
                request.is_body_complete = True
            else:
                self._decoder = decoder
                self._body_began = self._body_progress = frontend.now()
                self._body_paused_for = 0.0
                self._body_paused = False
        if rest:
            self._keep(rest)
            if request.over:
                return
        try:
            method = head.method
            if head.target[:1] != b"/" or method == b"TRACE" or method == b"CONNECT":
                request.aim(parse_target(method, head.target))
            if self.client.trusted:
                self._count_original(request)
            budget = frontend.budget
            if budget.held >= budget.limit:
                raise Overloaded("the process holds too many octets")
            frontend.dispatch(request)
        except ProxyError as error:
            request.fail(error)
        except Exception as mistake:  # noqa: BLE001  # somebody's resource is broken: that costs this request alone
            _log.failure("{id}: a resource failed", id=request.request_id.decode("ascii", "replace"))
            request.fail(ProxyError(f"a resource failed: {mistake!r}"))

    def _count_original(self, request: StreamingRequest) -> None:
        """Behind a trusted proxy, connections say nothing of who is at their other end: its requests are counted."""
        address = request.transaction.client
        if address != self.client.peer:
            if not self.frontend.admission.enter_address(address):
                raise Overloaded("too many requests of this address at once")
            request.counted = True

    def _refuse(self, error: ProxyError, head: RequestHead | None = None) -> None:
        """Answers a head that is not one, and ends the connection: what follows can't be told apart any more."""
        request = unread_request(self)
        if head is not None:
            request.method = head.method
            request.transaction.method = head.method
            request.transaction.target = head.target
            request.transaction.version = head.version
        self.request = request
        request.fail(error)

    def _read_proxy_header(self, data: bytes) -> bytes | None:
        try:
            parsed = parse_proxy_header(data)
        except ProxyProtocolError as mistake:
            self._awaits_proxy_header = False
            self._refuse(BadRequest(f"PROXY protocol: {mistake}"))
            return None
        if parsed is None:
            self._await_rest(data)
            return None
        self._awaits_proxy_header = False
        if parsed.source is not None:
            peer = parsed.source
            trusted = is_within(peer, self.frontend.trusted)
            counted = not trusted
            admission = self.frontend.admission
            admission.leave(self.client.peer, counted=self._counted)
            self._counted = counted
            self.client = Client(peer, trusted=trusted, scheme=self.client.scheme, port=parsed.port or self.client.port)
            self._admitted = admission.enter(peer, counted=counted)
            if not self._admitted:
                admission.turning_away += 1
                self._refuse(Overloaded("too many connections from this address"))
                return None
        return data[parsed.consumed :]

    # Bodies.

    def body_wanted(self, request: StreamingRequest) -> None:
        """The request's body has found a reader."""
        if request is not self.request or request.sink is None:
            return
        if self._decoder is None:
            if not request.tunnel:
                request.sink.body_ended(NO_FIELDS)
            return
        if self._pending:
            data = self._pending
            self._set_pending(b"")
            self._feed_body(request, data)
        if self._decoder is None or request.over:
            return
        if self._half_closed:
            if request.tunnel:
                self._end_tunnel_input(request)
            else:
                self._abandon(request, BadRequest("the client closed in the middle of its request's body"))
            return
        self._body_began = self._body_progress = self.frontend.now()
        if self._decoder is not None and not self._body_paused and not self.stream.is_reading:
            self.stream.resume_reading()

    def _feed_body(self, request: StreamingRequest, data: bytes) -> None:
        decoder = self._decoder
        sink = request.sink
        if decoder is None or sink is None:
            self._keep(data)
            return
        try:
            body, rest = decoder.feed(data)
        except FramingError as mistake:
            self._abandon(request, BadRequest(str(mistake)))
            return
        if body:
            transaction = request.transaction
            transaction.received += len(body)
            if request.tunnel:
                sink.body_received(body)
                return
            if transaction.received > request.body_limit:
                self._abandon(request, ContentTooLarge(f"more than {request.body_limit} octets"))
                return
        if decoder.done:
            self._decoder = None
            request.is_body_complete = True
            if rest:
                self._keep(rest)
            if self._body_paused:
                self._body_paused = False
                if not self.stream.is_reading and len(self._pending) < UNPARSED:
                    self.stream.resume_reading()
            if body:
                sink.body_received(body)
            sink.body_ended(decoder.trailers)
        elif body:
            sink.body_received(body)

    def pause_body(self, request: StreamingRequest) -> None:
        """The body's reader has enough for now."""
        if request is self.request and self._decoder is not None and not self._body_paused:
            self._body_paused = True
            self._body_paused_at = self.frontend.now()
            self.stream.pause_reading()

    def resume_body(self, request: StreamingRequest) -> None:
        """The body's reader can take more."""
        if request is self.request and self._body_paused:
            self._body_paused = False
            now = self.frontend.now()
            self._body_paused_for += now - self._body_paused_at
            self._body_progress = now
            self.stream.resume_reading()

    def open_tunnel(self, request: StreamingRequest) -> None:
        """The answer was 101: from here on octets have no meaning to us."""
        self._decoder = RawDecoder()
        self._last_output = self.frontend.now()

    def _end_tunnel_input(self, request: StreamingRequest) -> None:
        if request.sink is None:
            return
        self._decoder = None
        request.is_body_complete = True
        request.sink.body_ended(NO_FIELDS)
        if request.finished:
            self._complete(request)

    def tunnel_ended(self, request: StreamingRequest) -> None:
        """The other side of a tunnel ended its octets."""
        if self._decoder is None:
            self._complete(request)
        else:
            self.stream.end_output()

    # Ends.

    def may_persist(self) -> bool:
        """Whether the connection may serve another request after this one."""
        return (
            not self.frontend.draining
            and self._served < self.frontend.limits.requests_per_connection
            and (not self._half_closed or bool(self._pending))
        )

    def answered(self, request: StreamingRequest) -> None:
        """The whole answer was given; it is over when the client has taken it."""
        if request is not self.request:
            return
        if self._drained and not self.stream.closed:
            self._complete(request)

    def _complete(self, request: StreamingRequest) -> None:
        self._record(request)
        self.request = None
        sink, unread = request.sink, self._decoder is not None
        # The exchange refers to the request as well: without this, every request would wait for the collector.
        request.source = request.sink = None
        self._decoder = None
        if unread and sink is not None:
            # The answer came before the request was complete: nobody will read the rest.
            sink.body_failed(ClientGone("answered before the body was complete"))
        if request.tunnel:
            self._close()
            return
        if request.closing or unread:
            # A client that did not ask for the end may have sent more already.
            self._linger(unread or not request.is_body_complete or bool(self._pending) or request.facts.persistent)
            return
        if self._looping:
            return
        if self._pending:
            data = self._pending
            self._set_pending(b"")
            if not self.stream.is_reading:
                self.stream.resume_reading()
            self._read_heads(data)
        else:
            self._await_next()

    def cut(self, request: StreamingRequest) -> None:
        """What was sent of the answer must not look complete: the connection is reset."""
        if request is not self.request:
            return
        self._record(request)
        self.request = None
        self._decoder = None
        # A length or chunks show by themselves that something is missing, so that what is on its way may still arrive;
        # a body that ends with the connection needs the reset.
        if request.is_self_delimited and not self.stream.closed:
            self._linger(True)
        else:
            self.stream.abort()
            self._forget()

    def _abandon(self, request: StreamingRequest, error: ProxyError) -> None:
        """The request itself turned out to be bad while it was being served."""
        if request.sink is not None:
            request.sink.body_failed(error)
        if request.source is not None and not request.finished:
            request.source.cancel(error)
        request.fail(error)

    def _end_early(self, request: StreamingRequest, error: ProxyError) -> None:
        """The client is gone."""
        transaction = request.transaction
        if not request.finished or request.tunnel:
            if not transaction.reason and not request.tunnel:
                transaction.reason, transaction.detail = error.reason, error.detail
            transaction.status = transaction.status or error.status
        elif not transaction.reason:
            transaction.reason, transaction.detail = error.reason, error.detail
        self._record(request)
        if request.sink is not None:
            request.sink.body_failed(error)
        if request.source is not None:
            request.source.cancel(error)

    def _record(self, request: StreamingRequest) -> None:
        request.over = True
        transaction = request.transaction
        if request.counted:
            request.counted = False
            self.frontend.admission.leave_address(transaction.client)
        transaction.total_time = self.frontend.now() - transaction.begun
        self.frontend.record(transaction)

    def _linger(self, needed: bool) -> None:
        """Closes; where the client may still be sending, only after it had time to take the answer (RFC 9112 §9.6)."""
        if self.stream.closed:
            self._forget()
            return
        self._set_pending(b"")
        if self._half_closed or not needed:
            self._close()
            return
        self._lingering = True
        self._deadline = self.frontend.now() + LINGER_TIME
        self.stream.end_output()
        self.stream.resume_reading()

    def _close(self) -> None:
        self.stream.close()
        if self.stream.closed:
            self._forget()
        else:
            # Something is still to be sent: the sweep watches over it.
            self._lingering = True
            self._deadline = self.frontend.now() + self.frontend.limits.send_timeout

    def _forget(self) -> None:
        frontend = self.frontend
        if self in frontend.channels:
            frontend.channels.discard(self)
            frontend.sweep.discard(self)
            if self._admitted:
                frontend.admission.leave(self.client.peer, counted=self._counted)
            else:
                frontend.admission.turning_away -= 1
        self._set_pending(b"")
        self.request = None
        self._decoder = None

    # Octets that wait.

    def _keep(self, data: bytes) -> None:
        if not self._set_pending(self._pending + data if self._pending else data):
            request = self.request
            if request is not None:
                self._abandon(request, Overloaded("the process holds too many octets"))
            return
        if len(self._pending) >= UNPARSED:
            self.stream.pause_reading()

    def _set_pending(self, data: bytes) -> bool:
        """Keeps octets for later, instead of those kept before; False when the process has no room for them."""
        change = len(data) - self._held_octets
        if change > 0:
            if not self.frontend.budget.take(change):
                return False
        elif change:
            self.frontend.budget.give(-change)
        self._held_octets = len(data)
        self._pending = data
        return True

    # Time.

    def sweep(self, now: float) -> None:
        """Compares every deadline with ``now``."""
        stream = self.stream
        if stream.closed:
            self._forget()
            return
        request = self.request
        if request is None:
            if self._lingering:
                if now >= self._deadline or (stream.input_at_end and not stream.queued):
                    stream.abort() if stream.queued else stream.close()
                    self._forget()
            elif now >= self._deadline:
                if self._pending:
                    self._refuse(RequestTimeout("the head did not come in time"))
                else:
                    self._close()
            return
        if stream.queued:
            if stream.queued != self._seen_queue:
                self._seen_queue = stream.queued
                self._stalled_since = now
            elif now - self._stalled_since >= self.frontend.limits.send_timeout:
                self._lose(request, ClientTooSlow("it took nothing of its answer for too long"))
                return
        if self._decoder is not None and not request.tunnel and not self._body_paused and request.sink is not None:
            mistake = self._body_delay(request, now)
            if mistake:
                self._abandon(request, RequestTimeout(mistake))
                return
        if self._half_closed and not request.tunnel:
            if request.transaction.sent != self._seen_sent or stream.queued:
                # While octets wait for it, send_timeout says how long it may take.
                self._seen_sent = request.transaction.sent
                self._last_output = now
            if now - self._last_output >= self.frontend.limits.half_close_grace:
                self._lose(request, ClientGone("it closed its sending side and no answer came in time"))
                return
            self._check_peer(request)
        elif not stream.is_reading:
            self._check_peer(request)

    def _body_delay(self, request: StreamingRequest, now: float) -> str:
        """What is wrong with the pace of a body that is being read; empty for nothing."""
        limits = self.frontend.limits
        received = request.transaction.received
        if received != self._seen_received:
            self._seen_received = received
            self._body_progress = now
        elif not request.invited:
            # It waits for 100 (Continue), and whoever is to say so has a deadline of its own.
            self._body_began = self._body_progress = now
        elif now - self._body_progress >= limits.body_timeout:
            return "no octet of the body came for too long"
        spent = now - self._body_began - self._body_paused_for - RATE_GRACE
        if spent > 0 and received < spent * limits.body_rate:
            return "the body comes too slowly"
        return ""

    def _check_peer(self, request: StreamingRequest) -> None:
        if self.stream.is_peer_gone(half_close_counts=False):
            self._lose(request, ClientGone("it cut the connection"))

    def _lose(self, request: StreamingRequest, error: ProxyError) -> None:
        self.stream.abort()
        self._forget()
        self._end_early(request, error)

    def drain(self) -> None:
        """The proxy is stopping: a connection that waits for a request is closed now, others after their answer."""
        if self.request is None and not self._lingering:
            self._close()

    def stop(self) -> None:
        """The time to drain is over."""
        request = self.request
        if request is not None:
            self._lose(request, ShuttingDown("the time to drain was over"))
        else:
            self.stream.abort()
            self._forget()
