"""Asking an OCSP responder over HTTP (RFC 6960 appendix A.1), with bounds on time and size."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

TIMEOUT: Final = 10.0
"""Seconds for a whole exchange."""
LARGEST: Final = 64 * 1024


class ResponderError(Exception):
    """The responder gave no OCSP answer."""


@implementer(IBodyProducer)
class _Request:
    """A request's body, written at once."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.length = len(octets)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Writes it."""
        consumer.write(self._octets)
        return succeed(None)

    def pauseProducing(self) -> None:
        """It has been written already."""

    def resumeProducing(self) -> None:
        """It has been written already."""

    def stopProducing(self) -> None:
        """It has been written already."""


class _Answer(Protocol):
    """Gathers an answer's body, up to a bound."""

    def __init__(self, done: Deferred[bytes]) -> None:
        self._done = done
        self._octets = b""

    def dataReceived(self, data: bytes) -> None:
        """Some octets of it."""
        self._octets += data
        if len(self._octets) > LARGEST:
            transport: Any = self.transport
            transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over; a checked signature is the proof that it is whole."""
        if self._done.called:
            return
        if len(self._octets) > LARGEST:
            self._done.errback(ResponderError("the answer is too large"))
        else:
            self._done.callback(self._octets)


class Responders:
    """Asks responders, through Twisted's own client of HTTP."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._agent: Any = None

    def ask(self, url: str, request: bytes) -> Deferred[bytes]:
        """Sends a request; fails with an error in words."""
        asked: Deferred[bytes] = Deferred.fromCoroutine(self._exchange(url, request))
        return asked.addTimeout(TIMEOUT, self._reactor)

    async def _exchange(self, url: str, request: bytes) -> bytes:
        # Most certificates name no responder any more, and this is much to import.
        from twisted.web.client import Agent
        from twisted.web.http_headers import Headers

        if self._agent is None:
            self._agent = Agent(self._reactor, connectTimeout=TIMEOUT / 2)
        if not url.startswith("http://"):
            raise ResponderError("its URL does not begin with http://")
        headers = Headers({b"Content-Type": [b"application/ocsp-request"], b"Accept": [b"application/ocsp-response"]})
        response = await self._agent.request(b"POST", url.encode("utf-8"), headers, _Request(request))
        done: Deferred[bytes] = Deferred()
        response.deliverBody(_Answer(done))
        octets = await done
        if response.code != 200:
            raise ResponderError(f"it answers with status {response.code}")
        return octets
