"""The same requests through our parser and through h11: where the two differ, it is written here why ours is right.

Ours may refuse more; it must never see other octets as the body, or another request behind it.
"""

from __future__ import annotations

import re
from typing import Final

import attrs
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.http import test_chunked, test_request_fields, test_request_framing, test_request_heads
from tests.http.readings import INCOMPLETE, REFUSED, Reading, read_h11, read_ours

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED_POST = POST + b"Transfer-Encoding: chunked\r\n\r\n"

CORPUS: Final[dict[str, bytes]] = {
    **{f"head: {rfc} {why}": raw for rfc, why, raw, _ in test_request_heads.ROWS},
    **{f"field: {rfc} {why}": POST + lines + b"\r\n\r\nGET /" for rfc, why, lines, _ in test_request_fields.ROWS},
    **{
        f"framing: {rfc} {why}": POST + (lines + b"\r\n" if lines else b"") + b"\r\n0\r\n\r\n" + b"x" * 60
        for rfc, why, lines, _ in test_request_framing.ROWS
    },
    **{f"chunks: {rfc} {why}": CHUNKED_POST + raw for rfc, why, raw, _ in test_chunked.ROWS},
}


@attrs.frozen
class Disagreement:
    """What h11 makes of some requests that we read in another way, and why we do. Patterns match names in CORPUS."""

    reason: str
    ours: type[Reading] | str
    theirs: type[Reading] | str
    names: tuple[str, ...]


