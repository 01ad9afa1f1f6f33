"""Starting programs in the background, on a chosen core, so that all are gone when the benchmark is."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import attrs

TERM_SECONDS = 3.0
"""How long a program has to end by itself before it is killed."""

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end the benchmark in good order."""


@attrs.frozen
class Cores:
    """Which core runs what; None means that the machine has only one, and nothing is pinned."""

    proxy: int | None
    load: int | None
    many: frozenset[int] = frozenset()
    """For a load that takes more than one; empty where nothing is pinned."""

    @classmethod
    def choose(cls, usable: set[int]) -> Cores:
        """The proxy alone on the last core; load generator and origin together on the first."""
        if len(usable) < 2:
            return cls(proxy=None, load=None)
        return cls(proxy=max(usable), load=min(usable), many=frozenset(usable - {max(usable)}))


@contextmanager
def on_cores(cores: Set[int]) -> Iterator[None]:
    """Programs that are started meanwhile run on these cores; where none is named, on those that we run on.

    A child inherits the affinity that we have at the fork, and so do all threads it starts later.
    """
    ours = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


@attrs.frozen
class Running:
    """A program that was started. Its process id is that of its session and its process group, too."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, so long at most; whether it came."""
        if not self.alive():
            return True
        # Readable once the process has ended.
        end = os.pidfd_open(self.pid)
        try:
            return bool(select.select([end], [], [], max(0.0, seconds))[0])
        finally:
            os.close(end)

    def last_words(self, lines: int = 3) -> str:
        """The end of what it printed, for a note that says why it is skipped."""
        text = self.output.read_text(errors="replace").strip()
        return " | ".join(text.splitlines()[-lines:])

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Processes:
    """The programs of one run: leaving the ``with`` block ends every one, whatever the reason for leaving."""

    def __init__(self) -> None:
        self._running: list[Running] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(*self._running)

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        output: Path,
        core: int | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Running:
        """Start a program on ``core``; what it prints goes to the file ``output``."""
        with on_cores(set() if core is None else {core}), open(output, "wb") as sink:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )
            running = Running(name, process, output)
            self._running.append(running)
        return running

    def end(self, *which: Running) -> None:
        """Ask each to end, wait, then kill what is left of its process group."""
        # A second Ctrl-C must not leave programs behind.
        before = {number: signal.signal(number, signal.SIG_IGN) for number in STOPPING}
        try:
            for running in which:
                running.signal(signal.SIGTERM)
            deadline = time.monotonic() + TERM_SECONDS
            for running in which:
                running.ends_within(deadline - time.monotonic())
                running.signal(signal.SIGKILL)
                running.process.wait()
            self._running = [running for running in self._running if running not in which]
        finally:
            for number, action in before.items():
                signal.signal(number, action)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, below those that outgoing connections get."""
    for _ in range(200):
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")
