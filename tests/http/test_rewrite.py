"""Values of an answer that name the backend become public ones."""

from __future__ import annotations

import pytest

from revproxy.http.rewrite import Public, rewrite_cookie, rewrite_field, rewrite_url

BACKENDS = frozenset({b"be:8000", b"be80", b"be80:80", b"be443", b"be443:443", b"[::1]:8000", b"10.0.0.5:8000"})
PUBLIC = Public(b"https", b"a.example:444", BACKENDS)
PREFIXED = Public(b"https", b"a.example:444", BACKENDS, b"/app")
NAMELESS = Public(b"https", b"", BACKENDS)
HERE = b"https://a.example:444"


@pytest.mark.parametrize(
    ("url", "plain", "prefixed"),
    [
        (b"http://be:8000/x?y#z", HERE + b"/x?y#z", HERE + b"/app/x?y#z"),
        (b"HTTP://BE:8000/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://be:8000", HERE, HERE + b"/app/"),
        (b"http://be:8000?x", HERE + b"?x", HERE + b"/app/?x"),
        (b"//be:8000/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://u:p@be:8000/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://be80/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://be80:80/x", HERE + b"/x", HERE + b"/app/x"),
        (b"https://be443:443/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://[::1]:8000/x", HERE + b"/x", HERE + b"/app/x"),
        (b"http://be:8000/app/x", HERE + b"/app/x", HERE + b"/app/x"),
        (b"http://be:8000/apple", HERE + b"/apple", HERE + b"/app/apple"),
        (b"http://be:8000//evil/", HERE + b"//evil/", HERE + b"/app//evil/"),
        (b"https://a.example:444/x", b"https://a.example:444/x", b"https://a.example:444/app/x"),
        # The name from Host, the port of its own socket: nginx's way to redirect to a folder.
        (b"http://a.example:8000/x/", HERE + b"/x/", HERE + b"/app/x/"),
        (b"http://a.example:8001/x/", b"http://a.example:8001/x/", b"http://a.example:8001/x/"),
        (b"http://a.example/x/", b"http://a.example/x/", b"http://a.example/x/"),
        (b"http://b.example:8000/x/", b"http://b.example:8000/x/", b"http://b.example:8000/x/"),
        (b"http://be:8001/x", b"http://be:8001/x", b"http://be:8001/x"),
        (b"http://be:8000.evil/x", b"http://be:8000.evil/x", b"http://be:8000.evil/x"),
        (b"http://other/x", b"http://other/x", b"http://other/x"),
        (b"//other/x", b"//other/x", b"//other/x"),
        (b"mailto:x@be:8000", b"mailto:x@be:8000", b"mailto:x@be:8000"),
        (b"/x", b"/x", b"/app/x"),
        (b"/app", b"/app", b"/app"),
        (b"/app?x", b"/app?x", b"/app?x"),
        (b"/app/x", b"/app/x", b"/app/x"),
        (b"/application", b"/application", b"/app/application"),
        (b"x/y", b"x/y", b"x/y"),
        (b"?x", b"?x", b"?x"),
        (b"", b"", b""),
    ],
)
def test_urls(url: bytes, plain: bytes, prefixed: bytes) -> None:
    for name in (b"location", b"content-location"):
        assert rewrite_field(name, url, PUBLIC) == plain
        assert rewrite_field(name, url, PREFIXED) == prefixed


@pytest.mark.parametrize(
    ("url", "expected"),
    [(b"http://be:8000/x", b"/x"), (b"http://be:8000", b"/"), (b"http://be:8000//evil/", b"/.//evil/")],
)
def test_without_a_public_name_a_path_is_left(url: bytes, expected: bytes) -> None:
    # RFC 3986 §4.2: a reference that begins with two slashes would name a host.
    assert rewrite_url(url, NAMELESS) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"5; url=http://be:8000/x", b"5; url=https://a.example:444/app/x"),
        (b"0;URL = http://be:8000/x", b"0;URL = https://a.example:444/app/x"),
        (b"0.5, http://be:8000/x", b"0.5, https://a.example:444/app/x"),
        (b'5; url="http://be:8000"', b'5; url="https://a.example:444/app/"'),
        (b"5; url='http://be:8000/x'", b"5; url='https://a.example:444/app/x'"),
        (b"5; url='http://be:8000/x", b"5; url='https://a.example:444/app/x"),
        (b"5; url=/x", b"5; url=/app/x"),
        (b"5; url=http://other/", b"5; url=http://other/"),
        (b"5", b"5"),
        (b"", b""),
    ],
)
def test_refresh(value: bytes, expected: bytes) -> None:
    assert rewrite_field(b"refresh", value, PREFIXED) == expected


@pytest.mark.parametrize(
    ("rfc", "value", "plain", "prefixed"),
    [
        ("6265-5.2", b"a=b", b"a=b", b"a=b"),
        ("6265-5.2.3", b"a=b; Domain=be; Secure", b"a=b; Domain=a.example; Secure", b"a=b; Domain=a.example; Secure"),
        ("6265-5.2.3", b"a=b;domain = .BE", b"a=b; Domain=a.example", b"a=b; Domain=a.example"),
        ("6265-5.2.3", b"a=b; Domain=10.0.0.5", b"a=b; Domain=a.example", b"a=b; Domain=a.example"),
        ("6265-5.2.3", b"a=b; Domain=example", b"a=b; Domain=example", b"a=b; Domain=example"),
        ("6265-5.2.4", b"a=b; Path=/", b"a=b; Path=/", b"a=b; Path=/app/"),
        ("6265-5.2.4", b"a=b;PATH=/x;HttpOnly", b"a=b;PATH=/x;HttpOnly", b"a=b; Path=/app/x;HttpOnly"),
        ("6265-5.2.4", b"a=b; Path=/app/x", b"a=b; Path=/app/x", b"a=b; Path=/app/x"),
        ("6265-5.2.4", b"a=b; Path=", b"a=b; Path=", b"a=b; Path="),
        ("6265-5.2", b"path=/x; a", b"path=/x; a", b"path=/x; a"),
        ("6265-5.2", b"domain=be", b"domain=be", b"domain=be"),
    ],
)
def test_cookies(rfc: str, value: bytes, plain: bytes, prefixed: bytes) -> None:
    assert rewrite_cookie(value, PUBLIC) == plain
    assert rewrite_field(b"set-cookie", value, PREFIXED) == prefixed


@pytest.mark.parametrize("authority", [b"", b"192.0.2.1:80", b"[2001:db8::1]:443"])
def test_a_cookie_for_an_address_has_no_domain(authority: bytes) -> None:
    # RFC 6265 §5.1.3: a domain that is an address matches itself alone, as a cookie without Domain does.
    public = Public(b"http", authority, BACKENDS)
    assert rewrite_cookie(b"a=b; Domain=be; Path=/", public) == b"a=b; Path=/"


def test_links_that_name_a_backend() -> None:
    """RFC 8288 §3: the target of a link stands in angle brackets; parameters are left as they are."""
    value = b'<http://10.0.0.5:8000/a.css>; rel=preload, </b.js>; rel=preload, <https://other.example/>; rel="x"'
    public = Public(b"https", b"example.com", frozenset({b"10.0.0.5:8000"}), b"/app")
    assert rewrite_field(b"link", value, public) == (
        b'<https://example.com/app/a.css>; rel=preload, </app/b.js>; rel=preload, <https://other.example/>; rel="x"'
    )
