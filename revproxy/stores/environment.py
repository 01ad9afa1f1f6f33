"""The LMDB environment of a folder: one per process, shared by the processes of a machine.

What goes wrong with LMDB, and what is done about it:

- A second ``open`` of the same files in one process breaks their locks. So environments are kept by real path, above
  generations and stores: ``environment`` gives the same one again, and it closes when the last user let go of it.
- An environment may not be used across a fork, and a child that closes what it inherited takes the parent's place
  among the readers away, so that pages change under the parent. So it is closed before each fork; both sides open
  their own when they next need it. (``subprocess`` does not fork in this sense.)
- Commits are not synced: a synced one costs a hundred times as much and keeps the reactor waiting for the disk. After
  ``kill -9`` the kernel still has all of it, and what was committed is whole. After a power loss the pages may be a
  mixture in which LMDB would walk into nowhere. So the folder remembers under which boot it was written. A clean stop
  syncs and notes the transaction that it synced. Under another boot, the environment is used again only if its last
  transaction is that one, and is made anew otherwise.
- A reader that was killed pins pages for ever, until ``reader_check`` finds it: that is called at times.
- The folder may be removed, or made anew by another process: the files of the name are no longer those that are open.
  That is looked at once a second.

Beside the environment lies a page of shared memory with two numbers, so that they can be read at every hit: the last
change (see ``tables.py``), and the first id that a purge of everything left.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import shutil
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

import lmdb

from revproxy.stores.files import remove_file
from revproxy.stores.tables import Counts

VERSION: Final = b"revproxy cache 1"
PAGE_SIZE: Final = 4096
LAST_CHANGE, FLOOR = 0, 1
"""The places in the page."""
TABLES: Final = ("meta", "keys", "heads", "bodies", "visited", "urls", "labels", "changes", "orders", "cutoffs")
MOST_READERS: Final = 512
LOCK: Final = ".lock"
DOOMED: Final = "doomed-"
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NO_PAGE: Final = (0, 0)

UNUSABLE: Final = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.InvalidError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.DbsFullError,
)
"""Errors after which the environment is made anew."""

_environments: dict[str, Environment] = {}


def environment(folder: str, map_size: int) -> Environment:
    """The environment of a folder, the same for all users in this process. Each user calls ``release`` once."""
    path = os.path.realpath(folder)
    there = _environments.get(path)
    if there is None:
        there = _environments[path] = Environment(path)
    there.users += 1
    there.map_size = max(there.map_size, map_size)
    return there


def _before_fork() -> None:
    for one in _environments.values():
        one.suspend()


def _after_fork() -> None:
    for one in _environments.values():
        one.abandon()


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def boot_id() -> bytes:
    """What is another after each start of the machine; empty where the system doesn't tell."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


