"""The run itself: origin and proxies up, rounds of load, memory per idle connection, everything down."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks import load, origin
from benchmarks.cpu import cpu_seconds, machine, settle
from benchmarks.idle import IdleResult
from benchmarks.idle import measure as measure_idle
from benchmarks.processes import Cores, Processes, Running, free_port
from benchmarks.rounds import BASELINE, Sample, order, rounds_of
from benchmarks.scenarios import SCENARIOS, Ask, Scenario
from benchmarks.servers import Contestant, Launch, MissingError, Place

START_SECONDS = 15.0
PAUSE_SECONDS = 0.1
"""Between two runs: what the kernel still does for the closed connections of one is not the next one's."""
OVERHEAD_SECONDS = 0.5
"""About what a run takes beside its load, for the estimate only."""
READY = SCENARIOS[0]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class OriginError(Exception):
    """The origin does not do what everything else rests on."""


@attrs.frozen
class Plan:
    """What to measure."""

    contestants: tuple[Contestant, ...]
    scenarios: tuple[Scenario, ...]
    rounds: int
    seconds: int
    even: bool
    """Every proxy takes part in every round, whatever its share."""
    idle_connections: int
    """0: memory per idle connection is not measured."""

    def share(self, contestant: Contestant) -> float:
        return 1.0 if self.even else contestant.share

    def estimate(self) -> float:
        """About how many seconds it will take."""
        runs = sum(len(rounds_of(self.share(one), self.rounds)) for one in self.contestants) * len(
            self.scenarios
        )
        idle = sum(one.idle for one in self.contestants) * 6 if self.idle_connections else 0
        return runs * (self.seconds + OVERHEAD_SECONDS) + idle


@attrs.define
class Outcome:
    """What was measured so far; an interrupted run shows what it has."""

    samples: list[Sample] = attrs.field(factory=list)
    idle: list[IdleResult] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    """Who was skipped and why, and every fault."""
    versions: dict[str, str] = attrs.field(factory=dict)

    def note(self, text: str) -> None:
        self.notes.append(text)
        say(text)


@attrs.frozen
class Standing:
    """A proxy that is up."""

    contestant: Contestant
    running: Running
    port: int


