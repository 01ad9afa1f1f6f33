"""An explanation: steps in the order in which they were decided, each with its place in the configuration and its rule.

Whatever a client wrote is made harmless here, where it becomes text: no control characters, no line breaks, no angle
brackets, and no more of it than a line can hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath
from typing import Any, Final

import attrs

from revproxy.config.locate import locate
from revproxy.config.mistakes import Path, Place, spell, visible
from revproxy.observe.lines import escape

LONGEST: Final = 200
"""Octets of a client's that are shown of one value."""
WIDEST: Final = 4000
"""Characters of one step's text."""
_WIDTH: Final = 10
_TAGS: Final = {ord("<"): "\\x3c", ord(">"): "\\x3e"}


def shown(octets: bytes, most: int = LONGEST) -> str:
    """Octets of a client's as one harmless piece of a line."""
    text = escape(octets[:most]).translate(_TAGS)
    return f"{text}... ({len(octets)} octets)" if len(octets) > most else text


@attrs.frozen
class Step:
    """One decision, and why."""

    step: str
    """What it is about, in a word."""
    text: str
    place: str = ""
    """``file:line`` of the configuration; empty where nothing is written about it."""
    rfc: str = ""
    """The rule: "RFC 9110 §7.2"; empty where it is none of an RFC."""


class Places:
    """Where the keys of a configuration's file are written.

    :param file: its name as it is shown; empty where there is none.
    :param source: its text; None where that has no lines to tell of (Python, or what was made by arguments).
    """

    def __init__(self, file: str = "", source: str | None = None) -> None:
        self.file = file
        self._places: dict[Path, Place] = locate(source) if source is not None and file else {}

    @classmethod
    def of_file(cls, file: str) -> Places:
        """Those of a file, which is read."""
        if file.endswith(".py"):
            return cls(file)
        return cls(file, FilePath(file).read_bytes().decode("utf-8-sig"))

    def at(self, path: Path | None) -> str:
        """Where something is written: a file and a line. What is not written has the place of the table that it would
        stand in; where no line is known, the file's name is all there is."""
        if path is None:
            return ""
        for length in range(len(path), 0, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return f"{self.file}:{place.line}"
        return self.file

    def has(self, path: Path) -> bool:
        """Whether this very key is written."""
        return path in self._places


class Steps:
    """Collects steps."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.all: list[Step] = []

    def add(self, step: str, text: str, at: Path | None = None, rfc: str = "") -> None:
        """One more. ``at`` is the key of the configuration that it rests on."""
        self.all.append(Step(step, harmless(text), self.places.at(at), rfc))


def harmless(text: str) -> str:
    """A text without what could disturb a terminal or a page, and of bounded length."""
    text = visible(text).translate(_TAGS)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}... ({len(text)} characters)"


@attrs.frozen(kw_only=True)
class Explanation:
    """All of it."""

    request: str
    """The request in a line."""
    steps: tuple[Step, ...]
    status: int | None = None
    """What the request is answered with before any server is asked; None where it goes on."""
    trouble: str = ""
    """Why the server could not be asked (``--fetch``)."""

    @property
    def lines(self) -> list[str]:
        """The lines to print: what each is about stands before the first of its steps."""
        lines = [self.request]
        before = ""
        for step in self.steps:
            rule = "; ".join(filter(None, (step.place, step.rfc)))
            label = "" if step.step == before else step.step
            before = step.step
            lines.append(f"{label:<{_WIDTH}}{step.text}" + (f"  ({rule})" if rule else ""))
        return [harmless(line) for line in lines]

    @property
    def json(self) -> dict[str, Any]:
        """For programs: the steps, and the text as it is printed."""
        return {
            "request": self.request,
            "status": self.status,
            "explanation": [attrs.asdict(step) for step in self.steps],
            "text": "\n".join(self.lines),
        }


def listed(words: Sequence[str], most: int = 8) -> str:
    """Words with commas, and how many more there are."""
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"


def named(path: Path) -> str:
    """A key as people write it: ``limits.body_size``; numbers of tables are left out."""
    return spell(tuple(part for part in path if not isinstance(part, int)))
