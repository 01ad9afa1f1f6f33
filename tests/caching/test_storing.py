"""What is stored, and which of its fields (RFC 9111 §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.decisions import Refuse, Serve, Store
from revproxy.caching.directives import response_directives
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_request, on_response
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import Content, StoredResponse
from revproxy.caching.storing import NEVER_STORED, UNDERSTOOD
from revproxy.http.fields import Fields
from tests.caching.scenes import NOW, URL, answer, controls, fields, stored

FRESH = "Cache-Control: max-age=60"
R = Reason

# response, status, request, expected reason; Store where the reason is one of STORED_*
ROWS: list[tuple[str, int, str, Reason]] = [
    # Explicit freshness stores any final status (§3).
    (FRESH, 200, "", R.STORED),
    (FRESH, 201, "", R.STORED),
    (FRESH, 204, "", R.STORED),
    (FRESH, 299, "", R.STORED),
    (FRESH, 301, "", R.STORED),
    (FRESH, 302, "", R.STORED),
    (FRESH, 303, "", R.STORED),
    (FRESH, 307, "", R.STORED),
    (FRESH, 399, "", R.STORED),
    (FRESH, 400, "", R.STORED),
    (FRESH, 401, "", R.STORED),
    (FRESH, 404, "", R.STORED),
    (FRESH, 499, "", R.STORED),
    (FRESH, 500, "", R.STORED),
    (FRESH, 503, "", R.STORED),
    (FRESH, 599, "", R.STORED),
    ("Cache-Control: s-maxage=60", 200, "", R.STORED),
    ("Expires: @60", 200, "", R.STORED),
    ("Expires: @60", 302, "", R.STORED),
    ("CDN-Cache-Control: max-age=60", 302, "", R.STORED_TARGETED),
    ("CDN-Cache-Control: max-age=60 | Cache-Control: no-store", 200, "", R.STORED_TARGETED),
    ("CDN-Cache-Control: no-store | Cache-Control: max-age=60", 200, "", R.NO_STORE),
    ("CDN-Cache-Control: none | Cache-Control: no-store", 200, "", R.NEVER_USABLE),
    # Not final (§3), or no status.
    (FRESH, 100, "", R.INTERIM),
    (FRESH, 101, "", R.INTERIM),
    (FRESH, 103, "", R.INTERIM),
    (FRESH, 199, "", R.INTERIM),
    (FRESH, 600, "", R.INVALID_STATUS),
    (FRESH, 999, "", R.INVALID_STATUS),
    (FRESH, 304, "", R.NOT_MODIFIED),
    # Those that answer one request and no other.
    *[(FRESH, status, "", R.STATUS_NOT_STORED) for status in (407, 408, 412, 416, 417, 421, 425, 428, 429, 431, 511)],
    # Heuristically cacheable statuses, and public (§3, §4.2.2; RFC 9110 §15.1).
    *[
        ("Last-Modified: @-1000", status, "", R.STORED_HEURISTIC)
        for status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
    ],
    *[
        ("Last-Modified: @-1000", status, "", R.STATUS_NOT_CACHEABLE)
        for status in (201, 202, 205, 299, 302, 303, 307, 400, 401, 403, 406, 451, 500, 502, 503, 504, 599)
    ],
    ("Last-Modified: @-1000 | Cache-Control: public", 302, "", R.STORED_HEURISTIC),
    ("Last-Modified: @-1000 | Cache-Control: private", 200, "", R.PRIVATE),
    ("Last-Modified: @-1000 | Cache-Control: foo", 200, "", R.STORED_HEURISTIC),
    # no-store, and what lifts it (§5.2.2.5, §5.2.2.3).
    ("Cache-Control: no-store", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60, no-store", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60, No-Store", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60 | Cache-Control: no-store", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60, no-store, public", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60, no-store, must-understand", 200, "", R.STORED),
    ("Cache-Control: max-age=60, no-store, must-understand", 404, "", R.STORED),
    ("Cache-Control: max-age=60, no-store, must-understand", 299, "", R.STATUS_NOT_UNDERSTOOD),
    ("Cache-Control: max-age=60, must-understand", 200, "", R.STORED),
    ("Cache-Control: max-age=60, must-understand", 299, "", R.STATUS_NOT_UNDERSTOOD),
    ("Cache-Control: max-age=60, must-understand", 499, "", R.STATUS_NOT_UNDERSTOOD),
    ("Cache-Control: max-age=60, no-store, must-understand=1", 200, "", R.NO_STORE),
    ("Cache-Control: max-age=60, no-store, must-understand, private", 200, "", R.PRIVATE),
    (FRESH, 200, "Cache-Control: no-store", R.CLIENT_NO_STORE),
    (FRESH, 200, "Cache-Control: no-store, max-age=0", R.CLIENT_NO_STORE),
    (FRESH, 200, "Cache-Control: no-cache", R.STORED),
    (FRESH, 200, "Pragma: no-cache", R.STORED),
    ("Cache-Control: max-age=60 | Pragma: no-cache", 200, "", R.STORED),
    # private (§5.2.2.7).
    ("Cache-Control: private", 200, "", R.PRIVATE),
    ("Cache-Control: private, max-age=60", 200, "", R.PRIVATE),
    ("Cache-Control: private, s-maxage=60", 200, "", R.PRIVATE),
    ("Cache-Control: private, public, max-age=60", 200, "", R.PRIVATE),
    ('Cache-Control: max-age=60, private="x"', 200, "", R.STORED),
    ('Cache-Control: max-age=60, private=""', 200, "", R.PRIVATE),
    ('Cache-Control: max-age=60, private="x", private', 200, "", R.PRIVATE),
    # Authorization (§3.5).
    (FRESH, 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Last-Modified: @-1000", 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Cache-Control: max-age=60, public", 200, "Authorization: Basic eDp5", R.STORED),
    ("Cache-Control: max-age=60, must-revalidate", 200, "Authorization: Basic eDp5", R.STORED),
    ("Cache-Control: s-maxage=60", 200, "Authorization: Basic eDp5", R.STORED),
    ("Cache-Control: max-age=60, proxy-revalidate", 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Cache-Control: max-age=60, no-cache", 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Cache-Control: max-age=60, public=x", 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Cache-Control: max-age=60, s-maxage=x", 200, "Authorization: Basic eDp5", R.AUTHORIZATION),
    ("Cache-Control: public, private, max-age=60", 200, "Authorization: Basic eDp5", R.PRIVATE),
    ("CDN-Cache-Control: max-age=60 | Cache-Control: public", 200, "Authorization: x", R.AUTHORIZATION),
    ("CDN-Cache-Control: max-age=60, public", 200, "Authorization: x", R.STORED_TARGETED),
    # Of no use: not fresh and no validator.
    ("", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=0", 200, "", R.NEVER_USABLE),
    ("Cache-Control: no-cache", 200, "", R.NEVER_USABLE),
    ("Cache-Control: no-cache, max-age=60", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=60 | Age: 60", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=60 | Age: 59", 200, "", R.STORED),
    ("Cache-Control: max-age=60 | Date: @-60", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=x", 200, "", R.NEVER_USABLE),
    ("Expires: 0", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=0 | ETag: x", 200, "", R.NEVER_USABLE),
    ("Cache-Control: max-age=0, stale-while-revalidate=5", 200, "", R.STORED_TO_VALIDATE),
    ("Cache-Control: max-age=0, stale-if-error=5", 200, "", R.STORED_TO_VALIDATE),
    ("Cache-Control: no-cache, stale-if-error=5", 200, "", R.NEVER_USABLE),
    # Not fresh, but a validator spares the content (§4.3).
    ('ETag: "a"', 200, "", R.STORED_TO_VALIDATE),
    ('ETag: W/"a"', 200, "", R.STORED_TO_VALIDATE),
    ('Cache-Control: no-cache | ETag: "a"', 200, "", R.STORED_TO_VALIDATE),
    ('Cache-Control: max-age=0 | ETag: "a"', 200, "", R.STORED_TO_VALIDATE),
    ("Cache-Control: max-age=0 | Last-Modified: @-5", 200, "", R.STORED_TO_VALIDATE),
    ('ETag: "a"', 302, "", R.STATUS_NOT_CACHEABLE),
    ('ETag: "a"', 203, "", R.STORED_TO_VALIDATE),
    # ... but only where a 304 could come (RFC 9110 §15.4.5).
    ('ETag: "a"', 404, "", R.NEVER_USABLE),
    ('Cache-Control: no-cache | ETag: "a"', 301, "", R.NEVER_USABLE),
    # Set-Cookie (§7.3).
    ("Cache-Control: max-age=60 | Set-Cookie: a=b", 200, "", R.STORED),
    ("Expires: @60 | Set-Cookie: a=b", 200, "", R.STORED),
    ("Last-Modified: @-1000 | Set-Cookie: a=b", 200, "", R.SET_COOKIE),
    ('ETag: "a" | Set-Cookie: a=b', 200, "", R.SET_COOKIE),
    ('Cache-Control: max-age=0 | ETag: "a" | Set-Cookie: a=b', 200, "", R.STORED_TO_VALIDATE),
    ("Set-Cookie: a=b", 200, "", R.SET_COOKIE),
    ("Set-Cookie: a=b", 302, "", R.STATUS_NOT_CACHEABLE),
    # Those that say nothing at all.
    ("Content-Type: text/html", 404, "", R.NEVER_USABLE),
    ("Content-Type: text/html", 302, "", R.STATUS_NOT_CACHEABLE),
    ("Content-Type: text/html", 200, "Authorization: x", R.AUTHORIZATION),
    ("Content-Type: text/html", 206, "", R.RANGE_NOT_UNDERSTOOD),
    ('Last-Modified: @-1000 | Set-Cookie: a=b | Cache-Control: private="set-cookie"', 200, "", R.STORED_HEURISTIC),
    ('Last-Modified: @-1000 | Set-Cookie: a=b | Cache-Control: no-cache="set-cookie"', 200, "", R.STORED_HEURISTIC),
    # Vary (§4.1).
    ("Cache-Control: max-age=60 | Vary: *", 200, "", R.VARY_ANY),
    ("Cache-Control: max-age=60 | Vary: Accept, *", 200, "", R.VARY_ANY),
    ("Cache-Control: max-age=60 | Vary: Accept | Vary: *", 200, "", R.VARY_ANY),
    ("Cache-Control: max-age=60 | Vary: Accept", 200, "Accept: x", R.STORED),
    ("Cache-Control: max-age=60 | Vary: X", 200, f"X: {'x' * 9000}", R.VARY_OVERSIZED),
    # Requests that are no part of the key's meaning.
    (FRESH, 200, "Content-Length: 5", R.REQUEST_CONTENT),
    (FRESH, 200, "Transfer-Encoding: chunked", R.REQUEST_CONTENT),
    (FRESH, 200, "Content-Length: 0", R.STORED),
    (FRESH, 200, "Upgrade: websocket", R.UPGRADE),
    # Labels that a purge would not find.
    (f"Cache-Control: max-age=60 | Surrogate-Key: {'k' * 2000}", 200, "", R.LABELS_EXCESS),
]


@pytest.mark.parametrize(("response", "status", "request_fields", "reason"), ROWS)
def test_what_is_stored(response: str, status: int, request_fields: str, reason: Reason) -> None:
    decision = answer(response, status, request=request_fields)
    assert decision.reason is reason
    assert isinstance(decision, Store) is reason.name.startswith("STORED")


STRONG = '| ETag: "a"'


@pytest.mark.parametrize(
    ("response", "request_fields", "reason", "place"),
    [
        # 206 (§3.3; RFC 9110 §15.3.7, §14.4): where the part lies and how long the whole is.
        (f"{FRESH} | Content-Range: bytes 0-4/10 {STRONG}", "Range: bytes=0-4", R.STORED_PARTIAL, (0, 10)),
        (f"{FRESH} | Content-Range: bytes 5-9/10", "Range: bytes=-5", R.STORED_PARTIAL, (5, 10)),
        (f"{FRESH} | Content-Range: bytes 5-9/*", "Range: bytes=5-9", R.STORED_PARTIAL, (5, -1)),
        (f"{FRESH} | Content-Range: BYTES 5-9/10", "Range: bytes=5-9", R.STORED_PARTIAL, (5, 10)),
        (f"{FRESH} | Content-Range: items 5-9/10", "Range: items=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (f"{FRESH} | Content-Range: bytes 9-5/10", "Range: bytes=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (f"{FRESH} | Content-Range: bytes 5-10/10", "Range: bytes=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (f"{FRESH} | Content-Range: bytes */10", "Range: bytes=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (f"{FRESH} | Content-Range: x", "Range: bytes=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (FRESH, "Range: bytes=5-9", R.RANGE_NOT_UNDERSTOOD, None),
        (
            f"{FRESH} | Content-Range: bytes 0-4/10 | Content-Range: bytes 5-9/10",
            "Range: bytes=0-9",
            R.RANGE_NOT_UNDERSTOOD,
            None,
        ),
        (
            f"{FRESH} | Content-Type: Multipart/ByteRanges; boundary=x | Content-Range: bytes 0-4/10",
            "Range: bytes=0-4",
            R.RANGE_NOT_UNDERSTOOD,
            None,
        ),
        (f"{FRESH} | Content-Range: bytes 0-4/10 {STRONG}", 'Range: bytes=0-4 | If-Range: "a"', R.IF_RANGE, None),
        # A part that nobody asked for.
        (f"{FRESH} | Content-Range: bytes 0-4/10", "", R.RANGE_NOT_UNDERSTOOD, None),
        ("Cache-Control: no-store | Content-Range: bytes 0-4/10", "Range: bytes=0-4", R.NO_STORE, None),
        ("Content-Range: bytes 0-4/10", "Range: bytes=0-4", R.NEVER_USABLE, None),
    ],
)
def test_parts(response: str, request_fields: str, reason: Reason, place: tuple[int, int] | None) -> None:
    decision = answer(response, 206, request=request_fields)
    assert decision.reason is reason
    if place is None:
        assert isinstance(decision, Refuse)
    else:
        assert isinstance(decision, Store)
        assert (decision.head.first, decision.head.total, decision.head.status) == (*place, 206)
        assert b"content-range" not in decision.head.fields


def test_parts_can_be_left_alone() -> None:
    response = f"{FRESH} | Content-Range: bytes 0-4/10"
    decision = answer(response, 206, request="Range: bytes=0-4", options=CacheOptions(partial=False))
    assert decision.reason is R.RANGE_NOT_UNDERSTOOD


@pytest.mark.parametrize(
    ("method", "response", "status", "reason"),
    [
        # RFC 9110 §9.3: only GET, HEAD and POST are ever cacheable.
        (b"HEAD", FRESH, 200, R.HEAD),
        *[
            (method, FRESH, 200, R.METHOD_NOT_STORED)
            for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND", b"get", b"FOO")
        ],
        # POST (§9.3.3): explicit freshness and its own target in Content-Location.
        (b"POST", f"{FRESH} | Content-Location: /a?b", 200, R.STORED),
        (b"POST", f"{FRESH} | Content-Location: https://example.com/a?b", 200, R.STORED),
        (b"POST", f"{FRESH} | Content-Location: ?b", 200, R.STORED),
        (b"POST", f"{FRESH} | Content-Location: a?b#c", 200, R.STORED),
        (b"POST", "Expires: @60 | Content-Location: /a?b", 200, R.STORED),
        (b"POST", f"{FRESH} | Content-Location: /a", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: /A?b", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: http://example.com/a?b", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: //other.com/a?b", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: http://[x", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: /a?b | Content-Location: /a?b", 200, R.POST),
        (b"POST", FRESH, 200, R.POST),
        (b"POST", "Last-Modified: @-1000 | Content-Location: /a?b", 200, R.POST),
        (b"POST", "Cache-Control: public | Content-Location: /a?b", 200, R.POST),
        (b"POST", f"{FRESH} | Content-Location: /a?b", 201, R.POST),
        (b"POST", f"{FRESH} | Content-Location: /a?b", 404, R.POST),
        (b"POST", "Cache-Control: no-store, max-age=5 | Content-Location: /a?b", 200, R.NO_STORE),
    ],
)
def test_methods(method: bytes, response: str, status: int, reason: Reason) -> None:
    decision = answer(response, status, method=method, request="Content-Length: 3")
    assert decision.reason is reason
    assert isinstance(decision, Store) or not decision.outdated


@pytest.mark.parametrize(
    ("response", "status", "request_fields", "options", "reason"),
    [
        # ttl gives time, and takes no prohibition away.
        ("", 200, "", {"ttl": 60.0}, R.STORED_TTL),
        ("", 302, "", {"ttl": 60.0}, R.STORED_TTL),
        ("Cache-Control: max-age=0", 200, "", {"ttl": 60.0}, R.STORED_TTL),
        ("Cache-Control: no-store", 200, "", {"ttl": 60.0}, R.NO_STORE),
        ("Cache-Control: private", 200, "", {"ttl": 60.0}, R.PRIVATE),
        ("Cache-Control: no-cache", 200, "", {"ttl": 60.0}, R.NEVER_USABLE),
        # force does, but not of Authorization, Vary, or what the client wants.
        ("Cache-Control: no-store", 200, "", {"ttl": 60.0, "force": True}, R.STORED_FORCED),
        ("Cache-Control: private, max-age=5", 200, "", {"force": True}, R.STORED_FORCED),
        ("Cache-Control: no-cache, max-age=5", 200, "", {"force": True}, R.STORED_FORCED),
        ("Cache-Control: max-age=5", 200, "", {"force": True}, R.STORED),
        ("Cache-Control: no-store", 200, "", {"force": True}, R.NEVER_USABLE),
        ("Cache-Control: no-store", 200, "Authorization: x", {"ttl": 60.0, "force": True}, R.AUTHORIZATION),
        ("", 200, "Authorization: x", {"ttl": 60.0, "force": True}, R.AUTHORIZATION),
        ("Vary: *", 200, "", {"ttl": 60.0, "force": True}, R.VARY_ANY),
        ("", 200, "Cache-Control: no-store", {"ttl": 60.0, "force": True}, R.CLIENT_NO_STORE),
        ("", 416, "", {"ttl": 60.0, "force": True}, R.STATUS_NOT_STORED),
        ("Cache-Control: must-understand", 299, "", {"ttl": 60.0, "force": True}, R.STATUS_NOT_UNDERSTOOD),
        # Negative caching.
        ("", 503, "", {"negative_statuses": frozenset({503})}, R.STORED_NEGATIVE),
        ("", 404, "", {"negative_statuses": frozenset({404})}, R.STORED_NEGATIVE),
        ("", 502, "", {"negative_statuses": frozenset({503})}, R.STATUS_NOT_CACHEABLE),
        ("Cache-Control: no-store", 503, "", {"negative_statuses": frozenset({503})}, R.NO_STORE),
        ("Set-Cookie: a", 503, "", {"negative_statuses": frozenset({503})}, R.SET_COOKIE),
        # Cookies.
        (f"{FRESH} | Set-Cookie: a", 200, "", {"set_cookie": "never"}, R.SET_COOKIE_NEVER),
        (FRESH, 200, "", {"set_cookie": "never"}, R.STORED),
        ("Last-Modified: @-1000 | Set-Cookie: a", 200, "", {"set_cookie": "strip"}, R.STORED_HEURISTIC),
        ("Last-Modified: @-1000 | Set-Cookie: a", 200, "", {"set_cookie": "always"}, R.STORED_HEURISTIC),
        # Bypasses.
        (FRESH, 200, "Cookie: sid=1", {"bypass_cookies": frozenset({b"sid"})}, R.BYPASS_COOKIE),
        (FRESH, 200, "Cookie: aid=1", {"bypass_cookies": frozenset({b"sid"})}, R.STORED),
        (FRESH, 200, "X-Debug: 1", {"bypass_headers": frozenset({b"x-debug"})}, R.BYPASS_HEADER),
        # Size.
        (f"{FRESH} | Content-Length: 11", 200, "", {"largest": 10}, R.TOO_LARGE),
        (f"{FRESH} | Content-Length: 10", 200, "", {"largest": 10}, R.STORED),
        (FRESH, 200, "", {"largest": 10}, R.STORED),
        (f"{FRESH} | Content-Length: 1", 200, "", {"largest": 0}, R.TOO_LARGE),
        (f"{FRESH} | Content-Length: 0", 200, "", {"largest": 0}, R.STORED),
        (f"{FRESH} | Content-Range: bytes 0-10/99", 206, "Range: bytes=0-10", {"largest": 10}, R.TOO_LARGE),
        (f"{FRESH} | Content-Range: bytes 0-9/99", 206, "Range: bytes=0-9", {"largest": 10}, R.STORED_PARTIAL),
        # Other options.
        ("Last-Modified: @-1000", 200, "", {"heuristic": False}, R.STORED_TO_VALIDATE),
        ("CDN-Cache-Control: no-store | Cache-Control: max-age=5", 200, "", {"targeted": ()}, R.STORED),
        ("Cache-Control: max-age=60 | Date: @-90", 200, "", {"apparent_age": False}, R.STORED),
    ],
)
def test_options(response: str, status: int, request_fields: str, options: dict[str, object], reason: Reason) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    assert answer(response, status, request=request_fields, options=made).reason is reason


@pytest.mark.parametrize(("cookie", "reason"), [("sid=1", R.BYPASS_COOKIE), ("aid=1", R.STORED)])
def test_bypasses_hold_for_post_too(cookie: str, reason: Reason) -> None:
    """Though content, which keeps a GET out of the cache, is a POST's own."""
    options = CacheOptions(bypass_cookies=frozenset({b"sid"}))
    request = f"Content-Length: 3 | Cookie: {cookie}"
    response = f"{FRESH} | Content-Location: /a?b"
    assert answer(response, method=b"POST", request=request, options=options).reason is reason


