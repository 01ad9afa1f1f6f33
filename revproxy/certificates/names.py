"""Which certificate, and which site, a name belongs to.

The two match differently. In a certificate, ``*`` stands for exactly one label, the leftmost (RFC 9525 §6.3). In a
site's hosts, ``*.example.com`` takes names of any depth, and ``*`` alone what no other site takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from revproxy.config.hosts import normal_pattern

T = TypeVar("T")


class NameTable(Generic[T]):
    """Values under names and patterns in the form of ``normal_pattern``; the first under a name stays."""

    __slots__ = ("_below", "_default", "_exact")

    def __init__(self, pairs: Iterable[tuple[str, T]] = ()) -> None:
        self._exact: dict[str, T] = {}
        self._below: dict[str, T] = {}
        self._default: T | None = None
        for pattern, value in pairs:
            self.add(pattern, value)

    def add(self, pattern: str, value: T) -> None:
        """Puts a value under a name or a pattern."""
        if pattern == "*":
            self._default = value if self._default is None else self._default
        elif pattern.startswith("*."):
            self._below.setdefault(pattern[1:], value)
        else:
            self._exact.setdefault(pattern, value)

    def find_by_label(self, name: str) -> T | None:
        """What a certificate's name matches: exactly, or with one label in the place of its ``*``."""
        found = self._exact.get(name)
        if found is None and self._below:
            at = name.find(".")
            # A label must stand where the star is.
            found = self._below.get(name[at:]) if at > 0 else None
        return found

    def find_by_suffix(self, name: str) -> T | None:
        """What a site's host matches: exactly, else the longest pattern above it, else ``*``."""
        found = self._exact.get(name)
        if found is not None:
            return found
        if self._below:
            at = name.find(".")
            while at >= 0:
                found = self._below.get(name[at:])
                if found is not None:
                    return found
                at = name.find(".", at + 1)
        return self._default

    def exact_names(self) -> list[str]:
        """The names that are no patterns, in their order."""
        return list(self._exact)


def certificate_name(text: str) -> str | None:
    """A name of a certificate in its normal form: A-labels, lower case, an IPv6 address in brackets.

    None for what no client can ask for: a ``*`` that is not a whole leftmost label (RFC 9525 §6.3), or no name at all.
    """
    try:
        name = normal_pattern(text)
    except ValueError:
        return None
    return None if name == "*" else name
