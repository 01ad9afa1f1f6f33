"""The run itself: origin and proxies up, rounds of load, memory per idle connection, everything down."""

from __future__ import annotations

import os
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks import handshakes, load, origin
from benchmarks.certificate import Certificate, make_certificate, negotiated
from benchmarks.cpu import cpu_seconds, machine, settle
from benchmarks.idle import IdleResult
from benchmarks.idle import measure as measure_idle
from benchmarks.launching import Contestant, Launch, MissingError, Place
from benchmarks.load import LoadResult
from benchmarks.processes import Cores, Processes, Running, free_port
from benchmarks.rounds import BASELINE, Sample, order, rounds_of
from benchmarks.scenarios import GROUPS, SCENARIOS, Ask, Group, IdleScenario, Scenario

START_SECONDS = 15.0
ASK_AGAIN_SECONDS = 0.05
"""After a server that starts has refused a connection. Nothing tells that another program begins to listen."""
OVERHEAD_SECONDS = 0.8
"""About what a run takes beside its load, for the estimate only."""
IDLE_SECONDS: Mapping[Group, float] = {"plain": 6.0, "tls": 25.0}
"""About what the idle connections to one proxy take, for the estimate only."""
READY = SCENARIOS[0]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class OriginError(Exception):
    """The origin does not do what everything else rests on."""


@attrs.frozen
class Tools:
    """Paths of the programs that everything is measured with."""

    wrk: str
    nginx: str
    openssl: str | None
    """Without it there are no scenarios of handshakes."""


