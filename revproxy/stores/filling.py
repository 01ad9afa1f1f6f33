"""Responses on their way into a store: in memory, or for the disk in memory up to 64 KiB and then in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.stores.files import BodyFile
from revproxy.stores.pieces import Pieces
from revproxy.stores.tables import LARGEST_BODY

if TYPE_CHECKING:
    from revproxy.stores.disk import DiskStore


class Keeper(Protocol):
    """A store that takes responses from memory."""

    largest: int

    def reserve(self, octets: int) -> bool:
        """Asks for room for a part of a response that isn't complete; whether there is any."""

    def release(self, octets: int) -> None:
        """Gives room back."""

    def store(self, head: StoredHead, content: Content, began: Any) -> StoredResponse | None:
        """Stores what is complete; ``began`` is what the store said when it began."""


class MemoryFilling:
    """A response that is being stored, in memory until it is complete."""

    __slots__ = ("_began", "_done", "_pieces", "_reserved", "_store", "broken", "size")

    def __init__(self, store: Keeper, expected: int, began: Any) -> None:
        self._store = store
        self._began = began
        self._pieces = Pieces()
        self._reserved = 0
        self._done = False
        self.size = 0
        self.broken = expected > store.largest

    def write(self, data: bytes) -> None:
        if self._done:
            return
        if not self.broken:
            if self.size + len(data) > self._store.largest or not self._store.reserve(len(data)):
                self.broken = True
                self._release()
            else:
                self._reserved += len(data)
        self._pieces.write(data)
        self.size += len(data)

    def read(self, offset: int, most: int) -> bytes:
        return self._pieces.read(offset, most)

    def forget(self, offset: int) -> None:
        if self.broken:
            self._pieces.forget(offset)

    @property
    def octets(self) -> bytes | None:
        """All of it, where it can be stored."""
        return None if self.broken or self._done else self._pieces.joined()

    def commit(self, head: StoredHead) -> StoredResponse | None:
        if self._done:
            return None
        self._done = True
        self._release()
        if self.broken:
            return None
        stored = self._store.store(head, self._pieces.content(), self._began)
        self.broken = stored is None
        return stored

    def discard(self) -> None:
        self._done = True
        self._release()
        self._pieces = Pieces()

    def _release(self) -> None:
        self._store.release(self._reserved)
        self._reserved = 0


class DiskFilling:
    """A response that is being stored on disk.

    Its octets are in the file up to ``_beyond``, and in memory from there: all of them while it is small, and those
    that came after a file failed or the response grew too large.
    """

    __slots__ = ("_began", "_beyond", "_done", "_file", "_pieces", "_reserved", "_store", "broken", "size")

    def __init__(self, store: DiskStore, expected: int, began: int) -> None:
        self._store = store
        self._began = began
        self._pieces = Pieces()
        self._beyond = 0
        self._file: BodyFile | None = None
        self._reserved = 0
        self._done = False
        self.size = 0
        self.broken = expected > store.largest

    def write(self, data: bytes) -> None:
        if self._done:
            return
        size = self.size + len(data)
        if not self.broken:
            if size > self._store.largest:
                self._break()
            elif size > LARGEST_BODY and self._write_file(data):
                self.size = self._beyond = size
                return
        self._pieces.write(data)
        self.size = size

    def _write_file(self, data: bytes) -> bool:
        """Writes to the file; the first time, all that is in memory as well. Whether it could."""
        earlier = self._pieces.joined() if self._file is None else b""
        octets = len(earlier) + len(data)
        if not self._store.reserve(octets):
            self._break()
            return False
        self._reserved += octets
        try:
            if self._file is None:
                self._file = self._store.new_file()
                self._file.write(earlier)
            self._file.write(data)
        except OSError as error:
            if self._beyond == 0 and self._file is not None:
                # What is in memory is all there; the file serves nobody.
                self._file.remove()
                self._file = None
            self._break()
            self._store.complain("a response was not stored", error)
            return False
        self._pieces = Pieces()
        return True

    def read(self, offset: int, most: int) -> bytes:
        if offset >= self._beyond:
            return self._pieces.read(offset - self._beyond, most)
        assert self._file is not None
        return self._file.read(offset, most)

    def forget(self, offset: int) -> None:
        if self.broken:
            self._pieces.forget(offset - self._beyond)

    @property
    def octets(self) -> bytes | None:
        """All of it, where it is in memory."""
        return self._pieces.joined() if self._file is None and not self.broken else None

    def commit(self, head: StoredHead) -> StoredResponse | None:
        if self._done:
            return None
        self._done = True
        self._release()
        if self.broken:
            return None
        stored = self._store.store(head, self._pieces.joined() if self._file is None else self._file, self._began)
        if stored is None:
            self._break()
        return stored

    def discard(self) -> None:
        if not self._done and self._file is not None:
            self._file.remove()
        self._done = True
        self._release()
        self._file = None
        self._beyond = 0
        self._pieces = Pieces()

    def _break(self) -> None:
        self.broken = True
        if self._file is not None:
            self._file.remove()
        self._release()

    def _release(self) -> None:
        self._store.release(self._reserved)
        self._reserved = 0