@pytest.mark.parametrize(
    ("response", "options", "kept"),
    [
        # All fields, unknown ones too (§3.1).
        ("X-Unknown: a | Content-Type: b | ETag: c", {}, "x-unknown content-type etag"),
        ("Age: 5", {}, "age"),
        ("Set-Cookie: a=b | Set-Cookie: c=d", {}, "set-cookie set-cookie"),
        ("Trailer: x", {}, "trailer"),
        ("CDN-Cache-Control: max-age=60", {}, "cdn-cache-control"),
        # Not those that end at the connection (RFC 9110 §7.6.1), nor the framing.
        ("Connection: x-a, close | X-A: 1 | X-B: 2", {}, "x-b"),
        ("Connection: X-A | Connection: X-B | X-A: 1 | X-B: 2 | X-C: 3", {}, "x-c"),
        ("Keep-Alive: a | TE: a | Upgrade: a | Proxy-Connection: a", {}, ""),
        ("Transfer-Encoding: chunked", {}, ""),
        ("Content-Length: 5", {}, ""),
        # Not those of a proxy (§3.1).
        ("Proxy-Authenticate: a | Proxy-Authentication-Info: b | Proxy-Authorization: c", {}, ""),
        # Connection can't take away what the response is judged by.
        ("Connection: etag, vary, date | ETag: a | Vary: b", {}, "etag vary"),
        # no-cache and private with names (§5.2.2.4, §5.2.2.7).
        ('Cache-Control: private="X-A, set-cookie" | X-A: 1 | Set-Cookie: a | X-B: 2', {}, "cache-control x-b"),
        ('Cache-Control: no-cache="X-A" | X-A: 1 | X-B: 2', {}, "cache-control x-b"),
        # Cookies, as the route says.
        ("Set-Cookie: a", {"set_cookie": "strip"}, ""),
        ("Set-Cookie: a", {"set_cookie": "always"}, "set-cookie"),
        ("Set-Cookie: a", {"ttl": 60.0}, ""),
        ("Set-Cookie: a", {"ttl": 60.0, "set_cookie": "always"}, "set-cookie"),
        ("Set-Cookie: a", {"force": True}, ""),
    ],
)
def test_which_fields_are_stored(response: str, options: dict[str, object], kept: str) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    decision = answer(f"Expires: @60 | Cache-Control: max-age=60 | Date: @0 | {response}", options=made)
    assert isinstance(decision, Store)
    names = [line[0].decode() for line in decision.head.fields.lines]
    assert names[:3] == ["expires", "cache-control", "date"]
    assert names[3:] == kept.split()


