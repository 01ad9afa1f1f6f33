"""``python -m benchmarks``: measures proxies beside each other, prints tables (``docs/benchmarks.rst``)."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestants import CONTESTANTS, OURS, PROXIES, earlier
from benchmarks.launching import Contestant, MissingError
from benchmarks.measure import Measurement, OriginError, Outcome, Plan, Tools, say
from benchmarks.origin import find_program
from benchmarks.ours import worktree
from benchmarks.processes import STOPPING, Cores
from benchmarks.report import figures, group_section, replaced, report
from benchmarks.rounds import rounds_of
from benchmarks.scenarios import GROUPS, IDLES, NAMES, SCENARIOS, named
from benchmarks.servers import prototype

SPARE_DESCRIPTORS = 200


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure revproxy beside other proxies."
    )
    parser.add_argument("--rounds", type=int, default=10, help="interleaved rounds per scenario (10)")
    parser.add_argument(
        "--seconds", type=int, default=2, help="whole seconds of load per proxy and round (2)"
    )
    parser.add_argument(
        "--scenario",
        type=names,
        action="extend",
        help=f"which, of {','.join(NAMES)}, or whole groups: {','.join(GROUPS)} (all)",
    )
    parser.add_argument(
        "--only", type=names, action="extend", help=f"which proxies, of {','.join(PROXIES)} (all)"
    )
    parser.add_argument("--even", action="store_true", help="slow proxies take part in every round, too")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test: 2 rounds of 1 s, every proxy in both"
    )
    parser.add_argument(
        "--idle-connections", type=int, default=5000, help="how many in the idle scenarios (5000)"
    )
    parser.add_argument(
        "--against",
        metavar="REVISION",
        help="measure another revision of ourselves, too, in a worktree of git's that is gone afterwards",
    )
    parser.add_argument(
        "--also-prototype",
        type=Path,
        metavar="FILE",
        help="measure a sketch, too: python FILE LISTEN_PORT ORIGIN_PORT none ACCESS_LOG",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures to FILE")
    parser.add_argument("--rst", action="store_true", help="print grid tables of reStructuredText")
    parser.add_argument(
        "--readme", type=Path, metavar="FILE", help="put the tables of each group between its markers in FILE"
    )
    chosen = parser.parse_args(argv)
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.even = 2, 1, True
    for option, value in (
        ("--rounds", chosen.rounds),
        ("--seconds", chosen.seconds),
        ("--idle-connections", chosen.idle_connections),
    ):
        if value < 1:
            parser.error(f"{option} is at least 1")
    for option, given, possible in (
        ("--scenario", chosen.scenario, (*GROUPS, *NAMES)),
        ("--only", chosen.only, PROXIES),
    ):
        for name in given or ():
            if name not in possible:
                parser.error(f'{option}: there is no "{name}"; there are: {", ".join(possible)}')
    if chosen.readme and not chosen.readme.is_file():
        parser.error(f"--readme: there is no file {chosen.readme}")
    return chosen


def make_plan(chosen: argparse.Namespace, descriptors: int, others: Sequence[Contestant] = ()) -> Plan:
    """What the options ask for, as far as the number of descriptors allows; ``others`` are measured in any case."""
    contestants = [one for one in CONTESTANTS if not chosen.only or one.name in chosen.only]
    if chosen.against and chosen.only and OURS not in chosen.only:
        contestants += [one for one in CONTESTANTS if one.name == OURS]
    contestants += others
    if chosen.also_prototype:
        contestants.append(prototype(chosen.also_prototype))
    wanted = named(chosen.scenario or ())
    return Plan(
        contestants=tuple(contestants),
        scenarios=tuple(scenario for scenario in SCENARIOS if scenario.name in wanted),
        rounds=chosen.rounds,
        seconds=chosen.seconds,
        even=chosen.even,
        idles=tuple(idle for idle in IDLES if idle.name in wanted),
        idle_connections=max(1, min(chosen.idle_connections, descriptors - SPARE_DESCRIPTORS)),
    )


def command_of(chosen: argparse.Namespace) -> str:
    """The command that measures the same again; where it writes to is left out."""
    words = ["python", "-m", "benchmarks"]
    for option, given in (("--scenario", chosen.scenario), ("--only", chosen.only)):
        if given:
            words += [option, ",".join(given)]
    words += ["--rounds", str(chosen.rounds), "--seconds", str(chosen.seconds)]
    words += ["--even"] if chosen.even else []
    words += ["--against", chosen.against] if chosen.against else []
    return shlex.join(words)


def raise_descriptors() -> int:
    """As many open files as we may have; programs that we start inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def write_readme(page: Path, plan: Plan, outcome: Outcome, command: str) -> None:
    """Put the tables of each group that was measured between its markers."""
    for group in GROUPS:
        section = group_section(plan, outcome, group, command)
        if section is not None:
            try:
                page.write_text(replaced(page.read_text(encoding="utf-8"), group, section), encoding="utf-8")
            except ValueError as error:
                say(f"{page}: {error}")


def measure(chosen: argparse.Namespace, tools: Tools, cores: Cores, folder: Path, stack: ExitStack) -> int:
    """The whole run; the exit status."""
    others: list[Contestant] = []
    if chosen.against:
        try:
            checkout = stack.enter_context(worktree(chosen.against, folder / "worktree"))
        except MissingError as missing:
            say(f"--against {chosen.against}: {missing}")
            return 1
        others = earlier(chosen.against, checkout)
    plan = make_plan(chosen, raise_descriptors(), others)
    outcome = Outcome()
    if cores.load is None:
        outcome.note(
            "only one core: proxy and load share it, so req/s says little; CPU per request still does"
        )
    else:
        # The load generator and the idle client are our children and inherit this.
        os.sched_setaffinity(0, {cores.load})
    for name, share in {one.name: plan.share(one) for one in plan.contestants}.items():
        taking = len(rounds_of(share, plan.rounds))
        if taking < plan.rounds:
            say(f"{name} takes part in {taking} of {plan.rounds} rounds (--even: in all)")
    say(f"about {plan.estimate() / 60:.0f} minutes")
    interrupted = False
    try:
        Measurement(plan, outcome, tools, cores, folder).run()
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
    if chosen.readme:
        write_readme(chosen.readme, plan, outcome, command_of(chosen))
    return 0 if outcome.samples or outcome.idle else 1


def main(argv: Sequence[str] | None = None) -> int:
    chosen = arguments(argv)
    if not sys.platform.startswith("linux"):
        say("The benchmark reads CPU time and memory from /proc, so it runs on Linux only.")
        return 1
    wrk, nginx = find_program("wrk"), find_program("nginx")
    if wrk is None or nginx is None:
        say("Nothing can be measured without wrk (the load) and nginx (the origin); install both.")
        return 1
    tools = Tools(wrk, nginx, find_program("openssl"))
    for number in STOPPING:
        signal.signal(number, stop)
    cores = Cores.choose(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="revproxy-benchmark-") as folder, ExitStack() as stack:
        return measure(chosen, tools, cores, Path(folder), stack)


if __name__ == "__main__":
    sys.exit(main())
