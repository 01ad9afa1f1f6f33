"""The policy's only answers. Each is a value with a reason; nothing here acts.

They are tuples because one is made for each request, and a tuple is the cheapest value that can't be changed.
"""

from __future__ import annotations

from typing import NamedTuple

from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse

Pairs = tuple[tuple[bytes, bytes], ...]
"""Fields as (name, value)."""


class Serve(NamedTuple):
    """Answer from the store. The client's own preconditions and Range are then evaluated against ``stored``: what
    follows may be 200, 206, 304 or 416 (RFC 9111 §4.3.2)."""

    stored: StoredResponse
    age: int
    """The value of Age to send, seconds; it replaces any that is stored (RFC 9111 §4)."""
    ttl: int
    """Seconds that it stays fresh; negative where it is stale (Cache-Status)."""
    stale: bool
    revalidate: bool
    """Whether to validate it in the background, asked for by ``revalidation`` (RFC 5861 §3)."""
    reason: Reason


class Forward(NamedTuple):
    """Send the request on as it is, the client's preconditions and Range included; nothing stored is of use."""

    reason: Reason
    may_store: bool
    """Whether the answer may be stored at all; ``on_response`` has the last word."""
    may_join: bool
    """Whether it may wait for a flight with the same key instead, and take its answer if that can be shared."""
    may_lead: bool
    """Whether others may wait for the answer to this very request."""


class Revalidate(NamedTuple):
    """Send the request on, changed to validate what is stored, and give the answer to ``on_validation``.

    ``remove`` first, then ``add``. With an empty ``add`` there is no validator (or the method is HEAD): the request
    goes on as it is, and ``stored`` only stands by for a failure (``on_failure``).
    """

    stored: StoredResponse | None
    """What would be used if it were valid; None where Vary selects nothing, and only validators of other variants are
    sent."""
    nominated: tuple[StoredResponse, ...]
    """Those whose validators are sent; ``stored`` is the first where it has one."""
    add: Pairs
    """If-None-Match and If-Modified-Since to send (RFC 9111 §4.3.1)."""
    remove: frozenset[bytes]
    """The client's fields, lower case, that give way: its preconditions are evaluated afterwards, against what the
    answer leaves in the store."""
    reason: Reason
    may_store: bool
    may_join: bool
    may_lead: bool


class GatewayTimeout(NamedTuple):
    """Answer 504: the client wants a stored response or none (RFC 9111 §5.2.1.7)."""

    reason: Reason


class Store(NamedTuple):
    """Store the response under ``head``, whose ``selecting``, ``tags`` and ``groups`` the caller gave."""

    head: StoredHead
    ttl: int
    """Seconds that it stays fresh from now; 0 or less where each use needs validation."""
    reason: Reason


class Refuse(NamedTuple):
    """Pass the response on without storing it."""

    reason: Reason
    outdated: bool
    """In answer to a ``Revalidate``: whether it shows that what Vary selects is no longer the resource's state. Then
    that is removed (RFC 9111 §4.3.3)."""


class Freshen(NamedTuple):
    """Stored responses are judged anew (RFC 9111 §4.3.4, §4.3.5)."""

    updates: tuple[tuple[StoredResponse, StoredHead], ...]
    """Give each of these stored responses its new head."""
    serve: tuple[StoredResponse, StoredHead] | None
    """Answer the client with this content under this head; the client's preconditions and Range are evaluated against
    it. The head is for this answer alone: it may hold fields that must not be stored. None: pass the answer on as it
    came."""
    drop: tuple[StoredResponse, ...]
    """Remove these: the answer forbids to keep them."""
    invalidate: tuple[StoredResponse, ...]
    """These must be validated before their next use."""
    reason: Reason


class PassOn(NamedTuple):
    """The answer is the client's as it came; the store stays as it is."""

    reason: Reason


class Replace(NamedTuple):
    """A full answer came instead of a 304: give it to ``on_response``, and send it to the client."""

    reason: Reason


class Refetch(NamedTuple):
    """Nothing stored is valid and the client can't use the answer: send the client's request again, without ours."""

    reason: Reason


RequestDecision = Serve | Forward | Revalidate | GatewayTimeout
ValidationDecision = Freshen | Serve | PassOn | Replace | Refetch