@attrs.frozen
class Plan:
    """What to measure."""

    contestants: tuple[Contestant, ...]
    scenarios: tuple[Scenario, ...]
    rounds: int
    seconds: int
    even: bool
    """Every proxy takes part in every round, whatever its share."""
    idles: tuple[IdleScenario, ...] = ()
    idle_connections: int = 0

    def share(self, contestant: Contestant) -> float:
        return 1.0 if self.even else contestant.share

    def scenarios_of(self, group: Group) -> list[Scenario]:
        return [scenario for scenario in self.scenarios if scenario.group == group]

    def idles_of(self, group: Group) -> list[IdleScenario]:
        return [idle for idle in self.idles if idle.group == group]

    def contestants_of(self, group: Group) -> list[Contestant]:
        """The proxies that have something to do in this group."""
        names = [scenario.name for scenario in self.scenarios_of(group)]
        idle = bool(self.idles_of(group))
        return [
            one
            for one in self.contestants
            if one.group == group and (any(map(one.takes_part, names)) or (idle and one.idle))
        ]

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of all that is to be measured."""
        return tuple(
            [scenario.name for scenario in self.scenarios] + [idle.name for idle in self.idles]
        )

    def estimate(self) -> float:
        """About how many seconds it will take."""
        seconds = 0.0
        for group in GROUPS:
            contestants = self.contestants_of(group)
            for scenario in self.scenarios_of(group):
                runs = sum(
                    len(rounds_of(self.share(one), self.rounds))
                    for one in contestants
                    if one.takes_part(scenario.name)
                )
                # openssl ends with a whole second of the clock.
                extra = 0.5 if scenario.load != "requests" else 0.0
                seconds += runs * (self.seconds + OVERHEAD_SECONDS + extra)
            for _ in self.idles_of(group):
                seconds += sum(one.idle for one in contestants) * IDLE_SECONDS[group]
        return seconds


@attrs.define
class Outcome:
    """What was measured so far; an interrupted run shows what it has."""

    samples: list[Sample] = attrs.field(factory=list)
    idle: list[IdleResult] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    """Who was skipped and why, and every fault."""
    versions: dict[str, str] = attrs.field(factory=dict)
    negotiated: dict[str, str] = attrs.field(factory=dict)
    """What the clients and each proxy agreed on in TLS."""

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            say(text)


@attrs.frozen
class Standing:
    """A proxy that is up."""

    contestant: Contestant
    running: Running
    port: int
    certificate: Certificate | None

    @property
    def name(self) -> str:
        return self.contestant.name


class Measurement:
    """One run of the benchmark. ``folder`` is empty and goes away afterwards."""

    def __init__(self, plan: Plan, outcome: Outcome, tools: Tools, cores: Cores, folder: Path) -> None:
        self.plan = plan
        self.outcome = outcome
        self.tools = tools
        self.cores = cores
        self.folder = folder
        self.origin_port = free_port()
        self.origin_pid = 0
        self.certificate = make_certificate(folder / "tls")
        self._context = self.certificate.context()
        self._started = 0
        self._asks: dict[str, Sequence[Ask]] = {scenario.name: scenario.asks() for scenario in plan.scenarios}

    def run(self) -> None:
        with Processes() as processes:
            self._start_origin(processes)
            for group in GROUPS:
                self._group(processes, group)

    def _start_origin(self, processes: Processes) -> None:
        folder = self.folder / "origin"
        folder.mkdir()
        configuration = origin.write_site(folder, self.origin_port)
        output = folder / "output"
        argv = origin.command(self.tools.nginx, configuration)
        running = processes.start("origin", argv, output=output, core=self.cores.load)
        self.origin_pid = running.pid
        problem = self._await(running, self.origin_port, None)
        if problem:
            raise OriginError(f"the origin does not answer: {problem}")
        for name, asks in self._asks.items():
            problem = load.check(asks[0], self.origin_port)
            if problem:
                raise OriginError(f"the origin is wrong in {name}: {problem}")

    def _await(self, running: Running, port: int, context: ssl.SSLContext | None) -> str | None:
        """Wait until a server answers; None, or why it does not."""
        deadline = time.monotonic() + START_SECONDS
        problem: str | None = "it was not asked"
        while problem and time.monotonic() < deadline:
            if running.ends_within(ASK_AGAIN_SECONDS):
                return f"it ended: {running.last_words()}"
            problem = load.check(READY.asks()[0], port, context, timeout=2.0)
        return problem and f"{problem}; {running.last_words()}"

    def _group(self, processes: Processes, group: Group) -> None:
        """Measure everything of one group, each proxy set up for it."""
        contestants = self.plan.contestants_of(group)
        scenarios = self.plan.scenarios_of(group)
        if scenarios:
            standing = [one for one in (self._start(processes, each) for each in contestants) if one]
            for scenario in scenarios:
                self._scenario(scenario, [one for one in standing if one.contestant.takes_part(scenario.name)])
            contestants = [one.contestant for one in standing]
            # A fresh process each: memory that the load left in an allocator's free lists would hide what a
            # connection takes.
            processes.end(*(one.running for one in standing))
        for idle in self.plan.idles_of(group):
            for contestant in contestants:
                if contestant.idle:
                    self._idle(processes, idle, contestant)

    def _start(self, processes: Processes, contestant: Contestant) -> Standing | None:
        self._started += 1
        folder = self.folder / f"proxy-{self._started}"
        folder.mkdir()
        certificate = self.certificate if contestant.group == "tls" else None
        place = Place(folder, free_port(), self.origin_port, certificate)
        called = contestant.name if contestant.group == "plain" else f"{contestant.group}, {contestant.name}"
        try:
            launch: Launch = contestant.prepare(place)
            version = contestant.version()
        except MissingError as missing:
            self.outcome.note(f"{called}: skipped: {missing}")
            return None
        running = processes.start(
            contestant.name,
            launch.argv,
            output=folder / "output",
            core=self.cores.proxy,
            env=launch.env,
            cwd=launch.cwd,
        )
        problem = self._await(running, place.listen, self._context if certificate else None)
        if problem:
            self.outcome.note(f"{called}: skipped: {problem}")
            processes.end(running)
            return None
        if self.outcome.versions.setdefault(contestant.name, version) != version:
            self.outcome.note(f"{called}: it is {version} by now: the checkout changed during the run")
        if certificate and self.tools.openssl:
            agreed = negotiated(self.tools.openssl, place.listen, certificate, os.environ)
            self.outcome.negotiated[contestant.name] = agreed
        return Standing(contestant, running, place.listen, certificate)

    def _scenario(self, scenario: Scenario, standing: Sequence[Standing]) -> None:
        say(f"{scenario.name}: {scenario.title}")
        files = {}
        for number, one in enumerate(standing):
            files[one.name] = self.folder / f"{scenario.name}-{number}.requests"
            load.write_requests(scenario, load.host(one.port, one.certificate), files[one.name])
        by_name = {one.name: one for one in standing}
        if scenario.group == "cache":
            self._fill(scenario, standing)
        for number in range(self.plan.rounds):
            line = []
            for name in order(list(by_name), number):
                one = by_name[name]
                if number not in rounds_of(self.plan.share(one.contestant), self.plan.rounds):
                    continue
                sample = self._sample(scenario, one, number, files[name])
                self.outcome.samples.append(sample)
                line.append(
                    f"{name} {sample.rate:,.0f}/s {sample.cpu:.1f}us" + ("!" if sample.faults else "")
                )
                for fault in sample.faults:
                    self.outcome.note(f"{scenario.name}, round {number + 1}, {name}: {fault}")
            say(f"  {number + 1}/{self.plan.rounds}  " + "  ".join(line))

    def _fill(self, scenario: Scenario, standing: Sequence[Standing]) -> None:
        """Ask each cache once for all that it will be asked for."""
        for one in standing:
            problem = load.check_all(self._asks[scenario.name], one.port)
            if problem:
                self.outcome.note(f"{scenario.name}, {one.name}: {problem}")

    def _load(self, scenario: Scenario, one: Standing, requests: Path) -> LoadResult:
        """One round of load, with the tool that the scenario wants."""
        if scenario.load == "requests":
            return load.run(
                self.tools.wrk, scenario, one.port, requests, self.plan.seconds, one.certificate
            )
        if self.tools.openssl is None:
            raise load.LoadError("openssl is not installed")
        return handshakes.run(
            self.tools.openssl, scenario, one.port, self.plan.seconds, self.certificate, self.cores.many
        )

    def _sample(self, scenario: Scenario, one: Standing, number: int, requests: Path) -> Sample:
        root = one.running.pid
        asks = self._asks[scenario.name]
        ask = asks[number * 37 % len(asks)]
        counted = scenario.group == "cache"
        problem = load.check(ask, one.port, self._context if one.certificate else None)
        if problem:
            return failed(scenario, one.name, number, problem)
        settle(root)
        try:
            begun, machine_before = time.monotonic(), machine()
            asked_before = origin.requests(self.origin_port) if counted else 0
            origin_before, before = cpu_seconds(self.origin_pid), cpu_seconds(root)
            result = self._load(scenario, one, requests)
            used = cpu_seconds(root) - before
            machine_after, ended = machine(), time.monotonic()
            known = used + cpu_seconds(self.origin_pid) - origin_before + result.cpu
            # The second reading is a request, too.
            asked = origin.requests(self.origin_port) - asked_before - 1 if counted else 0
        except (load.LoadError, OSError, ValueError) as failure:
            return failed(scenario, one.name, number, str(failure))
        total = machine_after.busy + machine_after.stolen - machine_before.busy - machine_before.stolen
        settle(root)
        size = len(ask.answer)
        count = result.octets / size if scenario.count_octets else float(result.requests)
        faults = [f"{many} {kind} errors" for kind, many in result.errors.items()]
        if not count:
            faults.append("no answer at all")
        if result.octets < result.requests * size:
            faults.append(f"{result.requests} answers brought only {result.octets} octets")
        if not one.running.alive():
            faults.append(f"the proxy ended: {one.running.last_words()}")
        return Sample(
            scenario=scenario.name,
            proxy=one.name,
            round=number,
            rate=count / result.seconds if result.seconds else 0.0,
            cpu=used / count * 1e6 if count else 0.0,
            p50=result.p50,
            p99=result.p99,
            requests=result.requests,
            foreign=max(0.0, (total - known) / (ended - begun)),
            reused=hit_ratio(result.requests, asked) if counted else result.resumed,
            faults=tuple(faults),
        )

    def _idle(self, processes: Processes, idle: IdleScenario, contestant: Contestant) -> None:
        one = self._start(processes, contestant)
        if one is None:
            return
        many = self.plan.idle_connections
        result = measure_idle(idle.name, one.name, one.running.pid, one.port, many, one.certificate)
        processes.end(one.running)
        self.outcome.idle.append(result)
        say(f"{idle.name}  {one.name}: {result.per_connection:,.0f} octets per connection")
        for fault in result.faults:
            self.outcome.note(f"{idle.name}, {one.name}: {fault}")


def failed(scenario: Scenario, proxy: str, number: int, why: str) -> Sample:
    """A round that has no figures."""
    return Sample(scenario.name, proxy, number, 0.0, 0.0, None, None, 0, faults=(why,))


def hit_ratio(answers: int, asked: int) -> float | None:
    """The part of the answers for which the origin was not asked. Some that it was asked for may have come too late."""
    return max(0.0, 1 - asked / answers) if answers else None


def baseline_missing(outcome: Outcome) -> bool:
    """Whether there is nothing to compute ratios from."""
    return bool(outcome.samples) and not any(sample.proxy == BASELINE for sample in outcome.samples)
