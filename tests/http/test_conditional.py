"""Preconditions: which hold, in which order, and what a 304 carries."""

from __future__ import annotations

import pytest

from revproxy.http.conditional import Evaluation, evaluate, has_preconditions, is_for_origin, not_modified_fields
from revproxy.http.fields import Fields

PROCEED, NOT_MODIFIED, FAILED, IGNORE_RANGE = (
    Evaluation.PROCEED,
    Evaluation.NOT_MODIFIED,
    Evaluation.FAILED,
    Evaluation.IGNORE_RANGE,
)

EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
THEN = b"Sun, 06 Nov 1994 08:49:37 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
THEN_850 = b"Sunday, 06-Nov-94 08:49:37 GMT"
THEN_ASCTIME = b"Sun Nov  6 08:49:37 1994"
INSTANT = 784111777
NOW = 1800000000.0

Pairs = list[tuple[bytes, bytes]]

TAGGED: Pairs = [(b"ETag", b'"a"'), (b"Last-Modified", THEN), (b"Date", LATER)]
WEAK: Pairs = [(b"ETag", b'W/"a"'), (b"Last-Modified", THEN), (b"Date", LATER)]
DATED: Pairs = [(b"Last-Modified", THEN), (b"Date", LATER)]
SAME_SECOND: Pairs = [(b"Last-Modified", THEN), (b"Date", THEN)]
MADE: Pairs = [(b"Date", THEN)]
BARE: Pairs = []

INM, IMS, IR, IM, IUS = b"If-None-Match", b"If-Modified-Since", b"If-Range", b"If-Match", b"If-Unmodified-Since"
RANGE = (b"Range", b"bytes=0-1")


def judged(method: bytes, request: Pairs, response: Pairs, *, status: int = 200, as_origin: bool = False) -> Evaluation:
    return evaluate(
        method, Fields.of(request), status, Fields.of(response), received=INSTANT + 0.5, now=NOW, as_origin=as_origin
    )


