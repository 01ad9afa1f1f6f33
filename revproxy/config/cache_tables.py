"""The tables about caching: ``[cache]`` for the process, ``[site.route.cache]`` for a route.

What the options of a route do is told where they are obeyed: ``revproxy/caching/options.py`` and ``key.py``, whose
defaults are the ones here (a test holds the two together).
"""

# ruff: noqa: RUF009 -- setting() makes attrs fields, and the defaults it is given are frozen values

from __future__ import annotations

import attrs

from revproxy.config.setting import GIB, MIB, YEAR, setting


@attrs.frozen(kw_only=True)
class RouteCacheKey:
    """What must be the same for one stored response to answer two requests, beside scheme, host and path."""

    query: str = setting(
        "all",
        "Which parameters of the query count: all, none, only the named ones, or all except those.",
        choices=("all", "none", "only", "except"),
    )
    parameters: tuple[str, ...] = setting(
        (), 'Names of parameters for query = "only" and "except"; a "*" at the end stands for anything ("utm_*").'
    )
    sort_query: bool = setting(False, "Take queries for the same whose parameters are in another order.", unit="flag")
    cookies: tuple[str, ...] = setting((), "Names of cookies whose values count.", alone=True)
    headers: tuple[str, ...] = setting(
        (), "Names of request fields whose values count, as if each response named them in Vary.", alone=True
    )
    device: bool = setting(
        False, "Whether the kind of device counts (mobile, tablet or desktop, from User-Agent).", unit="flag"
    )


@attrs.frozen(kw_only=True)
class RouteCache:
    """How answers of one route are cached. Written ``cache = true``, it does what RFC 9111 says and nothing beyond."""

    ttl: float | None = setting(
        None, "How long responses are fresh, whatever they say themselves (not set: as they say).", unit="duration"
    )
    force: bool = setting(
        False,
        "Ignore no-store, private, no-cache and must-revalidate of responses. Only where every answer is everybody's.",
        unit="flag",
    )
    heuristic: bool = setting(
        True, "Let what has Last-Modified alone be fresh for a tenth of its age (RFC 9111 §4.2.2).", unit="flag"
    )
    heuristic_most: float = setting(86400.0, "Longest time that is fresh by that guess.", unit="duration", least=0)
    stale_while_revalidate: float = setting(
        0.0,
        "Time for which what is stale is used while it is validated, where responses don't say (RFC 5861).",
        unit="duration",
        least=0,
    )
    stale_if_error: float = setting(
        0.0,
        "Time for which what is stale is used when the server fails, where responses don't say (RFC 5861).",
        unit="duration",
        least=0,
    )
    stale_beside_s_maxage: bool = setting(
        False, "Obey a response's stale-while-revalidate and stale-if-error beside its s-maxage too.", unit="flag"
    )
    negative_statuses: tuple[int, ...] = setting(
        (), "Statuses of 400 and more that are kept for negative_ttl where they don't say how long.", unit="count"
    )
    negative_ttl: float = setting(10.0, "How long those are fresh.", unit="duration")
    negative_most: float = setting(
        300.0, "Longest time that any status of 400 and more is fresh, whatever it says.", unit="duration", least=0
    )
    set_cookie: str = setting(
        "explicit",
        "Responses that set a cookie: stored if they say how long themselves, never, without it, or always.",
        choices=("explicit", "never", "strip", "always"),
    )
    bypass_cookies: tuple[str, ...] = setting(
        (), "Names of cookies; requests with one neither read nor write the cache.", alone=True
    )
    bypass_headers: tuple[str, ...] = setting((), "Names of request fields with the same effect.", alone=True)
    client_directives: bool = setting(
        True, "Let requests ask for validation (no-cache, max-age, min-fresh, Pragma).", unit="flag"
    )
    largest: int | None = setting(
        None, "Largest content that is stored on this route (not set: cache.largest).", unit="size", least=0
    )
    partial: bool = setting(True, "Keep parts: 206 responses, and complete ones that broke off.", unit="flag")
    validate_variants: bool = setting(
        True, "Send entity tags of what is stored for other request fields along in validations.", unit="flag"
    )
    apparent_age: bool = setting(
        True, "Let a Date in the past make a response older; off for servers whose clocks are late.", unit="flag"
    )
    targeted: tuple[str, ...] = setting(
        ("CDN-Cache-Control",),
        "Response fields that count instead of Cache-Control and Expires; the first valid one does (RFC 9213).",
        alone=True,
    )
    key: RouteCacheKey = setting(RouteCacheKey(), "What the cache key is made of.")


@attrs.frozen(kw_only=True)
class Cache:
    """Where responses are kept, for all routes with ``cache``."""

    memory: int = setting(
        64 * MIB,
        "Octets of stored responses in memory, in each process.",
        unit="size",
        least=MIB,
        answer="what is used least leaves",
    )
    folder: str | None = setting(
        None,
        "Folder in which responses are kept as well: they outlive restarts, and all processes share them.",
        unit="path",
    )
    disk: int = setting(
        GIB, "Octets of stored responses in the folder.", unit="size", least=MIB, answer="what is used least leaves"
    )
    redis: str | None = setting(
        None,
        'Redis server in which several machines keep responses: "redis://host:6379/0", "rediss://" for TLS, or'
        ' "unix:///path"; instead of a folder.',
    )
    redis_prefix: str = setting("revproxy:", "What the names of all that is kept in Redis begin with.")
    redis_lifetime: float = setting(
        86400.0, "How long Redis keeps what nobody stores or validates again.", unit="duration", least=1
    )
    redis_timeout: float = setting(
        0.5,
        "Time for an answer of Redis.",
        unit="duration",
        most=60.0,
        answer="nothing is found, and nothing stored",
    )
    largest: int = setting(
        64 * MIB,
        "Largest content that is stored; half of memory or disk is the most.",
        unit="size",
        answer="passed on, not stored",
    )
    name: str = setting("revproxy", "What this cache calls itself in Cache-Status.")
    status: bool = setting(True, "Tell in Cache-Status (RFC 9211) what the cache did.", unit="flag")
    collapse_timeout: float = setting(
        5.0,
        "Time that a request waits for the head of another one's answer with the same key.",
        unit="duration",
        most=YEAR,
        answer="it is sent for itself",
    )
    background_validations: int = setting(
        64,
        "Validations at once that no client waits for (stale-while-revalidate).",
        unit="count",
        answer="what is stale is used without one",
    )


def switched_cache(value: object) -> object:
    """``True`` as a cache with every default, ``False`` as none."""
    if isinstance(value, bool):
        return RouteCache() if value else None
    return value
