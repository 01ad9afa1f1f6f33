"""What an attribute of the configuration's model is made with: its metadata, its units, its conversion.

Each attribute carries what it is for (``help``), how a person writes it (``unit``), its bounds, and, for a limit, what
is answered when it is hit (``answer``).
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal

import attrs

Network = IPv4Network | IPv6Network
Unit = Literal["duration", "size", "rate", "count", "text", "flag", "path", "network", "target", "redirect", "workers"]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

YEAR = 365 * 86400.0


def setting(
    default: Any,
    help: str,
    *,
    unit: Unit = "text",
    answer: str = "",
    choices: tuple[str, ...] = (),
    key: str = "",
    least: float | None = None,
    most: float | None = None,
    one_of: str = "",
    keyed: str = "",
    short: str = "",
    alone: bool = False,
    switch: bool = False,
    secret: bool = False,
    converter: Any = None,
) -> Any:
    """An optional attribute of the configuration, with what the documentation says of it.

    ``key`` is its name in TOML where that is another one ("site" for ``sites``). ``least`` and ``most``
    bound a number (in its unit) or, for several values, how many there must be. Of the attributes that share
    a word in ``one_of`` exactly one is written. ``keyed`` says that the tables have names in TOML
    ([upstream.NAME]), and which attribute holds the name. ``short``: a plain string stands for a table in
    which only this attribute is set. ``alone``: a single value may stand without its list. ``switch``: ``true``
    stands for a table with every default, ``false`` for none. ``secret``: its value is never shown.
    """
    metadata = {
        "help": help,
        "unit": unit,
        "answer": answer,
        "choices": choices,
        "key": key,
        "least": least,
        "most": most,
        "one_of": one_of,
        "keyed": keyed,
        "short": short,
        "alone": alone,
        "switch": switch,
        "secret": secret,
    }
    if converter is None and isinstance(default, tuple):
        converter = alone_as_tuple if alone else as_tuple
    return attrs.field(default=default, converter=converter, metadata=metadata)


def required(
    help: str,
    *,
    unit: Unit = "text",
    least: float | None = None,
    short: str = "",
    several: bool = False,
    secret: bool = False,
) -> Any:
    """An attribute that must be written.

    ``short``: a plain string stands for a table in which only this attribute is set. ``several``: lists are
    taken. ``secret``: its value is never shown.
    """
    metadata = {"help": help, "unit": unit, "answer": "", "choices": (), "least": least, "short": short}
    metadata["secret"] = secret
    return attrs.field(converter=as_tuple if several else None, metadata=metadata)


def as_tuple(value: object) -> object:
    """A list as a tuple and a dict as pairs: what was built in Python is as frozen and comparable as what
    was read.

    Anything else is left as it is: validation will say what is wrong with it.
    """
    if isinstance(value, list):
        return tuple(value)
    return tuple(value.items()) if isinstance(value, dict) else value


def alone_as_tuple(value: object) -> object:
    """As ``as_tuple``; a string stands for a tuple of one."""
    return (value,) if isinstance(value, str) else as_tuple(value)
