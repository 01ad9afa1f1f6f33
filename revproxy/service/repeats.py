"""Events that repeat themselves: the first few are written, the others counted, and the count is written.

Theory of operation. Records with the same key are one row. A row begins with its first record and lasts ten seconds; of
its records the first five are written. When the time is over, one line says how many more there were, and the next
record begins a new row. So nothing that is said for the first time is ever held back. The table is bounded: a row that
has to make room is closed early. Keys are made of what the operator chose (see ``event_records.KEYS``), so a client
can't fill it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from revproxy.service.event_records import Record

WRITTEN: Final = 5
"""Records of a row that are written."""
WINDOW: Final = 10.0
"""Seconds that a row lasts."""
MOST_ROWS: Final = 1024


@attrs.define
class _Row:
    since: float
    count: int
    last: Record


class Repeats:
    """Decides which records are written. ``now`` is seconds of the monotonic clock."""

    def __init__(self, written: int = WRITTEN, window: float = WINDOW, most: int = MOST_ROWS) -> None:
        self._written = written
        self._window = window
        self._most = most
        # In the order in which they began, which is that in which they end.
        self._rows: dict[tuple[Any, ...], _Row] = {}
        self.held = 0
        """Rows that hold something back."""

    def take(self, record: Record, now: float) -> Iterator[Record]:
        """What is to be written now, of a record that has just come."""
        yield from self.due(now)
        row = self._rows.get(record.key)
        if row is None:
            if len(self._rows) >= self._most:
                yield from self._close(next(iter(self._rows)), now)
            self._rows[record.key] = _Row(now, 1, record)
            yield record
            return
        row.count += 1
        row.last = record
        if row.count <= self._written:
            yield record
        elif row.count == self._written + 1:
            self.held += 1

    def due(self, now: float) -> Iterator[Record]:
        """The counts of rows whose time is over."""
        for key in self._over(now):
            yield from self._close(key, now)

    def rest(self, now: float) -> Iterator[Record]:
        """All counts: the process ends."""
        for key in list(self._rows):
            yield from self._close(key, now)

    def next_due(self) -> float | None:
        """When a count is due next; None where nothing is held back."""
        if not self.held:
            return None
        return next(row.since for row in self._rows.values() if row.count > self._written) + self._window

    def forget(self) -> None:
        """Another process says what was counted here."""
        self._rows.clear()
        self.held = 0

    def _over(self, now: float) -> list[tuple[Any, ...]]:
        over = []
        for key, row in self._rows.items():
            if now - row.since < self._window:
                break
            over.append(key)
        return over

    def _close(self, key: tuple[Any, ...], now: float) -> Iterator[Record]:
        row = self._rows.pop(key)
        more = row.count - self._written
        if more > 0:
            self.held -= 1
            yield summary(row.last, more, now - row.since)


def summary(record: Record, more: int, seconds: float) -> Record:
    """The line that stands for ``more`` records of which this is the last."""
    return attrs.evolve(
        record,
        message=f"\N{HORIZONTAL ELLIPSIS} {more} more of these in {max(seconds, 1):.0f} s, the last: {record.message}",
        traceback="",
        repeated=more,
    )
