"""Caching: a folder that can be written, keys that say one thing, options that can have an effect."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

from revproxy.config.checks.fields import TOKEN
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Cache, Config, Route, RouteCache, RouteCacheKey, Site
from revproxy.config.units import format_size

_TOKEN = re.compile(TOKEN)
_PARAMETER = re.compile(r"[!-~]+")
_NO_PARAMETER = re.compile(r"[&=?#;]")
_REDIS_URL = 'a URL is expected: "redis://host:6379/0", "rediss://host:6379/0" or "unix:///path"'
_VARIOUS = {
    "cookie": 'every visitor sends other cookies: name those that matter in "cookies"',
    "user-agent": 'there are thousands of them: "device = true" tells phones from others',
}


def check_cache(config: Config) -> Iterator[Mistake]:
    """Mistakes in ``[cache]`` and in the ``cache`` of every route."""
    cached = [
        (site, route, ("sites", number, "routes", place))
        for number, site in enumerate(config.sites)
        for place, route in enumerate(site.routes)
        if route.cache is not None
    ]
    yield from _check_store(config.cache, bool(cached))
    for site, route, path in cached:
        yield from _check_route(config.cache, site, route, path)


def _check_store(options: Cache, used: bool) -> Iterator[Mistake]:
    if not options.name or not options.name.isascii() or not options.name.isprintable():
        yield Mistake(path=("cache", "name"), text="a name of printable ASCII characters is expected")
    if options.redis is not None:
        wrong = redis_mistake(options.redis)
        if wrong:
            yield Mistake(path=("cache", "redis"), text=wrong)
        elif options.folder is not None:
            text = "responses are kept in a folder or in Redis: take one of the two away"
            yield Mistake(path=("cache", "redis"), text=text, related=(("cache", "folder"),))
        elif not used:
            text = 'no route has "cache": nothing is ever kept there'
            yield Mistake(path=("cache", "redis"), text=text, related=(("sites",),), warning=True)
    else:
        for name in ("redis_prefix", "redis_lifetime", "redis_timeout"):
            if getattr(options, name) != getattr(Cache(), name):
                text = "has no effect without redis"
                yield Mistake(path=("cache", name), text=text, related=(("cache", "redis"),), warning=True)
    if options.folder is None:
        if options.disk != Cache().disk:
            text = "has no effect without folder: it is the folder's size"
            yield Mistake(path=("cache", "disk"), text=text, related=(("cache", "folder"),), warning=True)
        return
    wrong = folder_mistake(options.folder)
    if wrong:
        yield Mistake(path=("cache", "folder"), text=wrong)
    elif not used:
        text = 'no route has "cache": nothing is ever kept there'
        yield Mistake(path=("cache", "folder"), text=text, related=(("sites",),), warning=True)


def redis_mistake(url: str) -> str:
    """Why responses can't be kept in Redis, or empty. The URL is never shown: there may be a password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _REDIS_URL
    number = parts.path.strip("/")
    if parts.scheme == "unix":
        good = bool(parts.path) and not parts.hostname
    else:
        good = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and port != 0
        good = good and (not number or (number.isascii() and number.isdigit()))
    if not good:
        return _REDIS_URL
    if find_spec("txredisapi") is None:
        return 'the package that speaks to Redis is missing: pip install "txrevproxy[redis]"'
    return ""


def folder_mistake(folder: str) -> str:
    """Why responses can't be kept in a folder, or empty. It need not be there, but the one that it is in."""
    if not folder or "\0" in folder:
        return "no folder is named"
    if os.path.isdir(folder):
        return "" if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else f'the folder "{folder}" can\'t be written'
    if os.path.lexists(folder):
        return f'"{folder}" is no folder'
    parent = os.path.dirname(os.path.abspath(folder))
    if not os.path.isdir(parent):
        return f'the folder "{parent}" does not exist'
    if not os.access(parent, os.W_OK | os.X_OK):
        return f'"{folder}" does not exist, and the folder "{parent}" can\'t be written'
    return ""


def _check_route(store: Cache, site: Site, route: Route, path: Path) -> Iterator[Mistake]:
    options = route.cache
    assert options is not None
    here: Path = (*path, "cache")
    if route.methods and not {"GET", "HEAD"} & set(route.methods):
        text = "the route lets neither GET nor HEAD through: nothing is ever answered from the cache"
        yield Mistake(path=here, text=text, related=((*path, "methods"),), warning=True)
    if site.tls.client_certificates != "off":
        text = (
            "what one client's certificate gets is given to others too, unless the server sends private, no-store or"
            " Vary: Client-Cert"
        )
        related = ((*path[:2], "tls", "client_certificates"),)
        yield Mistake(path=here, text=text, related=related, warning=True)
    if options.largest is not None and options.largest > store.largest:
        text = f"cache.largest is less ({format_size(store.largest)}), and counts"
        yield Mistake(path=(*here, "largest"), text=text, related=(("cache", "largest"),), warning=True)
    yield from _check_statuses(options, here)
    for name in ("bypass_headers", "targeted"):
        yield from _check_names(getattr(options, name), (*here, name), "a field")
    yield from _check_names(options.bypass_cookies, (*here, "bypass_cookies"), "a cookie")
    for number, name in enumerate(options.targeted):
        if name.lower() in ("cache-control", "expires"):
            text = f"{name} is read anyway: a targeted field counts instead of it"
            yield Mistake(path=(*here, "targeted", number), text=text)
    yield from _check_key(options, options.key, here)


