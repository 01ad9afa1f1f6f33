"""Cache-Status (RFC 9211) and Age (RFC 9111 §5.1), rendered.

One member of Cache-Status says what this cache did. Caches nearer to the origin stand before it in the list. A hit's
member is one formatting of two numbers; all others are rendered off the hot path.
"""

from __future__ import annotations

import functools
import re
from typing import Final

import http_sf

from revproxy.http.fields import TOKEN_OCTETS

FORWARDED: Final = frozenset(("bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"))
"""Why a request went forward (RFC 9211 §2.2)."""

_LARGEST: Final = 999_999_999_999_999
"""RFC 9651 §3.3.1: integers have up to fifteen digits."""
_LONGEST_STRING: Final = 1024
_OLDEST: Final = 2**31
"""RFC 9111 §1.2.2: an age that is larger is rendered as this."""
# RFC 9651 §3.3.4. In a token after "=" also ":" and "/" may stand.
_TOKEN: Final = re.compile(rb"[A-Za-z*][%b:/]*" % re.escape(TOKEN_OCTETS))


def _string(text: bytes) -> bytes:
    """A String: printable ASCII between quotes, others as escapes of a URL (RFC 9651 §3.3.3)."""
    octets = [b"%c" % octet if 0x20 <= octet < 0x7F else b"%%%02X" % octet for octet in text[:_LONGEST_STRING]]
    return b'"%b"' % b"".join(octets).replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _token_or_string(text: bytes) -> bytes:
    return text if _TOKEN.fullmatch(text) else _string(text)


def _integer(value: float) -> int:
    """Rounded down, so that a response that is no longer fresh never has a ttl of 0."""
    return int(min(max(value, -_LARGEST), _LARGEST) // 1)


class CacheStatus:
    """Renders the members of one cache."""

    __slots__ = ("_hit", "_name")

    def __init__(self, name: bytes = b"revproxy") -> None:
        """``name`` is what the cache calls itself: a token, else it is rendered as a string (RFC 9211 §2)."""
        self._name = _token_or_string(name)
        self._hit = self._name.replace(b"%", b"%%") + b"; hit; ttl=%d"

    def hit(self, ttl: float) -> bytes:
        """Answered from the store; ``ttl`` seconds are left of its freshness, negative ones if it is stale."""
        return self._hit % (ttl // 1 if -_LARGEST < ttl < _LARGEST else _integer(ttl))

    def hit_with(self, ttl: float | None, *, detail: str = "", key: bytes = b"") -> bytes:
        """The same, and more about it."""
        return self._member(b"hit", ttl, detail, key)

    def forward(
        self,
        why: str,
        *,
        status: int | None = None,
        stored: bool = False,
        collapsed: bool | None = None,
        ttl: float | None = None,
        detail: str = "",
        key: bytes = b"",
    ) -> bytes:
        """Not answered from the store alone.

        ``why`` is one of ``FORWARDED``; ``status`` is the server's answer where the client's is another one;
        ``collapsed`` is whether the response was another request's, and false where that was tried in vain; ``ttl`` is
        the freshness that is left of what was stored. Raises ValueError for another ``why``.
        """
        if why not in FORWARDED:
            raise ValueError(f"{why!r} is no reason to forward a request")
        what = b"fwd=" + why.encode("ascii")
        if status is not None:
            what += b"; fwd-status=%d" % status
        if stored:
            what += b"; stored"
        if collapsed is not None:
            what += b"; collapsed" if collapsed else b"; collapsed=?0"
        return self._member(what, ttl, detail, key)

    def _member(self, what: bytes, ttl: float | None, detail: str, key: bytes) -> bytes:
        member = self._name + b"; " + what
        if ttl is not None:
            member += b"; ttl=%d" % _integer(ttl)
        if key:
            member += b"; key=" + _string(key)
        if detail:
            member += b"; detail=" + _token_or_string(detail.encode("utf-8"))
        return member


@functools.lru_cache(maxsize=256)
def _is_list(value: bytes) -> bool:
    try:
        http_sf.parse(value, tltype="list")
    except http_sf.StructuredFieldError:
        return False
    return True


def appended(existing: bytes | None, member: bytes) -> bytes:
    """The field's value with our member at its end, where the cache nearest to the client stands (RFC 9211 §2).

    A value that is no list would make ours unreadable too, so it is replaced.
    """
    if not existing or not _is_list(existing):
        return member
    return existing + b", " + member


def render_age(seconds: float) -> bytes:
    """The value of Age: whole seconds, rounded down, none negative (RFC 9111 §5.1)."""
    if 0 <= seconds <= _OLDEST:
        return b"%d" % seconds
    return b"%d" % (_OLDEST if seconds > 0 else 0)
