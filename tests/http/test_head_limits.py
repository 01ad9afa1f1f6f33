"""Limits of heads: on the bound all is well, one over it is refused, however the octets come."""

from __future__ import annotations

import pytest

from revproxy.errors import BadRequest, HeadTooLarge, Malformed, ProxyError, TargetTooLong
from revproxy.http.parse import RequestParser, ResponseParser
from tests.support.feeding import Accepted, Answer, request_outcome, response_outcome

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
RESPONSE = b"HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"


@pytest.mark.parametrize("before", [b"", b"\r\n"], ids=["", "an empty line before"])
@pytest.mark.parametrize("behind", [b"", b"body\n\x00\r\n\r\n", b"GET /" + b"x" * 500])
@pytest.mark.parametrize(("room", "expected"), [(1, None), (0, None), (-1, HeadTooLarge), (-20, HeadTooLarge)])
def test_size_of_a_request_head(room: int, expected: type[ProxyError] | None, behind: bytes, before: bytes) -> None:
    # RFC 6585 §5; RFC 9112 §2.2 lets the empty line before it be no part of it.
    outcome = request_outcome(before + REQUEST + b"\r\n\r\n" + behind, head_size=len(REQUEST) + room)
    assert outcome.error is expected
    if expected is None:
        assert outcome.result == Accepted()
        assert outcome.rest == behind


@pytest.mark.parametrize("behind", [b"", b"body\n\x00\r\n\r\n"])
@pytest.mark.parametrize(("room", "expected"), [(1, None), (0, None), (-1, Malformed), (-20, Malformed)])
def test_size_of_a_response_head(room: int, expected: type[ProxyError] | None, behind: bytes) -> None:
    outcome = response_outcome(RESPONSE + b"\r\n\r\n" + behind, head_size=len(RESPONSE) + room)
    assert outcome.error is expected
    if expected is None:
        assert isinstance(outcome.result, Answer)
        assert outcome.rest == behind


@pytest.mark.parametrize(("most", "expected"), [(4, None), (3, None), (2, HeadTooLarge), (1, HeadTooLarge)])
def test_count_of_request_fields(most: int, expected: type[ProxyError] | None) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: c\r\n\r\n"
    assert request_outcome(raw, head_count=most).error is expected


@pytest.mark.parametrize(("most", "expected"), [(3, None), (2, None), (1, Malformed)])
def test_count_of_response_fields(most: int, expected: type[ProxyError] | None) -> None:
    raw = b"HTTP/1.1 200 OK\r\nA: b\r\nA: c\r\n\r\n"
    assert response_outcome(raw, head_count=most).error is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /%b HTTP/1.1" % (b"x" * 39), None),
        (b"GET /%b HTTP/1.1" % (b"x" * 40), TargetTooLong),
        (b"GET /%b HTTP/1.1" % (b"x" * 900), TargetTooLong),
        (b"GET /%b HTTP/2.0" % (b"x" * 40), TargetTooLong),
        (b"GET /%b" % (b"x" * 300), TargetTooLong),
        (b"GET /%b\x01 HTTP/1.1" % (b"x" * 200), TargetTooLong),
        (b"GET /\x01%b HTTP/1.1" % (b"x" * 200), BadRequest),
        (b"GET / HTTP/1.1%b" % (b"x" * 200), BadRequest),
        (b"GET / %b" % (b"x" * 200), BadRequest),
        (b"G" * 300 + b" / HTTP/1.1", BadRequest),
        (b"G" * 300, BadRequest),
        (b" " * 300, BadRequest),
    ],
)
def test_length_of_a_target(line: bytes, expected: type[ProxyError] | None) -> None:
    # RFC 9112 §3: 414 for a target that is too long, 400 for what is no request line; the leftmost mistake counts.
    assert request_outcome(line + b"\r\nHost: a\r\n\r\n", head_size=1000, target_length=40).error is expected


@pytest.mark.parametrize(
    ("start", "more", "bound", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", b"A: b\r\n", 500, HeadTooLarge),
        (b"GET / HTTP/1.1\r\nHost: ", b"a", 500, HeadTooLarge),
        (b"GET / HTTP/1.1\r\nA: b\nB", b"c", 50, BadRequest),
        (b"GET /", b"a", 100, TargetTooLong),
        (b"", b"A", 100, BadRequest),
        (b"\r\n", b"\r\n", 8, BadRequest),
    ],
)
def test_a_head_without_end_is_refused_early(
    start: bytes, more: bytes, bound: int, expected: type[ProxyError]
) -> None:
    parser = RequestParser(400, 1000, 64)
    data = start
    with pytest.raises(expected):
        while len(data) < 10_000:
            assert parser.parse(data) is None
            data += more
    assert len(data) <= bound


def test_a_response_head_without_end_is_refused_early() -> None:
    parser = ResponseParser(400, 1000)
    data = b"HTTP/1.1 200 OK\r\n"
    with pytest.raises(Malformed):
        while len(data) < 10_000:
            assert parser.parse(data) is None
            data += b"A: b\r\n"
    assert len(data) <= 500


def test_equal_blocks_share_their_fields_and_others_do_not() -> None:
    parser = RequestParser(4096, 20, 256)
    first = parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    same = parser.parse(b"PUT /x HTTP/1.0\r\nHost: a\r\n\r\n")
    other = parser.parse(b"GET / HTTP/1.1\r\nHost: A\r\n\r\n")
    assert first is not None and same is not None and other is not None
    assert same.fields is first.fields
    assert (same.method, same.target, same.version) == (b"PUT", b"/x", 10)
    assert other.fields is not first.fields
    assert other.fields.get(b"host") == b"A"


@pytest.mark.parametrize("broken", [b"Host : a", b"A: b\x00"])
def test_a_refused_block_is_refused_again(broken: bytes) -> None:
    parser = RequestParser(4096, 2, 256)
    assert parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") is not None
    for _ in range(2):
        with pytest.raises(BadRequest):
            parser.parse(b"GET / HTTP/1.1\r\n%b\r\n\r\n" % broken)
    for _ in range(2):
        with pytest.raises(HeadTooLarge):
            parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n\r\n")
    after = parser.parse(b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
    assert after is not None and after.fields.get(b"host") == b"b"
