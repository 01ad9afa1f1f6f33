"""What serves in one process: listeners, tree, certificates, store and log of a Config, which may be replaced.

Theory of operation. A worker begins with what was opened for it (``Opened``) and lives until it has drained. It obeys
the master, through a link or directly where both are one process. A reload has two steps: ``prepare`` builds all that
is new beside what serves, and may fail; ``switch`` puts it into force in one turn of the reactor, and must not fail.
Clients keep their connections: what they refer to, the frontend of their listener, is changed in place.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from revproxy.certificates.collection import Certificates, Prepared
from revproxy.config.model import Config, Listener
from revproxy.downstream.channel import Channel
from revproxy.downstream.frontend import Frontend, RequestIds
from revproxy.errors import ConfigError
from revproxy.service.access_log import AccessLog
from revproxy.service.board import Board, Sums, Turn
from revproxy.service.carrying import CarriedAcme, CarriedStore, carry_store
from revproxy.service.generation import Generation, Surroundings
from revproxy.service.guarding import guarded
from revproxy.service.link import Refused
from revproxy.service.listeners import Acceptor
from revproxy.service.opened import Bound, Opened, open_certificates, open_log, speaks_tls
from revproxy.service.recording import Recorder
from revproxy.service.secure import SecureAcceptor
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

if TYPE_CHECKING:
    from revproxy.service.spans import SpanExporter

_log = Logger()
DRAIN_POLL: Final = 0.1
HANDSHAKE_REST: Final = 3.0
"""Seconds that handshakes under way get to complete when a worker drains."""

Order = Callable[["Worker", dict[str, Any]], Any]


@attrs.define
class _Proposed:
    """All that a reload would put into force."""

    config: Config
    source: bytes | None
    generation: Generation
    store: CarriedStore
    acme: CarriedAcme
    access_log: AccessLog | None
    added: list[Bound]
    certificates: Certificates | None = None
    """New ones, where what there was can't be changed into them."""
    stapling: Any = None
    prepared: Prepared | None = None


