"""Memory before the disk: the contract, and what one worker does is seen by the others at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from revproxy.caching.stored import StoredResponse
from revproxy.interfaces import IStore, Selection
from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.tables import MOST_CHANGES
from revproxy.stores.tiered import TieredStore
from tests.stores import contract
from tests.stores.contract import LARGEST, MOST
from tests.stores.responses import DE, EN, KEY, URL, fill, folder, keep, make_head, new_folder, octets, page, whole

CHECKOUT = Path(__file__).parents[2]


class TieredTests(contract.BoundedContract):
    keeps_copies = True

    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        path = new_folder()
        self.addCleanup(shutil.rmtree, path, ignore_errors=True)
        self.clock = Clock()
        memory = MemoryStore(most // 2, largest, self.clock)
        store = TieredStore(memory, DiskStore(path, most, largest, self.clock), self.clock)
        self.addCleanup(store.stop)
        return store

    def tick(self) -> None:
        self.clock.advance(1)


class Worker:
    """A worker of the machine: a memory of its own, and the folder."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.disk = DiskStore(path, 20_000_000, 1_000_000, clock)
        self.memory = MemoryStore(5_000_000, 1_000_000, clock)
        self.store = TieredStore(self.memory, self.disk, clock)

    def find(self, key: bytes = KEY) -> tuple[StoredResponse, ...]:
        found = self.store.find(key)
        assert isinstance(found, tuple)
        return found

    def contents(self, key: bytes = KEY) -> list[bytes]:
        return [whole(one) for one in self.find(key)]

    def in_memory(self, key: bytes = KEY) -> bool:
        return self.memory.has(key)


Workers = tuple[Worker, Worker]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(clock: Clock) -> Iterator[Workers]:
    with folder() as path:
        both = Worker(path, clock), Worker(path, clock)
        yield both
        for worker in both:
            worker.store.stop()
        assert clock.getDelayedCalls() == []


def test_what_is_stored_or_found_is_in_memory(workers: Workers) -> None:
    one, other = workers
    keep(one.store, make_head())
    assert one.in_memory()
    assert other.contents() == [b"content"]
    assert other.in_memory()
    assert other.find()[0] is other.find()[0]


def test_large_content_is_not(workers: Workers) -> None:
    one, other = workers
    keep(one.store, make_head(), octets(100_000))
    for worker in workers:
        assert worker.contents() == [octets(100_000)]
        assert not worker.in_memory()
    keep(other.store, page(1))
    keep(other.store, page(1), octets(100_000))
    assert not other.in_memory(page(1).key)


def test_memory_has_all_responses_of_a_key_or_none(workers: Workers) -> None:
    one, other = workers
    keep(one.store, make_head(selecting=EN), b"en")
    keep(other.store, make_head(selecting=DE), b"de")
    assert one.contents() == [b"de", b"en"]
    assert other.contents() == [b"de", b"en"]
    keep(one.store, make_head(selecting=((b"x", b"y"),)), octets(100_000))
    assert len(one.find()) == len(other.find()) == 3


def test_own_changes_leave_the_own_memory_as_it_is(workers: Workers) -> None:
    one, _ = workers
    for number in range(5):
        keep(one.store, page(number))
        keep(one.store, page(number), b"again")
    one.store.invalidate(page(3).key)
    for number in range(5):
        assert one.contents(page(number).key) == [b"again"]
    assert all(one.in_memory(page(number).key) for number in range(5))


def both_have_it(workers: Workers) -> None:
    head = make_head(tags=frozenset({b"t"}), groups=frozenset({b"g"}))
    keep(workers[0].store, head, b"old")
    keep(workers[0].store, page(1), b"untouched")
    for worker in workers:
        assert worker.contents() == [b"old"]
        assert worker.contents(page(1).key) == [b"untouched"]
        assert worker.in_memory()


@pytest.mark.parametrize(
    "named",
    [
        {"url": URL},
        {"prefix": URL[:-2]},
        {"host": b"a.example"},
        {"tag": b"t"},
        {"group": (b"https://a.example", b"g")},
    ],
    ids=str,
)
def test_a_purge_is_seen_at_once(workers: Workers, named: dict[str, bytes]) -> None:
    both_have_it(workers)
    workers[0].store.purge(Selection(**named))  # type: ignore[arg-type]
    assert workers[1].find() == ()
    assert workers[0].find() == ()
    if "host" not in named:
        assert workers[1].in_memory(page(1).key)


def test_a_replacement_is_seen_at_once(workers: Workers) -> None:
    both_have_it(workers)
    keep(workers[0].store, make_head(), b"new")
    assert workers[1].contents() == [b"new"]
    assert workers[1].in_memory(page(1).key)


def test_an_invalidation_is_seen_at_once(workers: Workers) -> None:
    both_have_it(workers)
    workers[0].store.invalidate(KEY)
    assert workers[1].find()[0].head.invalidated
    keep(workers[0].store, make_head(groups=frozenset({b"g"})))
    assert not workers[1].find()[0].head.invalidated
    workers[0].store.invalidate_groups(b"https://a.example", frozenset({b"g"}))
    assert workers[1].find()[0].head.invalidated


