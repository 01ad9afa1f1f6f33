"""The one table of all limits and timeouts, as reStructuredText, from the model; and those of the cache's options.

``python -m revproxy.config.table > docs/limits.rst`` writes it anew; a test holds the two together.
"""

from __future__ import annotations

import sys
from typing import Any

import attrs

from revproxy.config.model import Cache, Limits, Listener, Route, RouteCache, RouteCacheKey, UpstreamOptions
from revproxy.config.shape import Setting, settings
from revproxy.config.written import written

_SECTIONS: tuple[tuple[str, type[Any]], ...] = (
    ("limits", Limits),
    ("site.route", Route),
    ("site.route.cache", RouteCache),
    ("cache", Cache),
    ("listener", Listener),
    ("upstream.NAME", UpstreamOptions),
)
_NUMBERS = ("duration", "size", "rate", "count")

_HEAD = """\
.. Made from the model by ``python -m revproxy.config.table``; change revproxy/config/model.py instead.

Limits and timeouts
===================

Everything that is bounded, with its name in the configuration, its default, and what happens when the bound is hit.
The defaults are meant for the open internet. A number in the last column is the status of the answer.
``limits`` and ``cache`` hold for the whole process, ``site.route`` for one route, ``listener`` for one listener, and
``upstream.NAME`` for the servers of one upstream. Durations are written as "30s", "5m" or "1h30m", sizes as "64KiB"
or "10MB".

.. list-table::
   :header-rows: 1
   :widths: 30 12 40 18

"""


@attrs.frozen
class Row:
    """One limit: its key in the configuration, its default as it would be written, what it bounds, the answer."""

    key: str
    default: str
    help: str
    answer: str


def rows() -> list[Row]:
    """Every limit of the configuration."""
    return [
        _row(setting, section)
        for section, table in _SECTIONS
        for setting in settings(table)
        if setting.kind in _NUMBERS and not setting.several
    ]


def text() -> str:
    """The whole page."""
    parts = [_HEAD, _cells("Setting", "Default", "What it bounds", "When it is hit")]
    parts.extend(_cells(f"``{row.key}``", row.default, row.help, row.answer or "\\-") for row in rows())
    return "".join(parts)


def options(table: type[Any]) -> str:
    """The settings of one table of the file, as rows for a list-table: name, default, what it is for.

    ``python -m revproxy.config.table cache`` prints those of docs/caching.rst.
    """
    parts = [_cells("Setting", "Default", "Meaning")]
    for setting in settings(table):
        if setting.table is None:
            default = written(setting, setting.default)
            parts.append(_cells(f"``{setting.key}``", _shown(default), setting.help))
    return "".join(parts)


def _shown(default: Any) -> str:
    if default is None:
        return "not set"
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, list):
        return ", ".join(map(str, default)) or "none"
    return str(default)


def _row(setting: Setting, section: str) -> Row:
    default = written(setting, setting.default)
    unit = "/s" if setting.kind == "rate" else ""
    return Row(
        f"{section}.{setting.key}", "not set" if default is None else f"{default}{unit}", setting.help, setting.answer
    )


def _cells(*cells: str) -> str:
    lines = [("   * - " if number == 0 else "     - ") + cell for number, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["cache"]:
        sys.stdout.write("\n".join(map(options, (RouteCache, RouteCacheKey, Cache))))
    else:
        sys.stdout.write(text())
