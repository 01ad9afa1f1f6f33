"""Types and bounds: is every value of a ``Config`` what the model says? Python lets anybody build one from anything."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs

from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config, Network
from revproxy.config.shape import Setting, settings
from revproxy.config.suggest import did_you_mean
from revproxy.config.units import REDIRECTS, format_duration, format_size

_SPEAKABLE = 10**30
"""Python refuses to spell integers of thousands of digits; nobody would read them either."""

_WORDS = {
    "text": "a str",
    "path": "a str",
    "flag": "True or False",
    "duration": "a number of seconds",
    "size": "a whole number of octets",
    "rate": "a whole number",
    "count": "a whole number",
    "network": "an IPv4Network or IPv6Network",
    "fields": "a tuple of pairs of str",
    "redirect": "True, False, 301 or 308",
    "workers": 'a whole number or "auto"',
}


def typed(config: Config) -> tuple[Config, list[Mistake]]:
    """A ``Config`` in which every value has its type, and the mistakes: values of a wrong type or out of bounds.

    A value of a wrong type is replaced by its default, so that the other checks can rely on what they see.
    """
    mistakes: list[Mistake] = []
    return _table(Config, config, (), mistakes), mistakes


def _table(table: type[Any], value: Any, path: Path, mistakes: list[Mistake]) -> Any:
    changed = {}
    for setting in settings(table):
        here = (*path, setting.name)
        held = getattr(value, setting.name)
        if setting.several:
            good = _several(setting, held, here, mistakes)
        else:
            good = _single(setting, held, here, mistakes)
        if good is not held:
            changed[setting.name] = good
    return attrs.evolve(value, **changed) if changed else value


def _several(setting: Setting, value: Any, path: Path, mistakes: list[Mistake]) -> Any:
    if not isinstance(value, tuple):
        mistakes.append(Mistake(path=path, text=f"a tuple is expected, not {type(value).__name__}"))
        return () if setting.required else setting.default
    if setting.least is not None and len(value) < setting.least:
        mistakes.append(Mistake(path=path, text="at least one is needed"))
    items = tuple(_one(setting, item, (*path, number), mistakes) for number, item in enumerate(value))
    return value if all(one is other for one, other in zip(items, value, strict=True)) else items


def _single(setting: Setting, value: Any, path: Path, mistakes: list[Mistake]) -> Any:
    if value is None and setting.optional:
        return None
    return _one(setting, value, path, mistakes)


def _one(setting: Setting, value: Any, path: Path, mistakes: list[Mistake]) -> Any:
    if setting.kind == "resource":
        return value
    if setting.table is not None:
        if isinstance(value, setting.table):
            return _table(setting.table, value, path, mistakes)
        mistakes.append(Mistake(path=path, text=f"a {setting.table.__name__} is expected, not {type(value).__name__}"))
        return _blank(setting.table)
    if not _fits(setting, value):
        mistakes.append(Mistake(path=path, text=f"{_WORDS[setting.kind]} is expected, not {type(value).__name__}"))
        return _harmless(setting)
    mistakes.extend(Mistake(path=path, text=text) for text in _out_of_bounds(setting, value))
    return value


def _fits(setting: Setting, value: Any) -> bool:
    kind = setting.kind
    if kind in ("text", "path"):
        return isinstance(value, str)
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "network":
        return isinstance(value, Network)
    if kind == "fields":
        return isinstance(value, tuple) and all(_is_pair(pair) for pair in value)
    if isinstance(value, bool):
        return False
    if kind == "redirect":
        return isinstance(value, int) and value in REDIRECTS
    return isinstance(value, int | float if kind == "duration" else int)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)


def _out_of_bounds(setting: Setting, value: Any) -> Iterator[str]:
    if setting.choices and value not in setting.choices:
        yield f'"{value}" is none of the choices{did_you_mean(value, setting.choices)}'
    if setting.several or setting.least is None or setting.most is None:
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield "a finite number is expected"
    elif abs(value) > _SPEAKABLE:
        yield "the number is far out of bounds"
    elif value < setting.least:
        yield f"{format_bound(setting, value)} is too little: {format_bound(setting, setting.least)} is the least"
    elif value > setting.most:
        yield f"{format_bound(setting, value)} is too much: {format_bound(setting, setting.most)} is the most"


def format_bound(setting: Setting, value: float) -> str:
    """A number of a setting as people write it."""
    if setting.kind == "duration" and value >= 0:
        return format_duration(value)
    if setting.kind == "size" and value >= 0:
        return format_size(int(value))
    return str(value)


def _harmless(setting: Setting) -> Any:
    if setting.several or setting.required:
        return ""
    return setting.default


def _blank(table: type[Any]) -> Any:
    needed = {each.name: () if each.several else "" for each in settings(table) if each.required}
    return table(**needed)
