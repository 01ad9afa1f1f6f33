"""The seams between the rooms. Read this first.

A request travels as a ``Request`` from the room where it came in (``downstream``) through the tree (``resources``) to
where it is answered: by a responder of ours, by any Twisted resource, or by an ``Upstream`` (``upstream``). A body, in
either direction, is a stream with demand: its source can be paused, resumed and cancelled, its sink is told octets, a
proven end with trailers, or a failure. A tunnel is a pair of such streams, so an upgraded HTTP/1.1 connection and, one
day, an HTTP/2 stream look alike from here.

The shapes are ``typing.Protocol``s where only our own rooms meet, and zope Interfaces where others may join in.
"""

from __future__ import annotations

from typing import Protocol

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.errors import ProxyError
from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields
from revproxy.http.forward import NO_CHANGES, Client, FieldChanges, OutgoingHead, ResponseForwarding
from revproxy.http.framing import Framing
from revproxy.http.target import Authority
from revproxy.observe.labels import RouteLabels
from revproxy.observe.transaction import Transaction


class BodySource(Protocol):
    """Where a body comes from."""

    def pause(self) -> None:
        """Make no more octets for now."""

    def resume(self) -> None:
        """Go on."""

    def cancel(self, error: ProxyError) -> None:
        """Nobody wants the rest: let go of everything that makes it."""


class BodySink(Protocol):
    """Where a body goes."""

    def body_received(self, data: bytes) -> None:
        """Some octets of it, never none."""

    def body_ended(self, trailers: Fields) -> None:
        """It is complete."""

    def body_failed(self, error: ProxyError) -> None:
        """It will never be complete."""


class Request(Protocol):
    """One request, from the moment its head is complete; also where its answer goes.

    Exactly one final answer is given: ``start``, any number of ``write``, then ``finish`` or ``fail``; or ``fail``
    alone. Each of them may find the client gone: then it does nothing, and the source was told ``cancel``.
    """

    method: bytes
    target: bytes
    """What goes upstream unless a route strips a prefix."""
    path: bytes
    """The raw path of the target."""
    fields: Fields
    facts: RequestFacts
    client: Client
    authority: Authority
    """The host asked for: that of an absolute target, else Host's."""
    public_scheme: bytes
    """The scheme that the client used, as far as a trusted proxy tells."""
    public_authority: bytes
    """The host that a trusted proxy says was asked for; empty where ``authority`` is all that is known."""
    request_id: bytes
    transaction: Transaction
    added_lines: bytes
    """Field lines with their CRLFs that the final answer gets, whoever makes it; empty for none."""
    matched_path: bytes
    """The path of the route that was chosen; empty before."""
    keeps_facts: bool
    """Whether ``facts`` belong to a connection, so that what is derived from them serves its next requests too."""
    can_upgrade: bool
    """Whether ``start`` with a tunnel is possible here."""
    body_limit: int
    """The octets that the body may have; a route may lower or raise it before the body is read."""
    source: BodySource | None
    """Who works on the answer, set as soon as somebody does: it is told ``cancel`` when the client leaves."""

    # The body of the request.

    def read_body(self, sink: BodySink) -> None:
        """Sends the body to ``sink``, beginning with what has arrived, perhaps before this returns."""

    def pause_body(self) -> None:
        """The sink has enough for now."""

    def resume_body(self) -> None:
        """The sink can take more."""

    def invite_body(self) -> None:
        """Sends 100 (Continue) if the client waits for it (RFC 9110 §10.1.1)."""

    @property
    def is_body_complete(self) -> bool:
        """Whether all of it has arrived."""

    # The answer.

    def interim(self, head: OutgoingHead) -> None:
        """A 1xx answer other than 101."""

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head (or 101, with ``TUNNEL``). ``source`` is who makes the body."""

    def write(self, data: bytes) -> None:
        """Octets of the body; they may be held until ``flush`` or ``finish``."""

    def flush(self) -> None:
        """Sends what is held: the source has nothing more at the moment."""

    def finish(self, trailers: Fields) -> None:
        """The body is complete. In a tunnel: the other side ended its octets."""

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """``start``, ``write`` and ``finish`` in one, for an answer that is all there and has no trailers."""

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer: an error page, or a connection that is visibly cut."""


class ReadyAnswer(Protocol):
    """A whole answer, rendered for a client of HTTP/1.1 whose connection goes on."""

    status: int
    octets: bytes
    """Its head."""
    whole: bytes | None
    """Its content; never None where this is given."""
    member: bytes
    """What Cache-Status says of it."""


class Shortcut(Protocol):
    """Answers what a connection asks next, where that differs from a request which was answered from a store in nothing
    but its target and Cookie.

    It is got from whoever gives requests to the tree (``dispatch.shortcut(request)``, after the request was answered),
    and is good for that ``dispatch`` alone: a reload puts another one in its place, and whatever stands before the tree
    and has no ``shortcut`` of its own is not gone around. Nothing that a request could depend on is remembered
    in it but the request's fields: the site, the route and the stored response are looked up each time.
    """

    labels: RouteLabels
    """What the figures stand under, as ``Transaction.labels``."""

    def __call__(self, target: bytes, now: float) -> ReadyAnswer | None:
        """The answer to GET for a target (any octets), at ``now`` (seconds of the wall clock); None where the tree has
        to be asked."""


