"""Preconditions of a request, evaluated against the response that is at hand (RFC 9110 §13, RFC 9111 §4.3.2).

Two kinds of recipient evaluate them. An origin server evaluates all five. A cache leaves If-Match and
If-Unmodified-Since to the origin server, and evaluates the others against the stored response that it chose. Either
evaluates them only where the answer would otherwise be a success, and always in the order of RFC 9110 §13.2.2.

In doubt the condition is held to be true: the client is then sent what it might have had already, which costs octets,
but never correctness.
"""

from __future__ import annotations

import enum
from typing import Final

from revproxy.http.dates import parse_date
from revproxy.http.fields import Fields
from revproxy.http.validators import (
    ANY,
    entity_tag,
    last_modified,
    parse_entity_tag,
    parse_entity_tags,
    strong_date,
    strong_match,
    weak_match,
)


class Evaluation(enum.Enum):
    """What the preconditions of a request come to."""

    PROCEED = "proceed"
    """Answer as if there were none."""
    NOT_MODIFIED = "not_modified"
    """304: the client has it already."""
    FAILED = "failed"
    """412: the client wants the request only if something else were true."""
    IGNORE_RANGE = "ignore_range"
    """Answer with the whole representation: the part that the client has is of another one (RFC 9110 §13.1.5)."""


_EVALUATED: Final = frozenset(
    (b"if-none-match", b"if-modified-since", b"if-range", b"if-match", b"if-unmodified-since")
)


def has_preconditions(request: Fields) -> bool:
    """Whether there is anything to evaluate: the answer may be kept with the fields."""
    return not _EVALUATED.isdisjoint(request.names())


def is_for_origin(request: Fields) -> bool:
    """Whether a precondition is there that only an origin server evaluates: If-Match, If-Unmodified-Since.

    A cache may overlook it and answer (RFC 9110 §13.1.1, §13.1.4), but then the client doesn't hear that it failed.
    """
    return b"if-match" in request or b"if-unmodified-since" in request


def evaluate(
    method: bytes,
    request: Fields,
    status: int,
    response: Fields,
    *,
    received: float,
    now: float,
    as_origin: bool = False,
) -> Evaluation:
    """Evaluates the preconditions of a request against a response, in the order of RFC 9110 §13.2.2.

    ``status`` and ``response`` are those of the stored (or the origin's current) response; ``received`` is when it came
    and ``now`` what the clock says, in seconds. A cache evaluates only where the stored response is a 200 or a 206
    (RFC 9111 §4.3.2): redirects and failures go before preconditions (RFC 9110 §13.2.1).
    """
    if status != 200 and status != 206:
        return Evaluation.PROCEED
    if as_origin and not _holds_for_origin(request, response, now):
        return Evaluation.FAILED
    is_retrieval = method == b"GET" or method == b"HEAD"
    unless = request.get(b"if-none-match")
    if unless is not None:
        if _is_named(unless, response):
            return Evaluation.NOT_MODIFIED if is_retrieval else Evaluation.FAILED
    elif is_retrieval:
        # A list of dates is no date, so it is ignored, as the field is beside If-None-Match (RFC 9110 §13.1.3).
        since = request.get(b"if-modified-since")
        if since is not None and not _is_modified_since(since, response, received, now, as_origin):
            return Evaluation.NOT_MODIFIED
    if method == b"GET" and b"range" in request:
        of = request.get(b"if-range")
        if of is not None and not _is_same_representation(of, response, now):
            return Evaluation.IGNORE_RANGE
    return Evaluation.PROCEED


def _holds_for_origin(request: Fields, response: Fields, now: float) -> bool:
    """Steps 1 and 2: If-Match, or else If-Unmodified-Since."""
    match = request.get(b"if-match")
    if match is not None:
        tags = parse_entity_tags(match)
        if tags is None or tags == ANY:
            return tags is not None
        current = entity_tag(response)
        return current is not None and any(strong_match(tag, current) for tag in tags)
    unmodified = request.get(b"if-unmodified-since")
    if unmodified is not None:
        date, modified = parse_date(unmodified, now), last_modified(response, now)
        return date is None or modified is None or modified <= date
    return True


def _is_named(value: bytes, response: Fields) -> bool:
    """Whether If-None-Match names the response, by the weak comparison (RFC 9110 §13.1.2)."""
    current = entity_tag(response)
    if value == current:
        return True
    tags = parse_entity_tags(value)
    if not tags:
        return False
    if tags == ANY:
        return True
    return current is not None and any(weak_match(tag, current) for tag in tags)


def _is_modified_since(value: bytes, response: Fields, received: float, now: float, as_origin: bool) -> bool:
    """RFC 9110 §13.1.3; a response without a modification date was, for a cache, last modified when it was made
    (RFC 9111 §4.3.2)."""
    since = parse_date(value, now)
    if since is None:
        return True
    modified = last_modified(response, now)
    if modified is None:
        if as_origin:
            return True
        made = response.get(b"date")
        modified = None if made is None else parse_date(made, now)
        if modified is None:
            # Rounded up: what came within a second was not yet there when the second began.
            modified = -int(-received // 1)
    return modified > since


def _is_same_representation(value: bytes, response: Fields, now: float) -> bool:
    """Whether If-Range names the response exactly, by a strong validator (RFC 9110 §13.1.5)."""
    if b'"' in value[:3]:
        tag, current = parse_entity_tag(value), entity_tag(response)
        return tag is not None and current is not None and strong_match(tag, current)
    date = parse_date(value, now)
    return date is not None and date == strong_date(response, now)


_METADATA: Final = frozenset(
    (
        b"accept-ranges content-digest content-disposition content-encoding content-language content-length "
        b"content-md5 content-range content-type digest repr-digest trailer"
    ).split()
)
"""What describes the representation or its content, and may not stand in a 304 (RFC 9110 §15.4.5)."""


def not_modified_fields(response: Fields) -> Fields:
    """The fields of a 304 made from a response: all of its fields but those that describe the representation.

    Required are Content-Location, Date, ETag, Vary, Cache-Control and Expires (RFC 9110 §15.4.5). Others that are no
    such metadata pass as well: a browser applies them to what it has, and a page that another site may read under
    ``Access-Control-Allow-Origin`` would not be readable if that were left out. Last-Modified passes where there is no
    entity tag to find the client's own stored response by.
    """
    gone = _METADATA
    if entity_tag(response) is not None:
        gone = gone | {b"last-modified"}
    return Fields([line for line in response.lines if line[0] not in gone])
