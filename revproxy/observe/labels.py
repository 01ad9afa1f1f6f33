"""What figures are told apart by. All of it is the operator's: no request can make a new label.

A client's method is one of a few or "other", a status one that is registered or its class, what a cache did one of a
few words. Sites, routes, upstreams and servers are called as the configuration calls them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import attrs

from revproxy.errors import ProxyError, UpstreamError


@attrs.frozen(eq=False)
class RouteLabels:
    """What a route's figures stand under. Small and tied to nothing: a request that is remembered keeps it alive."""

    site: str
    """The site's first host pattern."""
    route: str
    """The route's path; "-" where the site has none for the request."""
    upstream: str = ""
    """Where it proxies to, as the route says it; empty where it does not."""
    place: tuple[int, int] = (-1, -1)
    """The numbers in the configuration of the site and of its route; negative for none."""


NO_ROUTE: Final = RouteLabels("-", "-")
"""For requests that no route was chosen for."""

METHODS: Final = {
    name.encode("ascii"): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
}
OTHER: Final = "other"
_STATUSES: Final = {int(status): str(int(status)) for status in HTTPStatus} | {499: "499"}


def method_label(method: bytes) -> str:
    """A method's label; "-" where none was read."""
    return METHODS.get(method, OTHER) if method else "-"


def status_label(status: int) -> str:
    """A status' label; "0" where the request was never answered."""
    known = _STATUSES.get(status)
    return known if known is not None else f"{status // 100}xx" if 100 <= status <= 999 else "0"


def _reasons(kind: type[ProxyError]) -> set[str]:
    found = {kind.reason}
    for sub in kind.__subclasses__():
        found |= _reasons(sub)
    return found


UPSTREAM_REASONS: Final = frozenset(_reasons(UpstreamError))
"""Failures that are a server's."""

OUTCOMES: Final = (
    "hit", "stale", "collapsed", "revalidated", "uri-miss", "vary-miss", "miss", "partial", "expired", "request",
    "method", "bypass",
)  # fmt: skip
"""What a cache can have done: the response came from the store, fresh or stale; from another request's fetch; was
validated; else why the request went on (RFC 9211 §2.2; "expired" is its ``stale``)."""
HITS: Final = frozenset({"hit", "stale", "collapsed", "revalidated"})
"""Those that spared the server the content."""
_MOST_SEEN: Final = 8192


class Outcomes(dict[bytes, str]):
    """The outcome that a value of Cache-Status tells; empty for the empty value. Values seen lately are looked up."""

    def __missing__(self, value: bytes) -> str:
        if len(self) >= _MOST_SEEN:
            self.clear()
        found = self[value] = outcome_of(value)
        return found


def outcome_of(value: bytes) -> str:
    """The outcome of a Cache-Status value, whose last member is ours."""
    if not value:
        return ""
    # Most values are one member without strings.
    member = _last_member(value) if b'"' in value or b"," in value else value
    parameters = member.replace(b" ", b"").split(b";")[1:]
    if b"hit" in parameters:
        return "stale" if b"ttl=-" in member else "hit"
    if b"collapsed" in parameters:
        return "collapsed"
    for part in parameters:
        if part.startswith(b"fwd="):
            why = part[4:].decode("latin-1")
            if why == "stale":
                return "revalidated" if b"fwd-status=304" in parameters else "expired"
            return why if why in OUTCOMES else OTHER
    return OTHER


def _last_member(value: bytes) -> bytes:
    """What stands behind the last comma that is in no string, with what is in strings left out."""
    parts = value.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    return b"".join(parts[::2]).rpartition(b",")[2]
