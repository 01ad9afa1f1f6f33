"""What the master knows of all workers together: totals, the last minutes' figures, and servers that are marked down.

Each worker tells once a second what it counted; nothing is asked for. A worker that is started in place of another one
is told which servers an operator marked down, since it can't know.
"""

from __future__ import annotations

import time
from typing import Any, Final

from revproxy.observe.counters import Counters
from revproxy.observe.points import Points
from revproxy.service.master import Master
from revproxy.service.members import Member
from revproxy.service.recording import COUNTED

MOST: Final = 2000
"""Routes, and servers, that are told apart."""
FOLD_EVERY: Final = 60
"""Points between two looks at how many there are."""


class Totals:
    """Listens to what workers tell."""

    def __init__(self, master: Master, reactor: Any) -> None:
        self.counters = Counters()
        self.points = Points()
        self._master = master
        self._reactor = reactor
        self._down: dict[tuple[str, str], None] = {}
        self._made = 0
        self._call: Any = None
        master.on_push.append(self._pushed)

    def start(self) -> None:
        """Begins to make a point of each second."""
        self._call = self._reactor.callLater(1.0, self._tick)

    def stop(self) -> None:
        """Makes no more."""
        if self._call is not None and self._call.active():
            self._call.cancel()

    def _tick(self) -> None:
        self.start()
        sums = self._master.sums()
        point = self.points.point(round(time.time(), 3), sums.connections, sums.in_flight)
        self._made += 1
        if self._made % FOLD_EVERY == 0:
            self.counters.fold(MOST)
        for told in list(self._master.on_push):
            told(-1, "point", point)

    def _pushed(self, worker: int, kind: str, value: Any) -> None:
        if kind == COUNTED:
            self.counters.merge(value["counters"])
            told = Counters()
            told.merge(value["counters"])
            self.points.report(worker, told, value["lasted"])
        elif kind == "lost":
            self.points.forget(worker)
        elif kind == "serving":
            self._tell_marks(self._master.members.get(worker))

    def _tell_marks(self, member: Member | None) -> None:
        if member is not None:
            for upstream, server in self._down:
                arguments = {"upstream": upstream, "server": server, "state": "down"}
                member.ask("peers", arguments).addErrback(lambda failure: None)

    def mark(self, upstream: str, server: str, *, down: bool) -> None:
        """Remembers what an operator said of a server, for workers to come."""
        if down:
            self._down[upstream, server] = None
        else:
            self._down.pop((upstream, server), None)
