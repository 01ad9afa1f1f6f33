"""Whether a response is stored, and which of its fields (RFC 9111 §3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin

from revproxy.caching.controls import RequestControls, bypassing_cookie
from revproxy.caching.decisions import Refuse, Store
from revproxy.caching.directives import NO_RESPONSE_DIRECTIVES, ResponseDirectives, response_directives
from revproxy.caching.freshness import HEURISTICALLY_CACHEABLE, explicit_lifetime, judged, lifetime
from revproxy.caching.groups import labels_of
from revproxy.caching.options import CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.vary import oversized, selecting_of
from revproxy.http.dates import format_date
from revproxy.http.fields import FRAMING, HOP_BY_HOP, Fields, Line
from revproxy.http.ranges import parse_content_range
from revproxy.http.validators import entity_tag, last_modified, weak_match

UNDERSTOOD: Final = frozenset(
    {
        200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409,
        410, 411, 413, 414, 415, 422, 426, 500, 501, 502, 503, 504, 505,
    }
)  # fmt: skip
"""Statuses whose caching requirements are kept here (RFC 9111 §3, §5.2.2.3): those of RFC 9110 §15."""

NEVER_STORED: Final = frozenset({407, 408, 412, 416, 417, 421, 425, 428, 429, 431, 511})
"""Statuses that answer one request or one connection: its credentials, preconditions, range, expectation, early data,
rate or size (RFC 9110 §15.5; RFC 6585 forbids to store 428, 429, 431 and 511). Whoever provokes one could otherwise
have it sent to everybody."""

STATE: Final = frozenset({404, 410})
"""Errors that tell of the resource as 2xx and 3xx do: with them what was stored is out of date."""

_NOT_KEPT: Final = HOP_BY_HOP | FRAMING | {b"content-range"}
# RFC 9110 §7.6.1: these are meant for every recipient, so naming them in Connection is an error of the server. They
# are what a stored response is judged by.
_NEVER_HOP_BY_HOP: Final = frozenset(
    {b"age", b"cache-control", b"date", b"etag", b"expires", b"last-modified", b"vary", b"content-type"}
)


_SPEAKING: Final = frozenset({b"etag", b"expires", b"last-modified", b"set-cookie"})
"""A response without Cache-Control and without any of these is never fresh and can't be validated."""


def refused_request(controls: RequestControls, options: CacheOptions) -> Reason | None:
    """Why a GET or HEAD request neither reads nor writes the cache, by its fields alone."""
    if controls.upgrades:
        return Reason.UPGRADE
    if options.bypasses:
        fields = controls.fields
        if any(name in fields for name in options.bypass_headers):
            return Reason.BYPASS_HEADER
        if options.bypass_cookies and bypassing_cookie(fields, options.bypass_cookies):
            return Reason.BYPASS_COOKIE
    # Last, since it is the one that does not hold for POST.
    return Reason.REQUEST_CONTENT if controls.has_content else None


