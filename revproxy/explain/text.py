"""An explanation for people: short lines, what is decided first, why behind it."""

from __future__ import annotations

from collections.abc import Iterator

from revproxy.config.mistakes import visible
from revproxy.explain.values import CacheExplained, Explanation, RouteTaken

_WIDTH = 10


def lines(explained: Explanation) -> list[str]:
    """The lines to print."""
    return [visible(line) for line in _lines(explained)]


def _line(label: str, text: str, place: str = "") -> str:
    return f"{label:<{_WIDTH}}{text}" + (f"  ({place})" if place else "")


def _lines(explained: Explanation) -> Iterator[str]:
    yield explained.request
    yield _line("listener", explained.listener)
    if explained.note:
        yield _line("", explained.note)
    if explained.route is not None:
        yield from _route(explained.route)
    if explained.uncached:
        yield _line("cache", explained.uncached)
    if explained.cache is not None:
        yield from _cache(explained.cache)
    if explained.trouble:
        yield _line("answer", f"none: {explained.trouble}")
    if explained.ends:
        yield _line("answer", explained.ends)


def _route(route: RouteTaken) -> Iterator[str]:
    yield _line("site", ", ".join(route.hosts), route.site_place)
    if route.path:
        yield _line("route", route.path, route.place)
    label = "" if route.path else "route"
    for other in route.others:
        yield _line(label, f"not {other.path}: {other.why}", other.place)
        label = ""
    if route.elsewhere:
        routes = "1 other route has" if route.elsewhere == 1 else f"{route.elsewhere} other routes have"
        yield _line("", f"{routes} another path")
    if route.path:
        yield _line("server", route.target)


def _cache(cache: CacheExplained) -> Iterator[str]:
    yield _line("cache", ", ".join(cache.options) or "with the defaults", cache.place)
    yield _line("key", ", ".join((cache.key, *cache.counted)))
    yield _line("store", cache.store)
    yield _line("request", str(cache.request))
    if cache.status is None:
        return
    yield _line("answer", str(cache.status))
    for field in cache.answer:
        yield _line("", field)
    label = "decision"
    for verdict in cache.response:
        yield _line(label, str(verdict))
        label = ""
