"""Cache-Control and targeted fields, read (RFC 9111 §5.2, §4.2.1, §1.2.2; RFC 9213)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching import directives as module
from revproxy.caching.directives import (
    ABSENT,
    UNBOUNDED,
    ResponseDirectives,
    delta_seconds,
    members,
    parse_cache_control,
    parse_targeted,
    response_directives,
)
from tests.caching.scenes import fields


def told(directives: ResponseDirectives) -> dict[str, Any]:
    """Only what differs from a response that says nothing."""
    nothing = ResponseDirectives()
    values = {name: getattr(directives, name) for name in ResponseDirectives.__slots__}
    return {name: value for name, value in values.items() if value != getattr(nothing, name)}


@pytest.mark.parametrize(
    ("argument", "seconds"),
    [
        (b"0", 0),
        (b"1", 1),
        (b"007", 7),
        (b"3600", 3600),
        (b"2147483647", 2147483647),
        (b"2147483648", UNBOUNDED),
        (b"2147483649", UNBOUNDED),
        (b"9999999999", UNBOUNDED),
        (b"99999999999", UNBOUNDED),
        (b"9" * 10000, UNBOUNDED),
        (b"0" * 10000 + b"5", 5),
        (b"0" * 10000, 0),
        (b"", ABSENT),
        (None, ABSENT),
        (b"-1", ABSENT),
        (b"+1", ABSENT),
        (b"1.0", ABSENT),
        (b"1e3", ABSENT),
        (b"0x10", ABSENT),
        (b" 1", ABSENT),
        (b"1 ", ABSENT),
        (b"1,2", ABSENT),
        (b"1_000", ABSENT),
        (b"\xb2", ABSENT),
        (b"\xd9\xa1", ABSENT),
    ],
)
def test_delta_seconds(argument: bytes | None, seconds: int) -> None:
    assert delta_seconds(argument) == seconds


NO_CACHE = {"no_cache": True}
PRIVATE = {"private": True}
STALE = {"max_age": 0}

ROWS: list[tuple[bytes, dict[str, Any]]] = [
    # Each directive (§5.2.2, RFC 5861, RFC 8246).
    (b"", {}),
    (b"max-age=5", {"max_age": 5}),
    (b"max-age=0", {"max_age": 0}),
    (b"s-maxage=5", {"s_maxage": 5, "shareable": True}),
    (b"no-store", {"no_store": True}),
    (b"no-cache", NO_CACHE),
    (b"private", PRIVATE),
    (b"public", {"public": True, "shareable": True}),
    (b"must-revalidate", {"must_revalidate": True, "shareable": True}),
    (b"proxy-revalidate", {"proxy_revalidate": True}),
    (b"must-understand", {"must_understand": True}),
    (b"no-transform", {"no_transform": True}),
    (b"immutable", {"immutable": True}),
    (b"stale-while-revalidate=5", {"stale_while_revalidate": 5}),
    (b"stale-if-error=5", {"stale_if_error": 5}),
    # Lists, white space, empty members (RFC 9110 §5.6.1).
    (b"max-age=5, no-cache", {"max_age": 5, "no_cache": True}),
    (b"max-age=5,no-cache", {"max_age": 5, "no_cache": True}),
    (b" \tmax-age=5 \t,\t no-cache ", {"max_age": 5, "no_cache": True}),
    (b",, max-age=5,,", {"max_age": 5}),
    (b",", {}),
    # Case (§5.2).
    (b"MAX-AGE=5", {"max_age": 5}),
    (b"Max-Age=5, No-StorE", {"max_age": 5, "no_store": True}),
    (b"PRIVATE", PRIVATE),
    (b'No-Cache="SET-Cookie"', {"no_cache_fields": frozenset({b"set-cookie"})}),
    # Unknown ones are ignored (§5.2.3), as are request directives in a response.
    (b"foo", {}),
    (b"foo=bar, max-age=5", {"max_age": 5}),
    (b'community="UCI", private', PRIVATE),
    (b"max-stale=5, min-fresh=5, only-if-cached", {}),
    (b"no_store", {}),
    (b"nostore", {}),
    (b"x-max-age=5", {}),
    (b"max-age-x=5", {}),
    # What stands in a quoted-string is no directive.
    (b'foo="no-store"', {}),
    (b'foo="a, no-store, max-age=9", max-age=5', {"max_age": 5}),
    (b'foo="\\", no-store", max-age=5', {"max_age": 5}),
    (b'foo="\\\\", no-store', {"no_store": True}),
    (b'foo="", max-age=5', {"max_age": 5}),
    (b'"no-store"', {"no_store": True}),
    # Both forms of an argument are read (§5.2).
    (b'max-age="5"', {"max_age": 5}),
    (b'max-age="\\5"', {"max_age": 5}),
    (b's-maxage="5"', {"s_maxage": 5, "shareable": True}),
    (b'stale-if-error="5"', {"stale_if_error": 5}),
    (b"no-cache=set-cookie", {"no_cache_fields": frozenset({b"set-cookie"})}),
    (b"private=set-cookie", {"private_fields": frozenset({b"set-cookie"})}),
    (b'private="set-cookie, x-user"', {"private_fields": frozenset({b"set-cookie", b"x-user"})}),
    (b'no-cache=" a ,, B "', {"no_cache_fields": frozenset({b"a", b"b"})}),
    # no-cache and private whose argument is no list of names count without one.
    (b'no-cache=""', NO_CACHE),
    (b'private=""', PRIVATE),
    (b'no-cache=","', NO_CACHE),
    (b'no-cache="a b"', NO_CACHE),
    (b'no-cache="a;b"', NO_CACHE),
    (b"no-cache=", NO_CACHE),
    (b'private="a\xff"', PRIVATE),
    # ... or takes away what the response is judged by.
    (b'no-cache="cache-control", max-age=5', {"no_cache": True, "max_age": 5}),
    (b'no-cache="expires"', NO_CACHE),
    (b'private="vary"', PRIVATE),
    (b'private="CDN-Cache-Control"', PRIVATE),
    # The unqualified form beside the other is stricter; two others add up.
    (b'no-cache="a", no-cache', {"no_cache": True, "no_cache_fields": frozenset({b"a"})}),
    (b'private, private="a"', {"private": True, "private_fields": frozenset({b"a"})}),
    (b'private="a", private="b"', {"private_fields": frozenset({b"a", b"b"})}),
    # Malformed lifetimes are stale (§4.2.1).
    (b"max-age", STALE),
    (b"max-age=", STALE),
    (b"max-age=-5", STALE),
    (b"max-age=+5", STALE),
    (b"max-age=5.0", STALE),
    (b"max-age=5s", STALE),
    (b"max-age=a5", STALE),
    (b"max-age='5'", STALE),
    (b"max-age=five", STALE),
    (b'max-age=""', STALE),
    (b'max-age=" 5"', STALE),
    (b"max-age =5", STALE),
    (b"max-age= 5", STALE),
    (b"max-age = 5", STALE),
    (b"max-age:5", STALE),
    (b"max-age=5;", STALE),
    (b"max-age=5 foo", STALE),
    (b"max-age==5", STALE),
    (b"s-maxage=x", {"s_maxage": 0}),
    (b"s-maxage", {"s_maxage": 0}),
    (b"s-maxage = 5", {"s_maxage": 0}),
    (b"max-age=5, s-maxage=x", {"max_age": 5, "s_maxage": 0}),
    # Overflow (§1.2.2).
    (b"max-age=2147483648", {"max_age": UNBOUNDED}),
    (b"max-age=99999999999999999999", {"max_age": UNBOUNDED}),
    (b"s-maxage=4294967296", {"s_maxage": UNBOUNDED, "shareable": True}),
    # Two lifetimes: the first, or stale (§4.2.1).
    (b"max-age=5, max-age=5", {"max_age": 5}),
    (b"max-age=5, max-age=9", {"max_age": 5}),
    (b"max-age=9, max-age=5", STALE),
    (b"max-age=9, max-age=0", STALE),
    (b"max-age=0, max-age=9", STALE),
    (b"max-age=9, max-age=x", STALE),
    (b"max-age=x, max-age=9", STALE),
    (b"s-maxage=9, s-maxage=5", {"s_maxage": 0, "shareable": True}),
    # The smaller grace counts, and a malformed one is none.
    (b"stale-while-revalidate=9, stale-while-revalidate=5", {"stale_while_revalidate": 5}),
    (b"stale-while-revalidate=5, stale-while-revalidate=9", {"stale_while_revalidate": 5}),
    (b"stale-while-revalidate", {"stale_while_revalidate": 0}),
    (b"stale-if-error=x", {"stale_if_error": 0}),
    (b"stale-if-error = 5", {"stale_if_error": 0}),
    (b"stale-while-revalidate = 5", {"stale_while_revalidate": 0}),
    # An argument that nobody defined: what restricts does, what grants does not.
    (b"no-store=x", {"no_store": True}),
    (b'no-store="x"', {"no_store": True}),
    (b"must-revalidate=x", {"must_revalidate": True}),
    (b"proxy-revalidate=1", {"proxy_revalidate": True}),
    (b"no-transform=1", {"no_transform": True}),
    (b"public=x", {}),
    (b"public=x, public", {"public": True, "shareable": True}),
    (b"must-understand=x", {"no_store": True}),
    (b"immutable=x", {"immutable": True}),
    # Members that break the grammar: restricting words count, granting ones don't.
    (b"no-store max-age=5", {"no_store": True, "max_age": 0}),
    (b"no-cache no-store", {"no_cache": True, "no_store": True}),
    (b"max-age=5; private", {"max_age": 0, "private": True}),
    (b"public max-age=5", STALE),
    (b"no-cache =a", NO_CACHE),
    (b"must-revalidate proxy-revalidate", {"must_revalidate": True, "proxy_revalidate": True}),
    (b"no-transform no-transform", {"no_transform": True}),
    (b"immutable immutable", {}),
    (b"(no-store)", {"no_store": True}),
    # A quote that never ends: what is behind it counts in neither reading but the stricter one.
    (b'max-age=5, foo="bar', {"max_age": 5}),
    (b'foo="bar, no-store', {"no_store": True}),
    (b'foo="bar, max-age=5', STALE),
    (b'max-age=5, foo="bar, max-age=9', STALE),
    (b'foo="bar, public', {}),
    (b'max-age="5', STALE),
    (b'foo="bar\\", private', PRIVATE),
    (b'max-age=5"', STALE),
    (b'foo="a"b, max-age=5', {"max_age": 5}),
]


@pytest.mark.parametrize(("value", "expected"), ROWS, ids=repr)
def test_cache_control(value: bytes, expected: dict[str, Any]) -> None:
    assert told(parse_cache_control(value)) == expected


TARGETED: list[tuple[bytes, dict[str, Any] | None]] = [
    (b"max-age=5", {"max_age": 5}),
    (b"max-age=5, no-store", {"max_age": 5, "no_store": True}),
    (b"no-store", {"no_store": True}),
    (b"private", PRIVATE),
    (b"must-revalidate", {"must_revalidate": True, "shareable": True}),
    (b"public, s-maxage=5", {"public": True, "shareable": True, "s_maxage": 5}),
    (b"stale-while-revalidate=5, stale-if-error=6", {"stale_while_revalidate": 5, "stale_if_error": 6}),
    (
        b"immutable, must-understand, proxy-revalidate",
        {
            "immutable": True,
            "must_understand": True,
            "proxy_revalidate": True,
        },
    ),
    (b'no-cache="set-cookie, b"', {"no_cache_fields": frozenset({b"set-cookie", b"b"})}),
    (b'private="a"', {"private_fields": frozenset({b"a"})}),
    (b"none", {}),
    (b"x=?0, max-age=5;a=b", {"max_age": 5}),
    (b"max-age=999999999999999", {"max_age": UNBOUNDED}),
    # Of two the last is the member's value (RFC 9651 §3.2).
    (b"max-age=9, max-age=5", {"max_age": 5}),
    # No coercion (RFC 9213 §2.1): what has the wrong type restricts.
    (b'max-age="5"', STALE),
    (b"max-age=5.0", STALE),
    (b"max-age=-5", STALE),
    (b"max-age", STALE),
    (b"max-age=five", STALE),
    (b"max-age=(5)", STALE),
    (b"max-age=:NQ==:", STALE),
    (b"max-age=@5", STALE),
    (b"no-cache=set-cookie", NO_CACHE),
    (b"no-store=?0", {"no_store": True}),
    (b"public=?0", {}),
    # Invalid or empty: as if it were not there.
    (b"", None),
    (b" ", None),
    (b"max-age=5,", None),
    (b",max-age=5", None),
    (b"Max-Age=5", None),
    (b"max-age= 5", None),
    (b"max-age=5 no-store", None),
    (b"max-age=5;", None),
    (b'max-age="5', None),
    (b"max-age='5'", None),
    (b"max-age=1000000000000000", None),
    (b"max-age=5, \xff", None),
    (b"a=@99999999999999", None),
]


@pytest.mark.parametrize(("value", "expected"), TARGETED, ids=repr)
def test_targeted(value: bytes, expected: dict[str, Any] | None) -> None:
    found = parse_targeted(value)
    assert (None if found is None else told(found)) == (None if expected is None else {**expected, "targeted": True})


TWO = (b"example-cache-control", b"cdn-cache-control")


@pytest.mark.parametrize(
    ("response", "targeted", "max_age"),
    [
        ("Cache-Control: max-age=1", TWO, 1),
        ("Cache-Control: max-age=1 | CDN-Cache-Control: max-age=2", TWO, 2),
        ("Cache-Control: max-age=1 | CDN-Cache-Control: max-age=2 | Example-Cache-Control: max-age=3", TWO, 3),
        ("Example-Cache-Control: max-age=3 | CDN-Cache-Control: max-age=2", TWO[::-1], 2),
        ("Cache-Control: max-age=1 | CDN-Cache-Control: max-age=2", (), 1),
        ("Cache-Control: max-age=1 | Other-Cache-Control: max-age=2", TWO, 1),
        ("Cache-Control: max-age=1 | CDN-Cache-Control: none", TWO, ABSENT),
        ("Cache-Control: max-age=1 | CDN-Cache-Control: (", TWO, 1),
        ("Cache-Control: max-age=1 | CDN-Cache-Control:", TWO, 1),
        ("CDN-Cache-Control: max-age=2 | Example-Cache-Control: MAX-AGE=3", TWO, 2),
        ("CDN-Cache-Control: max-age=2 | CDN-Cache-Control: foo", TWO, 2),
        ("Cache-Control: max-age=9 | Cache-Control: no-cache", TWO, 9),
        ("Cache-Control: foo | Cache-Control: max-age=9", TWO, 9),
        ("Expires: 0", TWO, ABSENT),
        ("Pragma: no-cache", TWO, ABSENT),
    ],
)
def test_which_field_counts(response: str, targeted: tuple[bytes, ...], max_age: int) -> None:
    assert response_directives(fields(response), targeted).max_age == max_age


def test_two_lines_are_one_list() -> None:
    assert response_directives(fields("Cache-Control: max-age=9 | Cache-Control: no-cache")).no_cache


def test_the_same_octets_mean_other_things_in_a_targeted_field() -> None:
    response = fields('CDN-Cache-Control: max-age="7" | Cache-Control: max-age="7"')
    assert response_directives(response).max_age == 7
    assert response_directives(response, TWO).max_age == 0


def test_the_memo_is_bounded() -> None:
    for number in range(3000):
        assert response_directives(fields(f"Cache-Control: max-age={number}")).max_age == number
        response_directives(fields(f"CDN-Cache-Control: max-age={number}"), TWO)
    response_directives(fields("Cache-Control: " + "a" * 5000))
    assert len(module._REMEMBERED) <= 1024
    assert len(module._REMEMBERED_TARGETED) <= 1024
    assert max(map(len, module._REMEMBERED)) <= 256


LIKELY = st.lists(
    st.sampled_from([
        b"max-age", b"s-maxage", b"no-store", b"no-cache", b"private", b"=", b"5", b'"', b"\\", b",", b" ", b";", b"(",
        b"?0", b"public", b"\xff",
    ]),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(st.one_of(st.binary(max_size=60), LIKELY))
def test_any_octets_are_read(value: bytes) -> None:
    directives = parse_cache_control(value)
    for name in ("max_age", "s_maxage", "stale_while_revalidate", "stale_if_error"):
        assert ABSENT <= getattr(directives, name) <= UNBOUNDED
    found = parse_targeted(value)
    assert found is None or ABSENT <= found.max_age <= UNBOUNDED


@given(LIKELY)
def test_what_restricts_is_never_hidden_by_what_stands_before(value: bytes) -> None:
    """Whatever comes first, a word of its own at the end is found unless a quoted-string that ends holds it."""
    good, words = members(value + b",no-store")
    assert (b"no-store", None) in good or b"no-store" in words


@given(LIKELY, LIKELY)
def test_more_members_never_grant_more_time(one: bytes, other: bytes) -> None:
    if b'"' in one + other:
        return
    alone, together = parse_cache_control(one), parse_cache_control(one + b"," + other)
    if alone.max_age >= 0:
        assert together.max_age <= alone.max_age
    assert together.no_store >= alone.no_store
    assert together.no_cache >= alone.no_cache
    assert together.private >= alone.private
