"""A request that stands in for another one on its way upstream.

What answers it need not know: it reads the same body and gives its answer to what looks like any request. Whoever made
the stand-in sees the answer first.
"""

from __future__ import annotations

from collections.abc import Callable

from revproxy.errors import ProxyError
from revproxy.http.facts import RequestFacts
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import Framing
from revproxy.interfaces import BodySink, BodySource, Request
from revproxy.observe.transaction import Transaction


class ForwardedRequest:
    """Has all that its client's request has, and passes everything on in both directions.

    Derived classes look at the answer; the fields can be other ones.
    """

    __slots__ = (
        "added_lines",
        "authority",
        "body_limit",
        "can_upgrade",
        "client",
        "facts",
        "fields",
        "keeps_facts",
        "matched_path",
        "method",
        "original",
        "path",
        "public_authority",
        "public_scheme",
        "request_id",
        "source",
        "target",
        "transaction",
    )

    def __init__(self, original: Request, fields: Fields | None = None) -> None:
        self.original = original
        self.method = original.method
        self.target = original.target
        self.path = original.path
        facts = original.facts
        if fields is None or fields is original.fields:
            self.fields = original.fields
            self.facts = facts
            self.keeps_facts = original.keeps_facts
        else:
            self.fields = fields
            self.facts = RequestFacts(facts.version, fields)
            self.keeps_facts = False
        authority = original.authority
        # Forwarding compares by identity to see whether the target named another host.
        self.authority = self.facts.authority if authority is facts.authority else authority
        self.client = original.client
        self.public_scheme = original.public_scheme
        self.public_authority = original.public_authority
        self.request_id = original.request_id
        self.transaction = original.transaction
        self.matched_path = original.matched_path
        self.can_upgrade = original.can_upgrade
        self.body_limit = original.body_limit
        self.source: BodySource | None = None
        self.added_lines = b""

    # The body of the request.

    def read_body(self, sink: BodySink) -> None:
        """Sends the body to ``sink``."""
        self.original.read_body(sink)

    def pause_body(self) -> None:
        """The sink has enough for now."""
        self.original.pause_body()

    def resume_body(self) -> None:
        """The sink can take more."""
        self.original.resume_body()

    def invite_body(self) -> None:
        """Sends 100 (Continue) if the client waits for it."""
        self.original.invite_body()

    @property
    def is_body_complete(self) -> bool:
        """Whether all of it has arrived."""
        return self.original.is_body_complete

    # The answer.

    def interim(self, head: OutgoingHead) -> None:
        """A 1xx answer: interim answers pass, and are never stored."""
        self.original.interim(head)

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head."""
        self.original.start(head, framing, source)

    def write(self, data: bytes) -> None:
        """Octets of its body."""
        self.original.write(data)

    def flush(self) -> None:
        """The source has nothing more at the moment."""
        self.original.flush()

    def finish(self, trailers: Fields) -> None:
        """It is complete."""
        self.original.finish(trailers)

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """All of it at once."""
        self.start(head, framing, None)
        if body:
            self.write(body)
        self.finish(NO_FIELDS)

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        self.original.fail(error)

    # Its client.

    def pause(self) -> None:
        """The client has enough for now."""
        if self.source is not None:
            self.source.pause()

    def resume(self) -> None:
        """The client can take more."""
        if self.source is not None:
            self.source.resume()

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        if self.source is not None:
            self.source.cancel(error)


class UnattendedRequest:
    """A request that no client waits for, made in the image of one that a client sent: its answer goes nowhere."""

    keeps_facts = False
    can_upgrade = False
    is_body_complete = True

    __slots__ = (
        "_ended",
        "added_lines",
        "authority",
        "body_limit",
        "client",
        "facts",
        "fields",
        "matched_path",
        "method",
        "path",
        "public_authority",
        "public_scheme",
        "request_id",
        "source",
        "target",
        "transaction",
    )

    def __init__(self, original: Request, fields: Fields, ended: Callable[[], None]) -> None:
        """``ended`` is called once, when its answer is complete or failed."""
        self._ended = ended
        self.method = b"GET"
        self.target = original.target
        self.path = original.path
        self.fields = fields
        self.facts = RequestFacts(original.facts.version, fields)
        self.authority = original.authority
        self.client = original.client
        self.public_scheme = original.public_scheme
        self.public_authority = original.public_authority
        self.request_id = original.request_id
        self.matched_path = original.matched_path
        self.body_limit = 0
        old = original.transaction
        self.transaction = Transaction(
            old.request_id, old.client, b"GET", old.target, old.version, old.started, old.begun
        )
        self.source: BodySource | None = None
        self.added_lines = b""

    def read_body(self, sink: BodySink) -> None:
        """There is none."""
        sink.body_ended(NO_FIELDS)

    def pause_body(self) -> None:
        """There is none."""

    def resume_body(self) -> None:
        """There is none."""

    def invite_body(self) -> None:
        """There is none."""

    def interim(self, head: OutgoingHead) -> None:
        """Nobody wants it."""

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """Nobody wants it."""
        self.source = source

    def write(self, data: bytes) -> None:
        """Nobody wants it."""

    def flush(self) -> None:
        """Nobody wants it."""

    def finish(self, trailers: Fields) -> None:
        """It is over."""
        ended, self._ended = self._ended, _nothing
        ended()

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """Nobody wants it."""
        self.finish(NO_FIELDS)

    def fail(self, error: ProxyError) -> None:
        """It is over."""
        self.finish(NO_FIELDS)


def _nothing() -> None:
    """What is left to do when it is over."""
