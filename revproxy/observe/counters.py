"""What happened, in figures, of one worker or of all of them.

Theory of operation. Transactions are counted in batches, a flush's worth at once: what they have in common is found by
``collections.Counter`` over tuples, at C's speed, and only what is left, a handful of different tuples, is looked at
one by one. So a request costs half a microsecond here, and none of it while it runs.

Every name in here is the operator's (``labels.py``), so a client can't make the tables grow. Reloads can: routes and
servers that are long gone are still counted. ``fold`` puts them together when there are too many.

A worker's counters are handed over by ``take``, as JSON, and begin again from nothing; the master adds what it gets to
its own. What a worker had done is thus never lost with the worker, but for its last second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from revproxy.observe.histogram import Histogram
from revproxy.observe.labels import (
    OTHER,
    UPSTREAM_REASONS,
    Outcomes,
    RouteLabels,
    method_label,
    status_label,
)
from revproxy.observe.transaction import Transaction


class RouteCounts:
    """What happened on one route."""

    __slots__ = ("cache", "durations", "received", "requests", "sent")

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str], int] = {}
        """By method and status."""
        self.durations = Histogram()
        """From the head to the last octet; without tunnels, which last as long as they are used."""
        self.cache: dict[str, int] = {}
        """By outcome; without requests that no cache was asked for."""
        self.sent = 0
        """Octets of answers' contents."""
        self.received = 0
        """Octets of requests' contents."""

    def snapshot(self) -> list[Any]:
        return [
            [[method, status, number] for (method, status), number in self.requests.items()],
            self.durations.snapshot(),
            self.cache,
            self.sent,
            self.received,
        ]

    def merge(self, value: Sequence[Any]) -> None:
        requests, durations, cache, sent, received = value
        for method, status, number in requests:
            self.requests[method, status] = self.requests.get((method, status), 0) + number
        self.durations.merge(durations)
        _add(self.cache, cache)
        self.sent += sent
        self.received += received


class ServerCounts:
    """What one server of an upstream did."""

    __slots__ = ("connects", "failures", "first_bytes", "requests", "retries")

    def __init__(self) -> None:
        self.requests = 0
        """Requests that it answered, or was the last to be tried for."""
        self.retries = 0
        """Connections beyond the first that those requests were put on."""
        self.failures: dict[str, int] = {}
        """By reason."""
        self.first_bytes = Histogram()
        """From the request's head to the first octet of the answer."""
        self.connects = Histogram()
        """Of connections that were opened for a request."""

    def snapshot(self) -> list[Any]:
        return [
            self.requests,
            self.retries,
            self.failures,
            self.first_bytes.snapshot(),
            self.connects.snapshot(),
        ]

    def merge(self, value: Sequence[Any]) -> None:
        requests, retries, failures, first_bytes, connects = value
        self.requests += requests
        self.retries += retries
        _add(self.failures, failures)
        self.first_bytes.merge(first_bytes)
        self.connects.merge(connects)


