"""Where every request ends up when it is over: written, counted, and remembered for a while.

Theory of operation. A request costs one ``append`` while it runs. Batches of up to ``BATCH`` transactions, or what a
second brought, go to the access log, are counted at once (``observe/counters.py``) and stay in the ring as they are;
text is made of them when somebody asks. Once a second, what was counted is told to the master, which adds up what all
workers tell: whatever a worker did outlives it, but for the last second of one that is killed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from revproxy.observe.counters import Counters
from revproxy.observe.ring import Ring
from revproxy.observe.transaction import Transaction
from revproxy.service.access_log import AccessLog

BATCH: Final = 256
COUNTED: Final = "counted"
"""The kind of what is told to the master: {"lasted": seconds, "counters": ...}."""


class Recorder:
    """One worker's.

    :param keep: transactions that stay to be asked about; 0 for none.
    """

    __slots__ = ("_batch", "_told", "counters", "log", "on_batch", "ring", "taken", "tell")

    def __init__(self, keep: int, log: AccessLog | None = None) -> None:
        self.counters = Counters()
        """What the master has not been told yet."""
        self.ring = Ring(keep)
        self.log = log
        """Where lines go; may be changed at any time."""
        self.taken = 0
        """Transactions until the last flush."""
        self.on_batch: list[Callable[[Sequence[Transaction]], None]] = []
        """Who else sees each batch."""
        self.tell: Callable[[str, Any], None] = _tell_nobody
        """Tells the master: kind, value."""
        self._batch: list[Transaction] = []
        self._told = float("-inf")

    def record(self, transaction: Transaction) -> None:
        """Takes a transaction that is over."""
        batch = self._batch
        batch.append(transaction)
        if len(batch) >= BATCH:
            self.flush(transaction.begun)

    def flush(self, now: float) -> None:
        """Deals with what has been gathered. ``now`` is seconds of the monotonic clock."""
        batch, self._batch = self._batch, []
        log = self.log
        if not batch:
            if log is not None:
                log.flush(now)
            return
        self.taken += len(batch)
        if log is not None:
            log.write(batch, now)
        self.counters.count(batch)
        self.ring.add(batch)
        for look in self.on_batch:
            look(batch)

    def report(self, now: float) -> None:
        """Tells the master what was counted since the last time."""
        self.flush(now)
        lasted = now - self._told if self._told > 0 else 1.0
        self._told = now
        log = self.log
        if log is not None and log.lost:
            self.counters.add("log_lines_lost", log.take_lost())
        self.tell(COUNTED, {"lasted": round(lasted, 4), "counters": self.counters.take()})

    @property
    def waiting(self) -> int:
        """Transactions that nothing was done with yet."""
        return len(self._batch)


def _tell_nobody(kind: str, value: Any) -> None:
    """There is no master."""
