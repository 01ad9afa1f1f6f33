"""All that is built from one Config: the tree and the upstreams. The unit of a reload."""

from __future__ import annotations

from typing import Any

import attrs
from twisted.web.resource import IResource
from twisted.web.static import File

from revproxy.config.model import Config, HeaderChanges, Limits, Server, Site, UpstreamOptions
from revproxy.config.model import Route as RouteOptions
from revproxy.http.forward import FieldChanges
from revproxy.interfaces import IStore
from revproxy.observe.labels import RouteLabels
from revproxy.resources.base import Route, Routes
from revproxy.resources.dispatch import Dispatch
from revproxy.resources.proxy import ProxyResource
from revproxy.resources.twisted_request import TwistedResources
from revproxy.resources.vhost import VirtualHosts
from revproxy.service.caching import cached
from revproxy.upstream.group import UpstreamGroup
from revproxy.upstream.pool import Attempt
from revproxy.upstream.resolve import DNSTimeToLive, Resolver
from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import Connecting, ConnectUser
from revproxy.wire.connect_tls import ClientContext, SecureConnecting
from revproxy.wire.sweep import Sweep


class Surroundings:
    """What every generation of a process is built with: the reactor and what bounds and times everything."""

    def __init__(self, reactor: Any, sweep: Sweep, budget: OctetBudget, store: IStore | None = None) -> None:
        self.reactor = reactor
        self.sweep = sweep
        self.budget = budget
        self.store = store
        """Where cached routes keep responses; None where no route is cached."""

    def connect(self, user: ConnectUser, secure: ClientContext | None) -> Attempt:
        """An attempt to connect, under TLS where there is a context."""
        if secure is None:
            return Connecting(self.reactor, self.sweep, self.budget, user)
        return SecureConnecting(self.reactor, self.sweep, self.budget, user, secure)

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

    def __init__(self, config: Config, surroundings: Surroundings) -> None:
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
        self._others = TwistedResources(surroundings.reactor, config.limits.buffered_body_size)
        for number, site in enumerate(config.sites):
            routes = Routes(
                [self._route(options, site, (number, place)) for place, options in enumerate(site.routes)],
                RouteLabels(site.hosts[0], "-", place=(number, -1)),
            )
            self.sites[routes] = number
            for host in site.hosts:
                self.hosts.addHost(host.encode("ascii"), routes)
        self.dispatch = Dispatch(self.hosts, self._others)

    def _route(self, options: RouteOptions, site: Site, place: tuple[int, int]) -> Route:
        behind = self.behind[place] = self._resource(options, site)
        route = Route(
            options.path.encode("utf-8"),
            self._cached(options, behind),
            frozenset(method.encode("ascii") for method in options.methods),
            options.body_size,
            RouteLabels(site.hosts[0], options.path, options.proxy or "", place),
        )
        self.routes[route] = place
        return route

    def _cached(self, options: RouteOptions, resource: IResource) -> IResource:
        store = self._surroundings.store
        if options.cache is None or store is None:
            return resource
        return cached(resource, options.cache, self.config.cache, store, self._surroundings.sweep, self._others)

    def _resource(self, options: RouteOptions, site: Site) -> IResource:
        if options.proxy is not None:
            return self._proxy(options, options.proxy, site)
        if options.files is not None:
            files: IResource = Files(options.files)
            return files
        resource: IResource = options.resource
        return resource

    def _proxy(self, options: RouteOptions, target: str, site: Site) -> ProxyResource:
        response_changes = field_changes(options.response_headers)
        if site.tls.hsts is not None:
            # Browsers obey the first that they find, and that would be the backend's.
            gone = response_changes.remove | {b"strict-transport-security"}
            response_changes = attrs.evolve(response_changes, remove=gone)
        return ProxyResource(
            self._upstream(target),
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
        )

    def _upstream(self, target: str) -> UpstreamGroup:
        """The named group, or one of a single server; routes that name the same one share its pool."""
        group = self.upstreams.get(target)
        if group is None:
            options = self._options.get(target) or UpstreamOptions(name=target, servers=(Server(url=target),))
            group = self.upstreams[target] = open_upstream(options, self._surroundings, self.config.limits)
        return group

    def start_clock(self) -> None:
        """Lets deadlines pass, for who uses the tree without a service around it."""
        self._surroundings.sweep.start()

    def stop(self) -> None:
        """Lets go of idle connections and background work."""
        for group in self.upstreams.values():
            group.stop()


class Files(File):
    """A folder's files; the folders themselves are not listed, as nobody expects of a server by default."""

    def directoryListing(self) -> IResource:
        """What answers for a folder without an index page: as if there were nothing."""
        return self.childNotFound


def open_upstream(options: UpstreamOptions, surroundings: Surroundings, limits: Limits) -> UpstreamGroup:
    """A group of servers, ready to be sent requests."""
    return UpstreamGroup(
        options,
        limits=limits,
        sweep=surroundings.sweep,
        budget=surroundings.budget,
        connect=surroundings.connect,
        resolver=surroundings.resolver(options.resolve_every),
    )


def field_changes(options: HeaderChanges) -> FieldChanges:
    """An operator's changes, as octets."""
    return FieldChanges(
        frozenset(name.lower().encode("ascii") for name in options.remove),
        tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in options.set),
        tuple((name.encode("ascii"), value.encode("latin-1")) for name, value in options.add),
    )