IN_A_CACHE: list[tuple[str, bytes, Pairs, Pairs, Evaluation]] = [
    ("9110-13.2.2-6", b"GET", [], TAGGED, PROCEED),
    # If-None-Match, weak comparison.
    ("9110-13.1.2", b"GET", [(INM, b'"a"')], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"HEAD", [(INM, b'"a"')], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"b"')], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b'W/"a"')], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"a"')], WEAK, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'W/"a"')], WEAK, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"b", "a"')], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"b"'), (INM, b'"a"')], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"b","c"')], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b"*")], TAGGED, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b"*")], BARE, NOT_MODIFIED),
    ("9110-13.1.2", b"GET", [(INM, b'"a"')], DATED, PROCEED),
    ("9110-8.8.3.2", b"GET", [(INM, b'"A"')], TAGGED, PROCEED),
    # Not a list of entity tags, so the condition is true.
    ("9110-13.1.2", b"GET", [(INM, b'*, "a"')], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b"a")], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b'"a", b')], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b'w/"a"')], TAGGED, PROCEED),
    ("9110-13.1.2", b"GET", [(INM, b"")], TAGGED, PROCEED),
    # A malformed or repeated ETag validates nothing.
    ("9110-8.8.3", b"GET", [(INM, b"a")], [(b"ETag", b"a")], PROCEED),
    ("9110-8.8.3", b"GET", [(INM, b'"a"')], [(b"ETag", b'"a"'), (b"ETag", b'"b"')], PROCEED),
    # If-None-Match goes before If-Modified-Since, malformed or not.
    ("9110-13.2.2-3", b"GET", [(INM, b'"b"'), (IMS, THEN)], TAGGED, PROCEED),
    ("9110-13.2.2-3", b"GET", [(INM, b'"a"'), (IMS, EARLIER)], TAGGED, NOT_MODIFIED),
    ("9110-13.1.3", b"GET", [(INM, b"nonsense"), (IMS, THEN)], TAGGED, PROCEED),
    # If-Modified-Since.
    ("9110-13.1.3", b"GET", [(IMS, THEN)], TAGGED, NOT_MODIFIED),
    ("9110-13.1.3", b"HEAD", [(IMS, THEN)], TAGGED, NOT_MODIFIED),
    ("9110-13.1.3", b"GET", [(IMS, LATER)], TAGGED, NOT_MODIFIED),
    ("9110-13.1.3", b"GET", [(IMS, EARLIER)], TAGGED, PROCEED),
    ("9110-5.6.7", b"GET", [(IMS, THEN_850)], TAGGED, NOT_MODIFIED),
    ("9110-5.6.7", b"GET", [(IMS, THEN_ASCTIME)], TAGGED, NOT_MODIFIED),
    ("9110-5.6.7", b"GET", [(IMS, THEN)], [(b"Last-Modified", THEN_ASCTIME)], NOT_MODIFIED),
    ("9110-13.1.3", b"GET", [(IMS, b"yesterday")], TAGGED, PROCEED),
    ("9110-13.1.3", b"GET", [(IMS, THEN), (IMS, THEN)], TAGGED, PROCEED),
    ("9110-13.1.3", b"GET", [(IMS, b"Fri, 31 Dec 9999 23:59:59 GMT")], TAGGED, NOT_MODIFIED),
    ("9110-13.1.3", b"POST", [(IMS, THEN)], TAGGED, PROCEED),
    # Without a modification date, the time when it was made, or when it came.
    ("9111-4.3.2", b"GET", [(IMS, THEN)], MADE, NOT_MODIFIED),
    ("9111-4.3.2", b"GET", [(IMS, EARLIER)], MADE, PROCEED),
    ("9111-4.3.2", b"GET", [(IMS, LATER)], BARE, NOT_MODIFIED),
    ("9111-4.3.2", b"GET", [(IMS, THEN)], BARE, PROCEED),
    ("9111-4.3.2", b"GET", [(IMS, THEN)], [(b"Last-Modified", b"new"), (b"Date", THEN)], NOT_MODIFIED),
    # If-Range.
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'"a"')], TAGGED, PROCEED),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'"b"')], TAGGED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'W/"a"')], TAGGED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'W/"a"')], WEAK, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'"a"')], WEAK, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'"a"')], DATED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, THEN)], DATED, PROCEED),
    ("9110-13.1.5", b"GET", [RANGE, (IR, LATER)], DATED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, EARLIER)], DATED, IGNORE_RANGE),
    ("9110-8.8.2.2", b"GET", [RANGE, (IR, THEN)], SAME_SECOND, IGNORE_RANGE),
    ("9110-8.8.2.2", b"GET", [RANGE, (IR, THEN)], [(b"Last-Modified", THEN)], IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b"nonsense")], TAGGED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b"")], TAGGED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [RANGE, (IR, b'"a", "a"')], TAGGED, IGNORE_RANGE),
    ("9110-13.1.5", b"GET", [(IR, b'"b"')], TAGGED, PROCEED),
    ("9110-14.2", b"HEAD", [RANGE, (IR, b'"b"')], TAGGED, PROCEED),
    # What the client has goes before a part of it.
    ("9110-13.2.2-5", b"GET", [RANGE, (INM, b'"a"'), (IR, b'"b"')], TAGGED, NOT_MODIFIED),
    ("9110-13.2.2-5", b"GET", [RANGE, (INM, b'"b"'), (IR, b'"b"')], TAGGED, IGNORE_RANGE),
    ("9110-13.2.2-5", b"GET", [RANGE, (IMS, THEN), (IR, b'"a"')], TAGGED, NOT_MODIFIED),
    # A cache leaves these to the origin server.
    ("9111-4.3.2", b"GET", [(IM, b'"b"')], TAGGED, PROCEED),
    ("9111-4.3.2", b"GET", [(IUS, EARLIER)], TAGGED, PROCEED),
    ("9111-4.3.2", b"GET", [(IM, b'"b"'), (INM, b'"a"')], TAGGED, NOT_MODIFIED),
]


@pytest.mark.parametrize(("rfc", "method", "request_fields", "response", "expected"), IN_A_CACHE)
def test_a_cache_evaluates(
    rfc: str, method: bytes, request_fields: Pairs, response: Pairs, expected: Evaluation
) -> None:
    assert judged(method, request_fields, response) is expected


@pytest.mark.parametrize("status", [201, 203, 204, 301, 304, 404, 410, 412, 500])
def test_only_successes_are_compared(status: int) -> None:
    # RFC 9110 §13.2.1, RFC 9111 §4.3.2.
    assert judged(b"GET", [(INM, b'"a"')], TAGGED, status=status) is PROCEED


def test_a_stored_part_is_compared() -> None:
    assert judged(b"GET", [(INM, b'"a"')], TAGGED, status=206) is NOT_MODIFIED


