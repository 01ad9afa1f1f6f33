"""The stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates.acme.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """All of ACME but the network."""
    made = Stage(tmp_path)
    yield made
    made.close()