def _check_statuses(options: RouteCache, here: Path) -> Iterator[Mistake]:
    statuses = options.negative_statuses
    for number, status in enumerate(statuses):
        place: Path = (*here, "negative_statuses", number)
        if not 400 <= status <= 599:
            yield Mistake(path=place, text=f"{status} is no status of an error (400 to 599)")
        elif status in statuses[:number]:
            yield Mistake(path=place, text=f"{status} is listed twice")
    usual = RouteCache()
    if options.negative_ttl != usual.negative_ttl and not statuses:
        text = "has no effect without negative_statuses"
        related = ((*here, "negative_statuses"),)
        yield Mistake(path=(*here, "negative_ttl"), text=text, related=related, warning=True)
    if statuses and options.negative_ttl > options.negative_most:
        text = "negative_most is less, and counts"
        related = ((*here, "negative_most"),)
        yield Mistake(path=(*here, "negative_ttl"), text=text, related=related, warning=True)
    if not options.heuristic and options.heuristic_most != usual.heuristic_most:
        text = "has no effect with heuristic = false"
        related = ((*here, "heuristic"),)
        yield Mistake(path=(*here, "heuristic_most"), text=text, related=related, warning=True)


def _check_names(names: Sequence[str], here: Path, what: str) -> Iterator[Mistake]:
    seen: set[str] = set()
    for number, name in enumerate(names):
        # RFC 6265 §5.4 compares names of cookies with their case, RFC 9110 §5.1 those of fields without.
        known = name if what == "a cookie" else name.lower()
        if not _TOKEN.fullmatch(name):
            yield Mistake(path=(*here, number), text=f'"{name}" is no name of {what}')
        elif known in seen:
            yield Mistake(path=(*here, number), text=f'"{name}" is listed twice')
        seen.add(known)


def _check_key(options: RouteCache, key: RouteCacheKey, route: Path) -> Iterator[Mistake]:
    here: Path = (*route, "key")
    named = key.query in ("only", "except")
    if key.parameters and not named:
        text = 'count only with query = "only" or query = "except"'
        yield Mistake(path=(*here, "parameters"), text=text, related=((*here, "query"),))
    elif named and not key.parameters:
        text = f'"{key.query}" needs names: write parameters = ["..."]'
        if key.query == "only":
            text += ', or query = "none"'
        yield Mistake(path=(*here, "query"), text=text, related=((*here, "parameters"),))
    for number, name in enumerate(key.parameters):
        place: Path = (*here, "parameters", number)
        plain = name[:-1] if name.endswith("*") else name
        if not plain or not _PARAMETER.fullmatch(plain) or _NO_PARAMETER.search(plain):
            yield Mistake(path=place, text=f'"{name}" is no name of a parameter')
        elif "*" in plain:
            yield Mistake(path=place, text=f'"{name}": a "*" can stand at the end only')
    if key.sort_query and key.query == "none":
        text = 'with query = "none" there is nothing to sort'
        yield Mistake(path=(*here, "sort_query"), text=text, related=((*here, "query"),))
    yield from _check_names(key.cookies, (*here, "cookies"), "a cookie")
    yield from _check_names(key.headers, (*here, "headers"), "a field")
    for number, name in enumerate(key.cookies):
        if name in options.bypass_cookies:
            text = f'"{name}" bypasses the cache: its value never counts'
            yield Mistake(path=(*here, "cookies", number), text=text, related=((*route, "bypass_cookies"),))
    bypassing = {name.lower() for name in options.bypass_headers}
    for number, name in enumerate(key.headers):
        place = (*here, "headers", number)
        lower = name.lower()
        if lower in bypassing:
            text = f'"{name}" bypasses the cache: its value never counts'
            yield Mistake(path=place, text=text, related=((*route, "bypass_headers"),))
        elif lower == "host":
            yield Mistake(path=place, text="the host counts anyway", warning=True)
        elif lower in _VARIOUS:
            text = f"{name} makes nearly every request one of its own: {_VARIOUS[lower]}"
            yield Mistake(path=place, text=text, warning=True)
