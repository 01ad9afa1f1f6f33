"""traceparent and tracestate: what is understood, what is begun anew, whose word counts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields
from revproxy.http.trace_context import (
    RANDOM,
    TraceParent,
    left_traces,
    next_step,
    parse_traceparent,
    share_below,
    traceparent_of,
)

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = b"00f067aa0ba902b7"
GOOD = b"00-%b-%b-01" % (TRACE, PARENT)
ALWAYS, NEVER = share_below(1), share_below(0)
RANDOMNESS = bytes(range(1, RANDOM + 1))


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (GOOD[:-1] + b"0", False),
        # Flags that nobody knows yet are nobody's business.
        (GOOD[:-2] + b"ff", True),
        (GOOD[:-2] + b"fe", False),
        # A later version, as far as it is known.
        (b"01" + GOOD[2:], True),
        (b"cc" + GOOD[2:] + b"-what-comes-later", True),
    ],
)
def test_what_is_understood(value: bytes, sampled: bool) -> None:
    assert parse_traceparent(value) == TraceParent(TRACE, PARENT, sampled)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00",
        GOOD[:-1],
        GOOD + b"0",
        GOOD + b"-",
        GOOD + b"-more",
        GOOD.upper(),
        b"ff" + GOOD[2:],
        b"0x" + GOOD[2:],
        b"00-%b-%b-01" % (b"0" * 32, PARENT),
        b"00-%b-%b-01" % (TRACE, b"0" * 16),
        b"00-%b-%b-zz" % (TRACE, PARENT),
        b"00_%b_%b_01" % (TRACE, PARENT),
        b"01" + GOOD[2:] + b"more",
        b" " + GOOD,
        GOOD + b"\n",
        GOOD + b"," + GOOD,
    ],
)
def test_what_is_not(value: bytes) -> None:
    assert parse_traceparent(value) is None


@given(st.binary(max_size=80))
def test_any_octets_are_one_or_none(value: bytes) -> None:
    found = parse_traceparent(value)
    if found is not None:
        assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", found.value())
        assert parse_traceparent(found.value()) == found


@given(st.from_regex(rb"\A[0-9a-e][0-9a-f]-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z"))
def test_all_of_the_right_form_but_the_empty_ids_are_understood(value: bytes) -> None:
    _, trace, parent, flags = value.split(b"-")
    found = parse_traceparent(value)
    if trace == b"0" * 32 or parent == b"0" * 16:
        assert found is None
    else:
        assert found == TraceParent(trace, parent, bool(int(flags, 16) & 1))


def facts(*lines: tuple[bytes, bytes]) -> RequestFacts:
    return RequestFacts(11, Fields.of([(b"Host", b"a"), *lines]))


def test_two_are_none() -> None:
    fields = Fields.of([(b"traceparent", GOOD), (b"Traceparent", GOOD)])
    assert traceparent_of(fields) is None
    assert traceparent_of(Fields.of([(b"TraceParent", GOOD)])) is not None


NOTHING: frozenset[bytes] = frozenset()


@pytest.mark.parametrize(
    ("lines", "gone", "left"),
    [
        ([], NOTHING, {b"traceparent", b"tracestate"}),
        ([(b"traceparent", GOOD), (b"tracestate", b"a=b")], NOTHING, {b"traceparent"}),
        # tracestate belongs to a trace that nobody can name.
        ([(b"traceparent", b"x"), (b"tracestate", b"a=b")], NOTHING, {b"traceparent", b"tracestate"}),
        ([(b"tracestate", b"a=b")], NOTHING, {b"traceparent", b"tracestate"}),
        ([(b"traceparent", GOOD)], frozenset({b"traceparent"}), {b"traceparent", b"tracestate"}),
    ],
)
def test_what_does_not_go_on(lines: list[tuple[bytes, bytes]], gone: frozenset[bytes], left: set[bytes]) -> None:
    assert left_traces(Fields.of(lines), gone) == left


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("below", [ALWAYS, NEVER])
@pytest.mark.parametrize("said", [None, False, True])
def test_whose_word_counts(said: bool | None, below: int, trusted: bool) -> None:
    lines = [] if said is None else [(b"traceparent", GOOD[:-1] + (b"1" if said else b"0"))]
    step = next_step(facts(*lines), RANDOMNESS, below, trusted=trusted)
    ours = below == ALWAYS
    assert step.sampled is (ours if said is None else said and (trusted or ours))
    assert (step.trace_id == TRACE) is (said is not None)
    assert step.parent_id == RANDOMNESS[4:12].hex().encode()
    assert parse_traceparent(step.value()) == step


def test_what_connection_names_is_not_for_us() -> None:
    asked = facts((b"traceparent", GOOD), (b"Connection", b"traceparent"))
    assert next_step(asked, RANDOMNESS, ALWAYS, trusted=True).trace_id != TRACE


@given(st.binary(min_size=RANDOM, max_size=RANDOM), st.integers(1, 1000))
def test_one_in_so_many(random: bytes, one_in: int) -> None:
    sampled = next_step(facts(), random, share_below(one_in), trusted=False).sampled
    assert sampled is (int.from_bytes(random[:4], "big") < (1 << 32) // one_in)
