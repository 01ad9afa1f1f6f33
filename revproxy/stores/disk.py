"""Responses on disk, shared by all workers of a machine; they outlive restarts and ``kill -9``.

Heads, indexes and content of up to 64 KiB are in LMDB (``environment.py`` says how it is opened and what survives what,
``tables.py`` what is in it); larger content is in files (``files.py``). No transaction and no view of a page outlives
one call: what ``find`` gives are copies, or an open descriptor, so it can be read as long as it is held.

Whatever fails here, a request is served: nothing is found, nothing is stored, and the log says why once a minute. Only
what must not be lost is not: where a purge or an invalidation cannot be written (a full disk), everything is thrown
away, which also makes room.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from functools import partial
from typing import Any, Final
from zlib import crc32

import lmdb
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from revproxy.caching.stored import NO_CONTENT, Content, StoredHead, StoredResponse
from revproxy.http.fields import NO_FIELDS
from revproxy.interfaces import IStore, Selection, Usage
from revproxy.stores.changes import Change, decode_change
from revproxy.stores.encoding import DamagedRecord, Record, decode_record, encode_record
from revproxy.stores.environment import FLOOR, LAST_CHANGE
from revproxy.stores.files import BodyFile, open_content
from revproxy.stores.filling import DiskFilling
from revproxy.stores.folder import Folder, Known
from revproxy.stores.labels import matches
from revproxy.stores.memory import freshened
from revproxy.stores.tables import ID, LARGEST_BODY, MOST_CHANGES, TOKEN_SIZE, Counts, Writing, cost_of, key_hash
from revproxy.stores.walk import Act, Walk

FILLING_SHARE: Final = 0.5
"""Of the octets, how many may belong to large responses that are not complete yet."""
STEP: Final = 64
"""Responses that one write transaction evicts, at most."""
MOST_STEPS: Final = 32
"""Transactions that make room for one response, at most."""
MOST_KNOWN: Final = 4096
"""Records that are kept decoded."""
MOST_VISITS: Final = 1024
"""Visits that wait to be written."""
SPARE: Final = 64 << 20
"""Octets of the map beyond twice the bound; they are address space, not memory or disk."""


_ANOTHER: Final = StoredResponse(
    StoredHead(b"", 200, NO_FIELDS, request_time=0.0, response_time=0.0, url=b""), NO_CONTENT
)


@implementer(IStore)
class DiskStore:
    """Keeps responses in a folder."""

    name = "disk"
    answers_at_once = True

    def __init__(self, folder: str, most_octets: int, largest: int, reactor: IReactorTime) -> None:
        self.most_octets = most_octets
        self.largest = min(largest, int(most_octets * FILLING_SHARE))
        self._folder = Folder(folder, 2 * most_octets + SPARE, reactor)
        self.environment = self.pages = self._folder.environment
        self._reactor = reactor
        self._filling = 0
        self._files = 0
        self._walks: set[Walk] = set()

    # Finding.

    def find(self, key: bytes) -> tuple[StoredResponse, ...]:
        damaged: list[int] = []
        found = self.peek(key, damaged)
        for place in damaged:
            self._folder.drop_damaged(place)
        if found:
            self._folder.visited.update([stored.mark for stored in found])
            if len(self._folder.visited) > MOST_VISITS:
                self._folder.write("visits were not noted", self._folder.note_visits)
        return found

    def peek(self, key: bytes, damaged: list[int] | None = None) -> tuple[StoredResponse, ...]:
        """What ``find`` gives; nobody asked for it by this. Places that can't be read are added to ``damaged``."""
        opened = self._folder.open()
        if opened is None:
            return ()
        tables = self.environment.tables
        found: list[StoredResponse] = []
        try:
            txn = opened.begin()
            try:
                ids = txn.get(key_hash(key), db=tables["keys"])
                if ids is None:
                    return ()
                floor = self.environment.page[FLOOR]
                for at in range(0, len(ids), ID.size):
                    number = ids[at : at + ID.size]
                    place = ID.unpack(number)[0]
                    data = txn.get(number, db=tables["heads"])
                    if data is None or place <= floor:
                        continue
                    stored = self._read(place, data, key, txn, tables["bodies"])
                    if stored is None:
                        if damaged is not None:
                            damaged.append(place)
                    elif stored is not _ANOTHER:
                        found.append(stored)
            finally:
                txn.abort()
        except (OSError, lmdb.Error) as error:
            self._folder.failed("nothing was found", error)
            return ()
        return tuple(found)

    def _read(
        self, place: int, data: bytes, key: bytes, txn: lmdb.Transaction[bytes], bodies: lmdb._Database
    ) -> StoredResponse | None:
        """A response; None if it is damaged, ``_ANOTHER`` if it is none of this key's or can't be read now."""
        known = self._folder.known.get(place)
        if known is None or known.data != data:
            try:
                known = Known(data, decode_record(data))
            except DamagedRecord:
                return None
            if len(self._folder.known) >= MOST_KNOWN:
                self._folder.known.clear()
            self._folder.known[place] = known
        record = known.record
        if record.head.key != key:
            return _ANOTHER
        if not record.size:
            return StoredResponse(record.head, NO_CONTENT, place)
        content: Content
        if record.size <= LARGEST_BODY:
            body = txn.get(ID.pack(place), db=bodies)
            if body is None or len(body) != record.size:
                return None
            if known.checked is None:
                if crc32(body) != record.checksum:
                    return None
                known.checked = bytearray()
            content = Content(body, record.size)
        else:
            path = self.environment.body_path(place)
            try:
                content, known.checked = open_content(
                    path, record.size, record.checksum, known.checked, partial(self._folder.drop_damaged, place)
                )
            except (ValueError, FileNotFoundError):
                return None
            except OSError as error:
                self._folder.complaints.say("a file could not be read", error)
                return _ANOTHER
        return StoredResponse(record.head, content, place)

    # Storing.

    def begin(self, key: bytes, expected: int) -> DiskFilling:
        self._folder.open()
        return DiskFilling(self, expected, self.environment.page[LAST_CHANGE])

    def new_file(self) -> BodyFile:
        """A file for content that is too large for LMDB. Raises OSError."""
        if self._folder.open() is None:
            raise OSError(errno.EIO, "the store is closed")
        self._files += 1
        return BodyFile(os.path.join(self.environment.aside, f"{id(self):x}-{self._files}"))

    def reserve(self, octets: int) -> bool:
        """Makes room for a part of a large response that isn't complete; whether there is any."""
        if self._filling + octets > self.most_octets * FILLING_SHARE:
            return False
        self._filling += octets
        counts = self._counts()
        if counts is not None and counts.octets + self._filling > self.most_octets:
            self._folder.write("room was not made", lambda writing: self._make_room(writing, 0))
        return True

    def release(self, octets: int) -> None:
        """Gives room back."""
        self._filling -= octets

    def complain(self, what: str, error: BaseException) -> None:
        """Says that something failed."""
        self._folder.complaints.say(what, error)

    def store(self, head: StoredHead, body: bytes | BodyFile, began: int) -> StoredResponse | None:
        """Stores what is complete; ``began`` is the last change of when it began."""
        try:
            size, checksum = (len(body), crc32(body)) if isinstance(body, bytes) else (body.size, body.seal())
            cost = cost_of(len(encode_record(Record(head, size, checksum))), size)
        except (OSError, OverflowError) as error:
            self._folder.complaints.say("a response was not stored", error)
            return None
        if cost > self.most_octets * FILLING_SHARE:
            return None
        room = False

        def work(writing: Writing) -> int | None:
            nonlocal room
            room = self._make_room(writing, cost)
            if not room or writing.forbid(head, began):
                return None
            number = writing.add(head, size, checksum, body if isinstance(body, bytes) else None)
            if not isinstance(body, bytes):
                # Within the transaction, so that a sweep never sees the file without its record.
                body.rename(self.environment.body_path(number))
            return number

        for _ in range(MOST_STEPS):
            number = self._folder.write("a response was not stored", work)
            if number is not None or room:
                break
        if number is None:
            return None
        if isinstance(body, bytes):
            content = Content(body, size) if size else NO_CONTENT
        else:
            content = body.content(partial(self._folder.drop_damaged, number))
        return StoredResponse(head, content, number)

    def _make_room(self, writing: Writing, octets: int) -> bool:
        """A step towards room for more octets; whether there is enough now."""
        counts = writing.counts
        over = counts.octets + self._filling + octets - self.most_octets
        if over > 0:
            self._folder.note_visits(writing)
            writing.evict(over, STEP)
        return counts.octets + octets <= self.most_octets

    # Changing.

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse:
        number = ID.pack(stored.mark) if isinstance(stored.mark, int) else b""

        def work(writing: Writing) -> StoredHead | None:
            record = writing.record(number) if number and stored.mark > writing.counts.floor else None
            if record is None or record.head.key != head.key:
                return None
            fresh = freshened(stored.head, record.head, head)
            writing.reenter(number, record, fresh)
            writing.put_first(fresh, number)
            return fresh

        fresh = self._folder.write("a response was not freshened", work)
        return StoredResponse(head if fresh is None else fresh, stored.content, stored.mark)

    def remove(self, stored: StoredResponse) -> None:
        if isinstance(stored.mark, int):
            number = ID.pack(stored.mark)

            def work(writing: Writing) -> None:
                if writing.drop(number) is not None:
                    writing.note_change(Change(stored.head.key))

            self._folder.write("a response was not removed", work, must=True)

    def invalidate(self, key: bytes) -> int:
        def work(writing: Writing) -> int:
            writing.order(Change(key))
            return sum(self._invalidate(writing, number, Change(key)) for number in writing.ids(key))

        return self._folder.write("a response was not invalidated", work, must=True) or 0

    def _invalidate(self, writing: Writing, number: bytes, change: Change) -> int:
        record = writing.record(number)
        if record is None or not change.concerns(record.head) or ID.unpack(number)[0] <= writing.counts.floor:
            return 0
        if not record.head.invalidated:
            writing.reenter(number, record, record.head.as_invalidated())
        return 1

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int | Deferred[int]:
        selections = [Selection(group=(origin, group)) for group in sorted(groups)]
        return self._walk(selections, self._invalidate)

    def purge(self, selection: Selection) -> int | Deferred[int]:
        return self._walk([selection], self._purge)

    def _purge(self, writing: Writing, number: bytes, change: Change) -> int:
        selection = change.selection
        if selection is not None and not selection.everything:
            record = writing.record(number)
            if record is not None and not matches(selection, record.head):
                return 0
        visible = ID.unpack(number)[0] > writing.counts.floor
        return int(writing.drop(number) is not None and visible)

    def _walk(self, selections: list[Selection], act: Act) -> int | Deferred[int]:
        walk = Walk(self._folder, selections, act, self._reactor)
        self._walks = {one for one in self._walks if not one.is_done}
        self._walks.add(walk)
        return walk.start()

    # For those who keep copies.

    @property
    def is_failing(self) -> bool:
        """Whether it can neither find nor store at the moment."""
        return self._folder.open() is None or self._folder.is_failing

    def changes(self, after: int) -> tuple[int, list[Change] | None]:
        """The number of the last change, and what others changed since ``after``; None if that isn't known any more."""
        opened = self._folder.open()
        if opened is None:
            return 0, None
        found: list[Change] = []
        try:
            with opened.begin() as txn:
                last = Counts(txn.get(b"counts", db=self.environment.tables["meta"])).last_change
                if not after <= last < after + MOST_CHANGES:
                    return last, None
                with txn.cursor(db=self.environment.tables["changes"]) as cursor:
                    if cursor.set_range(ID.pack(after + 1)):
                        for data in cursor.iternext(keys=False):
                            if data[:TOKEN_SIZE] != self._folder.token:
                                found.append(decode_change(data[TOKEN_SIZE:]))
        except lmdb.Error as error:
            self._folder.failed("changes were not read", error)
            return 0, None
        return last, found

    def visit(self, marks: Iterable[Any]) -> None:
        """Notes who was asked for in memory."""
        self._folder.visited.update(mark for mark in marks if isinstance(mark, int))

    # The rest of the interface.

    def usage(self) -> Usage:
        counts = self._counts()
        if counts is None:
            return Usage(0, self._filling, self.most_octets, 0)
        return Usage(counts.responses, counts.octets + self._filling, self.most_octets, counts.evicted)

    def _counts(self) -> Counts | None:
        opened = self._folder.open()
        if opened is None:
            return None
        try:
            with opened.begin() as txn:
                return Counts(txn.get(b"counts", db=self.environment.tables["meta"]))
        except lmdb.Error as error:
            self._folder.failed("its usage was not read", error)
            return None

    def stop(self) -> None:
        for walk in self._walks:
            walk.stop()
        self._walks.clear()
        self._folder.stop()

    def tick(self) -> None:
        """What is done once a second."""
        self._folder.tick()

    def sweep(self) -> bool:
        """A step of looking for files without a record; whether there is more to do."""
        return self._folder.sweep()
