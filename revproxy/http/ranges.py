"""Byte ranges: what a request asks for, which octets of a response that is, and the 206 or 416 that answers
(RFC 9110 §14, §15.3.7, §15.5.17).

Positions are inclusive, as in the fields. The response at hand may itself be a part: ``first`` octets of the
representation lie before it, ``size`` octets are there, ``total`` octets are all (negative where nobody knows).

A Range is ignored, and the whole representation sent, where it is malformed, of another unit, or of more than
``MOST_RANGES`` parts. Parts that overlap or nearly touch are made one, so an answer is never larger than the
representation and the overhead of ``MOST_RANGES`` parts, however it was asked for (RFC 9110 §17.15).
"""

from __future__ import annotations

import enum
import re
from typing import Final

import attrs

from revproxy.http.fields import Fields, Line
from revproxy.http.validators import entity_tag

MOST_RANGES: Final = 64
"""Parts that one request may ask for; with more its Range is ignored."""
GAP: Final = 80
"""Octets between two parts that are rather sent than left out: what a part costs in a multipart body, more or less
(RFC 9110 §15.3.7.2)."""
LARGEST: Final = 2**63 - 1
"""Positions beyond it are read as it: no representation reaches so far (RFC 9110 §14.1.2)."""

_SPEC: Final = re.compile(rb"([0-9]*)-([0-9]*)")
_CONTENT_RANGE: Final = re.compile(rb"(?i:bytes) (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)")
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z_-]{1,70}")

Spec = tuple[int, int]
"""A range as it is asked for: first and last position; the last is negative where it is left open, and the first is
negative where the last is a count of octets from the end."""
Slice = tuple[int, int]
"""First and last position of octets that are there."""


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return min(int(digits or b"0"), LARGEST) if len(digits) < 20 else LARGEST


def parse_range(value: bytes) -> tuple[Spec, ...] | None:
    """The byte ranges of a Range field; None where it is to be ignored: another unit, a part that is malformed, none at
    all, or too many (RFC 9110 §14.1.1, §14.2)."""
    unit, equals, ranges = value.partition(b"=")
    if not equals or unit.lower() != b"bytes":
        return None
    # Empty members are nothing, but their number is bounded (RFC 9110 §5.6.1.2).
    if ranges.count(b",") >= 2 * MOST_RANGES:
        return None
    specs = []
    for part in ranges.split(b","):
        part = part.strip(b" \t")
        if not part:
            continue
        found = _SPEC.fullmatch(part)
        if found is None:
            return None
        begin, end = found.groups()
        if not begin and not end:
            return None
        first = _number(begin) if begin else -1
        last = _number(end) if end else -1
        if begin and end and last < first:
            return None
        specs.append((first, last))
    return tuple(specs) if 0 < len(specs) <= MOST_RANGES else None


@attrs.frozen
class ContentRange:
    """What a 206 of one part says of its place; ``first`` is negative in a 416's, ``total`` where it is unknown."""

    first: int
    last: int
    total: int


def parse_content_range(value: bytes | None) -> ContentRange | None:
    """Reads a Content-Range; None where it is absent, of another unit, or invalid (RFC 9110 §14.4)."""
    found = None if value is None else _CONTENT_RANGE.fullmatch(value)
    if found is None:
        return None
    begin, end, complete = found.groups()
    total = -1 if complete == b"*" else _number(complete)
    if begin is None:
        return ContentRange(-1, -1, total) if total >= 0 else None
    first, last = _number(begin), _number(end)
    if last < first or last >= LARGEST or 0 <= total <= last:
        return None
    return ContentRange(first, last, total)


def content_range(first: int, last: int, total: int) -> bytes:
    """The Content-Range of a part; ``total`` is negative where it is unknown (RFC 9110 §14.4)."""
    if total < 0:
        return b"bytes %d-%d/*" % (first, last)
    return b"bytes %d-%d/%d" % (first, last, total)


def unsatisfied_range(total: int) -> bytes:
    """The Content-Range of a 416 (RFC 9110 §14.4)."""
    return b"bytes */%d" % total


class RangeAction(enum.Enum):
    """How a request is answered, as far as its Range decides."""

    WHOLE = "whole"
    """200, with all of the representation."""
    PARTIAL = "partial"
    """206."""
    UNSATISFIABLE = "unsatisfiable"
    """416."""
    FORWARD = "forward"
    """Not from here: some of the octets are missing (RFC 9111 §3.3)."""


@attrs.frozen
class RangePlan:
    """What is done about a Range, and why."""

    action: RangeAction
    slices: tuple[Slice, ...] = ()
    """The parts of a 206, by their positions in the representation."""
    reason: str = ""


_WHOLE: Final = RangePlan(RangeAction.WHOLE, reason="no range is asked for")


