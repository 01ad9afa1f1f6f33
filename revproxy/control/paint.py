"""Lines of a terminal: text in colours that fits its width, and columns that leave when there is no room."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

import attrs

from revproxy.control.words import cut, fitted, visible, width_of

_COLOURS: Final = {
    "good": "32",
    "warn": "33",
    "bad": "31",
    "info": "36",
    "quiet": "2",
    "strong": "1",
    "title": "1;7",
    "alarm": "1;31",
}
"""What is said in colour is always said in words too."""

Span = tuple[str, str]
"""A visible text and its role: a name of a colour, or nothing."""
Line = Sequence[Span]

BARS: Final = "▁▂▃▄▅▆▇█"


@attrs.frozen
class Look:
    """What a terminal can show."""

    colour: bool = False
    unicode: bool = True

    @classmethod
    def of(cls, stream: TextIO, environment: dict[str, str] | None = None) -> Look:
        """What this one can, as far as it tells; NO_COLOR and TERM=dumb are heard."""
        known = dict(os.environ) if environment is None else environment
        dumb = known.get("TERM", "dumb") == "dumb"
        colour = stream.isatty() and not dumb and not known.get("NO_COLOR")
        return cls(colour, "utf" in (getattr(stream, "encoding", None) or "").lower())

    @property
    def end(self) -> str:
        """How a text ends that was cut."""
        return "…" if self.unicode else "~"

    def text(self, value: object) -> str:
        """Anything as visible text, in letters that this terminal has."""
        shown = visible(value)
        if self.unicode or shown.isascii():
            return shown
        return "".join(letter if letter.isascii() else f"\\u{{{ord(letter):x}}}" for letter in shown)


def painted(line: Line, look: Look, columns: int | None = None) -> str:
    """One line, cut where the terminal ends."""
    written = []
    room = columns
    for text, role in line:
        if room is not None:
            if room <= 0:
                break
            text = cut(text, room, look.end)
            room -= width_of(text)
        colour = _COLOURS.get(role, "") if look.colour else ""
        written.append(f"\x1b[{colour}m{text}\x1b[0m" if colour and text else text)
    return "".join(written).rstrip(" ") if not look.colour else "".join(written)


def flow(label: str, pieces: Iterable[Sequence[Span]], columns: int, indent: int = 10) -> list[list[Span]]:
    """Pieces behind a label, on as many lines as they need; none is broken."""
    lines: list[list[Span]] = [[(fitted(label, indent), "quiet")]]
    used = indent
    for piece in pieces:
        size = sum(width_of(text) for text, _ in piece)
        if used > indent and used + 2 + size > columns:
            lines.append([(" " * indent, "")])
            used = indent
        if used > indent:
            lines[-1].append(("  ", ""))
            used += 2
        lines[-1].extend(piece)
        used += size
    return lines


def bars(values: Sequence[float | None], columns: int, look: Look) -> str:
    """The newest values as a row of bars; nothing where they could not be shown."""
    if not look.unicode or columns <= 0:
        return ""
    shown = [value or 0.0 for value in values[-columns:]]
    highest = max(shown, default=0.0)
    if highest <= 0:
        return ""
    return "".join(BARS[min(7, int(value / highest * 7.999))] for value in shown)


@attrs.frozen
class Column:
    """A column of a table.

    :param name: what stands above it.
    :param rank: those with the highest leave first where there is no room; 0 stays.
    :param right: numbers stand at the right.
    :param least: columns of the terminal that it has at least, so that the next rows do not move it.
    :param grows: it is cut to ``least`` before another column leaves, and takes its share of the room that is left.
    :param fills: takes all of the room that is left in the end.
    """

    name: str
    rank: int = 0
    right: bool = False
    least: int = 0
    grows: bool = False
    fills: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[Span]], width: int, look: Look) -> list[list[Span]]:
    """The names and the rows, in as many of the columns as have room."""
    natural = [
        max([width_of(column.name), 0 if column.grows else column.least, *(width_of(row[at][0]) for row in rows)])
        for at, column in enumerate(columns)
    ]
    least = [min(natural[at], column.least) if column.grows else natural[at] for at, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while sum(least[at] for at in kept) + 2 * (len(kept) - 1) > width:
        last = max(kept, key=lambda at: (columns[at].rank, at))
        if not columns[last].rank:
            break
        kept.remove(last)
    sizes = {at: least[at] for at in kept}
    spare = width - sum(sizes.values()) - 2 * (len(kept) - 1)
    for at in kept:
        if spare > 0 and columns[at].grows:
            more = min(spare, natural[at] - sizes[at])
            sizes[at] += more
            spare -= more
    for at in kept:
        if spare > 0 and columns[at].fills:
            sizes[at] += spare
            spare = 0

    def line(cells: Sequence[Span]) -> list[Span]:
        spans: list[Span] = []
        for place, at in enumerate(kept):
            text, role = cells[at]
            if place:
                spans.append(("  ", ""))
            spans.append((fitted(text, sizes[at], right=columns[at].right, end=look.end), role))
        return spans

    return [line([(column.name, "quiet") for column in columns]), *map(line, rows)]
