"""Who has the say: starts workers, watches them, gives them a new configuration, and ends it all.

Theory of operation. The master holds what must outlive any worker: sockets, the configuration and what it was before,
the supervisor's ear. It serves nothing itself, unless the only worker is in its process. A reload goes to all workers
in two steps, and only if every one of them could take the first is there a second. A worker that dies is replaced, at
once the first time, later and later if it goes on dying. What the dead one was carrying is read from the board.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from revproxy.config.model import Config
from revproxy.errors import ConfigError
from revproxy.service import event_log
from revproxy.service.board import Board, Sums
from revproxy.service.link import Refused
from revproxy.service.members import Birth, ForkedMember, Member, OwnMember, Plugged, fork
from revproxy.service.notify import Figures, Notifications
from revproxy.service.opened import Opened
from revproxy.service.origin import Origin
from revproxy.service.reload import Reloads
from revproxy.service.worker import Worker

_log = Logger()

MOST_WORKERS: Final = 256
ANSWER_TIME: Final = 60.0
"""Seconds that a worker has for an answer."""
HANGS: Final = 20.0
"""Seconds without a turn of its reactor after which a worker is given up."""
LASTING: Final = 10.0
"""Seconds after which a worker's end is no longer taken for one of a row."""
LONGEST_WAIT: Final = 10.0
"""Seconds until a worker that dies before it serves is started again, at most."""
LONGEST_WAIT_AFTER_SERVICE: Final = 0.5
"""The same for one that served: whatever kills it again and again, somebody is served in between."""


@attrs.define
class Replacement:
    """A worker's row of deaths."""

    deaths: int = 0
    restarts: int = 0

    def wait(self, lived: float, *, served: bool) -> float:
        """Seconds until the next one is started, ``lived`` being those that this one was there."""
        self.deaths = 1 if lived >= LASTING else self.deaths + 1
        self.restarts += 1
        longest = LONGEST_WAIT_AFTER_SERVICE if served else LONGEST_WAIT
        return 0.0 if self.deaths == 1 else min(0.05 * 2.0 ** min(self.deaths - 2, 10), longest)


