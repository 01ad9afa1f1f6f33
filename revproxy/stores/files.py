"""Large content in files of its own: written aside, renamed when complete, read through an open descriptor.

A file holds the content and behind it the CRC-32 of every block of 64 KiB. The first time that a process reads a block,
it checks it; after that it trusts the kernel. Whoever has the descriptor reads on when the file is replaced or removed.

Nothing here is synced. After ``kill -9`` the kernel still has every octet; after a power loss a file may be short or
hold zeros, and then its length or its checksums tell.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from typing import Final
from zlib import crc32

from revproxy.caching.stored import Content

BLOCK: Final = 64 * 1024
_CHECKSUM_SIZE: Final = 4


def blocks_of(size: int) -> int:
    """How many blocks content of ``size`` octets has."""
    return -(-size // BLOCK)


def file_size(size: int) -> int:
    """The octets of the file for content of ``size`` octets."""
    return size + _CHECKSUM_SIZE * blocks_of(size)


class Descriptor:
    """An open file, closed when nobody has it any more."""

    __slots__ = ("number",)

    def __init__(self, path: str, flags: int) -> None:
        """Raises OSError."""
        self.number = -1
        self.number = os.open(path, flags | os.O_CLOEXEC, 0o600)

    def read(self, offset: int, most: int) -> bytes:
        """Raises OSError."""
        return os.pread(self.number, most, offset)

    def write(self, data: bytes, offset: int) -> None:
        """Writes all of it. Raises OSError; then some of it may be there."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self.number, view, offset)
            offset += written
            view = view[written:]

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


class BodyFile:
    """Content that is being written to a file aside."""

    __slots__ = ("_checksum", "_checksums", "descriptor", "path", "size", "table")

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self.path = path
        self.descriptor = Descriptor(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self.size = 0
        self.table = b""
        self._checksums = array("I")
        self._checksum = 0

    def write(self, data: bytes) -> None:
        """Adds octets. Raises OSError; then none of them count."""
        self.descriptor.write(data, self.size)
        view = memoryview(data)
        size = self.size
        while view:
            piece = view[: BLOCK - size % BLOCK]
            self._checksum = crc32(piece, self._checksum)
            size += len(piece)
            view = view[len(piece) :]
            if size % BLOCK == 0:
                self._checksums.append(self._checksum)
                self._checksum = 0
        self.size = size

    def read(self, offset: int, most: int) -> bytes:
        """Raises OSError."""
        return self.descriptor.read(offset, min(most, self.size - offset))

    def seal(self) -> int:
        """Completes the file; the checksum of its checksums. Raises OSError."""
        if self.size % BLOCK:
            self._checksums.append(self._checksum)
        self._checksum = 0
        self.table = b"".join([value.to_bytes(_CHECKSUM_SIZE, "big") for value in self._checksums])
        self.descriptor.write(self.table, self.size)
        return crc32(self.table)

    def rename(self, path: str) -> None:
        """Gives a sealed file its lasting name. Raises OSError."""
        try:
            os.rename(self.path, path)
        except FileNotFoundError:
            # The first one of its folder.
            os.mkdir(os.path.dirname(path), 0o700)
            os.rename(self.path, path)
        self.path = path

    def content(self, damaged: Callable[[], None]) -> FileContent:
        """The sealed file's content, which needs no check."""
        return FileContent(self.descriptor, self.size, self.table, bytearray(b"\1") * blocks_of(self.size), damaged)

    def remove(self) -> None:
        """Takes its name away. What has the descriptor reads on."""
        remove_file(self.path)


def remove_file(path: str) -> None:
    """Removes a file that may be gone, or that a later sweep will find."""
    try:
        os.unlink(path)
    except OSError:
        pass


class FileContent(Content):
    """Content in a file. ``damaged`` is called when a block isn't what was written."""

    __slots__ = ("_checked", "_checksums", "_damaged", "_descriptor")

    def __init__(
        self,
        descriptor: Descriptor,
        size: int,
        checksums: bytes,
        checked: bytearray,
        damaged: Callable[[], None],
    ) -> None:
        super().__init__(None, size)
        self._descriptor = descriptor
        self._checksums = checksums
        self._checked = checked
        self._damaged = damaged

    def read(self, offset: int, most: int) -> bytes:
        most = min(most, self.size - offset)
        if most <= 0:
            return b""
        place = offset // BLOCK
        begin = offset - place * BLOCK
        if self._checked[place]:
            # Not beyond the block: the next one may not be checked.
            data = self._descriptor.read(offset, min(most, BLOCK - begin))
            if not data:
                raise self._lost()
            return data
        block = self._descriptor.read(place * BLOCK, min(BLOCK, self.size - place * BLOCK))
        wanted = self._checksums[place * _CHECKSUM_SIZE : (place + 1) * _CHECKSUM_SIZE]
        if crc32(block).to_bytes(_CHECKSUM_SIZE, "big") != wanted:
            raise self._lost()
        self._checked[place] = 1
        return block if not begin and len(block) <= most else block[begin : begin + most]

    def _lost(self) -> OSError:
        self._damaged()
        return OSError("a stored file is damaged")


def open_content(
    path: str, size: int, checksum: int, checked: bytearray | None, damaged: Callable[[], None]
) -> tuple[FileContent, bytearray]:
    """Content that was stored, and which of its blocks were checked (given back to the next who opens it).

    Raises FileNotFoundError where it is gone, ValueError where it is not what was written, OSError where it cannot be
    read now.
    """
    descriptor = Descriptor(path, os.O_RDONLY)
    if os.fstat(descriptor.number).st_size != file_size(size):
        raise ValueError("a stored file has another size")
    table = descriptor.read(size, _CHECKSUM_SIZE * blocks_of(size))
    if crc32(table) != checksum:
        raise ValueError("a stored file's checksums are damaged")
    if checked is None:
        checked = bytearray(blocks_of(size))
    return FileContent(descriptor, size, table, checked, damaged), checked
