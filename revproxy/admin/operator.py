"""Who obeys the admin interface: the seam between its resources and the processes behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from revproxy.config.model import Config
from revproxy.observe.counters import Counters


class Refusal(Exception):
    """What was asked for can't be done in the present state, or is not understood; the text says why, in a sentence.

    :param status: of the answer.
    """

    def __init__(self, text: str, status: int = 409) -> None:
        super().__init__(text)
        self.status = status


class Operator(Protocol):
    """The running proxy, all its processes together. Values are JSON values.

    Everything here raises Refusal for what can't be done now, and ConfigError (ConfigMistakes where there are several)
    for a configuration that can't be used.
    """

    @property
    def config(self) -> Config:
        """The configuration in force."""

    async def status(self) -> dict[str, Any]:
        """How everything is."""

    async def reload(self, plan: bool) -> dict[str, Any]:
        """Puts the configuration as it is written now into force; with ``plan`` it only says what would change."""

    async def rollback(self) -> dict[str, Any]:
        """Goes back to the configuration before this one."""

    async def drain(self) -> dict[str, Any]:
        """Stops accepting, lets what is in flight end, then ends."""

    async def upgrade(self) -> dict[str, Any]:
        """Starts a new process from the files as they are installed now, and ends when that serves."""

    async def ask(self, order: str, arguments: dict[str, Any]) -> list[tuple[int, Any]]:
        """Every worker's answer to an order, by the worker's number; without those that gave none."""

    async def counted(self) -> Counters:
        """What all workers together counted, up to now, those that are gone included. To be read, not changed."""

    def points(self) -> Sequence[dict[str, Any]]:
        """The figures of the last minutes, second by second, the oldest first."""

    def subscribe(self, kind: str, told: Callable[[int, Any], None]) -> Callable[[], None]:
        """Has ``told`` called with a worker's number and a value whenever a worker pushes one of this kind; "lost" is
        pushed for a worker that is gone, and "point" once a second (of no worker: -1). Returns what ends that."""
