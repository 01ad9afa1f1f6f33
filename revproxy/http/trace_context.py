"""Which trace a request belongs to: traceparent and tracestate, as the W3C's Trace Context (level 1) has them.

Whoever takes part in a trace keeps its id, and puts its own where the caller's was. A traceparent that is not exactly
what the recommendation describes is nobody's: a new trace begins, and tracestate, which belongs to the old one, goes no
further. One of a later version is read as far as this version goes.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
FIELDS: Final = frozenset({TRACEPARENT, TRACESTATE})

_FORM: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE: Final = b"0" * 32
_NO_PARENT: Final = b"0" * 16
_SAMPLED: Final = 1
_RANGE: Final = 1 << 32
_TAKEN_OVER: Final = frozenset({TRACEPARENT})


@attrs.frozen
class TraceParent:
    """What a traceparent says: ids in hexadecimal digits."""

    trace_id: bytes
    parent_id: bytes
    sampled: bool
    """Whether the caller may have recorded its part."""

    def value(self) -> bytes:
        """It as a field value, in version 00."""
        return b"00-%b-%b-%b" % (self.trace_id, self.parent_id, b"01" if self.sampled else b"00")


def traceparent_of(fields: Fields) -> TraceParent | None:
    """The caller's; None where there is none, or several, or one that can't be understood."""
    if TRACEPARENT not in fields:
        return None
    lines = fields.all(TRACEPARENT)
    return parse_traceparent(lines[0]) if len(lines) == 1 else None


def parse_traceparent(value: bytes) -> TraceParent | None:
    """A field value; None where it is not valid."""
    match = _FORM.fullmatch(value)
    if match is None:
        return None
    version, trace_id, parent_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if trace_id == _NO_TRACE or parent_id == _NO_PARENT:
        return None
    return TraceParent(trace_id, parent_id, bool(int(flags, 16) & _SAMPLED))


def left_traces(fields: Fields, gone: frozenset[bytes]) -> frozenset[bytes]:
    """Which fields of a request do not go on as they are; ``gone`` are those that don't in any case."""
    if TRACEPARENT not in gone and traceparent_of(fields) is not None:
        return _TAKEN_OVER
    return FIELDS


RANDOM: Final = 28
"""Octets of randomness that a step in a trace needs."""


def next_step(facts: RequestFacts, random: bytes, below: int, *, trusted: bool) -> TraceParent:
    """What the server behind is told about a request with these facts. ``random`` are ``RANDOM`` octets; the first four
    are a number, and of the traces that begin here those are recorded for which it is under ``below``.

    A client's word alone records nothing, or anybody could have everything of his recorded: it is as if the trace began
    here. Where the client says that nothing was recorded, that is how it stays: half a trace is worth nothing.
    """
    sampled = int.from_bytes(random[:4], "big") < below
    span = random[4:12].hex().encode("ascii")
    parent = None if TRACEPARENT in facts.options else traceparent_of(facts.fields)
    if parent is None:
        return TraceParent(random[12:].hex().encode("ascii"), span, sampled)
    return TraceParent(parent.trace_id, span, parent.sampled and (trusted or sampled))


def share_below(one_in: int) -> int:
    """The bound for ``next_step`` by which one trace in so many is recorded; 0 for none."""
    return _RANGE // one_in if one_in else 0
