"""Responses: status lines, and how their bodies end. Whatever is ambiguous is Malformed (502 for the client)."""

from __future__ import annotations

import pytest

from revproxy.errors import Malformed
from revproxy.http.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, Framing
from tests.support.feeding import Answer, response_outcome

STATUS_LINES: list[tuple[str, str, bytes, Answer | None]] = [
    ("9112-4", "the plain case", b"HTTP/1.1 200 OK", Answer()),
    ("9112-4", "an empty reason phrase", b"HTTP/1.1 200 ", Answer(reason=b"")),
    ("9112-4", "no space behind the code, as many servers", b"HTTP/1.1 200", Answer(reason=b"")),
    ("9112-4", "a reason of several words", b"HTTP/1.1 404 It is\tnot here!", Answer(404, b"It is\tnot here!")),
    ("9112-4", "obs-text in a reason", b"HTTP/1.1 200 \xe4\xf6", Answer(reason=b"\xe4\xf6")),
    ("9112-4", "a reason that begins with a space", b"HTTP/1.1 200  OK", Answer(reason=b" OK")),
    ("9110-6.2", "HTTP/1.0", b"HTTP/1.0 200 OK", Answer(version=10)),
    ("9110-6.2", "a later minor version counts as 1.1", b"HTTP/1.7 200 OK", Answer()),
    ("9110-15", "a code that nobody registered", b"HTTP/1.1 299 Odd", Answer(299, b"Odd")),
    ("9110-15", "a code of no class", b"HTTP/1.1 999 Odd", Answer(999, b"Odd")),
    ("9110-15", "a code below 100", b"HTTP/1.1 099 Odd", None),
    ("9110-15", "code 000", b"HTTP/1.1 000 Odd", None),
    ("9112-4", "two digits", b"HTTP/1.1 20 OK", None),
    ("9112-4", "four digits", b"HTTP/1.1 2000 OK", None),
    ("9112-4", "no digits", b"HTTP/1.1 OK", None),
    ("9112-4", "a sign", b"HTTP/1.1 +20 OK", None),
    ("9112-4", "a digit of Latin-1", b"HTTP/1.1 20\xb2 OK", None),
    ("9112-4", "letters behind the code", b"HTTP/1.1 200OK", None),
    ("9112-4", "a tab behind the code", b"HTTP/1.1 200\tOK", None),
    ("9112-4", "two spaces before the code", b"HTTP/1.1  200 OK", None),
    ("9112-4", "a tab before the code", b"HTTP/1.1\t200 OK", None),
    ("9112-4", "a control octet in the reason", b"HTTP/1.1 200 O\x01K", None),
    ("9112-4", "NUL in the reason", b"HTTP/1.1 200 OK\x00", None),
    ("9112-4", "DEL in the reason", b"HTTP/1.1 200 OK\x7f", None),
    ("9112-2.2", "a bare CR in the reason", b"HTTP/1.1 200 OK\rA: b", None),
    ("9112-2.2", "a bare LF ends no status line", b"HTTP/1.1 200 OK\nA: b", None),
    ("9112-2.3", "lower case", b"http/1.1 200 OK", None),
    ("9112-2.3", "HTTP/2", b"HTTP/2 200 OK", None),
    ("9112-2.3", "HTTP/2.0", b"HTTP/2.0 200 OK", None),
    ("9112-2.3", "HTTP/0.9", b"HTTP/0.9 200 OK", None),
    ("9112-2.3", "two digits of a version", b"HTTP/1.10 200 OK", None),
    ("9112-2.3", "no minor version", b"HTTP/1. 200 OK", None),
    ("9112-2.3", "no version", b"HTTP 200 OK", None),
    ("9112-4", "another protocol", b"ICY 200 OK", None),
    ("9112-2.2", "an empty line before", b"\r\nHTTP/1.1 200 OK", None),
    ("9112-2.2", "a space before", b" HTTP/1.1 200 OK", None),
    ("9112-4", "no head, just content", b"<html>", None),
]


@pytest.mark.parametrize(("rfc", "why", "line", "expected"), STATUS_LINES, ids=[f"{row[0]} {row[1]}" for row in STATUS_LINES])
@pytest.mark.parametrize("fields", [b"", b"Date: now\r\n"], ids=["no fields", "a field"])
def test_status_lines(rfc: str, why: str, line: bytes, expected: Answer | None, fields: bytes) -> None:
    for behind in (b"", b"body\n\x00", b"HTTP/1.1 200 OK\r\n\r\n"):
        outcome = response_outcome(line + b"\r\n" + fields + b"\r\n" + behind)
        if expected is None:
            assert outcome.error is Malformed
        else:
            assert outcome.result == expected
            assert outcome.rest == behind


