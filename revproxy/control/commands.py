"""``revproxy status``, ``reload``, ``rollback``, ``drain``, ``upgrade``, ``peer``: said to the running proxy."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from revproxy.control.client import OK, Admin, Refused, Unreachable
from revproxy.control.paint import Column, Line, Look, Span, flow, painted, table
from revproxy.control.panel import Sample, counted_entries, servers, warnings, workers
from revproxy.control.words import age, clock, counted, number, octets

WIDTH: Final = 120
"""Columns where the output is no terminal."""

_DESCRIPTIONS: Final = {
    "status": "Show how the running proxy is: its workers, listeners, servers, certificates and cache.",
    "reload": "Read the configuration again and put it into force, in all workers or none. What is in flight goes on.",
    "rollback": "Go back to the configuration before the last reload. The file stays as it is.",
    "drain": "Accept nothing more, let what is in flight end, then end. Readiness goes first.",
    "upgrade": "Start the installed version in place of the running one: it takes the sockets, the old one drains.",
}
_CODES: Final = (
    "Exit codes: 0 done, 1 no proxy is running or it refused, 2 the command line or the configuration can't be used."
)
_SIGNS: Final = {"added": ("+", "good"), "removed": ("-", "bad"), "changed": ("~", "warn"), "moved": ("~", "info")}


def add_arguments(name: str, tool: argparse.ArgumentParser) -> None:
    """The arguments of one of these, but for those that say which proxy."""
    tool.description = f"{_DESCRIPTIONS[name]}\n{_CODES}"
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    if name == "reload":
        tool.add_argument("--plan", action="store_true", help="only show what would change, and how much it touches")
    tool.add_argument("--json", action="store_true", help="print JSON, for programs")


def help_of(name: str) -> str:
    """A line for the list of tools."""
    first = _DESCRIPTIONS[name].partition(". ")[0].rstrip(".")
    return first[0].lower() + first[1:]


NAMES: Final = tuple(_DESCRIPTIONS)


def run(name: str, arguments: argparse.Namespace, find: Callable[[], Admin]) -> int:
    """Says it, and prints what comes of it; returns the exit code."""
    try:
        admin = find()
        if name == "status":
            answer = admin.ask("GET", "/status")
        else:
            answer = admin.ask("POST", f"/{name}", {"plan": arguments.plan} if name == "reload" else {})
    except Unreachable as reason:
        return _failed(arguments, str(reason), reason.code)
    except Refused as refusal:
        return _failed(arguments, str(refusal), refusal.code, refusal.mistakes)
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return OK
    look = Look.of(sys.stdout)
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    lines = shown_status(answer, look, width) if name == "status" else shown_outcome(answer, look, width)
    for line in lines:
        print(painted(line, look))
    return OK


def _failed(arguments: argparse.Namespace, text: str, code: int, mistakes: tuple[str, ...] = ()) -> int:
    if arguments.json:
        print(json.dumps({"error": text, "mistakes": list(mistakes)}, indent=2))
        return code
    look = Look.of(sys.stderr)
    # What is long enough to be a list is one already.
    for mistake in mistakes:
        print(look.text(mistake), file=sys.stderr)
    if mistakes != (text,):
        nothing = "; nothing has changed" if mistakes else ""
        for line in f"revproxy: {text}{nothing}".split("\n"):
            print(look.text(line), file=sys.stderr)
    return code


def shown_outcome(answer: dict[str, Any], look: Look, width: int) -> Iterator[Line]:
    """What was done; of a reload, what it changed."""
    plan = answer.get("plan") or []
    for change in plan:
        yield from _shown_change(change, look)
    if plan:
        yield []
    yield [(look.text(answer.get("text") or "done"), "strong")]


def _shown_change(change: dict[str, Any], look: Look) -> Iterator[Line]:
    sign, role = _SIGNS.get(str(change.get("change")), ("~", ""))
    spans: list[Span] = [(f"{sign} ", role), (look.text(change.get("kind", "")), "strong")]
    if change.get("name"):
        spans.append((f" {look.text(change['name'])}", ""))
    if change.get("change") == "moved":
        spans.append((" moved", "quiet"))
    touches = change.get("touches")
    if touches:
        spans.append((f"  touches {counted(touches, 'connection')}", "warn"))
    if change.get("place"):
        spans.append((f"  {look.text(change['place'])}", "quiet"))
    yield spans
    for detail in str(change.get("detail") or "").split("; "):
        if detail:
            yield [(f"    {look.text(detail)}", "")]


def shown_status(status: dict[str, Any], look: Look, width: int) -> Iterator[Line]:
    """Everything that the status says, in tables."""
    config, totals = status.get("config") or {}, status.get("totals") or {}
    state = str(status.get("state", ""))
    pieces: list[list[Span]] = [
        [(look.text(state), "good" if state == "serving" and status.get("ready", True) else "warn")],
        [(f"up {age(status.get('uptime'))}", "")],
        [(f"version {look.text(status.get('version', ''))}, process {status.get('pid', '')}", "quiet")],
    ]
    yield from flow("revproxy", pieces, width)
    file = config.get("file")
    said = [[(look.text(file) if file else "from the command line", "")]]
    said.append([(f"generation {config.get('generation', 1)}, loaded at {clock(config.get('loaded'))}", "quiet")])
    previous = config.get("previous") or 0
    if previous:
        said.append([(f"{counted(previous, 'earlier one')} to roll back to", "quiet")])
    yield from flow("Config", said, width)
    clients = [
        [(counted(totals.get("connections") or 0, "connection"), "")],
        [(f"{number(totals.get('in_flight'))} in flight", "")],
        [(f"{number(totals.get('tunnels'))} tunnels", "")],
        [(f"{number(totals.get('requests'))} requests since the start", "quiet")],
    ]
    yield from flow("Clients", clients, width)
    cache = status.get("cache")
    if cache:
        text = f"{counted_entries(cache)}, {octets(cache.get('octets'))} in {look.text(cache.get('store', ''))}"
        yield from flow("Cache", [[(text, "")]], width)
    sample = Sample(status, {}, [])
    yield from warnings(sample, look)
    for part in (
        workers(sample, look, width),
        _listeners(status, look, width),
        servers(sample, look, width),
        _certificates(status, look, width),
    ):
        if part:
            yield []
            yield from part


def _listeners(status: dict[str, Any], look: Look, width: int) -> list[Line]:
    columns = (Column("LISTENER"), Column("TLS", 1), Column("CONNECTIONS", right=True))
    rows: list[list[Span]] = [
        [
            (look.text(one.get("address", "")), "strong"),
            ("yes" if one.get("tls") else "no", ""),
            (number(one.get("connections")), ""),
        ]
        for one in status.get("listeners") or []
    ]
    return [*table(columns, rows, width, look)] if rows else []


def _certificates(status: dict[str, Any], look: Look, width: int) -> list[Line]:
    columns = (Column("CERTIFICATE", least=20, grows=True), Column("DAYS LEFT", right=True), Column("SOURCE", 1))
    rows: list[list[Span]] = []
    for one in status.get("certificates") or []:
        days = one.get("days_left")
        role = "" if days is None or days >= 14 else "bad" if days < 4 else "warn"
        rows.append(
            [
                (look.text(", ".join(one.get("names") or ["?"])), "strong"),
                ("-" if days is None else str(math.floor(days)), role),
                (look.text(one.get("source") or "-"), "quiet"),
            ]
        )
    return [*table(columns, rows, width, look)] if rows else []
