"""What unsafe requests make invalid (RFC 9111 §4.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.policy import invalidated
from revproxy.caching.storing import resolved
from revproxy.http.fields import Fields
from tests.caching.scenes import URL, fields

SELF = URL.decode()
BASE = "https://example.com"


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        *[
            (method, 200, True)
            for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"FOO", b"M-SEARCH", b"get", b"MKCOL")
        ],
        *[(method, 200, False) for method in (b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"QUERY", b"SEARCH")],
        # A non-error is 2xx or 3xx.
        *[(b"POST", status, True) for status in (200, 201, 204, 206, 299, 300, 302, 303, 304, 399)],
        *[(b"POST", status, False) for status in (100, 101, 103, 400, 404, 409, 412, 499, 500, 503, 599, 600)],
    ],
)
def test_the_target(method: bytes, status: int, expected: bool) -> None:
    assert invalidated(method, URL, status, fields("")) == ((URL,) if expected else ())


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("/c", f"{BASE}/c"),
        ("c?d", f"{BASE}/c?d"),
        ("../c", f"{BASE}/c"),
        ("?x", f"{BASE}/a?x"),
        ("/c#fragment", f"{BASE}/c"),
        (f"{BASE}/c", f"{BASE}/c"),
        (f"{BASE}:443/c", f"{BASE}/c"),
        ("HTTPS://EXAMPLE.com/c", f"{BASE}/c"),
        ("HTTPS://EXAMPLE.com./C", f"{BASE}/C"),
        (BASE, f"{BASE}/"),
        ("//example.com/c", f"{BASE}/c"),
        # The target itself, once.
        ("/a?b", None),
        ("#x", None),
        ("", None),
        # Another origin is never touched.
        ("http://example.com/c", None),
        ("https://example.com:8443/c", None),
        ("https://other.com/c", None),
        ("https://sub.example.com/c", None),
        ("//other.com/c", None),
        ("https://example.com.evil.org/c", None),
        ("https://example.com@evil.org/c", None),
        ("https://[::1/c", None),
        ("https://example.com:x/c", None),
        ("https:///c", f"{BASE}/c"),
        ("http:///c", None),
        ("urn:example", None),
        ("javascript:alert(1)", None),
    ],
)
def test_other_urls(name: str, value: str, other: str | None) -> None:
    found = invalidated(b"POST", URL, 201, fields(f"{name}: {value}"))
    assert found == ((URL,) if other is None else (URL, other.encode()))


def test_both_fields_and_all_their_lines() -> None:
    found = invalidated(b"PUT", URL, 200, fields("Content-Location: /d | Location: /c | Location: /e | Location: /c"))
    assert found == (URL, b"https://example.com/c", b"https://example.com/e", b"https://example.com/d")


def test_an_error_touches_nothing_else_either() -> None:
    assert invalidated(b"POST", URL, 404, fields("Location: /c")) == ()


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_octets(url: bytes, reference: bytes) -> None:
    resolved(url, reference)
    found = invalidated(b"POST", url, 200, Fields.of([(b"Location", reference)]))
    assert found[0] == url
