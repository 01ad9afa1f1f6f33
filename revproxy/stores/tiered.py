"""Memory before a store that others share: most hits cost one look-up here, and what others change is gone at once.

What is found in the far store, or stored there, is kept in memory too, if all of the key's responses are small. Every
change in the far store has a number. The last one lies in shared memory (disk), or is told by a message (Redis), and is
compared at every hit. When it is another than the last time, the changes since are read, and what they name is dropped;
when they are no longer known, everything is.

While the far store fails, memory goes on alone: then a purge or an invalidation reaches this process only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.interfaces import IStore, Selection, Usage
from revproxy.stores.changes import Change
from revproxy.stores.labels import EVERYTHING
from revproxy.stores.memory import MemoryMark, MemoryStore

SURVEY: Final = 256
"""Entries of memory that are looked at in a second, to tell the far store who is asked for."""
TICK: Final = 1.0


class Pages(Protocol):
    """Where the number of the last change is: the first of a page, which may become another page."""

    @property
    def page(self) -> Sequence[int]: ...


class FarFilling(Protocol):
    """A filling of a far store."""

    size: int
    broken: bool

    @property
    def octets(self) -> bytes | None:
        """All of it, where it is in memory."""

    def write(self, data: bytes) -> None: ...

    def read(self, offset: int, most: int) -> bytes: ...

    def forget(self, offset: int) -> None: ...

    def commit(self, head: StoredHead) -> StoredResponse | None: ...

    def discard(self) -> None: ...


class FarStore(Protocol):
    """A store that several processes share: an ``IStore``, and what its copies in memory need."""

    name: str
    largest: int
    answers_at_once: bool
    """Whether ``find`` never answers later."""

    @property
    def pages(self) -> Pages:
        """Where the number of the last change is."""

    @property
    def is_failing(self) -> bool:
        """Whether it can neither find nor store at the moment."""

    def changes(self, after: int) -> tuple[int, list[Change] | None]:
        """The number of the last change, and what others changed since ``after``; None if that isn't known any more."""

    def visit(self, marks: Iterable[Any]) -> None:
        """Tells who was asked for without its noticing."""

    def find(self, key: bytes) -> tuple[StoredResponse, ...] | Deferred[tuple[StoredResponse, ...]]: ...

    def begin(self, key: bytes, expected: int) -> FarFilling: ...

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse: ...

    def remove(self, stored: StoredResponse) -> None: ...

    def invalidate(self, key: bytes) -> int | Deferred[int]: ...

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int | Deferred[int]: ...

    def purge(self, selection: Selection) -> int | Deferred[int]: ...

    def usage(self) -> Usage: ...

    def stop(self) -> None: ...