def test_fields_keep_their_order_and_their_writing() -> None:
    decision = answer(f"X-b: 1 | {FRESH} | x-B: 2")
    assert isinstance(decision, Store)
    assert [(name, value) for _, name, value in decision.head.fields.lines][::2] == [(b"X-b", b"1"), (b"x-B", b"2")]


def test_a_response_without_date_gets_one() -> None:
    """RFC 9110 §6.6.1."""
    decision = answer(FRESH)
    assert isinstance(decision, Store)
    assert decision.head.fields.get(b"date") == b"Fri, 15 Jan 2027 08:00:00 GMT"


def test_the_head_that_is_stored() -> None:
    response = fields(f'{FRESH} | Vary: Accept | Content-Length: 5 | Surrogate-Key: a b | Cache-Groups: "g" | Age: 3')
    decision = on_response(
        b"GET", controls("Accept: x"), 200, response, DEFAULT_OPTIONS, NOW - 2, NOW, key=b"k", url=URL, reason=b"Yes"
    )
    assert isinstance(decision, Store)
    found = decision.head
    assert (found.key, found.url, found.method, found.status, found.reason) == (b"k", URL, b"GET", 200, b"Yes")
    assert (found.request_time, found.response_time) == (NOW - 2, NOW)
    assert (found.first, found.total, found.invalidated) == (0, 5, False)
    assert found.selecting == ((b"accept", b"x"),)
    assert (found.tags, found.groups) == (frozenset({b"a", b"b"}), frozenset({b"g"}))
    # 3 seconds old when it was asked for, which was 2 seconds ago.
    assert decision.ttl == 55


