"""A store's use of a folder: opening it when it can be opened, writing in short transactions, what follows a failure,
and what is done once a second."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, TypeVar

import attrs
import lmdb
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from revproxy.stores.complaints import Complaints
from revproxy.stores.encoding import Record
from revproxy.stores.environment import DOOMED, FLOOR, LAST_CHANGE, UNUSABLE, Environment, environment
from revproxy.stores.files import remove_file
from revproxy.stores.tables import ID, TOKEN_SIZE, Writing

T = TypeVar("T")

TICK: Final = 1.0
"""Seconds between looks at what changed outside."""
READER_CHECK: Final = 60
"""Ticks between looks for readers that were killed."""
RETRY: Final = 1.0
"""Seconds from a failure to open the folder to the next try."""


@attrs.define
class Known:
    """A record that was decoded before: found again, its octets are compared instead of read."""

    data: bytes
    record: Record
    checked: bytearray | None = None
    """Which blocks of a file were checked; of content in LMDB, not None once it was."""


class Folder:
    """The folder of one store."""

    def __init__(self, path: str, map_size: int, reactor: IReactorTime) -> None:
        self.environment: Environment = environment(path, map_size)
        self.token = os.urandom(TOKEN_SIZE)
        """By which the store's own changes are known."""
        self.known: dict[int, Known] = {}
        self.visited: set[int] = set()
        """Who was asked for, and isn't noted yet."""
        self.is_failing = False
        """Whether the last write failed."""
        self.complaints = Complaints("disk", reactor)
        self._reactor = reactor
        self._retry = float("-inf")
        self._stopped = False
        self._ticks = 0
        self._sweeping: Iterator[None] | None = None
        self._swept = 0
        self._ticking: IDelayedCall = reactor.callLater(TICK, self._tick)

    def open(self) -> lmdb.Environment | None:
        """The environment; None where it can't be opened, now or any more."""
        opened = self.environment.lmdb
        if opened is not None and not self._stopped:
            return opened
        if self._stopped or self._reactor.seconds() < self._retry:
            return None
        try:
            return self.environment.open()
        except (OSError, lmdb.Error) as error:
            self._retry = self._reactor.seconds() + RETRY
            self.complaints.say("the folder could not be opened", error)
            return None

    def stop(self) -> None:
        """Lets go of the folder."""
        if self._stopped:
            return
        if self.visited:
            self.write("visits were not noted", self.note_visits)
        self._stopped = True
        if self._ticking.active():
            self._ticking.cancel()
        self._forget()
        self.environment.release()

    # Writing and failing.

    def write(self, what: str, work: Callable[[Writing], T], *, must: bool = False) -> T | None:
        """Does something in one write transaction; None where it failed, of which ``what`` is said.

        What ``must`` not be lost throws all away if it can't be written.
        """
        opened = self.open()
        environment = self.environment
        if must and opened is not None and environment.is_replaced():
            # Others may use the new files already: an order belongs there.
            self._let_go()
            opened = self.open()
        if opened is None:
            return None
        try:
            with opened.begin(write=True) as txn:
                writing = Writing(txn, environment.tables, self.token)
                before = writing.counts.last_change, writing.counts.floor
                result = work(writing)
                writing.finish()
        except (OSError, OverflowError, lmdb.Error) as error:
            self.is_failing = True
            self.failed(what, error)
            if must and environment.lmdb is opened:
                self._make_anew()
            return None
        self.is_failing = False
        counts = writing.counts
        if (counts.last_change, counts.floor) != before and environment.lmdb is opened:
            # Only now, or somebody would look too early and find what was there before. Two processes may come here
            # in the other order than they committed: each number is written once, so it differs from what anybody
            # saw, and whoever sees it reads all changes.
            page = environment.page
            assert not isinstance(page, tuple)
            page[FLOOR] = max(counts.floor, page[FLOOR])
            page[LAST_CHANGE] = counts.last_change
        for number in writing.files:
            remove_file(environment.body_path(number))
        return result

    def failed(self, what: str, error: BaseException) -> None:
        """Says what failed, and does what helps."""
        opened = self.environment.lmdb
        self.complaints.say(what, error)
        if opened is None:
            return
        try:
            if isinstance(error, lmdb.MapResizedError):
                opened.set_mapsize(0)
            elif isinstance(error, UNUSABLE):
                self._make_anew()
            elif isinstance(error, lmdb.ReadersFullError | lmdb.MapFullError):
                opened.reader_check()
        except (OSError, lmdb.Error) as second:
            self.complaints.say(what, second)

    def drop_damaged(self, number: int) -> None:
        """Removes a response that isn't what was written."""
        self.known.pop(number, None)
        self.complaints.say("a stored response was dropped", "it is damaged")
        self.write("a damaged response was not dropped", lambda writing: writing.drop_damaged(ID.pack(number)))

    def note_visits(self, writing: Writing) -> None:
        """Writes who was asked for."""
        visited, self.visited = self.visited, set()
        writing.visit(visited)

    def _make_anew(self) -> None:
        self._forget()
        try:
            self.environment.make_anew()
        except (OSError, lmdb.Error) as error:
            self.environment.close()
            self._retry = self._reactor.seconds() + RETRY
            self.complaints.say("the folder could not be made anew", error)

    def _let_go(self) -> None:
        self.complaints.say("the folder was replaced", "its files are not those that are open")
        self._forget()
        self.environment.close()

    def _forget(self) -> None:
        self.known.clear()
        self.visited.clear()

    # Once a second.

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(TICK, self._tick)
        self.tick()

    def tick(self) -> None:
        """Notes visits, looks whether the folder is still the one that is open, and removes what nobody has."""
        environment = self.environment
        if environment.lmdb is None:
            return
        if environment.is_replaced():
            self._let_go()
            return
        if self.visited:
            self.write("visits were not noted", self.note_visits)
        self._ticks += 1
        if self._ticks % READER_CHECK == 0 and environment.lmdb is not None:
            try:
                environment.lmdb.reader_check()
            except lmdb.Error as error:
                self.failed("readers were not checked", error)
        self.sweep()

    def sweep(self) -> bool:
        """A step of looking for files without a record, once for every time that the folder was opened; whether there
        is more to do."""
        if self._swept != self.environment.generation:
            self._swept = self.environment.generation
            self._sweeping = self._sweep()
        if self._sweeping is None:
            return False
        try:
            next(self._sweeping)
        except StopIteration:
            self._sweeping = None
            return False
        except OSError as error:
            self._sweeping = None
            self.complaints.say("left-over files were not looked for", error)
            return False
        return True

    def _sweep(self) -> Iterator[None]:
        path = self.environment.path
        for name in os.listdir(path):
            if name.startswith(DOOMED):
                for folder in os.listdir(os.path.join(path, name)):
                    shutil.rmtree(os.path.join(path, name, folder), ignore_errors=True)
                    yield
                shutil.rmtree(os.path.join(path, name), ignore_errors=True)
        for folder in sorted(os.listdir(os.path.join(path, "bodies"))):
            names = os.listdir(os.path.join(path, "bodies", folder))
            if names:
                self.write("left-over files were not removed", partial(self._remove_orphans, folder, names))
            yield

    def _remove_orphans(self, folder: str, names: list[str], writing: Writing) -> None:
        for name in names:
            try:
                there = writing.has(ID.pack(int(name, 16)))
            except (ValueError, struct.error):
                there = False
            if not there:
                remove_file(os.path.join(self.environment.path, "bodies", folder, name))
