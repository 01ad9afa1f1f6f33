"""Figures second by second: true to what workers report, however their clocks drift."""

from __future__ import annotations

from typing import Any

import pytest

from revproxy.observe.counters import Counters
from revproxy.observe.points import Points
from tests.observe.making import over
from tests.support.fake_admin import FakeAdmin


def report(*statuses: int, **more: Any) -> Counters:
    counters = Counters()
    if statuses:
        counters.count([over(number, status=status, **more) for number, status in enumerate(statuses)])
    return counters


def test_it_is_what_the_page_expects() -> None:
    with FakeAdmin(rate=0) as fake:
        expected = fake.point(1.0)
    found = Points().point(1.0, 0, 0)
    assert set(found) == set(expected)
    assert set(found["by_class"]) == set(expected["by_class"])


def test_nothing_happened() -> None:
    found = Points().point(7.0, 3, 1)
    assert (found["at"], found["connections"], found["in_flight"]) == (7.0, 3, 1)
    assert (found["rate"], found["p50"], found["p99"], found["hits"]) == (0, None, None, 0)


def test_workers_add_up() -> None:
    points = Points()
    points.report(0, report(200, 200, 404, sent=10, received=2, total_time=0.1), 1.0)
    points.report(1, report(200, 503, sent=10, total_time=0.1, cache_status=b"r; hit; ttl=1"), 1.0)
    found = points.point(1.0, 2, 0)
    assert found["rate"] == 5
    assert found["by_class"] == {"1xx": 0, "2xx": 3, "3xx": 0, "4xx": 1, "5xx": 1}
    assert (found["sent"], found["received"]) == (50, 16)
    assert (found["hits"], found["cache_requests"]) == (2, 2)
    assert found["p50"] == pytest.approx(0.1, rel=0.3)


def test_two_reports_in_a_second_are_a_rate_not_twice_as_many() -> None:
    points = Points()
    for _ in range(2):
        points.report(0, report(200, 200), 1.0)
    assert points.point(1.0, 0, 0)["rate"] == 2


def test_a_second_without_a_report_goes_on_as_before_but_not_for_long() -> None:
    points = Points()
    points.report(0, report(200, 200), 1.0)
    assert [points.point(float(second), 0, 0)["rate"] for second in range(5)] == [2, 2, 2, 0, 0]


def test_an_idle_worker_reports_so() -> None:
    points = Points()
    points.report(0, report(200), 1.0)
    points.point(1.0, 0, 0)
    points.report(0, report(), 1.0)
    assert points.point(2.0, 0, 0)["rate"] == 0


def test_a_worker_that_is_gone_counts_once() -> None:
    points = Points()
    points.report(0, report(200), 1.0)
    points.forget(0)
    assert points.point(1.0, 0, 0)["rate"] == 1
    points.forget(0)
    assert points.point(2.0, 0, 0)["rate"] == 0


def test_what_was_asked_for_in_between_is_a_short_second() -> None:
    points = Points()
    points.report(0, report(200), 0.25)
    points.report(0, report(200, 200, 200), 0.75)
    assert points.point(1.0, 0, 0)["rate"] == 4


def test_five_minutes_are_kept() -> None:
    points = Points()
    for second in range(400):
        points.point(float(second), 0, 0)
    assert [each["at"] for each in points.history] == [float(second) for second in range(100, 400)]
