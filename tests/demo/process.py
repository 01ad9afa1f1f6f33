"""The demo as a process of its own, the way a newcomer starts it."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PATIENCE = 20.0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Demo:
    """``python -m revproxy.demo`` with ``arguments``; collects what it prints."""

    def __init__(self, *arguments: str, port: int | None = None, state: Path | None = None) -> None:
        """``state`` is the folder of the internal authority."""
        self.port = free_port() if port is None else port
        self.url = f"https://localhost:{self.port}" if "--tls" in arguments else f"http://127.0.0.1:{self.port}"
        self.proxied = "--with-proxy" in arguments
        self.lines: list[str] = []
        self._incoming: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "revproxy.demo", "--port", str(self.port), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **({"STATE_DIRECTORY": str(state)} if state else {})},
        )
        # Read all the time: a full pipe would stop the process under test.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            self._incoming.put(line)
        self._incoming.put(None)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line that matches; what came before it is passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._incoming.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line like {pattern!r} in time; it printed:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"it ended without a line like {pattern!r}; it printed:\n{self.output}")
            if match := re.search(pattern, line):
                return match

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end after {number.name}; it printed:\n{self.output}") from None
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status
