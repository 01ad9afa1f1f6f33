"""What is done with a request (RFC 9111 §4, §5.2.1; RFC 5861; RFC 8246)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.decisions import Forward, GatewayTimeout, RequestDecision, Revalidate, Serve
from revproxy.caching.freshness import judged
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_request, revalidation, validation_fields
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredResponse
from revproxy.caching.vary import matching
from tests.caching.scenes import NOW, controls, date, fields, stored

R = Reason


def ask(
    request: str,
    variants: Sequence[StoredResponse],
    *,
    after: float = 10,
    method: bytes = b"GET",
    options: CacheOptions = DEFAULT_OPTIONS,
) -> RequestDecision:
    """What is done with a request ``after`` seconds."""
    now = NOW + after
    selected = matching(variants, fields(request), now)
    return on_request(method, controls(request), selected, variants, options, now)


def kind(decision: RequestDecision) -> str:
    if isinstance(decision, Serve):
        return "stale" if decision.stale else "fresh"
    return {Forward: "forward", Revalidate: "validate", GatewayTimeout: "504"}[type(decision)]


LONG = "Cache-Control: max-age=60"
# What is stored, at NOW; the request; how many seconds later; what is done, and why.
ROWS: list[tuple[str, str, float, str, Reason]] = [
    # Fresh or stale (§4.2).
    (LONG, "", 0, "fresh", R.FRESH),
    (LONG, "", 59.9, "fresh", R.FRESH),
    (LONG, "", 60, "validate", R.STALE),
    (LONG, "", 61, "validate", R.STALE),
    (LONG, "", -1000, "fresh", R.FRESH),
    (f"{LONG} | Age: 50", "", 9, "fresh", R.FRESH),
    (f"{LONG} | Age: 50", "", 10, "validate", R.STALE),
    (f"{LONG} | Age: x", "", 59, "fresh", R.FRESH),
    ("Expires: @60", "", 59, "fresh", R.FRESH),
    ("Expires: @60", "", 60, "validate", R.STALE),
    ("Cache-Control: s-maxage=60, max-age=5", "", 10, "fresh", R.FRESH),
    ("Cache-Control: s-maxage=5, max-age=60", "", 10, "validate", R.STALE_S_MAXAGE),
    ("Cache-Control: max-age=5, must-revalidate", "", 10, "validate", R.STALE_MUST_REVALIDATE),
    ("Cache-Control: max-age=5, proxy-revalidate", "", 10, "validate", R.STALE_MUST_REVALIDATE),
    ("Last-Modified: @-1000", "", 99, "fresh", R.FRESH_HEURISTIC),
    ("Last-Modified: @-1000", "", 100, "validate", R.STALE),
    ('ETag: "a"', "", 0, "validate", R.STALE),
    # no-cache of the response (§5.2.2.4).
    ("Cache-Control: no-cache, max-age=60", "", 1, "validate", R.NO_CACHE),
    ('Cache-Control: no-cache="x", max-age=60', "", 1, "fresh", R.FRESH),
    ("Cache-Control: no-cache, max-age=60", "Cache-Control: max-stale", 1, "validate", R.NO_CACHE),
    # Request directives (§5.2.1).
    (LONG, "Cache-Control: no-cache", 1, "validate", R.CLIENT_NO_CACHE),
    (LONG, "Cache-Control: NO-CACHE", 1, "validate", R.CLIENT_NO_CACHE),
    (LONG, "Pragma: no-cache", 1, "validate", R.CLIENT_PRAGMA),
    (LONG, "Pragma: no-cache | Cache-Control: foo", 1, "fresh", R.FRESH),
    (LONG, "Cache-Control: no-store", 1, "fresh", R.FRESH),
    (LONG, "Cache-Control: max-age=0", 1, "validate", R.CLIENT_MAX_AGE),
    (LONG, "Cache-Control: max-age=0", 0, "fresh", R.FRESH),
    (LONG, "Cache-Control: max-age=10", 10, "fresh", R.FRESH),
    (LONG, "Cache-Control: max-age=10", 10.5, "validate", R.CLIENT_MAX_AGE),
    (LONG, "Cache-Control: max-age=x", 1, "validate", R.CLIENT_MAX_AGE),
    (LONG, "Cache-Control: max-age=600", 61, "validate", R.STALE),
    (LONG, "Cache-Control: min-fresh=50", 10, "fresh", R.FRESH),
    (LONG, "Cache-Control: min-fresh=51", 10, "validate", R.CLIENT_MIN_FRESH),
    (LONG, "Cache-Control: min-fresh=0", 59, "fresh", R.FRESH),
    (LONG, "Cache-Control: min-fresh=x", 0, "validate", R.CLIENT_MIN_FRESH),
    (LONG, "Cache-Control: max-stale", 1000, "stale", R.CLIENT_ACCEPTS_STALE),
    (LONG, "Cache-Control: max-stale=10", 70, "stale", R.CLIENT_ACCEPTS_STALE),
    (LONG, "Cache-Control: max-stale=10", 71, "validate", R.STALE),
    (LONG, "Cache-Control: max-stale=0", 61, "validate", R.STALE),
    (LONG, "Cache-Control: max-stale=10", 30, "fresh", R.FRESH),
    (LONG, "Cache-Control: max-stale=10, max-age=65", 66, "validate", R.STALE),
    (LONG, "Cache-Control: max-stale=10, max-age=65", 64, "stale", R.CLIENT_ACCEPTS_STALE),
    (LONG, "Cache-Control: max-stale=10, min-fresh=1", 64, "validate", R.STALE),
    ("Cache-Control: max-age=5, must-revalidate", "Cache-Control: max-stale", 6, "validate", R.STALE_MUST_REVALIDATE),
    ("Cache-Control: max-age=5, proxy-revalidate", "Cache-Control: max-stale", 6, "validate", R.STALE_MUST_REVALIDATE),
    ("Cache-Control: s-maxage=5", "Cache-Control: max-stale", 6, "validate", R.STALE_S_MAXAGE),
    # only-if-cached (§5.2.1.7).
    (LONG, "Cache-Control: only-if-cached", 1, "fresh", R.FRESH),
    (LONG, "Cache-Control: only-if-cached", 61, "504", R.ONLY_IF_CACHED),
    (LONG, "Cache-Control: only-if-cached, max-stale", 61, "stale", R.CLIENT_ACCEPTS_STALE),
    (LONG, "Cache-Control: only-if-cached, no-cache", 1, "504", R.ONLY_IF_CACHED),
    (LONG, "Cache-Control: only-if-cached, max-age=0", 1, "504", R.ONLY_IF_CACHED),
    (f"{LONG} | Vary: A", "A: 1 | Cache-Control: only-if-cached", 1, "504", R.ONLY_IF_CACHED),
    # stale-while-revalidate (RFC 5861 §3).
    ("Cache-Control: max-age=5, stale-while-revalidate=10", "", 4, "fresh", R.FRESH),
    ("Cache-Control: max-age=5, stale-while-revalidate=10", "", 14, "stale", R.STALE_WHILE_REVALIDATE),
    ("Cache-Control: max-age=5, stale-while-revalidate=10", "", 15, "validate", R.STALE),
    (
        "Cache-Control: max-age=5, stale-while-revalidate=10, must-revalidate",
        "",
        6,
        "validate",
        R.STALE_MUST_REVALIDATE,
    ),
    ("Cache-Control: s-maxage=5, stale-while-revalidate=10", "", 6, "validate", R.STALE_S_MAXAGE),
    ("Cache-Control: max-age=5, stale-while-revalidate=10", "Cache-Control: max-age=60", 6, "validate", R.STALE),
    ("Cache-Control: max-age=5, stale-while-revalidate=10", "Cache-Control: min-fresh=1", 6, "validate", R.STALE),
    (
        "Cache-Control: max-age=5, stale-while-revalidate=10",
        "Cache-Control: no-cache",
        6,
        "validate",
        R.CLIENT_NO_CACHE,
    ),
    (
        "Cache-Control: max-age=5, stale-while-revalidate=9",
        "Cache-Control: max-stale=2",
        6,
        "stale",
        R.CLIENT_ACCEPTS_STALE,
    ),
    (
        "Cache-Control: max-age=5, stale-while-revalidate=9",
        "Cache-Control: max-stale=2",
        9,
        "stale",
        R.STALE_WHILE_REVALIDATE,
    ),
    ("CDN-Cache-Control: max-age=5, stale-while-revalidate=9", "", 6, "stale", R.STALE_WHILE_REVALIDATE),
    # stale-if-error alone does nothing while nothing failed.
    ("Cache-Control: max-age=5, stale-if-error=60", "", 6, "validate", R.STALE),
    # immutable (RFC 8246 §2.1).
    (f"{LONG}, immutable", "Cache-Control: max-age=0", 1, "fresh", R.FRESH_IMMUTABLE),
    (f"{LONG}, immutable", "", 1, "fresh", R.FRESH),
    (f"{LONG}, immutable", "Cache-Control: no-cache", 1, "validate", R.CLIENT_NO_CACHE),
    (f"{LONG}, immutable", "Cache-Control: max-age=0", 61, "validate", R.STALE),
    (f"{LONG}, immutable", "Cache-Control: min-fresh=99", 1, "validate", R.CLIENT_MIN_FRESH),
    # Preconditions that a cache evaluates don't stand in the way; others do (§4.3.2).
    (f'{LONG} | ETag: "a"', 'If-None-Match: "a"', 1, "fresh", R.FRESH),
    (LONG, "If-Modified-Since: @0", 1, "fresh", R.FRESH),
    (LONG, 'If-Match: "a"', 1, "forward", R.CLIENT_PRECONDITION),
    (LONG, "If-Unmodified-Since: @0", 1, "forward", R.CLIENT_PRECONDITION),
    (LONG, "Range: bytes=0-1", 1, "fresh", R.FRESH),
    (LONG, 'Range: bytes=0-1 | If-Range: "x"', 1, "fresh", R.FRESH),
    # Authorization does not forbid to use what is stored (§3.5 is about storing).
    (LONG, "Authorization: Basic eDp5", 1, "fresh", R.FRESH),
    # What the key does not cover.
    (LONG, "Content-Length: 3", 1, "forward", R.REQUEST_CONTENT),
    (LONG, "Transfer-Encoding: chunked", 1, "forward", R.REQUEST_CONTENT),
    (LONG, "Content-Length: 0", 1, "fresh", R.FRESH),
    (LONG, "Upgrade: websocket | Connection: upgrade", 1, "forward", R.UPGRADE),
    (LONG, "Upgrade: h2c | Connection: upgrade", 1, "fresh", R.FRESH),
    # Vary (§4.1).
    (f"{LONG} | Vary: A", "", 1, "fresh", R.FRESH),
    (f"{LONG} | Vary: A", "A: 1", 1, "forward", R.VARY_MISS),
    (f'{LONG} | Vary: A | ETag: "a"', "A: 1", 1, "validate", R.VARY_MISS),
    (f'{LONG} | Vary: A | ETag: W/"a"', "A: 1", 1, "forward", R.VARY_MISS),
    (f"{LONG} | Vary: *", "", 1, "forward", R.VARY_MISS),
]


@pytest.mark.parametrize(("response", "request_fields", "after", "expected", "reason"), ROWS)
def test_one_stored_response(response: str, request_fields: str, after: float, expected: str, reason: Reason) -> None:
    found = stored(response)
    for _ in range(2):  # the second time its judgement is there already
        decision = ask(request_fields, [found], after=after)
        assert (kind(decision), decision.reason) == (expected, reason)


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_get_and_head_are_answered_from_the_store(method: bytes) -> None:
    """RFC 9110 §9.3.1, §9.3.2."""
    assert kind(ask("", [stored(LONG)], method=method)) == "fresh"


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (b"OPTIONS", R.METHOD),
        (b"TRACE", R.METHOD),
        (b"PROPFIND", R.METHOD),
        (b"POST", R.UNSAFE_METHOD),
        (b"PUT", R.UNSAFE_METHOD),
        (b"DELETE", R.UNSAFE_METHOD),
        (b"PATCH", R.UNSAFE_METHOD),
        (b"FOO", R.UNSAFE_METHOD),
        (b"get", R.UNSAFE_METHOD),
        (b"CONNECT", R.UNSAFE_METHOD),
    ],
)
def test_other_methods_are_written_through(method: bytes, reason: Reason) -> None:
    """RFC 9111 §4: even where a fresh response is stored, and even with only-if-cached."""
    found = stored(LONG)
    judged(found.head, DEFAULT_OPTIONS)
    for request in ("", "Cache-Control: only-if-cached"):
        assert ask(request, [found], method=method) == Forward(reason, method == b"POST", False, False)


def test_the_numbers_of_a_hit() -> None:
    found = stored(f"{LONG} | Age: 7")
    decision = ask("", [found], after=3.9)
    assert decision == Serve(found, 10, 49, False, False, R.FRESH)
    late = ask("Cache-Control: max-stale", [found], after=60)
    assert late == Serve(found, 67, -7, True, False, R.CLIENT_ACCEPTS_STALE)


def test_a_stale_hit_is_validated_in_the_background() -> None:
    decision = ask("", [stored("Cache-Control: max-age=5, stale-while-revalidate=9")], after=6)
    assert isinstance(decision, Serve)
    assert decision.revalidate
    assert (decision.age, decision.ttl, decision.stale) == (6, -1, True)


def test_the_quick_way_and_the_thorough_one_agree() -> None:
    """An undemanding request and one that has a field without meaning here."""
    for response in (LONG, f"{LONG}, immutable", "Last-Modified: @-1000", "Cache-Control: no-cache | ETag: a"):
        for after in (-5, 0, 1, 59, 60, 99, 100, 1000):
            found = stored(response)
            judged(found.head, DEFAULT_OPTIONS)
            assert ask("", [found], after=after) == ask("Cache-Control: foo", [found], after=after)


@pytest.mark.parametrize(
    ("request_fields", "options", "expected", "reason"),
    [
        ("Cache-Control: no-cache", {"client_directives": False}, "fresh", R.FRESH),
        ("Pragma: no-cache", {"client_directives": False}, "fresh", R.FRESH),
        ("Cache-Control: max-age=0", {"client_directives": False}, "fresh", R.FRESH),
        ("Cache-Control: min-fresh=999", {"client_directives": False}, "fresh", R.FRESH),
        ("Cookie: sid=1", {"bypass_cookies": frozenset({b"sid"})}, "forward", R.BYPASS_COOKIE),
        ("Cookie: a=1", {"bypass_cookies": frozenset({b"sid"})}, "fresh", R.FRESH),
        ("X-Debug:", {"bypass_headers": frozenset({b"x-debug"})}, "forward", R.BYPASS_HEADER),
        ("", {"bypass_headers": frozenset({b"x-debug"})}, "fresh", R.FRESH),
        ("", {"ttl": 5.0}, "validate", R.STALE),
        ("", {"ttl": 50.0}, "fresh", R.FRESH_TTL),
    ],
)
def test_options(request_fields: str, options: dict[str, object], expected: str, reason: Reason) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    decision = ask(request_fields, [stored(LONG)], options=made)
    assert (kind(decision), decision.reason) == (expected, reason)


def test_a_forced_response_says_so() -> None:
    made = CacheOptions(ttl=60.0, force=True)
    decision = ask("", [stored("Cache-Control: no-store, no-cache, must-revalidate")], options=made)
    assert (kind(decision), decision.reason) == ("fresh", R.FRESH_FORCED)


def test_an_invalidated_response_is_validated() -> None:
    """RFC 9111 §4.4, whatever the client accepts."""
    for request in ("", "Cache-Control: max-stale"):
        decision = ask(request, [stored(LONG, invalidated=True)], after=1)
        assert (kind(decision), decision.reason) == ("validate", R.INVALIDATED)


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ("", Forward(R.MISS, True, True, True)),
        ("Cache-Control: no-store", Forward(R.MISS, False, True, False)),
        ("Cache-Control: no-cache", Forward(R.MISS, True, False, True)),
        ("Pragma: no-cache", Forward(R.MISS, True, False, True)),
        ("Authorization: x", Forward(R.MISS, True, True, False)),
        ("Range: bytes=0-1", Forward(R.MISS, True, True, False)),
        ('If-None-Match: "a"', Forward(R.MISS, True, True, False)),
        ("If-Modified-Since: @0", Forward(R.MISS, True, True, False)),
        ('If-Match: "a"', Forward(R.CLIENT_PRECONDITION, True, False, False)),
        ("Content-Length: 5", Forward(R.REQUEST_CONTENT, False, False, False)),
        ("Cache-Control: only-if-cached", GatewayTimeout(R.ONLY_IF_CACHED)),
    ],
)
def test_nothing_stored(request_fields: str, expected: RequestDecision) -> None:
    assert ask(request_fields, []) == expected


def test_nothing_stored_for_head() -> None:
    assert ask("", [], method=b"HEAD") == Forward(R.MISS, False, True, False)


def added(decision: RequestDecision) -> dict[bytes, bytes]:
    assert isinstance(decision, Revalidate)
    return dict(decision.add)


TAGGED = f'{LONG} | ETag: "a"'


@pytest.mark.parametrize(
    ("response", "request_fields", "expected"),
    [
        # RFC 9111 §4.3.1: entity tags must be sent, the date should.
        (TAGGED, "", {"If-None-Match": '"a"'}),
        (f'{LONG} | ETag: W/"a"', "", {"If-None-Match": 'W/"a"'}),
        (f"{TAGGED} | Last-Modified: @-5", "", {"If-None-Match": '"a"', "If-Modified-Since": date(-5)}),
        (f"{LONG} | Last-Modified: @-5", "", {"If-Modified-Since": date(-5)}),
        # As it was written, so that servers that compare octets find it the same.
        (f"{LONG} | Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT", "", {
            "If-Modified-Since": "Sunday, 06-Nov-94 08:49:37 GMT",
        }),
        (f"{LONG} | Last-Modified: yesterday", "", {}),
        (f"{LONG} | ETag: a", "", {}),
        (LONG, "", {}),
        # For a part of it: no date.
        (f"{TAGGED} | Last-Modified: @-5", "Range: bytes=0-1", {"If-None-Match": '"a"'}),
        (f"{LONG} | Last-Modified: @-5", "Range: bytes=0-1", {}),
        # The client's own validators give way to ours.
        (TAGGED, 'If-None-Match: "b", "c"', {"If-None-Match": '"a"'}),
        (TAGGED, "If-Modified-Since: @-9", {"If-None-Match": '"a"'}),
        (LONG, 'If-None-Match: "b"', {}),
    ],
)  # fmt: skip
def test_the_conditions_that_are_sent(response: str, request_fields: str, expected: dict[str, str]) -> None:
    decision = ask(request_fields, [stored(response)], after=100)
    assert {name.decode(): value.decode() for name, value in added(decision).items()} == expected
    assert isinstance(decision, Revalidate)
    sent = validation_fields(fields(request_fields), decision)
    for name in ("If-None-Match", "If-Modified-Since"):
        there = sent.all(name.lower().encode())
        if expected:
            assert there == ([expected[name].encode()] if name in expected else [])
        else:
            assert there == fields(request_fields).all(name.lower().encode())


@pytest.mark.parametrize(
    ("status", "validated"),
    [(200, True), (203, True), (204, False), (300, False), (301, False), (404, False), (410, False), (501, False)],
)
def test_only_what_a_304_stands_for_is_validated(status: int, validated: bool) -> None:
    """RFC 9110 §15.4.5: it stands for a 200. A 404 would be kept alive by a file that is older than its page."""
    decision = ask("", [stored(f"{TAGGED} | Last-Modified: @-5", status)], after=1000)
    assert bool(added(decision)) is validated


def test_large_entity_tags_of_others_are_left_out() -> None:
    variants = [
        stored(f'{LONG} | Vary: A | ETag: "{str(number) * 1000}"', request=f"A: {number}") for number in range(5)
    ]
    assert added(ask("A: 3", variants, after=100))[b"If-None-Match"].count(b",") == 1
    large = stored(f'{LONG} | ETag: "{"x" * 9000}"')
    assert len(added(ask("", [large], after=100))[b"If-None-Match"]) == 9002


def test_range_stays_in_a_validation() -> None:
    decision = ask('Range: bytes=0-1 | If-Range: "a"', [stored(TAGGED)], after=100)
    assert isinstance(decision, Revalidate)
    sent = validation_fields(fields('Range: bytes=0-1 | If-Range: "a"'), decision)
    assert (b"range" in sent, b"if-range" in sent) == (True, True)


def test_head_is_sent_on_without_conditions() -> None:
    """RFC 9110 §13.2.1: a conditional HEAD has no point."""
    found = stored(TAGGED)
    decision = ask("", [found], after=100, method=b"HEAD")
    assert decision == Revalidate(found, (), (), frozenset(), R.STALE, False, True, False)


@pytest.mark.parametrize(
    ("request_fields", "may_store", "may_join", "may_lead"),
    [
        ("", True, True, True),
        ("Cache-Control: max-age=0", True, True, True),
        ("Cache-Control: no-cache", True, False, True),
        ("Cache-Control: no-store", False, True, False),
        ("Authorization: x", True, True, False),
        ("Range: bytes=0-1", True, True, False),
        ('If-None-Match: "b"', True, True, True),
    ],
)
def test_who_may_share_a_validation(request_fields: str, may_store: bool, may_join: bool, may_lead: bool) -> None:
    decision = ask(request_fields, [stored(TAGGED)], after=100)
    assert isinstance(decision, Revalidate)
    assert (decision.may_store, decision.may_join, decision.may_lead) == (may_store, may_join, may_lead)


def test_who_sends_his_own_validator_does_not_lead() -> None:
    """The answer may be a 304, which is of no use to others."""
    decision = ask('If-None-Match: "b"', [stored(LONG)], after=100)
    assert isinstance(decision, Revalidate)
    assert not decision.may_lead


# Several stored responses.


def test_the_most_recent_by_date_is_used() -> None:
    """RFC 9111 §4."""
    older, newer = stored(f"{LONG} | Date: @-20"), stored(f"{LONG} | Date: @-10")
    for variants in ([older, newer], [newer, older]):
        decision = ask("", variants)
        assert isinstance(decision, Serve)
        assert decision.stored is newer


def test_all_entity_tags_are_sent_each_once_and_ours_first() -> None:
    """RFC 9111 §4.3.2: of every variant, but no date, since it would mean one of them."""
    variants = [
        stored(f'{LONG} | Vary: A | ETag: "a" | Last-Modified: @-5', request="A: 1"),
        stored(f'{LONG} | Vary: A | ETag: "b"', request="A: 2"),
        stored(f'{LONG} | Vary: A | ETag: "b"', request="A: 3"),
        stored(f'{LONG} | Vary: A | ETag: W/"w"', request="A: 4"),
        stored(f"{LONG} | Vary: A", request="A: 5"),
        stored(f'{LONG} | Vary: A | ETag: "p"', 206, request="A: 6"),
    ]
    decision = ask("A: 1", variants, after=100)
    assert added(decision) == {b"If-None-Match": b'"a", "b"'}
    assert isinstance(decision, Revalidate)
    assert decision.stored is variants[0]
    assert decision.nominated == (variants[0], variants[1], variants[2])


def test_other_variants_can_be_left_out() -> None:
    variants = [
        stored(f'{LONG} | Vary: A | ETag: "a"', request="A: 1"),
        stored(f'{LONG} | Vary: A | ETag: "b"', request="A: 2"),
    ]
    options = CacheOptions(validate_variants=False)
    assert added(ask("A: 1", variants, after=100, options=options)) == {b"If-None-Match": b'"a"'}
    assert kind(ask("A: 3", variants, options=options)) == "forward"


def test_the_tags_of_many_variants_are_bounded() -> None:
    variants = [stored(f'{LONG} | Vary: A | ETag: "{number}"', request=f"A: {number}") for number in range(100)]
    assert added(ask("A: x", variants))[b"If-None-Match"].count(b",") == 15
    assert added(ask("A: 7", variants, after=100))[b"If-None-Match"].startswith(b'"7", ')


@pytest.mark.parametrize(
    ("coding", "accepted", "expected"),
    [
        ("gzip", "gzip, br", True),
        ("gzip", "GZIP", True),
        ("gzip", "gzip;q=0.5", True),
        ("gzip, br", "br, gzip", True),
        ("gzip", "br", False),
        ("gzip", "", False),
        ("gzip", "*", False),
        ("gzip", "gzip;q=0", False),
        ("gzip", "gzip; q=0.000", False),
        ("gzip, br", "gzip", False),
        ("", "", True),
    ],
)
def test_a_variant_that_the_client_can_not_decode_is_not_nominated(coding: str, accepted: str, expected: bool) -> None:
    text = f'{LONG} | Vary: Accept-Encoding | ETag: "a" | Content-Encoding: {coding}'
    other = stored(text, request="Accept-Encoding: other")
    decision = ask(f"Accept-Encoding: {accepted}", [other])
    assert kind(decision) == ("validate" if expected else "forward")
    if isinstance(decision, Revalidate):
        assert decision.stored is None, "nothing stands by for a failure"


# Parts.

PART = 'Cache-Control: max-age=60 | ETag: "a"'


@pytest.mark.parametrize(
    ("request_fields", "after", "expected", "reason"),
    [
        # 5 octets from the 10th of 100 are stored (§3.3).
        ("Range: bytes=10-14", 1, "fresh", R.FRESH),
        ("Range: bytes=11-12", 1, "fresh", R.FRESH),
        ("Range: bytes=10-10,13-14", 1, "fresh", R.FRESH),
        ("Range: bytes=9-14", 1, "forward", R.PARTIAL),
        ("Range: bytes=10-15", 1, "forward", R.PARTIAL),
        ("Range: bytes=10-", 1, "forward", R.PARTIAL),
        ("Range: bytes=-5", 1, "forward", R.PARTIAL),
        ("Range: items=10-14", 1, "forward", R.PARTIAL),
        ("Range: x", 1, "forward", R.PARTIAL),
        ("", 1, "forward", R.PARTIAL),
        ('Range: bytes=10-14 | If-Range: "a"', 1, "fresh", R.FRESH),
        ('Range: bytes=10-14 | If-Range: "b"', 1, "forward", R.PARTIAL),
        ('Range: bytes=10-14 | If-Range: W/"a"', 1, "forward", R.PARTIAL),
        ("Range: bytes=10-14", 61, "validate", R.STALE),
        ("Range: bytes=10-14 | Cache-Control: no-cache", 1, "validate", R.CLIENT_NO_CACHE),
        # Its tag is not sent where it can't satisfy the request (§4.3.2).
        ("Range: bytes=0-14", 61, "forward", R.PARTIAL),
        ("Cache-Control: only-if-cached", 1, "504", R.ONLY_IF_CACHED),
    ],
)
def test_a_stored_part(request_fields: str, after: float, expected: str, reason: Reason) -> None:
    part = stored(PART, 206, first=10, total=100)
    for _ in range(2):
        decision = ask(request_fields, [part], after=after)
        assert (kind(decision), decision.reason) == (expected, reason)
        judged(part.head, DEFAULT_OPTIONS)  # the second time its judgement is there already


def test_a_part_never_answers_head() -> None:
    decision = ask("Range: bytes=10-14", [stored(PART, 206, first=10, total=100)], method=b"HEAD")
    assert decision == Forward(R.PARTIAL, False, True, False)


def test_the_whole_is_used_where_a_newer_part_is_not_enough() -> None:
    part, whole = stored(PART, 206, first=10, total=100), stored(f"{PART} | Date: @-5", size=100)
    decision = ask("", [part, whole], after=1)
    assert isinstance(decision, Serve)
    assert decision.stored is whole
    ranged = ask("Range: bytes=10-14", [part, whole], after=1)
    assert isinstance(ranged, Serve)
    assert ranged.stored is part


# In the background.


def test_a_validation_in_the_background() -> None:
    """RFC 5861 §3: with nothing of the client's own in it."""
    found = stored('Cache-Control: max-age=5 | ETag: "a" | Last-Modified: @-9 | Vary: A', request="A: 1")
    asked = revalidation(found, DEFAULT_OPTIONS)
    request = fields(
        'A: 1 | Range: bytes=0-1 | If-Range: "a" | If-None-Match: "b" | If-Modified-Since: @-1 | If-Match: "c" | '
        "If-Unmodified-Since: @0 | Cache-Control: max-age=9 | Pragma: no-cache | Authorization: x | Cookie: y"
    )
    sent = validation_fields(request, asked)
    assert [(name, value.decode()) for _, name, value in sent.lines] == [
        (b"A", "1"),
        (b"Cookie", "y"),
        (b"If-None-Match", '"a"'),
        (b"If-Modified-Since", date(-9)),
    ]


