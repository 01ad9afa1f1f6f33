"""Who fetches, and who may wait for whom (RFC 9111 §4: a cache may collapse requests).

What turned out not to be for sharing is remembered for a while, by key: then nobody waits for it, and requests that
want nothing in particular go past the cache, which costs them next to nothing. One in ``SAMPLED`` is looked at all the
same, so that an answer for one visitor alone does not keep the cache from what all others get under the same key.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

UNSHAREABLE_FOR: Final = 10.0
"""Seconds for which nobody waits for a key whose answer turned out not to be shareable."""
MOST_REMEMBERED: Final = 10_000
SAMPLED: Final = 64


class _Refusal:
    """What is remembered of a key."""

    __slots__ = ("count", "member", "until")

    def __init__(self, until: float, member: bytes) -> None:
        self.until = until
        self.member = member
        self.count = 0


class Flights:
    """The fetches that others may join, by key; the keys for which that made no sense lately; and what changed while
    fetches were on their way, so that no answer from before the change is taken for one from after it.

    What is remembered of keys is remembered by their hashes: ten thousand long URLs would be many octets. Two that
    share one only cost a request more. Times are seconds of any clock that does not go back.
    """

    __slots__ = ("_by_key", "_changed", "_forgotten", "_refused", "changes")

    def __init__(self) -> None:
        self._by_key: dict[bytes, Any] = {}
        self._refused: dict[int, _Refusal] = {}
        self._changed: dict[int, int] = {}
        self._forgotten = 0
        self.changes = 0
        """How many changes there were. A fetch notes it when it begins."""

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: bytes) -> Any:
        """The fetch of a key; None where there is none."""
        return self._by_key.get(key)

    def lead(self, key: bytes, fetch: object, now: float) -> bool:
        """Lets others join this fetch, unless there is another one, or the key's answers are not for sharing."""
        if key in self._by_key:
            return False
        refusal = self._refused.get(hash(key))
        if refusal is not None:
            if now < refusal.until:
                return False
            del self._refused[hash(key)]
        self._by_key[key] = fetch
        return True

    def refuse(self, key: bytes, fetch: object, now: float, member: bytes = b"") -> None:
        """What the leading fetch of a key got can't be shared: for a while, everybody fetches for himself.

        ``member`` is what Cache-Status says of it, where that holds for whoever asks next; empty where it may not.
        """
        if self._by_key.get(key) is fetch:
            if len(self._refused) >= MOST_REMEMBERED:
                self._refused.clear()
            self._refused[hash(key)] = _Refusal(now + UNSHAREABLE_FOR, member)
            del self._by_key[key]

    def passes(self, key: bytes, now: float) -> bytes:
        """What Cache-Status says of a request that need not be looked at; empty where it is."""
        refusal = self._refused.get(hash(key))
        if refusal is None or now >= refusal.until:
            return b""
        refusal.count += 1
        return refusal.member if refusal.count % SAMPLED else b""

    def refused(self, key: bytes, now: float) -> bytes | None:
        """What is remembered of a key whose answers are not for sharing (see ``refuse``); None for nothing. Nothing is
        counted by asking."""
        refusal = self._refused.get(hash(key))
        return refusal.member if refusal is not None and now < refusal.until else None

    def leave(self, key: bytes, fetch: object) -> None:
        """Nobody joins this fetch any more."""
        if self._by_key.get(key) is fetch:
            del self._by_key[key]

    def outdate(self, key: bytes) -> None:
        """What a key stands for has changed: nobody joins a fetch that began before, and its answer may be old."""
        self._by_key.pop(key, None)
        self.note(key)

    def note(self, subject: Hashable) -> None:
        """Something changed: a key, a URL, or an origin's group."""
        self.changes += 1
        if len(self._changed) >= MOST_REMEMBERED:
            # Whatever began before now can't be asked about any more, so all of it may be old.
            self._changed.clear()
            self._forgotten = self.changes
        self._changed[hash(subject)] = self.changes

    def changed_since(self, began: int, subjects: Iterable[Hashable]) -> bool:
        """Whether one of these changed after ``changes`` was ``began``."""
        if began == self.changes:
            return False
        if began < self._forgotten:
            return True
        return any(self._changed.get(hash(subject), 0) > began for subject in subjects)