class IResponder(Interface):
    """A resource that answers requests as they stream, instead of after their whole body came."""

    def respond(request: Request) -> None:  # noqa: N805  # an Interface's methods have no self
        """Answer it, now or later."""


class IRouter(Interface):
    """A resource that knows at once which resource answers a request, without a segment-by-segment walk."""

    isLeaf = Attribute("False: it is asked for a child.")

    def choose(request: Request) -> object:  # noqa: N805
        """The next resource; raises ProxyError where there is none."""


class IUpstream(Interface):
    """A group of servers that can answer for each other."""

    authorities = Attribute("The servers' names (frozenset of bytes), which no answer may show.")
    default_host = Attribute("Host (bytes) for a request that has none.")

    def exchange(
        request: Request,  # noqa: N805
        head: bytes,
        framing: Framing,
        forwarding: ResponseForwarding,
        upgrade: bytes,
        changes: FieldChanges = NO_CHANGES,
    ) -> None:
        """Sends a request, ``head`` without its framing lines and last CRLF, and gives the answer to it. ``changes``
        were made to the head already; they count for the request's trailers too."""


class Filling(Protocol):
    """A response that is being stored: the content first, the head that makes it a stored response last.

    A store that fails (a full disk, a lost server) or finds the response too big says so by ``broken``; what was
    written before can be read on all the same until ``discard``, since clients may be reading it.
    """

    size: int
    """Octets written."""
    broken: bool
    """Whether ``commit`` will store nothing."""

    def write(self, data: bytes) -> None:
        """Adds octets; never raises."""

    def read(self, offset: int, most: int) -> bytes:
        """Up to ``most`` of the octets written, from ``offset``; empty where there are none yet. Raises OSError."""

    def forget(self, offset: int) -> None:
        """Nobody will read before ``offset`` any more: of a broken filling, those octets need not be kept."""

    def commit(self, head: StoredHead) -> StoredResponse | None:
        """Stores it, complete, in place of any response with the same key and selecting fields; None if it couldn't."""

    def discard(self) -> None:
        """Lets go of it. After ``commit`` it only tells that nobody reads from the filling any more."""


class IStore(Interface):
    """Where stored responses are. Nothing here raises for a fault of the store: it finds nothing, stores nothing, says
    so in the log, and the proxy serves on."""

    name = Attribute("What Cache-Status calls it (str).")
    largest = Attribute("The content octets (int) that one stored response may have.")

    def find(key: bytes) -> tuple[StoredResponse, ...] | Deferred[tuple[StoredResponse, ...]]:  # noqa: N805
        """All responses stored under a primary key, the newest first: at once from memory and disk, later from afar."""

    def begin(key: bytes, expected: int) -> Filling:  # noqa: N805
        """Begins to store a response of ``expected`` content octets (negative: not known)."""

    def freshen(stored: StoredResponse, head: StoredHead) -> StoredResponse:  # noqa: N805
        """Gives a stored response another head (RFC 9111 §4.3.4) and keeps its content."""

    def remove(stored: StoredResponse) -> None:  # noqa: N805
        """Forgets one."""

    def invalidate(key: bytes) -> int | Deferred[int]:  # noqa: N805
        """Every response under a key must be validated before it is used again (RFC 9111 §4.4); how many those are.

        No ``find`` that is called later misses it, even where the number comes later. Fillings of this key that began
        before are not stored: begin the one for the answer to an unsafe request afterwards.
        """

    def invalidate_groups(origin: bytes, groups: frozenset[bytes]) -> int | Deferred[int]:  # noqa: N805
        """The same for the members of an origin's cache groups (RFC 9875). Many of them are done when it says so."""

    def purge(selection: Selection) -> int | Deferred[int]:  # noqa: N805
        """Removes what an operator names; how many responses those were. Fillings that began before are not stored."""

    def usage() -> Usage:
        """What it holds."""

    def stop() -> None:
        """Lets go of files and connections; what is stored for longer than the process stays."""


@attrs.frozen
class Selection:
    """Stored responses that an operator names, by exactly one of these."""

    url: bytes = b""
    """One URL, all its variants."""
    prefix: bytes = b""
    """Every URL that begins with it."""
    host: bytes = b""
    """Every URL of a host, whatever its scheme or port."""
    tag: bytes = b""
    group: tuple[bytes, bytes] | None = None
    """An origin and one of its cache groups."""
    everything: bool = False


@attrs.frozen
class Usage:
    """What a store holds."""

    responses: int
    octets: int
    most_octets: int
    evicted: int
    """Responses that had to go for others, since the start."""