class Measurement:
    """One run of the benchmark. ``folder`` is empty and goes away afterwards."""

    def __init__(
        self, plan: Plan, outcome: Outcome, wrk: str, nginx: str, cores: Cores, folder: Path
    ) -> None:
        self.plan = plan
        self.outcome = outcome
        self.wrk = wrk
        self.nginx = nginx
        self.cores = cores
        self.folder = folder
        self.origin_port = free_port()
        self.origin_pid = 0
        self._started = 0
        self._asks: dict[str, Sequence[Ask]] = {scenario.name: scenario.asks() for scenario in plan.scenarios}

    def run(self) -> None:
        with Processes() as processes:
            self._start_origin(processes)
            standing = [
                one for one in (self._start(processes, each) for each in self.plan.contestants) if one
            ]
            for scenario in self.plan.scenarios:
                self._scenario(scenario, standing)
            if self.plan.idle_connections:
                # A fresh process each: memory that the load left in an allocator's free lists would hide what
                # a connection takes.
                processes.end(*(one.running for one in standing))
                for one in standing:
                    if one.contestant.idle:
                        self._idle(processes, one.contestant)

    def _start_origin(self, processes: Processes) -> None:
        folder = self.folder / "origin"
        folder.mkdir()
        configuration = origin.write_site(folder, self.origin_port)
        output = folder / "output"
        argv = origin.command(self.nginx, configuration)
        running = processes.start("origin", argv, output=output, core=self.cores.load)
        self.origin_pid = running.pid
        problem = self._await(running, self.origin_port)
        if problem:
            raise OriginError(f"the origin does not answer: {problem}")
        for name, asks in self._asks.items():
            problem = load.check(asks[0], self.origin_port)
            if problem:
                raise OriginError(f"the origin is wrong in {name}: {problem}")

    def _await(self, running: Running, port: int) -> str | None:
        """Wait until a server answers; None, or why it does not."""
        deadline = time.monotonic() + START_SECONDS
        problem: str | None = "it was not asked"
        while problem and time.monotonic() < deadline:
            if not running.alive():
                return f"it ended: {running.last_words()}"
            time.sleep(0.05)
            problem = load.check(READY.asks()[0], port, timeout=2.0)
        return problem and f"{problem}; {running.last_words()}"

    def _start(self, processes: Processes, contestant: Contestant) -> Standing | None:
        self._started += 1
        folder = self.folder / f"{contestant.name}-{self._started}"
        folder.mkdir()
        place = Place(folder, free_port(), self.origin_port)
        try:
            launch: Launch = contestant.prepare(place)
            version = contestant.version()
        except MissingError as missing:
            self.outcome.note(f"{contestant.name}: skipped: {missing}")
            return None
        running = processes.start(
            contestant.name,
            launch.argv,
            output=folder / "output",
            core=self.cores.proxy,
            env=launch.env,
            cwd=launch.cwd,
        )
        problem = self._await(running, place.listen)
        if problem:
            self.outcome.note(f"{contestant.name}: skipped: {problem}")
            processes.end(running)
            return None
        self.outcome.versions[contestant.name] = version
        return Standing(contestant, running, place.listen)

    def _scenario(self, scenario: Scenario, standing: Sequence[Standing]) -> None:
        say(f"{scenario.name}: {scenario.title}")
        files = {}
        for one in standing:
            files[one.contestant.name] = self.folder / f"{scenario.name}-{one.contestant.name}.requests"
            load.write_requests(scenario, f"127.0.0.1:{one.port}", files[one.contestant.name])
        by_name = {one.contestant.name: one for one in standing}
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

    def _sample(self, scenario: Scenario, one: Standing, number: int, requests: Path) -> Sample:
        name = one.contestant.name
        asks = self._asks[scenario.name]
        ask = asks[number * 37 % len(asks)]
        problem = load.check(ask, one.port)
        if problem:
            return Sample(scenario.name, name, number, 0.0, 0.0, 0, 0, 0, faults=(problem,))
        time.sleep(PAUSE_SECONDS)
        root = one.running.pid
        begun, machine_before = time.monotonic(), machine()
        origin_before, before = cpu_seconds(self.origin_pid), cpu_seconds(root)
        try:
            result = load.run(self.wrk, scenario, one.port, requests, self.plan.seconds)
        except load.LoadError as failure:
            return Sample(scenario.name, name, number, 0.0, 0.0, 0, 0, 0, faults=(str(failure),))
        used = cpu_seconds(root) - before
        machine_after, ended = machine(), time.monotonic()
        known = used + cpu_seconds(self.origin_pid) - origin_before + result.cpu
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
            proxy=name,
            round=number,
            rate=count / result.seconds if result.seconds else 0.0,
            cpu=used / count * 1e6 if count else 0.0,
            p50=result.p50,
            p99=result.p99,
            requests=result.requests,
            foreign=max(0.0, (total - known) / (ended - begun)),
            faults=tuple(faults),
        )

    def _idle(self, processes: Processes, contestant: Contestant) -> None:
        one = self._start(processes, contestant)
        if one is None:
            return
        result = measure_idle(contestant.name, one.running.pid, one.port, self.plan.idle_connections)
        processes.end(one.running)
        self.outcome.idle.append(result)
        say(f"idle  {contestant.name}: {result.per_connection:,.0f} octets per connection")
        for fault in result.faults:
            self.outcome.note(f"idle, {contestant.name}: {fault}")


def baseline_missing(outcome: Outcome) -> bool:
    """Whether there is nothing to compute ratios from."""
    return bool(outcome.samples) and not any(sample.proxy == BASELINE for sample in outcome.samples)
