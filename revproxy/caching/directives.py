"""Cache-Control, and the fields that stand in for it (RFC 9111 §5.2, RFC 9213).

What is malformed is read in the most restrictive way that RFC 9111 §4.2.1 leaves: a lifetime that is no number is 0; of
two lifetimes the first counts, unless a later one is shorter, then the response is stale; a member that breaks the
grammar grants nothing, but any restricting word in it restricts. Unknown directives are ignored (§5.2.3).

Parsed values are remembered by their octets: a server sends few different ones. The memo is bounded, and nothing in it
is anybody's secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import http_sf

from revproxy.http.fields import TOKEN_OCTETS, Fields

UNBOUNDED: Final = 2147483648
"""What stands for every number of seconds from here on (RFC 9111 §1.2.2)."""
ABSENT: Final = -1
"""The value of a directive that is not there."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"((?:[^"\\]|\\.)*)"'
_MEMBER: Final = re.compile(rb"(?s)(%b)(?:=(?:(%b)|%b))?" % (_TOKEN, _TOKEN, _QUOTED))
_MARK: Final = re.compile(rb'[,"]')
_WHOLE_QUOTED: Final = re.compile(rb"(?s)" + _QUOTED)
_WORD: Final = re.compile(_TOKEN)
_ESCAPE: Final = re.compile(rb"(?s)\\(.)")

NEEDED: Final = frozenset({b"age", b"cache-control", b"date", b"etag", b"expires", b"last-modified", b"vary"})
"""Fields by which a stored response is judged: it is never kept without them."""

Member = tuple[bytes, bytes | None]
"""A directive: its name in lower case, its argument without quotes, None where there is none."""


def delta_seconds(argument: bytes | None) -> int:
    """A number of seconds (RFC 9111 §1.2.2), at most ``UNBOUNDED``; ``ABSENT`` where it is none."""
    if argument is None or not argument.isdigit():
        return ABSENT
    digits = argument.lstrip(b"0")
    if len(digits) > 10:
        return UNBOUNDED
    return min(int(digits or b"0"), UNBOUNDED)


def members(value: bytes) -> tuple[list[Member], list[bytes]]:
    """The directives of a Cache-Control value, and in lower case the words of its members that break the grammar."""
    good: list[Member] = []
    words: list[bytes] = []
    parts, broken = _split(value) if b'"' in value else (value.split(b","), b"")
    for part in parts:
        member = part.strip(b" \t")
        if not member:
            continue
        found = _MEMBER.fullmatch(member)
        if found is None:
            words += _WORD.findall(member.lower())
            continue
        name, token, quoted = found.groups()
        if quoted is not None:
            token = _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        good.append((name.lower(), token))
    if broken:
        words += _WORD.findall(broken.lower())
    return good, words


def _split(value: bytes) -> tuple[list[bytes], bytes]:
    """Parts between commas that stand in no quoted-string, and the rest from the member whose quote never ends."""
    parts = []
    start = place = 0
    while True:
        mark = _MARK.search(value, place)
        if mark is None:
            parts.append(value[start:])
            return parts, b""
        place = mark.start()
        if value[place] == 0x2C:
            parts.append(value[start:place])
            place += 1
            start = place
            continue
        quoted = _WHOLE_QUOTED.match(value, place)
        if quoted is None:
            return parts, value[start:]
        place = quoted.end()


def field_names(argument: bytes) -> frozenset[bytes]:
    """The lower-case names in the argument of no-cache or private; empty where the directive counts as if it had none
    (RFC 9111 §5.2.2.4): the argument is no list of field names, or names a field without which the response can't be
    judged."""
    names = {name for part in argument.lower().split(b",") if (name := part.strip(b" \t"))}
    for name in names:
        if name.translate(None, TOKEN_OCTETS) or name in NEEDED or name.endswith(b"-cache-control"):
            return frozenset()
    return frozenset(names)


class ResponseDirectives:
    """What a response says to caches. Never changed once parsed."""

    __slots__ = (
        "immutable",
        "max_age",
        "must_revalidate",
        "must_understand",
        "no_cache",
        "no_cache_fields",
        "no_store",
        "no_transform",
        "private",
        "private_fields",
        "proxy_revalidate",
        "public",
        "s_maxage",
        "shareable",
        "stale_if_error",
        "stale_while_revalidate",
        "targeted",
    )

    def __init__(self) -> None:
        self.max_age = ABSENT
        """Seconds; 0 also where it is malformed."""
        self.s_maxage = ABSENT
        self.stale_while_revalidate = ABSENT
        self.stale_if_error = ABSENT
        self.no_store = False
        self.no_cache = False
        """The unqualified form."""
        self.no_cache_fields: frozenset[bytes] = frozenset()
        self.private = False
        """The unqualified form."""
        self.private_fields: frozenset[bytes] = frozenset()
        self.public = False
        self.must_revalidate = False
        self.proxy_revalidate = False
        self.must_understand = False
        self.immutable = False
        self.no_transform = False
        self.shareable = False
        """Whether it allows to store an answer to a request with Authorization (RFC 9111 §3.5)."""
        self.targeted = False
        """Whether a targeted field said all this, so that Expires does not count (RFC 9213 §2.2)."""


def _lifetime(earlier: int, seconds: int) -> int:
    """RFC 9111 §4.2.1: the first of several counts, or the response is stale."""
    if seconds < 0:
        return 0
    if earlier < 0 or earlier <= seconds:
        return seconds if earlier < 0 else earlier
    return 0


def _least(earlier: int, seconds: int) -> int:
    seconds = max(seconds, 0)
    return seconds if earlier < 0 else min(earlier, seconds)


def _restrict(directives: ResponseDirectives, name: bytes) -> None:
    """What a word does that stands where it breaks the grammar."""
    if name == b"no-store":
        directives.no_store = True
    elif name == b"no-cache":
        directives.no_cache = True
    elif name == b"private":
        directives.private = True
    elif name == b"must-revalidate":
        directives.must_revalidate = True
    elif name == b"proxy-revalidate":
        directives.proxy_revalidate = True
    elif name == b"no-transform":
        directives.no_transform = True
    elif name == b"max-age":
        directives.max_age = 0
    elif name == b"s-maxage":
        directives.s_maxage = 0
    elif name == b"stale-while-revalidate":
        directives.stale_while_revalidate = 0
    elif name == b"stale-if-error":
        directives.stale_if_error = 0


def _apply(directives: ResponseDirectives, name: bytes, argument: bytes | None, seconds: int) -> None:
    """One well-formed member; ``seconds`` is its argument as a number, ``ABSENT`` where it is none."""
    if name == b"max-age":
        directives.max_age = _lifetime(directives.max_age, seconds)
    elif name == b"s-maxage":
        directives.s_maxage = _lifetime(directives.s_maxage, seconds)
        directives.shareable |= seconds >= 0
    elif name == b"stale-while-revalidate":
        directives.stale_while_revalidate = _least(directives.stale_while_revalidate, seconds)
    elif name == b"stale-if-error":
        directives.stale_if_error = _least(directives.stale_if_error, seconds)
    elif name in (b"no-cache", b"private"):
        names = field_names(argument) if argument is not None else frozenset()
        if not names:
            _restrict(directives, name)
        elif name == b"no-cache":
            directives.no_cache_fields |= names
        else:
            directives.private_fields |= names
    elif name == b"public":
        # These take no argument. What grants something is not believed with one; what restricts is.
        directives.public |= argument is None
        directives.shareable |= argument is None
    elif name == b"must-revalidate":
        directives.must_revalidate = True
        directives.shareable |= argument is None
    elif name == b"must-understand":
        # It lifts no-store (RFC 9111 §5.2.2.3), so with an argument that nobody defined it restricts instead.
        if argument is None:
            directives.must_understand = True
        else:
            directives.no_store = True
    elif name == b"immutable":
        directives.immutable = True  # RFC 8246 §2: arguments have no meaning
    else:
        _restrict(directives, name)


def parse_cache_control(value: bytes) -> ResponseDirectives:
    """A response's Cache-Control. Never raises."""
    directives = ResponseDirectives()
    good, words = members(value)
    for name, argument in good:
        _apply(directives, name, argument, delta_seconds(argument))
    for word in words:
        _restrict(directives, word)
    return directives


def parse_targeted(value: bytes) -> ResponseDirectives | None:
    """A targeted field, strictly a structured field (RFC 9213 §2.1); None where it must be ignored: invalid, empty."""
    try:
        members = http_sf.parse(value, tltype="dictionary")
    except (http_sf.StructuredFieldError, ValueError, OverflowError, OSError):
        return None
    if not isinstance(members, dict) or not members:
        return None
    directives = ResponseDirectives()
    directives.targeted = True
    for key, member in members.items():
        name = key.encode("ascii")
        item = member[0] if isinstance(member, tuple) else member
        # RFC 9213 §2.1: no coercion. Only an Integer is a number of seconds, only true is the absence of an argument,
        # only a String is a list of names.
        seconds = min(item, UNBOUNDED) if type(item) is int and item >= 0 else ABSENT
        argument = None if item is True else item.encode("latin-1") if type(item) is str else b""
        _apply(directives, name, argument, seconds)
    return directives


_REMEMBERED: dict[bytes, ResponseDirectives] = {}
_REMEMBERED_TARGETED: dict[bytes, ResponseDirectives | None] = {}
_REMEMBERED_BOUND: Final = 1024
_REMEMBERED_LENGTH: Final = 256
NO_RESPONSE_DIRECTIVES: Final = ResponseDirectives()

_T = TypeVar("_T")


def _remembered(memo: dict[bytes, _T], value: bytes, parse: Callable[[bytes], _T]) -> _T:
    if value in memo:
        return memo[value]
    parsed = parse(value)
    if len(value) <= _REMEMBERED_LENGTH:
        if len(memo) >= _REMEMBERED_BOUND:
            memo.clear()
        memo[value] = parsed
    return parsed


def response_directives(fields: Fields, targeted: tuple[bytes, ...] = ()) -> ResponseDirectives:
    """What counts for a response: the first valid field of ``targeted`` (lower case), else Cache-Control."""
    for name in targeted:
        value = fields.get(name)
        if value:
            found = _remembered(_REMEMBERED_TARGETED, value, parse_targeted)
            if found is not None:
                return found
    value = fields.get(b"cache-control")
    if not value:
        return NO_RESPONSE_DIRECTIVES
    return _remembered(_REMEMBERED, value, parse_cache_control)
