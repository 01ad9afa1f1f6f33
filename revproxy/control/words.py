"""Values as words for a terminal, and text of strangers made harmless.

What a client sent is escaped at the proxy already. It is escaped here once more, by what a terminal could do with it:
a terminal obeys what it is sent, and nobody reads ahead of it.
"""

from __future__ import annotations

import datetime
import unicodedata
from typing import Any, Final

NOTHING: Final = "-"
MOST_MARKS: Final = 2
"""Marks (accents) that one letter may carry: more of them paint over the lines above and below."""

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, what turns the direction or cannot be seen, halves of surrogate pairs, and what has no meaning (yet)."""
_MARKS: Final = frozenset({"Mn", "Me"})
_ODD: Final = (
    (0x115F, 0x11FF),  # parts of Hangul syllables, which join into one cell or don't
    (0xD7B0, 0xD7FF),
    (0x180B, 0x180F),  # variation selectors: they change the width of what is before them
    (0xFE00, 0xFE0F),
    (0x1F1E6, 0x1F1FF),  # two of these are one flag in some terminals
    (0x1F3FB, 0x1F3FF),  # these colour the sign before them in some
    (0x2800, 0x2800),  # letters that look like a space
    (0x3164, 0x3164),
    (0xFFA0, 0xFFA0),
)


def visible(value: Any) -> str:
    """The text as a line that a terminal shows and does not obey. What it could obey, hide or join is written as
    ``\\u{1b}``."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    written: list[str] = []
    marks = 0
    for letter in text:
        kind = unicodedata.category(letter)
        if kind in _MARKS:
            marks += 1
        else:
            marks = 0
        code = ord(letter)
        if (
            kind in _UNSEEN
            or (kind == "Zs" and letter != " ")
            or marks > MOST_MARKS
            or (marks and len(written) < marks)
            or any(first <= code <= last for first, last in _ODD)
        ):
            written.append(f"\\u{{{code:x}}}")
        else:
            written.append(letter)
    return "".join(written)


def width_of(text: str) -> int:
    """Columns that a text takes which ``visible`` has made. Signs of East Asian writing take two (UAX #11)."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(letter: str) -> int:
    if unicodedata.category(letter) in _MARKS:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, columns: int, end: str = "…") -> str:
    """As much of a visible text as has room; what is cut ends in ``end``."""
    if len(text) <= columns and text.isascii():
        return text
    if width_of(text) <= columns:
        return text
    if columns < width_of(end):
        return ""
    room = columns - width_of(end)
    kept = []
    for letter in text:
        room -= _width(letter)
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + end


def fitted(text: str, columns: int, *, right: bool = False, end: str = "…") -> str:
    """A visible text in exactly so many columns."""
    text = cut(text, columns, end)
    space = " " * (columns - width_of(text))
    return space + text if right else text + space


def number(value: float | None) -> str:
    """A count or a rate."""
    if value is None:
        return NOTHING
    size = abs(value)
    for power, unit in ((1e9, "G"), (1e6, "M")):
        if size >= power:
            return f"{value / power:.1f} {unit}"
    if size >= 1e5:
        return f"{value / 1e3:.0f} k"
    if size >= 9.95 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}"


def octets(value: float | None) -> str:
    """An amount of octets."""
    if value is None:
        return NOTHING
    rest = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if rest < 1000:
            return f"{rest:.0f} {unit}" if unit == "B" or rest >= 99.95 else f"{rest:.1f} {unit}"
        rest /= 1024
    return f"{rest:.1f} TiB"


def taken(seconds: float | None) -> str:
    """A time that was measured."""
    if seconds is None or seconds < 0:
        return NOTHING
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        decimals = 2 if milliseconds < 0.995 else 1 if milliseconds < 9.95 else 0
        return f"{milliseconds:.{decimals}f} ms"
    if seconds < 99.5:
        return f"{seconds:.{2 if seconds < 9.95 else 1}f} s"
    return age(seconds)


def age(seconds: float | None) -> str:
    """How long something has been so."""
    if seconds is None:
        return NOTHING
    whole = max(0, int(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{whole} s"


def share(part: float | None, whole: float | None) -> str:
    """A part in percent."""
    if not whole or part is None:
        return NOTHING
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f} %"


def clock(moment: Any) -> str:
    """A moment (Unix time, or ISO 8601) as the reader's own time of day."""
    try:
        if isinstance(moment, str):
            # Python 3.10 does not read the Z.
            date = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
        else:
            date = datetime.datetime.fromtimestamp(moment, datetime.timezone.utc)
        return date.astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError, OSError, TypeError):
        return visible(moment)[:8]


def counted(count: int, word: str) -> str:
    """``1 worker``, ``2 workers``."""
    return f"{number(count)} {word}{'' if count == 1 else 's'}"


def cache_word(value: str | None) -> str:
    """Cache-Status (RFC 9211) in a word: "revproxy; fwd=uri-miss; stored" is "uri-miss, stored"."""
    if not value:
        return NOTHING
    parts = [part.strip() for part in value.split(";")]
    if "hit" in parts:
        return "hit"
    forward = next((part[4:] for part in parts if part.startswith("fwd=")), "")
    if not forward:
        return value
    more = "stored" if "stored" in parts else "shared" if "collapsed" in parts else ""
    return f"{forward}, {more}" if more else forward
