"""CPU time and memory of a process and everything below it, read from ``/proc`` (Linux only)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Stat:
    """What ``/proc/PID/stat`` says of a process. Times are in clock ticks."""

    pid: int
    parent: int
    session: int
    own_ticks: int
    """User and system time of the process itself, its ended threads included."""
    reaped_ticks: int
    """User and system time of children that ended and were waited for."""


def parse_stat(text: str) -> Stat:
    """Read one ``/proc/PID/stat``. The command's name may hold spaces and brackets; we count behind it."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    return Stat(
        pid=int(before.partition(" ")[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        own_ticks=int(fields[11]) + int(fields[12]),
        reaped_ticks=int(fields[13]) + int(fields[14]),
    )


def all_stats() -> dict[int, Stat]:
    """Every process that can be seen now, by its id."""
    found: dict[int, Stat] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = parse_stat((entry / "stat").read_text(errors="replace"))
        except OSError:  # it ended while we were looking
            continue
        found[stat.pid] = stat
    return found


def tree(root: int, stats: Mapping[int, Stat]) -> list[Stat]:
    """``root``, what is below it, and what is in its session (an orphan is adopted elsewhere)."""
    members = {pid for pid, stat in stats.items() if pid == root or stat.session == root}
    grew = True
    while grew:
        below = {pid for pid, stat in stats.items() if stat.parent in members}
        grew = not below <= members
        members |= below
    return [stats[pid] for pid in sorted(members)]


def exact_seconds(stat: Stat) -> float:
    """CPU seconds of one process.

    The kernel shows the same sum in ticks of 10 ms in ``stat``; a process's CPU clock shows it in
    nanoseconds, which is what lets a round be short. The id of that clock is made from the pid as in
    ``clock_getcpuclockid(3)``.
    """
    try:
        return time.clock_gettime(((~stat.pid) << 3) | 2)
    except OSError:
        return stat.own_ticks / TICKS_PER_SECOND


def cpu_seconds(root: int) -> float:
    """CPU seconds that the process tree under ``root`` has used so far, children already reaped included."""
    return sum(exact_seconds(stat) + stat.reaped_ticks / TICKS_PER_SECOND for stat in tree(root, all_stats()))


@attrs.frozen
class Machine:
    """CPU seconds since the machine started, over all cores."""

    busy: float
    """In programs and in the kernel."""
    stolen: float
    """In which a virtual machine was ready to run and its host did something else."""


def parse_machine(text: str) -> Machine:
    """Read the first line of ``/proc/stat``."""
    name, user, nice, system, _idle, _waiting, irq, softirq, stolen = text.split()[:9]
    if name != "cpu":
        raise ValueError(f"not the line of all cores: {text!r}")
    busy = sum(map(int, (user, nice, system, irq, softirq)))
    return Machine(busy / TICKS_PER_SECOND, int(stolen) / TICKS_PER_SECOND)


def machine() -> Machine:
    with open(PROC / "stat") as lines:
        return parse_machine(lines.readline())


def parse_rollup(lines: Iterable[str]) -> dict[str, int]:
    """Octets by name (``Rss``, ``Pss``, ...) from ``/proc/PID/smaps_rollup``."""
    sizes: dict[str, int] = {}
    for line in lines:
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) * 1024
    return sizes


def memory(root: int) -> int:
    """Octets held by the process tree under ``root``: PSS, so that pages which workers share count once."""
    total = 0
    for stat in tree(root, all_stats()):
        try:
            with open(PROC / str(stat.pid) / "smaps_rollup") as lines:
                total += parse_rollup(lines).get("Pss", 0)
        except OSError:
            continue
    return total


def settle(root: int, *, quiet: float = 0.005, window: float = 0.05, limit: float = 3.0) -> None:
    """Wait until the tree uses less than ``quiet`` CPU seconds in ``window`` seconds, at most ``limit``.

    A slow proxy still works off its backlog when the load has ended; the next one must not pay for that.
    """
    deadline = time.monotonic() + limit
    before = cpu_seconds(root)
    while time.monotonic() < deadline:
        # What is asked is what happens in a stretch of time, so there is nothing to wait for but its end.
        time.sleep(window)
        after = cpu_seconds(root)
        if after - before < quiet:
            return
        before = after
