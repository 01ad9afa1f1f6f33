"""Ranges: what they ask for, what they get of a whole or a part, and the 206 and 416 that say so."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.fields import Fields
from revproxy.http.ranges import (
    GAP,
    LARGEST,
    MOST_RANGES,
    ContentRange,
    RangeAction,
    RangePlan,
    content_range,
    parse_content_range,
    parse_range,
    partial_content,
    plan_ranges,
    unsatisfiable_fields,
    unsatisfied_range,
)

WHOLE, PARTIAL, UNSATISFIABLE, FORWARD = (
    RangeAction.WHOLE,
    RangeAction.PARTIAL,
    RangeAction.UNSATISFIABLE,
    RangeAction.FORWARD,
)

READ: list[tuple[str, bytes, tuple[tuple[int, int], ...]]] = [
    ("9110-14.1.2", b"bytes=0-499", ((0, 499),)),
    ("9110-14.1.2", b"bytes=500-999", ((500, 999),)),
    ("9110-14.1.2", b"bytes=-500", ((-1, 500),)),
    ("9110-14.1.2", b"bytes=9500-", ((9500, -1),)),
    ("9110-14.1.2", b"bytes=0-0,-1", ((0, 0), (-1, 1))),
    ("9110-14.1.2", b"bytes= 0-999, 4500-5499, -1000", ((0, 999), (4500, 5499), (-1, 1000))),
    ("9110-14.1.2", b"bytes=500-700,601-999", ((500, 700), (601, 999))),
    ("9110-14.1", b"Bytes=0-1", ((0, 1),)),
    ("9110-14.1", b"BYTES=0-1", ((0, 1),)),
    ("9110-5.6.1", b"bytes=0-1 ,\t2-3", ((0, 1), (2, 3))),
    ("9110-5.6.1", b"bytes=,0-1,, ,2-3,", ((0, 1), (2, 3))),
    ("9110-14.1.2", b"bytes=007-0008", ((7, 8),)),
    ("9110-14.1.2", b"bytes=-0", ((-1, 0),)),
    ("overflow", b"bytes=0-18446744073709551616", ((0, LARGEST),)),
    ("overflow", b"bytes=9223372036854775807-9223372036854775808", ((LARGEST, LARGEST),)),
    ("overflow", b"bytes=-" + b"9" * 5000, ((-1, LARGEST),)),
    ("overflow", b"bytes=" + b"0" * 5000 + b"1-2", ((1, 2),)),
]


@pytest.mark.parametrize(("rfc", "value", "expected"), READ)
def test_ranges_are_read(rfc: str, value: bytes, expected: tuple[tuple[int, int], ...]) -> None:
    assert parse_range(value) == expected


IGNORED = [
    b"", b"bytes", b"bytes=", b"bytes=,", b"bytes= , ,", b"bytes=-", b"bytes=5-4", b"bytes=a-b", b"bytes=0-1,x",
    b"bytes=0 - 1", b"bytes=0- 1", b"bytes=0-1-2", b"bytes=0x0-1", b"bytes=+0-1", b"bytes=--1", b"bytes =0-1",
    b" bytes=0-1", b"bytes:0-1", b"bytes 0-1", b"bytes=0-1;2-3", b"bytes=0-1, 5-4", b"seconds=0-1", b"none=0-1",
    b"octets=0-1", b"0-1", b"bytes=1", b"bytes=*", b"bytes=0-*", b"bytes==0-1", b"bytes=\xb2-\xb3", b"bytes=0-1\n",
]  # fmt: skip


@pytest.mark.parametrize("value", IGNORED)
def test_ranges_that_are_ignored(value: bytes) -> None:
    # RFC 9110 §14.1.1, §14.2: another unit, or an invalid specifier.
    assert parse_range(value) is None
    assert plan_ranges(value, first=0, size=10, total=10).action is WHOLE


def test_the_number_of_ranges_is_bounded() -> None:
    # RFC 9110 §17.15
    assert parse_range(b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(MOST_RANGES))) is not None
    assert parse_range(b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(MOST_RANGES + 1))) is None
    assert parse_range(b"bytes=0-0" + b"," * 100_000) is None


CONTENT_RANGES: list[tuple[bytes | None, ContentRange | None]] = [
    (b"bytes 42-1233/1234", ContentRange(42, 1233, 1234)),
    (b"bytes 42-1233/*", ContentRange(42, 1233, -1)),
    (b"Bytes 0-0/1", ContentRange(0, 0, 1)),
    (b"bytes */1234", ContentRange(-1, -1, 1234)),
    (b"bytes */0", ContentRange(-1, -1, 0)),
    (b"bytes */*", None),
    (b"bytes 5-4/10", None),
    (b"bytes 0-10/10", None),
    (b"bytes 0-9/9", None),
    (b"bytes 0-9", None),
    (b"bytes=0-9/10", None),
    (b"bytes  0-9/10", None),
    (b"bytes 0-9 / 10", None),
    (b"bytes -9/10", None),
    (b"bytes 0-/10", None),
    (b"pages 0-9/10", None),
    (b"bytes 0-9/10, bytes 0-9/10", None),
    (b"bytes 0-99999999999999999999/*", None),
    (b"", None),
    (None, None),
]


@pytest.mark.parametrize(("value", "expected"), CONTENT_RANGES)
def test_content_ranges(value: bytes | None, expected: ContentRange | None) -> None:
    # RFC 9110 §14.4
    assert parse_content_range(value) == expected


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 10**12), st.one_of(st.just(-1), st.integers(1, 10**12)))
def test_content_ranges_are_read_back(first: int, more: int, beyond: int) -> None:
    last = first + more
    total = -1 if beyond < 0 else last + beyond
    assert parse_content_range(content_range(first, last, total)) == ContentRange(first, last, total)
    assert parse_content_range(unsatisfied_range(last)) == ContentRange(-1, -1, last)


K = 10_000
PLANS_OF_A_WHOLE: list[tuple[str, bytes | None, int, RangeAction, tuple[tuple[int, int], ...]]] = [
    ("9110-14.2", None, K, WHOLE, ()),
    ("9110-14.1.2", b"bytes=0-499", K, PARTIAL, ((0, 499),)),
    ("9110-14.1.2", b"bytes=-500", K, PARTIAL, ((9500, 9999),)),
    ("9110-14.1.2", b"bytes=9500-", K, PARTIAL, ((9500, 9999),)),
    ("9110-14.1.2", b"bytes=0-", K, PARTIAL, ((0, 9999),)),
    ("9110-14.1.2", b"bytes=0-9999", K, PARTIAL, ((0, 9999),)),
    ("9110-14.1.2", b"bytes=0-99999999999999999999999", K, PARTIAL, ((0, 9999),)),
    ("9110-14.1.2", b"bytes=-20000", K, PARTIAL, ((0, 9999),)),
    ("9110-14.1.2", b"bytes=0-0,-1", K, PARTIAL, ((0, 0), (9999, 9999))),
    ("9110-14.1.2", b"bytes=9999-", K, PARTIAL, ((9999, 9999),)),
    ("9110-14.1.2", b"bytes=10000-", K, UNSATISFIABLE, ()),
    ("9110-14.1.2", b"bytes=10000-10001", K, UNSATISFIABLE, ()),
    ("9110-14.1.2", b"bytes=-0", K, UNSATISFIABLE, ()),
    ("9110-14.1.2", b"bytes=99999999999999999999999-", K, UNSATISFIABLE, ()),
    ("9110-14.1.2", b"bytes=10000-,-0,20000-20001", K, UNSATISFIABLE, ()),
    # Unsatisfiable parts are left out.
    ("9110-14.2", b"bytes=0-1,10000-", K, PARTIAL, ((0, 1),)),
    ("9110-15.3.7.2", b"bytes=0-1,10000-,500-501", K, PARTIAL, ((0, 1), (500, 501))),
    # In the order in which they were asked for.
    ("9110-15.3.7.2", b"bytes=-1,500-501,0-1", K, PARTIAL, ((9999, 9999), (500, 501), (0, 1))),
    # What overlaps, touches or nearly touches is made one.
    ("9110-15.3.7.2", b"bytes=500-700,601-999", K, PARTIAL, ((500, 999),)),
    ("9110-15.3.7.2", b"bytes=500-600,601-999", K, PARTIAL, ((500, 999),)),
    ("9110-15.3.7.2", b"bytes=601-999,500-700", K, PARTIAL, ((500, 999),)),
    ("9110-15.3.7.2", b"bytes=500-999,600-700", K, PARTIAL, ((500, 999),)),
    ("9110-15.3.7.2", b"bytes=0-9,%d-1000" % (10 + GAP), K, PARTIAL, ((0, 1000),)),
    ("9110-15.3.7.2", b"bytes=0-9,%d-1000" % (11 + GAP), K, PARTIAL, ((0, 9), (11 + GAP, 1000))),
    ("9110-15.3.7.2", b"bytes=5000-5001,0-9,5-20", K, PARTIAL, ((5000, 5001), (0, 20))),
    ("9110-17.15", b"bytes=0-,0-,0-,0-,0-", K, WHOLE, ()),
    ("9110-17.15", b"bytes=" + b",".join([b"0-"] * 64), K, WHOLE, ()),
    ("9110-15.3.7.2", b"bytes=0-4999,5200-9999", K, PARTIAL, ((0, 4999), (5200, 9999))),
    ("9110-15.3.7.2", b"bytes=0-4999,5080-9999", K, WHOLE, ()),
    ("9110-14.2", b"bytes=0-", 0, WHOLE, ()),
    ("9110-14.2", b"bytes=-1", 0, WHOLE, ()),
    ("9110-14.1.2", b"bytes=0-0", 1, PARTIAL, ((0, 0),)),
]


@pytest.mark.parametrize(("rfc", "value", "total", "action", "slices"), PLANS_OF_A_WHOLE)
def test_what_a_complete_response_gives(
    rfc: str, value: bytes | None, total: int, action: RangeAction, slices: tuple[tuple[int, int], ...]
) -> None:
    plan = plan_ranges(value, first=0, size=total, total=total)
    assert (plan.action, plan.slices) == (action, slices)
    assert bool(plan.reason) is (action is not PARTIAL)


PLANS_OF_A_PART: list[tuple[str, bytes | None, int, int, int, RangeAction, tuple[tuple[int, int], ...]]] = [
    # first, size and total of what is stored: 1000 to 1999 of 10000.
    ("9111-3.3", b"bytes=1000-1999", 1000, 1000, K, PARTIAL, ((1000, 1999),)),
    ("9111-3.3", b"bytes=1500-1500", 1000, 1000, K, PARTIAL, ((1500, 1500),)),
    ("9111-3.3", b"bytes=1000-1001,1800-1801", 1000, 1000, K, PARTIAL, ((1000, 1001), (1800, 1801))),
    ("9111-3.3", b"bytes=999-1999", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=1000-2000", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=1000-", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=-1", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=1000-1001,0-1", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=10000-", 1000, 1000, K, UNSATISFIABLE, ()),
    ("9111-3.3", None, 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"pages=1-2", 1000, 1000, K, FORWARD, ()),
    ("9111-3.3", b"bytes=-500", 9000, 1000, K, PARTIAL, ((9500, 9999),)),
    ("9111-3.3", b"bytes=9500-", 9000, 1000, K, PARTIAL, ((9500, 9999),)),
    ("9111-3.3", b"bytes=-1001", 9000, 1000, K, FORWARD, ()),
    # A 200 that was cut off.
    ("9111-3.3", b"bytes=0-999", 0, 1000, K, PARTIAL, ((0, 999),)),
    ("9111-3.3", b"bytes=0-", 0, 1000, K, FORWARD, ()),
    ("9111-3.3", None, 0, 1000, K, FORWARD, ()),
    # How long the whole is, is not known.
    ("9111-3.3", b"bytes=0-999", 0, 1000, -1, PARTIAL, ((0, 999),)),
    ("9111-3.3", b"bytes=0-1000", 0, 1000, -1, FORWARD, ()),
    ("9111-3.3", b"bytes=0-", 0, 1000, -1, FORWARD, ()),
    ("9111-3.3", b"bytes=-1", 0, 1000, -1, FORWARD, ()),
    ("9111-3.3", b"bytes=99999-", 0, 1000, -1, FORWARD, ()),
    ("9111-3.3", None, 0, 1000, -1, FORWARD, ()),
]


@pytest.mark.parametrize(("rfc", "value", "first", "size", "total", "action", "slices"), PLANS_OF_A_PART)
def test_what_an_incomplete_response_gives(
    rfc: str,
    value: bytes | None,
    first: int,
    size: int,
    total: int,
    action: RangeAction,
    slices: tuple[tuple[int, int], ...],
) -> None:
    plan = plan_ranges(value, first=first, size=size, total=total)
    assert (plan.action, plan.slices) == (action, slices)


RESPONSE = Fields.of(
    [
        (b"Date", b"Sun, 06 Nov 1994 08:49:38 GMT"),
        (b"Content-Type", b"text/plain"),
        (b"ETag", b'"a"'),
        (b"Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (b"Cache-Control", b"max-age=5"),
        (b"Expires", b"0"),
        (b"Vary", b"Accept"),
        (b"Content-Location", b"/a"),
        (b"Content-Language", b"en"),
        (b"Content-Digest", b"sha-256=:AA==:"),
        (b"X-A", b"1"),
    ]
)
REQUIRED = {b"date", b"cache-control", b"etag", b"expires", b"content-location", b"vary"}


def one(*slices: tuple[int, int]) -> RangePlan:
    return RangePlan(PARTIAL, slices)


def test_a_206_of_one_part() -> None:
    # RFC 9110 §15.3.7.1
    made = partial_content(RESPONSE, one((10, 19)), first=4, total=100, boundary=b"", if_range=False)
    assert made.fields.get(b"content-range") == b"bytes 10-19/100"
    assert set(made.fields.names()) == set(RESPONSE.names()) - {b"content-digest"} | {b"content-range"}
    assert (made.length, made.parts, made.closing) == (10, ((b"", 6, 10),), b"")


def test_a_206_for_if_range() -> None:
    # RFC 9110 §15.3.7: the client has the representation's fields already.
    made = partial_content(RESPONSE, one((10, 19)), first=0, total=-1, boundary=b"", if_range=True)
    assert made.fields.get(b"content-range") == b"bytes 10-19/*"
    assert set(made.fields.names()) == REQUIRED | {b"content-range", b"x-a"}
    undated = Fields([line for line in RESPONSE.lines if line[0] != b"etag"])
    made = partial_content(undated, one((10, 19)), first=0, total=-1, boundary=b"", if_range=True)
    assert b"last-modified" in made.fields


def test_a_206_of_several_parts() -> None:
    # RFC 9110 §15.3.7.2, §14.6
    content = bytes(range(65, 91)) * 20
    plan = plan_ranges(b"bytes=-3,0-4,200-209", first=0, size=len(content), total=len(content))
    made = partial_content(RESPONSE, plan, first=0, total=len(content), boundary=b"THIS_STRING-1", if_range=False)
    assert b"content-range" not in made.fields
    assert made.fields.all(b"content-type") == [b"multipart/byteranges; boundary=THIS_STRING-1"]
    body = b"".join(head + content[at : at + length] for head, at, length in made.parts) + made.closing
    assert len(body) == made.length
    assert body.startswith(b"--THIS_STRING-1\r\nContent-Type: text/plain\r\nContent-Range: bytes 517-519/520\r\n\r\n")
    assert body.endswith(b"\r\n--THIS_STRING-1--\r\n")
    kind = made.fields.get(b"content-type") or b""
    message = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body, policy=email.policy.HTTP)
    assert [
        (part["Content-Type"], part["Content-Range"], part.get_payload(decode=True)) for part in message.iter_parts()
    ] == [
        ("text/plain", "bytes 517-519/520", content[-3:]),
        ("text/plain", "bytes 0-4/520", content[:5]),
        ("text/plain", "bytes 200-209/520", content[200:210]),
    ]


def test_parts_are_told_by_their_place_in_the_whole_and_taken_from_their_place_in_what_is_stored() -> None:
    made = partial_content(RESPONSE, one((100, 101), (300, 309)), first=90, total=1000, boundary=b"b", if_range=False)
    assert [(at, length) for _, at, length in made.parts] == [(10, 2), (210, 10)]
    assert b"Content-Range: bytes 100-101/1000\r\n" in made.parts[0][0]


def test_parts_of_what_has_no_type_have_none() -> None:
    made = partial_content(Fields.of([]), one((0, 1), (500, 501)), first=0, total=1000, boundary=b"b", if_range=False)
    assert made.parts[0][0] == b"--b\r\nContent-Range: bytes 0-1/1000\r\n\r\n"
    assert made.parts[1][0] == b"\r\n--b\r\nContent-Range: bytes 500-501/1000\r\n\r\n"


def test_with_if_range_several_parts_still_name_their_type() -> None:
    made = partial_content(RESPONSE, one((0, 1), (500, 501)), first=0, total=1000, boundary=b"b", if_range=True)
    assert made.fields.get(b"content-type") == b"multipart/byteranges; boundary=b"
    assert b"Content-Type: text/plain\r\n" in made.parts[0][0]


@pytest.mark.parametrize("boundary", [b"", b"a b", b'a"', b"a\r\nb", b"a" * 71, b"a;b", b"a,b"])
def test_a_boundary_is_harmless(boundary: bytes) -> None:
    with pytest.raises(ValueError):
        partial_content(RESPONSE, one((0, 1), (500, 501)), first=0, total=1000, boundary=boundary, if_range=False)


def test_a_206_needs_a_part() -> None:
    with pytest.raises(ValueError):
        partial_content(RESPONSE, one(), first=0, total=1000, boundary=b"b", if_range=False)


def test_a_416_tells_the_length() -> None:
    # RFC 9110 §15.5.17
    fields = unsatisfiable_fields(RESPONSE, 47022)
    assert fields.get(b"content-range") == b"bytes */47022"
    assert set(fields.names()) == {b"content-range", b"date", b"etag", b"vary"}


specs = st.one_of(
    st.builds(lambda begin, more: b"%d-%d" % (begin, begin + more), st.integers(0, 1200), st.integers(0, 1200)),
    st.builds(lambda begin: b"%d-" % begin, st.integers(0, 1200)),
    st.builds(lambda count: b"-%d" % count, st.integers(0, 1200)),
)


def positions(spec: bytes, total: int) -> set[int]:
    """RFC 9110 §14.1.2, word for word."""
    begin, _, end = spec.partition(b"-")
    if not begin:
        return set(range(max(0, total - int(end)), total))
    return set(range(int(begin), min(int(end) + 1, total) if end else total))


@settings(max_examples=100, deadline=None)
@given(st.lists(specs, min_size=1, max_size=8), st.integers(0, 1000), st.integers(1, 500), st.integers(0, 500))
def test_every_octet_asked_for_is_there_and_none_twice(asked: list[bytes], first: int, size: int, after: int) -> None:
    total = first + size + after
    wanted = set[int]().union(*(positions(spec, total) for spec in asked))
    plan = plan_ranges(b"bytes=" + b",".join(asked), first=first, size=size, total=total)
    stored = set(range(first, first + size))
    is_complete = size == total
    if plan.action is PARTIAL:
        given_: list[int] = [at for begin, end in plan.slices for at in range(begin, end + 1)]
        assert len(given_) == len(set(given_)) and wanted <= set(given_) <= stored
        made = partial_content(RESPONSE, plan, first=first, total=total, boundary=b"b", if_range=False)
        assert made.length == sum(len(head) + length for head, _, length in made.parts) + len(made.closing)
        assert all(at >= 0 and at + length <= size for _, at, length in made.parts)
    elif plan.action is UNSATISFIABLE:
        assert not wanted
    elif plan.action is WHOLE:
        assert is_complete and len(asked) > 1
    else:
        assert not is_complete and wanted - stored


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_octets_are_read(value: bytes) -> None:
    parse_range(b"bytes=" + value)
    parse_content_range(b"bytes " + value)
