"""Stores from options."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.open import StoreOptions, open_store
from revproxy.stores.tiered import TieredStore
from tests.stores.responses import keep, make_head


def test_memory_is_what_there_is_without_a_word() -> None:
    store = open_store(StoreOptions(), Clock())
    assert isinstance(store, MemoryStore)
    assert store.largest == 32 << 20
    store.stop()


def test_a_folder_comes_behind_memory(tmp_path: Path) -> None:
    clock = Clock()
    store = open_store(StoreOptions(folder=str(tmp_path / "cache"), disk_size=1 << 24), clock)
    assert isinstance(store, TieredStore)
    assert store.largest == 1 << 23
    assert not os.listdir(tmp_path), "nothing is made before it is needed"
    keep(store, make_head())
    assert os.listdir(tmp_path) == ["cache"]
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    store.stop()
    assert clock.getDelayedCalls() == []


def test_a_folder_without_memory(tmp_path: Path) -> None:
    store = open_store(StoreOptions(memory_size=0, folder=str(tmp_path)), Clock())
    assert isinstance(store, DiskStore)
    store.stop()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"folder": "a", "redis": "redis://b"}, "not in both"),
        ({"memory_size": 0}, "nowhere"),
        ({"memory_size": -1}, "memory_size"),
        ({"folder": "a", "disk_size": 1000}, "disk_size"),
        ({"redis_timeout": 0}, "redis_timeout"),
        ({"redis_lifetime": 0}, "redis_lifetime"),
        ({"largest": -1}, "largest"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        StoreOptions(**options)


def test_a_url_that_is_none() -> None:
    with pytest.raises(ValueError, match="redis://"):
        open_store(StoreOptions(redis="http://a"), Clock())


def test_stores_import_no_reactor() -> None:
    text = "import sys, revproxy.stores.open; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
