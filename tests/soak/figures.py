"""What the processes hold: memory and descriptors."""

from __future__ import annotations

import os

import attrs

from benchmarks.cpu import all_stats, memory, tree


@attrs.frozen
class Held:
    """By a tree of processes, at one moment."""

    processes: int
    memory: int
    """Octets; pages that processes share count once."""
    descriptors: int


def held(root: int) -> Held:
    """By the process ``root`` and those below it."""
    pids = [stat.pid for stat in tree(root, all_stats())]
    descriptors = 0
    for pid in pids:
        try:
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
    return Held(len(pids), memory(root), descriptors)
