"""The way of a request through a configuration, or through the tree that is running: each decision, asked of the code
that takes it, in the order in which it is taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.resource import IResource

from revproxy.caching.stored import StoredResponse
from revproxy.certificates.collection import Certificates
from revproxy.config.listing import differences
from revproxy.config.mistakes import Path
from revproxy.config.model import Cache, Config, RouteCache
from revproxy.downstream.frontend import Admission
from revproxy.errors import ConfigError, NotFound, ProxyError
from revproxy.explain.arrival import explain_admission, explain_client, explain_listener, explain_tls
from revproxy.explain.bounds import explain_limits
from revproxy.explain.cache import CacheWalk, telling
from revproxy.explain.failures import rule_of
from revproxy.explain.peers import explain_peers
from revproxy.explain.question import Asked, Probe, asked, listener_of, probe
from revproxy.explain.routing import (
    explain_body,
    explain_demands,
    explain_refusal,
    explain_route,
    explain_site,
    explain_target,
)
from revproxy.explain.sending import explain_back, explain_sent
from revproxy.explain.steps import Explanation, Places, Steps
from revproxy.explain.values import Verdict
from revproxy.http.fields import Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import response_framing
from revproxy.http.parse import ResponseHead
from revproxy.interfaces import IStore
from revproxy.resources.base import Routes
from revproxy.resources.caching import CachingResource
from revproxy.resources.proxy import ProxyResource
from revproxy.service.caching import key_options, open_folder
from revproxy.service.generation import Generation, Surroundings
from revproxy.stores.memory import MemoryStore
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

Fetched = Callable[[Generation, Any, Probe], None]
"""Lets a resource answer a probe, for real, and returns when it has."""


@attrs.frozen
class Running:
    """What serves, to be asked as it is now."""

    generation: Generation
    store: IStore | None
    certificates: Certificates | None
    admissions: Mapping[str, Admission]
    """By the addresses of the listeners, as the configuration writes them."""


class Walk:
    """A request and a configuration.

    :param now: the wall clock, seconds.
    :param running: the tree that serves; None to build one of the configuration, which nothing is known of yet.
    :param reactor: what a tree is built with; a clock will do where nothing is fetched.
    """

    def __init__(
        self,
        config: Config,
        places: Places,
        question: Asked,
        now: float,
        *,
        running: Running | None = None,
        reactor: Any = None,
    ) -> None:
        self._config = config
        self._question = question
        self._now = now
        self._running = running
        self._reactor = reactor if reactor is not None else Clock()
        self.steps = Steps(places)
        self._trouble = ""

    def explain(self, response: ResponseHead | None = None, fetch: Fetched | None = None) -> Explanation:
        """Goes all the way. ``response`` is what the server would answer; ``fetch`` asks it."""
        question = self._question
        shown = f"{question.method.decode()} {question.scheme}://{question.authority}{question.target.decode()}"
        generation = self._running.generation if self._running is not None else self._build()
        try:
            status = self._way(generation, response, fetch)
        finally:
            if self._running is None:
                generation.stop()
        return Explanation(request=shown, steps=tuple(self.steps.all), status=status, trouble=self._trouble)

    def _build(self) -> Generation:
        config = self._config
        store = MemoryStore(config.cache.memory, config.cache.largest, self._reactor)
        budget = OctetBudget(config.limits.buffered_octets)
        return Generation(config, Surroundings(self._reactor, Sweep(self._reactor), budget, store))

    def _way(self, generation: Generation, response: ResponseHead | None, fetch: Fetched | None) -> int | None:
        """The status that the request is answered with before any server is asked; None where it goes on."""
        steps, config, question = self.steps, self._config, self._question
        number, exact = listener_of(config, question)
        listener = config.listeners[number]
        explain_listener(steps, config, question, number, exact=exact)
        try:
            request = probe(config, question, self._now)
        except ProxyError as error:
            explain_refusal(steps, error, None)
            return error.status
        certificates, trouble = self._certificates() if listener.tls else (None, "")
        if listener.tls and not explain_tls(steps, generation, request, certificates, trouble):
            return 0
        admission = self._running.admissions.get(listener.address) if self._running is not None else None
        if not explain_admission(steps, config, request, admission):
            return 503
        explain_client(steps, config, request)
        if not explain_demands(steps, generation, number, certificates, request):
            return self._status_of(request)
        site = explain_site(steps, generation, request)
        if site is None:
            missing = NotFound("no site for this host")
            explain_refusal(steps, missing, None)
            return missing.status
        route = explain_route(steps, generation, site, request)
        if route is None:
            return self._status_of(request)
        request.matched_path = route.path
        numbers = generation.routes[route]
        explain_target(steps, config, numbers)
        if not explain_body(steps, generation, numbers, route, request):
            return self._status_of(request)
        return self._behind(generation, numbers, route.resource, request, response, fetch)

    @staticmethod
    def _status_of(request: Probe) -> int | None:
        if request.error is not None:
            return request.error.status
        return request.answer.status if request.answer is not None else None

    def _certificates(self) -> tuple[Certificates | None, str]:
        if self._running is not None:
            return self._running.certificates, ""
        try:
            return Certificates(self._config), ""
        except ConfigError as mistake:
            return None, str(mistake).partition("\n")[0]

    # Behind the route: cache and servers.

    def _behind(
        self,
        generation: Generation,
        numbers: tuple[int, int],
        resource: Any,
        request: Probe,
        response: ResponseHead | None,
        fetch: Fetched | None,
    ) -> int | None:
        steps, config = self.steps, self._config
        site, own = numbers
        options = config.sites[site].routes[own]
        at: Path = ("site", site, "route", own, "cache")
        walk: CacheWalk | None = None
        status: int | None = None
        if options.cache is None:
            steps.add("cache", "nothing is cached here: the route has no cache = true", at[:-1])
        else:
            assert isinstance(resource, CachingResource)
            walk, status = self._ask_cache(resource, options.cache, request, at)
        sent = walk.sent() if walk is not None else request
        behind = generation.behind[numbers]
        group = generation.upstreams.get(options.proxy or "")
        if status is None and isinstance(behind, ProxyResource) and group is not None:
            if not explain_sent(steps, config, numbers, behind, request, sent):
                return 200
            explain_peers(steps, config, numbers, group, running=self._running is not None)
        answered, public = self._answer(generation, behind, sent, request, response, fetch)
        if isinstance(behind, ProxyResource):
            explain_back(steps, config, numbers, response, public, request.added_lines)
        if walk is not None and answered is not None:
            self._judge(walk, resource, answered, at)
        upstream = next((each for each in config.upstreams if each.name == options.proxy), None)
        explain_limits(steps, config, numbers, upstream)
        return status

    def _ask_cache(
        self, resource: CachingResource, table: RouteCache, request: Probe, at: Path
    ) -> tuple[CacheWalk, int | None]:
        steps = self.steps
        walk = CacheWalk(resource, key_options(table.key), request, self._now)
        steps.add("cache", ", ".join(differences(RouteCache, table)) or "with the defaults", at)
        key: Path = (*at, "key")
        steps.add("key", ", ".join((walk.url.decode("latin-1"), *walk.counted)), key, "RFC 9111 §2")
        found, where = self._found(walk.key)
        steps.add("store", where, ("cache",))
        self._verdict("request", walk.ask(found), at)
        status = walk.served_status
        return walk, status

    def _verdict(self, step: str, verdict: Verdict, at: Path) -> None:
        self.steps.add(step, verdict.text, (*at, verdict.key) if verdict.key else None, verdict.rfc)

    def _judge(self, walk: CacheWalk, resource: CachingResource, answered: _Answered, at: Path) -> None:
        self.steps.add("answer", " ".join([str(answered.status), *_in_brackets(answered.fields, resource)]))
        for verdict in walk.answered(answered.status, answered.fields, answered.length):
            self._verdict("decision", verdict, at)

    def _answer(
        self,
        generation: Generation,
        behind: IResource,
        sent: Probe,
        request: Probe,
        response: ResponseHead | None,
        fetch: Fetched | None,
    ) -> tuple[_Answered | None, OutgoingHead | None]:
        """What the server answers, as far as that is known: as the cache sees it, and as the client gets it."""
        if response is not None:
            head = _public(behind, response, request)
            framing = response_framing(request.method, response.status, response.version, response.fields)
            length = framing.length if framing.kind == "length" else -1
            return _Answered(head.status, head.fields, length), head
        if fetch is None:
            return None, None
        fetch(generation, behind, sent)
        if sent.answer is not None:
            return _Answered(sent.answer.status, sent.answer.fields, sent.length), None
        error = sent.error
        self._trouble = str(error) if error is not None else "there was no answer"
        rule = rule_of(error.reason, error.detail) if error is not None else None
        self.steps.add("answer", f"none: {self._trouble}", None, rule.rfc if rule is not None else "")
        return None, None

    def _found(self, key: bytes) -> tuple[tuple[StoredResponse, ...], str]:
        """What is stored under a key, and where that was looked up."""
        if self._running is None:
            return found_in_folder(self._config.cache, key)
        store = self._running.store
        if store is None:
            return (), "nothing is stored: no route is cached"
        look = getattr(store, "peek", store.find)
        result = look(key)
        if isinstance(result, Deferred):
            return (), f"{store.name}: it answers later, and is taken as empty"
        return result, f"{store.name}: {_responses(result)} under this key"


@attrs.frozen
class _Answered:
    status: int
    fields: Fields
    length: int
    """Octets of content that its framing tells; negative where it doesn't."""


