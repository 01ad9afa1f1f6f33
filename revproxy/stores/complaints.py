"""What a store says when it fails: the cause and what follows, once a minute at most."""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

EVERY: Final = 60.0
"""Seconds between two lines about the same store."""

_log = Logger()


class Complaints:
    """Tells the operator that a store fails, without a line for each request."""

    __slots__ = ("_name", "_next", "_reactor", "_unsaid")

    def __init__(self, name: str, reactor: IReactorTime) -> None:
        self._name = name
        self._reactor = reactor
        self._next = float("-inf")
        self._unsaid = 0

    def say(self, what: str, cause: BaseException | str) -> None:
        """``what`` says what the store could not do."""
        now = self._reactor.seconds()
        if now < self._next:
            self._unsaid += 1
            return
        self._next = now + EVERY
        _log.warn(
            "cache store {store}: {what}: {cause}; requests are served without it ({unsaid} more since the last line)",
            store=self._name,
            what=what,
            cause=str(cause) or type(cause).__name__,
            unsaid=self._unsaid,
        )
        self._unsaid = 0