def on_response(
    method: bytes,
    controls: RequestControls,
    status: int,
    fields: Fields,
    options: CacheOptions,
    request_time: float,
    response_time: float,
    *,
    key: bytes,
    url: bytes,
    reason: bytes = b"",
    selected: Sequence[StoredResponse] = (),
) -> Store | Refuse:
    """Decides about any final response's storing; the request is the client's as it came.

    ``key`` and ``url`` are the stored head's; ``selected`` is what is stored already and selected by the request. The
    caller sees to it that content is stored only if it is complete, and as many octets as Content-Length and
    Content-Range tell; see ``partial.as_incomplete`` for the rest. The head of a whole response has ``total`` where
    Content-Length tells it; once it is stored, its content's size does.
    """
    refusal = _refused(method, controls, status, options)
    if refusal is not None:
        return Refuse(refusal, outdates(method, status))
    directives = response_directives(fields, options.targeted)
    if directives is NO_RESPONSE_DIRECTIVES and _SPEAKING.isdisjoint(fields.names()) and not options.grants:
        # What most pages of applications are like. They would be refused below as well, after much arithmetic.
        silent = status in HEURISTICALLY_CACHEABLE and not controls.authorized and method == b"GET"
        if silent and status != 206:
            return Refuse(Reason.NEVER_USABLE, outdates(method, status))
    forbidden = _forbidden(status, directives, controls)
    if forbidden is not None and not (options.force and forbidden in _FORCED):
        return Refuse(forbidden, forbidden not in _FOR_ONE_USER and outdates(method, status))
    seconds, source = lifetime(status, fields, directives, options, response_time)
    if method == b"POST" and not _is_post_stored(status, fields, directives, url, response_time):
        return Refuse(Reason.POST, False)
    if seconds < 0 and not (directives.public or status in HEURISTICALLY_CACHEABLE):
        return Refuse(Reason.STATUS_NOT_CACHEABLE, outdates(method, status))

    kept = storable_fields(fields, directives, response_time)
    cookies = cookie_policy(kept, directives, options, response_time)
    if isinstance(cookies, Reason):
        return Refuse(cookies, outdates(method, status))
    first, total = 0, _content_length(fields)
    if status == 206:
        extent = _extent(fields) if controls.ranged and options.partial else None
        if extent is None:
            return Refuse(Reason.RANGE_NOT_UNDERSTOOD, False)
        # RFC 9110 §15.3.7: its sender may leave out what the client has already, such as Content-Type.
        if b"if-range" in controls.fields:
            return Refuse(Reason.IF_RANGE, False)
        first, total, length = extent
        if any(_is_still_whole(stored, fields, options, response_time) for stored in selected):
            return Refuse(Reason.WHOLE_STORED, False)
    else:
        length = total
    if 0 <= options.largest < length:
        return Refuse(Reason.TOO_LARGE, outdates(method, status))

    selecting = selecting_of(fields.get(b"vary"), controls.fields)
    if any(name == b"*" for name, _ in selecting):
        return Refuse(Reason.VARY_ANY, outdates(method, status))
    if oversized(selecting):
        return Refuse(Reason.VARY_OVERSIZED, outdates(method, status))
    labels = labels_of(fields)
    if labels.is_excessive:
        return Refuse(Reason.LABELS_EXCESS, outdates(method, status))

    head = StoredHead(
        key,
        status,
        cookies,
        request_time=request_time,
        response_time=response_time,
        url=url,
        method=method,
        reason=reason,
        selecting=selecting,
        first=first,
        total=total,
        tags=labels.tags,
        groups=labels.groups,
    )
    judgement = judged(head, options)
    fresh_for = stale_for = 0.0
    if judgement.must_validate is None:
        fresh_for = judgement.fresh_until - response_time
        stale_for = max(judgement.use_while_revalidating_until, judgement.use_on_error_until) - response_time
    if fresh_for <= 0:
        if stale_for <= 0 and not (judgement.etag or judgement.last_modified):
            return Refuse(Reason.NEVER_USABLE, outdates(method, status))
        source = Reason.STORED_TO_VALIDATE
    if judgement.fresh_reason is Reason.FRESH_FORCED:
        source = Reason.STORED_FORCED
    elif status == 206:
        source = Reason.STORED_PARTIAL
    return Store(head, int(fresh_for), source)


def _refused(method: bytes, controls: RequestControls, status: int, options: CacheOptions) -> Reason | None:
    """What the request and the status alone rule out."""
    if status < 200:
        return Reason.INTERIM
    if status > 599:
        return Reason.INVALID_STATUS
    if status == 304:
        return Reason.NOT_MODIFIED
    if method == b"HEAD":
        return Reason.HEAD
    if method != b"GET" and method != b"POST":
        return Reason.METHOD_NOT_STORED
    if controls.no_store:
        return Reason.CLIENT_NO_STORE
    if status in NEVER_STORED:
        return Reason.STATUS_NOT_STORED
    refusal = refused_request(controls, options)
    return None if method == b"POST" and refusal is Reason.REQUEST_CONTENT else refusal


_FORCED: Final = frozenset({Reason.NO_STORE, Reason.PRIVATE})
_FOR_ONE_USER: Final = frozenset({Reason.AUTHORIZATION, Reason.PRIVATE})
"""What one user is answered tells nothing of what is stored for all."""


def _forbidden(status: int, directives: ResponseDirectives, controls: RequestControls) -> Reason | None:
    """RFC 9111 §3. Authorization comes first: it is what no option overrides."""
    if controls.authorized and not directives.shareable:
        return Reason.AUTHORIZATION
    return forbids_storing(status, directives)


def forbids_storing(status: int, directives: ResponseDirectives) -> Reason | None:
    """Why the directives of a response forbid a shared cache to store it (RFC 9111 §3)."""
    if directives.must_understand and status not in UNDERSTOOD:
        return Reason.STATUS_NOT_UNDERSTOOD
    # §5.2.2.3: must-understand lifts no-store where the status is understood.
    if directives.no_store and not directives.must_understand:
        return Reason.NO_STORE
    if directives.private:
        return Reason.PRIVATE
    return None


