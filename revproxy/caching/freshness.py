"""How old a stored response is, how long it is fresh, how far beyond it may be used (RFC 9111 §4.2, RFC 5861).

Theory of operation. All arithmetic is done once for a head and a route's options, and kept as instants of the wall
clock in a ``Judgement``: ``born``, the instant from which the age counts; ``fresh_until``, at which the age reaches the
lifetime. Whether a hit is fresh is then one comparison, its age one subtraction. Ages and lifetimes never exceed 2^31
seconds, so nothing overflows and nothing is negative, whatever Age, Date and Expires say.
"""

from __future__ import annotations

from typing import Any, Final

from revproxy.caching.directives import ABSENT, UNBOUNDED, ResponseDirectives, delta_seconds, response_directives
from revproxy.caching.options import CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead
from revproxy.http.dates import parse_date
from revproxy.http.fields import Fields
from revproxy.http.validators import entity_tag

HEURISTICALLY_CACHEABLE: Final = frozenset({200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses that may be stored without explicit freshness (RFC 9110 §15.1)."""
VALIDATED: Final = frozenset({200, 203, 206})
"""Statuses that a 304 can be about: it stands for a 200 (RFC 9110 §15.4.5). A redirect or an error with Last-Modified
is fetched again instead: what is there now may be older than the error's page, and a 304 would keep the error alive."""
NEVER: Final = float("-inf")


def age_value(fields: Fields) -> int:
    """The first member of Age; 0 where it is none, or not a number (RFC 9111 §5.1)."""
    value = fields.get(b"age")
    if value is None:
        return 0
    return max(delta_seconds(value.partition(b",")[0].strip(b" \t")), 0)


def date_value(fields: Fields, response_time: float) -> float:
    """The instant in Date; where there is none that can be read, when the response came (RFC 9110 §6.6.1)."""
    dates = fields.all(b"date")
    date = parse_date(dates[0], response_time) if dates else None
    return response_time if date is None else date


def initial_age(fields: Fields, request_time: float, response_time: float, *, apparent: bool = True) -> float:
    """The corrected_initial_age of RFC 9111 §4.2.3, the conservative one unless ``apparent`` is false.

    Date has whole seconds, so the apparent age is taken from the whole second in which the response came: else every
    response would be born half a second old.
    """
    delay = max(response_time - request_time, 0.0)
    age: float = age_value(fields) + delay
    if apparent:
        age = max(age, int(response_time) - date_value(fields, response_time))
    return min(age, UNBOUNDED)


def expires_lifetime(fields: Fields, response_time: float) -> float:
    """Expires minus Date; 0 where Expires can't be read, ``ABSENT`` where there is none (RFC 9111 §5.3).

    Of several the first counts, unless a later one is sooner or can't be read; then the response is stale (§4.2.1).
    """
    values = fields.all(b"expires")
    if not values:
        return ABSENT
    instants = [parse_date(value, response_time) for value in values]
    first = instants[0]
    if first is None or any(instant is None or instant < first for instant in instants):
        return 0
    return min(max(first - date_value(fields, response_time), 0), UNBOUNDED)


def explicit_lifetime(fields: Fields, directives: ResponseDirectives, response_time: float) -> float:
    """What the response says itself (RFC 9111 §4.2.1); ``ABSENT`` where it says nothing."""
    if directives.s_maxage >= 0:
        return directives.s_maxage
    if directives.max_age >= 0:
        return directives.max_age
    if directives.targeted:
        return ABSENT  # RFC 9213 §2.2: then Expires is ignored as well
    return expires_lifetime(fields, response_time)


def heuristic_lifetime(
    status: int, fields: Fields, directives: ResponseDirectives, options: CacheOptions, response_time: float
) -> float:
    """A guess from Last-Modified, where RFC 9111 §4.2.2 allows one; ``ABSENT`` where it does not."""
    if not options.heuristic or not (status in HEURISTICALLY_CACHEABLE or directives.public):
        return ABSENT
    modified = fields.all(b"last-modified")
    instant = parse_date(modified[0], response_time) if modified else None
    if instant is None:
        return 0
    since = date_value(fields, response_time) - instant
    return min(max(since * options.heuristic_fraction, 0), options.heuristic_most, UNBOUNDED)


def lifetime(
    status: int, fields: Fields, directives: ResponseDirectives, options: CacheOptions, response_time: float
) -> tuple[float, Reason]:
    """The freshness lifetime, seconds, and where it comes from; ``ABSENT`` where nothing gives one."""
    explicit = explicit_lifetime(fields, directives, response_time)
    if options.ttl is not None:
        seconds, reason = max(options.ttl, 0.0), Reason.STORED_TTL
    elif explicit >= 0:
        seconds, reason = explicit, Reason.STORED_TARGETED if directives.targeted else Reason.STORED
    elif status in options.negative_statuses:
        seconds, reason = max(options.negative_ttl, 0.0), Reason.STORED_NEGATIVE
    else:
        seconds = heuristic_lifetime(status, fields, directives, options, response_time)
        reason = Reason.STORED_HEURISTIC
    if status >= 400:
        seconds = min(seconds, options.negative_most)
    return min(seconds, UNBOUNDED), reason


_FRESH_BECAUSE: Final = {
    Reason.STORED: Reason.FRESH,
    Reason.STORED_TARGETED: Reason.FRESH,
    Reason.STORED_HEURISTIC: Reason.FRESH_HEURISTIC,
    Reason.STORED_TTL: Reason.FRESH_TTL,
    Reason.STORED_NEGATIVE: Reason.FRESH_TTL,
}


class Judgement:
    """What a stored head means under a route's options. Instants are seconds of the wall clock."""

    __slots__ = (
        "born",
        "directives",
        "etag",
        "forbids_stale",
        "fresh_reason",
        "fresh_until",
        "immutable",
        "initial_age",
        "last_modified",
        "must_validate",
        "options",
        "plain_until",
        "rendered",
        "since",
        "strong",
        "use_on_error_until",
        "use_while_revalidating_until",
    )

    def __init__(self, head: StoredHead, options: CacheOptions) -> None:
        fields = head.fields
        self.options = options
        self.rendered: Any = None
        """The caller's own: what it made of the head for this route."""
        directives = response_directives(fields, options.targeted)
        self.directives = directives
        self.since = head.response_time
        self.initial_age = initial_age(fields, head.request_time, head.response_time, apparent=options.apparent_age)
        self.born = head.response_time - self.initial_age
        seconds, source = lifetime(head.status, fields, directives, options, head.response_time)
        self.fresh_until = self.born + max(seconds, 0)
        self.fresh_reason = _FRESH_BECAUSE[source]
        self.immutable = directives.immutable
        overridden = options.force and (
            directives.no_store or directives.no_cache or directives.private or _forbids_stale(directives) is not None
        )
        if overridden:
            self.fresh_reason = Reason.FRESH_FORCED

        self.must_validate: Reason | None = None
        """Why it can't be used without validation even while it is fresh."""
        if head.invalidated:
            self.must_validate = Reason.INVALIDATED
        elif directives.no_cache and not options.force:
            self.must_validate = Reason.NO_CACHE

        self.forbids_stale: Reason | None = None if options.force else _forbids_stale(directives)
        """Why it can't be used stale, whoever would accept that (RFC 9111 §4.2.4)."""
        while_revalidating, on_error = _allowances(directives, options, self.forbids_stale)
        if self.must_validate is not None:
            while_revalidating = on_error = 0
        self.use_while_revalidating_until = self.fresh_until + while_revalidating
        self.use_on_error_until = self.fresh_until + on_error

        whole = head.status != 206
        self.plain_until = self.fresh_until if whole and self.must_validate is None else NEVER
        """Until when it answers a request that wants nothing in particular."""

        self.etag = b""
        """Empty where there is none that could be validated."""
        self.last_modified = b""
        """The field as it came; empty where it is no date, or could not be validated."""
        if head.status in VALIDATED:
            self.etag = entity_tag(fields) or b""
            modified = fields.get(b"last-modified")
            if modified is not None and parse_date(modified, head.response_time) is not None:
                self.last_modified = modified
        self.strong = self.etag[:1] == b'"'

    def age(self, now: float) -> float:
        """The current_age of RFC 9111 §4.2.3, seconds. A clock that was set back makes nothing younger."""
        resident = now - self.since
        if not resident > 0:
            return self.initial_age
        age = self.initial_age + resident
        return age if age < UNBOUNDED else UNBOUNDED

    def is_fresh(self, now: float) -> bool:
        """RFC 9111 §4.2, validation aside."""
        return max(now, self.since) < self.fresh_until


def _forbids_stale(directives: ResponseDirectives) -> Reason | None:
    if directives.no_cache:
        return Reason.NO_CACHE
    if directives.must_revalidate or directives.proxy_revalidate:
        return Reason.STALE_MUST_REVALIDATE
    if directives.s_maxage >= 0:
        return Reason.STALE_S_MAXAGE
    return None


def _allowances(directives: ResponseDirectives, options: CacheOptions, forbids: Reason | None) -> tuple[float, float]:
    """Seconds beyond freshness: while a validation runs, and when the server fails (RFC 5861)."""
    own_revalidate, own_error = directives.stale_while_revalidate, directives.stale_if_error
    if forbids is Reason.STALE_S_MAXAGE and options.stale_beside_s_maxage:
        return max(own_revalidate, 0), max(own_error, 0)
    if forbids is not None:
        return 0, 0
    return (
        own_revalidate if own_revalidate >= 0 else max(options.stale_while_revalidate, 0.0),
        own_error if own_error >= 0 else max(options.stale_if_error, 0.0),
    )


def judged(head: StoredHead, options: CacheOptions) -> Judgement:
    """What a head means under these options, kept with the head."""
    found: Judgement | None = head.memo
    if found is None or found.options is not options:
        found = head.memo = Judgement(head, options)
    return found
