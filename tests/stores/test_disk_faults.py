"""The disk store when the disk fails: a request is served all the same, and the log says why."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from revproxy.interfaces import Selection
from revproxy.stores import environment as environments
from revproxy.stores.complaints import EVERY
from revproxy.stores.disk import DiskStore
from revproxy.stores.environment import LAST_CHANGE, Environment
from revproxy.stores.tables import ID
from tests.stores.responses import EN, KEY, URL, fill, folder, keep, make_head, octets, page, whole

MOST = 4_000_000
LARGE = 200_000


@contextmanager
def opened(path: str, clock: Clock | None = None, most: int = MOST) -> Iterator[DiskStore]:
    store = DiskStore(path, most, 1_000_000, clock or Clock())
    try:
        yield store
    finally:
        store.stop()


@pytest.fixture
def path() -> Iterator[str]:
    with folder() as made:
        yield made


@pytest.fixture
def store(path: str) -> Iterator[DiskStore]:
    with opened(path) as made:
        yield made


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What the stores said."""
    lines: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "store" in event:
            lines.append(f"{event['what']}: {event['cause']} ({event['unsaid']})")

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def all_of(store: DiskStore, key: bytes = KEY) -> list[bytes]:
    return [whole(one) for one in store.find(key)]


def use_all(store: DiskStore) -> None:
    """Everything that can be asked of a store, where nothing is in it and nothing can be."""
    filling = fill(store, octets(LARGE), make_head())
    assert filling.read(0, 10) == octets(10)
    assert filling.read(LARGE - 1, 10) == octets(LARGE)[-1:]
    assert filling.commit(make_head()) is None
    assert filling.broken
    filling.discard()
    small = fill(store, b"small", make_head())
    assert small.commit(make_head()) is None
    assert store.find(KEY) == ()
    assert store.invalidate(KEY) == 0
    assert store.invalidate_groups(b"https://a.example", frozenset({b"g"})) == 0
    assert store.purge(Selection(everything=True)) == 0
    assert store.purge(Selection(host=b"a.example")) == 0
    assert store.usage().responses == 0
    assert store.changes(0) == (0, None)
    store.tick()


# What outlives what.


def test_it_outlives_a_restart(path: str) -> None:
    with opened(path) as store:
        keep(store, make_head(selecting=EN, tags=frozenset({b"t"})), b"small")
        keep(store, page(1), octets(LARGE))
        before = store.usage()
    with opened(path) as store:
        assert store.usage() == before
        assert all_of(store) == [b"small"]
        assert all_of(store, page(1).key) == [octets(LARGE)]
        assert store.purge(Selection(tag=b"t")) == 1


