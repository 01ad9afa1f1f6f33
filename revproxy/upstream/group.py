"""An upstream: the servers that can answer for each other, as the tree sees them."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from zope.interface import implementer

from revproxy.config.model import Limits, Server, UpstreamOptions
from revproxy.http.forward import ResponseForwarding
from revproxy.http.framing import Framing
from revproxy.interfaces import IUpstream, Request
from revproxy.upstream.exchange import Exchange
from revproxy.upstream.peer import Peer, PeerState
from revproxy.upstream.pool import Connect, Pool
from revproxy.upstream.resolve import Resolver
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep


def peer_of(url: str) -> Peer:
    """The server that a URL names: ``http://host:port`` or ``unix:/path``. Raises ValueError."""
    if url.startswith("unix:"):
        path = url[5:]
        if path.startswith("//"):
            path = path[2:]
        if not path.startswith("/"):
            raise ValueError(f"{url!r}: a unix socket needs an absolute path")
        return Peer("http", "", 0, path)
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is not http://host:port or unix:/path")
    return Peer("http", parts.hostname, parts.port or 80)


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
        states = [PeerState(peer_of(server.url), server.weight) for server in options.servers]
        self.name = options.name
        self.pool = Pool(
            options, states, limits=limits, sweep=sweep, budget=budget, connect=connect, resolver=resolver
        )
        self.authorities = frozenset().union(*(state.peer.authorities for state in states))
        self.default_host = states[0].peer.authority

    def exchange(
        self, request: Request, head: bytes, framing: Framing, forwarding: ResponseForwarding, upgrade: bytes
    ) -> None:
        """Sends a request and gives the answer to it."""
        self.pool.place(Exchange(self.pool, request, head, framing, forwarding, upgrade))

    def stop(self) -> None:
        """Lets go of idle connections and background work."""
        self.pool.stop()


def servers(urls: Iterable[str]) -> tuple[Server, ...]:
    """Servers of equal weight."""
    return tuple(Server(url=url) for url in urls)
