"""Child processes of the live tests: started in a folder of their own, their output kept, ended by their own id."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0
"""Seconds that anything may take before the test gives up; nothing is ever asserted about how long it took."""

RUNNING: list[Child] = []
"""Whose output is shown when a test fails."""


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Waits for a condition, looking again and again."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain for: {what}")
        time.sleep(0.01)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on just now, and where a connection is refused."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Child:
    """A process; used as a context manager, it is gone at the end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        folder: Path,
        descriptors: Sequence[int] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{name}.output"
        self._shown = 0
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTEST_CURRENT_TEST",)}
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(CHECKOUT), **(variables or {})}
        with self._file.open("wb") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                pass_fds=descriptors,
            )
        RUNNING.append(self)

    @property
    def output(self) -> str:
        """What it has printed, both streams."""
        return self._file.read_text("utf-8", "backslashreplace")

    def pass_over(self) -> None:
        """What it has printed until now is no longer fresh."""
        if self._file.exists():
            self._shown = self._file.stat().st_size

    def fresh_output(self) -> str:
        """What it has printed since ``pass_over``."""
        if not self._file.exists():
            return ""
        with self._file.open("rb") as file:
            file.seek(self._shown)
            return file.read().decode("utf-8", "backslashreplace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match of a pattern in what it prints."""
        deadline = time.monotonic() + PATIENCE
        while True:
            ended = self.process.poll() is not None
            match = re.search(pattern, self.output, re.MULTILINE)
            if match:
                return match
            if ended or time.monotonic() > deadline:
                state = f"ended with {self.process.returncode}" if ended else "said nothing of the kind"
                raise AssertionError(f"{self.name} {state}, awaited {pattern!r}; it printed:\n{self.output}")
            time.sleep(0.01)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} goes on and on; it printed:\n{self.output}") from None

    def kill(self) -> None:
        """Ends it without a chance to say goodbye."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def resident(self, row: str = "VmRSS") -> int:
        """Octets of its memory: ``VmRSS`` now, ``VmHWM`` at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        match = re.search(rf"^{row}:\s+(\d+) kB", status, re.MULTILINE)
        assert match, status
        return int(match[1]) * 1024


def python(*arguments: str | Path) -> list[str | Path]:
    """A command for this environment's Python."""
    return [sys.executable, *arguments]
