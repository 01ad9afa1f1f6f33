"""A page of memory that the master and its workers share: who lives, and how much each does.

Each worker writes to a slot of its own, once a second and at each batch of connections that it accepts, so there is
nothing to lock: a number is eight aligned octets, written and read at once. What a worker carried when it was killed
can still be read there.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final

import attrs

SLOT: Final = 16
"""Numbers to a slot: two lines of a cache, so that no two workers write to one."""
STALE: Final = 3.0
"""Seconds after which a worker that gave no sign of life is no longer counted upon."""
PATIENCE: Final = 0.005
"""Seconds for which a connection is left to the others; then whoever sees it takes it."""
MARGIN: Final = 1
"""Connections that a worker may have more than the one with the fewest, before it leaves new ones to that."""


@attrs.frozen
class Sums:
    """What all workers together did and do."""

    connections: int = 0
    in_flight: int = 0
    requests: int = 0
    tunnels: int = 0
    refused: int = 0
    handshakes_failed: int = 0

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(*(mine + its for mine, its in zip(attrs.astuple(self), attrs.astuple(other), strict=True)))

    @property
    def lasting(self) -> Sums:
        """What stays true of a worker that is gone."""
        return attrs.evolve(self, connections=0, in_flight=0, tunnels=0)


class Board:
    """Slots for ``count`` workers. Made before they are forked.

    Beats are seconds of the machine's monotonic clock, which is the same in all processes.
    """

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, count * SLOT * 8)
        whole = memoryview(self._memory)
        self._integers = whole.cast("q")
        self._floats = whole.cast("d")
        self.count = count

    def write(self, number: int, beat: float, sums: Sums) -> None:
        """A worker's figures."""
        at = number * SLOT
        for place, value in enumerate(attrs.astuple(sums), at + 1):
            self._integers[place] = value
        self._floats[at] = beat

    def write_connections(self, number: int, connections: int) -> None:
        """A worker's connections alone, as often as they matter to the others."""
        self._integers[number * SLOT + 1] = connections

    def beat(self, number: int) -> float:
        """When a worker last gave a sign of life; 0.0 before the first."""
        return self._floats[number * SLOT]

    def read(self, number: int) -> Sums:
        """A worker's figures, as it wrote them last."""
        at = number * SLOT
        return Sums(*self._integers[at + 1 : at + 7])

    def clear(self, number: int) -> None:
        """The worker is gone."""
        at = number * SLOT
        for place in range(at, at + SLOT):
            self._integers[place] = 0

    def fewest(self, but: int, now: float) -> int:
        """The connections of the other worker that has the fewest; -1 where there is none that lives."""
        least = -1
        for number in range(self.count):
            at = number * SLOT
            if number != but and now - self._floats[at] < STALE:
                connections = self._integers[at + 1]
                if least < 0 or connections < least:
                    least = connections
        return least


class Turn:
    """Whether a worker takes the connections that wait, or leaves them to one that has fewer.

    All workers wait on the same sockets, and the kernel wakes whom it likes: without this, the one that is a moment
    faster gets nearly all of a few long-lived connections. A worker that leaves them is woken again at once, so the
    wait is bounded: who does not come within ``PATIENCE`` has other work.
    """

    __slots__ = ("_board", "_connections", "_now", "_number", "_waits_since")

    def __init__(
        self, board: Board, number: int, connections: Callable[[], int], now: Callable[[], float]
    ) -> None:
        self._board = board
        self._number = number
        self._connections = connections
        self._now = now
        self._waits_since = -1.0

    def take(self) -> bool:
        """Asked whenever connections wait."""
        own = self._connections()
        self._board.write_connections(self._number, own)
        now = self._now()
        least = self._board.fewest(self._number, now)
        if least < 0 or own <= least + MARGIN:
            self._waits_since = -1.0
            return True
        if self._waits_since < 0:
            self._waits_since = now
        elif now - self._waits_since >= PATIENCE:
            self._waits_since = -1.0
            return True
        return False