KNOWN: Final = [
    Disagreement(
        "RFC 9112 §2.2 lets a recipient take LF for CRLF; before and behind a proxy that is two readings of one message",
        REFUSED, Reading,
        (
            "head: 9112-2.2 a bare LF ends no request line", "head: 9112-2.2 LF alone all over",
            "field: 9112-2.2 a bare LF instead of a line's end", "field: 9112-2.2 a bare LF at a value's end",
            "field: 9112-2.2 a head that ends with two LF", "chunks: 9112-7.1.2 a bare LF in trailers",
            "chunks: 9112-7.1.2 trailers that end with LF", "chunks: 9112-7.1.2 a bare LF instead of their end",
        ),
    ),
    Disagreement(
        "RFC 9112 §5.2: a server must refuse folded lines or unfold them; unfolding hides what a neighbour may not",
        REFUSED, Reading,
        (
            "field: 9112-5.2 a folded line", "field: 9112-5.2 a line folded with a tab",
            "field: 9112-5.2 a folded line with a colon", "field: 9112-5.2 a folded line of white space alone",
            "field: 9112-5 white space between the request line and the fields",
            "field: 9112-5 a line of white space", "framing: 9112-5.2 folded", "chunks: 9112-5.2 a folded trailer",
        ),
    ),
    Disagreement(
        "RFC 9110 §5.5: control octets are invalid in values; h11 lets all but NUL, CR and LF through",
        REFUSED, Reading, ("field: 9110-5.5 a control octet in a value", "field: 9110-5.5 DEL in a value"),
    ),
    Disagreement(
        "RFC 9112 §6.3: one of several equal lengths may be taken, or the message refused: whoever repeats is broken",
        REFUSED, Reading,
        (
            "framing: 9112-6.3 twice the same: refused, not repaired", "framing: 9112-6.3 twice in two cases",
            "framing: 9112-6.3 a list", "framing: 9112-6.3 a list without space",
        ),
    ),
    Disagreement(
        "RFC 9112 §6.1: both fields ought to be handled as an error, they are smuggling's oldest way in",
        REFUSED, Reading,
        (
            "framing: 9112-6.1 both fields", "framing: 9112-6.1 both fields the other way round",
            "framing: 9112-6.1 both fields, the length zero",
        ),
    ),
    Disagreement(
        "RFC 9112 §7.1: the size is digits, to be guarded against overflow, and nothing but extensions follows it",
        REFUSED, Reading,
        (
            "chunks: 9112-7.1 a space behind", "chunks: 9112-7.1 a space behind zero", "chunks: 9112-7.1 17 digits",
            "chunks: 9112-7.1.1 a bare CR in an extension", "chunks: 9112-7.1.1 NUL in an extension",
            "chunks: 9112-7.1.1 a line over its bound",
        ),
    ),
    Disagreement(
        "RFC 9110 §8.6, RFC 9112 §7.1: a size that no 63 bits hold is refused at once, h11 waits for the octets",
        REFUSED, INCOMPLETE,
        (
            "framing: 9110-8.6 2^63", "framing: 9110-8.6 2^64 would wrap to 0",
            "framing: 9110-8.6 2^64 + 5 would wrap to 5", "chunks: 9112-7.1 2^63",
            "chunks: 9112-7.1 2^64 + 5 would wrap to 5",
        ),
    ),
    Disagreement(
        "RFC 9110 §15.5.18: an expectation that nobody meets is refused before the body; h11 leaves that to its user",
        REFUSED, INCOMPLETE, tuple(f"head: {row[0]} {row[1]}" for row in test_request_heads.EXPECTATIONS[6:]),
    ),
    Disagreement(
        "RFC 9112 §3.2: a target has one of four forms, and Host is a host; h11 looks at neither",
        REFUSED, Reading,
        (
            "head: 9110-7.1 a fragment is never sent", "head: 9110-7.1 nor in an absolute target",
            "head: 9112-3.2.1 a path without a slash", "head: 9112-3.2.1 a query alone",
            "head: 9110-4.2.4 userinfo is refused", "head: 9110-4.2.1 no host", "head: 9110-4.2 another scheme",
            "head: 9110-4.2 a scheme without slashes", "head: 9112-3.2.2 backslashes make no authority",
            "head: 9112-3.2.2 a backslash ends no authority", "head: 9112-3.2.3 authority-form is CONNECT's",
            "head: 9112-3.2.4 the asterisk is for OPTIONS alone", "head: 9112-3.2.4 and stands alone",
            "head: 9112-3.2 malformed beside an absolute target",
            *(
                f"head: {rfc} {why}"
                for rfc, why, raw, expected in test_request_heads.HOSTS
                if isinstance(expected, type) and raw.lower().count(b"host:") == 1 and b" / HTTP/1.1" in raw
            ),
            "head: 9110-7.2 empty",
        ),
    ),
    Disagreement(
        "RFC 9110 §15.6.6: a major version other than 1 is another protocol; h11 leaves that to its user",
        REFUSED, Reading,
        (
            "head: 9110-15.6.6 HTTP/2.0", "head: 9110-15.6.6 HTTP/0.9 written out", "head: 9110-15.6.6 HTTP/9.9",
            "head: 9113-3.4 HTTP/2 with prior knowledge",
        ),
    ),
    Disagreement(
        "RFC 9110 §9.3.6, §9.3.8: policies of ours: no relay, no echo, methods of a sane length",
        REFUSED, Reading,
        (
            "head: 9110-9.1 a longer one is refused", "head: 9110-9.3.6 CONNECT would make a relay",
            "head: 9110-9.3.6 CONNECT with a path as well", "head: 9110-9.3.8 TRACE shows what proxies add",
        ),
    ),
    Disagreement(
        "RFC 9110 §6.5.1: a field that must be known before the content is dropped from trailers",
        Reading, Reading,
        tuple(
            f"chunks: {rfc} {why}"
            for rfc, why, _, _ in test_chunked.ROWS
            if rfc in ("9110-6.5.1", "9110-7.6.1", "law 3", "law 4")
        ),
    ),
    Disagreement(
        "RFC 9112 §2.2: a server should ignore an empty line before a request; h11 does only behind another request",
        Reading, REFUSED, ("head: 9112-2.2 one empty line goes before",),
    ),
    Disagreement(
        "Browsers and backends exchange octets above 127 in targets; they delimit nothing and travel unchanged",
        Reading, REFUSED, ("head: 9112-3.2 octets above 127 travel untouched",),
    ),
    Disagreement(
        "RFC 9110 §8.6: leading zeros are digits; h11 takes 20 digits at most. What we send on has none",
        Reading, REFUSED, ("framing: 9110-8.6 no end of leading zeros",),
    ),
    Disagreement(
        "RFC 9112 §7.1.1: white space before an extension must be parsed; what we send on has no extensions",
        Reading, REFUSED, ("chunks: 9112-7.1.1 white space around the semicolon",),
    ),
]  # fmt: skip


def _kind(reading: Reading | str) -> type[Reading] | str:
    return reading if isinstance(reading, str) else Reading


