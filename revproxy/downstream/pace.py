"""How an answer gets on, as far as a look once a second can tell."""

from __future__ import annotations


class AnswerPace:
    """What the sweep saw of a connection's answers when it looked last. Times are seconds of its clock."""

    __slots__ = ("_output_at", "_queued", "_sent", "_taken_at")

    def __init__(self) -> None:
        self._queued = 0
        self._taken_at = 0.0
        self._sent = 0
        self._output_at = 0.0

    def blocked(self, queued: int, now: float) -> None:
        """The client takes less than is made: ``queued`` octets wait for it."""
        self._queued = queued
        self._taken_at = now

    def is_stuck(self, queued: int, now: float, longest: float) -> bool:
        """Whether the client has taken nothing of what waits for it for ``longest`` seconds."""
        if queued != self._queued:
            self.blocked(queued, now)
            return False
        return now - self._taken_at >= longest

    def moved(self, sent: int, now: float) -> None:
        """An answer gets on, or is waited for from now on; ``sent`` octets of it were given."""
        self._sent = sent
        self._output_at = now

    def is_silent(self, sent: int, queued: int, now: float, longest: float) -> bool:
        """Whether no octet of the answer was given for ``longest`` seconds, and none waits for the client."""
        if sent != self._sent or queued:
            self.moved(sent, now)
            return False
        return now - self._output_at >= longest
