"""What was fetched goes into the store: whole, as a part, or added to a part that is there (RFC 9111 §3.3, §3.4)."""

from __future__ import annotations

from typing import Any, Final

from revproxy.caching.freshness import judged
from revproxy.caching.options import CacheOptions
from revproxy.caching.partial import combined
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.vary import surplus
from revproxy.http.validators import same_strong_validator
from revproxy.interfaces import Filling, IStore

LARGEST_COMBINED: Final = 4 * 1024 * 1024
"""Octets up to which parts of a representation are put together: all of them are copied, at one go."""
WORTH_COMBINING: Final = 16
"""The share of a large result that must be new: else whoever asks for octets one by one has all copied each time."""
COPIED_CHEAPLY: Final = 128 * 1024

Found = tuple[StoredResponse, ...]


class Keeping:
    """Keeps the answers of one route."""

    def __init__(self, store: IStore, options: CacheOptions) -> None:
        self._store: Any = store
        self._options = options

    def keep(self, filling: Filling, head: StoredHead, selected: Found, *, came: StoredHead | None = None) -> None:
        """Commits what was fetched; parts are added to parts of the same representation that are there.

        ``selected`` is what the request selected when it was sent. ``came`` is the head that came where the answer
        broke off, and ``head`` is what is made of it.
        """
        there = self._there(head, selected) if head.status == 206 or head.selecting else ()
        if head.status == 206:
            for stored in there:
                if stored.head.selecting != head.selecting:
                    continue
                if stored.head.status != 206:
                    if came is not None or not self._gives_way(stored, head, selected):
                        return
                elif self._combined(filling, came or head, stored) or self._is_better(stored, head, filling.size):
                    return
        else:
            head.total = filling.size
        for stored in surplus([one for one in there if one.head.selecting != head.selecting]):
            self._store.remove(stored)
        filling.commit(head)

    def _there(self, head: StoredHead, selected: Found) -> Found:
        """What is stored under a head's key by now; of a store that is far away, what was stored before."""
        found = self._store.find(head.key)
        if type(found) is tuple:
            return found
        found.addErrback(lambda failure: None)
        return selected

    @staticmethod
    def _gives_way(whole: StoredResponse, part: StoredHead, selected: Found) -> bool:
        """Whether a part takes the place of a whole response: only where the policy knew of it, and where they are not
        of the same representation."""
        known = any(one.mark == whole.mark for one in selected)
        return known and not same_strong_validator(whole.head.fields, part.fields, part.response_time)

    def _is_better(self, stored: StoredResponse, new: StoredHead, size: int) -> bool:
        """Whether a stored part is worth more than a new one of the same representation that it can't be added to."""
        now = new.response_time
        return (
            stored.content.size >= size
            and judged(stored.head, self._options).is_fresh(now)
            and not stored.head.invalidated
            and same_strong_validator(stored.head.fields, new.fields, now)
        )

    def _combined(self, filling: Filling, head: StoredHead, stored: StoredResponse) -> bool:
        """Puts a part to one that is stored (RFC 9111 §3.4); false where they don't fit."""
        made = combined(stored, head, filling.size, head.response_time)
        if isinstance(made, str):
            return False
        size = made.combination.size
        if size > LARGEST_COMBINED:
            return False
        if size > COPIED_CHEAPLY and (size - stored.content.size) * WORTH_COMBINING < size:
            return False
        whole: Filling = self._store.begin(head.key, size)
        try:
            for piece in made.combination.pieces:
                at, left = piece.offset, piece.length
                while left and not whole.broken:
                    data = (filling if piece.is_new else stored.content).read(at, min(left, 1 << 18))
                    if not data:
                        raise OSError("octets that were stored are gone")
                    whole.write(data)
                    at += len(data)
                    left -= len(data)
        except OSError:
            whole.discard()
            return False
        done = whole.commit(made.head) is not None
        whole.discard()
        return done