AT_THE_ORIGIN: list[tuple[str, bytes, Pairs, Pairs, Evaluation]] = [
    ("9110-13.1.1", b"PUT", [(IM, b'"a"')], TAGGED, PROCEED),
    ("9110-13.1.1", b"PUT", [(IM, b'"b", "a"')], TAGGED, PROCEED),
    ("9110-13.1.1", b"PUT", [(IM, b'"b"')], TAGGED, FAILED),
    ("9110-13.1.1", b"PUT", [(IM, b'W/"a"')], WEAK, FAILED),
    ("9110-13.1.1", b"PUT", [(IM, b"*")], BARE, PROCEED),
    ("9110-13.1.1", b"PUT", [(IM, b"nonsense")], TAGGED, FAILED),
    ("9110-13.1.1", b"GET", [(IM, b'"b"'), (INM, b'"a"')], TAGGED, FAILED),
    ("9110-13.1.4", b"PUT", [(IUS, THEN)], TAGGED, PROCEED),
    ("9110-13.1.4", b"PUT", [(IUS, EARLIER)], TAGGED, FAILED),
    ("9110-13.1.4", b"PUT", [(IUS, b"nonsense")], TAGGED, PROCEED),
    ("9110-13.1.4", b"PUT", [(IUS, EARLIER)], BARE, PROCEED),
    ("9110-13.2.2-2", b"PUT", [(IM, b'"a"'), (IUS, EARLIER)], TAGGED, PROCEED),
    ("9110-13.1.2", b"PUT", [(INM, b"*")], BARE, FAILED),
    ("9110-13.1.2", b"PUT", [(INM, b'"a"')], TAGGED, FAILED),
    ("9110-13.1.2", b"PUT", [(INM, b'"b"')], TAGGED, PROCEED),
    ("9110-13.1.3", b"PUT", [(IMS, THEN)], TAGGED, PROCEED),
    ("9110-13.1.3", b"GET", [(IMS, THEN)], MADE, PROCEED),
    ("9110-13.1.3", b"GET", [(IMS, THEN)], TAGGED, NOT_MODIFIED),
]


@pytest.mark.parametrize(("rfc", "method", "request_fields", "response", "expected"), AT_THE_ORIGIN)
def test_an_origin_evaluates(
    rfc: str, method: bytes, request_fields: Pairs, response: Pairs, expected: Evaluation
) -> None:
    assert judged(method, request_fields, response, as_origin=True) is expected


def test_whether_there_is_anything_to_evaluate() -> None:
    assert not has_preconditions(Fields.of([(b"Range", b"bytes=0-1"), (b"Accept", b"*/*")]))
    for name in (INM, IMS, IR, IM, IUS):
        assert has_preconditions(Fields.of([(name, b"x")]))
        assert is_for_origin(Fields.of([(name, b"x")])) is (name in (IM, IUS))


FULL: Pairs = [
    (b"Date", LATER),
    (b"ETag", b'"a"'),
    (b"Vary", b"Accept"),
    (b"Cache-Control", b"max-age=5"),
    (b"Expires", LATER),
    (b"Content-Location", b"/a"),
    (b"Last-Modified", THEN),
    (b"Content-Type", b"text/plain"),
    (b"Content-Language", b"en"),
    (b"content-ENCODING", b"gzip"),
    (b"Repr-Digest", b"sha-256=:AA==:"),
    (b"Access-Control-Allow-Origin", b"https://a.example"),
    (b"Content-Security-Policy", b"default-src 'self'"),
]


def names(fields: Fields) -> list[bytes]:
    return [raw for _, raw, _ in fields.lines]


def test_a_304_has_what_it_must_and_no_metadata() -> None:
    # RFC 9110 §15.4.5
    assert names(not_modified_fields(Fields.of(FULL))) == [
        b"Date",
        b"ETag",
        b"Vary",
        b"Cache-Control",
        b"Expires",
        b"Content-Location",
        b"Access-Control-Allow-Origin",
        b"Content-Security-Policy",
    ]


@pytest.mark.parametrize("tag", [None, b"unquoted"])
def test_a_304_without_an_entity_tag_has_the_date(tag: bytes | None) -> None:
    pairs = [pair for pair in FULL if pair[0] != b"ETag"] + ([(b"ETag", tag)] if tag else [])
    assert (b"last-modified", b"Last-Modified", THEN) in not_modified_fields(Fields.of(pairs)).lines
