"""ChunkedDecoder against a decoder that takes one octet after the other and has nothing clever in it."""

from __future__ import annotations

import re
from typing import Final

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.framing import FramingError
from tests.support.feeding import Body, Outcome, decode_chunked

DROPPED: Final = ("host", "content-length", "x-forwarded-for", "x_real_ip", "server", "set-cookie", "connection")
KEPT: Final = ("checksum", "server-timing", "x-a", "grpc-status", "etag")


class Wrong(Exception):
    """The octets are no chunked body."""


class Short(Exception):
    """The octets end before the body does."""


@attrs.define
class Octets:
    left: bytes

    def take(self) -> str:
        if not self.left:
            raise Short
        first, self.left = self.left[:1], self.left[1:]
        return first.decode("latin-1")

    def take_line(self) -> str:
        line = ""
        while True:
            one = self.take()
            if one == "\n":
                raise Wrong
            if one == "\r":
                if self.take() != "\n":
                    raise Wrong
                return line
            line += one


def slow_decode(raw: bytes) -> tuple[bytes, list[tuple[str, str]], bytes]:
    """RFC 9112 §7.1, word for word, without limits but 16 digits and 63 bits."""
    octets = Octets(raw)
    content = ""
    while True:
        line = octets.take_line()
        if re.search("[^\t\x20-\x7e\x80-\xff]", line):
            raise Wrong
        match = re.fullmatch("([0-9a-fA-F]{1,16})(?:[ \t]*;.*)?", line)
        if match is None or int(match[1], 16) >= 2**63:
            raise Wrong
        size = int(match[1], 16)
        if size == 0:
            break
        for _ in range(size):
            content += octets.take()
        if octets.take() != "\r":
            raise Wrong
        if octets.take() != "\n":
            raise Wrong
    trailers = []
    while line := octets.take_line():
        match = re.fullmatch("([-!#$%&'*+.^_`|~0-9A-Za-z]+):([\t\x20-\x7e\x80-\xff]*)", line)
        if match is None:
            raise Wrong
        # Spoiling a name can make another one of the same family of it.
        if match[1].lower() not in DROPPED and not match[1].lower().startswith(("x-forwarded-", "x_forwarded_")):
            trailers.append((match[1], match[2].strip(" \t")))
    return content.encode("latin-1"), trailers, octets.left


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A valid chunked body, written in one of the many ways."""
    raw = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=5)):
        raw += draw(st.sampled_from([b"%x", b"%X", b"00%x", b"%x;a", b"%x \t;b=c", b'%x; d="e;f"'])) % len(data)
        raw += b"\r\n" + data + b"\r\n"
    raw += draw(st.sampled_from([b"0", b"000", b"0;x"])) + b"\r\n"
    for name in draw(st.lists(st.sampled_from(DROPPED + KEPT), max_size=3)):
        raw += draw(st.sampled_from([name, name.upper(), name.title()])).encode() + b":"
        raw += draw(st.sampled_from([b" 1", b"", b"\t a b\t", b"x:y"])) + b"\r\n"
    return raw + b"\r\n"


SPOILERS: Final = [b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b"0", b"1", b"f", b"g", b";", b":", b"\x00", b"\xff", b"-"]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    raw = draw(bodies())
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.sampled_from(SPOILERS)) + raw[at + draw(st.integers(0, 2)) :]
    return raw


@st.composite
def in_pieces(draw: st.DrawFn, octets: st.SearchStrategy[bytes]) -> list[bytes]:
    raw = draw(octets)
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def check(pieces: list[bytes]) -> None:
    outcome = decode_chunked([piece for piece in pieces if piece])
    try:
        content, trailers, rest = slow_decode(b"".join(pieces))
    except Wrong:
        # The mistake may stand in the middle of a trailer section, which is judged as a whole once it is complete.
        assert outcome.error is FramingError or (outcome.error, outcome.result) == (None, None)
        if outcome.error is None:
            completed = decode_chunked([*filter(None, pieces), b"\r\n\r\n\r\n\r\n"])
            assert completed.error is FramingError
        return
    except Short:
        # What is still to come can't make it right if an error shows already; but it is not done.
        assert outcome.result is None
        return
    assert isinstance(outcome.result, Body)
    assert outcome == Outcome(None, outcome.result, rest)
    assert outcome.result.octets == content
    assert [(raw.decode(), value.decode("latin-1")) for _, raw, value in outcome.result.trailers.lines] == trailers


@settings(max_examples=200, deadline=None)
@given(in_pieces(bodies()), st.sampled_from([b"", b"GET / HTTP/1.1\r\n\r\n", b"\n", b"0\r\n\r\n"]))
def test_valid_bodies(pieces: list[bytes], behind: bytes) -> None:
    slow_decode(b"".join(pieces))  # raises where the generator is wrong
    check([*pieces[:-1], pieces[-1] + behind])
    check([*pieces, behind])


@settings(max_examples=400, deadline=None)
@given(in_pieces(spoiled()))
def test_spoiled_bodies(pieces: list[bytes]) -> None:
    check(pieces)


@settings(max_examples=200, deadline=None)
@given(in_pieces(st.lists(st.sampled_from([*SPOILERS, b"5", b"hello", b"A: b"]), max_size=20).map(b"".join)))
def test_any_octets(pieces: list[bytes]) -> None:
    check(pieces)
