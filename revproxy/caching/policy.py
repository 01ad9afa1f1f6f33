"""What a shared cache does with a request, and when a server failed (RFC 9111 §4, RFC 5861).

Theory of operation. Four questions are asked in the life of a request; each answer is a value of ``decisions`` with a
``Reason``, and whoever does the I/O does what it says:

1. ``on_request``: Serve, Forward, Revalidate, or a 504.
2. Then an answer came: ``on_validation`` where the request was a Revalidate (or HEAD), which may say Replace; then, and
   after a Forward, ``on_response``: Store or Refuse. ``invalidated`` tells what else an unsafe method changed.
3. Or no answer came, or 500, 502, 503, 504: ``on_failure``, a stale response or the failure.
4. After a Serve that wants it: ``revalidation`` makes the request that validates in the background.

The wall clock is an argument everywhere. Whatever depends on a request's fields alone is in ``RequestControls``, on a
stored head alone in its ``Judgement``; both are made once. So a fresh hit costs two comparisons and two subtractions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Forward, GatewayTimeout, Pairs, PassOn, RequestDecision, Revalidate, Serve
from revproxy.caching.freshening import on_head, on_validation
from revproxy.caching.freshness import Judgement, judged
from revproxy.caching.groups import SAFE_METHODS
from revproxy.caching.invalidation import invalidated
from revproxy.caching.options import CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredResponse
from revproxy.caching.storing import on_response, refused_request
from revproxy.http.conditional import Evaluation, evaluate
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.ranges import RangeAction, plan_ranges

__all__ = [
    "invalidated",
    "on_failure",
    "on_head",
    "on_request",
    "on_response",
    "on_validation",
    "revalidation",
    "validation_fields",
]

FAILURES: Final = frozenset({500, 502, 503, 504})
"""Statuses for which a stale response may be used (RFC 5861 §4)."""
MOST_NOMINATED: Final = 16
LARGEST_NOMINATION: Final = 2048
"""Entity tags that one validation carries, and their octets: many variants must not make a head that the server
refuses. The first is always sent."""

_PRECONDITIONS: Final = frozenset({b"if-none-match", b"if-modified-since"})
_ALL_CONDITIONS: Final = _PRECONDITIONS | {b"if-match", b"if-unmodified-since", b"if-range", b"range"}


def on_request(
    method: bytes,
    controls: RequestControls,
    selected: Sequence[StoredResponse],
    variants: Sequence[StoredResponse],
    options: CacheOptions,
    now: float,
) -> RequestDecision:
    """What is done with a request.

    ``selected`` are the stored responses that Vary selects for it, the one to use first (``vary.matching``);
    ``variants`` all that are stored under its key, in any order.
    """
    if controls.undemanding and len(selected) == 1 and not options.bypasses and (method == b"GET" or method == b"HEAD"):
        stored = selected[0]
        judgement = stored.head.memo
        if judgement is not None and judgement.options is options and judgement.since <= now < judgement.plain_until:
            age = int(now - judgement.born)
            return Serve(stored, age, int(judgement.fresh_until - now), False, False, judgement.fresh_reason)
    if method != b"GET" and method != b"HEAD":
        reason = Reason.METHOD if method in SAFE_METHODS else Reason.UNSAFE_METHOD
        return Forward(reason, method == b"POST" and not controls.no_store, False, False)
    decision = _on_retrieval(method, controls, selected, variants, options, now)
    if controls.only_if_cached and not isinstance(decision, Serve):
        return GatewayTimeout(Reason.ONLY_IF_CACHED)
    return decision


def _on_retrieval(
    method: bytes,
    controls: RequestControls,
    selected: Sequence[StoredResponse],
    variants: Sequence[StoredResponse],
    options: CacheOptions,
    now: float,
) -> RequestDecision:
    refusal = refused_request(controls, options)
    if refusal is not None:
        return Forward(refusal, False, False, False)
    if controls.for_origin:
        return Forward(Reason.CLIENT_PRECONDITION, not controls.no_store, False, False)
    if not selected:
        return _on_nothing_selected(method, controls, variants, options, now)
    chosen = next((stored for stored in selected if _is_usable(method, controls, stored, now)), None)
    if chosen is None:
        return _forward(method, controls, Reason.PARTIAL, options)
    judgement = judged(chosen.head, options)
    reason, accepted = _verdict(controls, judgement, options, now)
    if accepted:
        age, ttl = int(judgement.age(now)), int(judgement.fresh_until - now)
        return Serve(chosen, age, ttl, not judgement.is_fresh(now), reason is Reason.STALE_WHILE_REVALIDATE, reason)
    return _revalidate(method, controls, chosen, selected, variants, options, reason, now)


def _is_usable(method: bytes, controls: RequestControls, stored: StoredResponse, now: float) -> bool:
    """Whether what is stored is all that the request asks for (RFC 9111 §3.3)."""
    head = stored.head
    if head.status != 206:
        return True
    if method != b"GET" or not controls.ranged:
        return False
    fields = controls.fields
    evaluation = evaluate(method, fields, 206, head.fields, received=head.response_time, now=now)
    if evaluation is Evaluation.IGNORE_RANGE:
        return False
    plan = plan_ranges(fields.get(b"range"), first=head.first, size=stored.content.size, total=head.total)
    return plan.action is RangeAction.PARTIAL


def _verdict(controls: RequestControls, judgement: Judgement, options: CacheOptions, now: float) -> tuple[Reason, bool]:
    """Why a stored response is used, or why not; and which of the two it is (RFC 9111 §4)."""
    if judgement.must_validate is not None:
        return judgement.must_validate, False
    max_age = min_fresh = -1
    if options.client_directives:
        if controls.no_cache:
            return Reason.CLIENT_NO_CACHE, False
        if controls.pragma:
            return Reason.CLIENT_PRAGMA, False
        max_age, min_fresh = controls.max_age, controls.min_fresh
    is_young = max_age < 0 or judgement.age(now) <= max_age
    if judgement.is_fresh(now):
        if min_fresh >= 0 and judgement.fresh_until - now < min_fresh:
            return Reason.CLIENT_MIN_FRESH, False
        if is_young:
            return judgement.fresh_reason, True
        # RFC 8246 §2.1: a reload sends max-age=0; only no-cache is taken for the wish to validate such a response.
        return (Reason.FRESH_IMMUTABLE, True) if judgement.immutable else (Reason.CLIENT_MAX_AGE, False)
    if is_young and min_fresh < 0:
        staleness = now - judgement.fresh_until
        if judgement.forbids_stale is None and staleness <= controls.max_stale:
            return Reason.CLIENT_ACCEPTS_STALE, True
        # RFC 9111 §5.2.1.1: who sends max-age, and no max-stale, does not want a stale response.
        if max_age < 0 and now < judgement.use_while_revalidating_until:
            return Reason.STALE_WHILE_REVALIDATE, True
    return judgement.forbids_stale or Reason.STALE, False


def _may_lead(method: bytes, controls: RequestControls) -> bool:
    """Whether others can be expected to share the answer to a request that is sent on without the client's
    preconditions."""
    return method == b"GET" and not (controls.no_store or controls.authorized or controls.ranged)


def _may_join(controls: RequestControls, options: CacheOptions) -> bool:
    """Whether an answer to an earlier request will do."""
    return not (options.client_directives and (controls.no_cache or controls.pragma))


def _forward(method: bytes, controls: RequestControls, reason: Reason, options: CacheOptions) -> Forward:
    may_lead = _may_lead(method, controls) and not controls.conditional
    may_store = method == b"GET" and not controls.no_store
    return Forward(reason, may_store, _may_join(controls, options), may_lead)


def _on_nothing_selected(
    method: bytes,
    controls: RequestControls,
    variants: Sequence[StoredResponse],
    options: CacheOptions,
    now: float,
) -> Forward | Revalidate:
    if not variants:
        return _forward(method, controls, Reason.MISS, options)
    nominated: tuple[StoredResponse, ...] = ()
    if method == b"GET" and not controls.ranged:
        nominated = _bounded(_nominable(variants, controls.fields, options), options)
    if not nominated:
        return _forward(method, controls, Reason.VARY_MISS, options)
    add = ((b"If-None-Match", _tags(nominated, options)),)
    may_lead = _may_lead(method, controls)
    may_join = _may_join(controls, options)
    may_store = not controls.no_store
    return Revalidate(None, nominated, add, _PRECONDITIONS, Reason.VARY_MISS, may_store, may_join, may_lead)


def _revalidate(
    method: bytes,
    controls: RequestControls,
    chosen: StoredResponse,
    selected: Sequence[StoredResponse],
    variants: Sequence[StoredResponse],
    options: CacheOptions,
    reason: Reason,
    now: float,
) -> Revalidate:
    add: Pairs = ()
    nominated: tuple[StoredResponse, ...] = ()
    if method == b"GET":
        nominated, add = _conditions(chosen, selected, variants, controls, options)
    may_lead = _may_lead(method, controls) and (bool(add) or not controls.conditional)
    return Revalidate(
        chosen,
        nominated,
        add,
        _PRECONDITIONS if add else frozenset(),
        reason,
        method == b"GET" and not controls.no_store,
        _may_join(controls, options),
        may_lead,
    )


def _conditions(
    chosen: StoredResponse,
    selected: Sequence[StoredResponse],
    variants: Sequence[StoredResponse],
    controls: RequestControls,
    options: CacheOptions,
) -> tuple[tuple[StoredResponse, ...], Pairs]:
    """What is nominated, and the fields that do so (RFC 9111 §4.3.1)."""
    judgement = judged(chosen.head, options)
    if judgement.etag:
        others = [stored for stored in selected if stored.head.status != 206 and judged(stored.head, options).etag]
        others += _nominable(variants, controls.fields, options)
        nominated = _bounded([chosen, *others], options)
        add: Pairs = ((b"If-None-Match", _tags(nominated, options)),)
        # Old servers look at the date alone; it is right only where one response is meant, and as a whole.
        if len(nominated) == 1 and judgement.last_modified and not controls.ranged:
            add += ((b"If-Modified-Since", judgement.last_modified),)
        return nominated, add
    if judgement.last_modified and not controls.ranged:
        return (chosen,), ((b"If-Modified-Since", judgement.last_modified),)
    return (), ()


def _nominable(variants: Sequence[StoredResponse], request: Fields, options: CacheOptions) -> list[StoredResponse]:
    """Variants that a request does not select, but could use if the server said so (RFC 9111 §4.3.1).

    Only strong entity tags count: a server may give the compressed and the plain variant the same weak one. And the
    client must be able to decode it, whatever a server that gives both the same strong one says.
    """
    if not options.validate_variants:
        return []
    found = []
    for stored in variants:
        head = stored.head
        if head.status != 206 and judged(head, options).strong and _is_decodable(head.fields, request):
            found.append(stored)
    return found


def _is_decodable(fields: Fields, request: Fields) -> bool:
    """Whether a client names every coding of a response in Accept-Encoding, and refuses none (RFC 9110 §12.5.3)."""
    codings = fields.members(b"content-encoding")
    if not codings:
        return True
    accepted = set()
    for member in request.members(b"accept-encoding"):
        name, _, parameter = member.partition(b";")
        weight = parameter.strip(b" \t")
        if not (weight.startswith(b"q=0") and not weight[3:].strip(b".0")):
            accepted.add(name.strip(b" \t"))
    return accepted.issuperset(codings)


def _bounded(stored: Sequence[StoredResponse], options: CacheOptions) -> tuple[StoredResponse, ...]:
    """Each once, up to as many as may be nominated."""
    found: dict[int, StoredResponse] = {}
    octets = 0
    for one in stored:
        if id(one) in found:
            continue
        octets += len(judged(one.head, options).etag)
        if found and (octets > LARGEST_NOMINATION or len(found) == MOST_NOMINATED):
            break
        found[id(one)] = one
    return tuple(found.values())


def _tags(nominated: Sequence[StoredResponse], options: CacheOptions) -> bytes:
    return b", ".join(dict.fromkeys(judged(stored.head, options).etag for stored in nominated))


_NO_CONTROLS: Final = RequestControls(NO_FIELDS)
_NOT_IN_BACKGROUND: Final = _ALL_CONDITIONS | {b"cache-control", b"pragma"}


def revalidation(stored: StoredResponse, options: CacheOptions) -> Revalidate:
    """How to validate in the background what was served stale (RFC 5861 §3): with GET, and the fields of the request
    that it was served for, changed as this says. What was that client's own goes with ``remove``, its credentials too
    unless Vary names them. ``RequestControls`` of the changed fields are what ``on_validation`` then wants."""
    nominated, add = _conditions(stored, (), (), _NO_CONTROLS, options)
    remove = _NOT_IN_BACKGROUND
    if not any(name == b"authorization" for name, _ in stored.head.selecting):
        remove |= {b"authorization"}
    return Revalidate(stored, nominated, add, remove, Reason.STALE_WHILE_REVALIDATE, True, True, True)


def validation_fields(fields: Fields, asked: Revalidate) -> Fields:
    """The fields of a request, changed as a Revalidate says."""
    if not asked.add and not asked.remove:
        return fields
    kept = [line for line in fields.lines if line[0] not in asked.remove]
    return Fields([*kept, *[(name.lower(), name, value) for name, value in asked.add]])


def on_failure(
    stored: StoredResponse | None, controls: RequestControls, status: int, options: CacheOptions, now: float
) -> Serve | PassOn:
    """What the client gets when the server failed: a stored response where that is allowed, else the failure
    (RFC 9111 §4.2.4, §4.3.3; RFC 5861 §4).

    ``stored`` is what the Revalidate named; ``status`` is the server's, 0 where it gave no (complete) answer. Where the
    failure is passed on and there was no answer, 504 is the status for it (RFC 9111 §5.2.2.2).
    """
    if stored is None:
        return PassOn(Reason.NOTHING_STORED)
    if status and status not in FAILURES:
        return PassOn(Reason.NOT_AN_ERROR)
    judgement = judged(stored.head, options)
    if judgement.must_validate is not None:
        return PassOn(judgement.must_validate)
    until = judgement.use_on_error_until
    if controls.stale_if_error >= 0 and judgement.forbids_stale is None:
        # The client's own limit is the one that it asks for.
        until = judgement.fresh_until + controls.stale_if_error
    is_fresh = judgement.is_fresh(now)
    if is_fresh or now < until:
        age, ttl = int(judgement.age(now)), int(judgement.fresh_until - now)
        return Serve(stored, age, ttl, not is_fresh, False, Reason.STALE_IF_ERROR)
    return PassOn(judgement.forbids_stale or Reason.TOO_STALE)
