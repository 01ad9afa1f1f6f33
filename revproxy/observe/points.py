"""Figures second by second, for a page that draws them: what all workers did in each of the last five minutes' seconds.

Theory of operation. Each worker tells once a second what it counted since it last did, and how long that was ago. The
clocks of processes drift against each other, so a second here may bring two reports of a worker, or none: a worker's
share of a point is its rate over the reports that came, and the rate before where none came. So rates neither double
nor fall to nothing for the drift's sake.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from revproxy.observe.counters import Counters
from revproxy.observe.histogram import Histogram
from revproxy.observe.labels import HITS

SECONDS: Final = 300
"""Points that are kept."""
SILENT: Final = 3
"""Points after which a worker that reports nothing is taken to do nothing."""
CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Share:
    """What one worker did in one second, or since it last reported."""

    __slots__ = ("age", "classes", "durations", "hits", "lasted", "received", "requests", "sent", "through_cache")

    def __init__(self) -> None:
        self.age = 0
        """Points that were made of it."""
        self.lasted = 0.0
        """Seconds."""
        self.requests = 0
        self.classes = dict.fromkeys(CLASSES, 0)
        self.durations = Histogram()
        self.hits = 0
        self.through_cache = 0
        self.sent = 0
        self.received = 0

    def add(self, counted: Counters, lasted: float) -> None:
        """Adds a report about ``lasted`` seconds."""
        self.lasted += lasted
        for counts in counted.routes.values():
            for (_, status), number in counts.requests.items():
                self.requests += number
                kind = status[:1] + "xx"
                if kind in self.classes:
                    self.classes[kind] += number
            for outcome, number in counts.cache.items():
                self.through_cache += number
                if outcome in HITS:
                    self.hits += number
            self.sent += counts.sent
            self.received += counts.received
            self.durations.merge(counts.durations.snapshot())


class Points:
    """The history, and what the next point will be made of."""

    def __init__(self, seconds: int = SECONDS) -> None:
        self.history: deque[dict[str, Any]] = deque(maxlen=seconds)
        """The oldest first."""
        self._coming: dict[int, Share] = {}
        self._last: dict[int, Share] = {}

    def report(self, worker: int, counted: Counters, lasted: float) -> None:
        """What a worker counted in the ``lasted`` seconds since it last reported."""
        self._coming.setdefault(worker, Share()).add(counted, lasted)

    def forget(self, worker: int) -> None:
        """It is gone; what it has reported still counts once."""
        self._last.pop(worker, None)

    def point(self, at: float, connections: int, in_flight: int) -> dict[str, Any]:
        """Makes the point of a second, which is also kept. ``at`` is seconds since the epoch."""
        shares = {**self._last, **self._coming}
        self._coming = {}
        classes = dict.fromkeys(CLASSES, 0.0)
        durations = Histogram()
        sums = dict.fromkeys(("rate", "hits", "cache_requests", "sent", "received"), 0.0)
        for share in shares.values():
            share.age += 1
            lasted = max(share.lasted, 0.001)
            durations.merge(share.durations.snapshot())
            sums["rate"] += share.requests / lasted
            sums["hits"] += share.hits / lasted
            sums["cache_requests"] += share.through_cache / lasted
            sums["sent"] += share.sent / lasted
            sums["received"] += share.received / lasted
            for name, number in share.classes.items():
                classes[name] += number / lasted
        self._last = {number: share for number, share in shares.items() if share.age < SILENT}
        made = {
            "at": at,
            "rate": round(sums["rate"], 3),
            "by_class": {name: round(rate, 3) for name, rate in classes.items()},
            "p50": _seconds(durations.quantile(0.5)),
            "p90": _seconds(durations.quantile(0.9)),
            "p99": _seconds(durations.quantile(0.99)),
            "hits": round(sums["hits"], 3),
            "cache_requests": round(sums["cache_requests"], 3),
            "connections": connections,
            "in_flight": in_flight,
            "sent": round(sums["sent"]),
            "received": round(sums["received"]),
        }
        self.history.append(made)
        return made


def no_point(at: float) -> dict[str, Any]:
    """The point of a second in which nothing happened."""
    return Points(1).point(at, 0, 0)


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
