"""What an operator got wrong, as values, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from revproxy.errors import ConfigError

Path = tuple[str | int, ...]
"""Where a value stands: keys, and indices from 0."""

_ESCAPED = re.compile(r'["\\]')
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def spell(path: Path) -> str:
    """A path as people write it: ``site[1].route[0].proxy``; a key with other characters is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if _BARE.fullmatch(part) else '"' + _ESCAPED.sub(r"\\\g<0>", part) + '"'
            text += f".{name}" if text else name
    return text


def visible(text: str) -> str:
    """The text without what could disturb a terminal or forge a line: control characters are shown as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@attrs.frozen
class Place:
    """A line and a column of a file, both from 1; a column of 0 is not known."""

    line: int
    column: int = 0


@attrs.frozen(kw_only=True)
class Mistake:
    """One thing that is wrong.

    ``related`` are the other values that the judgement rests on: if one of them is itself wrong, this mistake
    would only repeat that. A ``warning`` doesn't keep the configuration from being used.
    """

    path: Path
    text: str
    file: str = ""
    place: Place | None = None
    related: tuple[Path, ...] = ()
    warning: bool = False

    @property
    def key(self) -> str:
        """The path as people write it; empty if the file as a whole is meant."""
        return spell(self.path)

    def __str__(self) -> str:
        where = self.file
        if self.place is not None:
            where += f":{self.place.line}"
            if self.place.column:
                where += f":{self.place.column}"
        parts = [where, self.key, "warning" if self.warning else "", self.text]
        return visible(": ".join(part for part in parts if part))


class ConfigMistakes(ConfigError):
    """The configuration can't be used; ``mistakes`` says everything that is wrong, in the order of the file.

    ``str()`` is the whole text, a line for each mistake, as it is shown to the operator.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(map(str, self.mistakes)))


def independent(mistakes: Iterable[Mistake], wrong: Iterable[Path]) -> list[Mistake]:
    """The mistakes that don't merely follow from one of the values that are known to be wrong."""
    known = set(wrong)
    kept = []
    for mistake in mistakes:
        touched = (mistake.path, *mistake.related)
        if any(path[:length] in known for path in touched for length in range(len(path) + 1)):
            continue
        kept.append(mistake)
    return kept


def in_order(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """The mistakes as the file has them; those without a place come first."""
    return sorted(mistakes, key=lambda m: (m.place.line, m.place.column) if m.place else (0, 0))
