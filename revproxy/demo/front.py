"""The proxy in front of the demo: a ``twistd`` of its own, which lives exactly as long as the demo."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol

if TYPE_CHECKING:
    from twisted.internet.interfaces import (
        IDelayedCall,
        IReactorCore,
        IReactorFromThreads,
        IReactorProcess,
        IReactorTCP,
        IReactorTime,
    )
    from twisted.python.failure import Failure

    from revproxy.demo.secured import Secured

    class Reactor(IReactorCore, IReactorFromThreads, IReactorProcess, IReactorTCP, IReactorTime):
        """What the demo asks of a reactor."""


LOCAL = "127.0.0.1"
PROBE_INTERVAL = 0.1
# How long the proxy may take for its last exchanges when the demo ends.
PATIENCE = 5.0


class Front(ProcessProtocol):
    """Starts the proxy, says when it can be opened, and ends it with the demo, or the demo with it."""

    def __init__(self, reactor: Reactor, backend: str, port: int, secured: Secured | None = None) -> None:
        """``secured`` is there for HTTPS."""
        self._reactor = reactor
        self._backend = backend
        self._port = port
        self._secured = secured
        self._url = f"http://{LOCAL}:{port}/" if secured is None else f"https://localhost:{port}/"
        self._ended: Deferred[None] = Deferred()
        self._running = False
        self._stopping = False
        self.failed = False

    def start(self) -> None:
        listen = f"{LOCAL}:{self._port}"
        arguments = ["-n", "--pidfile=", "revproxy"]
        if self._secured is None:
            arguments += ["--to", self._backend, "--listen", listen]
        else:
            file, text = self._secured.configure(listen, self._backend)
            arguments += ["--config", file]
            print(text, flush=True)
        print("twistd " + " ".join(arguments), flush=True)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._reactor.spawnProcess(
            self,
            sys.executable,
            [sys.executable, "-m", "revproxy.demo.twistd", *arguments],
            env=os.environ,
            # The proxy's log is the demo's: both speak to the same terminal.
            childFDs={0: 0, 1: 1, 2: 2},
        )
        self._running = True
        self._probe()

    def _probe(self) -> None:
        """Ask the port until the proxy answers; it says nothing of its own when it is ready."""
        if not self._running or self._stopping:
            return
        endpoint = TCP4ClientEndpoint(self._reactor, LOCAL, self._port, timeout=5)
        if self._secured is None:
            connecting = endpoint.connect(Factory.forProtocol(Protocol))
        else:
            connecting = self._secured.connect(endpoint)
        connecting.addCallbacks(self._ready, self._not_yet)

    def _ready(self, connection: Protocol) -> None:
        assert connection.transport is not None
        connection.transport.loseConnection()
        print(f"\n  open {self._url} in a browser; Ctrl-C ends the demo\n", flush=True)
        if self._secured is not None:
            print(self._secured.trust_text(self._url), flush=True)

    def _not_yet(self, reason: Failure) -> None:
        self._reactor.callLater(PROBE_INTERVAL, self._probe)

    def processEnded(self, reason: Failure) -> None:
        self._running = False
        if self._secured is not None:
            self._secured.clear()
        self._ended.callback(None)
        if not self._stopping:
            self.failed = True
            how = "" if isinstance(reason.value, ProcessDone) else f": {reason.getErrorMessage()}"
            print(f"demo: the proxy ended{how}", file=sys.stderr, flush=True)
            self._reactor.stop()

    def _stop(self) -> Deferred[None] | None:
        """Before the reactor stops: end the proxy, and wait for it."""
        self._stopping = True
        if not self._running:
            return None
        self._signal("TERM")
        kill: IDelayedCall = self._reactor.callLater(PATIENCE, self._signal, "KILL")

        def ended(_: None) -> None:
            if kill.active():
                kill.cancel()

        return self._ended.addCallback(ended)

    def _signal(self, name: str) -> None:
        assert self.transport is not None
        try:
            self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass
