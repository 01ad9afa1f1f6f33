"""One request on its way to a server and its answer on the way back.

When may a request be sent twice? If nothing of it was sent: always (a failed connect; a write that the kernel refused
whole). If it was put on a kept-alive connection that turned out to be dead, and not one octet of an answer came, and
the method is idempotent (RFC 9110 §9.2.2), and its body is none or still kept: once, on a fresh connection
(RFC 9112 §9.3.1). If a new connection was lost like that (a server that dies leaves some in its kernel's queue), the
same holds, once, for another server; a server that is the only one is not asked twice. Never otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from revproxy.errors import (
    ClientGone,
    ConnectFailed,
    LengthRequired,
    NoServer,
    ProxyError,
)
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import FieldChanges, OutgoingHead, ResponseForwarding
from revproxy.http.framing import TUNNEL, Framing, last_chunk
from revproxy.http.parse import ResponseHead
from revproxy.interfaces import Request

if TYPE_CHECKING:
    from revproxy.upstream.connection import UpstreamConnection
    from revproxy.upstream.peer import PeerState
    from revproxy.upstream.pool import Opening, Pool

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
"""RFC 9110 §9.2.2."""


class Exchange:
    """The body sink of its request and the body source of its answer."""

    __slots__ = (
        "_answer_ended",
        "_body_ended",
        "_changes",
        "_continued",
        "_corked",
        "_forwarding",
        "_framing",
        "_gathering",
        "_head",
        "_kept",
        "_kept_size",
        "_moved",
        "_over",
        "_pool",
        "_reading_body",
        "_trailers",
        "_tunnel_input_ended",
        "answered",
        "body_sent",
        "connection",
        "last_error",
        "method",
        "needs_fresh",
        "opening",
        "queued_at",
        "request",
        "transaction",
        "tried",
        "upgrade",
    )

    def __init__(
        self,
        pool: Pool,
        request: Request,
        head: bytes,
        framing: Framing,
        forwarding: ResponseForwarding,
        upgrade: bytes,
        changes: FieldChanges,
    ) -> None:
        self._pool = pool
        self.request = request
        self.transaction = request.transaction
        self.method = request.method
        self.upgrade = upgrade
        self._changes = changes
        self._head = head
        self._framing = framing
        self._forwarding = forwarding
        self.connection: UpstreamConnection | None = None
        self.opening: Opening | None = None
        self.queued_at = -1.0
        """When it began to wait for a connection; negative while it does not."""
        self.tried: tuple[PeerState, ...] = ()
        """Servers whose connect failed for this request."""
        self.last_error: ProxyError | None = None
        self.needs_fresh = False
        """Whether a kept-alive connection won't do: one was dead already."""
        self.answered = False
        """Whether an octet of an answer came."""
        self.body_sent = framing.kind == "none"
        """Whether all of the request was sent."""
        self._body_ended = self.body_sent
        self._trailers = NO_FIELDS
        self._continued = False
        """Whether the client was told to go on and send its body."""
        self._reading_body = False
        self._corked = b""
        self._gathering = False
        self._kept: list[bytes] | None = None
        self._kept_size = 0
        self._moved = False
        self._answer_ended = False
        self._tunnel_input_ended = False
        self._over = False

    # The way there.

    def begin(self, connection: UpstreamConnection, connect_time: float) -> None:
        """A connection is there: sends the request on it."""
        self.connection = connection
        transaction = self.transaction
        transaction.upstream = connection.state.name
        transaction.connect_time = connect_time
        transaction.tries += 1
        connection.expect_answer(self)
        if self._framing.kind == "none":
            if not connection.stream.write(self._head + b"\r\n"):
                self._not_sent(connection)
            return
        self._send_with_body(connection)

    def _send_with_body(self, connection: UpstreamConnection) -> None:
        framing = self._framing
        if connection.state.speaks_http10 and not self._body_ended:
            # It will never say 100 (Continue): RFC 9110 §10.1.1 lets us.
            self._continued = True
            self.request.invite_body()
        if framing.kind == "length":
            ending = b"Content-Length: %d\r\n\r\n" % framing.length
        elif connection.state.speaks_http10:
            # It can't read chunks: small bodies are gathered and sent with their length.
            self._gathering = True
            ending = b""
        else:
            ending = b"Transfer-Encoding: chunked\r\n\r\n"
        if self._kept is None and not self._reading_body:
            self._kept = []
        resent = self._kept or []
        if self._gathering:
            self._corked = b""
        else:
            self._corked = self._head + ending
            for data in resent:
                self._send_body(connection, data)
            if self._body_ended:
                self._send_end(connection)
        if not self._reading_body:
            self._reading_body = True
            self.request.read_body(self)
        elif self.connection is connection and not connection.stream.queued:
            self.request.resume_body()
        if self.connection is connection and self._corked:
            self._uncork(connection)

    def _uncork(self, connection: UpstreamConnection) -> None:
        corked = self._corked
        self._corked = b""
        if not connection.stream.write(corked):
            self._not_sent(connection)

    def _send_body(self, connection: UpstreamConnection, data: bytes) -> None:
        if self._framing.kind == "chunked":
            pieces = [b"%b%x\r\n" % (self._corked, len(data)), data, b"\r\n"]
        elif self._corked:
            pieces = [self._corked, data]
        else:
            connection.stream.write(data)
            return
        first = bool(self._corked)
        self._corked = b""
        if not connection.stream.write_pieces(pieces) and first:
            self._not_sent(connection)

    def _send_end(self, connection: UpstreamConnection) -> None:
        if self._framing.kind == "chunked":
            first = bool(self._corked)
            end = self._corked + last_chunk(self._trailers)
            self._corked = b""
            if not connection.stream.write(end) and first:
                self._not_sent(connection)
                return
        self.body_sent = True

    def body_received(self, data: bytes) -> None:
        """Octets of the request's body."""
        connection = self.connection
        if self._over:
            return
        if connection is not None and connection.framing is TUNNEL:
            connection.touch_tunnel()
            connection.stream.write(data)
            return
        if self._kept is not None:
            self._keep(data)
            if self._over:
                return
        if connection is None or self._gathering:
            return
        if not self.answered:
            connection.deadline = self._pool.now() + self._pool.answer_timeout
        self._send_body(connection, data)

    def body_ended(self, trailers: Fields) -> None:
        """The request's body is complete; in a tunnel, the client ended its octets."""
        connection = self.connection
        self._body_ended = True
        if trailers.lines:
            self._trailers = self._changes.trailers(trailers, self.request.facts.options)
        if self._over or connection is None:
            return
        if connection.framing is TUNNEL:
            self._tunnel_input_ended = True
            connection.stream.end_output()
            if self._answer_ended:
                self._end_tunnel()
        elif self._gathering:
            self._gathering = False
            self._framing = Framing("length", self._kept_size)
            body = b"".join(self._kept or [])
            self.body_sent = True
            if not connection.stream.write(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body)):
                self._not_sent(connection)
        else:
            self._send_end(connection)

    def body_failed(self, error: ProxyError) -> None:
        """The request's body will never be complete: the server must not take it for complete."""
        self._abort()

    def _keep(self, data: bytes) -> None:
        size = len(data)
        if self._kept is None:
            return
        if self._kept_size + size > self._pool.replay_size or not self._pool.budget.take(size):
            if self._gathering:
                self._release_kept()
                self.fail(LengthRequired("the server speaks HTTP/1.0, and the body is too long to be gathered"))
                return
            if self.connection is None:
                # It waits for a connection to be sent on again: what was kept is all there is of its beginning.
                self.fail(self.last_error or ConnectFailed("no connection"))
                return
            self._release_kept()
            return
        self._kept.append(data)
        self._kept_size += size

    def _release_kept(self) -> None:
        if self._kept is not None:
            self._pool.budget.give(self._kept_size)
            self._kept = None
            self._kept_size = 0

    def _not_sent(self, connection: UpstreamConnection) -> None:
        """The kernel refused the first octets of the request: nothing was sent, whatever the method is."""
        if self.connection is not connection:
            return
        self.connection = None
        connection.exchange = None
        self._pool.discard(connection)
        self._retry(ConnectFailed("the connection was closed before anything was sent"))

    def _retry(self, error: ProxyError) -> None:
        if self.needs_fresh:
            self.fail(error)
            return
        self.needs_fresh = True
        self._repeat(error)

    def _repeat(self, error: ProxyError) -> None:
        if self._reading_body and self._kept is None:
            self.fail(error)
            return
        self.last_error = error
        self.body_sent = self._framing.kind == "none"
        self._gathering = False
        if self._reading_body:
            # What comes meanwhile would have to be kept.
            self.request.pause_body()
        self._pool.place(self)

    @property
    def awaits_client(self) -> bool:
        """Whether the next move is the client's: it has not sent all of its body, and waits for no 100 (Continue)."""
        return not self._body_ended and (
            bool(self.transaction.received) or self._continued or not self.request.facts.expects_continue
        )

    # The way back.

    def interim_received(self, head: ResponseHead) -> None:
        """A 1xx answer."""
        if head.status == 100:
            self._continued = True
        self.request.interim(self._public(head, has_body=False))

    def answer_started(self, head: ResponseHead, framing: Framing) -> None:
        """The final answer's head."""
        transaction = self.transaction
        transaction.first_byte_time = self._pool.now() - transaction.begun
        if self._kept is not None:
            self._release_kept()
        self.request.start(self._public(head, has_body=framing.kind != "none"), framing, self)

    def tunnel_opened(self, head: ResponseHead) -> None:
        """101: the server switched to the protocol that was asked for."""
        transaction = self.transaction
        transaction.first_byte_time = self._pool.now() - transaction.begun
        request = self.request
        request.start(self._public(head, has_body=False), TUNNEL, self)
        request.flush()
        self._reading_body = True
        request.read_body(self)

    def _public(self, head: ResponseHead, *, has_body: bool) -> OutgoingHead:
        request = self.request
        authority = request.public_authority or request.authority.raw
        return self._forwarding.head(head, has_body, request.public_scheme, authority)

    def answer_received(self, data: bytes) -> None:
        """Octets of the answer's body."""
        self.request.write(data)

    def answer_ended(self, trailers: Fields, head: ResponseHead | None) -> None:
        """The answer is complete; its connection went back to the pool. ``head`` is the one of its trailers."""
        self.connection = None
        self._over = True
        self._release_kept()
        if trailers.lines and head is not None:
            trailers = self._forwarding.trailers(trailers, head)
        self.request.finish(trailers)

    def tunnel_answer_ended(self) -> None:
        """The server ended its octets in the tunnel."""
        self._answer_ended = True
        self.request.finish(NO_FIELDS)
        if self._tunnel_input_ended:
            self._end_tunnel()

    def tunnel_idle(self) -> None:
        """Nothing passed through the tunnel for too long."""
        self.request.fail(ClientGone("the tunnel was idle for too long"))
        self._abort()

    def connection_broke(self, connection: UpstreamConnection, error: ProxyError) -> None:
        """The connection was lost, or the answer was no HTTP."""
        self.connection = None
        if self._over:
            return
        repeatable = not self.answered and error.reason == "closed_early" and self.method in IDEMPOTENT
        if repeatable and connection.used > 0:
            self._retry(error)
        elif repeatable and not self._moved and self._pool.has_other(self.tried, connection.state):
            self._moved = True
            self.tried = (*self.tried, connection.state)
            self._repeat(error)
        else:
            self.fail(error)

    # Ends.

    def give_up(self) -> None:
        """No server is left to try."""
        self.fail(self.last_error or NoServer("all servers of the upstream are marked down"))

    def fail(self, error: ProxyError) -> None:
        """There will be no complete answer."""
        if not self._over:
            self._abort()
            self.request.fail(error)

    def pause(self) -> None:
        """The client has enough for now."""
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        """The client can take more."""
        if self.connection is not None:
            self.connection.resume()

    def answer_to(self, request: Request) -> None:
        """Whoever stood between the client's request and this one has seen enough: the rest goes to it directly."""
        self.request = request

    def cancel(self, error: ProxyError) -> None:
        """The client is gone: the server need not work on."""
        self._abort()

    def _abort(self) -> None:
        if self._over:
            return
        self._over = True
        self._release_kept()
        self._pool.forget(self)
        connection = self.connection
        if connection is not None:
            self.connection = None
            connection.exchange = None
            self._pool.discard(connection, abort=True)

    def _end_tunnel(self) -> None:
        """Both sides of the tunnel ended theirs."""
        connection = self.connection
        self._over = True
        self.connection = None
        if connection is not None:
            connection.exchange = None
            self._pool.discard(connection)
