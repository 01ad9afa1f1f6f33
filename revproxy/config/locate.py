"""Where each key of a TOML text stands: ``tomllib`` knows no line numbers, and a mistake without its line is half told.

The text has been accepted by ``tomllib``; so this only finds its way and checks nothing. If it should ever lose its
way, the positions found until then are what there is, and a mistake is shown without a line or with its table's.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right

import attrs

from revproxy.config.mistakes import Path, Place

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRINGS = (
    re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""(?:"{0,2})', re.DOTALL),
    re.compile(r"'''(?:[^']|'(?!''))*'''(?:'{0,2})"),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


class _LostError(Exception):
    """The text is not what the scanner expects."""


def locate(text: str) -> dict[Path, Place]:
    """The place of every key, table and array element of a TOML text, by its path, ``("site", 1, "route", 0)``.

    A table that is never written by itself (``a`` in ``[a.b]``) has the place where it first appears.
    """
    scanner = _Scanner(text)
    try:
        scanner.document()
    except (_LostError, RecursionError):
        pass
    return scanner.places()


@attrs.define(init=False)
class _Scanner:
    """Walks once through the text and notes the offset of every key."""

    text: str
    at: int
    offsets: dict[Path, int]
    tables: dict[Path, int]

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.offsets = {}
        # How many tables each array of tables has so far: [a.b] below [[a]] means the last one's.
        self.tables = {}

    def places(self) -> dict[Path, Place]:
        starts = [0, *(found.end() for found in re.finditer("\n", self.text))]
        places = {}
        for path, offset in self.offsets.items():
            line = bisect_right(starts, offset)
            places[path] = Place(line, offset - starts[line - 1] + 1)
        return places

    def document(self) -> None:
        table: Path = ()
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.take("[["):
                table = self.header(array=True)
                self.expect("]]")
            elif self.take("["):
                table = self.header(array=False)
                self.expect("]")
            else:
                self.pair(table)
            self.skip(_BLANK)

    def header(self, *, array: bool) -> Path:
        parts = self.key()
        path: Path = ()
        for number, (part, offset) in enumerate(parts, 1):
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if array and number == len(parts):
                path = (*path, self.tables.get(path, 0))
                self.tables[path[:-1]] = self.tables.get(path[:-1], 0) + 1
                self.offsets[path] = offset
            elif path in self.tables:
                path = (*path, self.tables[path] - 1)
            elif number == len(parts):
                # "[a]" after "[a.b]" is the better place for a.
                self.offsets[path] = offset
        return path

    def pair(self, table: Path) -> None:
        path = table
        for part, offset in self.key():
            path = (*path, part)
            self.offsets.setdefault(path, offset)
        self.expect("=")
        self.skip(_SPACE)
        self.value(path)

    def key(self) -> list[tuple[str, int]]:
        """A key's parts with their offsets; what follows it is next."""
        parts = []
        while True:
            self.skip(_SPACE)
            offset = self.at
            parts.append((self.key_part(), offset))
            self.skip(_SPACE)
            if not self.take("."):
                return parts

    def key_part(self) -> str:
        bare = _BARE.match(self.text, self.at)
        if bare:
            self.at = bare.end()
            return bare.group()
        written = self.string()
        if "\\" not in written:
            return written[1:-1]
        name = tomllib.loads(f"name = {written}")["name"]
        return str(name)

    def string(self) -> str:
        for pattern in _STRINGS:
            found = pattern.match(self.text, self.at)
            if found:
                self.at = found.end()
                return found.group()
        raise _LostError

    def value(self, path: Path) -> None:
        if self.text.startswith(('"', "'"), self.at):
            self.string()
        elif self.take("["):
            self.array(path)
        elif self.take("{"):
            self.inline_table(path)
        else:
            self.skip(_SCALAR, least=1)

    def array(self, path: Path) -> None:
        number = 0
        self.skip(_BLANK)
        while not self.take("]"):
            self.offsets[(*path, number)] = self.at
            self.value((*path, number))
            number += 1
            self.skip(_BLANK)
            self.take(",")
            self.skip(_BLANK)

    def inline_table(self, path: Path) -> None:
        self.skip(_BLANK)
        while not self.take("}"):
            self.pair(path)
            self.skip(_BLANK)
            self.take(",")
            self.skip(_BLANK)

    def skip(self, pattern: re.Pattern[str], *, least: int = 0) -> None:
        found = pattern.match(self.text, self.at)
        if found is None or len(found.group()) < least:
            raise _LostError
        self.at = found.end()

    def take(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def expect(self, sign: str) -> None:
        self.skip(_SPACE)
        if not self.take(sign):
            raise _LostError
