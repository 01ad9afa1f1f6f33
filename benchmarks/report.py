"""What was measured, as text for people, as values for programs, and as tables between the markers of a README."""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Collection, Sequence

import attrs

from benchmarks import table
from benchmarks.contestants import OURS
from benchmarks.measure import Outcome, Plan, baseline_missing
from benchmarks.rounds import change, foreign, summarise
from benchmarks.scenarios import GROUPS, Group
from benchmarks.targets import judge

QUIET_CORES = 0.15
"""More than this taken by other programs, and the report says so."""


def titles(plan: Plan, group: Group) -> dict[str, str]:
    return {one.name: one.title for one in plan.contestants if one.group == group}


def group_tables(plan: Plan, outcome: Outcome, group: Group, *, rst: bool) -> list[str]:
    """The tables of one group's scenarios and of its idle connections; none where nothing was measured."""
    parts = []
    called = titles(plan, group)
    for scenario in plan.scenarios_of(group):
        seen = {sample.proxy for sample in outcome.samples if sample.scenario == scenario.name}
        summaries = [summarise(outcome.samples, scenario.name, name) for name in called if name in seen]
        if summaries:
            rows = table.load_rows(summaries, called, scenario.reuse)
            parts.append(table.titled(f"{scenario.name}: {scenario.title}", rows, rst=rst))
            others = foreign(outcome.samples, scenario.name)
            if others is not None and others > QUIET_CORES:
                parts.append(f"Something else took {others:.1f} cores meanwhile: these figures are rough.\n")
    for idle in plan.idles_of(group):
        results = [result for result in outcome.idle if result.scenario == idle.name]
        if results:
            rows = table.idle_rows(results, called)
            parts.append(table.titled(f"{idle.name}: {idle.title}", rows, rst=rst))
    return parts


def targets(plan: Plan, outcome: Outcome, wanted: Sequence[str], *, rst: bool) -> list[str]:
    """The targets of the wanted scenarios; none where we ourselves were not to be measured."""
    if all(one.name != OURS for one in plan.contestants):
        return []
    verdicts = judge(outcome.samples, outcome.idle, wanted=wanted)
    return [table.titled("targets", table.verdict_rows(verdicts), rst=rst)] if verdicts else []


def changes(plan: Plan, outcome: Outcome, *, rst: bool) -> list[str]:
    """Ours beside each of our other revisions."""
    parts = []
    for before in dict.fromkeys(one.name for one in plan.contestants if one.name.startswith(f"{OURS}@")):
        found = [change(outcome.samples, scenario.name, OURS, before) for scenario in plan.scenarios]
        rows = table.change_rows([one for one in found if one.rounds])
        if len(rows) > 1:
            parts.append(table.titled(f"{OURS} against {before}", rows, rst=rst))
    return parts


def agreed(outcome: Outcome) -> list[str]:
    """What the clients and the proxies agreed on in TLS, in as few lines as it takes."""
    by_text: dict[str, list[str]] = {}
    for name, text in outcome.negotiated.items():
        by_text.setdefault(text, []).append(name)
    return [f"Negotiated with {', '.join(names)}: {text}.\n" for text, names in by_text.items()]


def measured(outcome: Outcome, names: Collection[str]) -> list[str]:
    """The versions of these proxies."""
    versions = dict.fromkeys(version for name, version in outcome.versions.items() if name in names)
    return ["Measured: " + "; ".join(versions) + ".\n"] if versions else []


def report(plan: Plan, outcome: Outcome, *, rst: bool) -> str:
    """The tables, the targets, the notes."""
    parts = [part for group in GROUPS for part in group_tables(plan, outcome, group, rst=rst)]
    parts += changes(plan, outcome, rst=rst)
    parts += targets(plan, outcome, plan.wanted, rst=rst)
    parts += agreed(outcome)
    parts += measured(outcome, outcome.versions)
    if baseline_missing(outcome):
        parts.append("nginx was not measured, so there are no ratios.\n")
    if outcome.notes:
        parts.append(
            "Notes:\n" + ("\n" if rst else "") + "\n".join(f"- {note}" for note in outcome.notes) + "\n"
        )
    return "\n".join(parts)


def group_section(plan: Plan, outcome: Outcome, group: Group, command: str) -> str | None:
    """What belongs between a README's markers for this group; None where nothing of it was measured."""
    parts = group_tables(plan, outcome, group, rst=True)
    if not parts:
        return None
    cores = os.cpu_count()
    head = textwrap.fill(
        f"What ``{command}`` printed on a machine with {cores} cores, everything in one interleaved run. Only the"
        " ratios mean something on another machine.",
        118,
        break_on_hyphens=False,
    )
    names = [one.name for one in plan.scenarios_of(group)] + [one.name for one in plan.idles_of(group)]
    parts += targets(plan, outcome, names, rst=True)
    if group == "tls":
        parts += agreed(outcome)
    return "\n".join([f"{head}\n", *parts, *measured(outcome, titles(plan, group))])


def replaced(page: str, group: Group, section: str) -> str:
    """The page with ``section`` between the markers of ``group``. Raises ValueError where it has none."""
    begins, ends = (f".. benchmark {group} {word}\n" for word in ("begins", "ends"))
    pattern = re.compile(f"^{re.escape(begins)}.*?^{re.escape(ends)}", re.MULTILINE | re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f'there are no lines "{begins.strip()}" and "{ends.strip()}"')
    return pattern.sub(lambda _: f"{begins}\n{section.strip()}\n\n{ends}", page, count=1)


def figures(plan: Plan, outcome: Outcome) -> dict[str, object]:
    """Everything measured, for a program."""
    return {
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": {"system": platform.system(), "architecture": platform.machine(), "cores": os.cpu_count()},
        "versions": outcome.versions,
        "negotiated": outcome.negotiated,
        "samples": [attrs.asdict(sample) for sample in outcome.samples],
        "summaries": {
            scenario.name: [
                attrs.asdict(summarise(outcome.samples, scenario.name, one.name))
                for one in plan.contestants_of(scenario.group)
                if one.name in outcome.versions and one.takes_part(scenario.name)
            ]
            for scenario in plan.scenarios
        },
        "idle": [
            {**attrs.asdict(result), "per_connection": result.per_connection} for result in outcome.idle
        ],
        "targets": [
            attrs.asdict(verdict) for verdict in judge(outcome.samples, outcome.idle, wanted=plan.wanted)
        ],
        "notes": outcome.notes,
    }
