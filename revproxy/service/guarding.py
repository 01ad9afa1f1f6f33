"""Wiring of what sites demand: which listener needs a guard, and what it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from revproxy.certificates.collection import Certificates, at_once
from revproxy.config.addresses import TcpAddress, parse_listener
from revproxy.config.model import Config, Listener, Site
from revproxy.interfaces import Request
from revproxy.resources.site_guard import NOTHING, Demands, SiteGuard, strict_transport_line
from revproxy.service.generation import Generation


def guarded(
    generation: Generation,
    listener: Listener,
    certificates: Certificates | None,
    dispatch: Callable[[Request], None] | None = None,
) -> Callable[[Request], None]:
    """What a listener's requests are given to: the tree itself where no site demands anything of the connection.
    ``dispatch`` is what is behind, the generation's own unless told."""
    config = generation.config
    inner = generation.dispatch if dispatch is None else dispatch
    demands = {
        resource: _demands(config.sites[number], number, certificates) for resource, number in generation.sites.items()
    }
    demands = {resource: each for resource, each in demands.items() if each is not NOTHING}
    misdirected = listener.tls and config.tls.misdirected
    if not demands and not listener.redirect_to_https and not misdirected:
        return inner
    return SiteGuard(
        inner,
        generation.hosts.find,
        demands,
        redirect=listener.redirect_to_https,
        https_port=https_port(config),
        misdirected=misdirected,
    )


def _demands(site: Site, number: int, certificates: Certificates | None) -> Demands:
    tls = site.tls
    line = b""
    if tls.hsts is not None:
        line = strict_transport_line(
            tls.hsts.max_age, include_subdomains=tls.hsts.include_subdomains, preload=tls.hsts.preload
        )
    clients: Callable[[], object] | None = None
    if tls.client_certificates != "off" and certificates is not None:
        known = certificates
        # Asked each time: the authorities may have been read again.
        clients = lambda: known.sites.all[number].clients  # noqa: E731
    if not line and not site.redirect_to_https and tls.client_certificates == "off":
        return NOTHING
    return Demands(site.redirect_to_https, line, clients, tls.client_certificates == "required")


def https_port(config: Config) -> int:
    """The port that redirects lead to: 443 if a listener speaks TLS there, else that of the first that does."""
    ports = []
    for listener in config.listeners:
        address = parse_listener(listener.address)
        if listener.tls and isinstance(address, TcpAddress):
            ports.append(address.port)
    return 443 if 443 in ports or not ports else ports[0]


def in_thread_of(reactor: Any) -> Callable[..., Deferred[Any]]:
    """Calls in the reactor's threads, where it has some: reading a thousand keys takes seconds."""
    get_pool = getattr(reactor, "getThreadPool", None)
    if get_pool is None:
        return at_once

    def in_thread(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = deferToThreadPool(reactor, get_pool(), function, *arguments)
        return deferred

    return in_thread
