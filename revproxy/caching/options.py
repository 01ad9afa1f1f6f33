"""How one route's cache is set."""

from __future__ import annotations

from typing import Literal

import attrs

SetCookie = Literal["explicit", "never", "strip", "always"]
"""What becomes of a response that sets a cookie.

``explicit``
    Stored, cookie included, where the server itself tells how long it is fresh (RFC 9111 §7.3 lets Set-Cookie not
    inhibit caching); else not stored. Where the time comes from ``ttl`` or ``negative_ttl``, or ``force`` was needed,
    it is stored without the cookie: nobody but the server may hand one user's cookie to others.
``never``
    Not stored.
``strip``
    Stored without the cookie; only the client whose request brought it gets it.
``always``
    As if there were no cookie.
"""


@attrs.frozen(eq=False)
class CacheOptions:
    """The options of a route. Times are seconds. The defaults are those of a shared cache that does what RFC 9111 says
    and nothing beyond. Compared by identity: what is derived from a stored head belongs to the options it was judged
    by."""

    targeted: tuple[bytes, ...] = (b"cdn-cache-control",)
    """Response fields, lower case, that count instead of Cache-Control and Expires; the first valid one does
    (RFC 9213 §2.2)."""
    ttl: float | None = None
    """How long responses are fresh, whatever they say themselves; None: as they say."""
    force: bool = False
    """Whether no-store, private, no-cache, must-revalidate and proxy-revalidate of responses are ignored. Authorization
    and Vary never are, and no cookie is stored then."""
    heuristic: bool = True
    """Whether responses that don't say how long they are fresh are so for a while (RFC 9111 §4.2.2)."""
    heuristic_fraction: float = 0.1
    """The part of the time since Last-Modified."""
    heuristic_most: float = 86400.0
    stale_while_revalidate: float = 0.0
    """For responses that don't have the directive (RFC 5861 §3)."""
    stale_if_error: float = 0.0
    """For responses that don't have the directive (RFC 5861 §4)."""
    stale_beside_s_maxage: bool = False
    """Whether a response's own stale-while-revalidate and stale-if-error hold beside its s-maxage, which by itself
    forbids to use it stale (RFC 9111 §5.2.2.10)."""
    negative_statuses: frozenset[int] = frozenset()
    """Statuses (400 and more) that are kept for ``negative_ttl`` where they don't say how long they are fresh."""
    negative_ttl: float = 10.0
    negative_most: float = 300.0
    """The longest that any status of 400 and more is fresh, whatever it says: it bounds what a request that was made to
    fail can do to others. ``ttl`` is bounded by it too."""
    set_cookie: SetCookie = "explicit"
    bypass_cookies: frozenset[bytes] = frozenset()
    """Names of cookies; requests with one neither read nor write the cache."""
    bypass_headers: frozenset[bytes] = frozenset()
    """Names of fields, lower case, with the same effect."""
    client_directives: bool = True
    """Whether requests may ask for validation: no-cache, max-age, min-fresh, Pragma. no-store and only-if-cached hold
    anyway, and so does max-stale."""
    largest: int = -1
    """Octets of content above which a response is not stored; negative: the store's own bound is the only one."""
    partial: bool = True
    """Whether 206 responses, and complete ones that broke off, are kept (RFC 9111 §3.3)."""
    validate_variants: bool = True
    """Whether strong entity tags of what is stored for other request fields are sent along in validations."""
    apparent_age: bool = True
    """Whether a Date in the past makes a response older (RFC 9111 §4.2.3). Servers with wrong clocks need it off."""
    bypasses: bool = attrs.field(init=False)
    """Whether any request could bypass the cache."""

    grants: bool = attrs.field(init=False)
    """Whether a response that says nothing at all can be stored."""

    @grants.default
    def _grants(self) -> bool:
        stale = self.stale_while_revalidate > 0 or self.stale_if_error > 0
        return self.ttl is not None or stale or bool(self.negative_statuses)

    @bypasses.default
    def _bypasses(self) -> bool:
        return bool(self.bypass_cookies or self.bypass_headers)


DEFAULT_OPTIONS = CacheOptions()
