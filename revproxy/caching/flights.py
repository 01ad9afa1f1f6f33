"""Who fetches, and who may wait for whom (RFC 9111 §4: a cache may collapse requests)."""

from __future__ import annotations

from typing import Any, Final

UNSHAREABLE_FOR: Final = 10.0
"""Seconds for which nobody waits for a key whose answer turned out not to be shareable."""
MOST_REMEMBERED: Final = 10_000


class Flights:
    """The fetches that others may join, by key; and the keys for which that made no sense lately.

    Times are seconds of any clock that does not go back.
    """

    __slots__ = ("_by_key", "_unshareable")

    def __init__(self) -> None:
        self._by_key: dict[bytes, Any] = {}
        self._unshareable: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: bytes) -> Any:
        """The fetch of a key; None where there is none."""
        return self._by_key.get(key)

    def lead(self, key: bytes, fetch: object, now: float) -> bool:
        """Lets others join this fetch, unless there is another one, or the key's answers are not for sharing."""
        if key in self._by_key:
            return False
        until = self._unshareable.get(key)
        if until is not None:
            if now < until:
                return False
            del self._unshareable[key]
        self._by_key[key] = fetch
        return True

    def refuse(self, key: bytes, fetch: object, now: float) -> None:
        """What the leading fetch of a key got can't be shared: for a while, everybody fetches for himself."""
        if self._by_key.get(key) is fetch:
            if len(self._unshareable) >= MOST_REMEMBERED:
                self._unshareable.clear()
            self._unshareable[key] = now + UNSHAREABLE_FOR
            del self._by_key[key]

    def leave(self, key: bytes, fetch: object) -> None:
        """Nobody joins this fetch any more."""
        if self._by_key.get(key) is fetch:
            del self._by_key[key]

    def outdate(self, key: bytes) -> None:
        """Something changed what a key stands for: whatever is being fetched may be from before."""
        fetch = self._by_key.pop(key, None)
        if fetch is not None:
            fetch.outdated = True
