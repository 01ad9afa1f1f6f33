"""A played proxy on a unix socket, and the tools run in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_admin import FakeAdmin


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