def test_after_a_power_loss_it_begins_anew(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as store:
        keep(store, page(1), octets(LARGE))
        # As if the machine stopped here: this process never says that it synced.
        monkeypatch.setattr(Environment, "_is_alone", lambda self: False)
    monkeypatch.setattr(environments, "boot_id", lambda: b"another")
    with opened(path) as store:
        assert all_of(store, page(1).key) == []
        keep(store, page(1), octets(LARGE, 1))
        assert all_of(store, page(1).key) == [octets(LARGE, 1)]
        while store.sweep():
            pass
        assert not [name for name in os.listdir(path) if name.startswith(environments.DOOMED)]


def test_after_a_clean_stop_and_a_reboot_it_goes_on(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(path) as store:
        keep(store, page(1), octets(LARGE))
    monkeypatch.setattr(environments, "boot_id", lambda: b"another")
    with opened(path) as store:
        assert all_of(store, page(1).key) == [octets(LARGE)]
        monkeypatch.setattr(Environment, "_is_alone", lambda self: False)
    # The note of the clean stop is no longer there: it was for what was synced then.
    monkeypatch.setattr(environments, "boot_id", lambda: b"a third")
    with opened(path) as store:
        assert all_of(store, page(1).key) == []


def test_where_no_boot_is_known_only_a_clean_stop_counts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_BOOT_ID", Path(path, "nothing"))
    assert environments.boot_id() == b""
    for clean in (True, False):
        with opened(path) as store:
            keep(store, page(1))
            monkeypatch.setattr(Environment, "_is_alone", lambda self, clean=clean: clean)
        with opened(path) as store:
            assert bool(all_of(store, page(1).key)) == clean


def test_one_environment_for_all_stores_of_a_process(path: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with opened(path) as first:
        keep(first, page(1))
        with opened(str(link)) as second:
            assert first.environment is second.environment
            assert all_of(second, page(1).key) == [b"content"]
            keep(second, page(2))
        # The second one let go of it, the first one goes on.
        assert all_of(first, page(2).key) == [b"content"]
    assert first.environment.lmdb is None


def test_nothing_that_is_found_depends_on_a_page(store: DiskStore) -> None:
    keep(store, page(1), octets(3000))
    (held,) = store.find(page(1).key)
    assert type(held.content.octets) is bytes
    store.purge(Selection(everything=True))
    for number in range(200):
        keep(store, page(number), bytes(3000))
    assert whole(held) == octets(3000)
    assert store.environment.lmdb is not None
    with pytest.raises(ValueError, match="released"):
        page_before = store.environment.page
        store.environment.close()
        page_before[0]


# Damage.


def test_other_files_under_its_names(path: str, log: list[str]) -> None:
    for name in ("data.mdb", "lock.mdb", "page"):
        with opened(path) as store:
            keep(store, page(1))
        Path(path, "index", name).write_bytes(octets(50_000))
        with opened(path) as store:
            keep(store, page(1), b"new")
            assert all_of(store, page(1).key) == [b"new"]


def damage(store: DiskStore, table: str, number: int, place: int) -> None:
    with store.environment.open().begin(write=True) as txn:
        data = bytearray(txn.get(ID.pack(number), db=store.environment.tables[table]) or b"")
        data[place] ^= 1
        txn.put(ID.pack(number), bytes(data), db=store.environment.tables[table])


@pytest.mark.parametrize("table", ["heads", "bodies"])
def test_damage_in_a_table_is_found_and_dropped(path: str, table: str, log: list[str]) -> None:
    with opened(path) as store:
        keep(store, make_head(selecting=EN), b"other")
        number = keep(store, make_head(tags=frozenset({b"t"})), b"small").mark
        assert len(store.find(KEY)) == 2
    with opened(path) as store:
        damage(store, table, number, 30 if table == "heads" else 3)
        assert all_of(store) == [b"other"]
        assert store.usage().responses == 1
        assert store.purge(Selection(tag=b"t")) == 0
        assert store.purge(Selection(url=URL)) == 1
        assert store.usage().octets == 0
    assert log == ["a stored response was dropped: it is damaged (0)"]


def body_files(path: str) -> list[Path]:
    return [file for file in Path(path, "bodies").rglob("*") if file.is_file()]


@pytest.mark.parametrize("place", [0, 70_000, LARGE - 1, LARGE + 1])
def test_damage_in_a_file_is_found_and_dropped(path: str, place: int, log: list[str]) -> None:
    with opened(path) as store:
        keep(store, page(1), octets(LARGE))
    (file,) = body_files(path)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    with opened(path) as store:
        found = store.find(page(1).key)
        if found:
            with pytest.raises(OSError, match="damaged"):
                whole(found[0])
        else:
            assert place > LARGE
        assert store.find(page(1).key) == ()
        assert store.usage().octets == 0
        assert body_files(path) == []
    assert log == ["a stored response was dropped: it is damaged (0)"]


@pytest.mark.parametrize("size", [None, 0, LARGE, LARGE + 1000])
def test_a_file_that_is_gone_or_has_another_size(path: str, size: int | None) -> None:
    with opened(path) as store:
        keep(store, page(1), octets(LARGE))
        (file,) = body_files(path)
        if size is None:
            file.unlink()
        else:
            os.truncate(file, size)
        assert store.find(page(1).key) == ()
        assert store.usage().responses == 0


def test_a_file_that_shrinks_while_it_is_read(store: DiskStore, path: str) -> None:
    keep(store, page(1), octets(LARGE))
    (stored,) = store.find(page(1).key)
    whole(stored)
    os.truncate(body_files(path)[0], 0)
    with pytest.raises(OSError, match="damaged"):
        stored.content.read(0, 10)


def test_a_file_without_a_record_is_removed_in_time(path: str) -> None:
    with opened(path) as store:
        keep(store, page(1), octets(LARGE))
        (file,) = body_files(path)
        for name in ("0000000000000001", "ffffffffffffffffff", "no number"):
            (file.parent / name).write_bytes(b"left over")
    clock = Clock()
    with opened(path, clock) as store:
        store.find(b"")
        for _ in range(5):
            clock.advance(1)
        assert body_files(path) == [file]
        assert all_of(store, page(1).key) == [octets(LARGE)]


# Folders that are none.


@pytest.mark.parametrize("where", ["/proc/nothing/here", "a file"])
def test_a_folder_that_cannot_be(where: str, tmp_path: Path, log: list[str]) -> None:
    if where == "a file":
        file = tmp_path / "file"
        file.write_bytes(b"")
        where = str(file)
    clock = Clock()
    with opened(where, clock) as store:
        use_all(store)
        assert len(log) == 1
        assert log[0].startswith("the folder could not be opened: ")
        use_all(store)
        assert len(log) == 1
        clock.advance(EVERY)
        use_all(store)
        assert len(log) == 2


def test_a_folder_that_comes_later(tmp_path: Path) -> None:
    file = tmp_path / "folder"
    file.write_bytes(b"")
    clock = Clock()
    with opened(str(file), clock) as store:
        use_all(store)
        file.unlink()
        clock.advance(1)
        keep(store, page(1), octets(LARGE))
        assert all_of(store, page(1).key) == [octets(LARGE)]


def test_a_folder_that_is_removed(path: str, log: list[str]) -> None:
    clock = Clock()
    with opened(path, clock) as store:
        keep(store, page(1), octets(LARGE))
        (held,) = store.find(page(1).key)
        begun = fill(store, octets(LARGE), page(2))
        shutil.rmtree(path)
        assert whole(held) == octets(LARGE)
        assert begun.commit(page(2)) is None
        assert begun.read(0, 5) == octets(5)
        assert fill(store, octets(LARGE), page(3)).commit(page(3)) is None
        assert store.find(page(1).key) == ()
        clock.advance(1)
        keep(store, page(4), octets(LARGE))
        assert all_of(store, page(4).key) == [octets(LARGE)]
    assert len(log) == 1


def test_a_folder_that_another_process_made_anew(path: str) -> None:
    clock = Clock()
    with opened(path, clock) as store:
        keep(store, page(1), octets(LARGE))
        environment = Environment(os.path.realpath(path))
        environment.map_size = 1 << 24
        shutil.rmtree(os.path.join(path, "index"))
        environment.make_anew()
        clock.advance(1)
        assert store.find(page(1).key) == ()
        environment.close()


def test_a_purge_goes_to_the_new_files_at_once(path: str) -> None:
    with opened(path) as store:
        keep(store, page(1))
        environment = Environment(os.path.realpath(path))
        environment.map_size = 1 << 24
        shutil.rmtree(os.path.join(path, "index"))
        environment.make_anew()
        before = environment.page[LAST_CHANGE]
        environment.close()
        store.purge(Selection(tag=b"t"))
        assert store.environment.page[LAST_CHANGE] == before + 1


# No room.


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Lets writes beyond a size fail, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_while_a_file_is_written(store: DiskStore, path: str, log: list[str]) -> None:
    keep(store, page(1))
    with no_file_beyond(150_000):
        filling = fill(store, octets(LARGE), page(2), piece=30_000)
        assert filling.broken
        assert b"".join(filling.read(at, 1000) for at in range(0, LARGE, 1000)) == octets(LARGE)
        filling.forget(190_000)
        assert filling.read(199_000, 5000) == octets(LARGE)[199_000:]
        assert filling.commit(page(2)) is None
        filling.discard()
        at_once = fill(store, octets(LARGE), page(2), piece=LARGE)
        assert at_once.read(0, LARGE) == octets(LARGE)
        at_once.discard()
    assert all_of(store, page(1).key) == [b"content"]
    assert store.find(page(2).key) == ()
    assert store.usage().octets < 10_000
    assert len(log) == 1
    assert sum(len(names) for _, _, names in os.walk(os.path.join(path, "filling"))) == 1
    keep(store, page(2), octets(LARGE))


def test_a_full_disk_while_tables_are_written(store: DiskStore, log: list[str]) -> None:
    keep(store, page(1), octets(50_000))
    with no_file_beyond(250_000):
        stored = [fill(store, octets(60_000), page(number)).commit(page(number)) for number in range(2, 10)]
        assert None in stored
        (old,) = store.find(page(1).key)
        assert store.freshen(old, page(1)).head.status == 200
        assert all_of(store, page(1).key) == [octets(50_000)]
    assert len(log) == 1
    keep(store, page(20), octets(50_000))


def test_a_purge_that_cannot_be_written_throws_all_away(store: DiskStore, log: list[str]) -> None:
    for number in range(40):
        keep(store, page(number), octets(20_000))
    with no_file_beyond(0):
        # Not even a beginning can be made: the purge is kept by having nothing.
        assert store.purge(Selection(url=page(7).url)) == 0
        assert store.find(page(7).key) == ()
    assert len(log) == 1
    store._folder._retry = 0.0
    assert store.find(page(7).key) == ()
    keep(store, page(7))


def test_a_map_that_is_full(path: str, log: list[str]) -> None:
    with opened(path) as store:
        store.environment.map_size = 1 << 20
        stored = [fill(store, octets(60_000), page(number)).commit(page(number)) for number in range(40)]
        assert None in stored
        assert all_of(store, page(0).key) == [octets(60_000)]
        assert store.usage().responses > 5
    assert log[0].startswith("a response was not stored: ")


def test_room_for_large_responses_is_made_while_they_come(path: str) -> None:
    with opened(path) as store:
        for number in range(300):
            keep(store, page(number), octets(10_000))
        before = store.usage().responses
        fillings = []
        for number in range(1000, 1004):
            fillings.append(fill(store, octets(400_000), page(number)))
            assert store.usage().octets <= MOST
        assert store.usage().responses < before
        assert fill(store, octets(900_000), page(1)).broken
        assert [filling.commit(page(1000 + place)) is not None for place, filling in enumerate(fillings)] == [True] * 4


def test_a_large_purge_is_done_in_turns(path: str) -> None:
    clock = Clock()
    with opened(path, clock, most=40_000_000) as store:
        for number in range(1000):
            keep(store, page(number, tags=frozenset({b"t"})))
        for named in ({"tag": b"t"}, {"everything": True}):
            result = store.purge(Selection(**named))
            assert not isinstance(result, int)
            if "everything" in named:
                assert store.find(page(999).key) == ()
            counts: list[int] = []
            result.addCallback(counts.append)
            keep(store, page(5, tags=frozenset({b"t"})), b"new")
            clock.advance(0)
            assert counts == [1000]
            assert all_of(store, page(5).key) == [b"new"]
            assert store.usage().responses == 1
            store.purge(Selection(url=page(5).url))
            for number in range(1000):
                keep(store, page(number, tags=frozenset({b"t"})))


def test_a_purge_that_is_not_done_when_the_store_stops(path: str) -> None:
    with opened(path, Clock(), most=40_000_000) as store:
        for number in range(600):
            keep(store, page(number))
        result = store.purge(Selection(host=b"a.example"))
        assert not isinstance(result, int)
        counts: list[int] = []
        result.addCallback(counts.append)
    assert counts == [256]
