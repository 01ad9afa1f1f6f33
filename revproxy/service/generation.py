"""All that is built from one Config: the tree and the upstreams. The unit of a reload.

Theory of operation. A new generation is built beside the one that serves. What would come out equal is not built again
but taken over, as the same object: groups of servers with their connections, health and queue, and cached routes with
the fetches that others may join. Neither knows the other afterwards. When the new one is put into force, the old one is
told (``retire``): what nobody took over ends its idle connections and its background work; requests in flight refer to
their pool themselves, and end there. Where the new one is given up instead (``abandon``), only what it made ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from twisted.web.resource import IResource
from twisted.web.static import File

from revproxy.config.model import Cache, Config, HeaderChanges, Limits, Server, Site, UpstreamOptions
from revproxy.config.model import Route as RouteOptions
from revproxy.http.forward import FieldChanges
from revproxy.interfaces import IStore
from revproxy.observe.labels import RouteLabels
from revproxy.resources.base import Route, Routes
from revproxy.resources.dispatch import Dispatch
from revproxy.resources.proxy import ProxyResource
from revproxy.resources.tracing import TraceContext
from revproxy.resources.twisted_request import TwistedResources
from revproxy.resources.vhost import VirtualHosts
from revproxy.service.caching import cached
from revproxy.upstream.group import UpstreamGroup
from revproxy.upstream.pool import Attempt, Connect
from revproxy.upstream.resolve import DNSTimeToLive, Resolver
from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import Connecting, ConnectUser
from revproxy.wire.connect_tls import ClientContext, SecureConnecting
from revproxy.wire.sweep import Sweep


class Connector:
    """Makes attempts to connect. It knows nothing that a reload replaces, since pools outlive reloads."""

    def __init__(self, reactor: Any, sweep: Sweep, budget: OctetBudget) -> None:
        self._reactor = reactor
        self._sweep = sweep
        self._budget = budget

    def __call__(self, user: ConnectUser, secure: ClientContext | None) -> Attempt:
        """An attempt to connect, under TLS where there is a context."""
        if secure is None:
            return Connecting(self._reactor, self._sweep, self._budget, user)
        return SecureConnecting(self._reactor, self._sweep, self._budget, user, secure)


class Surroundings:
    """What every generation of a process is built with: the reactor and what bounds and times everything."""

    def __init__(
        self,
        reactor: Any,
        sweep: Sweep,
        budget: OctetBudget,
        store: IStore | None = None,
        on_aside: Callable[[str, bytes, float], None] | None = None,
    ) -> None:
        self.reactor = reactor
        self.sweep = sweep
        self.budget = budget
        self.store = store
        """Where cached routes keep responses; None where no route is cached."""
        self.on_aside = on_aside
        """Told when a server can't be reached: upstream, server, and until when (``Pool.on_aside``)."""
        self.connect: Connect = Connector(reactor, sweep, budget)

    def resolver(self, every: float) -> Resolver:
        """Looks servers up; asks again after ``every`` seconds where DNS tells no time to live."""
        return Resolver(self.reactor, self.sweep.now, every=every, ask_ttl=DNSTimeToLive(_LazyDNS(self.reactor)))


