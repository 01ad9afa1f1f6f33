"""One look per second at everything that has a deadline, instead of a timer for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()


class Swept(Protocol):
    """What is looked at."""

    def sweep(self, now: float) -> None:
        """Compare your deadlines with ``now`` (seconds of the sweep's clock) and act."""


class Sweep:
    """Calls ``sweep(now)`` of all its members once per ``interval`` seconds.

    A deadline is therefore kept to within one interval, which is all that a timeout of seconds needs, and setting one
    costs an assignment.
    """

    def __init__(
        self, reactor: IReactorTime, interval: float = 1.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._reactor = reactor
        self._interval = interval
        self._members: set[Swept] = set()
        self._call: IDelayedCall | None = None
        self.add = self._members.add
        self.discard = self._members.discard
        self.now = now
        self.on_tick: list[Callable[[float], None]] = []
        """Called once per sweep, before the members."""

    def start(self) -> None:
        """Begins; a second call does nothing."""
        if self._call is None:
            self._call = self._reactor.callLater(self._interval, self._tick)

    def stop(self) -> None:
        """Ends; deadlines are no longer kept."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _tick(self) -> None:
        self._call = self._reactor.callLater(self._interval, self._tick)
        now = self.now()
        # Some of them end themselves or others.
        for tick in list(self.on_tick):
            try:
                tick(now)
            except Exception:  # noqa: BLE001  # one member's mistake must not end all deadlines
                _log.failure("a periodic task failed")
        for member in list(self._members):
            try:
                member.sweep(now)
            except Exception:  # noqa: BLE001  # as above
                _log.failure("a deadline failed")

    def __len__(self) -> int:
        return len(self._members)
