"""Connections to a Redis server: one for commands, one that listens to what others change.

``txredisapi`` speaks the protocol; connecting again is Twisted's ``ClientService``. It is imported when a link is made,
because it imports the reactor. A command that has no answer in time ends its connection, and all that wait on it fail:
behind a slow server nothing queues up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS

LONGEST_PAUSE: Final = 10.0
"""Seconds between tries to connect."""


@attrs.frozen
class RedisAddress:
    """Where a Redis server is: ``redis://[user][:password@]host[:port][/number]``, ``rediss://`` for TLS, or
    ``unix:///path``."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    tls: bool = False
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    number: int | None = None

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Reads a URL. Raises ValueError, which never shows a password."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("a Redis URL begins with redis://, rediss:// or unix://")
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "unix":
            if not parts.path or parts.hostname:
                raise ValueError("a Redis URL with unix:// needs a path: unix:///run/redis.sock")
            return cls(path=unquote(parts.path), user=user, password=password)
        if not parts.hostname:
            raise ValueError("a Redis URL needs a host")
        number = parts.path.strip("/")
        if number and not (number.isascii() and number.isdigit()):
            raise ValueError("what follows the host in a Redis URL is the number of a database")
        try:
            port = parts.port or 6379
        except ValueError:
            raise ValueError("the port in a Redis URL is none") from None
        return cls(parts.hostname, port, "", parts.scheme == "rediss", user, password, int(number) if number else None)

    def endpoint(self, reactor: Any, timeout: float) -> IStreamClientEndpoint:
        """How to connect to it."""
        if self.path:
            return UNIXClientEndpoint(reactor, self.path, timeout=timeout)
        endpoint = HostnameEndpoint(reactor, self.host, self.port, timeout=timeout)
        return wrapClientTLS(optionsForClientTLS(self.host), endpoint) if self.tls else endpoint


class _LinkFactory(Factory):
    """Makes the protocols of a link, and is what they expect of a factory."""

    noisy = False
    isLazy = False

    def __init__(self, link: RedisLink, make: Callable[[], Any]) -> None:
        self._link = link
        self._make = make

    def buildProtocol(self, addr: object) -> Any:
        made = self._make()
        made.factory = self
        made.callLater = self._link.reactor.callLater
        made.whenConnected().addCallback(self._link.connected)
        made.whenDisconnected().addCallback(self._link.disconnected)
        return made

    def stopTrying(self) -> None:
        """Called when the server refuses the password: it is tried again later, since that may be mended there."""

    def connectionError(self, why: str) -> None:
        """Called with the reason of that."""
        self._link.complain("Redis refused this proxy", why)


class RedisLink:
    """A connection that is made again whenever it is lost."""

    def __init__(
        self,
        address: RedisAddress,
        reactor: Any,
        timeout: float,
        complain: Callable[[str, BaseException | str], None],
        changed: Callable[[bool], None],
        heard: Callable[[bytes], None] | None = None,
        channel: bytes = b"",
    ) -> None:
        """``changed`` hears whether there is a connection; ``heard`` what is published on ``channel``."""
        import txredisapi

        self.reactor = reactor
        self.complain = complain
        self._changed = changed
        self._channel = channel
        self._protocol: Any = None
        options = {
            "charset": None,
            "convertNumbers": False,
            "replyTimeout": timeout,
            "password": address.password,
            "username": address.user,
            "dbid": address.number,
        }

        def subscriber() -> Any:
            made = txredisapi.SubscriberProtocol(**options)
            made.messageReceived = lambda pattern, where, message: heard(message) if heard is not None else None
            return made

        factory = _LinkFactory(self, subscriber if heard else lambda: txredisapi.RedisProtocol(**options))
        self._service = ClientService(
            address.endpoint(reactor, max(timeout, 1.0)),
            factory,
            backoffPolicy(initialDelay=0.2, maxDelay=LONGEST_PAUSE),
            clock=reactor,
            prepareConnection=None,
        )
        self._service.startService()
        self._service.whenConnected(failAfterFailures=1).addErrback(self._unreachable)

    @property
    def is_connected(self) -> bool:
        return self._protocol is not None

    def ask(self, *command: bytes | str | int) -> Deferred[Any]:
        """Sends a command; its answer, which fails if there is no connection, or no answer in time."""
        protocol = self._protocol
        if protocol is None or not protocol.connected:
            return fail(ConnectionError("there is no connection to Redis"))
        answer: Deferred[Any] = protocol.execute_command(*command)
        return answer

    def run(self, script: str, *arguments: bytes | str | int) -> Deferred[Any]:
        """Runs a script; its answer, as ``ask``."""
        protocol = self._protocol
        if protocol is None or not protocol.connected:
            return fail(ConnectionError("there is no connection to Redis"))
        answer: Deferred[Any] = protocol.eval(script, [], list(arguments))
        return answer

    def stop(self) -> Deferred[None]:
        """Ends the connection; it is not made again."""
        protocol = self._protocol
        self._protocol = None
        stopped: Deferred[None] = self._service.stopService()
        if protocol is not None:
            protocol.transport.abortConnection()
        return stopped

    def connected(self, protocol: Any) -> None:
        """Called by a protocol that is ready."""
        if not self._service.running:
            return
        self._protocol = protocol
        if self._channel:
            answer = protocol.subscribe([self._channel])
            answer.addCallbacks(lambda _: self._changed(True), lambda _: protocol.transport.abortConnection())
        else:
            self._changed(True)

    def disconnected(self, protocol: Any) -> None:
        """Called by a protocol that has no connection any more."""
        if protocol is self._protocol:
            self._protocol = None
            self.complain("the connection to Redis is lost", "it is tried again")
            self._changed(False)

    def _unreachable(self, failure: Any) -> None:
        if self._service.running:
            self.complain("Redis was not reached", failure.value)