def test_the_list_of_disagreements_is_the_whole_truth() -> None:
    listed = {name: known for known in KNOWN for name in known.names}
    found = {}
    for name, raw in CORPUS.items():
        ours, theirs = read_ours(raw), read_h11(raw)
        if ours != theirs:
            found[name] = (_kind(ours), _kind(theirs))
    assert found == {name: (known.ours, known.theirs) for name, known in listed.items()}
    assert len(CORPUS) - len(found) >= 200


def test_where_both_read_a_request_they_differ_in_dropped_trailers_alone() -> None:
    for name, raw in CORPUS.items():
        ours, theirs = read_ours(raw), read_h11(raw)
        if isinstance(ours, Reading) and isinstance(theirs, Reading):
            assert attrs.evolve(theirs, trailers=ours.trailers) == ours, name
            assert set(ours.trailers) <= set(theirs.trailers)


# What h11 refuses and we take, as the list above says; the parts of a request that it depends on.
EXCUSES: Final = {
    "an empty line before the request": re.compile(rb"\A\r\n"),
    "octets above 127 in a target": re.compile(rb"\A(?:\r\n)?[^ ]+ [^ ]*[\x80-\xff]"),
    "more than 20 digits of a length": re.compile(rb"(?i)\r\ncontent-length:[ \t]*0[0-9]{20,}[ \t]*\r\n"),
    "white space before an extension": re.compile(rb"\r\n[0-9a-fA-F]+[ \t]+;"),
}

SEEDS: Final = [
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a:80\r\nContent-Length: 11\r\nX-A: b, c\r\n\r\nhello world0\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: u\r\n\r\nGET",
    b"POST http://b/c HTTP/1.0\r\nHost: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n",
]
LINES: Final = [
    b"Content-Length: 5", b"Content-Length: 0", b"content-length:11", b"Content-Length: 5, 5", b"Content-Length : 5",
    b"Content-Length: +5", b"Content-Length: 00000000000000000000000005", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity", b"transfer-encoding:Chunked ", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer_Encoding: chunked", b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding: \x0bchunked", b" chunked", b"\tfolded", b"Host: b", b"X:", b"X: \xff", b"X: a\rb", b"X: a\nB: c",
    b": x", b"X", b"Connection: close", b"TE: trailers", b"Expect: 100-continue",
]  # fmt: skip
SNIPPETS: Final = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xff", b":", b",", b";", b"0",
    b"1", b"5", b"a", b"0\r\n\r\n", b"+", b"-", b"0x", b"_", b"%", b"#", b"\\", b"@", b"[", b'"', b"//", b"*", b"chunked",
    b"HTTP/1.1", b"HTTP/1.0", b"GET / HTTP/1.1\r\n", b";x", b" ;x",
]  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request that lost or won something, once or a few times."""
    raw = draw(st.sampled_from(SEEDS))
    for line in draw(st.lists(st.sampled_from(LINES), max_size=2)):
        starts = [match.end() for match in re.finditer(rb"\r\n", raw.partition(b"\r\n\r\n")[0] + b"\r\n")]
        at = draw(st.sampled_from(starts or [0]))
        raw = raw[:at] + line + b"\r\n" + raw[at:]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        gone = draw(st.integers(0, 3))
        raw = raw[:at] + draw(st.sampled_from([b"", *SNIPPETS])) + raw[at + gone :]
    return raw


@hypothesis_settings(max_examples=500, deadline=None)
@given(requests())
def test_what_we_read_is_what_h11_reads(raw: bytes) -> None:
    ours, theirs = read_ours(raw), read_h11(raw)
    if isinstance(ours, Reading):
        if theirs == REFUSED:
            assert any(excuse.search(raw) for excuse in EXCUSES.values())
        else:
            assert isinstance(theirs, Reading)
            assert set(ours.trailers) <= set(theirs.trailers)
            assert attrs.evolve(theirs, trailers=ours.trailers) == ours
    elif ours == INCOMPLETE:
        # h11 may have refused what we refuse later; it has not read a request where we still wait for its end.
        assert theirs in (INCOMPLETE, REFUSED)


@pytest.mark.parametrize("name", EXCUSES)
def test_every_excuse_is_used_in_the_corpus(name: str) -> None:
    excused = [raw for raw in CORPUS.values() if isinstance(read_ours(raw), Reading) and read_h11(raw) == REFUSED]
    assert any(EXCUSES[name].search(raw) for raw in excused)