class Worker:
    """Serves.

    :param opened: what it serves with. Its sockets are the caller's: the worker accepts from copies of them.
    :param number: which worker it is, from 0.
    :param board: where all workers show their figures; None where there is only this one.
    """

    def __init__(self, opened: Opened, reactor: Any, *, number: int = 0, board: Board | None = None) -> None:
        self.config = opened.config
        self.source: bytes | None = None
        """The text that it was read from, where there is a file."""
        self.number = number
        self.board = board
        self.certificates = opened.certificates
        """What TLS is spoken with; None where no listener speaks it."""
        self.access_log = opened.access_log
        self.recorder = Recorder(opened.config.admin.requests, opened.access_log)
        """Where every request ends up that is over."""
        self.sweep = Sweep(reactor)
        self.budget = OctetBudget(opened.config.limits.buffered_octets)
        self.acceptors: list[Acceptor] = []
        """What accepts now, in the order of the configuration."""
        self.leaving: list[Acceptor] = []
        """Those whose listeners are gone from the configuration, while connections of theirs live."""
        self.store = CarriedStore(None, None, reactor, None)
        self.acme = CarriedAcme(opened.config, None, None, self.sweep, reactor)
        self.generation: Generation | None = None
        self.orders: dict[str, Order] = {}
        self.push: Callable[[str, Any], None] = _tell_nobody
        """Tells the master something: kind, value."""
        self.spans: SpanExporter | None = None
        """What sends spans to a collector, where there is one."""
        self.draining = False
        self._opened = opened
        self._stapling = opened.stapling
        self._reactor = reactor
        self._proposed: _Proposed | None = None
        self._request_ids = RequestIds(b"")
        self._turn: Turn | None = None

    # From the start to the end.

    def start(self) -> None:
        """Begins to accept. Raises ConfigError."""
        config = self.config
        # Not before: what was made before a fork would be the same in all workers.
        self._request_ids = RequestIds(os.urandom(11))
        self.store = carry_store(config, None, self._reactor)
        self.store.switch()
        self.acme = CarriedAcme(config, self.certificates, None, self.sweep, self._reactor)
        self.acme.switch()
        self.generation = Generation(config, self._surroundings_with(self.store))
        if self.board is not None:
            self._turn = Turn(self.board, self.number, self.connections, self.sweep.now)
        for options, sock in self._opened.sockets:
            self._accept_from(options, sock)
        self._watch(self.certificates, self._stapling)
        self._trace(config)
        self.recorder.tell = lambda kind, value: self.push(kind, value)
        self.sweep.on_tick.append(self.recorder.report)
        if self.access_log is not None:
            self.access_log.warn_if_unseen()
        self.sweep.on_tick.append(self._tick)
        self.sweep.start()
        self._show()
        # What exists now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()

    def _trace(self, config: Config) -> None:
        """Sends spans where this configuration wants them, and no longer where another one did."""
        before, self.spans = self.spans, None
        if before is not None:
            self.recorder.on_batch.remove(before.take)
            self.sweep.on_tick.remove(before.tick)
            before.stop()
        if config.tracing is not None and config.tracing.endpoint is not None:
            # It brings Twisted's client for HTTP along, which is large.
            from revproxy.service.spans import SpanExporter

            self.spans = SpanExporter(
                config.tracing,
                self._reactor,
                self.sweep.now,
                lambda name, number: self.recorder.counters.add(name, number),
            )
            self.recorder.on_batch.append(self.spans.take)
            self.sweep.on_tick.append(self.spans.tick)

    def _surroundings_with(self, store: CarriedStore) -> Surroundings:
        return Surroundings(self._reactor, self.sweep, self.budget, store.store, self._found_aside)

    def _found_aside(self, upstream: str, server: bytes, until: float) -> None:
        self.push("aside", {"upstream": upstream, "server": server.decode("latin-1"), "until": until})

    def _accept_from(self, options: Listener, sock: socket.socket) -> Acceptor:
        config = self.config
        frontend = Frontend(
            limits=config.limits,
            dispatch=self._dispatch(options),
            record=self.recorder.record,
            sweep=self.sweep,
            budget=self.budget,
            new_request_id=self._request_ids.next,
            trusted=config.trusted_proxies,
            scheme=b"https" if options.tls else b"http",
        )
        # The socket's owner goes on to listen, and has a say over its file.
        own = sock.dup()
        if options.tls and self.certificates is not None:
            acceptor: Acceptor = SecureAcceptor(options, own, frontend, self._reactor, self.certificates)
        else:
            acceptor = Acceptor(options, own, frontend, self._reactor)
        if self._turn is not None:
            acceptor.port.is_its_turn = self._turn.take
        self.acceptors.append(acceptor)
        acceptor.port.start()
        return acceptor

    def _dispatch(self, options: Listener) -> Callable[[Any], None]:
        assert self.generation is not None
        dispatch = guarded(self.generation, options, self.certificates)
        issuance = self.acme.issuance
        return dispatch if issuance is None or options.tls else issuance.answers.before(dispatch)

    def _watch(self, certificates: Certificates | None, stapling: Any) -> None:
        if certificates is None:
            return
        certificates.warn()
        self.sweep.on_tick.append(certificates.tick)
        if stapling is not None:
            stapling.cover(certificates.all)
            certificates.on_change.append(stapling.cover)
            self.sweep.on_tick.append(stapling.tick)

    def _unwatch(self, certificates: Certificates | None, stapling: Any) -> None:
        for tick in (getattr(certificates, "tick", None), getattr(stapling, "tick", None)):
            if tick in self.sweep.on_tick:
                self.sweep.on_tick.remove(tick)

    def drain(self, seconds: float) -> Deferred[int]:
        """Stops accepting, ends connections that wait for a request, lets exchanges in flight end within ``seconds``,
        then cuts the rest: how many of those had a request."""
        self.draining = True
        for acceptor in self.acceptors:
            acceptor.stop()
        self.acme.stop()
        for channel in self.channels:
            channel.drain()
        done: Deferred[int] = Deferred()
        now = self.sweep.now()
        self._drain(now + seconds, now + min(seconds, HANDSHAKE_REST), done)
        return done

    def _drain(self, deadline: float, handshakes: float, done: Deferred[int]) -> None:
        now = self.sweep.now()
        acceptors = [*self.acceptors, *self.leaving]
        if now >= handshakes:
            for acceptor in acceptors:
                acceptor.cut()
        channels = self.channels
        if now < deadline and (channels or any(acceptor.is_busy for acceptor in acceptors)):
            self._reactor.callLater(DRAIN_POLL, self._drain, deadline, handshakes, done)
            return
        # Those that linger had their answer, and nobody misses them.
        cut = sum(channel.request is not None for channel in channels)
        for channel in channels:
            channel.stop()
        self._show()
        if self.generation is not None:
            self.generation.stop()
        self.store.stop()
        self.sweep.stop()
        self.recorder.flush(self.sweep.now())
        if self.spans is None:
            self._end(done, cut)
        else:
            self.spans.stop().addCallback(lambda _: self._end(done, cut))

    def _end(self, done: Deferred[int], cut: int) -> None:
        self.recorder.report(self.sweep.now())
        if self.access_log is not None:
            self.access_log.close(self.sweep.now())
        done.callback(cut)

    # A reload.

    def prepare(self, config: Config, added: Sequence[Bound] = (), source: bytes | None = None) -> None:
        """Builds all that another Config needs, beside what serves. ``added`` are the sockets of listeners that it has
        and the present one has not; they are this worker's from now on. Raises ConfigError: then nothing changed."""
        self.abandon()
        undo: list[Callable[[], object]] = [sock.close for _, sock in added]
        try:
            certificates, stapling, prepared = self._prepare_certificates(config)
            log = self.access_log
            if config.access_log != self.config.access_log:
                log = open_log(config)
                if log is not None:
                    undo.append(lambda: log.close(self.sweep.now()))
            store = carry_store(config, self.store, self._reactor)
            undo.append(store.abandon)
            used = certificates if certificates is not None else self.certificates
            acme = CarriedAcme(config, used if speaks_tls(config) else None, self.acme, self.sweep, self._reactor)
            undo.append(acme.abandon)
            generation = Generation(config, self._surroundings_with(store), self.generation)
        except BaseException:
            for step in reversed(undo):
                step()
            raise
        self._proposed = _Proposed(
            config, source, generation, store, acme, log, list(added), certificates, stapling, prepared
        )

    def _prepare_certificates(self, config: Config) -> tuple[Certificates | None, Any, Prepared | None]:
        if not speaks_tls(config):
            return None, None, None
        if self.certificates is None or config.tls.ocsp_stapling != self.config.tls.ocsp_stapling:
            return *open_certificates(config, self._reactor), None
        return None, None, self.certificates.prepare(config)

    def abandon(self) -> None:
        """Forgets what was prepared, if anything was."""
        proposed, self._proposed = self._proposed, None
        if proposed is None:
            return
        proposed.generation.abandon()
        proposed.acme.abandon()
        proposed.store.abandon()
        if proposed.access_log is not self.access_log and proposed.access_log is not None:
            proposed.access_log.close(self.sweep.now())
        for _, sock in proposed.added:
            sock.close()

    def switch(self) -> None:
        """Puts into force what was prepared."""
        proposed, self._proposed = self._proposed, None
        before = self.generation
        assert proposed is not None and before is not None
        self.config = proposed.config
        self.source = proposed.source
        self.generation = proposed.generation
        self.budget.adopt(proposed.config.limits.buffered_octets)
        self._switch_certificates(proposed)
        proposed.store.switch()
        self.store = proposed.store
        self.acme = proposed.acme
        try:
            proposed.acme.switch()
        except ConfigError as mistake:
            _log.error("no certificates are issued: {mistake}", mistake=mistake)
        # What was recorded until here belongs to the old log, and to the labels of the old tree.
        self.recorder.flush(self.sweep.now())
        self.recorder.ring.adopt(proposed.config.admin.requests)
        old_log, self.access_log = self.access_log, proposed.access_log
        self.recorder.log = self.access_log
        if proposed.config.tracing != before.config.tracing:
            self._trace(proposed.config)
        self._switch_listeners(proposed)
        if old_log is not None and old_log is not self.access_log:
            old_log.close(self.sweep.now())
        before.retire(proposed.generation)
        # What the old tree was is garbage now, and some of it is frozen.
        gc.unfreeze()
        gc.collect()
        gc.freeze()

    def _switch_certificates(self, proposed: _Proposed) -> None:
        if proposed.prepared is not None and self.certificates is not None:
            self.certificates.switch(proposed.prepared)
            return
        if proposed.certificates is None and speaks_tls(proposed.config):
            return
        self._unwatch(self.certificates, self._stapling)
        self.certificates = proposed.certificates
        self._stapling = proposed.stapling
        self._watch(self.certificates, self._stapling)

    def _switch_listeners(self, proposed: _Proposed) -> None:
        config = proposed.config
        wanted = {listener.address: listener for listener in config.listeners}
        present, self.acceptors = self.acceptors, []
        for acceptor in present:
            options = wanted.get(acceptor.options.address)
            if options is None:
                self._leave(acceptor)
            elif options.tls != acceptor.options.tls:
                # Another kind of acceptor, from the same socket.
                sock = acceptor.port.copy()
                self._leave(acceptor)
                self._accept_from(options, sock)
                sock.close()
            else:
                acceptor.frontend.adopt(
                    limits=config.limits,
                    dispatch=self._dispatch(options),
                    record=self.recorder.record,
                    trusted=config.trusted_proxies,
                )
                acceptor.adopt(options, self.certificates)
                self.acceptors.append(acceptor)
        for options, sock in proposed.added:
            self._accept_from(options, sock)
            sock.close()

    def _leave(self, acceptor: Acceptor) -> None:
        acceptor.stop()
        for channel in list(acceptor.frontend.channels):
            channel.drain()  # type: ignore[attr-defined]
        self.leaving.append(acceptor)

    # What the master and people ask.

    def obey(self, order: str, arguments: dict[str, Any]) -> Any:
        """Does what is ordered: a JSON value, or a Deferred of one. Raises ConfigError for a refusal."""
        known = self.orders.get(order)
        if known is None:
            raise Refused(f"no such order: {order}")
        return known(self, arguments)

    def reopen_log(self) -> None:
        """Opens the access log again."""
        now = self.sweep.now()
        self.recorder.flush(now)
        if self.access_log is not None:
            self.access_log.reopen(now)

    @property
    def channels(self) -> list[Channel]:
        """All connections of clients."""
        acceptors = [*self.acceptors, *self.leaving]
        return [channel for acceptor in acceptors for channel in acceptor.frontend.channels]  # type: ignore[misc]

    def connections(self) -> int:
        """How many connections of clients there are."""
        number = 0
        for acceptor in self.acceptors:
            number += acceptor.frontend.admission.count
        for acceptor in self.leaving:
            number += acceptor.frontend.admission.count
        return number

    def sums(self) -> Sums:
        """What it did and does. Looks at each connection: for now and then."""
        in_flight = tunnels = 0
        for channel in self.channels:
            request = channel.request
            if request is not None:
                in_flight += 1
                tunnels += request.tunnel
        acceptors = [*self.acceptors, *self.leaving]
        return Sums(
            self.connections(),
            in_flight,
            self.recorder.taken + self.recorder.waiting,
            tunnels,
            sum(acceptor.frontend.admission.refused for acceptor in acceptors),
            sum(acceptor.failures.count for acceptor in acceptors if isinstance(acceptor, SecureAcceptor)),
        )

    def _tick(self, now: float) -> None:
        self.leaving = [acceptor for acceptor in self.leaving if acceptor.frontend.channels or acceptor.is_busy]
        if self.board is not None:
            self._show()

    def _show(self) -> None:
        if self.board is not None:
            self.board.write(self.number, self.sweep.now(), self.sums())


def _tell_nobody(kind: str, value: Any) -> None:
    """There is no master."""