def test_a_freshened_head_and_a_removal_are_seen_at_once(workers: Workers) -> None:
    both_have_it(workers)
    workers[0].store.freshen(workers[0].find()[0], make_head(status=203))
    assert workers[1].find()[0].head.status == 203
    workers[1].store.remove(workers[1].find()[0])
    assert workers[0].find() == ()


def test_a_filling_of_another_worker_is_not_stored_after_a_purge(workers: Workers) -> None:
    both_have_it(workers)
    filling = fill(workers[1].store, b"from before", make_head())
    workers[0].store.purge(Selection(url=URL))
    assert filling.commit(make_head()) is None
    assert workers[1].find() == ()
    assert not workers[1].in_memory()


def test_what_was_evicted_from_the_disk_is_purged_from_memory(workers: Workers) -> None:
    both_have_it(workers)
    # Evictions are nothing that memory needs to know.
    workers[0].disk._folder.write("", lambda writing: writing.evict(1 << 40, 100))
    assert workers[1].contents() == [b"old"]
    workers[0].store.purge(Selection(tag=b"t"))
    assert workers[1].find() == ()


def test_who_missed_too_much_forgets_all(workers: Workers) -> None:
    both_have_it(workers)
    for number in range(MOST_CHANGES + 10):
        workers[0].store.invalidate(b"something else %d" % number)
    assert workers[1].contents() == [b"old"]
    assert not workers[1].in_memory(page(1).key)
    for number in range(MOST_CHANGES - 10):
        workers[0].store.invalidate(b"something else %d" % number)
    assert workers[1].contents() == [b"old"]
    assert workers[1].in_memory()


def test_a_large_purge_leaves_nothing_that_came_back_meanwhile(workers: Workers, clock: Clock) -> None:
    for number in range(600):
        keep(workers[0].store, page(number))
    for named in ("host", "group"):
        if named == "host":
            result = workers[0].store.purge(Selection(host=b"a.example"))
        else:
            for number in range(600):
                keep(workers[0].store, page(number, groups=frozenset({b"g"})))
            result = workers[0].store.invalidate_groups(b"https://a.example", frozenset({b"g"}))
        assert not isinstance(result, int)
        # Not yet done on disk, so they find it there.
        for worker in workers:
            for number in range(600):
                worker.find(page(number).key)
        clock.advance(0)
        assert result.called
        for worker in workers:
            found = [one for number in range(600) for one in worker.find(page(number).key)]
            assert all(one.head.invalidated for one in found)
            assert len(found) == (0 if named == "host" else 600)


def test_who_is_asked_for_in_memory_stays_on_disk(workers: Workers, clock: Clock) -> None:
    one, _ = workers
    keep(one.store, page(0))
    for number in range(1, 400):
        one.find(page(0).key)
        keep(one.store, page(number), octets(200_000))
        if number % 20 == 0:
            clock.advance(2)
    assert one.disk.usage().evicted > 200
    assert len(one.disk.find(page(0).key)) == 1


def test_memory_goes_on_without_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    clock = Clock()
    worker = Worker(str(file), clock)
    keep(worker.store, make_head(), b"only here")
    assert worker.contents() == [b"only here"]
    worker.store.freshen(worker.find()[0], make_head(status=203))
    assert worker.find()[0].head.status == 203
    assert worker.store.usage().responses == 1
    filling = fill(worker.store, b"from before", make_head())
    assert worker.store.invalidate(KEY) == 1
    assert worker.find()[0].head.invalidated
    assert filling.commit(make_head()) is None
    assert worker.store.purge(Selection(url=URL)) == 1
    assert worker.find() == ()
    assert fill(worker.store, octets(100_000), make_head()).commit(make_head()) is None
    keep(worker.store, make_head(), b"only here")
    file.unlink()
    clock.advance(2)
    # The folder is back: what others may have purged meanwhile is not trusted.
    worker.disk.find(b"")
    assert worker.find() == ()
    keep(worker.store, make_head(), b"on disk")
    assert len(worker.disk.find(KEY)) == 1
    worker.store.stop()


# Real processes.


class Process:
    """A worker in a process of its own, which does what it is told line by line."""

    def __init__(self, path: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.stores.worker", path, "obey", "0"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *order: object) -> str:
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(" ".join(map(str, order)) + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().strip()


@contextmanager
def process(path: str) -> Iterator[Process]:
    made = Process(path)
    try:
        yield made
    finally:
        made.popen.kill()
        made.popen.communicate()


def test_two_processes() -> None:
    with folder() as path, process(path) as one, process(path) as other:
        assert one("keep", 1, "first") == "kept"
        assert other("find", 1) == "first far"
        assert other("find", 1) == "first memory"
        assert one("keep", 1, "second") == "kept"
        assert other("find", 1) == "second far"
        assert one("find", 1) == "second memory"
        assert other("purge", "t1") == "1"
        assert one("find", 1) == "none"
        for number in range(20):
            assert one("keep", number, "x") == "kept"
            assert other("find", number) == "x far"
        assert one("invalidate", 7) == "1"
        assert other("find", 7) == "x far invalidated"
        assert other("find", 8) == "x memory"
        # A worker that is killed takes nothing with it.
        one.popen.kill()
        one.popen.wait()
        assert other("purge", "t8") == "1"
        with process(path) as third:
            assert third("find", 8) == "none"
            assert third("find", 9) == "x far"
            assert third("keep", 9, "third") == "kept"
            assert other("find", 9) == "third far"
