"""Any order of what may be done to a store, beside a model of plain dictionaries: memory, disk, and memory before disk."""

from __future__ import annotations

import shutil
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from revproxy.caching.stored import Selecting, StoredHead, StoredResponse
from revproxy.interfaces import IStore, Selection
from revproxy.stores.disk import DiskStore
from revproxy.stores.labels import host_of, origin_of
from revproxy.stores.memory import MemoryStore
from revproxy.stores.tiered import TieredStore
from tests.stores.responses import DE, EN, NEITHER, facts, make_head, new_folder, octets, whole

T = TypeVar("T")

URLS = [
    b"https://a.example/",
    b"https://a.example/x",
    b"https://a.example/xy",
    b"http://a.example:81/",
    b"https://b.example/x",
]
NAMES = [b"one", b"two"]
SIZES = [0, 1, 5_000, 65_536, 65_537, 150_000]
LARGEST = 140_000
ROOM = 50_000_000
labels = st.frozensets(st.sampled_from(NAMES))
heads = st.builds(
    lambda url, selecting, tags, groups, status: make_head(
        b"K" + url, url, selecting=selecting, tags=tags, groups=groups, status=status
    ),
    st.sampled_from(URLS),
    st.sampled_from([(), EN, DE, NEITHER]),
    labels,
    labels,
    st.sampled_from([200, 404]),
)
selections = st.one_of(
    st.builds(lambda url: Selection(url=url), st.sampled_from(URLS)),
    st.builds(lambda url, end: Selection(prefix=url[: end + 5]), st.sampled_from(URLS), st.integers(0, 20)),
    st.builds(lambda host: Selection(host=host), st.sampled_from([b"a.example", b"b.example", b"c.example"])),
    st.builds(lambda tag: Selection(tag=tag), st.sampled_from(NAMES)),
    st.builds(
        lambda url, group: Selection(group=(origin_of(url), group)), st.sampled_from(URLS), st.sampled_from(NAMES)
    ),
    st.just(Selection(everything=True)),
)


def named(selection: Selection, head: StoredHead) -> bool:
    """What a selection means, said another way than in the stores."""
    if selection.group is not None:
        return selection.group[1] in head.groups and origin_of(head.url) == selection.group[0]
    if selection.tag:
        return selection.tag in head.tags
    if selection.host:
        return host_of(head.url) == selection.host
    if selection.prefix:
        return head.url.startswith(selection.prefix)
    return selection.everything or head.url == selection.url


class Modelled:
    """A response that should be there."""

    def __init__(self, head: StoredHead, content: bytes, stored: StoredResponse) -> None:
        self.head = head
        self.content = content
        self.stored = stored