@pytest.mark.parametrize(
    ("status", "method", "outdated"),
    [
        (200, b"GET", True),
        (302, b"GET", True),
        (404, b"GET", True),
        (410, b"GET", True),
        (206, b"GET", False),
        (304, b"GET", False),
        (400, b"GET", False),
        (403, b"GET", False),
        (429, b"GET", False),
        (500, b"GET", False),
        (503, b"GET", False),
        (200, b"HEAD", False),
        (200, b"POST", False),
    ],
)
def test_what_shows_that_the_stored_response_is_out_of_date(status: int, method: bytes, outdated: bool) -> None:
    """RFC 9111 §4.3.3."""
    decision = answer("Cache-Control: no-store", status, method=method)
    assert isinstance(decision, Refuse)
    assert decision.outdated is outdated
    for response, request in (("Cache-Control: private", ""), ("", "Authorization: x")):
        one_users = answer(response, status, method=method, request=request)
        assert isinstance(one_users, Refuse)
        assert not one_users.outdated


@pytest.mark.parametrize(
    ("old", "new", "after", "kept"),
    [
        # A part of what is whole, fresh, and the same as far as anybody can tell (§3.4).
        ('ETag: "a"', 'ETag: "a"', 0, True),
        ('ETag: "a"', 'ETag: W/"a"', 0, True),
        ("", "", 0, True),
        ('ETag: "a"', "", 0, True),
        ("", 'ETag: "a"', 0, True),
        ("Last-Modified: @-9", "Last-Modified: @-9", 0, True),
        ("Last-Modified: @-9", "", 0, True),
        # Another representation, or one that is stale, gives way.
        ('ETag: "a"', 'ETag: "b"', 0, False),
        ("Last-Modified: @-9", "Last-Modified: @-8", 0, False),
        ('ETag: "a"', 'ETag: "a"', 60, False),
        ("Cache-Control: no-cache", "", 0, False),
    ],
)
def test_a_part_does_not_take_the_place_of_the_whole(old: str, new: str, after: float, kept: bool) -> None:
    whole = stored(f"{FRESH} | {old}", at=NOW - after)
    response = fields(f"{FRESH} | {new} | Content-Range: bytes 0-4/10")
    decision = on_response(
        b"GET",
        controls("Range: bytes=0-4"),
        206,
        response,
        DEFAULT_OPTIONS,
        NOW,
        NOW,
        key=b"",
        url=URL,
        selected=[whole],
    )
    assert decision.reason is (R.WHOLE_STORED if kept else R.STORED_PARTIAL)


