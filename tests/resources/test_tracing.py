"""What servers behind are told of traces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from revproxy.http.forward import FieldChanges
from revproxy.http.trace_context import parse_traceparent
from revproxy.observe.lines import json_line
from revproxy.resources.tracing import TraceContext
from tests.support.dialogue import OK, answering, answers, running

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = b"00-%b-00f067aa0ba902b7-01" % TRACE


def told(*lines: bytes, one_in: int = 1, trusted: bool = False, times: int = 1, **resource: Any) -> Any:
    """The fields that a server got for each of some requests with these lines, and the transactions."""
    context = {"tracing": TraceContext(one_in), **resource} if one_in >= 0 else resource
    with running(resource=context) as proxy:
        asked = answering(proxy.origin, lambda _: OK)
        client = proxy.client(trusted=trusted)
        for _ in range(times):
            client.send(b"GET /a HTTP/1.1\r\n" + b"\r\n".join([b"Host: a", *lines]) + b"\r\n\r\n")
        assert {one.status for one in answers(client, *[b"GET"] * times)} == {200}
        assert len(asked) == times
        parents, states = (
            [[value for field, value in request.fields if field == name] for request in asked]
            for name in (b"traceparent", b"tracestate")
        )
        return parents, states, proxy.transactions


def test_without_the_table_they_are_fields_as_any() -> None:
    parents, states, transactions = told(b"traceparent: nonsense", b"tracestate: a=b", one_in=-1)
    assert (parents, states) == ([[b"nonsense"]], [[b"a=b"]])
    assert transactions[0].trace == b""


def test_a_trace_begins_anew_with_each_request_also_on_one_connection() -> None:
    parents, states, transactions = told(times=3)
    steps = [parse_traceparent(value) for (value,) in parents]
    assert len({step.trace_id for step in steps if step}) == 3
    assert all(step is not None and step.sampled for step in steps)
    assert states == [[], [], []]
    assert [[transaction.trace] for transaction in transactions] == parents
    record = json.loads(json_line(transactions[0]))
    assert record["trace"] == parents[0][0][3:35].decode()


def test_a_trace_goes_on() -> None:
    parents, states, _ = told(b"Traceparent: " + GOOD, b"tracestate: a=b", b"tracestate: c=d")
    step = parse_traceparent(parents[0][0])
    assert step is not None
    assert (step.trace_id, step.sampled) == (TRACE, True)
    assert step.parent_id != b"00f067aa0ba902b7"
    assert b",".join(states[0]) == b"a=b,c=d"


@pytest.mark.parametrize("trusted", [False, True])
def test_only_a_trusted_proxy_has_its_way_with_recording(trusted: bool) -> None:
    parents, _, _ = told(b"traceparent: " + GOOD, one_in=0, trusted=trusted)
    assert parents[0][0].endswith(b"-01" if trusted else b"-00")


@pytest.mark.parametrize("value", [b"x", GOOD.upper(), GOOD + b"0", b"00-" + b"0" * 32 + GOOD[35:], b"a" * 8000])
def test_nonsense_begins_a_new_one_and_takes_its_state_away(value: bytes) -> None:
    parents, states, _ = told(b"traceparent: " + value, b"tracestate: a=b")
    step = parse_traceparent(parents[0][0])
    assert step is not None and step.trace_id != TRACE
    assert states == [[]]


def test_several_are_none() -> None:
    parents, states, _ = told(b"traceparent: " + GOOD, b"traceparent: " + GOOD, b"tracestate: a=b")
    assert len(parents[0]) == 1 and TRACE not in parents[0][0]
    assert states == [[]]


def test_the_operator_may_take_it_away() -> None:
    parents, _, transactions = told(
        b"traceparent: " + GOOD, request_changes=FieldChanges(remove=frozenset({b"traceparent"}))
    )
    assert parents == [[]]
    assert transactions[0].trace == b""