class _LazyDNS:
    """Twisted's DNS client, made when a name is first asked for: most configurations name addresses only."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._client is None:
            from twisted.names import client

            self._client = client.Resolver(resolv="/etc/resolv.conf", reactor=self._reactor)
        return getattr(self._client, name)


class Generation:
    """The tree and the upstreams of one Config."""

    def __init__(self, config: Config, surroundings: Surroundings, before: Generation | None = None) -> None:
        """``before`` is the one that serves, which nothing happens to. Raises ConfigError, and then nothing is left."""
        self.config = config
        self._surroundings = surroundings
        self._options = {options.name: options for options in config.upstreams}
        self.upstreams: dict[str, UpstreamGroup] = {}
        self.hosts = VirtualHosts()
        self.sites: dict[IResource, int] = {}
        """The number in the configuration of each site's resource."""
        self.routes: dict[Route, tuple[int, int]] = {}
        """The numbers in the configuration of each route and its site."""
        self.behind: dict[tuple[int, int], IResource] = {}
        """What answers the requests of each route, by these numbers; the cache stands before it."""
        self._made: list[UpstreamGroup] = []
        self._built: dict[_Place, _Built] = {}
        if before is not None and not before._has_surroundings(surroundings):
            before = None
        self._others = self._other_resources(before)
        try:
            for number, site in enumerate(config.sites):
                routes = Routes(
                    [self._route(options, site, (number, place), before) for place, options in enumerate(site.routes)],
                    RouteLabels(site.hosts[0], "-", place=(number, -1)),
                )
                self.sites[routes] = number
                for host in site.hosts:
                    self.hosts.addHost(host.encode("ascii"), routes)
        except BaseException:
            self.abandon()
            raise
        self.dispatch = Dispatch(self.hosts, self._others)

    def _has_surroundings(self, surroundings: Surroundings) -> bool:
        own = self._surroundings
        return (own.reactor, own.sweep, own.budget) == (surroundings.reactor, surroundings.sweep, surroundings.budget)

    def _other_resources(self, before: Generation | None) -> TwistedResources:
        """In them live the sessions of Twisted's resources."""
        size = self.config.limits.buffered_body_size
        if before is not None and before.config.limits.buffered_body_size == size:
            return before._others
        return TwistedResources(self._surroundings.reactor, size)

    def _route(self, options: RouteOptions, site: Site, place: tuple[int, int], before: Generation | None) -> Route:
        built = self._build(options, site, before)
        self.behind[place] = built.behind
        route = Route(
            options.path.encode("utf-8"),
            built.resource,
            frozenset(method.encode("ascii") for method in options.methods),
            options.body_size,
            RouteLabels(site.hosts[0], options.path, options.proxy or "", place),
        )
        self.routes[route] = place
        return route

    def _build(self, options: RouteOptions, site: Site, before: Generation | None) -> _Built:
        """What answers a route's requests: what ``before`` has, where it was made of the same."""
        group = self._upstream(options.proxy, before) if options.proxy is not None else None
        surroundings = self._surroundings
        cache = self.config.cache
        made_of = _MadeOf(
            # What the route itself looks at is not the resource's concern.
            attrs.evolve(options, methods=(), body_size=None, resource=None),
            site.tls.hsts is not None,
            site.tls.client_certificates != "off",
            site.tls.client_subject,
            _of_caches(cache) if options.cache is not None else None,
            None if self.config.tracing is None else self.config.tracing.sample_one_in,
            (options.resource, group, surroundings.store if options.cache is not None else None, self._others),
        )
        place: _Place = (site.hosts, options.path, options.methods)
        built = before._built.get(place) if before is not None else None
        if built is None or built.made_of != made_of:
            behind = self._resource(options, site, group)
            built = _Built(made_of, behind, self._cached(options, behind))
        self._built[place] = built
        return built

    def _cached(self, options: RouteOptions, resource: IResource) -> IResource:
        store = self._surroundings.store
        if options.cache is None or store is None:
            return resource
        return cached(resource, options.cache, self.config.cache, store, self._surroundings.sweep, self._others)

    def _resource(self, options: RouteOptions, site: Site, group: UpstreamGroup | None) -> IResource:
        if group is not None:
            return self._proxy(options, group, site)
        if options.files is not None:
            files: IResource = Files(options.files)
            return files
        resource: IResource = options.resource
        return resource

    def _proxy(self, options: RouteOptions, group: UpstreamGroup, site: Site) -> ProxyResource:
        response_changes = field_changes(options.response_headers)
        if site.tls.hsts is not None:
            # Browsers obey the first that they find, and that would be the backend's.
            gone = response_changes.remove | {b"strict-transport-security"}
            response_changes = attrs.evolve(response_changes, remove=gone)
        return ProxyResource(
            group,
            host=options.host.encode("ascii") if options.host else None,
            forwarded=options.forwarded,
            upgrades=[protocol.encode("ascii") for protocol in options.upgrade],
            strip=options.path.encode("utf-8") if options.strip else b"",
            rewrite=options.rewrite_location,
            keep_traces=options.keep_server_fields,
            request_changes=field_changes(options.request_headers),
            response_changes=response_changes,
            shows_certificates=site.tls.client_certificates != "off",
            subject_name=(site.tls.client_subject or "").encode("ascii"),
            tracing=None if self.config.tracing is None else TraceContext(self.config.tracing.sample_one_in),
        )

    def _upstream(self, target: str, before: Generation | None) -> UpstreamGroup:
        """The named group, or one of a single server; routes that name the same one share its pool."""
        group = self.upstreams.get(target)
        if group is None:
            options = self._options.get(target) or UpstreamOptions(name=target, servers=(Server(url=target),))
            limits = self.config.limits
            group = before.upstreams.get(target) if before is not None else None
            if group is None or not group.is_made_of(options, limits):
                group = open_upstream(options, self._surroundings, limits, group)
                self._made.append(group)
            self.upstreams[target] = group
        return group

    def start_clock(self) -> None:
        """Lets deadlines pass, for who uses the tree without a service around it."""
        self._surroundings.sweep.start()

    def retire(self, after: Generation) -> None:
        """Another one was put into force: what it took over goes on there, the rest ends when its requests have."""
        for name, group in self.upstreams.items():
            new = after.upstreams.get(name)
            if new is group:
                continue
            if new is not None:
                new.take_over(group)
            group.stop()
        if after._others is self._others:
            kept = {id(resource) for resource in after.behind.values()}
            self._others.forget(resource for resource in self.behind.values() if id(resource) not in kept)

    def abandon(self) -> None:
        """It is not put into force: stops what it made, and nothing that it took over."""
        for group in self._made:
            group.stop()

    def stop(self) -> None:
        """Lets go of idle connections and background work."""
        for group in self.upstreams.values():
            group.stop()