def _in_brackets(fields: Fields, resource: CachingResource) -> list[str]:
    told = telling(fields, resource.options.targeted)
    return [f"({'; '.join(told)})"] if told else []


def _public(behind: IResource, response: ResponseHead, request: Probe) -> OutgoingHead:
    """An answer as the cache sees it: behind a proxy, with the changes that the route makes."""
    if not isinstance(behind, ProxyResource):
        return OutgoingHead(response.status, response.reason, response.fields)
    has_body = response_framing(request.method, response.status, response.version, response.fields).kind != "none"
    authority = request.public_authority or request.authority.raw
    return behind.response_forwarding.head(response, has_body, request.public_scheme, authority)


def found_in_folder(options: Cache, key: bytes) -> tuple[tuple[StoredResponse, ...], str]:
    """What can be seen of a store from outside of the process that uses it."""
    if options.folder is None:
        where = "Redis is not asked" if options.redis is not None else "the memory of a running proxy can't be seen"
        return (), f"taken as empty: {where} from here"
    if not os.path.isdir(os.path.join(options.folder, "index")):
        return (), f"{options.folder}: nothing is there yet"
    store = open_folder(options, Clock())
    try:
        found = store.peek(key)
        if not found and store.is_failing:
            return (), f"{options.folder}: it can't be read, so it is taken as empty"
        return found, f"{options.folder}: {_responses(found)} under this key"
    finally:
        store.stop()


def _responses(found: tuple[StoredResponse, ...]) -> str:
    return f"{len(found)} responses" if len(found) != 1 else "1 response"


def stored_url(config: Config, url: str) -> bytes:
    """A URL as the responses to it are stored: with the parameters that count for its route alone. Empty where no route
    caches it. Raises ValueError where it is none."""
    clock = Clock()
    store = MemoryStore(config.cache.memory, config.cache.largest, clock)
    generation = Generation(config, Surroundings(clock, Sweep(clock), OctetBudget(1), store))
    try:
        return url_in(generation, url)
    finally:
        generation.stop()


def url_in(generation: Generation, url: str) -> bytes:
    """The same, in a tree that is there."""
    request = None
    try:
        request = probe(generation.config, asked("GET", url, (), "192.0.2.1"), 0.0)
        site = generation.hosts.find(request.authority.host)
        resource = site.select(request.path, b"GET").resource if isinstance(site, Routes) else None
        return resource.url_of(request) if isinstance(resource, CachingResource) else b""
    except ProxyError:
        return b""