class Environment:
    """The files of a folder, opened when they are first needed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.map_size = 0
        self.users = 0
        self.generation = 1
        """Grows when what is stored may be another: whoever keeps something of it compares."""
        self.page: MutableSequence[int] | tuple[int, int] = _NO_PAGE
        """The shared page, or two zeros while nothing is open."""
        self.tables: dict[str, lmdb._Database] = {}
        self.aside = ""
        """The folder in which this process writes what isn't complete."""
        self.lmdb: lmdb.Environment | None = None
        """None while it isn't open."""
        self._file: tuple[int, int] = (0, 0)
        self._mapping: mmap.mmap | None = None
        self._locks: list[int] = []

    # Paths.

    @property
    def index(self) -> str:
        return os.path.join(self.path, "index")

    def body_path(self, number: int) -> str:
        """Where the content of a large response is."""
        return os.path.join(self.path, "bodies", f"{number & 0xFF:02x}", f"{number:016x}")

    # Opening and closing.

    def open(self) -> lmdb.Environment:
        """The environment. Raises OSError or lmdb.Error where there can be none."""
        if self.lmdb is None:
            try:
                with self._locked():
                    if not self._locks:
                        self._hold()
                        self._open_aside()
                    self._open_index()
                    self._open_page()
            except (OSError, lmdb.Error):
                self.close()
                raise
            assert self.lmdb is not None
        return self.lmdb

    def release(self) -> None:
        """One user less; the last one closes and syncs. Raises nothing."""
        self.users -= 1
        if self.users > 0:
            return
        _environments.pop(self.path, None)
        try:
            if self._locks:
                opened = self.open()
                with self._locked():
                    if self._is_alone():
                        opened.sync(True)
                        self._note(b"%d" % opened.info()["last_txnid"])
        except (OSError, lmdb.Error):
            # It will be made anew if the power fails; nothing else follows.
            pass
        self.close()

    def suspend(self) -> None:
        """Closes the environment and the page; ``open`` goes on with the same."""
        page, self.page = self.page, _NO_PAGE
        if isinstance(page, memoryview):
            page.release()
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None
        if self.lmdb is not None:
            self.lmdb.close()
            self.lmdb = None

    def close(self) -> None:
        """Closes all files, and removes what isn't complete; what ``open`` opens may be another."""
        if self.aside:
            shutil.rmtree(self.aside, ignore_errors=True)
            remove_file(self.aside + LOCK)
        self.abandon()

    def abandon(self) -> None:
        """Closes all files and leaves everything as it is: in a child after a fork it belongs to the parent."""
        self.suspend()
        for descriptor in self._locks:
            os.close(descriptor)
        self._locks = []
        self.aside = ""
        self.generation += 1

    def make_anew(self) -> None:
        """Throws everything away, for every process. Raises OSError or lmdb.Error."""
        self.close()
        with self._locked():
            self._remove()
        self.open()

    def is_replaced(self) -> bool:
        """Whether the open files are no longer those of the folder, or nothing is open."""
        if self.lmdb is None:
            return True
        try:
            status = os.stat(os.path.join(self.index, "data.mdb"))
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._file

    # Steps of them.

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among processes; only for what is quick."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _hold(self) -> None:
        """Says to others, for as long as this process lives, that the environment is in use."""
        users = os.open(os.path.join(self.path, "users"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._locks.append(users)
        fcntl.flock(users, fcntl.LOCK_SH)

    def _is_alone(self) -> bool:
        """Whether no other process has the environment open; call it where none can open it."""
        try:
            fcntl.flock(self._locks[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _open_index(self) -> None:
        version, boot, synced = self._noted()
        here = boot_id()
        if version == VERSION and (synced or (boot and boot == here)):
            try:
                last = self._open_lmdb()
                if (boot and boot == here) or b"%d" % last == synced:
                    if synced or boot != here:
                        self._note(b"")
                    return
                self._close_lmdb()
            except UNUSABLE:
                self._close_lmdb()
        self._remove()
        self._open_lmdb()
        self._note(b"")

    def _close_lmdb(self) -> None:
        if self.lmdb is not None:
            self.lmdb.close()
            self.lmdb = None

    def _open_lmdb(self) -> int:
        """Opens the files, makes the tables; the last transaction that was there before."""
        os.makedirs(self.index, mode=0o700, exist_ok=True)
        os.makedirs(os.path.join(self.path, "bodies"), mode=0o700, exist_ok=True)
        opened = lmdb.open(
            self.index,
            map_size=self.map_size,
            mode=0o600,
            sync=False,
            readahead=False,
            max_readers=MOST_READERS,
            max_dbs=len(TABLES),
            max_spare_txns=2,
        )
        self.lmdb = opened
        last: int = opened.info()["last_txnid"]
        self.tables = {name: opened.open_db(name.encode("ascii")) for name in TABLES}
        status = os.stat(os.path.join(self.index, "data.mdb"))
        self._file = status.st_dev, status.st_ino
        return last

    def _open_page(self) -> None:
        descriptor = os.open(os.path.join(self.index, "page"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, PAGE_SIZE)
            self._mapping = mmap.mmap(descriptor, PAGE_SIZE)
        finally:
            os.close(descriptor)
        page = cast("MutableSequence[int]", memoryview(self._mapping).cast("Q"))
        assert self.lmdb is not None
        # A write transaction, so that nobody writes later numbers at the same time.
        with self.lmdb.begin(write=True) as txn:
            data = txn.get(b"counts", db=self.tables["meta"])
            counts = Counts(data)
            if data is None:
                txn.put(b"counts", counts.encoded(), db=self.tables["meta"])
            page[FLOOR], page[LAST_CHANGE] = counts.floor, counts.last_change
        self.page = page

    def _open_aside(self) -> None:
        """Makes this process's folder for what isn't complete, and removes those of processes that are gone."""
        base = os.path.join(self.path, "filling")
        os.makedirs(base, mode=0o700, exist_ok=True)
        for name in os.listdir(base):
            _remove_abandoned(os.path.join(base, name))
        self.aside = os.path.join(base, f"{os.getpid()}-{secrets.token_hex(8)}")
        lock = os.open(self.aside + LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._locks.append(lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.mkdir(self.aside, 0o700)

    def _remove(self) -> None:
        """Removes all that is stored; files that others have open live on unseen. Large content is only put out of
        sight: a sweep removes it in steps."""
        shutil.rmtree(self.index, ignore_errors=True)
        try:
            os.rename(os.path.join(self.path, "bodies"), os.path.join(self.path, DOOMED + secrets.token_hex(8)))
        except FileNotFoundError:
            pass

    # The note of which boot, and what was synced.

    def _noted(self) -> tuple[bytes, bytes, bytes]:
        try:
            lines = Path(self.path, "state").read_bytes().split(b"\n")
        except OSError:
            lines = []
        version, boot, synced, *_ = [*lines, b"", b"", b""]
        return version, boot, synced

    def _note(self, synced: bytes) -> None:
        """Writes the note durably: what a synced one allows must not outlive it. Raises OSError."""
        path = os.path.join(self.path, "state")
        fresh = path + ".new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"\n".join((VERSION, boot_id(), synced, b"")))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(fresh, path)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove_abandoned(path: str) -> None:
    """Removes a folder of incomplete files and its lock, if the process that made it is gone."""
    if not path.endswith(LOCK):
        return
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path.removesuffix(LOCK), ignore_errors=True)
        remove_file(path)
    except OSError:
        # It lives.
        pass
    finally:
        os.close(lock)