def _is_post_stored(
    status: int, fields: Fields, directives: ResponseDirectives, url: bytes, response_time: float
) -> bool:
    """RFC 9110 §9.3.3. Only of a 200 is the content a representation that a later GET can be answered with."""
    location = fields.all(b"content-location")
    return (
        status == 200
        and explicit_lifetime(fields, directives, response_time) >= 0
        and len(location) == 1
        and resolved(url, location[0]) == url
    )


def resolved(url: bytes, reference: bytes) -> bytes:
    """The absolute URL, without fragment, that a reference in a response for ``url`` means; empty where there is none
    (RFC 9110 §10.2.2)."""
    try:
        joined = urljoin(url.decode("latin-1"), reference.decode("latin-1"))
    except ValueError:  # such as an IPv6 address whose bracket never closes
        return b""
    return joined.partition("#")[0].encode("latin-1")


def outdates(method: bytes, status: int) -> bool:
    """Whether an answer that is not stored shows that what is stored is no longer the resource's state."""
    return method == b"GET" and (200 <= status < 304 or 304 < status < 400 or status in STATE) and status != 206


def _content_length(fields: Fields) -> int:
    value = fields.get(b"content-length")
    return int(value) if value is not None and value.isdigit() and len(value) < 19 else -1


def _extent(fields: Fields) -> tuple[int, int, int] | None:
    """Of a 206 of one part: its first octet, the octets of the whole (negative: unknown), its length. None where it
    can't be kept as a part (RFC 9110 §14.4, §15.3.7)."""
    if fields.is_repeated(b"content-range"):
        return None
    content_type = fields.get(b"content-type") or b""
    if content_type.partition(b";")[0].strip(b" \t").lower() == b"multipart/byteranges":
        return None
    found = parse_content_range(fields.get(b"content-range"))
    if found is None or found.first < 0:
        return None
    return found.first, found.total, found.last - found.first + 1


def _is_still_whole(stored: StoredResponse, new: Fields, options: CacheOptions, now: float) -> bool:
    """Whether a whole response is stored that a part must not take the place of: fresh, and by its validators no other
    representation."""
    judgement = judged(stored.head, options)
    if stored.head.status == 206 or judgement.must_validate is not None or not judgement.is_fresh(now):
        return False
    tag = entity_tag(new)
    if tag is not None and judgement.etag:
        return weak_match(tag, judgement.etag)
    modified, known = last_modified(new, now), last_modified(stored.head.fields, now)
    return modified is None or known is None or modified == known


def storable_fields(fields: Fields, directives: ResponseDirectives, response_time: float) -> Fields:
    """The fields that may be stored (RFC 9111 §3.1), with Date where there was none (RFC 9110 §6.6.1)."""
    dropped = not_kept(fields, directives)
    lines: list[Line] = [line for line in fields.lines if line[0] not in dropped]
    if b"date" not in fields:
        lines.append((b"date", b"Date", format_date(response_time)))
    return Fields(lines)


def not_kept(fields: Fields, directives: ResponseDirectives | None) -> frozenset[bytes]:
    """Names of fields that end here: hop-by-hop, framing, and with ``directives`` those named in no-cache and
    private."""
    dropped = _NOT_KEPT | (frozenset(fields.members(b"connection")) - _NEVER_HOP_BY_HOP)
    if directives is not None:
        dropped |= directives.no_cache_fields | directives.private_fields
    return dropped


def cookie_policy(
    kept: Fields, directives: ResponseDirectives, options: CacheOptions, response_time: float
) -> Fields | Reason:
    """The fields to store with Set-Cookie treated as the route says, or why the response is not stored."""
    if b"set-cookie" not in kept or options.set_cookie == "always":
        return kept
    if options.set_cookie == "never":
        return Reason.SET_COOKIE_NEVER
    if options.set_cookie == "explicit":
        explicit = explicit_lifetime(kept, directives, response_time) >= 0
        if explicit and options.ttl is None and not options.force:
            return kept
        if not explicit and options.ttl is None:
            return Reason.SET_COOKIE
    return without(kept, frozenset({b"set-cookie"}))


def without(fields: Fields, names: frozenset[bytes]) -> Fields:
    """The fields less those of some lower-case names."""
    return Fields([line for line in fields.lines if line[0] not in names])
