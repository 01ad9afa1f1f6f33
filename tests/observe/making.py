"""Transactions that are over."""

from __future__ import annotations

from typing import Any

from revproxy.http.facts import RequestFacts
from revproxy.http.fields import Fields
from revproxy.observe.labels import RouteLabels
from revproxy.observe.transaction import Transaction

SHOP = RouteLabels("shop.example", "/", "shop", (0, 0))
API = RouteLabels("api.example", "/v1/", "api", (1, 0))


def over(
    number: int = 1,
    labels: RouteLabels = SHOP,
    *,
    method: bytes = b"GET",
    target: bytes = b"/a?b",
    fields: tuple[tuple[bytes, bytes], ...] = (),
    **more: Any,
) -> Transaction:
    """Number ``number``; what is not said is what a quick answer of a server has."""
    t = Transaction(b"id-%d" % number, b"192.0.2.9", method, target, 11, 1_700_000_000.25 + number, 5.0)
    t.facts = RequestFacts(11, Fields.of([(b"Host", b"a"), *fields]))
    t.labels, t.host, t.status, t.sent, t.received = labels, b"shop.example:8080", 200, 100, 5
    t.upstream, t.tries, t.connect_time, t.first_byte_time, t.total_time = b"10.0.0.5:80", 1, 0.0, 0.01, 0.012
    for name, value in more.items():
        setattr(t, name, value)
    return t
