"""The figures as text: columns for a terminal, or reStructuredText grid tables for a README."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.idle import IdleResult
from benchmarks.rounds import Change, Summary
from benchmarks.targets import Verdict

KIB = 1024
NOTHING = "-"

Rows = Sequence[Sequence[str]]
"""The first row is the heading; the first column is text, the others are figures."""

HEADING = ("proxy", "req/s", "ratio", "CPU us/req", "CPU ratio", "p50 ms", "p99 ms", "rounds")


def figure(value: float | None, digits: int = 0) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def rate(value: float | None) -> str:
    """Requests per second: with decimals where there are few."""
    return figure(value, 0 if value is None or value >= 100 else 1)


def milliseconds(microseconds: float | None) -> str:
    return NOTHING if microseconds is None else f"{microseconds / 1000:,.2f}"


def rounds_text(summary: Summary) -> str:
    """How many rounds the figures come from, and how many were thrown away because of errors."""
    good = summary.rounds - summary.faulty
    return f"{good}" if not summary.faulty else f"{good} (+{summary.faulty} with errors)"


def percent(part: float | None) -> str:
    """A part of the whole; 100.0 stands for nothing less."""
    if part is None:
        return NOTHING
    return f"{math.floor(part * 1000) / 10:.1f} %"


def load_rows(summaries: Sequence[Summary], titles: Mapping[str, str], reuse: str = "") -> Rows:
    """A row per proxy; ``reuse`` heads the column of what was reused, and there is none where it is empty."""
    rows: list[Sequence[str]] = [(*HEADING[:-1], *filter(None, (reuse,)), HEADING[-1])]
    for summary in summaries:
        rows.append(
            (
                titles[summary.proxy],
                rate(summary.rate),
                figure(summary.rate_ratio, 2),
                figure(summary.cpu, 1),
                figure(summary.cpu_ratio, 2),
                milliseconds(summary.p50),
                milliseconds(summary.p99),
                *((percent(summary.reused),) if reuse else ()),
                rounds_text(summary),
            )
        )
    return rows


def idle_rows(results: Sequence[IdleResult], titles: Mapping[str, str]) -> Rows:
    rows: list[Sequence[str]] = [("proxy", "KiB/connection", "MiB before", "MiB with them", "connections")]
    for result in results:
        sizes = (
            (NOTHING,) * 3
            if result.faults
            else (
                figure(result.per_connection / KIB, 1),
                figure(result.before / KIB / KIB, 1),
                figure(result.after / KIB / KIB, 1),
            )
        )
        rows.append((titles[result.proxy], *sizes, f"{result.connections:,}"))
    return rows


def change_rows(changes: Sequence[Change]) -> Rows:
    """A row per scenario: ours now beside ours at another revision."""
    rows: list[Sequence[str]] = [("scenario", "CPU us/req", "before", "ratio", "req/s ratio", "rounds")]
    for change in changes:
        rows.append(
            (
                change.scenario,
                figure(change.cpu, 1),
                figure(change.cpu_before, 1),
                figure(change.cpu_ratio, 3),
                figure(change.rate_ratio, 3),
                str(change.rounds),
            )
        )
    return rows


def verdict_rows(verdicts: Sequence[Verdict]) -> Rows:
    words = {True: "met", False: "missed", None: NOTHING}
    rows: list[Sequence[str]] = [("target", "measured", "")]
    rows += [(verdict.text, verdict.value, words[verdict.met]) for verdict in verdicts]
    return rows


def _cells(rows: Rows) -> tuple[list[int], list[list[str]]]:
    """The columns' widths, and every row's cells filled up to them."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    filled = [
        [
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    return widths, filled


def plain(rows: Rows) -> str:
    _, filled = _cells(rows)
    return "\n".join("  ".join(row).rstrip() for row in filled)


def grid(rows: Rows) -> str:
    """A grid table of reStructuredText."""
    widths, filled = _cells(rows)
    lines = []
    for place, row in enumerate(filled):
        mark = "=" if place == 1 else "-"
        lines.append("+" + "+".join(mark * (width + 2) for width in widths) + "+")
        lines.append("| " + " | ".join(row) + " |")
    lines.append("+" + "+".join("-" * (width + 2) for width in widths) + "+")
    return "\n".join(lines)


def titled(title: str, rows: Rows, *, rst: bool) -> str:
    if rst:
        return f"{title}:\n\n{grid(rows)}\n"
    return f"{title}\n{plain(rows)}\n"
