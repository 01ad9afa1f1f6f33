"""What a request's fields say to a cache (RFC 9111 §5.2.1, §5.4), worked out once for each block of fields."""

from __future__ import annotations

from typing import Final

from revproxy.caching.directives import ABSENT, UNBOUNDED, delta_seconds, members
from revproxy.http.fields import Fields

DECISIVE: Final = frozenset(
    {
        b"cache-control", b"content-length", b"if-match", b"if-unmodified-since", b"pragma", b"transfer-encoding",
        b"upgrade",
    }
)  # fmt: skip
"""A request that has none of these is ``undemanding``: a fresh whole response answers it without a further question."""

RELEVANT: Final = DECISIVE | {b"authorization", b"if-modified-since", b"if-none-match", b"range"}
"""All that is read here. A request that has none of these is ``plain``: what is stored is sent to it as it is."""

_HARMLESS_UPGRADES: Final = frozenset({b"h2c", b"h2", b"tls/1.0", b"tls/1.2", b"http/2.0"})
"""Protocols that would carry the same request: who offers them can as well be answered from the store."""


class RequestControls:
    """A request's directives, preconditions and whatever else of its fields decides about stored responses.

    It depends on the fields alone: keep it with them.
    """

    __slots__ = (
        "authorized",
        "conditional",
        "fields",
        "for_origin",
        "has_content",
        "max_age",
        "max_stale",
        "min_fresh",
        "no_cache",
        "no_store",
        "only_if_cached",
        "plain",
        "pragma",
        "ranged",
        "stale_if_error",
        "undemanding",
        "upgrades",
    )

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self.no_cache = False
        self.no_store = False
        self.only_if_cached = False
        self.max_age = ABSENT
        """Seconds; 0 also where it is malformed."""
        self.max_stale = ABSENT
        """Seconds of staleness that are accepted; ``UNBOUNDED`` for any."""
        self.min_fresh = ABSENT
        self.stale_if_error = ABSENT
        """RFC 5861 §4, for this request."""
        self.pragma = False
        """Pragma: no-cache, where there is no Cache-Control."""
        self.authorized = False
        """Whether it has Authorization."""
        self.conditional = False
        """Whether it has If-None-Match or If-Modified-Since, which a cache evaluates."""
        self.for_origin = False
        """Whether it has If-Match or If-Unmodified-Since, which it does not (RFC 9111 §4.3.2)."""
        self.ranged = False
        """Whether it has Range."""
        self.has_content = False
        self.upgrades = False
        """Whether it asks for a protocol of another kind, such as WebSocket."""
        names = fields.names()
        self.plain = RELEVANT.isdisjoint(names)
        """Whether none of ``RELEVANT`` is there."""
        self.undemanding = self.plain or DECISIVE.isdisjoint(names)
        """Whether none of ``DECISIVE`` is there. What else there may be decides how a stored response is sent, what is
        validated, what is stored; not whether a fresh one is used."""
        if not self.plain:
            self._read(fields)

    def beside(self, fields: Fields) -> RequestControls:
        """The controls of the same fields with a Cookie, which has no say in any of them."""
        controls = RequestControls.__new__(RequestControls)
        controls.fields = fields
        controls.no_cache = self.no_cache
        controls.no_store = self.no_store
        controls.only_if_cached = self.only_if_cached
        controls.max_age = self.max_age
        controls.max_stale = self.max_stale
        controls.min_fresh = self.min_fresh
        controls.stale_if_error = self.stale_if_error
        controls.pragma = self.pragma
        controls.authorized = self.authorized
        controls.conditional = self.conditional
        controls.for_origin = self.for_origin
        controls.ranged = self.ranged
        controls.has_content = self.has_content
        controls.upgrades = self.upgrades
        controls.plain = self.plain
        controls.undemanding = self.undemanding
        return controls

    def _read(self, fields: Fields) -> None:
        value = fields.get(b"cache-control")
        if value is not None:
            self._read_directives(value)
        elif b"no-cache" in fields.members(b"pragma"):
            self.pragma = True
        self.authorized = b"authorization" in fields
        self.conditional = b"if-none-match" in fields or b"if-modified-since" in fields
        self.for_origin = b"if-match" in fields or b"if-unmodified-since" in fields
        self.ranged = b"range" in fields
        length = fields.get(b"content-length")
        self.has_content = b"transfer-encoding" in fields or (length is not None and length.strip(b"0") != b"")
        self.upgrades = not _HARMLESS_UPGRADES.issuperset(fields.members(b"upgrade"))

    def _read_directives(self, value: bytes) -> None:
        """Requests' directives are advice; what can't be read asks for the most that it may have meant."""
        good, words = members(value)
        for name, argument in good:
            seconds = delta_seconds(argument)
            if name == b"no-cache":
                self.no_cache = True
            elif name == b"no-store":
                self.no_store = True
            elif name == b"only-if-cached":
                self.only_if_cached = True
            elif name == b"max-age":
                self.max_age = _least(self.max_age, seconds)
            elif name == b"min-fresh":
                self.min_fresh = max(self.min_fresh, UNBOUNDED if seconds < 0 else seconds)
            elif name == b"max-stale":
                self.max_stale = _least(self.max_stale, UNBOUNDED if argument is None else seconds)
            elif name == b"stale-if-error":
                self.stale_if_error = _least(self.stale_if_error, seconds)
        for word in words:
            self.no_cache |= word == b"no-cache"
            self.no_store |= word == b"no-store"
            if word == b"max-age":
                self.max_age = 0


def _least(earlier: int, seconds: int) -> int:
    seconds = max(seconds, 0)
    return seconds if earlier < 0 else min(earlier, seconds)


def bypassing_cookie(fields: Fields, names: frozenset[bytes]) -> bool:
    """Whether a request carries a cookie with one of these names (RFC 6265 §4.2.1)."""
    for value in fields.all(b"cookie"):
        for pair in value.split(b";"):
            if pair.partition(b"=")[0].strip(b" \t") in names:
                return True
    return False
