"""Another configuration for a service that goes on serving: everywhere or nowhere.

Theory of operation. The file is read once, by the master; every worker builds from that text what it needs beside what
it serves with (``prepare``). Only when all of them could, all are told to serve with it (``switch``); if one could not,
all forget it, and whoever asked hears why. Sockets are bound before and released after. What was in force before can
be gone back to. One reload happens at a time, and no worker is forked meanwhile, since it would miss the second step.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import Deferred, DeferredList, DeferredLock
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure

from revproxy.config.addresses import SystemdAddress, parse_listener
from revproxy.config.difference import Change, difference
from revproxy.config.model import Config, Listener
from revproxy.errors import ConfigError
from revproxy.service.link import Refused
from revproxy.service.listeners import bind, release
from revproxy.service.members import ForkedMember, Member, Proposal
from revproxy.service.notify import Notifications
from revproxy.service.opened import Bound, Opened, open_certificates, open_log, speaks_tls
from revproxy.service.origin import Origin

_log = Logger()

REMEMBERED: Final = 10
"""Configurations that can be gone back to."""
STEP_TIME: Final = 60.0
"""Seconds that a worker has for either step."""


@attrs.frozen
class Said:
    """What became of the last reload."""

    at: float
    """Seconds since the epoch."""
    ok: bool
    text: str


@attrs.frozen
class Reading:
    """A configuration, and the text that it was read from; None without a file."""

    config: Config
    source: bytes | None


@attrs.frozen
class Outcome:
    """What a reload changed, or would change."""

    changes: tuple[Change, ...]
    old: Reading
    new: Reading


class Reloaded(Protocol):
    """What a reload changes: the master."""

    opened: Opened
    origin: Origin
    notifications: Notifications
    state: str
    workers: int
    members: dict[int, Member]

    def clock(self) -> float:
        """Seconds of the clock that deadlines are kept by."""

    def resize(self, workers: int) -> None:
        """So many workers from now on."""


class Reloads:
    """Puts configurations into force, and remembers those that were."""

    def __init__(self, master: Reloaded, reactor: Any, now: Callable[[], float]) -> None:
        self.generation = 1
        """How many configurations were put into force, the first included."""
        self.loaded = time.time()
        """When the last one was: seconds since the epoch."""
        self.last: Said | None = None
        self.refused = 0
        """How many reloads changed nothing, for what was wrong with them."""
        self.lock = DeferredLock()
        """Held while one happens."""
        self._master = master
        self._reactor = reactor
        self._now = now
        self._before: list[Reading] = []
        self._source: bytes | None = _source(master.origin)

    @property
    def source(self) -> bytes | None:
        """The text of the configuration in force; None where there is no file."""
        return self._source

    @property
    def rollbacks(self) -> int:
        """How many configurations can be gone back to."""
        return len(self._before)

    def plan(self) -> Deferred[Outcome]:
        """What a reload would change. Fails with ConfigError or Refused, as that would for the configuration's sake."""

        async def planned() -> Outcome:
            new = self._read()
            self._worker_count(new.config)
            return self._outcome(new)

        return Deferred.fromCoroutine(planned())

    def reload(self) -> Deferred[Outcome]:
        """Reads the configuration again and puts it into force, everywhere or nowhere: what changed. Fails with
        ConfigError or Refused, which say why."""

        async def reload() -> Outcome:
            outcome = await self._reload(self._read, "reloaded")
            if outcome.changes:
                self._before = [*self._before, outcome.old][-REMEMBERED:]
            return outcome

        return self._alone(reload)

    def roll_back(self) -> Deferred[Outcome]:
        """Goes back to the configuration before this one. Fails with Refused, too, where there is none."""

        def before() -> Reading:
            if not self._before:
                raise Refused("there is no earlier configuration to go back to: none was replaced since the start")
            return self._before[-1]

        async def roll_back() -> Outcome:
            outcome = await self._reload(before, "rolled back")
            self._before.pop()
            return outcome

        return self._alone(roll_back)

    def _read(self) -> Reading:
        origin = self._master.origin
        source = origin.source()
        return Reading(origin.config(source), source)

    def _outcome(self, new: Reading) -> Outcome:
        old = Reading(self._master.opened.config, self._source)
        return Outcome(difference(old.config, new.config), old, new)

    def _alone(self, doing: Callable[[], Coroutine[Any, Any, Outcome]]) -> Deferred[Outcome]:
        return self.lock.run(lambda: Deferred.fromCoroutine(doing()))

    async def _reload(self, wanted: Callable[[], Reading], word: str) -> Outcome:
        master = self._master
        if master.state != "serving":
            raise Refused(f"nothing is reloaded while the state is {master.state!r}")
        began = self._now()
        master.notifications.reloading(began)
        try:
            new = wanted()
            outcome = self._outcome(new)
            await self._put_into_force(new)
        except (ConfigError, Refused) as mistake:
            self.refused += 1
            self.last = Said(time.time(), False, str(mistake))
            _log.error("nothing was reloaded, and all goes on as before: {mistake}", mistake=mistake)
            raise
        finally:
            master.notifications.reloaded(master.clock())
        self._source = new.source
        self.generation += 1
        self.loaded = time.time()
        number = len(outcome.changes)
        count = f"{number} change{'' if number == 1 else 's'}" if number else "nothing changed"
        self.last = Said(self.loaded, True, f"{word}: {count}")
        _log.info(
            "{text}; generation {generation}, {milliseconds:.0f} ms",
            text=self.last.text,
            generation=self.generation,
            milliseconds=(self._now() - began) * 1000,
        )
        return outcome

    async def _put_into_force(self, new: Reading) -> None:
        master, config = self._master, new.config
        opened = master.opened
        _refuse_what_takes_a_process(opened.config, config)
        workers = self._worker_count(config)
        present = {options.address for options, _ in opened.sockets}
        wanted = {listener.address: listener for listener in config.listeners}
        added = self._bind([listener for listener in config.listeners if listener.address not in present])
        undo: list[Callable[[], object]] = [lambda: release(added)]
        try:
            renew = self._renewal(config, undo)
            await self._prepare(Proposal(config, new.source, tuple(added)))
        except BaseException:
            for step in undo:
                step()
            raise
        await self._switch()
        kept = [(wanted[options.address], sock) for options, sock in opened.sockets if options.address in wanted]
        for options, sock in kept:
            # Another call changes nothing but the length of the queue.
            sock.listen(options.backlog)
        release([(options, sock) for options, sock in opened.sockets if options.address not in wanted])
        renew()
        opened.config = config
        opened.sockets = [*kept, *added]
        master.resize(workers)

    def _worker_count(self, config: Config) -> int:
        """How many processes a configuration asks for. Raises Refused where this one can't become that."""
        workers, present = config.worker_count, self._master.workers
        if (workers == 1) != (present == 1):
            raise Refused(
                f"workers = {workers} instead of {present}: between one process and several, only a new process "
                "will do: revproxy upgrade (it takes over the sockets)"
            )
        return workers

    def _bind(self, listeners: Sequence[Listener]) -> list[Bound]:
        for listener in listeners:
            if isinstance(parse_listener(listener.address), SystemdAddress):
                raise ConfigError(f"{listener.address}: sockets of systemd come at the start alone: restart for it")
        try:
            return bind(listeners)
        except ConfigError as mistake:
            if os.geteuid() and "no permission" in str(mistake):
                raise ConfigError(f"{mistake}; whoever started as root has given that up: restart for it") from None
            raise

    def _renewal(self, config: Config, undo: list[Callable[[], object]]) -> Callable[[], None]:
        """Opens what workers that are forked later are to find open; gives what puts it into force."""
        opened = self._master.opened
        if self._master.workers == 1:
            # The worker does it, for itself.
            return lambda: None
        log = opened.access_log
        if config.access_log != opened.config.access_log:
            log = new_log = open_log(config)
            if new_log is not None:
                undo.append(lambda: new_log.close(self._now()))
        certificates, stapling = opened.certificates, opened.stapling
        prepared: Any = None
        if not speaks_tls(config):
            certificates = stapling = None
        elif certificates is None or config.tls.ocsp_stapling != opened.config.tls.ocsp_stapling:
            certificates, stapling = open_certificates(config, self._reactor)
        else:
            prepared = certificates.prepare(config)

        def renew() -> None:
            if log is not opened.access_log and opened.access_log is not None:
                opened.access_log.close(self._now())
            opened.access_log = log
            if prepared is not None and certificates is not None:
                certificates.switch(prepared)
            opened.certificates, opened.stapling = certificates, stapling

        return renew

    # Every worker. One that dies meanwhile has no say: its successor begins with what is in force by then.

    async def _prepare(self, proposal: Proposal) -> None:
        refusals = []
        for _, ok, value in await self._tell(lambda member: member.prepare(proposal)):
            if ok or value.check(ConnectionLost):
                continue
            if not value.check(ConfigError, Refused):
                _log.failure("a worker could not prepare", value)
            refusals.append(value.getErrorMessage() or type(value.value).__name__)
        if refusals:
            await self._tell(lambda member: member.abandon())
            raise ConfigError("\n".join(dict.fromkeys(refusals)))

    async def _switch(self) -> None:
        for member, ok, value in await self._tell(lambda member: member.switch()):
            if ok or value.check(ConnectionLost):
                continue
            _log.failure("worker {number} could not switch", value, number=member.number)
            if isinstance(member, ForkedMember):
                # Whatever it serves now, its successor will serve what is in force.
                member.kill()

    async def _tell(self, order: Callable[[Member], Deferred[Any]]) -> list[tuple[Member, bool, Failure]]:
        members = [member for member in self._master.members.values() if not member.draining]
        ends = [order(member).addTimeout(STEP_TIME, self._reactor) for member in members]
        answers = await DeferredList(ends, consumeErrors=True)
        return [(member, ok, value) for member, (ok, value) in zip(members, answers, strict=True)]


def _refuse_what_takes_a_process(old: Config, new: Config) -> None:
    """What is opened at the start alone. Raises Refused."""
    changed = "[control]" if old.control != new.control else ""
    if attrs.evolve(old.admin, requests=0) != attrs.evolve(new.admin, requests=0):
        changed = "[admin]"
    if changed:
        raise Refused(f"{changed} is opened at the start alone: revproxy upgrade changes it, and loses nothing")


def _source(origin: Origin) -> bytes | None:
    try:
        return origin.source()
    except ConfigError:
        return None
