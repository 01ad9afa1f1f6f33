"""How long things took: counts in buckets whose bounds never change, so that those of all workers can be added."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, Final

_STEPS: Final = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""Ten to a decade, nearly even on a logarithmic scale (ISO 3, series R10)."""
BOUNDS: Final = (*(round(step * 10.0**decade, 9) for decade in range(-4, 2) for step in _STEPS), 100.0)
"""Seconds. Bucket ``n`` holds what took up to ``BOUNDS[n]``, and longer than the bound before; a last one, all else."""
TOLD: Final = tuple(index for index, bound in enumerate(BOUNDS) if bound >= 0.0005 and index % 10 in (0, 4, 7))
"""The buckets whose bounds are shown to a metrics collector: 1, 2.5 and 5 of each decade from half a millisecond on."""


class Histogram:
    """Durations in seconds."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        """How many fell into which bucket; those with none are not there."""
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets.values())

    def add(self, seconds: float) -> None:
        """Counts one."""
        self.count_in(bisect_left(BOUNDS, seconds), 1)
        self.sum += seconds

    def count_in(self, bucket: int, number: int) -> None:
        """Counts some that are known to fall into a bucket; ``sum`` is the caller's to raise."""
        self.buckets[bucket] = self.buckets.get(bucket, 0) + number

    def add_all(self, durations: Iterable[float]) -> None:
        """Counts many at once: they are put in order, and only the bounds between them are looked for."""
        ordered = sorted(durations)
        if not ordered:
            return
        self.sum += sum(ordered)
        size = len(ordered)
        begin = 0
        while begin < size:
            bucket = bisect_left(BOUNDS, ordered[begin])
            end = bisect_right(ordered, BOUNDS[bucket], begin) if bucket < len(BOUNDS) else size
            self.count_in(bucket, end - begin)
            begin = end

    def merge(self, value: Sequence[Any]) -> None:
        """Adds what ``snapshot`` of another one gave."""
        seconds, *pairs = value
        self.sum += seconds
        for bucket, number in pairs:
            self.count_in(bucket, number)

    def snapshot(self) -> list[Any]:
        """A JSON value: the sum, then [bucket, number] for each."""
        return [round(self.sum, 6), *([bucket, number] for bucket, number in sorted(self.buckets.items()))]

    def quantile(self, share: float) -> float | None:
        """What that share of them (0 to 1) took at most, to within an eighth; None where there are none."""
        count = self.count
        if not count:
            return None
        rank = share * count
        seen = 0
        for bucket, number in sorted(self.buckets.items()):
            if seen + number >= rank:
                if bucket >= len(BOUNDS):
                    return BOUNDS[-1]
                upper = BOUNDS[bucket]
                lower = BOUNDS[bucket - 1] if bucket else upper / 2
                within: float = (rank - seen) / number
                place: float = lower * (upper / lower) ** within
                return place
            seen += number
        raise AssertionError("the last bucket reaches the rank")

    def cumulative(self) -> list[tuple[float, int]]:
        """How many took up to each of the bounds that are told."""
        found = []
        seen, at = 0, 0
        for told in TOLD:
            for bucket in range(at, told + 1):
                seen += self.buckets.get(bucket, 0)
            at = told + 1
            found.append((BOUNDS[told], seen))
        return found
