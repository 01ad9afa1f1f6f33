"""Records: what was written is read, and nothing else is."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.stored import StoredHead
from revproxy.http.fields import TOKEN_OCTETS, VALUE_OCTETS, Fields
from revproxy.interfaces import Selection
from revproxy.stores.changes import Change, RecentChanges, decode_change
from revproxy.stores.encoding import MAGIC, DamagedRecord, Record, decode_record, encode_record
from revproxy.stores.labels import EVERYTHING, host_of, origin_of
from tests.stores.responses import EN, facts, make_head, page

octets = st.binary(max_size=40)
times = st.floats(allow_nan=False, allow_infinity=False)
names = st.lists(st.sampled_from(list(TOKEN_OCTETS)), min_size=1, max_size=12).map(bytes)
values = st.lists(st.sampled_from(list(VALUE_OCTETS)), max_size=30).map(lambda found: bytes(found).strip(b" \t"))
heads = st.builds(
    lambda key, status, lines, **more: StoredHead(key, status, Fields.of(lines), **more),
    octets,
    st.integers(100, 999),
    st.lists(st.tuples(names, values), max_size=6),
    request_time=times,
    response_time=times,
    url=octets,
    method=octets,
    reason=octets,
    selecting=st.lists(st.tuples(octets, st.none() | octets), max_size=4).map(tuple),
    first=st.integers(0, 2**62),
    total=st.integers(-1, 2**62),
    tags=st.frozensets(octets, max_size=3),
    groups=st.frozensets(octets, max_size=3),
    invalidated=st.booleans(),
)
records = st.builds(Record, heads, st.integers(0, 2**60), st.integers(0, 2**32 - 1))
EXAMPLE = encode_record(Record(make_head(selecting=EN, tags=frozenset({b"t"}), groups=frozenset({b"g"})), 5, 77))


@given(records)
def test_what_was_written_is_read(record: Record) -> None:
    read = decode_record(encode_record(record))
    assert facts(read.head) == facts(record.head)
    assert (read.size, read.checksum) == (record.size, record.checksum)


def framed(body: bytes) -> bytes:
    return MAGIC + struct.pack(">I", crc32(body)) + body


@given(st.binary() | st.binary().map(lambda rest: MAGIC + rest) | st.binary().map(framed))
def test_other_octets_are_no_record(data: bytes) -> None:
    with pytest.raises(DamagedRecord):
        decode_record(data)


@given(st.integers(8, len(EXAMPLE) - 1), st.integers(1, 255), st.binary(max_size=3))
def test_octets_with_a_right_checksum_are_still_read_strictly(place: int, change: int, behind: bytes) -> None:
    body = bytearray(EXAMPLE[8:] + behind)
    body[place - 8] ^= change
    try:
        record = decode_record(framed(bytes(body)))
    except DamagedRecord:
        return
    # What is read is what these octets say, wholly.
    assert encode_record(record) == framed(bytes(body)) or record.head.fields.lines


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_no_octet_may_change(place: int, change: int) -> None:
    data = bytearray(EXAMPLE)
    data[place] ^= change
    with pytest.raises(DamagedRecord):
        decode_record(bytes(data))


def test_no_octet_may_be_missing_or_added() -> None:
    for end in range(len(EXAMPLE)):
        with pytest.raises(DamagedRecord):
            decode_record(EXAMPLE[:end])
        with pytest.raises(DamagedRecord):
            decode_record(framed(EXAMPLE[8:end]))
    with pytest.raises(DamagedRecord, match="behind"):
        decode_record(framed(EXAMPLE[8:] + b"x"))


def test_a_head_beyond_the_format_is_refused() -> None:
    with pytest.raises(OverflowError):
        encode_record(Record(make_head(status=70_000), 0, 0))
    with pytest.raises(OverflowError):
        encode_record(Record(make_head(method=b"M" * 70_000), 0, 0))


# Changes.

CHANGES = [
    Change(b""),
    Change(b"key"),
    Change(b"k" * 0xFFFF),
    Change(selection=Selection(url=b"https://a/")),
    Change(selection=Selection(prefix=b"https://a/")),
    Change(selection=Selection(host=b"a")),
    Change(selection=Selection(tag=b"\0")),
    Change(selection=Selection(group=(b"https://a", b"g"))),
    Change(selection=Selection(group=(b"", b""))),
    Change(selection=EVERYTHING),
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changes_come_back(change: Change) -> None:
    assert decode_change(change.encoded()) == change


def test_a_change_that_cannot_be_told_is_a_change_of_everything() -> None:
    assert decode_change(Change(b"k" * 0x10000).encoded()).selection == EVERYTHING


@given(st.binary())
def test_other_octets_are_some_change(data: bytes) -> None:
    change = decode_change(data)
    assert change.selection is not None or change.key == data[3:][: len(change.key)]


def test_the_last_orders_are_known_and_what_is_older_is_not_trusted() -> None:
    recent = RecentChanges()
    began = recent.count
    for number in range(RecentChanges.MOST):
        recent.add(Change(selection=Selection(tag=b"%d" % number)))
    assert not recent.forbid(page(1), began)
    assert recent.forbid(page(1, tags=frozenset({b"7"})), began)
    assert not recent.forbid(page(1, tags=frozenset({b"7"})), began + 8)
    recent.add(Change(selection=Selection(tag=b"one more")))
    assert recent.forbid(page(1), began)
    assert not recent.forbid(page(1), began + 1)


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        (b"https://a.example/b/c?d", b"https://a.example", b"a.example"),
        (b"https://a.example", b"https://a.example", b"a.example"),
        (b"https://a.example?q=/", b"https://a.example", b"a.example"),
        (b"http://A.example:8080/", b"http://a.example:8080", b"a.example"),
        (b"http://[::1]:8080/", b"http://[::1]:8080", b"[::1]"),
        (b"http://[::1]/", b"http://[::1]", b"[::1]"),
    ],
)
def test_origins_and_hosts(url: bytes, origin: bytes, host: bytes) -> None:
    assert (origin_of(url), host_of(url)) == (origin, host)
