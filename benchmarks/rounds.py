"""Who runs when, and what the rounds together say. Nothing here touches a clock, a socket or a process.

A machine drifts over minutes by more than proxies differ, so figures are compared within a round only: each
proxy's ratio to another is computed from runs that lie seconds apart; the median over the rounds is shown.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from statistics import median

import attrs

BASELINE = "nginx"


@attrs.frozen
class Sample:
    """One proxy in one round of one scenario."""

    scenario: str
    proxy: str
    round: int
    rate: float
    """Requests per second."""
    cpu: float
    """CPU microseconds per request, of the proxy's whole process tree."""
    p50: int | None
    """Microseconds until half of the answers were complete; None where that is not measured."""
    p99: int | None
    requests: int
    foreign: float = 0.0
    """Cores that were busy with other programs, or taken by the host of a virtual machine."""
    reused: float | None = None
    """The part of the answers that was reused, as the scenario says what that is; None where it says nothing."""
    faults: tuple[str, ...] = ()
    """What went wrong. A sample with faults is shown and counted, and its figures are used for nothing."""


@attrs.frozen
class Summary:
    """The medians of one proxy in one scenario; None where there is no sound round to take them from."""

    proxy: str
    rate: float | None
    rate_ratio: float | None
    cpu: float | None
    cpu_ratio: float | None
    p50: float | None
    p99: float | None
    rounds: int
    faulty: int
    reused: float | None = None


def rounds_of(share: float, rounds: int) -> frozenset[int]:
    """The rounds in which a proxy with this share takes part: at least one, spread evenly from the first."""
    count = min(rounds, max(1, round(share * rounds)))
    return frozenset(place * rounds // count for place in range(count))


def order(proxies: Sequence[str], round_number: int) -> list[str]:
    """The order of one round: another in each, since whoever runs after a hungry neighbour may suffer."""
    return random.Random(round_number).sample(list(proxies), len(proxies))


def sound(samples: Iterable[Sample], scenario: str, proxy: str) -> dict[int, Sample]:
    """The samples without faults of one proxy in one scenario, by round."""
    return {
        sample.round: sample
        for sample in samples
        if sample.scenario == scenario and sample.proxy == proxy and not sample.faults
    }


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def ratio(samples: Sequence[Sample], scenario: str, proxy: str, against: str, figure: str) -> float | None:
    """The median, over the rounds in which both were sound, of ``figure`` (rate, cpu) over the other's."""
    mine, other = sound(samples, scenario, proxy), sound(samples, scenario, against)
    return _median(
        [
            getattr(mine[number], figure) / getattr(other[number], figure)
            for number in sorted(mine.keys() & other.keys())
            if getattr(other[number], figure)
        ]
    )


def foreign(samples: Iterable[Sample], scenario: str) -> float | None:
    """The median of the cores that something else used while this scenario ran."""
    return _median(
        [sample.foreign for sample in samples if sample.scenario == scenario and not sample.faults]
    )


def summarise(samples: Sequence[Sample], scenario: str, proxy: str) -> Summary:
    """What the rounds of one proxy in one scenario say."""
    taken = [sample for sample in samples if sample.scenario == scenario and sample.proxy == proxy]
    good = sound(samples, scenario, proxy).values()
    return Summary(
        proxy=proxy,
        rate=_median([sample.rate for sample in good]),
        rate_ratio=ratio(samples, scenario, proxy, BASELINE, "rate"),
        cpu=_median([sample.cpu for sample in good]),
        cpu_ratio=ratio(samples, scenario, proxy, BASELINE, "cpu"),
        p50=_median([sample.p50 for sample in good if sample.p50 is not None]),
        p99=_median([sample.p99 for sample in good if sample.p99 is not None]),
        rounds=len(taken),
        faulty=len(taken) - len(good),
        reused=_median([sample.reused for sample in good if sample.reused is not None]),
    )


@attrs.frozen
class Change:
    """What one proxy costs beside another one in one scenario, which is an earlier revision of it."""

    scenario: str
    cpu: float | None
    """CPU microseconds per request: the median."""
    cpu_before: float | None
    cpu_ratio: float | None
    """The median of the ratios within the rounds, as all ratios are."""
    rate_ratio: float | None
    rounds: int
    """In how many both were sound."""


def change(samples: Sequence[Sample], scenario: str, proxy: str, before: str) -> Change:
    """``proxy`` held against ``before``, from the rounds in which both were sound."""
    mine, other = sound(samples, scenario, proxy), sound(samples, scenario, before)
    both = sorted(mine.keys() & other.keys())
    return Change(
        scenario=scenario,
        cpu=_median([mine[number].cpu for number in both]),
        cpu_before=_median([other[number].cpu for number in both]),
        cpu_ratio=ratio(samples, scenario, proxy, before, "cpu"),
        rate_ratio=ratio(samples, scenario, proxy, before, "rate"),
        rounds=len(both),
    )
