"""One HTTP/1.1 connection of a client.

Theory of operation. Octets come in (``octets_received``) and belong to one of four things: a head that is not complete,
the body of the request in flight (``body.py``), the next request while an answer is in flight (they wait, unparsed, up
to 64 KiB, then reading pauses), or nothing any more (lingering, ``connection.py``). A request is given to the tree as
soon as its head is complete; its body is decoded here and handed to whoever reads it. Answers leave in the order of the
requests because the next head is parsed only after the answer before it is out of our hands.

How a request ends. ``answered`` goes on to the next request or closes; ``cut`` ends what must not look complete. A
client's FIN ends its requests, not the answer in flight; a reset, a failed write, or ``half_close_grace`` seconds
without an octet of an answer mean that it is gone. Deadlines are compared once a second in ``sweep``.
"""

from __future__ import annotations

from twisted.logger import Logger

from revproxy.config.model import Limits
from revproxy.downstream.body import UNPARSED, RequestBody
from revproxy.downstream.connection import MOMENT, ClientConnection
from revproxy.downstream.frontend import Frontend
from revproxy.downstream.pace import AnswerPace
from revproxy.downstream.repeats import Repeats, learned
from revproxy.downstream.request import StreamingRequest, unread_request
from revproxy.errors import (
    BadRequest,
    ClientGone,
    ClientTooSlow,
    Overloaded,
    ProxyError,
    RequestTimeout,
    ShuttingDown,
)
from revproxy.http.facts import request_facts
from revproxy.http.fields import NO_FIELDS
from revproxy.http.forward import Client, is_within
from revproxy.http.framing import RawDecoder, decoder_for
from revproxy.http.parse import RequestHead, RequestParser
from revproxy.http.proxy_protocol import ProxyProtocolError, parse_proxy_header
from revproxy.http.target import parse_target
from revproxy.wire.connect import Stream

_log = Logger()


