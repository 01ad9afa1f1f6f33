"""Octets as a series of decisions, so that a fuzzer which knows octets alone can change what a generator builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Each decision takes one octet; when there are none left, the first option is chosen."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def number(self, below: int) -> int:
        """A number from 0; ``below`` is at most 256."""
        if self._at >= len(self._octets):
            return 0
        self._at += 1
        return self._octets[self._at - 1] % below

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.number(len(options))]

    def happens(self, one_in: int) -> bool:
        """Whether something rare happens; it doesn't where no octets are left."""
        return self.number(one_in) == one_in - 1
