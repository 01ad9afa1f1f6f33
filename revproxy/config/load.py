"""A configuration file → ``Config``, or everything that is wrong with it at once.

Importing this imports no Twisted; only reading a file that names a resource does.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any

import attrs

from revproxy.config.locate import locate
from revproxy.config.mistakes import ConfigMistakes, Mistake, Path, Place, in_order, independent
from revproxy.config.model import Config, Listener, Route, Server, Site, UpstreamOptions
from revproxy.config.python import run
from revproxy.config.read import read, toml_path
from revproxy.config.validate import Check, settle, validate

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FROM_ARGUMENTS = "servers"
"""What the upstream of ``from_servers`` is called."""

_AT = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_TWICE = re.compile(r"Cannot declare \((?P<names>.*?),?\) twice")
_DEPTH = "tables or lists are nested too deeply"


@attrs.frozen
class Examination:
    """What a file says. ``config`` is None if it can't be used; ``mistakes`` holds the warnings as well."""

    config: Config | None
    mistakes: tuple[Mistake, ...]

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """The mistakes that don't keep the configuration from being used."""
        return tuple(mistake for mistake in self.mistakes if mistake.warning)


def load(path: str | os.PathLike[str], also: Sequence[Check] = ()) -> Config:
    """The configuration in a file: TOML, or Python if its name ends in ".py". Warnings are left out.

    ``also`` are further checks. Raises ``ConfigMistakes``, which lists everything that is wrong.
    """
    examination = examine(path, also)
    if examination.config is None:
        raise ConfigMistakes(mistake for mistake in examination.mistakes if not mistake.warning)
    return examination.config


def examine(path: str | os.PathLike[str], also: Sequence[Check] = ()) -> Examination:
    """What ``load`` gives, with the warnings, and mistakes as a value instead of an exception."""
    try:
        source = FilePath(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        text = f"the file can't be read: {reason}"
        return Examination(None, (Mistake(path=(), text=text, file=str(FilePath(path))),))
    return examine_source(path, source, also)


def examine_source(path: str | os.PathLike[str], source: bytes, also: Sequence[Check] = ()) -> Examination:
    """What ``examine`` gives for a file that has this text, whatever it has by now: several processes may build the
    same from one reading."""
    file = FilePath(path)
    try:
        if file.suffix == ".py":
            config, mistakes = _examine_python(file, source, also)
        else:
            config, mistakes = _examine_toml(file, source, also)
    except ConfigMistakes as error:
        return Examination(None, error.mistakes)
    unusable = any(not mistake.warning for mistake in mistakes)
    return Examination(None if unusable else config, tuple(mistakes))


def from_servers(urls: Sequence[str], listen: str | Sequence[str] = ":8080") -> Config:
    """One site for every name, proxied to the servers: what ``--to`` and ``--listen`` mean.

    Raises ``ConfigMistakes`` whose paths name those options.
    """
    addresses = [listen] if isinstance(listen, str) else list(listen)
    config = Config(
        listeners=tuple(Listener(address=address) for address in addresses),
        sites=(Site(hosts=("*",), routes=(Route(path="/", proxy=FROM_ARGUMENTS),)),),
        upstreams=(UpstreamOptions(name=FROM_ARGUMENTS, servers=tuple(Server(url=url) for url in urls)),),
    )
    mistakes = [mistake for mistake in validate(config) if not mistake.warning]
    if mistakes:
        raise ConfigMistakes(
            Mistake(path=("--listen" if mistake.path[0] == "listeners" else "--to",), text=mistake.text)
            for mistake in mistakes
        )
    return config


def _examine_python(file: FilePath, source: bytes, also: Sequence[Check]) -> tuple[Config, list[Mistake]]:
    config, mistakes = settle(run(file, source), file.parent, also)
    return config, [attrs.evolve(each, path=("config", *each.path), file=str(file)) for each in mistakes]


def _examine_toml(file: FilePath, source: bytes, also: Sequence[Check]) -> tuple[Config, list[Mistake]]:
    text = _decoded(file, source)
    data = _parsed(file, text)
    reading = read(data, file.parent)
    config, found = settle(reading.config, file.parent, also)
    translated = [
        attrs.evolve(
            mistake,
            path=toml_path(mistake.path, config, data),
            related=tuple(toml_path(path, config, data) for path in mistake.related),
        )
        for mistake in found
    ]
    places = locate(text)
    mistakes = [*reading.mistakes, *independent(translated, reading.wrong)]
    return config, in_order(attrs.evolve(each, file=str(file), place=_place(each.path, places)) for each in mistakes)


def _place(path: Path, places: dict[Path, Place]) -> Place | None:
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return None


def _decoded(file: FilePath, source: bytes) -> str:
    try:
        # Some editors put a byte order mark before the text.
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        raise ConfigMistakes([Mistake(path=(), text="the text is not UTF-8", file=str(file), place=place)]) from None


def parsed(text: str) -> dict[str, Any]:
    """The tables of a text that is known to be TOML. Raises ValueError."""
    return tomllib.loads(text)


def _parsed(file: FilePath, text: str) -> dict[str, Any]:
    try:
        return parsed(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigMistakes([_syntax_mistake(str(error), str(file), text)]) from None
    except RecursionError:
        raise ConfigMistakes([Mistake(path=(), text=_DEPTH, file=str(file))]) from None
    except ValueError as error:
        # A date with a 13th month, a number of too many digits: they come without a line.
        raise ConfigMistakes([Mistake(path=(), text=str(error), file=str(file))]) from None


def _syntax_mistake(message: str, file: str, text: str) -> Mistake:
    at = _AT.search(message)
    line, column = text.count("\n") + 1, 0
    if at is not None:
        message = message[: at.start()]
        if at["line"]:
            line, column = int(at["line"]), int(at["column"])
    message = _TWICE.sub(lambda match: f"{_dotted(match['names'])} is there twice", message)
    if message == "Cannot overwrite a value":
        message = "this key is there already"
    return Mistake(path=(), text=f"this is no TOML: {message}", file=file, place=Place(line, column))


def _dotted(names: str) -> str:
    return ".".join(name.strip().strip("'\"") for name in names.split(","))
