"""The query as the cache key has it: parameters kept, left out or sorted, as a route's owner says.

Left-out parameters are unkeyed: whoever can make a server see another parameter through one of them poisons the cache.
So what is compared is chosen to be on the safe side, which is another side for each kind of list:

- A parameter is kept if *any* common server could read one of the listed names out of it: escapes decoded, case
  ignored, ``a[b]`` read as ``a``, dots and spaces as underscores.
- A parameter is left out only if its octets are exactly a listed name. One that hides a second parameter (``;`` and
  ``?`` separate parameters for some servers) is kept.

Order among parameters of one name always stays. Nothing here touches what is sent to the server.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Query = Literal["all", "none", "only", "except"]

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_HIDING: Final = re.compile(rb"[;?]|%3[bBfF]|%26|%23")


def _decoded(match: re.Match[bytes]) -> bytes:
    return bytes([int(match.group(1), 16)])


def read_name(parameter: bytes) -> bytes:
    """What the most liberal server could take for the name of a parameter."""
    name = _ESCAPE.sub(_decoded, parameter.partition(b"=")[0].replace(b"+", b" "))
    name = name.strip(b" \t\r\n\0").partition(b"\0")[0].lower()
    return name[:1] + name[1:].partition(b"[")[0].replace(b".", b"_").replace(b" ", b"_")


class QueryRule:
    """Which parameters are part of the key, compiled from an option."""

    __slots__ = ("_exact", "_kind", "_prefixes", "_read", "_read_prefixes", "_sort", "description", "keeps_all")

    def __init__(self, kind: Query, names: frozenset[bytes], sort: bool) -> None:
        self._kind = kind
        self._sort = sort
        self._exact = frozenset(name for name in names if name[-1:] != b"*")
        self._prefixes = tuple(name[:-1] for name in names if name[-1:] == b"*")
        self._read = frozenset(read_name(name) for name in self._exact)
        self._read_prefixes = tuple(read_name(prefix) for prefix in self._prefixes)
        self.keeps_all = kind == "all" and not sort
        """Whether every target is its own keyed target."""
        words = [kind.encode("ascii"), b"sorted" if sort else b""]
        if kind in ("only", "except"):
            words += sorted(names)
        self.description = b"&".join(words)
        """The rule itself: the same octets for the same rule alone."""

    def apply(self, target: bytes) -> bytes:
        """The target as the key has it."""
        if self.keeps_all or b"?" not in target:
            return target
        path, _, query = target.partition(b"?")
        if self._kind == "none":
            return path
        parameters = query.split(b"&")
        if self._kind != "all":
            kept = [parameter for parameter in parameters if self._keeps(parameter)]
            if len(kept) < len(parameters):
                parameters = kept
                if not kept:
                    return path
        if self._sort:
            # A stable sort by what may be the name: names that a server could take for one keep their order.
            parameters = sorted(parameters, key=read_name)
        return path + b"?" + b"&".join(parameters)

    def _keeps(self, parameter: bytes) -> bool:
        if self._kind == "only":
            name = read_name(parameter)
            if name in self._read or name.startswith(self._read_prefixes):
                return True
            return _HIDING.search(parameter) is not None
        name = parameter.partition(b"=")[0]
        listed = name in self._exact or name.startswith(self._prefixes)
        return not listed or _HIDING.search(parameter) is not None