class Channel(ClientConnection):
    """The protocol of one accepted connection."""

    __slots__ = (
        "_awaits_proxy_header",
        "_in_head",
        "_looping",
        "_pace",
        "_repeats",
        "body",
        "is_drained",
        "parser",
        "request",
        "served",
    )

    def __init__(
        self, frontend: Frontend, stream: Stream, client: Client, *, awaits_proxy_header: bool = False
    ) -> None:
        super().__init__(frontend, stream, client, counted=not client.trusted and not awaits_proxy_header)
        # Per connection.
        limits = frontend.limits
        self.parser = RequestParser(limits.head_size, limits.head_count, limits.target_length)
        self._awaits_proxy_header = awaits_proxy_header
        self.served = 0
        self._in_head = False
        self._looping = False
        self._repeats: Repeats | None = None
        # Per request.
        self.request: StreamingRequest | None = None
        """The one in flight."""
        self.body: RequestBody | None = None
        """What is still to come of its body."""
        self.is_drained = True
        """Whether the kernel took everything that was written."""
        self._pace = AnswerPace()

    def frontend_changed(self, old: Limits, *, is_trust_other: bool) -> None:
        """See ``Connected``. All that is remembered for the next request belongs to what was in force until now."""
        super().frontend_changed(old, is_trust_other=is_trust_other)
        limits = self.frontend.limits
        self.parser.adopt(limits.head_size, limits.head_count, limits.target_length)
        self._repeats = None

    def begin(self) -> None:
        """Starts to serve, if there is room for one more connection."""
        self.stream.user = self
        if self.enter():
            self.stream.resume_reading()

    # What the stream tells.

    def octets_received(self, data: bytes) -> None:
        """Octets came from the client."""
        if self.body is not None:
            self.body.octets_received(data)
        elif self.request is not None:
            self.keep(data)
        elif self.lingering:
            self.drop(data)
        elif self.pending:
            data = self.pending + data
            self.set_pending(b"")
            self._read_heads(data)
        elif self._repeats is None or not self._repeats.answer(self, data):
            self._read_heads(data)

    def input_ended(self) -> None:
        """The client sends nothing more."""
        self.half_closed = True
        request = self.request
        if request is None:
            self.close()
        elif self.body is not None and request.sink is not None:
            self.body.input_ended()
        elif not request.tunnel:
            # Perhaps its body is incomplete: that shows when somebody reads it.
            self._pace.moved(self._given(request), self.frontend.now())

    def stream_lost(self, error: Exception) -> None:
        """The connection is gone."""
        request = self.request
        self.forget()
        if request is not None:
            full = isinstance(error, BufferError)
            self._end_early(request, Overloaded(str(error)) if full else ClientGone(str(error)))

    def output_blocked(self) -> None:
        """The client takes its answer more slowly than it is made."""
        self.is_drained = False
        self._pace.blocked(self.stream.queued, self.frontend.now())
        request = self.request
        if request is not None and request.source is not None and not request.finished:
            request.source.pause()

    def output_drained(self) -> None:
        """The client took everything."""
        self.is_drained = True
        request = self.request
        if request is None:
            if self.is_closing:
                self.close()
            return
        if request.finished and not request.tunnel:
            self.complete(request)
        elif request.source is not None:
            self._pace.moved(self._given(request), self.frontend.now())
            request.source.resume()

    # Heads.

    def _read_heads(self, data: bytes) -> None:
        if self._awaits_proxy_header:
            rest = self._read_proxy_header(data)
            if rest is None:
                return
            data = rest
        parser = self.parser
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
            if self.request is not None or self.lingering or self.stream.closed:
                self._looping = False
                return
            # The answer is out already, and with it everything that belonged to this request.
            data = self.pending
            if data:
                self.set_pending(b"")
        self._looping = False
        self._await_next()

    def _await_rest(self, data: bytes) -> None:
        if self.half_closed:
            self.close()
            return
        if not self._in_head:
            self._in_head = True
            if self.served:
                self.deadline = self.frontend.now() + self.frontend.limits.head_timeout
        if not self.set_pending(data):
            self._refuse(Overloaded("no room for a head's octets"))
            return
        if not self.stream.is_reading:
            self.stream.resume_reading()

    def _await_next(self) -> None:
        frontend = self.frontend
        if self.half_closed:
            self.close()
            return
        # While it drains this is one whose last answer did not say yet that it was to be the last.
        self.deadline = frontend.now() + (MOMENT if frontend.draining else frontend.limits.idle_timeout)
        if not self.stream.is_reading:
            self.stream.resume_reading()

    def _begin_request(self, head: RequestHead, rest: bytes) -> None:
        frontend = self.frontend
        self.served += 1
        self._in_head = False
        try:
            facts = request_facts(head)
        except ProxyError as error:
            self.set_pending(rest)
            self._refuse(error, head)
            return
        request = StreamingRequest(self, head, facts)
        self.request = request
        if self.half_closed:
            self._pace.moved(0, frontend.now())
        framing = facts.framing
        if framing.kind != "none":
            limits = frontend.limits
            decoder = decoder_for(framing, limits.head_size, limits.head_count)
            if decoder.done:
                request.is_body_complete = True
            else:
                self.body = RequestBody(self, request, decoder)
        if rest:
            self.keep(rest)
            if request.over:
                return
        try:
            method = head.method
            if head.target[:1] != b"/" or method == b"TRACE" or method == b"CONNECT":
                secured = self.client.scheme == b"https" or self.client.trusted
                request.aim(parse_target(method, head.target, secured=secured))
            if self.client.trusted:
                request.count_original()
            budget = frontend.budget
            if budget.held >= budget.limit:
                raise Overloaded("the process holds too many octets")
            frontend.dispatch(request)
        except ProxyError as error:
            request.fail(error)
        except Exception as mistake:  # noqa: BLE001  # somebody's resource is broken: that costs this request alone
            _log.failure("{id}: a resource failed", id=request.request_id.decode("ascii", "replace"))
            request.fail(ProxyError(f"a resource failed: {mistake!r}"))

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
            port = parsed.port or self.client.port
            if not self.enter_as(Client(peer, trusted=trusted, scheme=self.client.scheme, port=port)):
                self._refuse(Overloaded("too many connections from this address"))
                return None
        return data[parsed.consumed :]

    # Bodies.

    def body_wanted(self, request: StreamingRequest) -> None:
        """The request's body has found a reader."""
        if request is not self.request or request.sink is None:
            return
        if self.body is not None:
            self.body.reader_found()
        elif not request.tunnel:
            request.sink.body_ended(NO_FIELDS)

    def pause_body(self, request: StreamingRequest) -> None:
        """The body's reader has enough for now."""
        if request is self.request and self.body is not None:
            self.body.pause()

    def resume_body(self, request: StreamingRequest) -> None:
        """The body's reader can take more."""
        if request is self.request and self.body is not None:
            self.body.resume()

    def keep(self, data: bytes) -> None:
        """Octets came before somebody can do anything with them."""
        if not self.set_pending(self.pending + data if self.pending else data):
            request = self.request
            if request is not None:
                self.abandon(request, Overloaded("the process holds too many octets"))
            return
        if len(self.pending) >= UNPARSED:
            self.stream.pause_reading()

    def open_tunnel(self, request: StreamingRequest) -> None:
        """The answer was 101: from here on octets have no meaning to us."""
        self.body = RequestBody(self, request, RawDecoder())

    def tunnel_ended(self, request: StreamingRequest) -> None:
        """The other side of a tunnel ended its octets."""
        if self.body is None:
            self.complete(request)
        else:
            self.stream.end_output()

    # Ends.

    def may_persist(self) -> bool:
        """Whether the connection may serve another request after this one."""
        return (
            not self.frontend.draining
            and self.served < self.frontend.limits.requests_per_connection
            and (not self.half_closed or bool(self.pending))
        )

    def interim_given(self, request: StreamingRequest) -> None:
        """The server works on the answer, and says so."""
        if self.half_closed:
            self._pace.moved(self._given(request), self.frontend.now())

    @staticmethod
    def _given(request: StreamingRequest) -> int:
        """A number that grows with each octet of the answer, its head included."""
        return request.transaction.sent + request.started

    def answered(self, request: StreamingRequest) -> None:
        """The whole answer was given; it is over when the client has taken it."""
        if request is not self.request:
            return
        if self.is_drained and not self.stream.closed:
            self.complete(request)

    def answered_from_store(self, request: StreamingRequest) -> None:
        """A request that wanted nothing in particular was answered from a store, and the connection goes on."""
        self._repeats = learned(self, request, self._repeats)

    def complete(self, request: StreamingRequest) -> None:
        self._record(request)
        self.request = None
        sink, unread = request.sink, self.body is not None
        # The exchange refers to the request as well: without this, every request would wait for the collector.
        request.source = request.sink = None
        self.body = None
        if unread and sink is not None:
            # The answer came before the request was complete: nobody will read the rest.
            sink.body_failed(ClientGone("answered before the body was complete"))
        if request.tunnel:
            self.close()
            return
        if request.closing or unread:
            # A client that did not ask for the end may have sent more already.
            self.linger(unread or not request.is_body_complete or bool(self.pending) or request.facts.persistent)
            return
        if self._looping:
            return
        if self.pending:
            data = self.pending
            self.set_pending(b"")
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
        self.body = None
        # A length or chunks show by themselves that something is missing, so that what is on its way may still arrive;
        # a body that ends with the connection needs the reset.
        if request.is_self_delimited and not self.stream.closed:
            self.linger(True)
        else:
            self.stream.abort()
            self.forget()

    def abandon(self, request: StreamingRequest, error: ProxyError) -> None:
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

    def forget(self) -> None:
        """The connection is over."""
        super().forget()
        self.request = None
        self.body = None
        self._repeats = None

    # Time.

    def sweep(self, now: float) -> None:
        """Compares every deadline with ``now``."""
        stream = self.stream
        if stream.closed:
            self.forget()
            return
        request = self.request
        if request is None:
            if self.lingering:
                self.sweep_lingering(now)
            elif now >= self.deadline:
                if self.pending:
                    self._refuse(RequestTimeout("the head did not come in time"))
                elif not (stream.is_reading and stream.has_input()):
                    self.close()
            return
        limits = self.frontend.limits
        if stream.queued and self._pace.is_stuck(stream.queued, now, limits.send_timeout):
            self._lose(request, ClientTooSlow("it took nothing of its answer for too long"))
            return
        mistake = self.body.delay(now, limits) if self.body is not None else ""
        if mistake:
            self.abandon(request, RequestTimeout(mistake))
            return
        if self.half_closed and not request.tunnel:
            # While octets wait for it, send_timeout says how long it may take.
            if self._pace.is_silent(self._given(request), stream.queued, now, limits.half_close_grace):
                self._lose(request, ClientGone("it closed its sending side and no answer came in time"))
                return
            self._check_peer(request)
        elif not stream.is_reading:
            self._check_peer(request)

    def _check_peer(self, request: StreamingRequest) -> None:
        if self.stream.is_peer_gone(half_close_counts=False):
            self._lose(request, ClientGone("it cut the connection"))

    def _lose(self, request: StreamingRequest, error: ProxyError) -> None:
        self.stream.abort()
        self.forget()
        self._end_early(request, error)

    def drain(self) -> None:
        """The proxy is stopping: a connection that waits for a request is closed (``await_last``), others after their
        answer."""
        if self.request is None and not self.lingering and not self.pending:
            self.await_last(was_used=self.served > 0)
            self.sweep(self.frontend.now())

    def stop(self) -> None:
        """The time to drain is over."""
        request = self.request
        if request is not None:
            self._lose(request, ShuttingDown("the time to drain was over"))
        else:
            self.stream.abort()
            self.forget()
