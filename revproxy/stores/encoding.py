"""Stored heads as octets, for disk and network: versioned, checksummed, read strictly.

A record is what is needed to find a response again: its head, and the size and checksum of its content. Layout:
``MAGIC`` (the last octet of which is the version), the CRC-32 of all that follows, the fixed part, then lengths and
octets. What isn't exactly this raises ``DamagedRecord``, whatever it is: the disk may have lost a page, and a shared
store may hold what a later version wrote.
"""

from __future__ import annotations

import math
import struct
from typing import Final
from zlib import crc32

import attrs

from revproxy.caching.stored import Selecting, StoredHead
from revproxy.http.fields import FieldError, parse_fields

MAGIC: Final = b"rpr\x01"

_CHECKSUM: Final = struct.Struct(">I")
_START: Final = len(MAGIC) + _CHECKSUM.size
_FIXED: Final = struct.Struct(">BHddqqQIHHHH")
"""Flags, status, request time, response time, first, total, content size, content checksum; how many octets the method
and the reason have; how many selecting fields and labels follow."""
_LENGTH: Final = struct.Struct(">I")

_INVALIDATED: Final = 1
_NOT_THERE: Final = 0xFFFFFFFF
"""As a length: a selecting field that the request did not have."""
_MOST_LINES: Final = 100_000


class DamagedRecord(ValueError):
    """These octets are no record. The text says why."""


@attrs.frozen
class Record:
    """A head, and what its content must be."""

    head: StoredHead
    size: int
    """Octets of the content."""
    checksum: int
    """The CRC-32 of the content, or of what its store checks instead."""


def encode_record(record: Record) -> bytes:
    """A record as octets. Raises OverflowError for a head beyond what the format can say."""
    head = record.head
    block = b"\r\n".join([b"%b: %b" % (name, value) for _, name, value in head.fields.lines])
    labels = [b"t" + tag for tag in sorted(head.tags)] + [b"g" + group for group in sorted(head.groups)]
    pieces = [b""]
    try:
        pieces.append(
            _FIXED.pack(
                _INVALIDATED if head.invalidated else 0,
                head.status,
                head.request_time,
                head.response_time,
                head.first,
                head.total,
                record.size,
                record.checksum,
                len(head.method),
                len(head.reason),
                len(head.selecting),
                len(labels),
            )
        )
        pieces += (head.method, head.reason)
        for value in (head.key, head.url, block):
            pieces += (_LENGTH.pack(len(value)), value)
        for name, wanted in head.selecting:
            pieces += (_LENGTH.pack(len(name)), name)
            pieces += (_LENGTH.pack(_NOT_THERE),) if wanted is None else (_LENGTH.pack(len(wanted)), wanted)
        for label in labels:
            pieces += (_LENGTH.pack(len(label)), label)
    except struct.error as error:
        raise OverflowError("this head is beyond the format") from error
    body = b"".join(pieces)
    return MAGIC + _CHECKSUM.pack(crc32(body)) + body


class _Reader:
    """Octets with a place in them."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def octets(self, length: int) -> bytes:
        at = self.at
        self.at = end = at + length
        if end > len(self.data):
            raise DamagedRecord("it ends too early")
        return self.data[at:end]

    def length(self) -> int:
        at = self.at
        self.at = at + 4
        if self.at > len(self.data):
            raise DamagedRecord("it ends too early")
        return int.from_bytes(self.data[at : at + 4], "big")

    def counted(self) -> bytes:
        return self.octets(self.length())


def decode_record(data: bytes) -> Record:
    """The record that ``encode_record`` wrote. Raises DamagedRecord."""
    if data[: len(MAGIC)] != MAGIC:
        raise DamagedRecord("it is none of this version")
    if len(data) < _START + _FIXED.size:
        raise DamagedRecord("it ends too early")
    if _CHECKSUM.unpack_from(data, len(MAGIC))[0] != crc32(memoryview(data)[_START:]):
        raise DamagedRecord("its checksum is wrong")
    (
        flags,
        status,
        request_time,
        response_time,
        first,
        total,
        size,
        checksum,
        method_length,
        reason_length,
        selecting_count,
        label_count,
    ) = _FIXED.unpack_from(data, _START)
    if flags & ~_INVALIDATED or not 100 <= status <= 999 or first < 0:
        raise DamagedRecord("a value is out of its range")
    if not (math.isfinite(request_time) and math.isfinite(response_time)):
        raise DamagedRecord("a time is none")
    reader = _Reader(data, _START + _FIXED.size)
    method = reader.octets(method_length)
    reason = reader.octets(reason_length)
    key = reader.counted()
    url = reader.counted()
    try:
        fields = parse_fields(reader.counted(), _MOST_LINES)
    except (FieldError, OverflowError) as error:
        raise DamagedRecord("its fields are none") from error
    selecting = _selecting(reader, selecting_count)
    tags: set[bytes] = set()
    groups: set[bytes] = set()
    for _ in range(label_count):
        label = reader.counted()
        if label[:1] not in (b"t", b"g"):
            raise DamagedRecord("a label has no kind")
        (tags if label[:1] == b"t" else groups).add(label[1:])
    if reader.at != len(data):
        raise DamagedRecord("something stands behind it")
    head = StoredHead(
        key,
        status,
        fields,
        request_time=request_time,
        response_time=response_time,
        url=url,
        method=method,
        reason=reason,
        selecting=selecting,
        first=first,
        total=total,
        tags=frozenset(tags),
        groups=frozenset(groups),
        invalidated=bool(flags & _INVALIDATED),
    )
    return Record(head, size, checksum)


def _selecting(reader: _Reader, count: int) -> Selecting:
    pairs: list[tuple[bytes, bytes | None]] = []
    for _ in range(count):
        name = reader.counted()
        length = reader.length()
        pairs.append((name, None if length == _NOT_THERE else reader.octets(length)))
    return tuple(pairs)
