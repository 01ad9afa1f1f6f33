"""Transactions → spans, by OpenTelemetry's conventions for HTTP. What is not recorded makes none.

A request that a server was asked about has two: its own, and within it the one that the server was told of. The query
is left out, since tokens stand in queries; names of spans are made of what the configuration says, so they are few.
"""

from __future__ import annotations

from typing import Final

import attrs

from revproxy.http.fields import NO_FIELDS
from revproxy.http.trace_context import RANDOM, next_step, parse_traceparent, traceparent_of
from revproxy.observe.labels import METHODS, UPSTREAM_REASONS
from revproxy.observe.lines import escape
from revproxy.observe.transaction import Transaction

Value = str | int | float
LONG: Final = 1024
"""Characters of a value; what is longer is cut."""
NANO: Final = 1_000_000_000
assert RANDOM > 8


@attrs.frozen
class Span:
    """One step of a request. Times are nanoseconds since 1970."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    """Empty for none."""
    name: str
    is_client: bool
    """Whether we asked; else we were asked."""
    begun: int
    ended: int
    attributes: tuple[tuple[str, Value], ...]
    error: str
    """A failure in a word; empty where there was none."""
    trace_state: str = ""


def spans_of(t: Transaction, random: bytes, below: int) -> list[Span]:
    """The spans of a request that is over; none where its trace is not recorded. ``random`` are ``RANDOM`` octets,
    ``below`` is as in ``next_step``."""
    facts = t.facts
    if facts is None or not t.method:
        # Nothing of it was understood, so it is part of nothing.
        return []
    # Most are not recorded, and that costs one look.
    if t.trace.endswith(b"-00") if t.trace else int.from_bytes(random[:4], "big") >= below:
        return []
    parent = traceparent_of(facts.fields)
    told = parse_traceparent(t.trace) if t.trace else None
    step = told or next_step(facts, random, below, trusted=False)
    if not step.sampled:
        return []
    trace_id = bytes.fromhex(step.trace_id.decode("ascii"))
    step_id = bytes.fromhex(step.parent_id.decode("ascii"))
    goes_on = parent is not None and parent.trace_id == step.trace_id
    caller = bytes.fromhex(parent.parent_id.decode("ascii")) if goes_on and parent is not None else b""
    state = ",".join(value.decode("latin-1") for value in facts.fields.all(b"tracestate")) if goes_on else ""
    begun = int(t.started * NANO)
    ended = begun + int(max(t.total_time, 0.0) * NANO)
    own_id = step_id if told is None else random[:8]
    method = METHODS.get(t.method)
    name = method or "HTTP"
    error = t.reason or str(t.status) if t.status >= 500 or not t.status else ""
    spans = [
        Span(
            trace_id, own_id, caller, name if t.labels.route == "-" else f"{name} {t.labels.route}", False,
            begun, ended, tuple(_of_request(t, method, error)), error, state,
        )
    ]
    if told is not None and t.upstream:
        failed = t.reason in UPSTREAM_REASONS
        error = t.reason if failed else str(t.status) if t.status >= 400 else ""
        attributes = tuple(_of_exchange(t, method, error, answered=not failed))
        spans.append(Span(trace_id, step_id, own_id, name, True, begun, ended, attributes, error, state))
    return spans


def _of_request(t: Transaction, method: str | None, error: str) -> list[tuple[str, Value]]:
    fields = t.facts.fields if t.facts is not None else NO_FIELDS
    host, _, port = _text(t.host).rpartition(":")
    if not port.isdigit() or host.endswith(":"):
        host, port = _text(t.host), ""
    found: list[tuple[str, Value]] = [
        *_method(t, method),
        ("url.scheme", _text(t.scheme)),
        ("url.path", _text(t.target.partition(b"?")[0])),
        ("network.protocol.version", f"{t.version // 10}.{t.version % 10}"),
        ("client.address", _text(t.client)),
        ("http.request.body.size", t.received),
        ("http.response.body.size", t.sent),
        ("revproxy.request_id", _text(t.request_id)),
    ]
    if host:
        found.append(("server.address", host))
    if port:
        found.append(("server.port", int(port[:5])))
    if t.status:
        found.append(("http.response.status_code", t.status))
    if t.labels.site != "-":
        found += [("http.route", t.labels.route), ("revproxy.site", t.labels.site)]
    agent = fields.get(b"user-agent")
    if agent:
        found.append(("user_agent.original", _text(agent)))
    if t.cache_status:
        found.append(("revproxy.cache_status", _text(t.cache_status)))
    if error:
        found.append(("error.type", error))
    if t.detail:
        found.append(("revproxy.detail", _text(t.detail.encode("utf-8", "replace"))))
    return found


def _of_exchange(t: Transaction, method: str | None, error: str, *, answered: bool) -> list[tuple[str, Value]]:
    name = t.upstream.decode("utf-8", "replace")
    host, _, port = name.rpartition(":")
    unix = name.startswith("unix:")
    found: list[tuple[str, Value]] = [
        *_method(t, method),
        ("server.address", name[5:] if unix else host.strip("[]") or name),
        ("url.path", _text(t.target.partition(b"?")[0])),
    ]
    if not unix and port.isdigit():
        found.append(("server.port", int(port[:5])))
    if answered and t.status:
        found.append(("http.response.status_code", t.status))
    if t.tries > 1:
        found.append(("http.request.resend_count", t.tries - 1))
    if t.connect_time > 0:
        found.append(("revproxy.connect_seconds", t.connect_time))
    if t.first_byte_time >= 0:
        found.append(("revproxy.first_byte_seconds", t.first_byte_time))
    if t.labels.upstream:
        found.append(("revproxy.upstream", t.labels.upstream))
    if error:
        found.append(("error.type", error))
    return found


def _method(t: Transaction, known: str | None) -> list[tuple[str, Value]]:
    if known is not None:
        return [("http.request.method", known)]
    return [("http.request.method", "_OTHER"), ("http.request.method_original", _text(t.method))]


def _text(octets: bytes) -> str:
    text = escape(octets[: LONG + 1])
    return text if len(text) <= LONG else text[: LONG - 1] + "…"
