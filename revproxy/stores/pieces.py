"""Content as it arrives: pieces that can be read while more come, and that become stored content without a copy."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from revproxy.caching.stored import Content

SMALL_PIECE: Final = 4096
"""Pieces are joined up to this size: many tiny ones (chunks of an octet) would cost far more than their octets."""
LARGEST_JOINED: Final = 1 << 20
"""Content up to this size becomes one piece when it is complete; larger is kept as it came."""


class Pieces:
    """Octets in the pieces in which they came."""

    __slots__ = ("_parts", "_starts", "size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._starts: list[int] = []
        self.size = 0
        """Octets that were written, those that are forgotten included."""

    def write(self, data: bytes) -> None:
        parts = self._parts
        if parts and len(parts[-1]) + len(data) <= SMALL_PIECE:
            parts[-1] += data
        else:
            parts.append(data)
            self._starts.append(self.size)
        self.size += len(data)

    def read(self, offset: int, most: int) -> bytes:
        """Up to ``most`` octets; a whole piece costs no copy. Raises OSError for octets that are forgotten."""
        if offset >= self.size or most <= 0:
            return b""
        place = bisect_right(self._starts, offset) - 1
        if place < 0:
            raise OSError("these octets are forgotten")
        part = self._parts[place]
        begin = offset - self._starts[place]
        if not begin and len(part) <= most:
            return part
        return part[begin : begin + most]

    def forget(self, offset: int) -> None:
        """Lets go of the pieces that end at or before ``offset``."""
        place = bisect_right(self._starts, offset) - 1
        if offset >= self.size:
            place = len(self._parts)
        if place > 0:
            del self._parts[:place], self._starts[:place]

    def joined(self) -> bytes:
        """All octets as one piece, which they are kept as from now on. Nothing may be forgotten before."""
        parts = self._parts
        if len(parts) != 1:
            parts[:] = [b"".join(parts)]
            self._starts[:] = [0]
        return parts[0]

    def content(self) -> Content:
        """All octets as stored content; nothing may be written afterwards."""
        if self.size <= LARGEST_JOINED:
            octets = self.joined()
            return Content(octets, len(octets))
        return PiecedContent(self)


class PiecedContent(Content):
    """Large content in memory: joining its pieces would cost a copy and serve nobody."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Pieces) -> None:
        super().__init__(None, pieces.size)
        self._pieces = pieces

    def read(self, offset: int, most: int) -> bytes:
        if not offset and most >= self.size:
            return self._pieces.joined()
        return self._pieces.read(offset, most)


def octets_of(content: Content) -> bytes:
    """All octets of content that is in memory."""
    octets = content.octets
    return content.read(0, content.size) if octets is None else octets
