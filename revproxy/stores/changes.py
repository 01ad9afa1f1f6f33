"""What becomes of stored responses by order: everything under a key, or what a selection names, has changed.

A change has two readers. Whoever keeps copies (the memory of every worker) drops what it names. And a response whose
filling began before a purge or an invalidation, and that is complete only afterwards, may show what the order wanted
gone: it is not stored.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

import attrs

from revproxy.caching.stored import StoredHead
from revproxy.interfaces import Selection
from revproxy.stores.labels import matches

_PARTS: Final = struct.Struct(">BH")
_KEY, _URL, _PREFIX, _HOST, _TAG, _GROUP, _EVERYTHING = range(7)


@attrs.frozen
class Change:
    """Everything under a key, or what a selection names."""

    key: bytes = b""
    selection: Selection | None = None

    def concerns(self, head: StoredHead) -> bool:
        return head.key == self.key if self.selection is None else matches(self.selection, head)

    def encoded(self) -> bytes:
        """As octets: the kind, the length of the first part, the parts."""
        kind, first, second = self._parts()
        # An overlong name cannot be told: then everything has changed, which is always true enough.
        if len(first) > 0xFFFF:
            kind, first, second = _EVERYTHING, b"", b""
        return _PARTS.pack(kind, len(first)) + first + second

    def _parts(self) -> tuple[int, bytes, bytes]:
        selection = self.selection
        if selection is None:
            return _KEY, self.key, b""
        if selection.group is not None:
            return _GROUP, *selection.group
        for kind, value in (
            (_URL, selection.url),
            (_PREFIX, selection.prefix),
            (_HOST, selection.host),
            (_TAG, selection.tag),
        ):
            if value:
                return kind, value, b""
        return _EVERYTHING, b"", b""


def decode_change(data: bytes) -> Change:
    """The change that ``encoded`` wrote. Octets that it never wrote mean that everything has changed."""
    if len(data) >= _PARTS.size:
        kind, length = _PARTS.unpack_from(data)
        first = data[_PARTS.size : _PARTS.size + length]
        second = data[_PARTS.size + length :]
        if len(first) == length:
            if kind == _KEY:
                return Change(first)
            if kind == _GROUP:
                return Change(selection=Selection(group=(first, second)))
            if kind in _NAMED and first:
                return Change(selection=_NAMED[kind](first))
    return Change(selection=Selection(everything=True))


_NAMED: Final = {
    _URL: lambda value: Selection(url=value),
    _PREFIX: lambda value: Selection(prefix=value),
    _HOST: lambda value: Selection(host=value),
    _TAG: lambda value: Selection(tag=value),
}


class RecentChanges:
    """The last orders, for fillings that began before them.

    Selections are few and kept as they are, the last thousand. Every unsafe request invalidates a key, so of keys only
    a part of the hash is kept, with the last order's number: now and then something else isn't stored either.
    """

    __slots__ = ("_changes", "_cutoffs", "count")

    MOST: Final = 1024
    SLOTS: Final = 0xFFFF

    def __init__(self) -> None:
        self._changes: deque[tuple[int, Change]] = deque(maxlen=self.MOST)
        self._cutoffs: dict[int, int] = {}
        self.count = 0
        """How many there were; a filling remembers it when it begins."""

    def add(self, change: Change) -> None:
        self.count += 1
        if change.selection is None:
            self._cutoffs[hash(change.key) & self.SLOTS] = self.count
        else:
            self._changes.append((self.count, change))

    def forbid(self, head: StoredHead, since: int) -> bool:
        """Whether a filling that began at ``since`` may not be stored with this head."""
        if since == self.count:
            return False
        if self._cutoffs.get(hash(head.key) & self.SLOTS, 0) > since:
            return True
        changes = self._changes
        if len(changes) == self.MOST and changes[0][0] > since + 1:
            return True
        return any(number > since and change.concerns(head) for number, change in changes)
