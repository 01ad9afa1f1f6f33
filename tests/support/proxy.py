"""The whole proxy in memory: a real channel, the real tree and a real upstream on played sockets, under a clock that
only a test moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.web.resource import IResource
from zope.interface import implementer

from revproxy.config.model import Limits, Server, UpstreamOptions
from revproxy.downstream.channel import Channel
from revproxy.downstream.frontend import Frontend
from revproxy.http.forward import Client
from revproxy.http.forward import Network as Addresses
from revproxy.observe.transaction import Transaction
from revproxy.resources.base import Route, Routes
from revproxy.resources.dispatch import Dispatch
from revproxy.resources.proxy import ProxyResource
from revproxy.resources.twisted_request import TwistedResources
from revproxy.resources.vhost import VirtualHosts
from revproxy.upstream.group import UpstreamGroup
from revproxy.upstream.resolve import Resolver
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep
from tests.support.network import ROOM, End, MemoryAttempt, MemoryStream, Network, Origin

LONG = 20_000.0
"""Seconds after which no deadline is left."""


class OrderedSweep(Sweep):
    """Sweeps its members in the order in which they came, so that a test that fails fails again."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, now=clock.seconds)
        members: dict[Any, None] = {}
        self._members = members.keys()  # type: ignore[assignment]  # all that is asked of it is to be iterated
        self.add = lambda member: members.setdefault(member)
        self.discard = lambda member: members.pop(member, None)


@implementer(ILogObserver)
class LogWatch:
    """Errors and failures that were logged."""

    def __init__(self) -> None:
        self.mistakes: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("log_level") in (LogLevel.error, LogLevel.critical):
            self.mistakes.append(event)


class Proxy:
    """A proxy of one site (or of any tree) before scripted origins."""

    def __init__(
        self,
        *,
        servers: Iterable[str | Server] = ("http://10.0.0.1:80",),
        limits: Limits | None = None,
        root: Callable[[Proxy], IResource] | None = None,
        trusted: Iterable[Addresses] = (),
        buffered_body_size: int | None = None,
        resolver: Callable[[Proxy], Resolver] | None = None,
        resource: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.limits = limits or Limits()
        self.sweep = OrderedSweep(self.clock)
        self.budget = OctetBudget(self.limits.buffered_octets)
        self.transactions: list[Transaction] = []
        self.watch = LogWatch()
        globalLogPublisher.addObserver(self.watch)
        self.origins: dict[Any, Origin] = {}
        described = tuple(Server(url=server) if isinstance(server, str) else server for server in servers)
        make_resolver = resolver or (lambda proxy: Resolver(self.network, self.clock.seconds, every=30.0))  # type: ignore[arg-type]
        self.group = UpstreamGroup(
            UpstreamOptions(name="origins", servers=described, **options),
            limits=self.limits,
            sweep=self.sweep,
            budget=self.budget,
            connect=lambda user, _: MemoryAttempt(user, self.origins, self.network, self.sweep, self.budget),
            resolver=make_resolver(self),
        )
        for state in self.group.pool.states:
            peer = state.peer
            self.origins[peer.path or (peer.host, peer.port)] = Origin(self.network)
        self.resource = ProxyResource(self.group, **(resource or {}))
        self.root = root(self) if root is not None else self._one_site()
        self.dispatch = Dispatch(
            self.root, TwistedResources(self.clock, buffered_body_size or self.limits.buffered_body_size)
        )
        ids = iter(range(1, 1 << 30))
        self.frontend = Frontend(
            limits=self.limits,
            dispatch=self.dispatch,
            record=self.transactions.append,
            sweep=self.sweep,
            budget=self.budget,
            new_request_id=lambda: b"id%d" % next(ids),
            trusted=tuple(trusted),
            wall=lambda: 1_000_000.0 + self.clock.seconds(),
        )
        self.clients: list[End] = []
        self.sweep.start()

    def _one_site(self) -> IResource:
        hosts = VirtualHosts()
        hosts.addHost(b"*", Routes([Route(b"/", self.resource)]))
        return hosts

    @property
    def origin(self) -> Origin:
        """The first server."""
        return next(iter(self.origins.values()))

    def client(
        self,
        address: bytes = b"192.0.2.1",
        *,
        trusted: bool = False,
        room: int = ROOM,
        awaits_proxy_header: bool = False,
        scheme: bytes = b"http",
    ) -> End:
        """A new client's connection. ``room`` bounds what lies unread on its way, in each direction."""
        ours, theirs = self.network.pair(room)
        end = self.network.end(theirs)
        self.clients.append(end)
        stream = MemoryStream(ours, self.network, self.budget)
        client = Client(address, trusted=trusted, scheme=scheme, port=8080)
        Channel(self.frontend, stream, client, awaits_proxy_header=awaits_proxy_header).begin()
        self.network.settle()
        return end

    def advance(self, seconds: float) -> None:
        """Time passes, a second at a time, as the sweep has it."""
        whole = int(seconds)
        for _ in range(whole):
            self.clock.advance(1.0)
            self.network.settle()
        if seconds != whole:
            self.clock.advance(seconds - whole)
            self.network.settle()

    @property
    def queued(self) -> int:
        """Octets that wait in the proxy, all together."""
        return self.budget.held

    @property
    def transaction(self) -> Transaction:
        """The last that ended."""
        return self.transactions[-1]

    def assert_at_rest(self) -> None:
        """Everybody leaves; then nothing may be left, nothing counted, nothing logged as a mistake."""
        for end in self.network.ends:
            end.reads = True
        self.network.settle()
        for client in self.clients:
            client.close()
        for origin in self.origins.values():
            for end in origin.connections:
                end.close()
        self.advance(2)
        globalLogPublisher.removeObserver(self.watch)
        self.group.stop()
        self.advance(2)
        # What was looked for in vain may be tried for as long as a connect may last.
        for _ in range(3):
            self.clock.advance(LONG)
            self.network.settle()
        assert self.watch.mistakes == []
        assert self.budget.held == 0
        assert self.frontend.channels == set()
        assert self.frontend.admission.count == 0
        assert self.frontend.admission.turning_away == 0
        assert self.frontend.admission._by_address == {}
        pool = self.group.pool
        assert [state.open for state in pool.states] == [0] * len(pool.states)
        assert pool._open == 0
        assert len(pool._queue) == 0
        assert len(self.sweep) == 0
        assert self.network.getReaders() == []
        assert self.network.getWriters() == []

