"""The octets that this process holds for its peers, bounded in total."""

from __future__ import annotations


class OctetBudget:
    """Counts octets that wait in memory: unparsed input, unsent output, bodies kept to be sent again.

    Each stream is bounded for itself; this bounds their sum. Whoever is refused must not keep the octets.
    """

    __slots__ = ("held", "limit", "refused")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.refused = 0
        """How often something was refused."""

    def take(self, octets: int) -> bool:
        """Asks to hold that many more."""
        if self.held + octets > self.limit:
            self.refused += 1
            return False
        self.held += octets
        return True

    def give(self, octets: int) -> None:
        """Tells that they are no longer held."""
        self.held -= octets

    def adopt(self, limit: int) -> None:
        """Counts on against another limit; what is held beyond it stays held."""
        self.limit = limit

    @property
    def is_exhausted(self) -> bool:
        """Whether there is no room for a new exchange."""
        return self.held >= self.limit
