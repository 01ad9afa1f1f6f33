"""One request of an HTTP/1.1 connection, and how its answer leaves.

Rendering happens here: the framing and connection fields of an answer depend on the client's version, on what is left
of its body and on whether the connection goes on, and on nothing else. Octets are held until the source has no more at
the moment, so that a head, a short body and its end leave in one system call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from revproxy.errors import ClientGone, MethodNotAllowed, Overloaded, ProxyError
from revproxy.http.error_page import error_page
from revproxy.http.facts import RequestFacts
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead, original_client, public_authority, public_scheme, request_id_of
from revproxy.http.framing import TUNNEL, Framing, last_chunk
from revproxy.http.parse import RequestHead
from revproxy.http.render import status_line
from revproxy.http.target import NO_AUTHORITY, Target
from revproxy.interfaces import BodySink, BodySource
from revproxy.observe.transaction import Transaction

if TYPE_CHECKING:
    from revproxy.downstream.channel import Channel

JOINED: Final = 16 * 1024
"""Pieces up to this many octets are joined before they are sent; larger ones are sent beside each other."""


class StreamingRequest:
    """A request whose head is complete and whose body comes on demand; it is also where the answer goes."""

    keeps_facts = True

    __slots__ = (
        "_channel",
        "_chunking",
        "_held",
        "added_lines",
        "authority",
        "body_limit",
        "can_upgrade",
        "client",
        "closing",
        "counted",
        "facts",
        "fields",
        "finished",
        "invited",
        "is_body_complete",
        "is_self_delimited",
        "matched_path",
        "method",
        "over",
        "path",
        "public_authority",
        "public_scheme",
        "request_id",
        "sink",
        "source",
        "started",
        "target",
        "transaction",
        "tunnel",
        "version",
    )

    def __init__(self, channel: Channel, head: RequestHead, facts: RequestFacts) -> None:
        self._channel: Channel = channel
        self.method = head.method
        self.version = head.version
        self.fields = head.fields
        self.facts = facts
        self.client = channel.client
        self.target = head.target
        self.path = head.path
        self.authority = facts.authority
        self.can_upgrade = True
        self.added_lines = b""
        self.matched_path = b""
        frontend = channel.frontend
        self.body_limit = frontend.limits.body_size
        self.is_body_complete = facts.framing.kind == "none"
        self.invited = not facts.expects_continue
        """Whether the client need not wait (any longer) before it sends its body."""
        request_id = None
        client = channel.client
        address = client.peer
        if client.trusted:
            request_id = request_id_of(head.fields)
            address = original_client(head.fields, client.peer, frontend.trusted)
            client.address = address
            self.public_scheme = public_scheme(head.fields, client.scheme)
            self.public_authority = public_authority(head.fields)
        else:
            self.public_scheme = client.scheme
            self.public_authority = b""
        self.request_id: bytes = request_id or frontend.new_request_id()
        transaction = Transaction(
            self.request_id, address, head.method, head.target, head.version, frontend.wall(), frontend.now()
        )
        transaction.facts = facts
        transaction.listener = frontend.name
        transaction.scheme = self.public_scheme
        transaction.host = facts.authority.raw
        self.transaction = transaction
        self.counted = False
        """Whether it counts for its original client's limit."""
        self.source: BodySource | None = None
        self.sink: BodySink | None = None
        self.started = False
        """Whether the final answer's head was given."""
        self.finished = False
        """Whether the whole answer was given."""
        self.over = False
        """Whether there is nothing left to do: the answer has left, or never will."""
        self.tunnel = False
        self._held = b""
        self._chunking = False
        self.closing = False
        """Whether the connection ends with this answer."""
        self.is_self_delimited = True
        """Whether the answer's end shows by itself, without the connection's end."""

    def aim(self, target: Target) -> None:
        """Takes over what the target says."""
        self.target = target.raw
        self.path = target.path
        if target.authority is not None:
            self.authority = target.authority
            self.transaction.host = target.authority.raw

    def count_original(self) -> None:
        """Behind a trusted proxy, connections say nothing of who is at their other end: its requests are counted.
        Raises Overloaded."""
        address = self.transaction.client
        if address != self.client.peer:
            if not self._channel.frontend.admission.enter_address(address):
                raise Overloaded("too many requests of this address at once")
            self.counted = True

    # The body of the request.

    def read_body(self, sink: BodySink) -> None:
        """Sends the body to ``sink``, beginning with what has arrived."""
        self.sink = sink
        self._channel.body_wanted(self)

    def pause_body(self) -> None:
        """The sink has enough for now."""
        self._channel.pause_body(self)

    def resume_body(self) -> None:
        """The sink can take more."""
        self._channel.resume_body(self)

    def invite_body(self) -> None:
        """Sends 100 (Continue) to a client that waits for it and has not begun to send (RFC 9110 §10.1.1)."""
        if self.facts.expects_continue and not self.started and not self.transaction.received and not self.over:
            self.invited = True
            self._channel.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # The answer.

    def interim(self, head: OutgoingHead) -> None:
        """A 1xx answer other than 101. HTTP/1.0 knows none (RFC 9110 §15.2)."""
        if self.version >= 11 and not self.started and not self.over:
            if head.status == 100:
                self.invited = True
            self._channel.interim_given(self)
            self._channel.stream.write(b"%b%b\r\n" % (status_line(head.status, head.reason), head.block))

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head; see ``interfaces.Request``."""
        if self.over:
            if source is not None:
                source.cancel(ClientGone())
            return
        self.started = True
        self.source = source
        transaction = self.transaction
        transaction.status = head.status
        channel = self._channel
        kind = framing.kind
        if framing is TUNNEL:
            self.tunnel = True
            self.is_self_delimited = False
            self._held = b"%b%b\r\n" % (status_line(head.status, head.reason), head.block)
            channel.open_tunnel(self)
            return
        persistent = (
            not self.closing and self.facts.persistent and self.is_body_complete and channel.may_persist()
        )
        added = self.added_lines
        if head.framing is framing and persistent and self.version >= 11 and head.added == added:
            self._held = head.rendered
            return
        if kind == "length":
            ending = b"Content-Length: %d\r\n" % framing.length
        elif kind == "none":
            ending = b""
        elif self.version >= 11:
            ending = b"Transfer-Encoding: chunked\r\n"
            self._chunking = True
        else:
            ending = b""
            persistent = False
            self.is_self_delimited = False
        if not persistent:
            self.closing = True
            ending += b"Connection: close\r\n"
        elif self.version < 11:
            ending += b"Connection: keep-alive\r\n"
        ending += added
        if not head.has_date:
            ending += channel.frontend.dates.line()
        self._held = b"%b%b%b\r\n" % (status_line(head.status, head.reason), head.block, ending)
        if kind == "length" and persistent and head.has_date and self.version >= 11:
            head.framing = framing
            head.added = added
            head.rendered = self._held

    def write(self, data: bytes) -> None:
        """Octets of the answer's body."""
        if self.over:
            return
        size = len(data)
        self.transaction.sent += size
        if self._chunking:
            if size <= JOINED:
                self._held = b"%b%x\r\n%b\r\n" % (self._held, size, data)
            else:
                held = b"%b%x\r\n" % (self._held, size)
                self._held = b""
                self._channel.stream.write_pieces([held, data, b"\r\n"])
        elif not self._held:
            self._channel.stream.write(data)
        elif size <= JOINED:
            self._held += data
        else:
            held = self._held
            self._held = b""
            self._channel.stream.write_pieces([held, data])

    def flush(self) -> None:
        """Sends what is held."""
        held = self._held
        if held and not self.over:
            self._held = b""
            self._channel.stream.write(held)

    def finish(self, trailers: Fields) -> None:
        """The answer is complete; in a tunnel, the other side ended its octets."""
        if self.over or self.finished:
            return
        self.finished = True
        held = self._held
        if self._chunking:
            held += last_chunk(trailers)
        if held:
            self._held = b""
            self._channel.stream.write(held)
        channel = self._channel
        if self.tunnel:
            channel.tunnel_ended(self)
        else:
            channel.answered(self)

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """A whole answer; a head that went out before, with the same framing, goes out as it is."""
        channel = self._channel
        if (
            head.framing is framing
            and self.facts.persistent
            and self.version >= 11
            and not (self.closing or self.added_lines or self.over)
            and self.is_body_complete
            and channel.may_persist()
        ):
            self.started = self.finished = True
            transaction = self.transaction
            transaction.status = head.status
            transaction.sent = len(body)
            if len(body) <= JOINED:
                channel.stream.write(head.rendered + body)
            else:
                channel.stream.write_pieces([head.rendered, body])
            if head.is_stored:
                channel.answered_from_store(self)
            channel.answered(self)
            return
        self.start(head, framing, None)
        if body:
            self.write(body)
        self.finish(NO_FIELDS)

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        # In a tunnel, one side ends before the other: what happens to the other still ends the connection.
        if self.over or (self.finished and not self.tunnel):
            return
        transaction = self.transaction
        transaction.reason = error.reason
        transaction.detail = error.detail
        if self.started:
            # The head is out: all that is left is to make sure that what follows does not look complete.
            self.flush()
            self._channel.cut(self)
            return
        if isinstance(error, ClientGone):
            transaction.status = error.status
            self._channel.cut(self)
            return
        status = error.status
        media, page = error_page(status, self.request_id, self.fields)
        lines = [(b"Content-Type", media), (b"Cache-Control", b"no-store"), (b"X-Request-ID", self.request_id)]
        if isinstance(error, MethodNotAllowed) and error.allow:
            lines.append((b"Allow", error.allow))
        if status == 503:
            lines.append((b"Retry-After", b"1"))
        # Whoever sent one malformed head is not believed about where the next one begins. What follows a refused
        # CONNECT may be octets for its tunnel (RFC 9110 §9.3.6), and are never to be read as requests.
        self.closing = status == 400 or self.method == b"CONNECT"
        self.start(OutgoingHead(status, b"", Fields.of(lines)), Framing("length", len(page)), None)
        if self.method != b"HEAD":
            self.write(page)
        self.finish(Fields())


def unread_request(channel: Channel) -> StreamingRequest:
    """The stand-in for a request whose head was never understood, so that it is answered and logged as any other."""
    fields = Fields()
    facts = RequestFacts(10, fields)
    facts.version = 11
    request = StreamingRequest(channel, RequestHead(b"", b"", 11, fields), facts)
    request.authority = NO_AUTHORITY
    request.is_body_complete = False
    return request
