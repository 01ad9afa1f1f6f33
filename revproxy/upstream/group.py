"""An upstream: the servers that can answer for each other, as the tree sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zope.interface import implementer

from revproxy.config.addresses import UnixAddress, parse_server
from revproxy.config.model import Limits, Server, UpstreamOptions
from revproxy.http.forward import NO_CHANGES, FieldChanges, ResponseForwarding
from revproxy.http.framing import Framing
from revproxy.interfaces import IUpstream, Request
from revproxy.upstream.exchange import Exchange
from revproxy.upstream.peer import Peer, PeerState
from revproxy.upstream.pool import Connect, Pool
from revproxy.upstream.resolve import Resolver
from revproxy.upstream.secure import client_context, secured
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep


def peer_of(url: str) -> Peer:
    """The server that a URL names: ``http://host:port``, ``https://host:port``, ``unix:/path``. Raises ValueError."""
    address = parse_server(url)
    if isinstance(address, UnixAddress):
        return Peer("http", "", 0, address.path)
    return Peer("https" if address.secure else "http", address.host, address.port)


@implementer(IUpstream)
class UpstreamGroup:
    """Sends requests to its servers."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        limits: Limits,
        sweep: Sweep,
        budget: OctetBudget,
        connect: Connect,
        resolver: Resolver,
    ) -> None:
        states = _states(options)
        self.name = options.name
        self.on_stop: Callable[[], None] | None = None
        """Called at the end of ``stop``: what was started for this group alone."""
        self.pool = Pool(
            options, states, limits=limits, sweep=sweep, budget=budget, connect=connect, resolver=resolver
        )
        self.authorities = frozenset().union(*(state.peer.authorities for state in states))
        self.default_host = states[0].peer.authority

    def exchange(
        self,
        request: Request,
        head: bytes,
        framing: Framing,
        forwarding: ResponseForwarding,
        upgrade: bytes,
        changes: FieldChanges = NO_CHANGES,
    ) -> None:
        """Sends a request and gives the answer to it."""
        exchange = Exchange(self.pool, request, head, framing, forwarding, upgrade, changes)
        request.source = exchange
        self.pool.place(exchange)

    def stop(self) -> None:
        """Lets go of idle connections and background work."""
        self.pool.stop()
        if self.on_stop is not None:
            self.on_stop()


def _states(options: UpstreamOptions) -> list[PeerState]:
    """The servers; those that speak TLS with the context for it. Raises ConfigError."""
    peers = [(peer_of(server.url), server.weight) for server in options.servers]
    context = None
    if any(peer.scheme == "https" for peer, _ in peers):
        context = client_context(options.name, options.tls)
    states = []
    for peer, weight in peers:
        secure = secured(peer.host, options.tls, context) if context and peer.scheme == "https" else None
        states.append(PeerState(peer, weight, secure))
    return states


def servers(urls: Iterable[str]) -> tuple[Server, ...]:
    """Servers of equal weight."""
    return tuple(Server(url=url) for url in urls)