def test_a_part_takes_the_place_of_a_part() -> None:
    part = stored(f"{FRESH} | Content-Range: bytes 0-1/10", 206, total=10)
    response = fields(f"{FRESH} | Content-Range: bytes 0-4/10")
    decision = on_response(
        b"GET",
        controls("Range: bytes=0-4"),
        206,
        response,
        DEFAULT_OPTIONS,
        NOW,
        NOW,
        key=b"",
        url=URL,
        selected=[part],
    )
    assert decision.reason is R.STORED_PARTIAL


def test_every_understood_status_is_final() -> None:
    assert all(200 <= status < 600 for status in UNDERSTOOD)


def test_every_reason_tells_where_it_comes_from() -> None:
    for reason in Reason:
        assert reason.detail == reason.detail.strip().lower()
        assert set(reason.detail) <= set("abcdefghijklmnopqrstuvwxyz-")
        assert reason.source.startswith(("RFC ", "cache.", "a bound")), reason
        assert not reason.sentence.endswith("."), reason
        assert reason.forward in (
            "",
            "bypass",
            "method",
            "uri-miss",
            "vary-miss",
            "miss",
            "request",
            "stale",
            "partial",
        )
    assert Reason.SET_COOKIE.explain() == (
        "Set-Cookie and no explicit freshness, RFC 9111 §3 and §7.3; set cache.ttl or send s-maxage"
    )
    assert Reason.FRESH.explain() == "the stored response is fresh, RFC 9111 §4.2"