class Master:
    """Decides for all workers of one service.

    :param workers: how many processes serve; 1 is this one.
    :param plugged: called with each worker, in its process, before it starts.
    :param drop: closes, in a child, what is the master's alone and not known here.
    """

    def __init__(
        self,
        opened: Opened,
        origin: Origin,
        reactor: Any,
        *,
        workers: int = 1,
        notifications: Notifications,
        plugged: Sequence[Plugged] = (),
        drop: Callable[[], None] = lambda: None,
        named: Callable[[str], None] = lambda name: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.opened = opened
        self.origin = origin
        self.notifications = notifications
        self.state = "starting"
        self.members: dict[int, Member] = {}
        self.worker: Worker | None = None
        """The worker in this process, if that is where it is."""
        self.started = time.time()
        self.on_serving: list[Callable[[], None]] = []
        """Told once, when all workers serve."""
        self.on_failed: list[Callable[[str], None]] = []
        """Told once, why there will be no serving."""
        self.on_push: list[Callable[[int, str, Any], None]] = []
        """Told what workers tell unasked: their number, kind, value."""
        self.workers = workers
        self._reactor = reactor
        self._plugged = plugged
        self._drop = drop
        self._named = named
        self._now = now
        self.reloads = Reloads(self, reactor, now)
        self._board = Board(MOST_WORKERS if workers > 1 else 1)
        self._gone = Sums()
        self._replacements: dict[int, Replacement] = {}
        self._awaited: set[int] = set()
        if workers == 1:
            self.worker = Worker(opened, reactor)
            self.worker.source = self.reloads.source

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.opened.config

    def is_awaited(self, number: int) -> bool:
        """Whether a worker has not begun to serve yet."""
        return self.worker is None and not self._board.beat(number)

    def shown(self, number: int) -> Sums:
        """A worker's figures, as it showed them last."""
        return self.worker.sums() if self.worker is not None else self._board.read(number)

    def beat_age(self, number: int) -> float:
        """Seconds since a worker last gave a sign of life; 0.0 for the one in this process."""
        return 0.0 if self.worker is not None else max(self._now() - self._board.beat(number), 0.0)

    @property
    def ready(self) -> bool:
        """Whether new connections are welcome."""
        return self.state in ("serving", "upgrading")

    def clock(self) -> float:
        """Seconds of the clock that deadlines are kept by."""
        return self.worker.sweep.now() if self.worker is not None else self._now()

    # The start.

    def start(self) -> None:
        """Begins to serve. Raises ConfigError."""
        if self.worker is not None:
            for plug in self._plugged:
                plug(self.worker)
            self.worker.push = lambda kind, value: self._pushed(0, kind, value)
            self.worker.start()
            self.members[0] = OwnMember(self.worker, self._now())
            self.worker.sweep.on_tick.append(self.notifications.tick)
            self._reactor.callLater(0, self._serving)
            return
        self._awaited = set(range(self.workers))
        self._reactor.callWhenRunning(self._start_workers)

    def _start_workers(self) -> None:
        for number in range(self.workers):
            self._fork(number)
        self._reactor.callLater(1.0, self._tick)

    def _fork(self, number: int) -> None:
        birth = Birth(
            self.opened,
            self.origin,
            self.workers,
            number,
            self._board,
            self._plugged,
            self._drop_in_child,
            self.reloads.source,
            self._named,
        )
        pid, sock = fork(birth, self._reactor)
        self.members[number] = ForkedMember(
            number, pid, sock, self._reactor, self._now(), self._pushed, self._lost
        )

    def _drop_in_child(self) -> None:
        for member in self.members.values():
            if isinstance(member, ForkedMember):
                member.close()
        self.notifications.close()
        self._drop()

    def _serving(self) -> None:
        if self.state == "starting":
            self.state = "serving"
            for told in self.on_serving:
                told()
            self.notifications.ready(self.clock(), self.figures, self.is_alive)

    def _pushed(self, number: int, kind: str, value: Any) -> None:
        if kind == "serving":
            self._awaited.discard(number)
            if not self._awaited:
                self._serving()
        elif kind == "failed":
            self._failed(number, value)
        elif kind == "aside":
            # What one found out need not be found out by each.
            for member in self.members.values():
                if member.number != number:
                    member.ask("aside", value).addErrback(lambda failure: None)
        for told in self.on_push:
            told(number, kind, value)

    def _failed(self, number: int, text: str) -> None:
        _log.error("worker {number} can't start: {text}", number=number, text=text)
        if self.state == "starting":
            # What keeps one from it keeps all, and there is nothing yet to go on with.
            self.state = "failed"
            for told in self.on_failed:
                told(text)

    # Watching.

    def _tick(self) -> None:
        self._reactor.callLater(1.0, self._tick)
        now = self._now()
        self.notifications.tick(now)
        for member in list(self.members.values()):
            beat = self._board.beat(member.number)
            if isinstance(member, ForkedMember) and beat and now - beat > HANGS and now - member.began > HANGS:
                _log.error(
                    "worker {number} (process {pid}) has not answered for {seconds:.0f} s: it is killed",
                    number=member.number,
                    pid=member.pid,
                    seconds=now - beat,
                )
                member.kill()

    def is_alive(self) -> bool:
        """Whether every worker's reactor turns."""
        if self.worker is not None:
            return True
        now = self._now()
        return len(self.members) >= self.workers and all(
            now - max(self._board.beat(number), member.began) < HANGS / 2 for number, member in self.members.items()
        )

    def _lost(self, member: ForkedMember) -> None:
        """The link to a worker ended, and so does the worker."""
        try:
            pid, status = os.waitpid(member.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = member.pid, 0
        if not pid:
            # Its descriptors go a moment before it does.
            self._reactor.callLater(0.01, self._lost, member)
            return
        number = member.number
        carried = self._board.read(number)
        served = not self.is_awaited(number)
        if self.members.get(number) is member:
            del self.members[number]
        self._gone = self._gone.plus(carried.lasting)
        self._board.clear(number)
        for told in self.on_push:
            told(number, "lost", None)
        if member.draining:
            self._replace(number)
            return
        how = f"was killed by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else (
            f"ended with status {os.WEXITSTATUS(status)}"
        )
        replacement = self._replacements.setdefault(number, Replacement())
        wait = replacement.wait(self._now() - member.began, served=served)
        _log.error(
            "worker {number} (process {pid}) {how}; it was carrying about {connections} connections, {in_flight} of "
            "them with a request under way, which are lost; another one is started{when}",
            number=number,
            pid=member.pid,
            how=how,
            connections=carried.connections,
            in_flight=carried.in_flight,
            when=f" in {wait:g} s" if wait else "",
        )
        # Not in the midst of a reload, of which it would see a half.
        self._reactor.callLater(wait, self.reloads.lock.run, self._replace, number)

    def _replace(self, number: int) -> None:
        if self.state in ("starting", "serving") and number not in self.members and number < self.workers:
            self._fork(number)

    # Figures.

    def sums(self, told: Mapping[int, Sums] = MappingProxyType({})) -> Sums:
        """What all workers did and do, those that are gone included. ``told`` is what some said just now; of the others
        it is what they showed within the last second."""
        if self.worker is not None:
            return self.worker.sums()
        total = self._gone
        for number in self.members:
            total = total.plus(told.get(number) or self._board.read(number))
        return total

    def figures(self) -> Figures:
        """The same for the supervisor."""
        sums = self.sums()
        return Figures(sums.connections, sums.requests)

    def restarts(self, number: int) -> int:
        """How often a worker was replaced."""
        replacement = self._replacements.get(number)
        return replacement.restarts if replacement is not None else 0

    def ask(
        self, order: str, arguments: dict[str, Any] | None = None, seconds: float = ANSWER_TIME
    ) -> Deferred[list[tuple[int, Any]]]:
        """Every worker's answer to an order, by its number; without those that gave none within ``seconds``."""
        return Deferred.fromCoroutine(self._ask(order, arguments or {}, seconds))

    async def _ask(self, order: str, arguments: dict[str, Any], seconds: float) -> list[tuple[int, Any]]:
        asked = list(self.members.items())
        ends = [member.ask(order, arguments).addTimeout(seconds, self._reactor) for _, member in asked]
        answers = await DeferredList(ends, consumeErrors=True)
        found = []
        for (number, _), (ok, value) in zip(asked, answers, strict=True):
            if ok:
                found.append((number, value))
            elif value.check(Refused, ConfigError, ValueError):
                # All have the same to say of it.
                raise Refused(value.getErrorMessage())
        return found

    def reopen_logs(self) -> None:
        """Opens the files of both logs again, everywhere."""
        event_log.reopen()
        if self.worker is None and self.opened.access_log is not None:
            # For workers that are forked from now on.
            self.opened.access_log.reopen(self._now())
        for member in self.members.values():
            member.ask("reopen", {}).addErrback(lambda failure: None)

    def resize(self, workers: int) -> None:
        """So many workers from now on: more are forked, or the last ones drain."""
        before, self.workers = self.workers, workers
        for number in range(before, workers):
            # One that still drains in that place is followed when it has.
            if number not in self.members:
                self._fork(number)
        for number in range(workers, before):
            member = self.members.get(number)
            if member is not None:
                member.drain(self.config.limits.drain_timeout).addErrback(lambda failure: None)

    # The end.

    def drain(self) -> Deferred[int]:
        """Ends all: how many connections had to be cut. Sockets of ours are closed, so that nobody waits in vain."""
        self.state = "draining"
        delay = self.config.drain_delay
        self.notifications.stopping(self.clock(), delay + self.config.limits.drain_timeout)
        done: Deferred[int] = Deferred()
        if delay:
            # Who balances over several machines hears of it first, and sends nobody any more.
            self._reactor.callLater(delay, self._drain, done)
        else:
            self._drain(done)
        return done

    def hand_over(self, pid: int) -> None:
        """Another process serves from the same sockets: they are its own now, files included."""
        self.notifications.succeeded(pid)
        self.opened.leave()

    def _drain(self, done: Deferred[int]) -> None:
        seconds = self.config.limits.drain_timeout
        count = self.sums().connections
        _log.info(
            "stopping: nothing is accepted any more"
            + ("; {connections} get up to {seconds:g} s to end" if count else ""),
            connections="1 connection in use" if count == 1 else f"{count} connections in use",
            seconds=seconds,
        )
        self.opened.release()
        ends = [member.drain(seconds) for member in self.members.values()]
        if self.worker is None:
            ends = [end.addTimeout(seconds + HANGS, self._reactor) for end in ends]
        DeferredList(ends, consumeErrors=True).addCallback(self._drained, done)

    def _drained(self, results: Sequence[tuple[bool, Any]], done: Deferred[int]) -> None:
        cut = sum(value for ok, value in results if ok)
        if cut:
            text = "1 request was" if cut == 1 else f"{cut} requests were"
            _log.warn("{text} cut: the time to drain was over", text=text)
        for member in self.members.values():
            if isinstance(member, ForkedMember):
                try:
                    os.kill(member.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
        self.notifications.close()
        done.callback(cut)
