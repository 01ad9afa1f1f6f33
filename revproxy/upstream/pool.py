"""Connections to the servers of one group: kept while they are alive, bounded, and waited for in a queue.

The newest idle connection is used first, so that those that are not needed grow old and go. A server whose connect
failed is set aside; when its time is over it is tried in the background, so that no visitor pays for the attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.logger import Logger

from revproxy.config.model import Limits, UpstreamOptions
from revproxy.errors import (
    ConnectFailed,
    ConnectTimeout,
    HandshakeError,
    Overloaded,
    ProxyError,
    QueueFull,
    QueueTimeout,
)
from revproxy.upstream.balance import RoundRobin
from revproxy.upstream.connection import UpstreamConnection
from revproxy.upstream.exchange import Exchange
from revproxy.upstream.peer import PeerState
from revproxy.upstream.resolve import Resolver
from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import OUT_OF_RESOURCES, ConnectUser, SocketAddress, Stream
from revproxy.wire.connect_tls import ClientContext, TlsFailed
from revproxy.wire.sweep import Sweep

_log = Logger()


class Attempt(Protocol):
    """A connection that is being opened."""

    def start(self, address: SocketAddress, timeout: float) -> None:
        """Begin."""

    def cancel(self) -> None:
        """Give up, silently."""


Connect = Callable[[ConnectUser, ClientContext | None], Attempt]
"""Makes an attempt for somebody, under TLS where there is a context; nothing happens before its ``start``."""


class Opening:
    """One connection being opened to a server: its addresses are looked up and tried in turn."""

    __slots__ = ("_addresses", "_attempt", "_began", "_cancelled", "_pool", "exchange", "state")

    def __init__(self, pool: Pool, state: PeerState, exchange: Exchange | None) -> None:
        self._pool = pool
        self.state = state
        self.exchange = exchange
        """Who waits for it; nobody where the server is only tried."""
        self._addresses: list[SocketAddress] = []
        self._attempt: Attempt | None = None
        self._began = pool.now()
        self._cancelled = False

    def start(self) -> None:
        """Begins."""
        self._pool.resolver.look_up(self.state.peer, self._looked_up)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled = True
        if self._attempt is not None:
            self._attempt.cancel()

    def _looked_up(self, addresses: Sequence[SocketAddress], mistake: str) -> None:
        if self._cancelled:
            return
        if not addresses:
            self._pool.opening_failed(self, ConnectFailed(f"{self._name}: {mistake}"))
            return
        self._addresses = list(addresses)
        self._try_next()

    @property
    def _name(self) -> str:
        return self.state.name.decode("utf-8", "replace")

    def _try_next(self) -> None:
        address = self._addresses.pop(0)
        self._attempt = self._pool.connect(self, self.state.secure)
        self._attempt.start(address, self._pool.connect_timeout)

    def connected(self, stream: Stream) -> None:
        """It is open."""
        self._pool.opened(self, stream, self._pool.now() - self._began)

    def connect_failed(self, reason: OSError) -> None:
        """This address failed; perhaps there is another."""
        if self._cancelled:
            return
        if self._addresses:
            self._try_next()
            return
        kind: type[ProxyError] = ConnectFailed
        if isinstance(reason, TimeoutError):
            kind = ConnectTimeout
        elif isinstance(reason, TlsFailed):
            kind = HandshakeError
        elif reason.errno in OUT_OF_RESOURCES:
            kind = Overloaded
        self._pool.opening_failed(self, kind(f"{self._name}: {reason.strerror or reason}"))


class Pool:
    """The connections of one group of servers."""

    def __init__(
        self,
        options: UpstreamOptions,
        states: Sequence[PeerState],
        *,
        limits: Limits,
        sweep: Sweep,
        budget: OctetBudget,
        connect: Connect,
        resolver: Resolver,
    ) -> None:
        self.options = options
        self.states = tuple(states)
        self.balance = RoundRobin(self.states)
        self._up = self.states
        """Those that an operator lets have requests."""
        self._only = self.states[0] if len(self.states) == 1 else None
        self.on_aside: Callable[[bytes, float], None] | None = None
        """Told when a server can't be reached: its name, and until when it is set aside (0.0: it can be again)."""
        self.connect = connect
        self.resolver = resolver
        self.budget = budget
        self.now = sweep.now
        self.connect_timeout = options.connect_timeout
        self.answer_timeout = options.answer_timeout
        self.idle_timeout = options.idle_timeout
        self.tunnel_timeout = options.tunnel_timeout
        self.replay_size = options.replay_size
        self.response_head_size = limits.response_head_size
        self.response_head_count = limits.response_head_count
        self._keep_alive = options.keep_alive
        self._sweep = sweep
        self._open = 0
        self._queue: deque[Exchange] = deque()
        self._probes: set[Opening] = set()
        self._stopped = False
        self._serving = False
        sweep.on_tick.append(self._tick)

    # Placing exchanges.

    def place(self, exchange: Exchange) -> None:
        """Puts an exchange on a connection, now or later; ``exchange.give_up`` when no server is left."""
        only = self._only
        if only is not None and only.idle and not exchange.needs_fresh:
            exchange.begin(only.idle.pop(), 0.0)
            return
        tried = exchange.tried
        chosen = self.balance.choose(tried)
        if chosen is not None and chosen.idle and not exchange.needs_fresh:
            exchange.begin(chosen.idle.pop(), 0.0)
            return
        full: list[PeerState] = []
        while chosen is not None:
            if self._may_open(chosen):
                self._open_for(chosen, exchange)
                return
            full.append(chosen)
            chosen = self.balance.choose([*tried, *full])
            if chosen is not None and chosen.idle and not exchange.needs_fresh:
                exchange.begin(chosen.idle.pop(), 0.0)
                return
        if not full:
            exchange.give_up()
        elif len(self._queue) >= self.options.queue:
            exchange.fail(QueueFull(f"{len(self._queue)} requests wait already"))
        else:
            exchange.queued_at = self.now()
            self._queue.append(exchange)
            if self._stopped:
                self._watch()

    def has_other(self, tried: Sequence[PeerState], state: PeerState) -> bool:
        """Whether there is a server that is neither this one nor among those that were tried."""
        return any(other is not state and other not in tried for other in self._up)

    def forget(self, exchange: Exchange) -> None:
        """The exchange no longer waits for a connection."""
        if exchange.queued_at >= 0:
            exchange.queued_at = -1.0
            try:
                self._queue.remove(exchange)
            except ValueError:
                pass
        opening = exchange.opening
        if opening is not None:
            exchange.opening = None
            opening.cancel()
            self._uncount(opening.state)
            if self._queue:
                self._serve_queue()

    def _may_open(self, state: PeerState) -> bool:
        if state.open < self.options.connections_per_server:
            if self._open < self.options.connections:
                return True
            # An idle connection to another server must not keep this one from being reached.
            for other in self.states:
                if other is not state and other.idle:
                    self.discard(other.idle[0])
                    return True
        return False

    def _open_for(self, state: PeerState, exchange: Exchange | None) -> None:
        state.open += 1
        self._open += 1
        opening = Opening(self, state, exchange)
        if exchange is None:
            self._probes.add(opening)
        else:
            exchange.opening = opening
            exchange.transaction.upstream = state.name
        opening.start()

    def _uncount(self, state: PeerState) -> None:
        state.open -= 1
        self._open -= 1

    def opened(self, opening: Opening, stream: Stream, took: float) -> None:
        """A connection is open."""
        state = opening.state
        state.probing = False
        self._probes.discard(opening)
        if state.connected():
            _log.info("server {name} can be reached again", name=state.name.decode("utf-8", "replace"))
            self._tell_aside(state)
        connection = UpstreamConnection(stream, self, state)
        self._sweep.add(connection)
        exchange = opening.exchange
        if exchange is None:
            self.release(connection)
        else:
            exchange.opening = None
            exchange.begin(connection, took)

    def opening_failed(self, opening: Opening, error: ProxyError) -> None:
        """A connection could not be opened: the server is set aside, the exchange goes to another one."""
        state = opening.state
        state.probing = False
        self._probes.discard(opening)
        self._uncount(state)
        # For want of a descriptor of ours, no server is set aside.
        if error.fault == "upstream":
            self._set_aside(state, error)
        exchange = opening.exchange
        if exchange is not None:
            exchange.opening = None
            exchange.tried = (*exchange.tried, state)
            exchange.last_error = error
            self.place(exchange)
        self._serve_queue()

    # Servers.

    def _set_aside(self, state: PeerState, error: ProxyError) -> None:
        if state.connect_failed(self.now(), self.options.set_aside):
            _log.warn(
                "server {name} is set aside for {seconds:.0f} s: {detail}"
                if self._only is None
                else "server {name} can't be reached, and is tried for each request, since there is no other: {detail}",
                name=state.name.decode("utf-8", "replace"),
                seconds=self.options.set_aside,
                detail=error.detail,
            )
        self._tell_aside(state)

    def _tell_aside(self, state: PeerState) -> None:
        if self.on_aside is not None:
            self.on_aside(state.name, state.aside_until)

    def told_aside(self, state: PeerState, until: float) -> None:
        """Another process found that a server can't be reached until then, or (0.0) that it can be again."""
        state.told_aside(until)
        if not state.failures:
            self._serve_queue()

    def mark(self, state: PeerState, *, down: bool) -> None:
        """Lets a server have no requests any more, or again. What it is doing it may end."""
        state.down = down
        self._choose_among()
        if down:
            for connection in list(state.idle):
                self.discard(connection)
        self._serve_queue()

    def _choose_among(self) -> None:
        up = self._up = tuple(state for state in self.states if not state.down)
        self.balance = RoundRobin(up)
        self._only = up[0] if len(up) == 1 else None

    def take_over(self, state: PeerState, other: Pool, theirs: PeerState, *, connections: bool) -> None:
        """Goes on with what another pool knows of a server, and with the idle connections that it has there, if they
        may be used here."""
        state.take_over(theirs)
        self._choose_among()
        if not connections or state.down or other._queue:
            return
        options = self.options
        for connection in list(theirs.idle):
            if (
                len(state.idle) >= options.idle_connections
                or state.open >= options.connections_per_server
                or self._open >= options.connections
            ):
                break
            theirs.idle.remove(connection)
            other._uncount(theirs)
            state.open += 1
            self._open += 1
            connection.move_to(self, state)
            connection.deadline = min(connection.deadline, self.now() + self._keep_alive)
            state.idle.append(connection)

    # Connections.

    def release(self, connection: UpstreamConnection) -> None:
        """The connection is free: who waits longest gets it, else it is kept."""
        connection.used += 1
        if self._queue:
            state = connection.state
            if state.down or self._queue[0].needs_fresh or state in self._queue[0].tried:
                self.discard(connection)
                return
            exchange = self._next_waiting()
            if exchange is not None:
                exchange.begin(connection, 0.0)
                return
        idle = connection.state.idle
        if self._stopped or len(idle) >= self.options.idle_connections:
            self.discard(connection)
            return
        connection.deadline = self.now() + self._keep_alive
        idle.append(connection)

    def discard(self, connection: UpstreamConnection, *, abort: bool = False) -> None:
        """The connection is not used again; ``abort`` cuts it, so that the server stops working for nothing."""
        state = connection.state
        if connection.released:
            return
        connection.released = True
        if connection in state.idle:
            state.idle.remove(connection)
        self._sweep.discard(connection)
        if abort:
            connection.stream.abort()
        else:
            connection.stream.close()
        self._uncount(state)
        if self._queue:
            self._serve_queue()

    def _next_waiting(self) -> Exchange | None:
        if not self._queue:
            return None
        exchange = self._queue.popleft()
        exchange.queued_at = -1.0
        return exchange

    def _serve_queue(self) -> None:
        if self._serving:
            return
        # Each is looked at once; whoever could not be placed waits again. A loop, since one that fails at once leads
        # back here, and a thousand may wait.
        self._serving = True
        unplaced: list[Exchange] = []
        try:
            for _ in range(len(self._queue)):
                if self._up and not any(self._may_open(state) for state in self._up):
                    break
                since = self._queue[0].queued_at
                exchange = self._next_waiting()
                if exchange is None:
                    break
                self.place(exchange)
                if self._queue and self._queue[-1] is exchange:
                    # Only servers that it has tried have room: it keeps its turn and its deadline.
                    self._queue.pop()
                    exchange.queued_at = since
                    unplaced.append(exchange)
        finally:
            self._serving = False
            self._queue.extendleft(exchange for exchange in reversed(unplaced) if exchange.queued_at >= 0)

    def _tick(self, now: float) -> None:
        queue = self._queue
        while queue and now - queue[0].queued_at >= self.options.queue_timeout:
            waiting = self._next_waiting()
            if waiting is not None:
                waiting.fail(QueueTimeout(f"no connection became free in {self.options.queue_timeout:g} s"))
        if self._stopped:
            if not queue:
                self._sweep.on_tick.remove(self._tick)
            return
        if len(self.states) > 1:
            for state in self.states:
                if state.down:
                    for connection in list(state.idle):
                        self.discard(connection)
                elif state.failures and now >= state.aside_until and not state.probing:
                    state.probing = True
                    self._open_for(state, None)

    def _watch(self) -> None:
        if self._tick not in self._sweep.on_tick:
            self._sweep.on_tick.append(self._tick)

    def stop(self) -> None:
        """Closes idle connections and tries no servers any more. What is in flight ends here, and what waits is served
        or given up in its time; when the last of it is over, nothing refers to the pool."""
        self._stopped = True
        if not self._queue and self._tick in self._sweep.on_tick:
            self._sweep.on_tick.remove(self._tick)
        for probe in list(self._probes):
            probe.cancel()
            probe.state.probing = False
            self._uncount(probe.state)
        self._probes.clear()
        for state in self.states:
            for connection in list(state.idle):
                self.discard(connection)

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return self._open

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._queue)

    def __repr__(self) -> str:
        return f"<Pool {self.options.name} open={self._open} waiting={len(self._queue)} {list(self.states)!r}>"
