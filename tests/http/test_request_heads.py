"""Request lines, targets, Host and Expect: raw octets → what is served, or how it is refused."""

from __future__ import annotations

import pytest

from revproxy.errors import BadRequest, ExpectationFailed, MethodNotAllowed, ProxyError, VersionNotSupported
from revproxy.http.framing import CHUNKED, Framing
from tests.support.feeding import Accepted, request_outcome

Row = tuple[str, str, bytes, "Accepted | type[ProxyError]"]

H = b"\r\nHost: a\r\n\r\n"

LINES: list[Row] = [
    ("9112-3", "the plain case", b"GET / HTTP/1.1" + H, Accepted()),
    ("9110-9.1", "any token is a method", b"BREW-1! /pot HTTP/1.1" + H, Accepted(b"BREW-1!", b"/pot")),
    ("9110-9.1", "methods have a case", b"get / HTTP/1.1" + H, Accepted(b"get")),
    ("9110-5.6.2", "all of a token's signs", b"!#$%&'*+-.^_`|~ / HTTP/1.1" + H, Accepted(b"!#$%&'*+-.^_`|~")),
    ("9110-9.1", "a method of 64 octets", b"M" * 64 + b" / HTTP/1.1" + H, Accepted(b"M" * 64)),
    ("9110-9.1", "a longer one is refused", b"M" * 65 + b" / HTTP/1.1" + H, BadRequest),
    ("9110-9.1", "a colon is in no token", b"GET: / HTTP/1.1" + H, BadRequest),
    ("9110-9.1", "a quote is in no token", b'"GET" / HTTP/1.1' + H, BadRequest),
    ("9110-9.1", "a method is ASCII", b"G\xc9T / HTTP/1.1" + H, BadRequest),
    ("9110-9.1", "NUL in a method", b"GE\x00T / HTTP/1.1" + H, BadRequest),
    ("9112-3", "no method", b" / HTTP/1.1" + H, BadRequest),
    ("9110-9.3.6", "CONNECT would make a relay", b"CONNECT a:443 HTTP/1.1" + H, MethodNotAllowed),
    ("9110-9.3.6", "CONNECT with a path as well", b"CONNECT / HTTP/1.1" + H, MethodNotAllowed),
    ("9110-9.3.8", "TRACE shows what proxies add", b"TRACE / HTTP/1.1" + H, MethodNotAllowed),
    ("9110-9.1", "trace is not TRACE", b"trace / HTTP/1.1" + H, Accepted(b"trace")),
    ("9112-3", "two spaces before the target", b"GET  / HTTP/1.1" + H, BadRequest),
    ("9112-3", "two spaces behind the target", b"GET /  HTTP/1.1" + H, BadRequest),
    ("9112-3", "a tab instead of a space", b"GET\t/ HTTP/1.1" + H, BadRequest),
    ("9112-3", "a tab behind the target", b"GET /\tHTTP/1.1" + H, BadRequest),
    ("9112-3", "a space behind the version", b"GET / HTTP/1.1 " + H, BadRequest),
    ("9112-3", "a tab behind the version", b"GET / HTTP/1.1\t" + H, BadRequest),
    ("9112-3", "a space before the method", b" GET / HTTP/1.1" + H, BadRequest),
    ("9112-3.2", "a space in the target", b"GET /a b HTTP/1.1" + H, BadRequest),
    ("9112-3", "a second request in the line", b"GET / HTTP/1.1 GET /x HTTP/1.1" + H, BadRequest),
    ("9112-2.2", "one empty line goes before", b"\r\nGET / HTTP/1.1" + H, Accepted()),
    ("9112-2.2", "but not two", b"\r\n\r\nGET / HTTP/1.1" + H, BadRequest),
    ("9112-2.2", "a bare LF before the request", b"\nGET / HTTP/1.1" + H, BadRequest),
    ("9112-2.2", "a bare CR before the request", b"\rGET / HTTP/1.1" + H, BadRequest),
    ("9112-2.2", "a bare LF ends no request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", BadRequest),
    ("9112-2.2", "a bare CR ends no request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", BadRequest),
    ("9112-2.2", "a bare CR in the target", b"GET /\rx HTTP/1.1" + H, BadRequest),
    ("9112-2.2", "CR CR LF", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", BadRequest),
    ("9112-2.2", "LF alone all over", b"GET / HTTP/1.1\nHost: a\n\n", BadRequest),
    ("9112-9.1", "TLS on the clear-text port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", BadRequest),
    ("9112-3", "an answer instead of a request", b"HTTP/1.1 200 OK" + H, BadRequest),
]

VERSIONS: list[Row] = [
    ("9110-6.2", "HTTP/1.0", b"GET / HTTP/1.0" + H, Accepted(version=10)),
    ("9110-6.2", "a later minor version counts as 1.1", b"GET / HTTP/1.2" + H, Accepted()),
    ("9110-6.2", "up to 1.9", b"GET / HTTP/1.9" + H, Accepted()),
    ("9112-2.3", "lower case", b"GET / http/1.1" + H, BadRequest),
    ("9112-2.3", "mixed case", b"GET / Http/1.1" + H, BadRequest),
    ("9110-15.6.6", "HTTP/2.0", b"GET / HTTP/2.0" + H, VersionNotSupported),
    ("9110-15.6.6", "HTTP/0.9 written out", b"GET / HTTP/0.9" + H, VersionNotSupported),
    ("9110-15.6.6", "HTTP/9.9", b"GET / HTTP/9.9" + H, VersionNotSupported),
    ("9113-3.4", "HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionNotSupported),
    ("9112-2.3", "a simple request of HTTP/0.9", b"GET /\r\n\r\n", BadRequest),
    ("9112-2.3", "one digit each", b"GET / HTTP/1.10" + H, BadRequest),
    ("9112-2.3", "one digit each, in front", b"GET / HTTP/01.1" + H, BadRequest),
    ("9112-2.3", "no minor version", b"GET / HTTP/1" + H, BadRequest),
    ("9112-2.3", "no digit", b"GET / HTTP/1.x" + H, BadRequest),
    ("9112-2.3", "a digit of another script", b"GET / HTTP/1.\xb2" + H, BadRequest),
    ("9112-2.3", "a comma", b"GET / HTTP/1,1" + H, BadRequest),
    ("9112-2.3", "another protocol", b"GET / ICAP/1.0" + H, BadRequest),
    ("9112-2.3", "a name that is too long", b"GET / HTTPS/1.1" + H, BadRequest),
    ("9112-2.3", "a sign", b"GET / HTTP/+1.1" + H, BadRequest),
    ("9112-2.3", "no version behind a space", b"GET / " + H, BadRequest),
    ("9112-3", "the leftmost mistake counts: target", b"GET /\x01 HTTP/2.0" + H, BadRequest),
    ("9112-3", "the leftmost mistake counts: method", b"G(T / HTTP/2.0" + H, BadRequest),
]

TARGETS: list[Row] = [
    ("9112-3.2.1", "path and query", b"GET /a/b?c=/d?e HTTP/1.1" + H, Accepted(target=b"/a/b?c=/d?e")),
    ("9112-3.2.1", "escapes travel untouched", b"GET /%61%2F%2e%zz?%00 HTTP/1.1" + H, Accepted(target=b"/%61%2F%2e%zz?%00")),
    ("9112-3.2.1", "so do dot segments", b"GET /x/../y HTTP/1.1" + H, Accepted(target=b"/x/../y")),
    ("9112-3.2.1", "two slashes are a path, no host", b"GET //b/c HTTP/1.1" + H, Accepted(target=b"//b/c")),
    ("9112-3.2", "octets above 127 travel untouched", b"GET /\xc3\xa9\xff HTTP/1.1" + H, Accepted(target=b"/\xc3\xa9\xff")),
    ("3986-2", "so do signs that URIs leave out", b'GET /"<>\\^`{|} HTTP/1.1' + H, Accepted(target=b'/"<>\\^`{|}')),
    ("9110-7.1", "a fragment is never sent", b"GET /a#b HTTP/1.1" + H, BadRequest),
    ("9110-7.1", "nor in an absolute target", b"GET http://b/#c HTTP/1.1" + H, BadRequest),
    ("9112-3.2", "NUL", b"GET /\x00 HTTP/1.1" + H, BadRequest),
    ("9112-3.2", "a control octet", b"GET /\x1f HTTP/1.1" + H, BadRequest),
    ("9112-3.2", "DEL", b"GET /\x7f HTTP/1.1" + H, BadRequest),
    ("9112-3.2", "vertical tab and form feed", b"GET /\x0b\x0c HTTP/1.1" + H, BadRequest),
    ("9112-3.2.1", "a path without a slash", b"GET a HTTP/1.1" + H, BadRequest),
    ("9112-3.2.1", "a query alone", b"GET ?a HTTP/1.1" + H, BadRequest),
    ("9112-3.2.2", "an absolute target overrides Host", b"GET http://b/c HTTP/1.1" + H, Accepted(target=b"/c", host=b"b")),
    ("9112-3.2.2", "scheme and host have no case", b"GET HTTPS://B.Example/C HTTP/1.1" + H, Accepted(target=b"/C", host=b"b.example")),
    ("9112-3.2.2", "an empty path is /", b"GET http://b HTTP/1.1" + H, Accepted(host=b"b")),
    ("9112-3.2.2", "an empty path with a query", b"GET http://b?c/d HTTP/1.1" + H, Accepted(target=b"/?c/d", host=b"b")),
    ("9112-3.2.2", "a port stays with the host", b"GET http://b:81/ HTTP/1.1" + H, Accepted(host=b"b")),
    ("9112-3.2.2", "two slashes behind the host", b"GET http://b//c HTTP/1.1" + H, Accepted(target=b"//c", host=b"b")),
    ("9110-4.2.4", "userinfo is refused", b"GET http://u:p@b/ HTTP/1.1" + H, BadRequest),
    ("9110-4.2.1", "no host", b"GET http:///c HTTP/1.1" + H, BadRequest),
    ("9110-4.2", "another scheme", b"GET ftp://b/ HTTP/1.1" + H, BadRequest),
    ("9110-4.2", "a scheme without slashes", b"GET http:b HTTP/1.1" + H, BadRequest),
    ("9112-3.2.2", "backslashes make no authority", b"GET http:\\\\b\\c HTTP/1.1" + H, BadRequest),
    ("9112-3.2.2", "a backslash ends no authority", b"GET http://b\\@c/ HTTP/1.1" + H, BadRequest),
    ("9112-3.2.3", "authority-form is CONNECT's", b"GET b:443 HTTP/1.1" + H, BadRequest),
    ("9112-3.2.4", "the server as a whole", b"OPTIONS * HTTP/1.1" + H, Accepted(b"OPTIONS", b"*")),
    ("9112-3.2.4", "OPTIONS of a bare authority", b"OPTIONS http://b:80 HTTP/1.1" + H, Accepted(b"OPTIONS", b"*", host=b"b")),
    ("9112-3.2.4", "OPTIONS of a root path", b"OPTIONS http://b/ HTTP/1.1" + H, Accepted(b"OPTIONS", b"/", host=b"b")),
    ("9112-3.2.4", "the asterisk is for OPTIONS alone", b"GET * HTTP/1.1" + H, BadRequest),
    ("9112-3.2.4", "and stands alone", b"OPTIONS *? HTTP/1.1" + H, BadRequest),
]


def hosted(value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n"


HOSTS: list[Row] = [
    ("9112-3.2", "missing", b"GET / HTTP/1.1\r\n\r\n", BadRequest),
    ("9112-3.2", "missing beside an absolute target", b"GET http://b/ HTTP/1.1\r\n\r\n", BadRequest),
    ("9112-3.2", "HTTP/1.0 may leave it out", b"GET / HTTP/1.0\r\n\r\n", Accepted(version=10, host=b"")),
    ("9112-3.2", "twice", hosted(b" a\r\nHost: b"), BadRequest),
    ("9112-3.2", "twice the same", hosted(b" a\r\nhost: a"), BadRequest),
    ("9112-3.2", "twice in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", BadRequest),
    ("9112-3.2", "malformed beside an absolute target", b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", BadRequest),
    ("9110-7.2", "empty", hosted(b""), BadRequest),
    ("9110-7.2", "white space around it", hosted(b" \t a \t"), Accepted()),
    ("9110-7.2", "with a port", hosted(b" a:8080"), Accepted()),
    ("3986-3.2.3", "with an empty port", hosted(b" a:"), Accepted()),
    ("9110-4.2.3", "a host has no case", hosted(b" A.eXample"), Accepted(host=b"a.example")),
    ("1034-3.1", "a closing dot is the same name", hosted(b" a.example."), Accepted(host=b"a.example")),
    ("3986-3.2.2", "IPv6", hosted(b" [2001:DB8::1]:8080"), Accepted(host=b"[2001:db8::1]")),
    ("3986-3.2.2", "IPv6 that is none", hosted(b" [:::]"), BadRequest),
    ("3986-3.2.2", "IPv4 in brackets", hosted(b" [192.0.2.1]"), BadRequest),
    ("3986-3.2.2", "IPv6 without brackets", hosted(b" 2001:db8::1"), BadRequest),
    ("6874-2", "a zone belongs to nobody else", hosted(b" [fe80::1%25eth0]"), BadRequest),
    ("3986-3.2.2", "a bracket that stays open", hosted(b" [::1"), BadRequest),
    ("3986-3.2.2", "octets behind the bracket", hosted(b" [::1]a"), BadRequest),
    ("3986-3.2.2", "a future address", hosted(b" [v1.a]"), BadRequest),
    ("9110-4.2.4", "userinfo", hosted(b" u@a"), BadRequest),
    ("9110-7.2", "a path", hosted(b" a/b"), BadRequest),
    ("9110-7.2", "a query", hosted(b" a?b"), BadRequest),
    ("9110-7.2", "a backslash", hosted(b" a\\b"), BadRequest),
    ("9110-7.2", "a space", hosted(b" a b"), BadRequest),
    ("9110-7.2", "a URL", hosted(b" http://a"), BadRequest),
    ("9110-7.2", "a broken escape", hosted(b" a%2"), BadRequest),
    ("9110-7.2", "octets above 127", hosted(b" \xc3\xa4"), BadRequest),
    ("9110-7.2", "a quote", hosted(b' "a"'), BadRequest),
    ("9110-7.2", "markup", hosted(b" <a>"), BadRequest),
    ("3986-3.2.3", "a port over 65535", hosted(b" a:65536"), BadRequest),
    ("3986-3.2.3", "port 0", hosted(b" a:0"), BadRequest),
    ("3986-3.2.3", "a port with a sign", hosted(b" a:+80"), BadRequest),
    ("3986-3.2.3", "two ports", hosted(b" a:80:80"), BadRequest),
    ("3986-3.2.3", "a port alone", hosted(b" :80"), BadRequest),
    ("9110-5.1", "a twin with an underscore is no Host", b"GET / HTTP/1.1\r\nHost_: a\r\n\r\n", BadRequest),
]


def expecting(value: bytes, version: bytes = b"1.1", length: bytes = b"Content-Length: 3\r\n") -> bytes:
    return b"PUT / HTTP/" + version + b"\r\nHost: a\r\n" + length + b"Expect: " + value + b"\r\n\r\n"


THREE = Framing("length", 3)
EXPECTATIONS: list[Row] = [
    ("9110-10.1.1", "100-continue", expecting(b"100-continue"), Accepted(b"PUT", framing=THREE)),
    ("9110-10.1.1", "it has no case", expecting(b"100-Continue"), Accepted(b"PUT", framing=THREE)),
    ("9110-10.1.1", "without a body it means nothing", expecting(b"100-continue", length=b""), Accepted(b"PUT")),
    ("9110-10.1.1", "before chunks", expecting(b"100-continue", length=b"Transfer-Encoding: chunked\r\n"), Accepted(b"PUT", framing=CHUNKED)),
    ("9110-10.1.1", "HTTP/1.0's is ignored", expecting(b"100-continue", b"1.0"), Accepted(b"PUT", version=10, framing=THREE)),
    ("9110-10.1.1", "HTTP/1.0's is ignored whatever it is", expecting(b"x", b"1.0"), Accepted(b"PUT", version=10, framing=THREE)),
    ("9110-15.5.18", "another expectation", expecting(b"200-ok"), ExpectationFailed),
    ("9110-15.5.18", "one more expectation", expecting(b"100-continue, x"), ExpectationFailed),
    ("9110-15.5.18", "two lines", expecting(b"100-continue\r\nExpect: x"), ExpectationFailed),
    ("9110-15.5.18", "empty", expecting(b""), ExpectationFailed),
    ("9110-15.5.18", "a parameter", expecting(b"100-continue;a=b"), ExpectationFailed),
]

ROWS = LINES + VERSIONS + TARGETS + HOSTS + EXPECTATIONS
BEHIND = [b"", b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"\n\n\x00"]


@pytest.mark.parametrize(("rfc", "why", "raw", "expected"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_a_request_is_judged_the_same_however_it_comes(
    rfc: str, why: str, raw: bytes, expected: Accepted | type[ProxyError]
) -> None:
    for behind in BEHIND:
        outcome = request_outcome(raw + behind)
        if isinstance(expected, Accepted):
            assert outcome.error is None
            assert outcome.result == expected
            assert outcome.rest == behind
        else:
            assert outcome.error is expected
    # Nothing is decided, and nothing refused, before the last octet of what is right.
    if isinstance(expected, Accepted):
        assert request_outcome(raw[:-1]).error is None
        assert request_outcome(raw[:-1]).result is None


def test_no_row_is_there_twice() -> None:
    assert len({raw for _, _, raw, _ in ROWS}) == len(ROWS)
