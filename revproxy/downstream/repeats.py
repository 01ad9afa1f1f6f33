"""A connection's requests that repeat what was asked on it before, target and Cookie aside.

Theory of operation. A client's requests mostly come with the same fields to the octet, but for Cookie. Once two such
requests were answered from a store, the octets of their field block are kept as a pattern, with the ``Shortcut`` that
the tree offers for them. A read that is one whole head with that pattern, for GET, has nothing left to be parsed: the
pattern was accepted before, the cookie's octets are checked, and of the target, all that is asked is whether something
is stored for exactly these octets. Then its answer leaves, and no request object is ever made.

Everything else is left to the channel as it came: another method or version, a part of a head, several heads in one
read, a connection that ends with this answer, a process without room. The pattern belongs to the ``dispatch`` that
offered the shortcut: a reload, which puts another one in its place, ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from revproxy.downstream.request import JOINED, StreamingRequest
from revproxy.http.facts import RequestFacts, request_facts
from revproxy.http.fields import VALUE_OCTETS
from revproxy.interfaces import Shortcut
from revproxy.observe.transaction import Transaction

if TYPE_CHECKING:
    from revproxy.downstream.channel import Channel

_BEGINNING: Final = b"GET /"
_METHOD: Final = len(b"GET ")
_VERSION: Final = b" HTTP/1.1\r\n"
_COOKIE: Final = b"\r\nCookie: "


class Repeats:
    """The pattern of one connection, and how its answers are found."""

    __slots__ = ("_after", "_before", "_dispatch", "_facts", "_find", "_host", "_least", "_longest", "_scheme")

    def __init__(
        self, dispatch: object, find: Shortcut, facts: RequestFacts, scheme: bytes, before: bytes, after: bytes | None
    ) -> None:
        """``before`` and ``after`` are what stands around the value of Cookie, from behind the request line to the end
        of the head; where there is no Cookie, ``before`` is all of it and ``after`` None. ``facts`` are those of the
        fields without Cookie."""
        self._dispatch = dispatch
        self._find = find
        self._facts = facts
        self._host = facts.authority.raw
        self._scheme = scheme
        self._before = before
        self._after = after
        self._least = len(before) + len(after or b"")

    def answer(self, channel: Channel, data: bytes) -> bool:
        """Answers ``data`` if it is such a request, and the channel waits for one; else nothing has happened."""
        at = data.find(_VERSION)
        before, after = self._before, self._after
        begin = at + 11
        if not data.startswith(before, begin) or not data.startswith(_BEGINNING):
            return False
        if after is None:
            if len(data) != begin + self._least:
                return False
        elif (
            len(data) < begin + self._least
            or not data.endswith(after)
            or data[begin + len(before) : len(data) - len(after)].translate(None, VALUE_OCTETS)
        ):
            return False
        frontend = channel.frontend
        limits = frontend.limits
        served = channel.served + 1
        budget = frontend.budget
        target = data[_METHOD:at]
        if (
            frontend.dispatch is not self._dispatch
            or channel.half_closed
            or frontend.draining
            or served >= limits.requests_per_connection
            or budget.held >= budget.limit
            or len(data) > limits.head_size
            or len(target) > limits.target_length
        ):
            return False
        started = frontend.wall()
        ready = self._find(target, started)
        if ready is None:
            return False
        begun = frontend.now()
        channel.served = served
        transaction = Transaction(frontend.new_request_id(), channel.client.peer, b"GET", target, 11, started, begun)
        transaction.facts = self._facts
        transaction.scheme = self._scheme
        transaction.host = self._host
        transaction.listener = frontend.name
        transaction.labels = self._find.labels
        transaction.status = ready.status
        transaction.cache_status = ready.member
        whole = ready.whole
        assert whole is not None
        transaction.sent = size = len(whole)
        stream = channel.stream
        if size <= JOINED:
            stream.write(ready.octets + whole)
        else:
            stream.write_pieces([ready.octets, whole])
        if channel.is_drained and not stream.closed:
            now = frontend.now()
            transaction.total_time = now - begun
            frontend.record(transaction)
            channel.deadline = now + limits.idle_timeout
        else:
            channel.request = _answered(channel, data, transaction)
        return True


def _answered(channel: Channel, data: bytes, transaction: Transaction) -> StreamingRequest:
    """The request whose answer was given, but not taken yet, as if it had come in the usual way."""
    head = channel.parser.parse(data)
    assert head is not None
    request = StreamingRequest(channel, head, request_facts(head))
    request.request_id = transaction.request_id
    request.transaction = transaction
    request.started = request.finished = True
    return request


def learned(channel: Channel, request: StreamingRequest, known: Repeats | None) -> Repeats | None:
    """The pattern of the connection's next requests, after ``request`` was answered from a store; ``known`` is the one
    until now. What comes once, or with other fields each time, is not worth a new one."""
    facts = request.facts
    dispatch = channel.frontend.dispatch
    kept = facts.base or facts
    if kept is facts and facts.asked_of is None:
        facts.asked_of = False
    elif kept.asked_of is not dispatch and request.client is channel.client:
        kept.asked_of = dispatch
        return _repeats_of(dispatch, request, channel.parser.octets)
    return known


def _repeats_of(dispatch: object, request: StreamingRequest, octets: bytes) -> Repeats | None:
    """The pattern of a request whose head is ``octets``, and which was answered from a store; None where the tree
    offers no short way to the next one."""
    offer = getattr(dispatch, "shortcut", None)
    if request.method != b"GET" or offer is None:
        return None
    block = octets[octets.index(b"\r\n") + 2 :]
    facts = request.facts
    kept: RequestFacts | None = facts
    base = request.fields.base
    after = None
    if base is not None:
        at = block.index(_COOKIE) + len(_COOKIE)
        after = block[block.index(b"\r\n", at) :]
        block = block[:at]
        kept = facts.base
    find = offer(request)
    if find is None or kept is None:
        return None
    return Repeats(dispatch, find, kept, request.public_scheme, block, after)
