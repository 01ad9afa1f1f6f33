"""Responses in this process's memory: the quickest store, bounded in octets.

All responses under one key make one entry, so that ``find`` is one look-up. An entry leaves as a whole when the store
is full (``eviction.py``). What an entry costs is estimated: its octets and what Python needs around them.

A purge takes entries out at once, however many they are; what points at them (queues, labels) is cleaned up in steps,
a thousand entries a turn, so that it never keeps the reactor for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.interfaces import IStore, Selection, Usage
from revproxy.stores.changes import Change, RecentChanges
from revproxy.stores.eviction import Node, S3Fifo
from revproxy.stores.filling import MemoryFilling
from revproxy.stores.labels import HOST, LabelIndex, host_of, label_of, labels_of, matches

MOST_VARIANTS: Final = 32
"""Responses under one key: whoever makes up values of a field that Vary names gets no further."""
FILLING_SHARE: Final = 0.5
"""Of the octets, how many may belong to responses that are not complete yet."""
ENTRY_COST: Final = 1100
"""Octets around an entry of one response: objects, tables, queues."""
LINE_COST: Final = 230
"""Octets around a field line: its tuple, three objects, its place in the index."""
STEP: Final = 1000
"""Entries that are cleaned up in one turn of the reactor."""


class MemoryMark:
    """The identity of stored content; another head may come to it."""

    __slots__ = ()


class _Entry(Node):
    """The responses under a key, the newest first."""

    __slots__ = ("key", "responses", "surveyed")

    def __init__(self, key: bytes) -> None:
        super().__init__(key, 0)
        self.key = key
        self.surveyed = 0
        self.responses: tuple[StoredResponse, ...] = ()


def head_cost(head: StoredHead) -> int:
    """Octets that a head takes in memory."""
    cost = ENTRY_COST + len(head.key) + 2 * len(head.url)
    for _, name, value in head.fields.lines:
        cost += LINE_COST + 2 * len(name) + len(value)
    for nominated, wanted in head.selecting:
        cost += LINE_COST + len(nominated) + len(wanted or b"")
    for label in (*head.tags, *head.groups):
        cost += LINE_COST + 2 * len(label)
    return cost


def with_response(
    responses: tuple[StoredResponse, ...], stored: StoredResponse, most: int = MOST_VARIANTS
) -> tuple[StoredResponse, ...]:
    """Responses of a key with one more in front, in place of the one that has its selecting fields or its mark."""
    selecting = stored.head.selecting
    mark = stored.mark
    kept = [one for one in responses if one.head.selecting != selecting and one.mark != mark]
    return (stored, *kept[: most - 1])


def freshened(validated: StoredHead, current: StoredHead, fresh: StoredHead) -> StoredHead:
    """The head that follows from a validation, whose answer may be older than an invalidation that came meanwhile."""
    return fresh.as_invalidated() if current.invalidated and not validated.invalidated else fresh


@implementer(IStore)
class MemoryStore:
    """Keeps responses as long as there is room and the process lives."""

    name = "memory"

    def __init__(self, most_octets: int, largest: int, reactor: IReactorTime) -> None:
        self.most_octets = most_octets
        self.largest = min(largest, int(most_octets * FILLING_SHARE))
        self.recent = RecentChanges()
        self._reactor = reactor
        self._entries: dict[bytes, _Entry] = {}
        self._labels = LabelIndex()
        self._queues = S3Fifo(most_octets)
        self._size = 0
        self._filling = 0
        self._count = 0
        self._evicted = 0
        self._waste: list[_Entry] = []
        self._unsurveyed: list[bytes] = []
        self._cleaning: IDelayedCall | None = None
        self._stopped = False

    def find(self, key: bytes) -> tuple[StoredResponse, ...]:
        entry = self._entries.get(key)
        if entry is None:
            return ()
        entry.visits += 1
        return entry.responses

    def near(self, key: bytes) -> _Entry | None:
        """What is here under a key, to be looked at; whoever uses a response of it counts the visit."""
        return self._entries.get(key)

    def begin(self, key: bytes, expected: int) -> MemoryFilling:
        return MemoryFilling(self, expected, self.recent.count)

    def put(self, stored: StoredResponse) -> None:
        """Stores a response whose content is in memory already."""
        self._add(stored, stored.head.key)
        self._make_room()

    def put_all(self, key: bytes, responses: tuple[StoredResponse, ...]) -> None:
        """Stores all that another store has under a key, the newest first, in place of what was here."""
        entry = self._entry(key)
        entry.visits += 1
        self._set(entry, responses[:MOST_VARIANTS])
        self._make_room()

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse:
        entry = self._entries.get(head.key)
        current = None if entry is None else next((one for one in entry.responses if one.mark == stored.mark), None)
        if entry is None or current is None:
            return StoredResponse(head, stored.content, stored.mark)
        fresh = StoredResponse(freshened(stored.head, current.head, head), stored.content, stored.mark)
        self._set(entry, with_response(entry.responses, fresh))
        self._make_room()
        return fresh

    def remove(self, stored: StoredResponse) -> None:
        entry = self._entries.get(stored.head.key)
        if entry is not None:
            self._set(entry, tuple(one for one in entry.responses if one.mark != stored.mark))

    def has(self, key: bytes) -> bool:
        """Whether there is anything under a key; nobody asked for it by this."""
        return key in self._entries

    def forget(self, key: bytes) -> None:
        """Forgets all responses under a key."""
        entry = self._entries.get(key)
        if entry is not None:
            self._set(entry, ())

    def drop(self, key: bytes) -> None:
        """Forgets all responses under a key, since they were changed elsewhere."""
        self.recent.add(Change(key))
        self.forget(key)

    def survey(self, most: int) -> list[Any]:
        """The marks of responses that were asked for since the survey came by; it looks at ``most`` entries."""
        if not self._unsurveyed:
            self._unsurveyed = list(self._entries)
        marks: list[Any] = []
        for key in self._unsurveyed[-most:]:
            entry = self._entries.get(key)
            if entry is not None and entry.visits != entry.surveyed:
                entry.surveyed = entry.visits
                marks += [one.mark for one in entry.responses]
        del self._unsurveyed[-most:]
        return marks

    def invalidate(self, key: bytes) -> int:
        self.recent.add(Change(key))
        entry = self._entries.get(key)
        return 0 if entry is None else self._invalidate(entry, entry.responses)

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int:
        count = 0
        for group in groups:
            selection = Selection(group=(origin, group))
            self.recent.add(Change(selection=selection))
            for entry in self._named(selection):
                members = tuple(one for one in entry.responses if matches(selection, one.head))
                count += self._invalidate(entry, members)
        return count

    def purge(self, selection: Selection) -> int:
        self.recent.add(Change(selection=selection))
        if selection.everything:
            count = self._clear()
            self._clean_soon()
            return count
        # What was dropped under a key leaves its labels behind until it is cleaned, and something new may be there.
        exact = label_of(selection) is not None and not self._waste
        count = 0
        for entry in self._named(selection):
            responses = entry.responses
            if exact and len(responses) == 1:
                kept: tuple[StoredResponse, ...] = ()
            else:
                kept = tuple(one for one in responses if not matches(selection, one.head))
            if len(kept) == len(responses):
                continue
            count += len(responses) - len(kept)
            if kept:
                self._set(entry, kept)
            else:
                self._drop(entry)
        self._clean_soon()
        return count

    def resize(self, most_octets: int, largest: int) -> None:
        """Holds so much from now on; what is too much goes as it would for something new."""
        self.most_octets = most_octets
        self.largest = min(largest, int(most_octets * FILLING_SHARE))
        self._queues.bound(most_octets)
        self._make_room()

    def usage(self) -> Usage:
        return Usage(self._count, self._size + self._filling, self.most_octets, self._evicted)

    def stop(self) -> None:
        self._stopped = True
        self._clear()
        self._waste = []
        if self._cleaning is not None:
            self._cleaning.cancel()
            self._cleaning = None

    # What its fillings need.

    def reserve(self, octets: int) -> bool:
        """Asks for room for a part of a response that isn't complete; whether there is any."""
        filling = self._filling + octets
        if filling > self.most_octets * FILLING_SHARE:
            return False
        self._filling = filling
        if filling + self._size > self.most_octets:
            self._make_room()
        return True

    def release(self, octets: int) -> None:
        """Gives room back."""
        self._filling -= octets

    def store(self, head: StoredHead, content: Content, began: int) -> StoredResponse | None:
        """Stores what is complete; ``began`` is ``recent.count`` of when it began."""
        if self._stopped or self.recent.forbid(head, began):
            return None
        stored = StoredResponse(head, content, MemoryMark())
        self.put(stored)
        return stored

    # The entries.

    def _entry(self, key: bytes) -> _Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(key)
            self._queues.add(entry)
        return entry

    def _add(self, stored: StoredResponse, key: bytes) -> None:
        entry = self._entry(key)
        if entry.responses:
            # Somebody asked for what is there, or it would not have been fetched again.
            entry.visits += 1
        self._set(entry, with_response(entry.responses, stored))

    def _set(self, entry: _Entry, responses: tuple[StoredResponse, ...]) -> None:
        """Gives an entry other responses, and takes it out where there are none."""
        before = entry.responses
        entry.responses = responses
        self._count += len(responses) - len(before)
        size = sum(head_cost(one.head) + one.content.size for one in responses)
        self._size += size - entry.size
        self._queues.resize(entry, size)
        if not responses:
            del self._entries[entry.key]
            self._queues.remove(entry)
        self._label(entry.key, before, responses)

    def _label(self, key: bytes, before: Iterable[StoredResponse], after: Iterable[StoredResponse]) -> None:
        kept = {label for one in after for label in labels_of(one.head)}
        for one in before:
            for label in labels_of(one.head):
                if label not in kept:
                    self._labels.discard(label, key)
        for label in kept:
            self._labels.add(label, key)

    def _invalidate(self, entry: _Entry, members: tuple[StoredResponse, ...]) -> int:
        valid = {one.mark for one in members if not one.head.invalidated}
        if valid:
            entry.responses = tuple(
                StoredResponse(one.head.as_invalidated(), one.content, one.mark) if one.mark in valid else one
                for one in entry.responses
            )
        return len(members)

    def _named(self, selection: Selection) -> list[_Entry]:
        """The entries in which there may be a selected response."""
        label = label_of(selection)
        if label is not None:
            keys = self._labels.keys(label)
        elif selection.prefix.count(b"/") > 2:
            # Its host is complete.
            keys = self._labels.keys(HOST + host_of(selection.prefix))
        else:
            return list(self._entries.values())
        entries = self._entries
        return [entry for key in keys if (entry := entries.get(key)) is not None]

    # Leaving.

    def _make_room(self) -> None:
        while self._size + self._filling > self.most_octets:
            victim = self._queues.victim()
            if not isinstance(victim, _Entry):
                break
            # What a purge dropped may still stand in a queue.
            if self._entries.get(victim.key) is victim:
                self._evicted += len(victim.responses)
                self._set(victim, ())

    def _drop(self, entry: _Entry) -> None:
        """Takes an entry out of sight, and leaves the rest to ``_clean``."""
        del self._entries[entry.key]
        self._count -= len(entry.responses)
        self._size -= entry.size
        self._waste.append(entry)

    def _clear(self) -> int:
        count = self._count
        self._waste += self._entries.values()
        self._entries = {}
        self._labels = LabelIndex()
        self._queues = S3Fifo(self.most_octets)
        self._size = self._count = 0
        return count

    def _clean_soon(self) -> None:
        if self._waste and self._cleaning is None:
            self._cleaning = self._reactor.callLater(0, self._clean)

    def _clean(self) -> None:
        self._cleaning = None
        for entry in self._waste[-STEP:]:
            self._queues.remove(entry)
            # Under the same key there may be something new.
            there = self._entries.get(entry.key)
            self._label(entry.key, entry.responses, there.responses if there is not None else ())
            entry.responses = ()
        del self._waste[-STEP:]
        self._clean_soon()