class Counters:
    """All of it."""

    __slots__ = ("_outcomes", "reasons", "routes", "servers", "sums")

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], RouteCounts] = {}
        """By site and route."""
        self.servers: dict[tuple[str, str], ServerCounts] = {}
        """By upstream and server."""
        self.reasons: dict[str, int] = {}
        """Requests that failed, by reason."""
        self.sums: dict[str, int] = {}
        """What is not told apart, by name: "tunnels", "handshakes_failed", "refused", "log_lines_lost" ..."""
        self._outcomes = Outcomes()

    def count(self, batch: Sequence[Transaction]) -> None:
        """Counts transactions that are over."""
        routes = {each.labels for each in batch}
        if len(routes) == 1:
            self._count_route(routes.pop(), batch)
            return
        groups: dict[RouteLabels, list[Transaction]] = {labels: [] for labels in routes}
        for transaction in batch:
            groups[transaction.labels].append(transaction)
        for labels, group in groups.items():
            self._count_route(labels, group)

    # Comprehensions over plain attributes are the quickest way through a batch that the interpreter has.

    def _count_route(self, labels: RouteLabels, batch: Sequence[Transaction]) -> None:
        counts = self.route(labels.site, labels.route)
        outcomes = self._outcomes
        servers: set[bytes] = set()
        tunnels = 0
        alike = Counter(
            [
                (each.method, each.status, each.reason, each.upstream, each.tries, outcomes[each.cache_status])
                for each in batch
            ]
        )
        for (method, status, reason, upstream, tries, outcome), number in alike.items():
            key = method_label(method), status_label(status)
            counts.requests[key] = counts.requests.get(key, 0) + number
            if status == 101:
                tunnels += number
            if outcome:
                counts.cache[outcome] = counts.cache.get(outcome, 0) + number
            if reason:
                self.reasons[reason] = self.reasons.get(reason, 0) + number
            if upstream:
                servers.add(upstream)
                server = self.server(labels.upstream, upstream.decode("utf-8", "replace"))
                server.requests += number
                if tries > 1:
                    server.retries += (tries - 1) * number
                if reason in UPSTREAM_REASONS:
                    server.failures[reason] = server.failures.get(reason, 0) + number
        self.add("tunnels", tunnels)
        # What lasts as long as it is used says nothing of how quick anybody was.
        timed = [each for each in batch if each.status != 101] if tunnels else batch
        counts.durations.add_all([each.total_time for each in timed])
        counts.sent += sum([each.sent for each in batch])
        counts.received += sum([each.received for each in batch])
        for name in servers:
            asked = batch if len(servers) == 1 else [each for each in batch if each.upstream == name]
            server = self.server(labels.upstream, name.decode("utf-8", "replace"))
            server.first_bytes.add_all([each.first_byte_time for each in asked if each.first_byte_time >= 0])
            server.connects.add_all([each.connect_time for each in asked if each.connect_time > 0])

    def add(self, name: str, number: int) -> None:
        """Counts what is no transaction."""
        if number:
            self.sums[name] = self.sums.get(name, 0) + number

    def route(self, site: str, route: str) -> RouteCounts:
        """The counts of a route, begun if there are none."""
        found = self.routes.get((site, route))
        if found is None:
            found = self.routes[site, route] = RouteCounts()
        return found

    def server(self, upstream: str, name: str) -> ServerCounts:
        """The counts of a server, begun if there are none."""
        found = self.servers.get((upstream, name))
        if found is None:
            found = self.servers[upstream, name] = ServerCounts()
        return found

    def fold(self, most: int) -> None:
        """Keeps the ``most`` routes and servers that came last apart; what was counted of those before is counted as
        "other" from now on, so that no sum shrinks."""
        _fold(self.routes, most, RouteCounts)
        _fold(self.servers, most, ServerCounts)

    def snapshot(self) -> dict[str, Any]:
        """All of it as a JSON value."""
        return {
            "routes": [[site, route, counts.snapshot()] for (site, route), counts in self.routes.items()],
            "servers": [[upstream, name, counts.snapshot()] for (upstream, name), counts in self.servers.items()],
            "reasons": dict(self.reasons),
            "sums": dict(self.sums),
        }

    def take(self) -> dict[str, Any]:
        """All of it as a JSON value; then it begins again."""
        value = self.snapshot()
        self.routes.clear()
        self.servers.clear()
        self.reasons.clear()
        self.sums.clear()
        return value

    def merge(self, value: dict[str, Any]) -> None:
        """Adds what ``take`` or ``snapshot`` gave elsewhere."""
        for site, route, counts in value["routes"]:
            self.route(site, route).merge(counts)
        for upstream, name, counts in value["servers"]:
            self.server(upstream, name).merge(counts)
        _add(self.reasons, value["reasons"])
        _add(self.sums, value["sums"])


_Counts = TypeVar("_Counts", RouteCounts, ServerCounts)


def _fold(table: dict[tuple[str, str], _Counts], most: int, kind: Callable[[], _Counts]) -> None:
    if len(table) <= most:
        return
    others = table.pop((OTHER, OTHER), None) or kind()
    for key in list(table)[: len(table) + 1 - most]:
        others.merge(table.pop(key).snapshot())
    table[OTHER, OTHER] = others


def _add(mine: dict[str, int], its: dict[str, int]) -> None:
    for key, number in its.items():
        mine[key] = mine.get(key, 0) + number
