"""Validators: entity tags and modification dates, how they are read and when two of them agree (RFC 9110 §8.8).

An entity tag is kept as the octets that were written, ``"a"`` or ``W/"a"``. What is no entity tag by the grammar is
none: a tag without its quotes could be half of something else, so nothing is ever validated by it.
"""

from __future__ import annotations

import re
from typing import Final

from revproxy.http.dates import parse_date
from revproxy.http.fields import Fields

_TAG: Final = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
# RFC 9110 §5.6.1.2: empty members of a list are nothing, and white space surrounds its commas.
_GAP: Final = re.compile(rb"[ \t]*(?:,[ \t]*)*")
_COMMA: Final = re.compile(rb"[ \t]*,[ \t,]*")

ANY: Final = (b"*",)
"""What ``parse_entity_tags`` makes of ``*``: any representation at all."""


def parse_entity_tag(value: bytes) -> bytes | None:
    """The value itself where it is one entity tag, else None (RFC 9110 §8.8.3)."""
    return value if _TAG.fullmatch(value) else None


def parse_entity_tags(value: bytes) -> tuple[bytes, ...] | None:
    """The entity tags of If-Match or If-None-Match: ``ANY`` for ``*``, none for an empty list, None for what is neither
    ``*`` nor a list of entity tags (RFC 9110 §13.1.1, §13.1.2).

    A list with one malformed member is malformed as a whole: where its members begin and end is not certain then.
    """
    if value == b"*":
        return ANY
    tags = []
    at = _GAP.match(value).end()  # type: ignore[union-attr]  # it matches nothing as well
    while at < len(value):
        tag = _TAG.match(value, at)
        if tag is None:
            return None
        tags.append(tag.group())
        at = tag.end()
        if at == len(value):
            break
        comma = _COMMA.match(value, at)
        if comma is None:
            return tuple(tags) if not value[at:].strip(b" \t") else None
        at = comma.end()
    return tuple(tags)


def entity_tag(fields: Fields) -> bytes | None:
    """The entity tag of a response; None where ETag is absent, malformed, or there twice."""
    value = fields.get(b"etag")
    return None if value is None else parse_entity_tag(value)


def is_weak(tag: bytes) -> bool:
    """Whether an entity tag only tells equivalence, not equality octet by octet (RFC 9110 §8.8.1)."""
    return tag[:1] == b"W"


def opaque_part(tag: bytes) -> bytes:
    """An entity tag without its mark of weakness."""
    return tag[2:] if tag[:1] == b"W" else tag


def strong_match(one: bytes, other: bytes) -> bool:
    """The strong comparison of two entity tags (RFC 9110 §8.8.3.2)."""
    return one == other and not is_weak(one)


def weak_match(one: bytes, other: bytes) -> bool:
    """The weak comparison of two entity tags (RFC 9110 §8.8.3.2)."""
    return one == other or opaque_part(one) == opaque_part(other)


def last_modified(fields: Fields, now: float) -> int | None:
    """When the representation was last changed, as its response says, in seconds of the wall clock; None where it
    doesn't say, or not by one valid date."""
    value = fields.get(b"last-modified")
    return None if value is None else parse_date(value, now)


def strong_date(fields: Fields, now: float) -> int | None:
    """Last-Modified where it is a strong validator of a stored response: its Date is at least one second later, so the
    representation can't have changed again within the second that is named (RFC 9110 §8.8.2.2)."""
    modified = last_modified(fields, now)
    if modified is None:
        return None
    value = fields.get(b"date")
    generated = None if value is None else parse_date(value, now)
    return modified if generated is not None and generated > modified else None


def same_strong_validator(one: Fields, other: Fields, now: float) -> bool:
    """Whether two responses certainly carry parts of the same octets (RFC 9110 §15.3.7.3).

    Where either has an ETag, only entity tags count: a date is the validator of those that have nothing better.
    """
    if b"etag" in one or b"etag" in other:
        tag, other_tag = entity_tag(one), entity_tag(other)
        return tag is not None and other_tag is not None and strong_match(tag, other_tag)
    modified = strong_date(one, now)
    return modified is not None and modified == strong_date(other, now)
