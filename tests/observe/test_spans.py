"""Spans of requests: which there are, how they hang together, what they say, and what they don't."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.http.trace_context import RANDOM, share_below
from revproxy.observe.labels import NO_ROUTE
from revproxy.observe.spans import LONG, Span, spans_of
from revproxy.observe.transaction import Transaction
from tests.observe.making import over

TRACE, CALLER, STEP = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{CALLER}-01".encode()
TOLD = f"00-{TRACE}-{STEP}-01".encode()
RANDOMNESS = bytes(range(RANDOM))
ALWAYS, NEVER = share_below(1), share_below(0)


def spans(t: Transaction, below: int = NEVER) -> list[Span]:
    return spans_of(t, RANDOMNESS, below)


def said(span: Span) -> dict[str, Any]:
    found = dict(span.attributes)
    assert len(found) == len(span.attributes)
    return found


def test_a_request_that_a_server_answered() -> None:
    t = over(fields=((b"traceparent", PARENT), (b"tracestate", b"a=b")), trace=TOLD, cache_status=b"revproxy; fwd=miss")
    own, exchange = spans(t)
    assert (own.trace_id.hex(), own.parent_id.hex()) == (TRACE, CALLER)
    assert (exchange.trace_id, exchange.parent_id, exchange.span_id.hex()) == (own.trace_id, own.span_id, STEP)
    assert own.span_id != exchange.span_id
    assert (own.is_client, exchange.is_client) == (False, True)
    assert own.trace_state == exchange.trace_state == "a=b"
    assert (own.ended - own.begun) == 12_000_000
    assert own.name == f"GET {t.labels.route}"
    assert (own.error, exchange.error) == ("", "")
    found = said(own)
    assert found["url.path"] == "/a"
    assert "b" not in (found["url.path"], found.get("url.query"))
    assert (found["server.address"], found["server.port"]) == ("shop.example", 8080)
    assert found["http.response.status_code"] == 200
    assert found["revproxy.cache_status"] == "revproxy; fwd=miss"
    assert said(exchange)["server.address"] == "10.0.0.5"
    assert said(exchange)["server.port"] == 80


def test_a_trace_that_began_here_has_no_caller() -> None:
    own, exchange = spans(over(trace=TOLD))
    assert (own.parent_id, exchange.parent_id) == (b"", own.span_id)


@pytest.mark.parametrize("below", [ALWAYS, NEVER])
@pytest.mark.parametrize("parent", [None, PARENT, PARENT[:-1] + b"0"])
def test_a_request_that_no_server_was_told_of(parent: bytes | None, below: int) -> None:
    t = over(fields=((b"traceparent", parent),) if parent else (), upstream=b"", tries=0)
    found = spans(t, below)
    wanted = below == ALWAYS and (parent is None or parent is PARENT)
    assert len(found) == wanted
    if wanted:
        assert found[0].parent_id.hex() == (CALLER if parent else "")


def test_what_is_not_recorded_makes_none() -> None:
    assert spans(over(trace=TOLD[:-1] + b"0"), ALWAYS) == []
    assert spans(over(facts=None, method=b""), ALWAYS) == []


@pytest.mark.parametrize(
    ("changes", "own_error", "exchange_error"),
    [
        ({"status": 404}, "", "404"),
        ({"status": 503}, "503", "503"),
        ({"status": 502, "reason": "connect_failed"}, "connect_failed", "connect_failed"),
        ({"status": 499, "reason": "client_gone"}, "", "499"),
        ({"status": 0, "reason": "client_gone"}, "client_gone", ""),
    ],
)
def test_failures(changes: dict[str, Any], own_error: str, exchange_error: str) -> None:
    own, exchange = spans(over(trace=TOLD, **changes))
    assert (own.error, exchange.error) == (own_error, exchange_error)
    assert said(own).get("error.type", "") == own_error


def test_a_server_that_never_answered_has_no_status() -> None:
    _, exchange = spans(over(trace=TOLD, status=502, reason="connect_failed", tries=3))
    assert "http.response.status_code" not in said(exchange)
    assert said(exchange)["http.request.resend_count"] == 2


def test_names_are_few_whatever_clients_say() -> None:
    own, _ = spans(over(trace=TOLD, method=b"EXPLODE", labels=NO_ROUTE))
    assert own.name == "HTTP"
    assert said(own)["http.request.method"] == "_OTHER"
    assert said(own)["http.request.method_original"] == "EXPLODE"
    assert "http.route" not in said(own)


@pytest.mark.parametrize(
    ("name", "address", "port"),
    [
        (b"10.0.0.5:80", "10.0.0.5", 80),
        (b"[::1]:8000", "::1", 8000),
        (b"unix:/run/app.sock", "/run/app.sock", None),
        (b"app", "app", None),
    ],
)
def test_servers(name: bytes, address: str, port: int | None) -> None:
    found = said(spans(over(trace=TOLD, upstream=name))[1])
    assert (found["server.address"], found.get("server.port")) == (address, port)


@given(target=st.binary(min_size=1, max_size=30), host=st.binary(max_size=30), agent=st.binary(max_size=4000))
def test_whatever_a_client_says_is_harmless_and_bounded(target: bytes, host: bytes, agent: bytes) -> None:
    agent = agent.translate(None, b"\r\n\0")
    t = over(trace=TOLD, target=target, fields=((b"User-Agent", agent),))
    t.host = host
    for span in spans(t):
        for value in said(span).values():
            if isinstance(value, str):
                assert len(value) <= LONG
                assert value.isprintable() and value.isascii() or "…" in value
