"""Age, lifetime, and the limits of staleness (RFC 9111 §4.2, §5.1, §5.3; RFC 5861)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.directives import ABSENT, UNBOUNDED, response_directives
from revproxy.caching.freshness import Judgement, age_value, expires_lifetime, initial_age, judged, lifetime
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead
from revproxy.http.fields import Fields
from tests.caching.scenes import NOW, fields, head


@pytest.mark.parametrize(
    ("response", "age"),
    [
        ("", 0),
        ("Age: 0", 0),
        ("Age: 7", 7),
        ("Age: 007", 7),
        ("Age: 2147483648", UNBOUNDED),
        ("Age: 99999999999999999999", UNBOUNDED),
        # Of a list, the first member (§5.1).
        ("Age: 7, 9", 7),
        ("Age: 7,9", 7),
        ("Age: 0, 9", 0),
        ("Age: 7 | Age: 9", 7),
        ("Age: 7, x", 7),
        # Invalid: ignored.
        ("Age:", 0),
        ("Age: x", 0),
        ("Age: x, 7", 0),
        ("Age: -7", 0),
        ("Age: +7", 0),
        ("Age: 7.5", 0),
        ("Age: 7s", 0),
        ("Age: 7;foo=bar", 0),
        ('Age: "7"', 0),
        ("Age: , 7", 0),
        ("Age: 7 9", 0),
    ],
)
def test_age_field(response: str, age: int) -> None:
    assert age_value(fields(response)) == age


@pytest.mark.parametrize(
    ("response", "took", "age"),
    [
        ("Date: @0", 0, 0),
        ("Date: @-60", 0, 60),
        ("Date: @60", 0, 0),
        ("Date: @-60 | Age: 20", 0, 60),
        ("Date: @-60 | Age: 100", 0, 100),
        ("Date: @-60 | Age: 50", 15, 65),
        # The age counts from when the request was sent (§4.2.3).
        ("Date: @0", 3, 3),
        ("Date: @0 | Age: 10", 3, 13),
        # A clock that was set back while waiting.
        ("Date: @0 | Age: 10", -3, 10),
        ("Age: 10", 0, 10),
        ("Date: x | Age: 10", 0, 10),
        ("Date: x", 0, 0),
        ("Date: @-60 | Date: @-90", 0, 60),
        ("Date: Thu, 01 Jan 1970 00:00:00 GMT", 0, NOW),
        ("Date: Fri, 31 Dec 9999 23:59:59 GMT", 0, 0),
        ("Age: 99999999999", 100, UNBOUNDED),
        ("Date: @0", 1e12, UNBOUNDED),
    ],
)
def test_initial_age(response: str, took: float, age: float) -> None:
    assert initial_age(fields(response), NOW - took, NOW) == age


def test_a_date_in_the_same_second_makes_no_age() -> None:
    assert initial_age(fields("Date: @0"), NOW + 0.9, NOW + 0.9) == 0


def test_clocks_of_servers_can_be_distrusted() -> None:
    assert initial_age(fields("Date: @-60 | Age: 5"), NOW, NOW, apparent=False) == 5


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        ("", ABSENT),
        ("Expires: @60", 60),
        ("Date: @0 | Expires: @60", 60),
        # By the server's own clock (§4.2.1).
        ("Date: @-100 | Expires: @60", 160),
        ("Date: @100 | Expires: @60", 0),
        ("Date: x | Expires: @60", 60),
        ("Expires: @-60", 0),
        ("Expires: @0", 0),
        ("Expires: 0", 0),
        ("Expires: -1", 0),
        ("Expires:", 0),
        ("Expires: never", 0),
        ("Expires: 3600", 0),
        ("Expires: Tue, 15 Jan 2030 00:00:00 UTC", 0),
        ("Expires: Tue, 15 Jan 2030 00:00:00 +0000", 0),
        ("Expires: Tuesday, 15-Jan-30 00:00:00 GMT", 1894665600 - NOW),
        ("Expires: Fri, 31 Dec 9999 23:59:59 GMT", UNBOUNDED),
        ("Expires: Thu, 01 Jan 1970 00:00:00 GMT", 0),
        # Two: the first, or stale.
        ("Expires: @60 | Expires: @60", 60),
        ("Expires: @60 | Expires: @90", 60),
        ("Expires: @90 | Expires: @60", 0),
        ("Expires: @60 | Expires: 0", 0),
        ("Expires: 0 | Expires: @60", 0),
    ],
)
def test_expires(response: str, seconds: float) -> None:
    assert expires_lifetime(fields(response), NOW) == seconds


MONTH = 30 * 86400
TARGETED, HEURISTIC = Reason.STORED_TARGETED, Reason.STORED_HEURISTIC


@pytest.mark.parametrize(
    ("response", "status", "options", "expected"),
    [
        # s-maxage, then max-age, then Expires (§4.2.1, §5.3).
        ("Cache-Control: max-age=60", 200, {}, (60, Reason.STORED)),
        ("Cache-Control: s-maxage=30, max-age=60", 200, {}, (30, Reason.STORED)),
        ("Cache-Control: max-age=60, s-maxage=90", 200, {}, (90, Reason.STORED)),
        ("Cache-Control: s-maxage=0, max-age=60", 200, {}, (0, Reason.STORED)),
        ("Cache-Control: max-age=60, s-maxage=x", 200, {}, (0, Reason.STORED)),
        ("Cache-Control: max-age=60 | Expires: @5", 200, {}, (60, Reason.STORED)),
        ("Cache-Control: max-age=0 | Expires: @5", 200, {}, (0, Reason.STORED)),
        ("Cache-Control: max-age=x | Expires: @5", 200, {}, (0, Reason.STORED)),
        ("Cache-Control: public | Expires: @5", 200, {}, (5, Reason.STORED)),
        ("Expires: @5", 200, {}, (5, Reason.STORED)),
        ("Expires: @5", 302, {}, (5, Reason.STORED)),
        ("Expires: 0 | Last-Modified: @-1000", 200, {}, (0, Reason.STORED)),
        ("Cache-Control: max-age=99999999999", 200, {}, (UNBOUNDED, Reason.STORED)),
        # Targeted fields put Expires and Cache-Control out of force (RFC 9213 §2.2).
        ("CDN-Cache-Control: max-age=5 | Cache-Control: max-age=60", 200, {}, (5, TARGETED)),
        ("CDN-Cache-Control: max-age=5 | Expires: @60", 200, {}, (5, TARGETED)),
        ("CDN-Cache-Control: none | Expires: @60", 200, {}, (0, HEURISTIC)),
        ("CDN-Cache-Control: none | Expires: @60", 302, {}, (ABSENT, HEURISTIC)),
        ("CDN-Cache-Control: , | Expires: @60", 200, {}, (60, Reason.STORED)),
        # Heuristics, only where allowed (§4.2.2).
        ("Last-Modified: @-1000", 200, {}, (100, HEURISTIC)),
        ("Last-Modified: @-1000 | Date: @-500", 200, {}, (50, HEURISTIC)),
        ("Last-Modified: @-1000", 404, {}, (100, HEURISTIC)),
        ("Last-Modified: @-1000", 501, {}, (100, HEURISTIC)),
        ("Last-Modified: @-1000", 206, {}, (100, HEURISTIC)),
        ("Last-Modified: @-1000", 302, {}, (ABSENT, HEURISTIC)),
        ("Last-Modified: @-1000", 500, {}, (ABSENT, HEURISTIC)),
        ("Last-Modified: @-1000", 299, {}, (ABSENT, HEURISTIC)),
        ("Last-Modified: @-1000 | Cache-Control: public", 302, {}, (100, HEURISTIC)),
        ("Last-Modified: @-1000 | Cache-Control: public", 599, {}, (100, HEURISTIC)),
        ("Last-Modified: @1000", 200, {}, (0, HEURISTIC)),
        ("Last-Modified: x", 200, {}, (0, HEURISTIC)),
        ("", 200, {}, (0, HEURISTIC)),
        ("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", 200, {}, (86400, HEURISTIC)),
        ("Last-Modified: @-1000", 200, {"heuristic": False}, (ABSENT, HEURISTIC)),
        ("Last-Modified: @-1000", 200, {"heuristic_fraction": 0.5}, (500, HEURISTIC)),
        ("Last-Modified: @-1000", 200, {"heuristic_most": 7.0}, (7, HEURISTIC)),
        # What the configuration says.
        ("Cache-Control: max-age=60", 200, {"ttl": 5.0}, (5, Reason.STORED_TTL)),
        ("", 302, {"ttl": 5.0}, (5, Reason.STORED_TTL)),
        ("Cache-Control: s-maxage=0", 200, {"ttl": 5.0}, (5, Reason.STORED_TTL)),
        ("Cache-Control: max-age=60", 200, {"ttl": 0.0}, (0, Reason.STORED_TTL)),
        ("", 503, {"negative_statuses": frozenset({503})}, (10, Reason.STORED_NEGATIVE)),
        ("", 503, {"negative_statuses": frozenset({503}), "negative_ttl": 3.0}, (3, Reason.STORED_NEGATIVE)),
        ("Cache-Control: max-age=2", 503, {"negative_statuses": frozenset({503})}, (2, Reason.STORED)),
        # Errors are bounded.
        ("Cache-Control: max-age=86400", 404, {}, (300, Reason.STORED)),
        ("Cache-Control: max-age=86400", 400, {}, (300, Reason.STORED)),
        ("Cache-Control: max-age=86400", 399, {}, (86400, Reason.STORED)),
        ("Cache-Control: max-age=86400", 404, {"negative_most": 60.0}, (60, Reason.STORED)),
        ("", 404, {"ttl": 1000.0}, (300, Reason.STORED_TTL)),
    ],
)
def test_lifetime(response: str, status: int, options: dict[str, object], expected: tuple[float, Reason]) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    found = fields(response)
    seconds, reason = lifetime(status, found, response_directives(found, made.targeted), made, NOW)
    assert seconds == pytest.approx(expected[0])
    assert reason is expected[1]


@pytest.mark.parametrize(
    ("response", "options", "fresh", "revalidating", "error", "forbids"),
    [
        ("max-age=60", {}, 60, 60, 60, None),
        ("max-age=60, stale-while-revalidate=10", {}, 60, 70, 60, None),
        ("max-age=60, stale-if-error=20", {}, 60, 60, 80, None),
        ("max-age=60", {"stale_while_revalidate": 5.0, "stale_if_error": 7.0}, 60, 65, 67, None),
        ("max-age=60, stale-while-revalidate=0", {"stale_while_revalidate": 5.0}, 60, 60, 60, None),
        ("max-age=60, stale-if-error=x", {"stale_if_error": 5.0}, 60, 60, 60, None),
        ("max-age=60, stale-while-revalidate=99999999999", {}, 60, 60 + UNBOUNDED, 60, None),
        # What forbids stale use (§4.2.4).
        ("max-age=60, must-revalidate, stale-while-revalidate=9", {}, 60, 60, 60, Reason.STALE_MUST_REVALIDATE),
        ("max-age=60, proxy-revalidate, stale-if-error=9", {}, 60, 60, 60, Reason.STALE_MUST_REVALIDATE),
        ("s-maxage=60, stale-while-revalidate=9", {}, 60, 60, 60, Reason.STALE_S_MAXAGE),
        ("s-maxage=60", {"stale_if_error": 5.0}, 60, 60, 60, Reason.STALE_S_MAXAGE),
        ("s-maxage=60, stale-while-revalidate=9", {"stale_beside_s_maxage": True}, 60, 69, 60, Reason.STALE_S_MAXAGE),
        ("s-maxage=60", {"stale_beside_s_maxage": True, "stale_if_error": 5.0}, 60, 60, 60, Reason.STALE_S_MAXAGE),
        (
            "s-maxage=60, must-revalidate, stale-if-error=9",
            {"stale_beside_s_maxage": True},
            60,
            60,
            60,
            Reason.STALE_MUST_REVALIDATE,
        ),
        ("max-age=60, no-cache, stale-if-error=9", {}, 60, 60, 60, Reason.NO_CACHE),
        ("max-age=60, must-revalidate, stale-if-error=9", {"force": True}, 60, 60, 69, None),
    ],
)
def test_staleness(
    response: str,
    options: dict[str, float],
    fresh: float,
    revalidating: float,
    error: float,
    forbids: Reason | None,
) -> None:
    found = Judgement(head(f"Cache-Control: {response}"), CacheOptions(**options))  # type: ignore[arg-type]
    assert found.fresh_until == NOW + fresh
    assert found.use_while_revalidating_until == NOW + revalidating
    assert found.use_on_error_until == NOW + error
    assert found.forbids_stale is forbids


def test_what_must_be_validated_has_no_time_of_grace() -> None:
    text = "Cache-Control: max-age=60, stale-while-revalidate=10, stale-if-error=10"
    found = Judgement(head(text, invalidated=True), DEFAULT_OPTIONS)
    assert found.must_validate is Reason.INVALIDATED
    assert found.use_while_revalidating_until == found.use_on_error_until == found.fresh_until


@pytest.mark.parametrize(
    ("after", "age", "fresh"),
    [(-5, 10, True), (0, 10, True), (1.5, 11.5, True), (49.9, 59.9, True), (50, 60, False), (1e12, UNBOUNDED, False)],
)
def test_age_and_freshness_at(after: float, age: float, fresh: bool) -> None:
    found = Judgement(head("Cache-Control: max-age=60 | Age: 10"), DEFAULT_OPTIONS)
    assert found.age(NOW + after) == pytest.approx(age)
    assert found.is_fresh(NOW + after) is fresh


def test_a_judgement_is_kept_with_its_head_for_one_route() -> None:
    one = head("Cache-Control: max-age=60")
    other = CacheOptions(ttl=5.0)
    found = judged(one, DEFAULT_OPTIONS)
    assert judged(one, DEFAULT_OPTIONS) is found
    assert judged(one, other).fresh_until == NOW + 5
    assert judged(one, DEFAULT_OPTIONS).fresh_until == NOW + 60


@pytest.mark.parametrize(
    ("response", "etag", "strong", "modified"),
    [
        ('ETag: "a"', b'"a"', True, False),
        ('ETag: W/"a"', b'W/"a"', False, False),
        ('ETag: ""', b'""', True, False),
        ("ETag: a", b"", False, False),
        ('ETag: w/"a"', b"", False, False),
        ('ETag: "a', b"", False, False),
        ('ETag: "a", "b"', b"", False, False),
        ('ETag: "a" | ETag: "b"', b"", False, False),
        ('ETag: "a b"', b"", False, False),
        ("Last-Modified: @-5", b"", False, True),
        ("Last-Modified: x", b"", False, False),
    ],
)
def test_validators(response: str, etag: bytes, strong: bool, modified: bool) -> None:
    found = Judgement(head(response), DEFAULT_OPTIONS)
    assert (found.etag, found.strong, bool(found.last_modified)) == (etag, strong, modified)


# Arithmetic with any numbers.

INSTANTS = st.floats(min_value=0, max_value=1e11)
DATES = st.sampled_from([
    b"Thu, 01 Jan 1970 00:00:00 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Fri, 15 Jan 2027 08:00:00 GMT", b"0", b"",
    b"Sunday, 06-Nov-94 08:49:37 GMT", b"x", b"Sat, 31 Dec 1901 23:59:59 GMT",
])  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-5, 10**12).map(lambda number: str(number).encode()),
    st.sampled_from([b"x", b"", b"9" * 500, b"1, 2", b"2147483647", b"2147483648"]),
)


@st.composite
def heads(draw: st.DrawFn) -> StoredHead:
    pairs = []
    for name in (b"Date", b"Expires", b"Last-Modified"):
        if draw(st.booleans()):
            pairs.append((name, draw(DATES)))
    if draw(st.booleans()):
        pairs.append((b"Age", draw(NUMBERS)))
    for name in (b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"):
        if draw(st.booleans()):
            pairs.append((b"Cache-Control", name + b"=" + draw(NUMBERS)))
    if draw(st.booleans()):
        pairs.append((b"Cache-Control", draw(st.sampled_from([b"public", b"must-revalidate", b"no-cache"]))))
    status = draw(st.sampled_from([200, 206, 302, 404, 500, 599]))
    return StoredHead(
        b"k", status, Fields.of(pairs), request_time=draw(INSTANTS), response_time=draw(INSTANTS), url=b"http://a/"
    )


OPTIONS = st.builds(
    CacheOptions,
    ttl=st.one_of(st.none(), st.floats(-10, 1e12)),
    force=st.booleans(),
    stale_while_revalidate=st.floats(-10, 1e12),
    stale_if_error=st.floats(-10, 1e12),
    apparent_age=st.booleans(),
    negative_statuses=st.just(frozenset({404, 500})),
)


@given(heads(), OPTIONS, INSTANTS, INSTANTS)
def test_any_arithmetic(stored: StoredHead, options: CacheOptions, one: float, other: float) -> None:
    found = Judgement(stored, options)
    early, late = min(one, other), max(one, other)
    assert 0 <= found.age(early) <= found.age(late) <= UNBOUNDED
    assert found.is_fresh(early) >= found.is_fresh(late), "what is stale never becomes fresh again"
    assert found.initial_age <= found.age(early)
    assert math.isfinite(found.fresh_until)
    assert found.use_while_revalidating_until >= found.fresh_until
    assert found.use_on_error_until >= found.fresh_until
    assert found.plain_until <= found.fresh_until
    if found.forbids_stale is not None and not options.stale_beside_s_maxage:
        assert found.use_while_revalidating_until == found.use_on_error_until == found.fresh_until


@given(heads(), INSTANTS)
def test_freshness_is_the_comparison_of_the_rfc(stored: StoredHead, now: float) -> None:
    found = Judgement(stored, DEFAULT_OPTIONS)
    directives = response_directives(stored.fields)
    seconds, _ = lifetime(stored.status, stored.fields, directives, DEFAULT_OPTIONS, stored.response_time)
    now = max(now, stored.response_time)
    age = found.initial_age + (now - stored.response_time)
    if abs(max(seconds, 0) - age) > 1e-3:  # nearer than the octets of a float
        assert found.is_fresh(now) is (max(seconds, 0) > age)
