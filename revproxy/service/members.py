"""The workers as the master sees them: one in its own process, or several that it forked.

Theory of operation of a fork. It happens inside of a turn of the master's reactor, and the child never leaves that
turn: it makes the reactor as new, drops what is the master's alone, serves until it has drained, and ends with
``os._exit``, so that no frame, no ``finally`` and no exit hook of the master's runs twice. The master has no threads
(what would need one, looking at certificates say, is done by workers), so nothing is held by a thread that the child
has not got.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from revproxy.config.divide import divided
from revproxy.config.model import Config
from revproxy.errors import ConfigError
from revproxy.service.board import Board
from revproxy.service.link import Link, Refused
from revproxy.service.opened import Bound, Opened
from revproxy.service.origin import Origin
from revproxy.service.worker import Worker
from revproxy.wire.reactor import renew

_log = Logger()

CUT_MARGIN: Final = 2.0
"""Seconds for which a worker may clean up behind its time to drain."""

Plugged = Callable[[Worker], None]
"""Adds to a worker what other floors know: further orders."""


@attrs.frozen
class Proposal:
    """A configuration that is to be put into force."""

    config: Config
    source: bytes | None
    """The file's text that it was read from."""
    added: tuple[Bound, ...] = ()
    """Listeners that the present configuration has not, with their sockets."""


class Member(Protocol):
    """One worker."""

    number: int
    pid: int
    began: float
    """Seconds of the monotonic clock."""
    draining: bool
    """Whether it was told to end."""

    def prepare(self, proposal: Proposal) -> Deferred[Any]:
        """The first step of a reload; fails with ConfigError or Refused."""

    def switch(self) -> Deferred[Any]:
        """The second step."""

    def abandon(self) -> Deferred[Any]:
        """There is no second step."""

    def drain(self, seconds: float) -> Deferred[int]:
        """It ends: how many connections had to be cut."""

    def ask(self, order: str, arguments: dict[str, Any]) -> Deferred[Any]:
        """Any other order."""


class OwnMember:
    """The worker in the master's own process."""

    def __init__(self, worker: Worker, now: float) -> None:
        self.number = 0
        self.worker = worker
        self.pid = os.getpid()
        self.began = now
        self.draining = False

    def prepare(self, proposal: Proposal) -> Deferred[Any]:
        """See ``Member``."""
        copies = [(options, sock.dup()) for options, sock in proposal.added]
        return maybeDeferred(self.worker.prepare, proposal.config, copies, proposal.source)

    def switch(self) -> Deferred[Any]:
        """See ``Member``."""
        return maybeDeferred(self.worker.switch)

    def abandon(self) -> Deferred[Any]:
        """See ``Member``."""
        return maybeDeferred(self.worker.abandon)

    def drain(self, seconds: float) -> Deferred[int]:
        """See ``Member``."""
        self.draining = True
        return self.worker.drain(seconds)

    def ask(self, order: str, arguments: dict[str, Any]) -> Deferred[Any]:
        """See ``Member``."""
        return maybeDeferred(self.worker.obey, order, arguments)


class ForkedMember:
    """A worker in a process of its own."""

    def __init__(
        self,
        number: int,
        pid: int,
        sock: socket.socket,
        reactor: Any,
        now: float,
        pushed: Callable[[int, str, Any], None],
        lost: Callable[[ForkedMember], None],
    ) -> None:
        self.number = number
        self.pid = pid
        self.began = now
        self.draining = False
        self._link = Link(
            sock, reactor, _obey_nobody, lambda kind, value: pushed(number, kind, value), lambda: lost(self)
        )
        self._link.start()

    def prepare(self, proposal: Proposal) -> Deferred[Any]:
        """See ``Member``."""
        text = proposal.source.decode("latin-1") if proposal.source is not None else None
        arguments = {"source": text, "added": [options.address for options, _ in proposal.added]}
        return self._link.ask("prepare", arguments, [sock for _, sock in proposal.added])

    def switch(self) -> Deferred[Any]:
        """See ``Member``."""
        return self._link.ask("switch")

    def abandon(self) -> Deferred[Any]:
        """See ``Member``."""
        return self._link.ask("abandon")

    def drain(self, seconds: float) -> Deferred[int]:
        """See ``Member``."""
        self.draining = True
        return self._link.ask("drain", {"seconds": seconds})

    def ask(self, order: str, arguments: dict[str, Any]) -> Deferred[Any]:
        """See ``Member``."""
        return self._link.ask(order, arguments)

    def close(self) -> None:
        """In another child: this link is not its own."""
        self._link.close_copy()

    def kill(self) -> None:
        """It does not answer any more."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _obey_nobody(order: str, arguments: dict[str, Any], sockets: Sequence[socket.socket]) -> Any:
    raise Refused("a worker orders nothing")


@attrs.frozen
class Birth:
    """What a child needs to be a worker."""

    opened: Opened
    origin: Origin
    workers: int
    number: int
    board: Board
    plugged: Sequence[Plugged]
    drop: Callable[[], None]
    """Closes the copies of what is the master's alone."""
    source: bytes | None
    """The text that the configuration was read from."""
    named: Callable[[str], None]
    """Tells the log who writes from now on."""


