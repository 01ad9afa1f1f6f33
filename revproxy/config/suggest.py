"""What somebody may have meant by a word that isn't known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that looks most like this one, if one does: other spelling, a plural, "-" for "_"."""
    words = sorted(set(known))
    by_plain = {_plain(each): each for each in reversed(words)}
    close = get_close_matches(_plain(word), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: ``; did you mean "..."?``, or what there is if that is little, or nothing."""
    words = sorted(set(known))
    close = nearest(word, words)
    if close is not None:
        return f'; did you mean "{close}"?'
    if 0 < len(words) <= 6:
        return "; there is " + ", ".join(f'"{each}"' for each in words)
    return ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
