"""What ``tomllib`` made of a file → ``Config``, along the model; what doesn't fit is noted, nothing is raised.

A value that can't be used is replaced by a harmless one and its path is remembered, so that the validation, which sees
the whole, can go on without repeating what has been said.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

import attrs

from revproxy.config.homes import home
from revproxy.config.imports import import_resource
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config
from revproxy.config.shape import Setting, settings
from revproxy.config.suggest import did_you_mean, nearest
from revproxy.config.units import parse_duration, parse_network, parse_redirect, parse_size, parse_workers

_UNUSABLE = object()
_KINDS = ((str, "text"), (int, "a whole number"), (float, "a fraction"), (list, "a list"), (dict, "a table"))
_PARSERS: dict[str, Any] = {
    "duration": parse_duration,
    "size": parse_size,
    "network": parse_network,
    "redirect": parse_redirect,
    "workers": parse_workers,
}


@attrs.frozen
class Reading:
    """What was understood of a file, what was not, and the paths (as in TOML) at which values are missing."""

    config: Config
    mistakes: tuple[Mistake, ...]
    wrong: frozenset[Path]


def read(data: dict[str, Any], folder: FilePath) -> Reading:
    """Reads the tables of a TOML file that lies in ``folder``."""
    reader = _Reader(folder)
    config = reader.table(Config, data, ())
    return Reading(config, tuple(reader.mistakes), frozenset(reader.wrong))


def toml_path(path: Path, config: Config, data: dict[str, Any]) -> Path:
    """A path in the model's terms (``sites``, 0, ``hosts``) as it is written in TOML (``site``, 0, ``hosts``).

    It ends where the file's text ends: the ``url`` of a server that is written as a plain string is that string.
    """
    written: list[str | int] = []
    table: type[Any] | None = Config
    setting: Setting | None = None
    holder: Any = config
    for part in path:
        if isinstance(part, int):
            keyed = setting.keyed if setting is not None else ""
            holder = holder[part]
            written.append(getattr(holder, keyed) if keyed else part)
        elif setting is not None and setting.keyed and part == setting.keyed:
            # The name of a named table is the part before.
            setting = None
        else:
            setting = next((each for each in settings(table) if each.name == part), None) if table else None
            written.append(setting.key if setting is not None else part)
            table = setting.table if setting is not None else None
            holder = getattr(holder, part, None)
    return _as_far_as_written(tuple(written), data)


def _as_far_as_written(path: Path, data: Any) -> Path:
    for number, part in enumerate(path):
        if not isinstance(data, dict | list):
            return path[:number]
        held: Any = data if isinstance(data, dict) else dict(enumerate(data))
        if part not in held:
            return path
        data = held[part]
    return path


@attrs.define
class _Reader:
    folder: FilePath
    mistakes: list[Mistake] = attrs.Factory(list)
    wrong: set[Path] = attrs.Factory(set)

    def refuse(self, path: Path, text: str) -> Any:
        self.mistakes.append(Mistake(path=path, text=text))
        self.wrong.add(path)
        return _UNUSABLE

    def table(self, table: type[Any], data: dict[str, Any], path: Path, **given: Any) -> Any:
        """One table. ``given`` are attributes that stand elsewhere (the name of ``[upstream.NAME]``)."""
        values = dict(given)
        known = [setting for setting in settings(table) if setting.name not in given]
        for setting in known:
            here = (*path, setting.key)
            if setting.key in data:
                value = self.several(setting, data[setting.key], here)
            elif setting.required:
                value = self.refuse(here, f"{setting.key} is missing")
            else:
                continue
            if value is not _UNUSABLE:
                values[setting.name] = value
            elif setting.required:
                values[setting.name] = () if setting.several else ""
        for key in data:
            if all(key != setting.key for setting in known):
                self.unknown(key, [setting.key for setting in known], data, path)
        return table(**values)

    def unknown(self, key: str, known: list[str], data: dict[str, Any], path: Path) -> None:
        close, place = nearest(key, known), home(key)
        hint = did_you_mean(key, known) if close is not None or not place else ""
        if place:
            hint += f" It belongs to {place}." if hint else f"; it belongs to {place}"
        self.refuse((*path, key), f'unknown key "{key}"{hint}')
        if close is not None and close not in data:
            # What was meant is there in a way: it isn't missing as well.
            self.wrong.add((*path, close))

    def several(self, setting: Setting, value: Any, path: Path) -> Any:
        if setting.keyed:
            return self.named_tables(setting, value, path)
        if not setting.several:
            return self.one(setting, value, path)
        if setting.alone and isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            if setting.table is not None and isinstance(value, dict):
                return self.refuse(path, f"several can be there: write [[{'.'.join(_names(path))}]], in two brackets")
            hint = f': write ["{value}"]' if isinstance(value, str) else ""
            return self.refuse(path, f"a list is expected, not {_kind(value)}{hint}")
        items = []
        for number, item in enumerate(value):
            read = self.one(setting, item, (*path, number))
            if read is not _UNUSABLE:
                items.append(read)
            elif setting.table is not None:
                # Later ones keep their numbers, by which they are called in messages.
                items.append(_blank(setting.table))
            elif setting.kind == "text":
                items.append("")
        return tuple(items)

    def named_tables(self, setting: Setting, value: Any, path: Path) -> Any:
        assert setting.table is not None
        if not isinstance(value, dict):
            return self.refuse(path, f"each has a name: write [{setting.key}.NAME]")
        tables = []
        for name, data in value.items():
            here = (*path, name)
            if isinstance(data, dict):
                tables.append(self.table(setting.table, data, here, **{setting.keyed: name}))
            else:
                self.refuse(here, f"a table is expected, not {_kind(data)}: write [{setting.key}.NAME]")
                tables.append(_blank(setting.table, **{setting.keyed: name}))
        return tuple(tables)

    def one(self, setting: Setting, value: Any, path: Path) -> Any:
        if setting.kind == "table":
            return self.nested(setting, value, path)
        if setting.kind == "fields":
            return self.fields(value, path)
        if setting.kind in _PARSERS:
            try:
                return _PARSERS[setting.kind](value)
            except ValueError as error:
                return self.refuse(path, str(error))
        if setting.kind == "flag":
            if isinstance(value, bool):
                return value
            return self.refuse(path, f"true or false is expected, not {_kind(value)}")
        if setting.kind in ("count", "rate"):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            return self.refuse(path, f"a whole number is expected, not {_kind(value)}")
        if not isinstance(value, str):
            return self.refuse(path, f"text in quotes is expected, not {_kind(value)}")
        if setting.kind == "resource":
            try:
                return import_resource(value, self.folder)
            except ValueError as error:
                return self.refuse(path, str(error))
        return value

    def nested(self, setting: Setting, value: Any, path: Path) -> Any:
        assert setting.table is not None
        if isinstance(value, dict):
            return self.table(setting.table, value, path)
        if setting.switch and isinstance(value, bool):
            return setting.table() if value else None
        if setting.short and isinstance(value, str):
            return self.table(setting.table, {setting.short: value}, path)
        expected = "text in quotes or a table" if setting.short else "a table"
        if setting.switch:
            expected = "true, false or a table"
        return self.refuse(path, f"{expected} is expected, not {_kind(value)}")

    def fields(self, value: Any, path: Path) -> Any:
        if not isinstance(value, dict):
            return self.refuse(path, f'a table is expected, not {_kind(value)}: write {{ "Name" = "value" }}')
        pairs = []
        for name, written in value.items():
            here = (*path, name)
            for text in written if isinstance(written, list) else [written]:
                if isinstance(text, str):
                    pairs.append((name, text))
                else:
                    self.refuse(here, f"text in quotes, or a list of such, is expected, not {_kind(text)}")
        return tuple(pairs)


def _blank(table: type[Any], **given: Any) -> Any:
    """A table in the stead of one that can't be read."""
    for setting in settings(table):
        if setting.required and setting.name not in given:
            given[setting.name] = () if setting.several else ""
    return table(**given)


def _names(path: Path) -> list[str]:
    return [part for part in path if isinstance(part, str)]


def _kind(value: object) -> str:
    """What a value of TOML is, in words."""
    if isinstance(value, bool):
        return "true or false"
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return "a date or time"
