"""The proxy as a Twisted service: opened when it is made, served by one process or several until it drains."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from revproxy._version import VERSION
from revproxy.certificates.collection import Certificates
from revproxy.config.model import Config
from revproxy.downstream.channel import Channel
from revproxy.errors import ConfigError
from revproxy.interfaces import IStore
from revproxy.service import orders
from revproxy.service.access_log import AccessLog
from revproxy.service.administration import Administration
from revproxy.service.event_log import set_process
from revproxy.service.generation import Generation
from revproxy.service.inherited import inherit
from revproxy.service.link import Refused
from revproxy.service.listeners import Acceptor, shown
from revproxy.service.master import Master
from revproxy.service.members import Plugged
from revproxy.service.notify import listen_to
from revproxy.service.opened import open_for
from revproxy.service.origin import Origin
from revproxy.service.privileges import new_identity
from revproxy.service.upgrade import PidFile, Predecessor, predecessor, succeed
from revproxy.service.worker import Worker
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

_log = Logger()

FAILED = 2
"""Exit status where nothing could be served for a reason of the operator's."""


class ProxyService(Service):
    """Serves one Config, until it is given another.

    What can fail for a reason of the operator's (a port in use, an unwritable log) fails in the constructor, with
    ConfigError, before anything has started.

    :param environment: where systemd says what it hands over and whom to tell (sd_listen_fds(3), sd_notify(3)); what is
        read is removed. None for a service inside of a program that has its own use of that.
    :param origin: where the configuration comes from, to be read again; None for a program that makes its own.
    :param plugged: called with each worker, in its process, before it starts.
    :param twistd: twistd's own options; None where there is no twistd.
    """

    name = "revproxy"

    def __init__(
        self,
        config: Config,
        reactor: Any,
        environment: MutableMapping[str, str] | None = None,
        *,
        origin: Origin | None = None,
        plugged: Sequence[Plugged] = (),
        twistd: MutableMapping[str, Any] | None = None,
    ) -> None:
        self._reactor = reactor
        self._is_program = origin is None
        environment = {} if environment is None else environment
        self._predecessor: Predecessor | None = predecessor(environment)
        self._pid_file = PidFile(twistd)
        self.administration: Administration | None = None
        """Where tools speak with it; None in a program."""
        try:
            if not self._is_program:
                self.administration = Administration(
                    config,
                    reactor,
                    environment=environment,
                    identity=new_identity(twistd),
                    handed=self._predecessor,
                )
            opened = open_for(config, reactor, inherit(environment, os.getpid()), self._predecessor)
        except ConfigError as mistake:
            if self.administration is not None:
                self.administration.stop()
            if self._predecessor is not None:
                self._predecessor.failed(str(mistake))
            raise
        told = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
        self._variables = {name: environment[name] for name in told if name in environment}
        self.master = Master(
            opened,
            origin or Origin(),
            reactor,
            workers=1 if self._is_program else config.worker_count,
            notifications=listen_to(environment, os.getpid()),
            plugged=(orders.plug, *plugged),
            drop=self._drop,
            named=set_process,
        )
        self.master.on_serving.append(self._serving)
        self.master.on_failed.append(self._failed)
        if self.administration is not None:
            self.administration.attend(self.master, self.upgrade, self.end)
        self._previous: dict[int, Any] = {}
        self.observer: Any = None
        """Who observes the events of the program (an ILogObserver); None where twistd is to choose."""

    def setServiceParent(self, parent: Any) -> None:
        """twistd makes this part of the application, and asks that for an observer afterwards."""
        super().setServiceParent(parent)
        if self.observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.observer)

    # What tests and programs look at: the worker in this process.

    @property
    def worker(self) -> Worker:
        """The worker of a service that has one process."""
        assert self.master.worker is not None
        return self.master.worker

    @property
    def config(self) -> Config:
        """What is in force."""
        return self.master.config

    @property
    def acceptors(self) -> list[Acceptor]:
        """What accepts."""
        return self.worker.acceptors

    @property
    def generation(self) -> Generation | None:
        """The tree and the upstreams; None before the start."""
        return self.worker.generation

    @property
    def certificates(self) -> Certificates | None:
        """What TLS is spoken with."""
        return self.worker.certificates

    @property
    def acme(self) -> Any:
        """Who has certificates issued; None where nobody does."""
        return self.worker.acme.issuance

    @property
    def store(self) -> IStore | None:
        """Where responses are kept; None where no route is cached."""
        return self.worker.store.store

    @property
    def access_log(self) -> AccessLog | None:
        """The access log, as it was opened before any worker was there."""
        return self.master.opened.access_log

    @property
    def sweep(self) -> Sweep:
        """What keeps deadlines."""
        return self.worker.sweep

    @property
    def budget(self) -> OctetBudget:
        """The octets held."""
        return self.worker.budget

    @property
    def notifications(self) -> Any:
        """What a supervisor is told."""
        return self.master.notifications

    @property
    def channels(self) -> list[Channel]:
        """All connections of clients."""
        return self.worker.channels

    # From the start to the end.

    def startService(self) -> None:
        """Begins to accept."""
        super().startService()
        self.master.start()
        self._listen_for_signals()
        for options, sock in self.master.opened.sockets:
            _log.info("revproxy {version} listens on {address}", version=VERSION, address=shown(options, sock))
        if self.administration is not None:
            self.administration.start()

    def _serving(self) -> None:
        if self._predecessor is not None:
            self._predecessor.ready()

    def _failed(self, text: str) -> None:
        """No worker can start: the program ends as it would have, had it found out before."""
        if self._predecessor is not None:
            self._predecessor.failed(text)
        self._reactor.addSystemEventTrigger("after", "shutdown", self._end_as_failed)
        self._reactor.stop()

    def _end_as_failed(self) -> None:
        self._pid_file.remove()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(FAILED)

    def _drop(self) -> None:
        """In a child: what is the master's."""
        if self.administration is not None:
            self.administration.drop()
        if self._predecessor is not None:
            self._predecessor.drop()

    def _listen_for_signals(self) -> None:
        """SIGUSR1 opens the access log again, as nginx does; SIGHUP reloads; SIGUSR2 upgrades. Whoever listened for
        the first before is called as well."""
        orders = {signal.SIGUSR1: self.master.reopen_logs}
        if not self._is_program:
            orders |= {signal.SIGHUP: self._reload, signal.SIGUSR2: self._upgrade}
        try:
            for number, order in orders.items():
                self._previous[number] = signal.signal(number, self._signalled(number, order))
        except ValueError:
            # Not in the main thread: somebody embeds us, and signals are theirs.
            self._previous.clear()

    def _signalled(self, number: int, order: Any) -> Any:
        def heard(came: int, frame: Any) -> None:
            self._reactor.callFromThread(order)
            previous = self._previous.get(number)
            if callable(previous) and previous is not signal.default_int_handler:
                previous(came, frame)

        return heard

    def _reload(self) -> None:
        # What is wrong has been said in the log.
        self.master.reloads.reload().addErrback(lambda failure: failure.trap(ConfigError, Refused) and None)

    def _upgrade(self) -> None:
        self.upgrade().addErrback(lambda failure: failure.trap(Refused) and None)

    def reopen_log(self) -> None:
        """Opens the access log again."""
        self.master.reopen_logs()

    def upgrade(self) -> Deferred[int]:
        """Has a new process of the same command take over, and drains: its process id. Fails with Refused."""
        return Deferred.fromCoroutine(self._have_successor())

    async def _have_successor(self) -> int:
        master = self.master
        if master.state != "serving":
            raise Refused(f"there is no upgrade while the state is {master.state!r}")
        master.state = "upgrading"
        try:
            sockets = [*master.opened.sockets, *(self.administration.sockets if self.administration else ())]
            pid = await succeed(sockets, self._reactor, self._variables, self._pid_file)
        except Refused as refusal:
            master.state = "serving"
            _log.error("{refusal}", refusal=refusal)
            raise
        _log.info("process {pid} has taken over; this one ends what it has begun", pid=pid)
        master.hand_over(pid)
        # Whoever asked hears of it first.
        self._reactor.callLater(0.1, self._reactor.stop)
        return pid

    def end(self) -> None:
        """Drains and ends the program."""
        self._reactor.callLater(0.1, self._reactor.stop)

    def stopService(self) -> Deferred[None] | None:
        """Stops accepting, lets exchanges in flight end within ``limits.drain_timeout``, then cuts the rest."""
        super().stopService()
        if not self.master.members:
            self.master.opened.release()
            self.master.notifications.close()
            if self.administration is not None:
                self.administration.stop()
            return None
        return self.master.drain().addCallback(self._ended)

    def _ended(self, cut: int) -> None:
        if self.administration is not None:
            self.administration.stop()
