"""The model as the reader, the validation, the schema and the documentation see it: its types and metadata."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import attrs

from revproxy.config.model import YEAR, Network

Kind = Literal[
    "text",
    "flag",
    "duration",
    "size",
    "rate",
    "count",
    "network",
    "path",
    "fields",
    "resource",
    "redirect",
    "workers",
    "table",
]


@attrs.frozen(kw_only=True)
class Setting:
    """One attribute of a table: how it is called, what it holds, within which bounds."""

    name: str
    key: str
    """Its name in TOML."""
    kind: Kind
    several: bool
    """Whether it holds a tuple of such values."""
    optional: bool
    """Whether None is allowed (TOML: it is not written)."""
    required: bool
    default: Any
    help: str
    answer: str
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    one_of: str
    keyed: str
    """For named tables, the attribute of the table that holds the name."""
    short: str
    """The attribute that a plain string sets where a table could stand."""
    alone: bool
    """Whether a single value may stand without its list."""
    switch: bool
    """Whether ``true`` may stand for a table with every default, and ``false`` for none."""
    secret: bool
    """Whether its value is never shown."""
    table: type[Any] | None
    """The class of the table, or of each of them."""


_BOUNDS: dict[str, tuple[float, float]] = {
    "duration": (0.001, YEAR),
    "size": (1, 2**63 - 1),
    "rate": (1, 2**63 - 1),
    "count": (1, 2**31 - 1),
}
"""What a number must lie in unless its attribute says otherwise."""

_KNOWN: dict[type[Any], tuple[Setting, ...]] = {}


def settings(table: type[Any]) -> tuple[Setting, ...]:
    """The attributes of one class of the model, in their order."""
    if table not in _KNOWN:
        hints = get_type_hints(table)
        _KNOWN[table] = tuple(_setting(each, hints[each.name]) for each in attrs.fields(table))
    return _KNOWN[table]


def choices_of_one(table: type[Any]) -> tuple[tuple[Setting, ...], ...]:
    """The groups of attributes of which exactly one must be written."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings(table):
        if setting.one_of:
            groups.setdefault(setting.one_of, []).append(setting)
    return tuple(tuple(group) for group in groups.values())


def _setting(attribute: attrs.Attribute[Any], hint: Any) -> Setting:
    metadata = attribute.metadata
    optional = False
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        optional = True
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    several = False
    kind: Kind
    if hint == tuple[tuple[str, str], ...]:
        kind = "fields"
    else:
        if get_origin(hint) is tuple:
            several, hint = True, get_args(hint)[0]
        kind = _kind(hint, metadata["unit"])
    # Of several values the bounds say how many there are.
    least, most = (None, None) if several else _BOUNDS.get(kind, (None, None))
    return Setting(
        name=attribute.name,
        key=metadata.get("key") or attribute.name,
        kind=kind,
        several=several,
        optional=optional,
        required=attribute.default is attrs.NOTHING,
        default=attribute.default,
        help=metadata["help"],
        answer=metadata["answer"],
        choices=metadata["choices"],
        least=least if metadata.get("least") is None else metadata["least"],
        most=most if metadata.get("most") is None else metadata["most"],
        one_of=metadata.get("one_of", ""),
        keyed=metadata.get("keyed", ""),
        short=metadata.get("short", ""),
        alone=metadata.get("alone", False),
        switch=metadata.get("switch", False),
        secret=metadata.get("secret", False),
        table=hint if kind == "table" else None,
    )


_OF_INTEGERS: dict[str, Kind] = {"size": "size", "rate": "rate", "redirect": "redirect", "workers": "workers"}


def _kind(hint: Any, unit: str) -> Kind:
    if hint is bool:
        return "flag"
    if hint is float:
        return "duration"
    if hint is int:
        return _OF_INTEGERS.get(unit, "count")
    if hint is str:
        return "path" if unit == "path" else "text"
    if hint == Network:
        return "network"
    if hint is Any:
        return "resource"
    if attrs.has(hint):
        return "table"
    raise TypeError(f"the configuration model has no kind for {hint!r}")
