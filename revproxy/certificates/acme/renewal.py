"""What to do next about a certificate, and when: functions of what is on disk, the wanted names and the time.

Theory of operation. Each certificate has a ``Progress`` in the state folder. It is written before something is tried,
as if that had failed already: a process that is killed again and again in the middle of an order tries no more often
than one whose orders fail. After a failure nothing is done before ``next_time``, which doubles each time. After a
success a time for the renewal is drawn once, so that certificates that were had together are not renewed together;
where the server suggests a window (RFC 9773), the time is drawn in it, and drawn again only if the window changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

Random = Callable[[], float]
"""A number from 0 to 1, evenly."""

FIRST_RETRY: Final = 120.0
"""Seconds after the first failure. Doubled each time, that makes five tries in the first half hour: Let's Encrypt takes
five failed validations of a name in an hour."""
LAST_RETRY: Final = 86400.0
LONGEST_WAIT: Final = 7 * 86400.0
"""Seconds that a server's Retry-After may make us wait."""
LEAST_LIFE: Final = 12 * 3600.0
"""Seconds for which a certificate is kept, whatever window the server names."""
LEAST_ASK: Final = 60.0
MOST_ASK: Final = 86400.0
"""Bounds of the time between two questions for a renewal window (RFC 9773 §4.3.2)."""
ASK_FAILED: Final = 6 * 3600.0
"""Seconds until a question is asked again that failed (RFC 9773 §4.3.3)."""


@attrs.frozen
class Window:
    """When a server would like a certificate to be renewed (RFC 9773 §4.2), in seconds since 1970."""

    start: float
    end: float
    explanation: str = ""


@attrs.frozen
class Progress:
    """What is known of a certificate that is wanted. Times are seconds since 1970."""

    names: tuple[str, ...]
    on_demand: bool = False
    """Whether it is wanted because a client asked for it."""
    failures: int = 0
    """In a row."""
    next_time: float = 0.0
    """Nothing is tried before."""
    problem: str = ""
    """Why it failed last."""
    renew_at: float = 0.0
    """The time that was drawn; 0 for none yet."""
    window: Window | None = None
    ask_again: float = 0.0
    """When the server is asked for a window."""


@attrs.frozen
class Held:
    """A certificate that is there."""

    names: frozenset[str]
    not_before: float
    not_after: float
    key_type: str


@attrs.frozen
class Issue:
    """Have a certificate issued."""

    reason: str


@attrs.frozen
class AskWindow:
    """Ask the server when it would like the certificate to be renewed."""


@attrs.frozen
class Wait:
    """Do nothing."""

    until: float


def decide(
    progress: Progress, held: Held | None, key_type: str, now: float, *, requested: bool = True
) -> Issue | AskWindow | Wait:
    """What to do about a certificate now.

    ``requested``: whether somebody wants it at the moment; one that was never had on demand is not tried again for
    nobody.
    """
    if now < progress.next_time:
        return Wait(progress.next_time)
    if held is None:
        if progress.on_demand and not requested:
            return Wait(float("inf"))
        return Issue("there is no certificate yet")
    if held.names != frozenset(progress.names):
        return Issue("its names have changed")
    if held.key_type != key_type:
        return Issue(f"its key is {held.key_type} and {key_type} is wanted")
    if now >= held.not_after:
        return Issue("it has expired")
    if progress.renew_at and now >= progress.renew_at:
        return Issue("it is time to renew it")
    if now >= progress.ask_again:
        return AskWindow()
    return Wait(min(progress.renew_at or held.not_after, progress.ask_again))


def own_renewal_time(held: Held, random: Random) -> float:
    """A third of its life before its end, and up to a thirtieth earlier."""
    life = held.not_after - held.not_before
    return held.not_after - life / 3 - random() * life / 30


def begun(progress: Progress, now: float, random: Random) -> Progress:
    """Before something is tried: as if it had failed."""
    failures = progress.failures + 1
    return attrs.evolve(
        progress,
        failures=failures,
        next_time=now + back_off(failures, random),
        problem="it was not brought to an end",
    )


def failed(progress: Progress, problem: str, now: float, random: Random, *, retry_after: float = 0.0) -> Progress:
    """After a failure; ``progress`` is what it was before the try."""
    failures = progress.failures + 1
    wait = max(back_off(failures, random), min(retry_after, LONGEST_WAIT))
    return attrs.evolve(progress, failures=failures, next_time=now + wait, problem=problem)


def issued(progress: Progress, held: Held, now: float, random: Random) -> Progress:
    """After a success. The server is asked for its window at once (RFC 9773 §4.3)."""
    return Progress(
        names=progress.names, on_demand=progress.on_demand, renew_at=own_renewal_time(held, random), ask_again=now
    )


def told_window(
    progress: Progress, held: Held, window: Window | None, ask_after: float | None, now: float, random: Random
) -> Progress:
    """After the server was asked. ``window`` is None where it has said none that makes sense; ``ask_after`` are the
    seconds of its Retry-After, None where there were none.
    """
    wait = ASK_FAILED if ask_after is None or window is None else min(max(ask_after, LEAST_ASK), MOST_ASK)
    renew_at = progress.renew_at or own_renewal_time(held, random)
    if window is None:
        return attrs.evolve(progress, renew_at=renew_at, ask_again=now + wait)
    if window != progress.window:
        life = held.not_after - held.not_before
        # Some windows last until the certificate's end: a failure must leave time for other tries.
        end = min(window.end, max(window.start, held.not_after - life / 10))
        drawn = window.start + random() * (end - window.start)
        # A server, or a clock, that is wrong must not make us order again and again.
        renew_at = max(drawn, held.not_before + min(LEAST_LIFE, life / 3))
    return attrs.evolve(progress, window=window, renew_at=renew_at, ask_again=now + wait)


def back_off(failures: int, random: Random) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(min(FIRST_RETRY * 2.0 ** min(failures - 1, 30), LAST_RETRY) * (0.8 + 0.4 * random()))