class StoreMachine(RuleBasedStateMachine):
    """A store and what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.there: dict[bytes, list[Modelled]] = {}
        self.fillings: list[tuple[StoredHead, bytes, Any, list[bool]]] = []
        self.held: list[tuple[StoredResponse, bytes]] = []
        self.folder = ""
        self.store = self.make_store()

    def make_store(self) -> IStore:
        raise NotImplementedError

    def teardown(self) -> None:
        self.store.stop()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def now(self, value: T | Deferred[T]) -> T:
        if not isinstance(value, Deferred):
            return value
        results: list[T] = []
        value.addCallback(results.append)
        self.clock.advance(0)
        (result,) = results
        return result

    def find(self, key: bytes) -> tuple[StoredResponse, ...]:
        found: tuple[StoredResponse, ...] = self.now(self.store.find(key))
        return found

    def same(self, key: bytes, selecting: Selecting) -> list[Modelled]:
        return [one for one in self.there.get(key, []) if one.head.selecting != selecting]

    @rule(head=heads, size=st.sampled_from(SIZES), seed=st.integers(0, 9))
    def begin_one(self, head: StoredHead, size: int, seed: int) -> None:
        self.begin(head, size, seed)

    def begin(self, head: StoredHead, size: int, seed: int) -> None:
        content = octets(size, seed)
        filling = self.store.begin(head.key, size if seed % 2 else -1)
        for at in range(0, size, 40_000):
            filling.write(content[at : at + 40_000])
        assert filling.broken == (size > LARGEST)
        assert filling.read(size // 2, 100) == content[size // 2 : size // 2 + 100]
        self.fillings.append((head, content, filling, [size > LARGEST]))

    @precondition(lambda self: self.fillings)
    @rule(place=st.integers(0, 100), keeps=st.integers(0, 3))
    def end_one(self, place: int, keeps: int) -> None:
        self.end(place, keeps)

    def end(self, place: int, keeps: int) -> None:
        head, content, filling, refused = self.fillings.pop(place % len(self.fillings))
        if keeps:
            stored = filling.commit(head)
            assert (stored is None) == refused[0]
            if stored is not None:
                assert whole(stored) == content
                self.there[head.key] = [Modelled(head, content, stored), *self.same(head.key, head.selecting)]
        filling.discard()

    @rule(url=st.sampled_from(URLS[:2]), selecting=st.sampled_from([EN, DE]), size=st.sampled_from(SIZES), tags=labels)
    def store_at_once(self, url: bytes, selecting: Selecting, size: int, tags: frozenset[bytes]) -> None:
        # What tells most: several responses under few keys, replaced often.
        self.begin(make_head(b"K" + url, url, selecting=selecting, tags=tags), size, size % 10)
        self.end(len(self.fillings) - 1, 1)

    def some(self, place: int) -> Modelled | None:
        every = [one for responses in self.there.values() for one in responses]
        return every[place % len(every)] if every else None

    @rule(place=st.integers(0, 100), head=heads)
    def freshen(self, place: int, head: StoredHead) -> None:
        old = self.some(place)
        if old is None:
            return
        (stored,) = (one for one in self.find(old.head.key) if one.head.selecting == old.head.selecting)
        key = old.head.key
        fresh = make_head(key, old.head.url, status=203, selecting=head.selecting, tags=head.tags, groups=head.groups)
        result = self.store.freshen(stored, fresh)
        assert whole(result) == old.content
        self.there[key].remove(old)
        self.there[key] = [Modelled(fresh, old.content, result), *self.same(key, fresh.selecting)]

    @rule(place=st.integers(0, 100))
    def remove(self, place: int) -> None:
        old = self.some(place)
        if old is not None:
            self.store.remove(old.stored)
            self.there[old.head.key].remove(old)

    def forbid(self, head: StoredHead) -> None:
        for begun, _, _, refused in self.fillings:
            if begun is head:
                refused[0] = True

    @rule(url=st.sampled_from(URLS))
    def invalidate(self, url: bytes) -> None:
        key = b"K" + url
        there = self.there.get(key, [])
        assert self.now(self.store.invalidate(key)) == len(there)
        for one in there:
            one.head = one.head.as_invalidated()
        for head, *_ in self.fillings:
            if head.key == key:
                self.forbid(head)

    @rule(url=st.sampled_from(URLS), groups=labels)
    def invalidate_groups(self, url: bytes, groups: frozenset[bytes]) -> None:
        self.now(self.store.invalidate_groups(origin_of(url), groups))
        for one in [one for responses in self.there.values() for one in responses]:
            if origin_of(one.head.url) == origin_of(url) and one.head.groups & groups:
                one.head = one.head.as_invalidated()
        for head, *_ in self.fillings:
            if origin_of(head.url) == origin_of(url) and head.groups & groups:
                self.forbid(head)

    @rule(selection=selections)
    def purge(self, selection: Selection) -> None:
        count = 0
        for key, responses in self.there.items():
            kept = [one for one in responses if not named(selection, one.head)]
            count += len(responses) - len(kept)
            self.there[key] = kept
        assert self.now(self.store.purge(selection)) == count
        for head, *_ in self.fillings:
            if named(selection, head):
                self.forbid(head)

    @rule(url=st.sampled_from(URLS))
    def hold(self, url: bytes) -> None:
        for stored, model in zip(self.find(b"K" + url), self.there.get(b"K" + url, []), strict=True):
            self.held.append((stored, model.content))

    @rule(seconds=st.sampled_from([0, 1, 60]))
    def wait(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)

    @invariant()
    def everything_is_there_and_nothing_else(self) -> None:
        for url in URLS:
            found = self.find(b"K" + url)
            model = self.there.get(b"K" + url, [])
            assert [facts(one.head) for one in found] == [facts(one.head) for one in model]
            assert [whole(one) for one in found] == [one.content for one in model]
        assert self.store.usage().responses == sum(map(len, self.there.values()))

    @invariant()
    def what_is_held_is_readable(self) -> None:
        for stored, content in self.held[-5:]:
            assert whole(stored) == content


class MemoryMachine(StoreMachine):
    def make_store(self) -> IStore:
        return MemoryStore(ROOM, LARGEST, self.clock)


class DiskMachine(StoreMachine):
    def make_store(self) -> IStore:
        self.folder = new_folder()
        return DiskStore(self.folder, ROOM, LARGEST, self.clock)

    @rule()
    def restart(self) -> None:
        for _, _, filling, _ in self.fillings:
            filling.discard()
        self.fillings = []
        self.store.stop()
        self.store = DiskStore(self.folder, ROOM, LARGEST, self.clock)


class TieredMachine(StoreMachine):
    """Two workers take turns."""

    def make_store(self) -> IStore:
        self.folder = new_folder()
        self.workers = [
            TieredStore(
                MemoryStore(ROOM, LARGEST, self.clock),
                DiskStore(self.folder, ROOM, LARGEST, self.clock),
                self.clock,
            )
            for _ in range(2)
        ]
        return self.workers[0]

    @rule()
    def turn(self) -> None:
        self.workers.reverse()
        self.store = self.workers[0]

    def teardown(self) -> None:
        self.workers[1].stop()
        super().teardown()


few = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestMemory = MemoryMachine.TestCase
TestMemory.settings = few
TestDisk = DiskMachine.TestCase
TestDisk.settings = few
TestTiered = TieredMachine.TestCase
TestTiered.settings = few