@implementer(IStore)
class TieredStore:
    """Memory before a far store."""

    def __init__(self, memory: MemoryStore, far: FarStore, reactor: IReactorTime) -> None:
        self.name = f"memory before {far.name}"
        self.largest = far.largest
        self.memory = memory
        self.far = far
        self._pages = far.pages
        self._seen = -1
        self._applied = 0
        self.is_stopped = False
        self._reactor = reactor
        self._ticking: IDelayedCall = reactor.callLater(TICK, self._tick)

    # Finding.

    def find(self, key: bytes) -> tuple[StoredResponse, ...] | Deferred[tuple[StoredResponse, ...]]:
        if self._pages.page[0] != self._seen:
            self._catch_up()
        found = self.memory.find(key)
        if found:
            return found
        since = self.memory.recent.count
        result = self.far.find(key)
        if isinstance(result, Deferred):
            return result.addCallback(self._found_later, key, since)
        if result:
            self._adopt(key, result)
        return result

    def near(self, key: bytes) -> Any:
        """What is in this process's memory under a key, after all that others changed; see ``MemoryStore.near``."""
        if self._pages.page[0] != self._seen:
            self._catch_up()
        return self.memory.near(key)

    def _found_later(self, found: tuple[StoredResponse, ...], key: bytes, since: int) -> tuple[StoredResponse, ...]:
        if self._pages.page[0] != self._seen:
            self._catch_up()
        # What somebody changed since the far store was asked may be what it answered with.
        if found and not any(self.memory.recent.forbid(one.head, since) for one in found):
            self._adopt(key, found)
        return found

    def _adopt(self, key: bytes, found: tuple[StoredResponse, ...]) -> None:
        """Keeps in memory what was found, if that is all there is under the key and small."""
        octets = 0
        for one in found:
            if one.content.octets is None:
                return
            octets += one.content.size
        if octets <= self.memory.largest:
            self.memory.put_all(key, found)

    def _catch_up(self) -> None:
        """Drops what others changed."""
        # Before the changes are read: what is published afterwards is another number again.
        self._seen = self._pages.page[0]
        last, changes = self.far.changes(self._applied)
        self._applied = last
        if changes is None:
            self.memory.purge(EVERYTHING)
            return
        for change in changes:
            if change.selection is None:
                self.memory.drop(change.key)
            else:
                self.memory.purge(change.selection)

    # Storing and changing.

    def begin(self, key: bytes, expected: int) -> TieredFilling:
        if self._pages.page[0] != self._seen:
            self._catch_up()
        return TieredFilling(self, self.far.begin(key, expected))

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse:
        if self._pages.page[0] != self._seen:
            self._catch_up()
        fresh = self.far.freshen(stored, head)
        self.memory.freshen(stored, fresh.head)
        return fresh

    def remove(self, stored: StoredResponse) -> None:
        self.memory.remove(stored)
        self.far.remove(stored)

    def invalidate(self, key: bytes) -> int | Deferred[int]:
        return _more(self.memory.invalidate(key), self.far.invalidate(key))

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int | Deferred[int]:
        here = self.memory.invalidate_groups(origin, groups)
        result = self.far.invalidate_groups(origin, groups)
        if isinstance(result, Deferred):
            # What was found in the far store before it was done may have come back.
            result.addCallback(self._again, lambda: self.memory.invalidate_groups(origin, groups))
        return _more(here, result)

    def purge(self, selection: Selection) -> int | Deferred[int]:
        here = self.memory.purge(selection)
        result = self.far.purge(selection)
        if isinstance(result, Deferred):
            result.addCallback(self._again, lambda: self.memory.purge(selection))
        return _more(here, result)

    def _again(self, count: int, act: Any) -> int:
        act()
        return count

    def usage(self) -> Usage:
        return self.memory.usage() if self.far.is_failing else self.far.usage()

    def stop(self) -> None:
        self.is_stopped = True
        if self._ticking.active():
            self._ticking.cancel()
        self.memory.stop()
        self.far.stop()

    def _tick(self) -> None:
        self._ticking = self._reactor.callLater(TICK, self._tick)
        marks = self.memory.survey(SURVEY)
        if marks:
            self.far.visit(marks)


class TieredFilling:
    """A response that is being stored in the far store, and in memory as well if it is small."""

    __slots__ = ("_began", "_far", "_store")

    def __init__(self, store: TieredStore, far: FarFilling) -> None:
        self._store = store
        self._far = far
        self._began = store.memory.recent.count

    @property
    def size(self) -> int:
        return self._far.size

    @size.setter
    def size(self, value: int) -> None:
        self._far.size = value

    @property
    def broken(self) -> bool:
        return self._far.broken

    @broken.setter
    def broken(self, value: bool) -> None:
        self._far.broken = value

    def write(self, data: bytes) -> None:
        self._far.write(data)

    def read(self, offset: int, most: int) -> bytes:
        return self._far.read(offset, most)

    def forget(self, offset: int) -> None:
        self._far.forget(offset)

    def commit(self, head: StoredHead) -> StoredResponse | None:
        store = self._store
        memory = store.memory
        octets = self._far.octets
        stored = self._far.commit(head)
        alone = False
        if stored is None:
            alone = octets is not None and store.far.is_failing and not store.is_stopped
            if octets is None or not alone or memory.recent.forbid(head, self._began):
                return None
            stored = StoredResponse(head, Content(octets, len(octets)), MemoryMark())
        if stored.content.octets is None or stored.content.size > memory.largest:
            memory.forget(head.key)
        elif alone or memory.has(head.key):
            # Memory has all responses of a key or none.
            memory.put(stored)
        elif store.far.answers_at_once:
            store.find(head.key)
        return stored

    def discard(self) -> None:
        self._far.discard()


def _more(here: int, far: int | Deferred[int]) -> int | Deferred[int]:
    """How many that were: the far store has what memory has, unless it fails."""
    return far.addCallback(lambda count: max(count, here)) if isinstance(far, Deferred) else max(far, here)