def plan_ranges(value: bytes | None, *, first: int, size: int, total: int) -> RangePlan:
    """Decides what a Range gets of a response.

    ``value`` is None where Range is absent or to be ignored: with a method other than GET (RFC 9110 §14.2), or where
    If-Range names another representation (RFC 9110 §13.1.5).
    """
    is_complete = first == 0 and size == total
    specs = None if value is None else parse_range(value)
    if specs is None:
        if not is_complete:
            return RangePlan(RangeAction.FORWARD, reason="the whole is asked for, a part is stored")
        return _WHOLE if value is None else RangePlan(RangeAction.WHOLE, reason="Range is ignored: not understood")
    if total == 0:
        return RangePlan(RangeAction.WHOLE, reason="Range is ignored: there is no content")
    if total < 0:
        if any(begin < 0 or end < 0 for begin, end in specs):
            return RangePlan(RangeAction.FORWARD, reason="how many octets there are is not known")
        wanted = list(specs)
    else:
        wanted = [found for spec in specs if (found := _satisfied(spec, total)) is not None]
    if not wanted:
        return RangePlan(RangeAction.UNSATISFIABLE, reason="no range lies within the representation")
    if any(begin < first or end >= first + size for begin, end in wanted):
        return RangePlan(RangeAction.FORWARD, reason="not all of the ranges are stored")
    slices = wanted if len(wanted) == 1 else _coalesced(wanted)
    if len(specs) > 1 and is_complete and sum(end - begin + 1 + GAP for begin, end in slices) >= total + GAP:
        # RFC 9110 §15.3.7.2: many parts of a small representation cost more than the whole.
        return RangePlan(RangeAction.WHOLE, reason="Range is ignored: the whole is smaller")
    return RangePlan(RangeAction.PARTIAL, tuple(slices))


def _satisfied(spec: Spec, total: int) -> Slice | None:
    """RFC 9110 §14.1.2: a range ends where the representation does, and must begin within it."""
    begin, end = spec
    if begin < 0:
        return (max(total - end, 0), total - 1) if end else None
    if begin >= total:
        return None
    return begin, total - 1 if end < 0 else min(end, total - 1)


def _coalesced(wanted: list[Slice]) -> list[Slice]:
    """Slices that overlap or lie near each other made one, in the order in which the first of each was asked for
    (RFC 9110 §15.3.7.2)."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    merged: list[tuple[int, int, int]] = []
    for index in order:
        begin, end = wanted[index]
        if merged and begin <= merged[-1][2] + 1 + GAP:
            asked, start, stop = merged[-1]
            merged[-1] = (min(asked, index), start, max(stop, end))
        else:
            merged.append((index, begin, end))
    return [(begin, end) for _, begin, end in sorted(merged)]


@attrs.frozen
class PartialContent:
    """A 206: its fields and what its content is made of."""

    fields: Fields
    """All but those that frame it."""
    length: int
    """Octets of the content, for Content-Length."""
    parts: tuple[tuple[bytes, int, int], ...]
    """Octets to send as they are, then a run of the stored content: its offset there and its length."""
    closing: bytes
    """Octets to send in the end."""


# RFC 9110 §15.3.7: sent beside these, with If-Range, is only what the client can't have from before.
_REPRESENTATION: Final = frozenset(
    (
        b"content-disposition content-encoding content-language content-md5 content-type digest "
        b"last-modified repr-digest"
    ).split()
)
# What is true of the whole content alone, or is made anew.
_OF_THE_WHOLE: Final = frozenset((b"content-length", b"content-range", b"content-digest", b"content-md5", b"trailer"))


def partial_content(
    response: Fields, plan: RangePlan, *, first: int, total: int, boundary: bytes, if_range: bool
) -> PartialContent:
    """Makes the 206 of a plan: of one part, or of several as multipart/byteranges (RFC 9110 §15.3.7, §14.6).

    ``boundary`` separates the parts: 1 to 70 letters, digits, ``-`` or ``_`` that nobody can foresee, else content
    could be made that looks like a part's end. ``if_range`` says that the request had If-Range: its client has the
    representation's own fields already. Raises ValueError for another boundary, or a plan without slices.
    """
    if not plan.slices:
        raise ValueError("a 206 needs a part")
    gone = _OF_THE_WHOLE
    if if_range:
        gone = gone | (_REPRESENTATION if entity_tag(response) is not None else _REPRESENTATION - {b"last-modified"})
    lines: list[Line] = [line for line in response.lines if line[0] not in gone]
    if len(plan.slices) == 1:
        begin, end = plan.slices[0]
        lines.append((b"content-range", b"Content-Range", content_range(begin, end, total)))
        length = end - begin + 1
        return PartialContent(Fields(lines), length, ((b"", begin - first, length),), b"")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise ValueError("no boundary of a multipart body")
    kind = response.get(b"content-type")
    lines = [line for line in lines if line[0] != b"content-type"]
    lines.append((b"content-type", b"Content-Type", b"multipart/byteranges; boundary=" + boundary))
    about = b"Content-Type: %b\r\n" % kind if kind is not None else b""
    parts = []
    separator = b"--" + boundary
    length = 0
    for begin, end in plan.slices:
        head = b"%b\r\n%bContent-Range: %b\r\n\r\n" % (separator, about, content_range(begin, end, total))
        parts.append((head, begin - first, end - begin + 1))
        length += len(head) + end - begin + 1
        separator = b"\r\n--" + boundary
    closing = separator + b"--\r\n"
    return PartialContent(Fields(lines), length + len(closing), tuple(parts), closing)


# No Cache-Control: the freshness of the representation is not that of the refusal.
_OF_A_REFUSAL: Final = frozenset((b"date", b"etag", b"vary"))


def unsatisfiable_fields(response: Fields, total: int) -> Fields:
    """The fields of a 416 about a response: how many octets there are, and of which representation
    (RFC 9110 §15.5.17)."""
    lines: list[Line] = [line for line in response.lines if line[0] in _OF_A_REFUSAL]
    lines.append((b"content-range", b"Content-Range", unsatisfied_range(total)))
    return Fields(lines)
