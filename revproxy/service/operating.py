"""What people may order of the master, and what it tells of itself: the meaning of the control socket's words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred

from revproxy._version import VERSION
from revproxy.admin.operator import Refusal
from revproxy.config.difference import Change
from revproxy.config.model import Config
from revproxy.config.places import Places
from revproxy.observe.counters import Counters
from revproxy.service.board import Sums
from revproxy.service.link import Refused
from revproxy.service.master import Master
from revproxy.service.reload import Outcome
from revproxy.service.totals import Totals

STATUS_TIME: Final = 3.0
"""Seconds that a worker has to tell how it is; who looks wants to see that it does not."""
DRAIN_ASK_TIME: Final = 0.5
"""Seconds that a drain waits to hear how much there is to drain."""


class Operations:
    """Implements ``Operator`` of the admin room.

    :param upgrade: has a successor started; gives its process id.
    :param end: drains and ends the program.
    """

    def __init__(self, master: Master, totals: Totals, upgrade: Callable[[], Any], end: Callable[[], None]) -> None:
        self._master = master
        self._totals = totals
        self._upgrade = upgrade
        self._end = end

    async def status(self) -> dict[str, Any]:
        """The state of everything."""
        master = self._master
        told = await master.ask("status", seconds=STATUS_TIME)
        answers = dict(told)
        said = master.reloads.last
        sums = self._sums(told)
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "state": master.state,
            "ready": master.ready,
            "started": master.started,
            "uptime": round(time.time() - master.started, 3),
            "config": {
                "file": master.origin.file,
                "generation": master.reloads.generation,
                "loaded": master.reloads.loaded,
                "previous": master.reloads.rollbacks,
                "refused": master.reloads.refused,
                "last_reload": attrs.asdict(said) if said is not None else None,
            },
            "workers": [_worker(master, number, answers.get(number)) for number in sorted(master.members)],
            "listeners": _listeners(answers.values()),
            "upstreams": _upstreams(answers.values()),
            "certificates": _certificates(answers.values()),
            "cache": _cache(answers.values()),
            "totals": attrs.asdict(sums),
        }

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._master.config

    async def reload(self, plan: bool) -> dict[str, Any]:
        """Reads the configuration again, or tells what that would change. Raises ConfigError, Refusal."""
        master = self._master
        if master.origin.file is None:
            raise Refusal("there is no file to read again: it was started with --to")
        touched = await self._touched()
        outcome = await _refusing(master.reloads.plan() if plan else master.reloads.reload())
        if plan:
            text = "this is what a reload would change" if outcome.changes else "a reload would change nothing"
        else:
            text = self._said()
        return self._told(outcome, touched, text)

    async def rollback(self) -> dict[str, Any]:
        """Goes back to the configuration before this one. Raises Refusal."""
        touched = await self._touched()
        return self._told(await _refusing(self._master.reloads.roll_back()), touched, self._said())

    def _sums(self, answers: Iterable[tuple[int, Any]]) -> Sums:
        """The figures, of those that just told theirs."""
        return self._master.sums({number: Sums(**answer["sums"]) for number, answer in answers})

    def _said(self) -> str:
        last = self._master.reloads.last
        return last.text if last is not None else ""

    async def drain(self) -> dict[str, Any]:
        """Ends everything in order."""
        count = self._sums(await self._master.ask("status", seconds=DRAIN_ASK_TIME)).connections
        seconds = self._master.config.limits.drain_timeout
        self._end()
        connections = f"{count} connection{'' if count == 1 else 's'}"
        return {"text": f"draining: {connections}, at most {seconds:g} s; then the process ends"}

    async def upgrade(self) -> dict[str, Any]:
        """Has a new process take over. Raises Refusal."""
        pid = await _refusing(self._upgrade())
        return {"text": f"process {pid} has taken over; {os.getpid()} drains and ends", "pid": pid}

    async def ask(self, order: str, arguments: dict[str, Any]) -> list[tuple[int, Any]]:
        """Every worker's answer to an order, by its number. Raises Refusal."""
        answers: list[tuple[int, Any]] = await _refusing(self._master.ask(order, arguments))
        if order == "peers" and any(found for _, found in answers):
            self._totals.mark(arguments["upstream"], arguments["server"], down=arguments["state"] == "down")
        return answers

    async def counted(self) -> Counters:
        """What all workers together counted, up to now."""
        # Each tells before it answers.
        await _refusing(self._master.ask("report", seconds=STATUS_TIME))
        return self._totals.counters

    def points(self) -> Sequence[dict[str, Any]]:
        """The figures of the last minutes."""
        return self._totals.points.history

    def subscribe(self, kind: str, callback: Callable[[int, Any], None]) -> Callable[[], None]:
        """Has ``callback(worker, value)`` called for what workers tell unasked; gives what ends that."""

        def pushed(number: int, told: str, value: Any) -> None:
            if told == kind:
                callback(number, value)

        self._master.on_push.append(pushed)
        return lambda: self._master.on_push.remove(pushed) if pushed in self._master.on_push else None

    async def _touched(self) -> dict[str, dict[str, int]]:
        """Connections by what they belong to, of all workers."""
        total: dict[str, dict[str, int]] = {"listeners": {}, "upstreams": {}, "routes": {}}
        for _, answer in await self._master.ask("touched"):
            for kind, counts in answer.items():
                for name, count in counts.items():
                    total[kind][name] = total[kind].get(name, 0) + count
        return total

    def _told(self, outcome: Outcome, touched: dict[str, dict[str, int]], text: str) -> dict[str, Any]:
        file = self._master.origin.file
        old, new = (Places(file, reading.source, reading.config) for reading in (outcome.old, outcome.new))
        return {
            "changed": bool(outcome.changes),
            "plan": [
                {
                    "kind": change.kind,
                    "change": change.change,
                    "name": change.name,
                    "detail": change.detail,
                    "touches": touches(change, touched, outcome.old.config),
                    "place": (old if change.change == "removed" else new).of(change.path),
                }
                for change in outcome.changes
            ],
            "text": text,
        }


