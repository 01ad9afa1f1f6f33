"""The access log: transactions are gathered while requests run, formatted and written in batches.

Writing never fails a request and never waits: a file that can't be written loses lines, which is counted and said once
a minute; a pipe that nobody reads (a terminal that was stopped, a pager) is written only as far as it takes octets.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Sequence
from typing import Final

from twisted.logger import Logger

from revproxy.errors import ConfigError
from revproxy.observe.lines import LineFormat
from revproxy.observe.transaction import Transaction

_log = Logger()

BATCH: Final = 256
PIPE: Final = 4096
"""Octets that a pipe which polls as writable takes without waiting (POSIX PIPE_BUF on Linux)."""
WAITING: Final = 4 * 1024 * 1024
"""Octets kept for a pipe that takes none."""
_COMPLAIN_EVERY: Final = 60.0


class AccessLog:
    """Writes a line for each transaction to a file, or to standard output (``-``)."""

    def __init__(self, path: str, form: str) -> None:
        self._path = path
        self._format = LineFormat(form)
        self._batch: list[Transaction] = []
        self._fd = -1
        self._is_file = True
        self._waiting = b""
        self._complained = float("-inf")
        self.lost = 0
        """Lines that could not be written."""
        self._lost_told = 0
        self.taken = 0
        """Transactions that were given to ``write``."""
        self._open()

    def _open(self) -> None:
        if self._path == "-":
            self._fd = 1
        else:
            try:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            except OSError as reason:
                raise ConfigError(f"access_log.path: can't write {self._path}: {reason.strerror}") from None
        try:
            self._is_file = stat.S_ISREG(os.fstat(self._fd).st_mode)
        except OSError:
            self._is_file = True

    def warn_if_unseen(self) -> None:
        """Says so where the lines go to nobody: a daemon's standard output is /dev/null."""
        if self._path == "-" and os.path.exists(os.devnull):
            out, nowhere = os.fstat(1), os.stat(os.devnull)
            if stat.S_ISCHR(out.st_mode) and out.st_rdev == nowhere.st_rdev:
                _log.warn("the access log goes to standard output, which is /dev/null: set access_log.path to a file")

    def record(self, transaction: Transaction) -> None:
        """Takes a transaction that is over; its line is written with the next batch."""
        batch = self._batch
        batch.append(transaction)
        if len(batch) >= BATCH:
            self.flush(transaction.begun)

    def take_lost(self) -> int:
        """Lines that were lost since the last time."""
        lost = self.lost - self._lost_told
        self._lost_told = self.lost
        return lost

    def flush(self, now: float) -> None:
        """Writes what has been gathered. ``now`` is seconds of the monotonic clock."""
        if self._batch or self._waiting:
            batch, self._batch = self._batch, []
            self.write(batch, now)

    def write(self, batch: Sequence[Transaction], now: float) -> None:
        """Writes a batch, behind what waits."""
        self.taken += len(batch)
        render = self._format.render
        octets = self._waiting + b"".join([render(transaction) for transaction in batch])
        self._waiting = b""
        try:
            if self._is_file:
                self._write_file(octets)
            else:
                self._write_pipe(octets)
        except OSError as reason:
            self._lose(len(batch), reason, now)

    def _write_file(self, octets: bytes) -> None:
        view = memoryview(octets)
        while view:
            view = view[os.write(self._fd, view) :]

    def _write_pipe(self, octets: bytes) -> None:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        at = 0
        while at < len(octets):
            events = poller.poll(0)
            if not events:
                break
            at += os.write(self._fd, octets[at : at + PIPE])
        rest = octets[at:]
        if len(rest) > WAITING:
            self.lost += rest.count(b"\n")
            rest = b""
        self._waiting = rest

    def _lose(self, lines: int, reason: OSError, now: float) -> None:
        self.lost += lines
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            _log.error(
                "the access log {path} can't be written: {reason}; {lost} lines are lost so far",
                path=self._path,
                reason=reason.strerror,
                lost=self.lost,
            )

    def reopen(self, now: float) -> None:
        """Writes what has been gathered and opens the file again, for whoever moved it away (log rotation)."""
        self.flush(now)
        if self._path == "-":
            return
        old = self._fd
        try:
            self._open()
        except ConfigError as mistake:
            _log.error("{mistake}; the old file is written on", mistake=mistake)
            return
        os.close(old)

    def give_to(self, uid: int, gid: int) -> None:
        """Makes them the owner of a file of root's, so that they can open it again."""
        if self._path != "-" and self._is_file and os.fstat(self._fd).st_uid == 0:
            os.fchown(self._fd, uid, gid)

    def close(self, now: float) -> None:
        """Writes the rest."""
        self.flush(now)
        if self._path != "-":
            os.close(self._fd)
