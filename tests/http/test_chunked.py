"""Chunked bodies: raw octets → content and trailers, or FramingError."""

from __future__ import annotations

import pytest

from revproxy.http.fields import Fields
from revproxy.http.framing import ChunkedDecoder, FramingError, LengthDecoder, chunk, last_chunk
from tests.support.feeding import Body, chunked_outcome

Pairs = tuple[tuple[bytes, bytes], ...]
BAD = None
BIG = ChunkedDecoder.LINE

ROWS: list[tuple[str, str, bytes, tuple[bytes, Pairs] | None]] = [
    ("9112-7.1", "no content", b"0\r\n\r\n", (b"", ())),
    ("9112-7.1", "one chunk", b"5\r\nhello\r\n0\r\n\r\n", (b"hello", ())),
    ("9112-7.1", "several", b"1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n", (b"abcdef", ())),
    ("9112-7.1", "hexadecimal, both cases", b"a\r\n0123456789\r\nB\r\n0123456789x\r\n0\r\n\r\n", (b"01234567890123456789x", ())),
    ("9112-7.1", "leading zeros", b"0005\r\nhello\r\n000\r\n\r\n", (b"hello", ())),
    ("9112-7.1", "16 digits", b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", (b"hello", ())),
    ("9112-7.1", "content that looks like framing", b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", (b"\r\n0\r\n\r\n", ())),
    ("9112-7.1.1", "an extension", b"5;a\r\nhello\r\n0;b=c\r\n\r\n", (b"hello", ())),
    ("9112-7.1.1", "a quoted extension", b'5;a="b;c"\r\nhello\r\n0\r\n\r\n', (b"hello", ())),
    ("9112-7.1.1", "white space around the semicolon", b"5 \t; a\r\nhello\r\n0\r\n\r\n", (b"hello", ())),
    ("9112-7.1.1", "obs-text in an extension", b"5;\xff\r\nhello\r\n0\r\n\r\n", (b"hello", ())),
    ("9112-7.1.1", "a line on its bound", b"5;" + b"a" * (BIG - 2) + b"\r\nhello\r\n0\r\n\r\n", (b"hello", ())),
    ("9112-7.1.1", "a line over its bound", b"5;" + b"a" * (BIG - 1) + b"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1.2", "trailers", b"0\r\nA: b\r\nC:d\r\n\r\n", (b"", ((b"A", b"b"), (b"C", b"d")))),
    ("9112-7.1.2", "trailers behind content", b"1\r\nx\r\n0\r\nChecksum: 1\r\n\r\n", (b"x", ((b"Checksum", b"1"),))),
    ("9112-7.1.2", "trailers of one name stay apart", b"0\r\nA: b\r\na: c\r\n\r\n", (b"", ((b"A", b"b"), (b"a", b"c")))),
    ("9110-6.5.1", "framing is no trailer", b"0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n", (b"", ((b"A", b"b"),))),
    ("9110-6.5.1", "routing is no trailer", b"0\r\nHost: b\r\nA: b\r\n\r\n", (b"", ((b"A", b"b"),))),
    ("9110-6.5.1", "authentication is no trailer", b"0\r\nAuthorization: x\r\nCookie: y\r\nSet-Cookie: z\r\n\r\n", (b"", ())),
    ("9110-6.5.1", "content format is no trailer", b"0\r\ncontent-TYPE: x\r\nContent-Encoding: y\r\nContent-Range: z\r\n\r\n", (b"", ())),
    ("9110-6.5.1", "conditions are no trailers", b"0\r\nIf-Match: x\r\nRange: y\r\nExpect: z\r\nTE: w\r\n\r\n", (b"", ())),
    ("9110-7.6.1", "connection fields are no trailers", b"0\r\nConnection: a\r\nUpgrade: b\r\nKeep-Alive: c\r\n\r\n", (b"", ())),
    ("law 4", "claims about the client are no trailers", b"0\r\nX-Forwarded-For: 1\r\nForwarded: f\r\nX-Real-IP: 2\r\nX-Request-ID: 3\r\n\r\n", (b"", ())),
    ("law 4", "nor their twins with underscores", b"0\r\nX_Forwarded_For: 1\r\nContent_Length: 1\r\nA_b: c\r\n\r\n", (b"", ((b"A_b", b"c"),))),
    ("law 3", "a backend's traces are no trailers", b"0\r\nServer: s\r\nX-Powered-By: p\r\nVia: v\r\nAlt-Svc: h2\r\n\r\n", (b"", ())),
    ("9112-7.1", "no size", b"\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "no digit", b"g\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "0x", b"0x5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a sign", b"+5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "minus", b"-5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "minus zero", b"-0\r\n\r\n", BAD),
    ("9112-7.1", "an underscore, as in Python", b"0_5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a space before", b" 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a tab before", b"\t5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a space behind", b"5 \r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a space behind zero", b"0 \r\n\r\n", BAD),
    ("9112-7.1", "a space inside", b"0 5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a comma", b"5,5\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "a digit of Latin-1", b"\xb2\r\nhe\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "NUL in a size", b"5\x00\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "2^63", b"8000000000000000\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "2^64 + 5 would wrap to 5", b"10000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "2^32 + 5 does not wrap", b"100000005\r\nhello\r\n0\r\n\r\n", (b"", ())),
    ("9112-7.1.1", "an extension without a size", b";a\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-2.2", "a bare LF behind a size", b"5\nhello\r\n0\r\n\r\n", BAD),
    ("9112-2.2", "a bare CR behind a size", b"5\rhello\r\n0\r\n\r\n", BAD),
    ("9112-2.2", "CR CR LF behind a size", b"5\r\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1.1", "a bare LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1.1", "a bare CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1.1", "a line break in a quoted extension", b'5;a="\n"\r\nhello\r\n0\r\n\r\n', BAD),
    ("9112-7.1.1", "NUL in an extension", b"5;a\x00\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "content longer than its size", b"4\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "content shorter than its size", b"6\r\nhello\r\n0\r\n\r\n", BAD),
    ("9112-7.1", "no CRLF behind content", b"5\r\nhello0\r\n\r\n", BAD),
    ("9112-7.1", "a bare LF behind content", b"5\r\nhello\n0\r\n\r\n", BAD),
    ("9112-7.1", "a bare CR behind content", b"5\r\nhello\r0\r\n\r\n", BAD),
    ("9112-7.1", "two octets of junk behind content", b"5\r\nhelloXX0\r\n\r\n", BAD),
    ("9112-7.1", "an empty line between chunks", b"1\r\na\r\n\r\n0\r\n\r\n", BAD),
    ("9112-7.1.2", "a bare LF in trailers", b"0\r\nA: b\nC: d\r\n\r\n", BAD),
    ("9112-7.1.2", "trailers that end with LF", b"0\r\nA: b\n\n\r\n\r\n", BAD),
    ("9112-7.1.2", "a bare CR in trailers", b"0\r\nA: b\rC: d\r\n\r\n", BAD),
    ("9112-7.1.2", "a bare CR instead of their end", b"0\r\n\rGET / HTTP/1.1\r\n\r\n", BAD),
    ("9112-7.1.2", "a bare LF instead of their end", b"0\r\n\nGET / HTTP/1.1\r\n\r\n", BAD),
    ("9112-5.2", "a folded trailer", b"0\r\nA: b\r\n c\r\n\r\n", BAD),
    ("9112-5.1", "a space before a trailer's colon", b"0\r\nA : b\r\n\r\n", BAD),
    ("9112-5", "a trailer without colon", b"0\r\nA\r\n\r\n", BAD),
    ("9112-5", "a request instead of trailers", b"0\r\nGET / HTTP/1.1\r\n\r\n", BAD),
    ("9112-5", "a trailer without name", b"0\r\n: b\r\n\r\n", BAD),
    ("9110-5.5", "NUL in a trailer", b"0\r\nA: \x00\r\n\r\n", BAD),
    ("6585-5", "too many trailers", b"0\r\n" + b"A: b\r\n" * 21 + b"\r\n", BAD),
    ("6585-5", "as many as may be", b"0\r\n" + b"A: b\r\n" * 20 + b"\r\n", (b"", ((b"A", b"b"),) * 20)),
]


@pytest.mark.parametrize(("rfc", "why", "raw", "expected"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_a_body_is_the_same_however_it_comes(
    rfc: str, why: str, raw: bytes, expected: tuple[bytes, Pairs] | None
) -> None:
    for behind in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\r\n", b"\n"):
        outcome = chunked_outcome(raw + behind)
        if expected is None:
            assert outcome.error is FramingError
        elif why.startswith("2^32"):
            # Four gigabytes are still to come.
            assert (outcome.error, outcome.result) == (None, None)
        else:
            assert outcome.result == Body(expected[0], Fields.of(expected[1]))
            assert outcome.rest == behind
    if expected is not None:
        assert chunked_outcome(raw[:-1]).result is None
        assert chunked_outcome(raw[:-1]).error is None


def test_extensions_are_bounded_together() -> None:
    piece = b"1;" + b"e" * 1000 + b"\r\nx\r\n"
    fits = ChunkedDecoder.EXTENSIONS // 1001
    decoder = ChunkedDecoder(4096, 20)
    assert decoder.feed(piece * fits) == (b"x" * fits, b"")
    with pytest.raises(FramingError):
        decoder.feed(piece)


@pytest.mark.parametrize(("room", "error"), [(1, None), (0, None), (-1, FramingError), (-8, FramingError)])
def test_trailers_are_bounded_as_heads_are(room: int, error: type[Exception] | None) -> None:
    section = b"Aaaa: bbbb\r\nCccc: dddd"
    outcome = chunked_outcome(b"0\r\n" + section + b"\r\n\r\nBEHIND", head_size=len(section) + room)
    assert outcome.error is error
    assert outcome.rest == (b"" if error else b"BEHIND")


def test_trailers_without_end_are_refused_early() -> None:
    decoder = ChunkedDecoder(400, 1000)
    decoder.feed(b"0\r\n")
    fed = 0
    with pytest.raises(FramingError):
        while fed < 10_000:
            decoder.feed(b"A: b\r\n")
            fed += 6
    assert fed < 500


def test_content_leaves_as_it_comes() -> None:
    decoder = ChunkedDecoder(400, 10)
    assert decoder.feed(b"5\r\nhe") == (b"he", b"")
    assert decoder.feed(b"l") == (b"l", b"")
    assert decoder.feed(b"lo\r") == (b"lo", b"")
    assert decoder.feed(b"\n2\r\nyo\r\n0\r\n") == (b"yo", b"")
    assert not decoder.done
    assert decoder.feed(b"\r\nrest") == (b"", b"rest")
    assert decoder.done


@pytest.mark.parametrize("trailers", [(), ((b"A", b"b"),), ((b"A", b"b"), (b"C", b""))])
def test_what_is_rendered_is_read_back(trailers: Pairs) -> None:
    raw = chunk(b"x" * 300) + chunk(b"\r\n") + last_chunk(Fields.of(trailers))
    assert chunked_outcome(raw).result == Body(b"x" * 300 + b"\r\n", Fields.of(trailers))


def test_a_length_cuts_exactly() -> None:
    raw = b"hello world"
    for at in range(len(raw)):
        decoder = LengthDecoder(5)
        body, rest = decoder.feed(raw[:at])
        assert decoder.done is (at >= 5)
        if decoder.done:
            assert (body, rest) == (b"hello", raw[5:at])
        else:
            assert rest == b""
            more, rest = decoder.feed(raw[at:])
            assert (body + more, rest, decoder.done) == (b"hello", b" world", True)
