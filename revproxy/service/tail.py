"""Requests as they end, told to the master while somebody follows.

A follower is named by the master, again every few seconds, with its filters; one that is not named any more is
forgotten. What one batch brings beyond ``MOST`` is counted and not told: whoever looks at it can't read more anyway,
and a flood of requests must not become a flood of text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from revproxy.observe.shown import Filter, filter_of, shown
from revproxy.observe.transaction import Transaction

LASTS: Final = 7.0
"""Seconds for which a follower is followed without hearing of it again."""
MOST: Final = 100
"""Requests of a batch that a follower is told."""
MOST_FOLLOWERS: Final = 64


@attrs.define
class _Follower:
    wanted: Filter
    until: float


class Tail:
    """Of one worker.

    :param now: seconds of the monotonic clock.
    :param tell: tells the master: kind, value.
    """

    def __init__(self, worker: int, now: Callable[[], float], tell: Callable[[str, Any], None]) -> None:
        self._worker = worker
        self._now = now
        self._tell = tell
        self._followers: dict[str, _Follower] = {}

    def obey(self, arguments: dict[str, Any]) -> None:
        """Follows for somebody, or no longer ("end"). Raises ValueError for filters that make no sense."""
        name = str(arguments["follower"])
        if arguments.get("end"):
            self._followers.pop(name, None)
        elif name in self._followers or len(self._followers) < MOST_FOLLOWERS:
            self._followers[name] = _Follower(filter_of(arguments.get("filters") or {}), self._now() + LASTS)

    def look(self, batch: Sequence[Transaction]) -> None:
        """Tells what of a batch somebody wants to see."""
        if not self._followers:
            return
        now = self._now()
        for name, follower in list(self._followers.items()):
            if now >= follower.until:
                del self._followers[name]
                continue
            taken = [transaction for transaction in batch if follower.wanted.takes(transaction)]
            if taken:
                told = [shown(transaction, self._worker) for transaction in taken[:MOST]]
                dropped = len(taken) - len(told)
                self._tell("tail", {"follower": name, "requests": told, "dropped": dropped})