_Place = tuple[tuple[str, ...], str, tuple[str, ...]]
"""A route, as an operator knows it: hosts, path and methods."""


def _identities(objects: tuple[object, ...]) -> tuple[int, ...]:
    return tuple(map(id, objects))


@attrs.frozen
class _MadeOf:
    """All that decides what a route's resource does. Two that are equal in it are the same to everybody."""

    options: RouteOptions
    strict_transport: bool
    shows_certificates: bool
    client_subject: str | None
    caches: tuple[object, ...] | None
    traced: int | None
    objects: tuple[object, ...] = attrs.field(eq=_identities)
    """The operator's own resource, the group of servers, the store, and who serves Twisted's resources: these very
    ones, since not everything that says it is equal is the same."""


@attrs.frozen(eq=False)
class _Built:
    """A route's resource, without and with its cache."""

    made_of: _MadeOf
    behind: IResource
    resource: IResource


def _of_caches(options: Cache) -> tuple[object, ...]:
    """What a cached route takes from ``[cache]``; the rest is the store's."""
    return options.name, options.status, options.collapse_timeout, options.background_validations


class Files(File):
    """A folder's files; the folders themselves are not listed, as nobody expects of a server by default."""

    def directoryListing(self) -> IResource:
        """What answers for a folder without an index page: as if there were nothing."""
        return self.childNotFound


def open_upstream(
    options: UpstreamOptions, surroundings: Surroundings, limits: Limits, before: UpstreamGroup | None = None
) -> UpstreamGroup:
    """A group of servers, ready to be sent requests. ``before`` is the one whose place it will take. Raises
    ConfigError."""
    group = UpstreamGroup(
        options,
        limits=limits,
        sweep=surroundings.sweep,
        budget=surroundings.budget,
        connect=surroundings.connect,
        resolver=surroundings.resolver(options.resolve_every),
        before=before,
    )
    if surroundings.on_aside is not None:
        group.pool.on_aside = partial(surroundings.on_aside, options.name)
    return group


def field_changes(options: HeaderChanges) -> FieldChanges:
    """An operator's changes, as octets."""
    return FieldChanges(
        frozenset(name.lower().encode("ascii") for name in options.remove),
        tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in options.set),
        tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in options.add),
    )
