"""The disk store between processes: several that write, some that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.task import Clock

from revproxy.stores.disk import DiskStore
from revproxy.stores.folder import READER_CHECK
from tests.stores.responses import folder, keep, page, whole
from tests.stores.worker import LARGEST, MOST, content_of

CHECKOUT = Path(__file__).parents[2]


@contextmanager
def worker(path: str, what: str, seed: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does something to a folder; killed at the block's end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stores.worker", path, what, str(seed)], cwd=CHECKOUT, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def said(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def opened(path: str) -> Iterator[DiskStore]:
    store = DiskStore(path, MOST, LARGEST, Clock())
    try:
        yield store
    finally:
        store.stop()


def check_all(store: DiskStore) -> set[int]:
    """Reads everything that is there; which pages those are."""
    there = set()
    for number in range(300):
        for stored in store.find(page(number).key):
            assert whole(stored) == content_of(number)
            assert stored.head.tags == {b"t%d" % (number % 7)}
            there.add(number)
    assert store.usage().responses == len(there)
    return there


def files(path: str) -> list[str]:
    return [name for _, _, names in os.walk(os.path.join(path, "bodies")) for name in names]


def test_two_processes_write_at_once() -> None:
    with folder() as path, worker(path, "write", 1) as first, worker(path, "write", 2) as second:
        written = set()
        for process in (first, second):
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            written |= {int(line) for line in out.split()}
        with opened(path) as store:
            assert check_all(store) == written
            assert len(files(path)) == sum(1 for number in written if len(content_of(number)) > 65_536)


def test_a_writer_is_killed_and_all_that_is_there_is_whole() -> None:
    with folder() as path:
        written: set[int] = set()
        for seed in range(3):
            with worker(path, "write on", seed) as process:
                written |= {int(said(process)) for _ in range(40 + 7 * seed)}
                process.kill()
                out, _ = process.communicate()
                # What it said and nobody read, and what it stored and could not say.
                written |= {int(line) for line in out.split()}
            with opened(path) as store:
                there = check_all(store)
                assert written <= there
                assert len(there - written) <= 1
                written = there
                while store.sweep():
                    pass
                large = [number for number in there if len(content_of(number)) > 65_536]
                assert len(files(path)) == len(large)


def test_what_a_killed_process_did_not_complete_is_removed() -> None:
    with folder() as path:
        with worker(path, "fill on") as process:
            assert int(said(process)) == 500_000
            with opened(path) as store:
                assert store.find(page(1).key) == ()
                # It lives: its file stays.
                assert (
                    sum(
                        1 for _, _, names in os.walk(os.path.join(path, "filling")) for name in names if "." not in name
                    )
                    == 1
                )
        with opened(path) as store:
            store.find(b"")
            names = [name for _, _, names in os.walk(os.path.join(path, "filling")) for name in names]
            assert len(names) == 1
            assert names[0].startswith(str(os.getpid()))


def test_a_killed_reader_does_not_pin_pages_for_ever() -> None:
    with folder() as path, opened(path) as store:
        keep(store, page(0), content_of(0))
        with worker(path, "read on") as process:
            said(process)
        assert store.environment.lmdb is not None
        readers = store.environment.lmdb.readers()
        assert str(process.pid) in readers
        for _ in range(READER_CHECK):
            store.tick()
        assert str(process.pid) not in store.environment.lmdb.readers()


def test_after_a_fork_the_child_opens_its_own() -> None:
    with folder() as path, opened(path) as store:
        keep(store, page(0), content_of(0))
        keep(store, page(5), content_of(5))
        child = os.fork()
        if not child:
            # Nothing may leave the child but its exit status.
            status = 1
            try:
                assert store.environment.lmdb is None
                assert [whole(one) for one in store.find(page(5).key)] == [content_of(5)]
                keep(store, page(1), content_of(1))
                store.stop()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert [whole(one) for one in store.find(page(1).key)] == [content_of(1)]
        keep(store, page(2), content_of(2))
        assert len(store.find(page(0).key)) == 1