def fork(birth: Birth, reactor: Any) -> tuple[int, socket.socket]:
    """Makes a worker: its process id, and the master's end of the link. In the child it does not return."""
    ours, its = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        its.close()
        return pid, ours
    status = 1
    try:
        ours.close()
        status = _serve(birth, its, reactor)
    except BaseException:  # noqa: BLE001  # nothing may lead back into the master's frames
        _log.failure("the worker failed")
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            pass
        os._exit(status)
    raise AssertionError


def _serve(birth: Birth, sock: socket.socket, reactor: Any) -> int:
    """The life of a child."""
    # A terminal's Ctrl-C reaches the whole group; how it all ends is for the master to say.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    renew(reactor)
    birth.drop()
    birth.named(f"worker {birth.number}")
    opened = attrs.evolve(birth.opened, config=divided(birth.opened.config, birth.workers))
    worker = Worker(opened, reactor, number=birth.number, board=birth.board)
    worker.source = birth.source
    child = _Child(birth, worker, sock, reactor)
    signal.signal(signal.SIGTERM, child.terminated)
    for plug in birth.plugged:
        plug(worker)
    reactor.callWhenRunning(child.begin)
    reactor.run(installSignalHandlers=False)
    return child.status


class _Child:
    """The worker's end: obeys, and ends when the master does."""

    def __init__(self, birth: Birth, worker: Worker, sock: socket.socket, reactor: Any) -> None:
        self._birth = birth
        self._worker = worker
        self._reactor = reactor
        self._ending: Deferred[int] | None = None
        self.status = 0
        self._link = Link(sock, reactor, self._obey, _hear_nothing, self._master_gone)
        worker.push = self._link.push

    def begin(self) -> None:
        try:
            self._worker.start()
            # It has copies, and what the master has no use for any more must not stay open here.
            self._birth.opened.leave()
        except Exception as mistake:  # noqa: BLE001  # a worker that has not started must not stay
            self._fail(mistake)
            return
        self._link.start()
        self._link.push("serving", None)

    def _fail(self, mistake: Exception) -> None:
        if not isinstance(mistake, ConfigError):
            _log.failure("a worker can't start")
        self._link.push("failed", str(mistake) or type(mistake).__name__)
        self.status = 1
        self._reactor.stop()

    def terminated(self, number: int, frame: Any) -> None:
        """Somebody sends the signal to this process itself."""
        self._reactor.callFromThread(self._end)

    def _obey(self, order: str, arguments: dict[str, Any], sockets: Sequence[socket.socket]) -> Any:
        worker = self._worker
        if order == "prepare":
            return self._prepare(arguments, sockets)
        if order == "switch":
            return worker.switch()
        if order == "abandon":
            return worker.abandon()
        if order == "drain":
            return self._drain(float(arguments["seconds"]))
        return worker.obey(order, arguments)

    def _prepare(self, arguments: dict[str, Any], sockets: Sequence[socket.socket]) -> None:
        try:
            text = arguments["source"]
            source = text.encode("latin-1") if text is not None else None
            config = self._birth.origin.config(source)
            listeners = {listener.address: listener for listener in config.listeners}
            added = [(listeners[address], sock) for address, sock in zip(arguments["added"], sockets, strict=True)]
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        self._worker.prepare(divided(config, self._birth.workers), added, source)

    def _drain(self, seconds: float) -> Deferred[int]:
        if self._ending is None:
            self._ending = self._worker.drain(seconds)
            self._ending.addCallback(self._drained)
        return self._ending

    def _drained(self, cut: int) -> int:
        # The answer is sent first.
        self._reactor.callLater(0, self._reactor.stop)
        return cut

    def _end(self) -> None:
        self._drain(self._worker.config.limits.drain_timeout)

    def _master_gone(self) -> None:
        if self._ending is None:
            _log.error("the master is gone: this worker ends what it has begun")
            self._end()


def _hear_nothing(kind: str, value: Any) -> None:
    """The master tells nothing unasked."""
