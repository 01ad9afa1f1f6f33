"""The sweep of deadlines, and the budget of octets."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep


class Member:
    """Remembers when it was swept; may fail, and may take others out."""

    def __init__(self, *, fails: bool = False) -> None:
        self.times: list[float] = []
        self.fails = fails

    def sweep(self, now: float) -> None:
        self.times.append(now)
        if self.fails:
            raise ValueError("broken")


def test_every_member_is_swept_once_a_second() -> None:
    clock = Clock()
    sweep = Sweep(clock, now=clock.seconds)
    one, other = Member(), Member()
    ticks: list[float] = []
    sweep.on_tick.append(ticks.append)
    sweep.add(one)
    sweep.start()
    sweep.start()
    clock.pump([1.0, 1.0])
    sweep.add(other)
    sweep.discard(one)
    clock.pump([0.5, 0.5])
    assert (one.times, other.times, ticks) == ([1.0, 2.0], [3.0], [1.0, 2.0, 3.0])
    assert len(sweep) == 1
    sweep.stop()
    sweep.stop()
    clock.pump([1.0] * 5)
    assert len(ticks) == 3
    assert clock.getDelayedCalls() == []
    sweep.start()
    clock.advance(1)
    assert len(ticks) == 4


def test_one_that_fails_costs_nobody_else_a_deadline() -> None:
    clock = Clock()
    sweep = Sweep(clock, now=clock.seconds)
    members = [Member(fails=number == 2) for number in range(5)]
    failed: list[LogEvent] = []

    def broken(now: float) -> None:
        raise ValueError("a tick")

    def observer(event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            failed.append(event)

    sweep.on_tick.append(broken)
    for member in members:
        sweep.add(member)
    sweep.start()
    globalLogPublisher.addObserver(observer)  # type: ignore[arg-type]  # a function observes as well
    try:
        clock.pump([1.0, 1.0])
    finally:
        globalLogPublisher.removeObserver(observer)  # type: ignore[arg-type]  # as above
    assert [member.times for member in members] == [[1.0, 2.0]] * 5
    assert len(failed) == 4


def test_a_budget_counts_and_refuses() -> None:
    budget = OctetBudget(10)
    assert budget.take(7) and not budget.take(4) and budget.take(3)
    assert (budget.held, budget.refused, budget.is_exhausted) == (10, 1, True)
    budget.give(10)
    assert (budget.held, budget.is_exhausted) == (0, False)
