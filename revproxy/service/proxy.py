"""The proxy of one process, as a Twisted service: sockets bound, tree built, then served until it drains."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import MutableMapping
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from revproxy._version import VERSION
from revproxy.certificates.collection import Certificates
from revproxy.certificates.ocsp import Stapling
from revproxy.certificates.responder import Responders
from revproxy.config.model import Config
from revproxy.downstream.channel import Channel
from revproxy.downstream.frontend import Frontend, RequestIds
from revproxy.interfaces import IStore
from revproxy.service.access_log import AccessLog, NoLog
from revproxy.service.acme import open_acme
from revproxy.service.caching import is_caching, open_store
from revproxy.service.generation import Generation, Surroundings
from revproxy.service.guarding import guarded, in_thread_of
from revproxy.service.inherited import inherit
from revproxy.service.listeners import Acceptor, bind, release
from revproxy.service.notify import Figures, listen_to
from revproxy.service.secure import SecureAcceptor
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

_log = Logger()
DRAIN_POLL: Final = 0.1


class ProxyService(Service):
    """Serves one Config.

    What can fail for a reason of the operator's (a port in use, an unwritable log) fails in the constructor, with
    ConfigError, before anything has started.

    :param environment: where systemd says what it hands over and whom to tell (sd_listen_fds(3), sd_notify(3)); what is
        read is removed. None for a service inside of a program that has its own use of that.
    """

    name = "revproxy"

    def __init__(self, config: Config, reactor: Any, environment: MutableMapping[str, str] | None = None) -> None:
        self.config = config
        self._reactor = reactor
        path = config.access_log.path
        self._stapling: Stapling | None = None
        self.certificates: Certificates | None = None
        """What TLS is spoken with; None where no listener speaks it."""
        if any(listener.tls for listener in config.listeners):
            stapling = Stapling(Responders(reactor).ask, time.time) if config.tls.ocsp_stapling else None
            self.certificates = Certificates(
                config, in_thread=in_thread_of(reactor), staple=stapling.of if stapling is not None else None
            )
            self._stapling = stapling
        self.acme = open_acme(config, self.certificates, reactor) if self.certificates is not None else None
        """Who has certificates issued; None where nobody does."""
        environment = {} if environment is None else environment
        self._sockets = bind(config.listeners, inherit(environment, os.getpid()))
        try:
            self.access_log = AccessLog(path, config.access_log.format) if path is not None else None
        except BaseException:
            release(self._sockets)
            raise
        self._no_log = NoLog()
        self.notifications = listen_to(environment, os.getpid())
        """What a supervisor is told."""
        self.sweep = Sweep(reactor)
        self.budget = OctetBudget(config.limits.buffered_octets)
        self.acceptors: list[Acceptor] = []
        self.generation: Generation | None = None
        self.store: IStore | None = None
        """What all cached routes keep responses in; None where no route is cached."""
        self._request_ids = RequestIds(os.urandom(11))
        self._previous_signal: Any = None

    def startService(self) -> None:
        """Begins to accept."""
        super().startService()
        config = self.config
        if is_caching(config):
            self.store = open_store(config.cache, self._reactor)
        self.generation = Generation(config, Surroundings(self._reactor, self.sweep, self.budget, self.store))
        log = self.access_log
        certificates = self.certificates
        for options, sock in self._sockets:
            dispatch = guarded(self.generation, options, certificates)
            if self.acme is not None and not options.tls:
                dispatch = self.acme.answers.before(dispatch)
            frontend = Frontend(
                limits=config.limits,
                dispatch=dispatch,
                record=log.record if log is not None else self._no_log.record,
                sweep=self.sweep,
                budget=self.budget,
                new_request_id=self._request_ids.next,
                trusted=config.trusted_proxies,
                scheme=b"https" if options.tls else b"http",
            )
            if options.tls and certificates is not None:
                acceptor: Acceptor = SecureAcceptor(options, sock, frontend, self._reactor, certificates)
            else:
                acceptor = Acceptor(options, sock, frontend, self._reactor)
            self.acceptors.append(acceptor)
            acceptor.port.start()
        if certificates is not None:
            certificates.warn()
            self.sweep.on_tick.append(certificates.tick)
            if self._stapling is not None:
                self._stapling.cover(certificates.all)
                certificates.on_change.append(self._stapling.cover)
                self.sweep.on_tick.append(self._stapling.tick)
        if self.acme is not None:
            self.sweep.on_tick.append(self.acme.tick)
        if log is not None:
            self.sweep.on_tick.append(log.flush)
            log.warn_if_unseen()
        self._listen_for_signal()
        self.sweep.on_tick.append(self.notifications.tick)
        self._reactor.callLater(0, lambda: self.notifications.ready(self.sweep.now(), self.figures))
        self.sweep.start()
        # What exists now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        for acceptor in self.acceptors:
            _log.info("revproxy {version} listens on {address}", version=VERSION, address=acceptor.shown)

    def _listen_for_signal(self) -> None:
        """SIGUSR1 opens the access log again, as nginx does; whoever listened for it before is called as well."""

        def reopen(number: int, frame: Any) -> None:
            self._reactor.callFromThread(self.reopen_log)
            if callable(self._previous_signal):
                self._previous_signal(number, frame)

        def ignore(number: int, frame: Any) -> None:
            self._reactor.callFromThread(
                _log.warn, "SIGHUP is ignored: there is no reload yet; restart to use a changed configuration"
            )

        try:
            self._previous_signal = signal.signal(signal.SIGUSR1, reopen)
            # By default it would end the process at once, and whoever comes from other servers expects a reload.
            if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
                signal.signal(signal.SIGHUP, ignore)
        except ValueError:
            # Not in the main thread: somebody embeds us, and signals are theirs.
            self._previous_signal = None

    def reopen_log(self) -> None:
        """Opens the access log again."""
        if self.access_log is not None:
            self.access_log.reopen(self.sweep.now())

    def figures(self) -> Figures:
        """How much is going on."""
        log = self.access_log or self._no_log
        return Figures(sum(len(acceptor.frontend.channels) for acceptor in self.acceptors), log.taken)

    @property
    def channels(self) -> list[Channel]:
        """All connections of clients."""
        return [channel for acceptor in self.acceptors for channel in acceptor.frontend.channels]  # type: ignore[misc]

    def stopService(self) -> Deferred[None] | None:
        """Stops accepting, lets exchanges in flight end within ``limits.drain_timeout``, then cuts the rest."""
        super().stopService()
        if self.generation is None:
            release(self._sockets)
            self.notifications.close()
            return None
        for acceptor in self.acceptors:
            acceptor.stop()
        if self.acme is not None:
            self.acme.stop()
        for channel in self.channels:
            channel.drain()
        count = len(self.channels)
        _log.info(
            "stopping: nothing is accepted any more"
            + ("; {count} connections in use get up to {seconds:g} s to end" if count else ""),
            count=count,
            seconds=self.config.limits.drain_timeout,
        )
        self.notifications.stopping(self.sweep.now(), self.config.limits.drain_timeout)
        done: Deferred[None] = Deferred()
        self._drain(self.sweep.now() + self.config.limits.drain_timeout, done)
        return done

    def _drain(self, deadline: float, done: Deferred[None]) -> None:
        channels = self.channels
        if channels and self.sweep.now() < deadline:
            self._reactor.callLater(DRAIN_POLL, self._drain, deadline, done)
            return
        if channels:
            _log.warn("{count} connections are cut: the time to drain is over", count=len(channels))
        for channel in channels:
            channel.stop()
        if self.generation is not None:
            self.generation.stop()
        if self.store is not None:
            self.store.stop()
        self.sweep.stop()
        if self.access_log is not None:
            self.access_log.close(self.sweep.now())
        self.notifications.close()
        done.callback(None)