def test_no_lines_at_all() -> None:
    empty = Fields()
    found = on_response(b"GET", controls(), 200, empty, CacheOptions(ttl=1.0), NOW, NOW, key=b"", url=b"")
    assert isinstance(found, Store)


RESPONSES = st.lists(
    st.sampled_from([
        "Cache-Control: max-age=20", "Cache-Control: s-maxage=10", "Cache-Control: no-cache", "Expires: @30",
        "Cache-Control: no-store", "Cache-Control: private", 'Cache-Control: private="x"', "Cache-Control: public",
        "Cache-Control: must-understand", "Cache-Control: must-revalidate", "Cache-Control: stale-if-error=9",
        "Last-Modified: @-50", 'ETag: "a"', "Age: 15", "CDN-Cache-Control: max-age=7", "CDN-Cache-Control: no-store",
        "Set-Cookie: a=b", "Vary: A", "Vary: *", "X: 1", "Connection: y", "Y: 2", "Content-Range: bytes 0-4/10",
        "Expires: 0", "Cache-Control: max-age=x",
    ]),
    max_size=6,
).map(" | ".join)  # fmt: skip
REQUESTS = st.lists(
    st.sampled_from(["Authorization: x", "Cache-Control: no-store", "Range: bytes=0-4", "A: 1", "Content-Length: 1"]),
    max_size=2,
).map(" | ".join)
STATUSES = st.sampled_from([100, 200, 206, 299, 302, 304, 404, 412, 416, 500, 503, 599, 600])


@given(RESPONSES, STATUSES, REQUESTS)
def test_any_response_to_any_request(response: str, status: int, request: str) -> None:
    decision = answer(response, status, request=request)
    if isinstance(decision, Refuse):
        return
    said, asked, found = (
        response_directives(fields(response), (b"cdn-cache-control",)),
        controls(request),
        decision.head,
    )
    assert 200 <= status < 600
    assert status not in NEVER_STORED
    assert not said.private
    assert not said.no_store or (said.must_understand and status in UNDERSTOOD)
    assert said.shareable or not asked.authorized
    assert not asked.no_store
    assert not asked.has_content
    assert (status == 206) <= asked.ranged
    names = set(found.fields.names())
    assert names.isdisjoint({b"connection", b"content-range"})
    assert b"y" not in names or "Connection: y" not in response
    assert b"x" not in names or b"x" not in said.private_fields
    assert b"date" in names
    # What is stored is then used, or validated, as the decision said.
    if status != 206:
        one = StoredResponse(found, Content(b"x", 1))
        later = on_request(b"GET", controls("A: 1" if "A: 1" in request else ""), [one], [one], DEFAULT_OPTIONS, NOW)
        assert isinstance(later, Serve) is (decision.ttl > 0)
