"""What a request's fields say to a cache (RFC 9111 §5.2.1, §5.4)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.controls import DECISIVE, RELEVANT, RequestControls, bypassing_cookie
from revproxy.caching.directives import UNBOUNDED
from revproxy.http.fields import NO_FIELDS, Fields
from tests.caching.scenes import controls, fields

_DERIVED = ("fields", "plain", "undemanding")


def told(request: RequestControls) -> dict[str, Any]:
    nothing = RequestControls(NO_FIELDS)
    values = {name: getattr(request, name) for name in RequestControls.__slots__ if name not in _DERIVED}
    return {name: value for name, value in values.items() if value != getattr(nothing, name)}


@pytest.mark.parametrize(
    ("request_fields", "expected"),
    [
        ("", {}),
        ("Accept: text/html | Cookie: a=b | User-Agent: x", {}),
        ("Cache-Control: no-cache", {"no_cache": True}),
        ("Cache-Control: NO-CACHE", {"no_cache": True}),
        ("Cache-Control: no-cache=x", {"no_cache": True}),
        ("Cache-Control: no-store", {"no_store": True}),
        ("Cache-Control: only-if-cached", {"only_if_cached": True}),
        ("Cache-Control: max-age=0", {"max_age": 0}),
        ("Cache-Control: max-age=5", {"max_age": 5}),
        ('Cache-Control: max-age="5"', {"max_age": 5}),
        ("Cache-Control: max-age=x", {"max_age": 0}),
        ("Cache-Control: max-age", {"max_age": 0}),
        ("Cache-Control: max-age = 5", {"max_age": 0}),
        ("Cache-Control: max-age=9, max-age=5", {"max_age": 5}),
        ("Cache-Control: max-age=99999999999", {"max_age": UNBOUNDED}),
        ("Cache-Control: min-fresh=5", {"min_fresh": 5}),
        ("Cache-Control: min-fresh=5, min-fresh=9", {"min_fresh": 9}),
        ("Cache-Control: min-fresh=x", {"min_fresh": UNBOUNDED}),
        ("Cache-Control: min-fresh", {"min_fresh": UNBOUNDED}),
        ("Cache-Control: max-stale", {"max_stale": UNBOUNDED}),
        ("Cache-Control: max-stale=5", {"max_stale": 5}),
        ("Cache-Control: max-stale=x", {"max_stale": 0}),
        ("Cache-Control: max-stale, max-stale=5", {"max_stale": 5}),
        ("Cache-Control: stale-if-error=5", {"stale_if_error": 5}),
        ("Cache-Control: stale-if-error=x", {"stale_if_error": 0}),
        ("Cache-Control: max-age=0, no-cache, no-store", {"max_age": 0, "no_cache": True, "no_store": True}),
        ("Cache-Control: no-cache no-store", {"no_cache": True, "no_store": True}),
        ('Cache-Control: foo="no-store"', {}),
        ("Cache-Control: private, must-revalidate, s-maxage=5, immutable", {}),
        ("Pragma: no-cache", {"pragma": True}),
        ("Pragma: foo, No-Cache", {"pragma": True}),
        ("Pragma: foo", {}),
        ("Pragma: no-cache | Cache-Control: max-age=5", {"max_age": 5}),
        ("Pragma: no-cache | Cache-Control:", {}),
        ("Authorization: Basic eDp5", {"authorized": True}),
        ('If-None-Match: "a"', {"conditional": True}),
        ("If-Modified-Since: @0", {"conditional": True}),
        ('If-Match: "a"', {"for_origin": True}),
        ("If-Unmodified-Since: @0", {"for_origin": True}),
        ("Range: bytes=0-1", {"ranged": True}),
        ("Content-Length: 0", {}),
        ("Content-Length: 000", {}),
        ("Content-Length: 1", {"has_content": True}),
        ("Transfer-Encoding: chunked", {"has_content": True}),
        ("Upgrade: websocket", {"upgrades": True}),
        ("Upgrade: h2c, websocket", {"upgrades": True}),
        ("Upgrade: h2c", {}),
    ],
)
def test_requests(request_fields: str, expected: dict[str, Any]) -> None:
    found = controls(request_fields)
    assert told(found) == expected
    # A request that says anything is never plain, and undemanding only if that can't keep a fresh response from use.
    assert not (found.plain and expected)
    assert not found.undemanding or set(expected) <= {"authorized", "conditional", "ranged"}


def test_plain_and_undemanding_requests() -> None:
    assert controls("Host: a | Cookie: x=y").plain
    assert controls("Host: a | Cookie: x=y").undemanding
    for name in RELEVANT:
        assert not controls(f"Host: a | {name.decode()}: x").plain
        assert controls(f"Host: a | {name.decode()}: x").undemanding is (name not in DECISIVE)


@given(st.binary(max_size=50))
def test_any_octets_are_read(value: bytes) -> None:
    found = RequestControls(Fields.of([(b"Cache-Control", value), (b"Content-Length", value), (b"Upgrade", value)]))
    assert -1 <= found.max_age <= UNBOUNDED
    assert -1 <= found.min_fresh <= UNBOUNDED
    assert -1 <= found.max_stale <= UNBOUNDED


@pytest.mark.parametrize(
    ("request_fields", "bypasses"),
    [
        ("Cookie: session=1", True),
        ("Cookie: a=b; session=1; c=d", True),
        ("Cookie: a=b;session=", True),
        ("Cookie: session", True),
        ("Cookie: a=b | Cookie: session=1", True),
        ("Cookie: a=session", False),
        ("Cookie: session2=1", False),
        ("Cookie: Session=1", False),
        ("Cookie:", False),
        ("", False),
        ("X: session=1", False),
    ],
)
def test_cookies_that_bypass(request_fields: str, bypasses: bool) -> None:
    assert bypassing_cookie(fields(request_fields), frozenset({b"session"})) is bypasses


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [(b"Accept", b"*/*")],
        [(b"Cache-Control", b"max-age=5, min-fresh=3, max-stale=2, stale-if-error=9, only-if-cached")],
        [(b"Cache-Control", b"no-cache, no-store"), (b"If-None-Match", b'"a"'), (b"Range", b"bytes=0-1")],
        [(b"Pragma", b"no-cache"), (b"Authorization", b"x"), (b"If-Match", b'"a"'), (b"Content-Length", b"3")],
        [(b"Upgrade", b"websocket")],
    ],
)
def test_a_cookie_changes_nothing(lines: list[tuple[bytes, bytes]]) -> None:
    fields = Fields.of([*lines, (b"Cookie", b"a=b")])
    beside, own = RequestControls(Fields.of(lines)).beside(fields), RequestControls(fields)
    for name in RequestControls.__slots__:
        assert getattr(beside, name) == getattr(own, name), name
