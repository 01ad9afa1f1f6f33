"""What is done next, as functions of what is on disk and the time."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.certificates.acme.renewal import (
    ASK_FAILED,
    FIRST_RETRY,
    LAST_RETRY,
    LEAST_ASK,
    LEAST_LIFE,
    LONGEST_WAIT,
    MOST_ASK,
    AskWindow,
    Held,
    Issue,
    Progress,
    Wait,
    Window,
    back_off,
    begun,
    decide,
    failed,
    issued,
    own_renewal_time,
    told_window,
)

DAY = 86400.0
NOW = 1_800_000_000.0
NAMES = ("a.example", "b.example")
HELD = Held(frozenset(NAMES), NOW - 30 * DAY, NOW + 60 * DAY, "ecdsa")
CALM = Progress(NAMES, renew_at=NOW + 29 * DAY, ask_again=NOW + 600)


def half() -> float:
    return 0.5


def reason(step: object) -> str:
    assert isinstance(step, Issue)
    return step.reason


def test_what_is_not_there_is_ordered() -> None:
    assert "no certificate yet" in reason(decide(Progress(NAMES), None, "ecdsa", NOW))


def test_nothing_is_done_while_all_is_well() -> None:
    assert decide(CALM, HELD, "ecdsa", NOW) == Wait(NOW + 600)
    later = attrs.evolve(CALM, ask_again=NOW + 100 * DAY)
    assert decide(later, HELD, "ecdsa", NOW) == Wait(CALM.renew_at)


@pytest.mark.parametrize(
    ("progress", "held", "now", "word"),
    [
        (attrs.evolve(CALM, names=("a.example",)), HELD, NOW, "names"),
        (CALM, attrs.evolve(HELD, key_type="rsa"), NOW, "rsa"),
        (CALM, HELD, CALM.renew_at, "renew"),
        (CALM, HELD, HELD.not_after, "expired"),
    ],
)
def test_reasons_to_order(progress: Progress, held: Held, now: float, word: str) -> None:
    assert word in reason(decide(progress, held, "ecdsa", now))


def test_the_order_of_names_does_not_matter() -> None:
    assert isinstance(decide(attrs.evolve(CALM, names=NAMES[::-1]), HELD, "ecdsa", NOW), Wait)


def test_after_a_failure_nothing_is_done_before_its_time() -> None:
    waiting = attrs.evolve(CALM, failures=3, next_time=NOW + 1)
    assert decide(waiting, None, "ecdsa", NOW) == Wait(NOW + 1)
    assert isinstance(decide(waiting, None, "ecdsa", NOW + 1), Issue)


def test_the_window_is_asked_for() -> None:
    assert decide(attrs.evolve(CALM, ask_again=NOW), HELD, "ecdsa", NOW) == AskWindow()


def test_a_name_that_nobody_asks_for_any_more_is_not_tried_again() -> None:
    wanted = Progress(("x.example",), on_demand=True, failures=1, next_time=NOW - 1)
    assert decide(wanted, None, "ecdsa", NOW, requested=False) == Wait(float("inf"))
    assert isinstance(decide(wanted, None, "ecdsa", NOW, requested=True), Issue)


def test_back_off_doubles_and_ends() -> None:
    waits = [back_off(failures, half) for failures in range(1, 60)]
    assert waits[0] == FIRST_RETRY
    assert waits[1] == 2 * FIRST_RETRY
    assert waits[-1] == LAST_RETRY
    assert sorted(waits) == waits
    # Let's Encrypt takes five failed validations of a name in an hour.
    moments = [sum(back_off(failure, lambda: 0.0) for failure in range(1, count + 1)) for count in range(40)]
    assert sum(moment < 3600 for moment in moments) <= 6


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_back_off_is_never_short(failures: int, number: float) -> None:
    assert 0.8 * FIRST_RETRY <= back_off(failures, lambda: number) <= 1.2001 * LAST_RETRY


def test_what_is_begun_counts_as_failed_until_it_ends() -> None:
    started = begun(CALM, NOW, half)
    assert started.failures == 1
    assert started.next_time == NOW + FIRST_RETRY
    assert decide(started, None, "ecdsa", NOW + 1) == Wait(started.next_time)


def test_the_server_may_ask_for_patience() -> None:
    assert failed(CALM, "x", NOW, half, retry_after=7200).next_time == NOW + 7200
    assert failed(CALM, "x", NOW, half, retry_after=1).next_time == NOW + FIRST_RETRY
    assert failed(CALM, "x", NOW, half, retry_after=1e12).next_time == NOW + LONGEST_WAIT


def test_a_success_forgets_failures() -> None:
    before = attrs.evolve(CALM, failures=7, problem="x", next_time=NOW + 5, on_demand=True)
    after = issued(before, HELD, NOW, half)
    assert (after.failures, after.problem, after.next_time, after.on_demand) == (0, "", 0.0, True)
    assert decide(after, HELD, "ecdsa", NOW) == AskWindow()


@given(st.floats(0, 1), st.floats(3600, 400 * DAY))
def test_renewal_is_due_a_third_of_the_life_before_its_end(number: float, life: float) -> None:
    held = attrs.evolve(HELD, not_before=NOW, not_after=NOW + life)
    ahead = held.not_after - own_renewal_time(held, lambda: number)
    assert life / 3 * 0.999 <= ahead <= life * 0.37


WINDOW = Window(NOW + DAY, NOW + 2 * DAY)


def test_a_window_is_drawn_in_once() -> None:
    told = told_window(CALM, HELD, WINDOW, 3600.0, NOW, lambda: 0.25)
    assert told.renew_at == NOW + 1.25 * DAY
    assert told.ask_again == NOW + 3600
    again = told_window(told, HELD, WINDOW, 3600.0, NOW + 3600, lambda: 0.75)
    assert again.renew_at == told.renew_at
    moved = told_window(told, HELD, Window(NOW - DAY, NOW - 1), 3600.0, NOW + 3600, half)
    assert isinstance(decide(moved, HELD, "ecdsa", NOW + 3600), Issue)


def test_a_window_does_not_make_us_order_in_a_circle() -> None:
    new = attrs.evolve(HELD, not_before=NOW - 1)
    told = told_window(CALM, new, Window(NOW - 2 * DAY, NOW - DAY), 3600.0, NOW, half)
    assert told.renew_at == new.not_before + LEAST_LIFE
    short = attrs.evolve(HELD, not_before=NOW, not_after=NOW + 3600)
    assert told_window(CALM, short, Window(NOW - 2 * DAY, NOW - DAY), 3600.0, NOW, half).renew_at == NOW + 1200


@given(st.floats(0, 1))
def test_what_is_drawn_lies_in_the_window(number: float) -> None:
    told = told_window(CALM, HELD, WINDOW, None, NOW, lambda: number)
    assert WINDOW.start <= told.renew_at <= WINDOW.end


def test_a_window_until_the_end_leaves_time_for_other_tries() -> None:
    until_the_end = Window(HELD.not_after - 20 * DAY, HELD.not_after)
    assert told_window(CALM, HELD, until_the_end, None, NOW, lambda: 1.0).renew_at == HELD.not_after - 9 * DAY
    late = Window(HELD.not_after - DAY, HELD.not_after)
    assert told_window(CALM, HELD, late, None, NOW, lambda: 1.0).renew_at == late.start


@pytest.mark.parametrize(("asked", "waited"), [(0.0, LEAST_ASK), (1e9, MOST_ASK), (7200.0, 7200.0), (None, ASK_FAILED)])
def test_the_question_is_asked_again_within_reason(asked: float | None, waited: float) -> None:
    assert told_window(CALM, HELD, WINDOW, asked, NOW, half).ask_again == NOW + waited


def test_without_a_window_our_own_time_counts() -> None:
    fresh = Progress(NAMES)
    told = told_window(fresh, HELD, None, 60.0, NOW, half)
    assert told.renew_at == own_renewal_time(HELD, half)
    assert told.ask_again == NOW + ASK_FAILED
    # A server that has lost its voice does not change what it said before.
    known = told_window(CALM, HELD, WINDOW, 60.0, NOW, half)
    assert told_window(known, HELD, None, None, NOW, half).renew_at == known.renew_at
