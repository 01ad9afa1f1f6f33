"""The grammar of field lines in a request: raw octets → the fields as they were read, or 400."""

from __future__ import annotations

import pytest

from revproxy.errors import BadRequest
from tests.support.feeding import Accepted, request_outcome

Pairs = tuple[tuple[bytes, bytes], ...]

ROWS: list[tuple[str, str, bytes, Pairs | None]] = [
    ("9112-5", "name, colon, value", b"A: b", ((b"A", b"b"),)),
    ("9112-5", "no space is needed", b"A:b", ((b"A", b"b"),)),
    ("9112-5.1", "white space around a value is no part of it", b"A: \t b \t", ((b"A", b"b"),)),
    ("9112-5.1", "white space inside is", b"A: b \t c", ((b"A", b"b \t c"),)),
    ("9110-5.5", "an empty value", b"A:", ((b"A", b""),)),
    ("9110-5.5", "a value of white space is empty", b"A:  \t ", ((b"A", b""),)),
    ("9110-5.5", "a value may begin with a colon", b"A:: b", ((b"A", b": b"),)),
    ("9110-5.5", "octets above 127 are passed on", b"A: \xff\x80\xc3\xa9", ((b"A", b"\xff\x80\xc3\xa9"),)),
    ("9110-5.5", "no space but SP and HTAB is taken off", b"A: \xa0b\xa0", ((b"A", b"\xa0b\xa0"),)),
    ("9110-5.1", "names keep their case", b"aBc: d", ((b"aBc", b"d"),)),
    ("9110-5.1", "every octet of a token", b"!#$%&'*+-.^_`|~9: d", ((b"!#$%&'*+-.^_`|~9", b"d"),)),
    ("9110-5.2", "lines of one name stay apart, in order", b"A: 1\r\nB: 2\r\na: 3", ((b"A", b"1"), (b"B", b"2"), (b"a", b"3"))),
    ("9110-5.1", "an underscore is another name", b"Content_Length: 9", ((b"Content_Length", b"9"),)),
    ("9112-5.1", "a space before the colon", b"A : b", None),
    ("9112-5.1", "a tab before the colon", b"A\t: b", None),
    ("9112-5.1", "a space before a known name's colon", b"Content-Length : 0", None),
    ("9112-5.1", "a space inside a name", b"A B: c", None),
    ("9112-5.2", "a folded line", b"A: b\r\n c", None),
    ("9112-5.2", "a line folded with a tab", b"A: b\r\n\tc", None),
    ("9112-5.2", "a folded line with a colon", b"A: b\r\n Transfer-Encoding: chunked", None),
    ("9112-5.2", "a folded line of white space alone", b"A: b\r\n ", None),
    ("9112-5", "no colon", b"A", None),
    ("9112-5", "no colon behind a known name", b"Host", None),
    ("9112-5", "no name", b": b", None),
    ("9112-5", "a colon alone", b":", None),
    ("9110-5.1", "a name beyond ASCII", b"\xc3\x84: b", None),
    ("9110-5.1", "a separator in a name", b"A(b): c", None),
    ("9110-5.1", "a comma in a name", b"A,B: c", None),
    ("9110-5.1", "a slash in a name", b"A/B: c", None),
    ("9110-5.1", "a quoted name", b'"A": b', None),
    ("9110-5.5", "NUL in a value", b"A: b\x00c", None),
    ("9110-5.5", "NUL at a value's end", b"A: b\x00", None),
    ("9110-5.5", "NUL in a name", b"A\x00: b", None),
    ("9110-5.5", "a control octet in a value", b"A: b\x1bc", None),
    ("9110-5.5", "DEL in a value", b"A: b\x7f", None),
    ("9110-5.5", "vertical tab", b"A: \x0bb", None),
    ("9110-5.5", "form feed", b"A: b\x0c", None),
    ("9110-5.1", "a control octet in a name", b"A\x0b: b", None),
    ("9112-2.2", "a bare CR in a value", b"A: b\rc", None),
    ("9112-2.2", "a bare CR at a value's end", b"A: b\r\r\nB: c", None),
    ("9112-2.2", "a bare CR instead of a line's end", b"A: b\rB: c", None),
    ("9112-2.2", "a bare LF instead of a line's end", b"A: b\nB: c", None),
    ("9112-2.2", "a bare LF at a value's end", b"A: b\n", None),
    ("9112-2.2", "LF CR", b"A: b\n\rB: c", None),
    ("9112-2.2", "a head that ends with two LF", b"A: b\n\nGET /x HTTP/1.1", None),
    ("9112-2.2", "CR and LF at a distance balance nothing", b"A: b\rc\r\nB: \nd", None),
    ("9112-5", "white space between the request line and the fields", b" A: b", None),
    ("9112-5", "a line of white space", b" \r\nA: b", None),
]


@pytest.mark.parametrize(("rfc", "why", "lines", "expected"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_field_lines(rfc: str, why: str, lines: bytes, expected: Pairs | None, place: str) -> None:
    before = b"" if place == "first" else b"Host: a\r\n"
    after = {"first": b"\r\nHost: a", "between": b"\r\nZ: z", "last": b""}[place]
    outcome = request_outcome(b"GET / HTTP/1.1\r\n" + before + lines + after + b"\r\n\r\nBEHIND")
    if expected is None:
        assert outcome.error is BadRequest
        return
    assert isinstance(outcome.result, Accepted)
    assert outcome.rest == b"BEHIND"
    extra = {"first": ((b"Host", b"a"),), "between": ((b"Z", b"z"),), "last": ()}[place]
    assert outcome.result.fields == (((b"Host", b"a"),) if before else ()) + expected + extra
