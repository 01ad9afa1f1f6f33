"""An upstream: the servers that can answer for each other, as the tree sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from OpenSSL import SSL
from zope.interface import implementer

from revproxy.config.addresses import UnixAddress, parse_server
from revproxy.config.model import Limits, Server, UpstreamOptions
from revproxy.http.forward import NO_CHANGES, FieldChanges, ResponseForwarding
from revproxy.http.framing import Framing
from revproxy.interfaces import IUpstream, Request
from revproxy.upstream.exchange import Exchange
from revproxy.upstream.facts import GroupFacts, group_facts
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
        before: UpstreamGroup | None = None,
    ) -> None:
        """``before`` is the group that it takes the place of, for what need not be read again. Raises ConfigError."""
        self.facts: GroupFacts = group_facts(options, limits, before.facts if before is not None else None)
        """What it is made of."""
        self._context: SSL.Context | None = None
        if before is not None and before.facts.speaks_tls_as(self.facts):
            self._context = before._context
        states, self._context = _states(options, self._context)
        self.name = options.name
        self.on_stop: Callable[[], None] | None = None
        """Called at the end of ``stop``: what was started for this group alone."""
        self.pool = Pool(options, states, limits=limits, sweep=sweep, budget=budget, connect=connect, resolver=resolver)
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

    def is_made_of(self, options: UpstreamOptions, limits: Limits) -> bool:
        """Whether a group made now of these would be the same. Raises ConfigError for a file that can't be read."""
        return group_facts(options, limits, self.facts) == self.facts

    def take_over(self, before: UpstreamGroup) -> None:
        """Goes on with what ``before``, whose place it takes, knows of the servers that both have."""
        is_same_tls = before.facts.speaks_tls_as(self.facts)
        for state in self.pool.states:
            for theirs in before.pool.states:
                if theirs.peer == state.peer and (state.secure is None or is_same_tls):
                    self.pool.take_over(state, before.pool, theirs, connections=True)
                    break
        hosts = {state.peer.host for state in self.pool.states}
        self.pool.resolver.take_over(before.pool.resolver, hosts)

    # What operators and other processes know better.

    def mark(self, server_name: str | bytes, down: bool) -> None:
        """Lets a server have no requests any more (``down``), or again. Raises KeyError for one that is not there."""
        states = self._named(server_name)
        if not states:
            raise KeyError(server_name)
        for state in states:
            if state.down != down:
                self.pool.mark(state, down=down)

    def told_aside(self, server_name: str | bytes, until: float) -> None:
        """Another process found that a server can't be reached, and sets it aside until then (seconds of the monotonic
        clock); 0.0 where it can be reached again."""
        for state in self._named(server_name):
            self.pool.told_aside(state, until)

    def _named(self, server_name: str | bytes) -> list[PeerState]:
        name = server_name.encode("utf-8") if isinstance(server_name, str) else server_name
        return [state for state in self.pool.states if state.name == name]

    def snapshot(self) -> dict[str, Any]:
        """How it fares, as JSON has it."""
        pool = self.pool
        now = pool.now()
        return {
            "name": self.name,
            "queued": pool.waiting,
            "servers": [
                {
                    "name": state.name.decode("utf-8", "replace"),
                    "state": state.condition,
                    "weight": state.weight,
                    "open": state.open,
                    "idle": len(state.idle),
                    "failures": state.failures,
                    "aside_for": max(0.0, round(state.aside_until - now, 3)) if state.failures else 0.0,
                }
                for state in pool.states
            ],
        }

    def stop(self) -> None:
        """Lets go of idle connections and background work."""
        self.pool.stop()
        if self.on_stop is not None:
            self.on_stop()


def _states(options: UpstreamOptions, context: SSL.Context | None) -> tuple[list[PeerState], SSL.Context | None]:
    """The servers, and the context of those that speak TLS, which is made where there is none. Raises ConfigError."""
    peers = [(peer_of(server.url), server.weight) for server in options.servers]
    if context is None and any(peer.scheme == "https" for peer, _ in peers):
        context = client_context(options.name, options.tls)
    states = []
    for peer, weight in peers:
        secure = secured(peer.host, options.tls, context) if context and peer.scheme == "https" else None
        states.append(PeerState(peer, weight, secure))
    return states, context


def servers(urls: Iterable[str]) -> tuple[Server, ...]:
    """Servers of equal weight."""
    return tuple(Server(url=url) for url in urls)