def test_credentials_stay_where_vary_names_them() -> None:
    found = stored("Cache-Control: max-age=5, public | Vary: Authorization", request="Authorization: x")
    asked = revalidation(found, DEFAULT_OPTIONS)
    assert b"authorization" in validation_fields(fields("Authorization: x"), asked)


# Any sequence of fields.

REQUESTS = st.lists(
    st.sampled_from([
        "Cache-Control: no-cache", "Cache-Control: max-age=5", "Cache-Control: max-stale", "Cache-Control: max-stale=9",
        "Cache-Control: min-fresh=9", "Cache-Control: only-if-cached", "Cache-Control: no-store", "Pragma: no-cache",
        "Range: bytes=0-1", 'If-None-Match: "a"', "Authorization: x", "Cache-Control: x=\"",
    ]),
    max_size=4,
).map(" | ".join)  # fmt: skip
RESPONSES = st.lists(
    st.sampled_from([
        "Cache-Control: max-age=20", "Cache-Control: s-maxage=10", "Cache-Control: no-cache", "Expires: @30",
        "Cache-Control: must-revalidate", "Cache-Control: proxy-revalidate", "Cache-Control: stale-while-revalidate=9",
        "Cache-Control: stale-if-error=9", "Cache-Control: immutable", "Last-Modified: @-50", 'ETag: "a"', "Age: 5",
        "CDN-Cache-Control: max-age=7", "Cache-Control: public",
    ]),
    max_size=5,
).map(" | ".join)  # fmt: skip


@given(RESPONSES, REQUESTS, st.floats(0, 100), st.sampled_from([b"GET", b"HEAD"]))
def test_any_request_of_any_stored_response(response: str, request: str, after: float, method: bytes) -> None:
    found = stored(response)
    decision = ask(request, [found], after=after, method=method)
    judgement, asked, now = judged(found.head, DEFAULT_OPTIONS), controls(request), NOW + after
    if isinstance(decision, Serve):
        assert judgement.must_validate is None
        assert not asked.no_cache
        assert not asked.pragma
        assert decision.age == int(judgement.age(now))
        assert decision.stale is not judgement.is_fresh(now)
        if decision.stale:
            assert judgement.forbids_stale is None
            assert asked.max_stale >= 0 or now < judgement.use_while_revalidating_until
        if asked.max_age >= 0 and not judgement.immutable:
            assert judgement.age(now) <= asked.max_age
    elif isinstance(decision, Revalidate):
        assert not asked.only_if_cached
        assert bool(decision.add) == bool(decision.remove) == bool(decision.nominated)
        assert not (decision.may_lead and (asked.no_store or asked.authorized))
    else:
        assert isinstance(decision, GatewayTimeout)
        assert asked.only_if_cached
