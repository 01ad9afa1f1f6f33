"""Who fetches, and who may wait for whom (RFC 9111 §4: a cache may collapse requests).

What turned out not to be for sharing is remembered for a while, by key: then nobody waits for it. Where that happened
``CERTAIN`` times in a row, requests that want nothing in particular go past the cache, which costs them next to
nothing. One in ``SAMPLED`` is looked at all the same, so that answers for some visitors alone do not keep the cache
from what others get under the same key; the first answer that is stored ends it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Final

UNSHAREABLE_FOR: Final = 10.0
"""Seconds for which nobody waits for a key whose answer turned out not to be shareable."""
MOST_REMEMBERED: Final = 10_000
CERTAIN: Final = 8
SAMPLED: Final = 256


class Refusal:
    """What is remembered of a key."""

    __slots__ = ("left", "lines", "member", "streak", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.member = b""
        """What Cache-Status says of the answers."""
        self.lines = b""
        """The lines that say so."""
        self.streak = 0
        """How many answers in a row were not for sharing."""
        self.left = 0
        """How many requests are not looked at before one is."""

    def look(self) -> None:
        """A request is looked at: then the next ones need not be."""
        if self.streak >= CERTAIN:
            self.left = SAMPLED - 1


class Flights:
    """The fetches that others may join, by key; the keys for which that made no sense lately; and what changed while
    fetches were on their way, so that no answer from before the change is taken for one from after it.

    What is remembered of keys is remembered by their hashes: ten thousand long URLs would be many octets. Two that
    share one only cost a request more. Times are seconds of any clock that does not go back.
    """

    __slots__ = ("_by_key", "_changed", "_forgotten", "changes", "refusals")

    def __init__(self) -> None:
        self._by_key: dict[bytes, Any] = {}
        self.refusals: dict[int, Refusal] = {}
        """By hashes of keys."""
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
        refusal = self.refusals.get(hash(key))
        if refusal is not None and now < refusal.until:
            return False
        self._by_key[key] = fetch
        return True

    def refuse(self, key: bytes, fetch: object, now: float, member: bytes = b"", lines: bytes = b"") -> None:
        """What a fetch of a key got can't be shared: for a while, everybody fetches for himself.

        ``member`` is what Cache-Status says of it, where that holds for whoever asks next; empty where it may not.
        ``lines`` are how it is said.
        """
        number = hash(key)
        refusal = self.refusals.get(number)
        if self._by_key.get(key) is fetch:
            del self._by_key[key]
            if refusal is None:
                if len(self.refusals) >= MOST_REMEMBERED:
                    self.refusals.clear()
                refusal = self.refusals[number] = Refusal(now + UNSHAREABLE_FOR)
            refusal.until = now + UNSHAREABLE_FOR
        if refusal is not None:
            refusal.streak = refusal.streak + 1 if member else 0
            refusal.member, refusal.lines = member, lines
            if refusal.streak == CERTAIN:
                refusal.look()
            elif not member:
                refusal.left = 0

    def forgive(self, key: bytes) -> None:
        """An answer under this key could be shared after all."""
        self.refusals.pop(hash(key), None)

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
