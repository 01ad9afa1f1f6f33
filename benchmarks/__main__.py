"""``python -m benchmarks``: measures proxies beside each other, prints tables (``docs/benchmarks.rst``)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks import table
from benchmarks.measure import Measurement, OriginError, Outcome, Plan, baseline_missing, say
from benchmarks.origin import find_program
from benchmarks.processes import STOPPING, Cores
from benchmarks.rounds import foreign, rounds_of, summarise
from benchmarks.scenarios import IDLE, NAMES, SCENARIOS
from benchmarks.servers import CONTESTANTS, Contestant, prototype
from benchmarks.targets import judge

QUIET_CORES = 0.15
"""More than this taken by other programs, and the report says so."""


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    known = ",".join(one.name for one in CONTESTANTS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure revproxy beside other proxies."
    )
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds per scenario (10)")
    parser.add_argument(
        "--seconds", type=int, default=2, help="whole seconds of load per proxy and round (2)"
    )
    parser.add_argument("--scenario", type=names, action="extend", help=f"which, of {','.join(NAMES)} (all)")
    parser.add_argument("--only", type=names, action="extend", help=f"which proxies, of {known} (all)")
    parser.add_argument("--even", action="store_true", help="slow proxies take part in every round, too")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: 2 rounds of 1 s, every proxy in both"
    )
    parser.add_argument(
        "--idle-connections", type=int, default=5000, help="how many in the idle scenario (5000)"
    )
    parser.add_argument(
        "--also-prototype",
        type=Path,
        metavar="FILE",
        help="measure a sketch, too: python FILE LISTEN_PORT ORIGIN_PORT none ACCESS_LOG",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures to FILE")
    parser.add_argument("--rst", action="store_true", help="print grid tables of reStructuredText")
    chosen = parser.parse_args(argv)
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.even = 2, 1, True
    for option, value in (("--rounds", chosen.rounds), ("--seconds", chosen.seconds)):
        if value < 1:
            parser.error(f"{option} is at least 1")
    for option, given, possible in (
        ("--scenario", chosen.scenario, NAMES),
        ("--only", chosen.only, tuple(one.name for one in CONTESTANTS)),
    ):
        for name in given or ():
            if name not in possible:
                parser.error(f'{option}: there is no "{name}"; there are: {", ".join(possible)}')
    return chosen


def make_plan(chosen: argparse.Namespace, descriptors: int) -> Plan:
    """What the options ask for, as far as the number of descriptors allows."""
    contestants: list[Contestant] = [one for one in CONTESTANTS if not chosen.only or one.name in chosen.only]
    if chosen.also_prototype:
        contestants.append(prototype(chosen.also_prototype))
    wanted = chosen.scenario or NAMES
    idle = min(chosen.idle_connections, descriptors - 200) if IDLE in wanted else 0
    return Plan(
        contestants=tuple(contestants),
        scenarios=tuple(scenario for scenario in SCENARIOS if scenario.name in wanted),
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        even=chosen.even,
        idle_connections=max(0, idle),
    )


def report(plan: Plan, outcome: Outcome, *, rst: bool) -> str:
    """The tables, the targets, the notes."""
    titles = {one.name: one.title for one in plan.contestants}
    parts = []
    for scenario in plan.scenarios:
        seen = {sample.proxy for sample in outcome.samples if sample.scenario == scenario.name}
        summaries = [summarise(outcome.samples, scenario.name, name) for name in titles if name in seen]
        if summaries:
            title = f"{scenario.name}: {scenario.title}"
            parts.append(table.titled(title, table.load_rows(summaries, titles), rst=rst))
            others = foreign(outcome.samples, scenario.name)
            if others is not None and others > QUIET_CORES:
                parts.append(f"Something else took {others:.1f} cores meanwhile: these figures are rough.\n")
    if outcome.idle:
        rows = table.idle_rows(outcome.idle, titles)
        parts.append(
            table.titled("idle: memory of the process tree (PSS) per idle connection", rows, rst=rst)
        )
    if "ours" in titles:
        rows = table.verdict_rows(judge(outcome.samples, outcome.idle))
        parts.append(table.titled("targets", rows, rst=rst))
    if outcome.versions:
        parts.append("Measured: " + "; ".join(outcome.versions.values()) + ".\n")
    if baseline_missing(outcome):
        parts.append("nginx was not measured, so there are no ratios.\n")
    if outcome.notes:
        parts.append(
            "Notes:\n" + ("\n" if rst else "") + "\n".join(f"- {note}" for note in outcome.notes) + "\n"
        )
    return "\n".join(parts)


def figures(plan: Plan, outcome: Outcome) -> dict[str, object]:
    """Everything measured, for a program."""
    return {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
        "versions": outcome.versions,
        "samples": [attrs.asdict(sample) for sample in outcome.samples],
        "summaries": {
            scenario.name: [
                attrs.asdict(summarise(outcome.samples, scenario.name, one.name))
                for one in plan.contestants
                if one.name in outcome.versions
            ]
            for scenario in plan.scenarios
        },
        "idle": [
            {**attrs.asdict(result), "per_connection": result.per_connection} for result in outcome.idle
        ],
        "targets": [attrs.asdict(verdict) for verdict in judge(outcome.samples, outcome.idle)],
        "notes": outcome.notes,
    }


def raise_descriptors() -> int:
    """As many open files as we may have; programs that we start inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    chosen = arguments(argv)
    if not sys.platform.startswith("linux"):
        say("The benchmark reads CPU time and memory from /proc, so it runs on Linux only.")
        return 1
    wrk, nginx = find_program("wrk"), find_program("nginx")
    if wrk is None or nginx is None:
        say("Nothing can be measured without wrk (the load) and nginx (the origin); install both.")
        return 1
    for number in STOPPING:
        signal.signal(number, stop)
    plan = make_plan(chosen, raise_descriptors())
    cores = Cores.choose(os.sched_getaffinity(0))
    outcome = Outcome()
    if cores.load is None:
        outcome.note(
            "only one core: proxy and load share it, so req/s says little; CPU per request still does"
        )
    else:
        # The load generator and the idle client are our children and inherit this.
        os.sched_setaffinity(0, {cores.load})
    for one in plan.contestants:
        taking = len(rounds_of(plan.share(one), plan.rounds))
        if taking < plan.rounds:
            say(f"{one.name} takes part in {taking} of {plan.rounds} rounds (--even: in all)")
    say(f"about {plan.estimate() / 60:.0f} minutes")
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="revproxy-benchmark-") as folder:
        try:
            Measurement(plan, outcome, wrk, nginx, cores, Path(folder)).run()
        except KeyboardInterrupt:
            interrupted = True
            outcome.note("interrupted: the tables hold what was measured until then")
        except OriginError as error:
            say(str(error))
            return 1
    print(report(plan, outcome, rst=chosen.rst))
    if chosen.json:
        chosen.json.parent.mkdir(parents=True, exist_ok=True)
        chosen.json.write_text(json.dumps(figures(plan, outcome), indent=1) + "\n")
    if interrupted:
        return 130
    return 0 if outcome.samples or outcome.idle else 1


if __name__ == "__main__":
    sys.exit(main())