async def _refusing(deferred: Deferred[Any]) -> Any:
    """What comes of it; a refusal as the admin room knows it."""
    try:
        return await deferred
    except Refused as refusal:
        raise Refusal(str(refusal)) from None


def touches(change: Change, touched: dict[str, dict[str, int]], old: Config) -> int | None:
    """How many connections a change reaches now; None where that is not counted."""
    if change.kind == "listener":
        return touched["listeners"].get(change.name, 0)
    if change.kind == "upstream":
        return touched["upstreams"].get(change.name, 0)
    if change.kind == "route" and change.change != "added" and change.path:
        site = old.sites[int(change.path[1])] if change.change == "removed" else None
        name = f"{site.hosts[0]}{site.routes[int(change.path[3])].path}" if site is not None else change.name
        return touched["routes"].get(name.partition(" ")[0], 0)
    return None


def _worker(master: Master, number: int, answer: dict[str, Any] | None) -> dict[str, Any]:
    member = master.members[number]
    state = "draining" if master.state == "draining" or member.draining else "serving"
    if answer is None:
        state = "starting" if master.is_awaited(number) else "silent"
        answer = {"sums": attrs.asdict(master.shown(number)), "memory": 0, "cpu": 0.0}
        answer |= {"descriptors": 0, "most_descriptors": 0}
    sums = answer["sums"]
    return {
        "number": number,
        "pid": member.pid,
        "state": state,
        "started": round(time.time() - (time.monotonic() - member.began), 1),
        "restarts": master.restarts(number),
        "connections": sums["connections"],
        "in_flight": sums["in_flight"],
        "requests": sums["requests"],
        "memory": answer["memory"],
        "cpu": answer["cpu"],
        "descriptors": answer["descriptors"],
        "most_descriptors": answer["most_descriptors"],
        "beat_age": round(master.beat_age(number), 2),
    }


def _listeners(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for each in answer["listeners"]:
            known = found.setdefault(each["address"], {**each, "connections": 0})
            known["connections"] += each["connections"]
    return list(found.values())


def _upstreams(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups; a server is as badly off as the worker says that finds it so."""
    worse = ("up", "aside", "down")
    found: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for group in answer["upstreams"]:
            known = found.setdefault(group["name"], {"name": group["name"], "queued": 0, "servers": {}})
            known["queued"] += group["queued"]
            for server in group["servers"]:
                one = known["servers"].setdefault(
                    server["name"], {**server, "open": 0, "idle": 0, "state": "up", "failures": 0, "aside_for": 0.0}
                )
                one["open"] += server["open"]
                one["idle"] += server["idle"]
                one["state"] = max(one["state"], server["state"], key=worse.index)
                one["failures"] = max(one["failures"], server["failures"])
                one["aside_for"] = max(one["aside_for"], server["aside_for"])
    return [{**group, "servers": list(group["servers"].values())} for group in found.values()]


def _certificates(answers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the first worker: all have the same."""
    now = time.time()
    for answer in answers:
        return [{**each, "days_left": round((each["not_after"] - now) / 86400, 1)} for each in answer["certificates"]]
    return []


def _cache(answers: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The sum of what workers keep each; the largest where they share."""
    found: dict[str, Any] | None = None
    for answer in answers:
        cache = answer["cache"]
        if cache is None:
            continue
        if found is None:
            found = dict(cache)
        else:
            for name in ("entries", "octets"):
                found[name] = max(found[name], cache[name]) if cache["shared"] else found[name] + cache[name]
    return found
