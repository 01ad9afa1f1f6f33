"""In which table of a TOML file a key has its place: for keys that stand in a wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from revproxy.config.model import Config
from revproxy.config.shape import settings


def home(key: str) -> str:
    """The table that a key belongs to, as its heading is written; empty if there is none or more than one."""
    homes = [place for name, place in _places(Config, "", "") if name == key]
    return homes[0] if len(homes) == 1 else ""


def _places(table: type[Any], name: str, heading: str) -> Iterator[tuple[str, str]]:
    for setting in settings(table):
        below = f"{name}.{setting.key}" if name else setting.key
        if setting.keyed:
            below += ".NAME"
        if setting.table is None:
            yield setting.key, heading
        elif setting.several and not setting.keyed and not setting.short:
            yield setting.key, f"[[{below}]]"
            yield from _places(setting.table, below, f"[[{below}]]")
        else:
            yield from _places(setting.table, below, f"[{below}]")
