"""A played proxy on a unix socket, and the tools run in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.control.playing import Played
from tests.support.fake_admin import FakeAdmin

Play = Callable[..., Played]


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="rp") as name:
        yield Path(name)


@pytest.fixture
def fake() -> Iterator[FakeAdmin]:
    with FakeAdmin() as admin:
        yield admin


@pytest.fixture
def path(fake: FakeAdmin, folder: Path) -> str:
    """The played proxy's socket."""
    fake.listen_unix(folder / "1.sock")
    return str(folder / "1.sock")


@pytest.fixture
def play(folder: Path) -> Iterator[Play]:
    """Starts played proxies in the folder, or at another path."""
    running: list[Played] = []

    def start(pid: int = 4711, file: str | None = "/etc/revproxy/revproxy.toml", path: Path | None = None) -> Played:
        played = Played(pid, file)
        played.listen_unix(path or folder / f"{pid}.sock")
        running.append(played)
        return played

    yield start
    for played in running:
        played.end()
