"""Played proxies at control sockets, for the tools."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any

from tests.support.fake_admin import FakeAdmin


class Played(FakeAdmin):
    """A proxy that tells what it is told to tell.

    :param answers: what comes instead of the usual, by the path; a status and a JSON value.
    """

    def __init__(self, pid: int = 4711, file: str | None = "/etc/revproxy/revproxy.toml") -> None:
        super().__init__(rate=0, empty=True)
        self.pid = pid
        self.file = file
        self.answers: dict[str, tuple[int, Any]] = {}

    def status(self) -> dict[str, Any]:
        if "status" in self.answers:
            found: dict[str, Any] = self.answers["status"][1]
            return found
        told = super().status()
        return {**told, "pid": self.pid, "config": {**told["config"], "file": self.file}}

    def order(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        if name not in self.answers:
            return super().order(name, body)
        self.orders.append((name, body))
        return self.answers[name]


def short_folder() -> Path:
    """The name of a socket has to be short, which pytest's folders are not."""
    return Path(tempfile.mkdtemp(prefix="rp"))


def leave_dead(path: Path) -> None:
    """A socket at which nobody listens any more."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