@pytest.mark.parametrize(
    "lines",
    [
        b"A : b", b"A: b\r\n c", b"\tA: b", b"A", b": b", b"A: b\x00", b"A: b\x7f", b"A: b\rc", b"A: b\nB: c",
        b"A\x0b: b", b"A b: c", b"Set-Cookie: a\r\r\nB: c", b"\xe4: b",
    ],
)  # fmt: skip
def test_a_backend_is_no_more_trusted_than_a_client(lines: bytes) -> None:
    # RFC 9112 §5, §5.1, §5.2, §2.2; RFC 9110 §5.1, §5.5.
    assert response_outcome(b"HTTP/1.1 200 OK\r\nX: y\r\n" + lines + b"\r\n\r\n").error is Malformed


def sized(octets: int) -> Framing:
    return Framing("length", octets)


FRAMINGS: list[tuple[str, str, bytes, Framing | None]] = [
    ("9112-6.3", "neither field: until close", b"", UNTIL_CLOSE),
    ("9112-6.3", "a length", b"Content-Length: 5", sized(5)),
    ("9112-6.3", "length zero", b"Content-Length: 0", sized(0)),
    ("9110-8.6", "2^63 - 1", b"Content-Length: 9223372036854775807", sized(2**63 - 1)),
    ("9110-8.6", "2^63", b"Content-Length: 9223372036854775808", None),
    ("9112-6.3", "twice, different", b"Content-Length: 1\r\nContent-Length: 2", None),
    ("9112-6.3", "twice the same", b"Content-Length: 5\r\nContent-Length: 5", None),
    ("9112-6.3", "a list", b"Content-Length: 5, 5", None),
    ("9110-8.6", "a sign", b"Content-Length: +5", None),
    ("9110-8.6", "minus", b"Content-Length: -1", None),
    ("9110-8.6", "empty", b"Content-Length:", None),
    ("9110-8.6", "hexadecimal", b"Content-Length: 0x5", None),
    ("9110-8.6", "an underscore", b"Content-Length: 1_0", None),
    ("9110-8.6", "Latin-1 digit", b"Content-Length: \xb9", None),
    ("9112-6.3", "chunked", b"Transfer-Encoding: chunked", CHUNKED),
    ("9112-7", "CHUNKED", b"Transfer-Encoding: CHUNKED", CHUNKED),
    ("9112-6.1", "a coding that nobody asked for", b"Transfer-Encoding: gzip, chunked", None),
    ("9112-6.3", "gzip alone would end with the connection", b"Transfer-Encoding: gzip", None),
    ("9112-6.1", "identity", b"Transfer-Encoding: identity", None),
    ("9112-6.1", "chunked twice", b"Transfer-Encoding: chunked, chunked", None),
    ("9112-6.1", "chunked twice, in two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", None),
    ("9112-6.1", "empty", b"Transfer-Encoding:", None),
    ("9112-6.1", "an empty member", b"Transfer-Encoding: ,chunked", None),
    ("9112-6.3", "both fields", b"Transfer-Encoding: chunked\r\nContent-Length: 5", None),
    ("9112-6.3", "both fields, the length malformed", b"Content-Length: x\r\nTransfer-Encoding: chunked", None),
]


def head(status: int, lines: bytes, version: bytes = b"1.1") -> bytes:
    return b"HTTP/%b %d X\r\n%b\r\n" % (version, status, lines + b"\r\n" if lines else b"")


FRAMING_IDS = [f"{row[0]} {row[1]}" for row in FRAMINGS]


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), FRAMINGS, ids=FRAMING_IDS)
def test_framing(rfc: str, why: str, lines: bytes, expected: Framing | None) -> None:
    for status in (200, 206, 301, 404, 500):
        outcome = response_outcome(head(status, lines))
        if expected is None:
            assert outcome.error is Malformed
        else:
            assert outcome.result == Answer(status, b"X", framing=expected)


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), FRAMINGS, ids=FRAMING_IDS)
def test_these_have_no_body_whatever_they_say(rfc: str, why: str, lines: bytes, expected: Framing | None) -> None:
    # RFC 9112 §6.3 rule 1: HEAD, 1xx, 204 and 304.
    for method, status in ((b"HEAD", 200), (b"HEAD", 404), (b"GET", 100), (b"GET", 103), (b"GET", 204), (b"GET", 304)):
        assert response_outcome(head(status, lines), method).result == Answer(status, b"X", framing=NO_BODY)


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), FRAMINGS, ids=FRAMING_IDS)
def test_http10_knows_no_chunks(rfc: str, why: str, lines: bytes, expected: Framing | None) -> None:
    outcome = response_outcome(head(200, lines, b"1.0"))
    if expected is None or b"Transfer" in lines:
        assert outcome.error is Malformed
    else:
        assert outcome.result == Answer(200, b"X", 10, expected)
