"""The way of a request through a configuration: listener, what the site demands, site, route, cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import attrs
from twisted.internet.task import Clock
from twisted.web.resource import IResource

from revproxy.caching.stored import StoredResponse
from revproxy.config.listing import differences, target_text
from revproxy.config.locate import locate
from revproxy.config.mistakes import Path, Place
from revproxy.config.model import Cache, Config, RouteCache
from revproxy.errors import MethodNotAllowed, NotFound, ProxyError
from revproxy.explain.cache import CacheWalk, telling
from revproxy.explain.question import Asked, Probe, asked, listener_of, probe
from revproxy.explain.values import CacheExplained, Explanation, OtherRoute, RouteTaken
from revproxy.http.fields import Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import response_framing
from revproxy.http.parse import ResponseHead
from revproxy.interfaces import Request
from revproxy.resources.base import Route, Routes
from revproxy.resources.caching import CachingResource
from revproxy.resources.proxy import ProxyResource
from revproxy.service.caching import key_options, open_folder
from revproxy.service.generation import Generation, Surroundings
from revproxy.service.guarding import guarded
from revproxy.stores.memory import MemoryStore
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

Fetched = Callable[[Generation, Any, Probe], None]
"""Lets a resource answer a probe, for real, and returns when it has."""


class Walk:
    """A request and a configuration.

    :param places: where the tables of the file are; empty where that isn't known.
    :param now: the wall clock, seconds.
    :param reactor: what the tree is built with; a clock will do where nothing is fetched.
    """

    def __init__(
        self, config: Config, file: str, places: dict[Path, Place], question: Asked, now: float, reactor: Any = None
    ) -> None:
        self._config = config
        self._file = file
        self._places = places
        self._question = question
        self._now = now
        self._reactor = reactor if reactor is not None else Clock()

    def explain(self, response: ResponseHead | None = None, fetch: Fetched | None = None) -> Explanation:
        """Goes all the way. ``response`` is what the server would answer; ``fetch`` asks it."""
        question, config = self._question, self._config
        shown = f"{question.method.decode()} {question.scheme}://{question.authority}{question.target.decode()}"
        number, exact = listener_of(config, question)
        listener = config.listeners[number]
        note = "" if exact else f"no listener speaks {question.scheme} on port {question.port}: taken for this one"
        begun = Explanation(request=shown, listener=listener.address + (" (TLS)" if listener.tls else ""), note=note)
        sweep = Sweep(self._reactor)
        store = MemoryStore(config.cache.memory, config.cache.largest, self._reactor)
        generation = Generation(
            config, Surroundings(self._reactor, sweep, OctetBudget(config.limits.buffered_octets), store)
        )
        try:
            try:
                request = probe(config, question, self._now)
                reached = _passes_guard(generation, number, request)
            except ProxyError as error:
                return attrs.evolve(begun, ends=_answered_with(error))
            if not reached:
                return attrs.evolve(begun, ends=_ended(request))
            return self._in_tree(begun, generation, request, response, fetch)
        finally:
            generation.stop()

    def _in_tree(
        self,
        begun: Explanation,
        generation: Generation,
        asked: Probe,
        response: ResponseHead | None,
        fetch: Fetched | None,
    ) -> Explanation:
        site = generation.hosts.find(asked.authority.host)
        if not isinstance(site, Routes):
            return attrs.evolve(begun, ends=_answered_with(NotFound("no site for this host")))
        number = generation.sites[site]
        try:
            route = site.select(asked.path, asked.method)
        except ProxyError as error:
            allowed = f" (let through: {error.allow.decode()})" if isinstance(error, MethodNotAllowed) else ""
            taken = self._taken(generation, site, None, (number, 0), asked)
            return attrs.evolve(begun, route=taken, ends=_answered_with(error) + allowed)
        asked.matched_path = route.path
        place = generation.routes[route]
        taken = self._taken(generation, site, route, place, asked)
        table = self._config.sites[place[0]].routes[place[1]].cache
        resource: Any = route.resource
        if table is None:
            return attrs.evolve(begun, route=taken, uncached="nothing is cached here: the route has no cache = true")
        assert isinstance(resource, CachingResource)
        return self._in_cache(begun, taken, generation, place, table, resource, asked, response, fetch)

    def _in_cache(
        self,
        begun: Explanation,
        taken: RouteTaken,
        generation: Generation,
        place: tuple[int, int],
        table: RouteCache,
        resource: CachingResource,
        asked: Probe,
        response: ResponseHead | None,
        fetch: Fetched | None,
    ) -> Explanation:
        walk = CacheWalk(resource, key_options(table.key), asked, self._now)
        found, store = _found(self._config.cache, walk.key)
        verdict = walk.ask(found)
        behind = generation.behind[place]
        status, fields, length, trouble = None, Fields(), -1, ""
        if response is not None:
            head = self._public(behind, response, asked)
            status, fields = head.status, head.fields
            framing = response_framing(asked.method, response.status, response.version, response.fields)
            length = framing.length if framing.kind == "length" else -1
        elif fetch is not None:
            sent = walk.sent()
            fetch(generation, behind, sent)
            if sent.answer is not None:
                status, fields, length = sent.answer.status, sent.answer.fields, sent.length
            else:
                trouble = str(sent.error) if sent.error is not None else "there was no answer"
        site, route = place
        return attrs.evolve(
            begun,
            route=taken,
            trouble=trouble,
            cache=CacheExplained(
                options=differences(RouteCache, table),
                place=self._place(("site", site, "route", route, "cache")),
                key=walk.url.decode("latin-1"),
                counted=walk.counted,
                store=store,
                request=verdict,
                status=status,
                answer=telling(fields, resource.options.targeted),
                response=tuple(walk.answered(status, fields, length)) if status is not None else (),
            ),
        )

    def _public(self, behind: IResource, response: ResponseHead, asked: Probe) -> OutgoingHead:
        """An answer as the cache sees it: behind a proxy, with the changes that the route makes."""
        if not isinstance(behind, ProxyResource):
            return OutgoingHead(response.status, response.reason, response.fields)
        has_body = response_framing(asked.method, response.status, response.version, response.fields).kind != "none"
        authority = asked.public_authority or asked.authority.raw
        return behind.response_forwarding.head(response, has_body, asked.public_scheme, authority)

    def _taken(
        self, generation: Generation, site: Routes, route: Route | None, place: tuple[int, int], asked: Probe
    ) -> RouteTaken:
        number, own = place
        options = self._config.sites[number]
        others = []
        elsewhere = 0
        for other in site.routes:
            if other is route:
                continue
            if not other.takes(asked.path, other.path):
                elsewhere += 1
                continue
            if not other.allows(asked.method):
                why = f"it does not let {asked.method.decode()} through"
            elif route is None:
                why = "another reading of the path leads elsewhere"
            elif other.path == route.path:
                why = "another route with the same path comes first"
            else:
                why = "a longer path matches"
            where = self._place(("site", number, "route", generation.routes[other][1]))
            others.append(OtherRoute(path=other.path.decode(), place=where, why=why))
        return RouteTaken(
            hosts=options.hosts,
            site_place=self._place(("site", number)),
            path=route.path.decode() if route is not None else "",
            place=self._place(("site", number, "route", own)),
            target=target_text(options.routes[own], self._config.upstreams) if route is not None else "",
            others=tuple(others),
            elsewhere=elsewhere,
        )

    def _place(self, path: Path) -> str:
        """Where something is written: a file and a line; its name where no line is known."""
        for length in range(len(path), 0, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return f"{self._file}:{place.line}"
        return self._file


def stored_url(config: Config, url: str) -> bytes:
    """A URL as the responses to it are stored: with the parameters that count for its route alone. Empty where no route
    caches it. Raises ValueError where it is none."""
    question = asked("GET", url, (), "192.0.2.1")
    clock = Clock()
    store = MemoryStore(config.cache.memory, config.cache.largest, clock)
    generation = Generation(config, Surroundings(clock, Sweep(clock), OctetBudget(1), store))
    try:
        request = probe(config, question, 0.0)
        site = generation.hosts.find(request.authority.host)
        resource = site.select(request.path, b"GET").resource if isinstance(site, Routes) else None
        return resource.url_of(request) if isinstance(resource, CachingResource) else b""
    except ProxyError:
        return b""
    finally:
        generation.stop()


def places_of(file: str) -> dict[Path, Place]:
    """Where each table of a TOML file is; nothing for Python."""
    if file.endswith(".py"):
        return {}
    return locate(FilePath(file).read_bytes().decode("utf-8-sig"))


def _passes_guard(generation: Generation, number: int, asked: Probe) -> bool:
    """Whether the request comes as far as the tree; else it has its answer."""
    reached: list[Request] = []
    generation.dispatch = reached.append  # type: ignore[assignment]  # in the place of the tree
    guarded(generation, generation.config.listeners[number], None)(asked)
    return bool(reached)


def _found(options: Cache, key: bytes) -> tuple[tuple[StoredResponse, ...], str]:
    """What is stored under a key, as far as it can be seen from outside, and where that was looked up."""
    if options.folder is None:
        where = "Redis is not asked" if options.redis is not None else "the memory of a running proxy can't be seen"
        return (), f"taken as empty: {where} from here"
    if not os.path.isdir(os.path.join(options.folder, "index")):
        return (), f"{options.folder}: nothing is there yet"
    store = open_folder(options, Clock())
    try:
        found = store.find(key)
        if not found and store.is_failing:
            return (), f"{options.folder}: it can't be read, so it is taken as empty"
        number = f"{len(found)} responses" if len(found) != 1 else "1 response"
        return found, f"{options.folder}: {number} under this key"
    finally:
        store.stop()


def _answered_with(error: ProxyError) -> str:
    return f"answered with {error.status}: {error.detail or error.reason}"


def _ended(asked: Probe) -> str:
    if asked.error is not None:
        return _answered_with(asked.error)
    if asked.answer is None:
        return "there is no answer"
    location = asked.answer.fields.get(b"location") or b""
    return f"answered with {asked.answer.status}: redirected to {location.decode('latin-1')}"
