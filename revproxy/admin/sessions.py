"""How a browser gets in: a token that is good for one login, and the session that it begins.

Whoever holds the admin token, or can open the control socket, has a one-time token made and opens ``/?token=...``. So
what stands in a browser's history, or in a process list for a moment, opens nothing any more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

ONE_TIME: Final = 60.0
"""Seconds within which a one-time token is to be used."""
SESSION: Final = 12 * 3600.0
"""Seconds that a session lasts."""
MOST: Final = 64
"""Of either: the oldest goes for a new one."""


class Sessions:
    """Tokens and sessions that are good now. Only their digests are kept.

    :param now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._one_time: dict[bytes, float] = {}
        self._sessions: dict[bytes, float] = {}

    def one_time(self) -> str:
        """A new token for one login."""
        return self._new(self._one_time, ONE_TIME)

    def begin(self, token: bytes) -> str | None:
        """A new session for a one-time token, which is used up; None where it is not good."""
        until = self._one_time.pop(_digest(token), 0.0)
        return self._new(self._sessions, SESSION) if until > self._now() else None

    def knows(self, session: bytes) -> bool:
        """Whether a session lasts."""
        return self._sessions.get(_digest(session), 0.0) > self._now()

    def end(self, session: bytes) -> None:
        """Somebody logs out."""
        self._sessions.pop(_digest(session), None)

    def _new(self, table: dict[bytes, float], seconds: float) -> str:
        now = self._now()
        for known in [known for known, until in table.items() if until <= now]:
            del table[known]
        while len(table) >= MOST:
            del table[next(iter(table))]
        made = secrets.token_urlsafe(32)
        table[_digest(made.encode("ascii"))] = now + seconds
        return made


def _digest(value: bytes) -> bytes:
    # Looked up by digest, a guess learns nothing from the time that looking takes.
    return hashlib.sha256(value).digest()
