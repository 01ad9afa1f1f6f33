"""One request over HTTP and its answer, bounded in time and size, for ACME servers and ``ask`` URLs."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from revproxy._version import VERSION
from revproxy.errors import ConfigError

TIMEOUT: Final = 30.0
"""Seconds for a whole exchange."""
LARGEST: Final = 1024 * 1024
"""Octets of an answer."""


class FetchError(Exception):
    """There was no answer. The text says why."""


@attrs.frozen
class Answer:
    """What a server answers."""

    status: int
    fields: Mapping[str, tuple[str, ...]]
    """By names in lower case."""
    body: bytes

    def field(self, name: str) -> str:
        """The first value of a field; empty where there is none."""
        found = self.fields.get(name, ())
        return found[0] if found else ""


class Fetch(Protocol):
    """Sends a request. Raises FetchError."""

    def __call__(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "", timeout: float = TIMEOUT
    ) -> Awaitable[Answer]:
        """``timeout`` is for the whole exchange."""


@implementer(IBodyProducer)
class _Body:
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


class _Gathering(TwistedProtocol):
    """Gathers an answer's body, up to a bound."""

    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(self._cancel)
        self._octets = bytearray()

    def _cancel(self, done: object) -> None:
        self._abort()

    def _abort(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            # What is left of a body that nobody wants may never end.
            getattr(transport, "abortConnection", transport.loseConnection)()

    def dataReceived(self, data: bytes) -> None:
        """Some octets of it."""
        self._octets += data
        if len(self._octets) > LARGEST and not self.done.called:
            self.done.errback(FetchError(f"its answer is larger than {LARGEST} octets"))
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is over."""
        from twisted.web.client import ResponseDone
        from twisted.web.http import PotentialDataLoss

        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._octets))
        else:
            self.done.errback(FetchError("its answer was cut off"))


class HttpClient:
    """Sends requests through Twisted's client of HTTP. Implements ``Fetch``; redirects are answers as others are.

    :param ca: a PEM file of the authorities that servers' certificates must be from; None for the system's. Raises
        ConfigError where it can't be used.
    """

    def __init__(self, reactor: Any, ca: str | None = None) -> None:
        from twisted.internet import ssl
        from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, _HTTP11ClientFactory

        class Quiet(_HTTP11ClientFactory):
            """Two lines in the log for each request are of no use to anybody."""

            noisy = False

        self._reactor = reactor
        trusted: Any = None
        if ca is not None:
            trusted = ssl.trustRootFromCertificates(_authorities(ca))
        # Connections are not kept: a server may close one in the very moment in which an order is sent on it.
        pool = HTTPConnectionPool(reactor, persistent=False)
        pool._factory = Quiet
        policy = BrowserLikePolicyForHTTPS(trustRoot=trusted)
        self._agent = Agent(reactor, policy, connectTimeout=TIMEOUT / 2, pool=pool)

    async def __call__(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "", timeout: float = TIMEOUT
    ) -> Answer:
        """See ``Fetch``."""
        exchange = Deferred.fromCoroutine(self._exchange(method, url, body, content_type))
        # Not ``addTimeout``: what Twisted's client makes of a cancellation, that does not recognise.
        late = self._reactor.callLater(timeout, exchange.cancel)
        try:
            return await exchange
        except FetchError:
            raise
        except Exception as error:  # noqa: BLE001  # Twisted's client fails with whatever stood in its way
            if not late.active():
                raise FetchError(f"it did not answer within {timeout:g} s") from None
            if _is_cancelled(error):
                raise CancelledError from None
            raise FetchError(_words(error)) from None
        finally:
            if late.active():
                late.cancel()

    async def _exchange(self, method: str, url: str, body: bytes | None, content_type: str) -> Answer:
        from twisted.web.http_headers import Headers

        # RFC 8555 §6.1: who we are must be said.
        headers = Headers({b"User-Agent": [b"revproxy/" + VERSION.encode("ascii")], b"Accept-Language": [b"en"]})
        if content_type:
            headers.setRawHeaders(b"Content-Type", [content_type.encode("ascii")])
        producer = _Body(body) if body is not None else None
        response: Any = await self._agent.request(
            method.encode("ascii"), url.encode("utf-8"), headers, producer
        )
        gathering = _Gathering()
        response.deliverBody(gathering)
        octets = await gathering.done
        fields = {
            name.decode("latin-1").lower(): tuple(value.decode("latin-1") for value in values)
            for name, values in response.headers.getAllRawHeaders()
        }
        return Answer(response.code, fields, octets)


def _authorities(file: str) -> list[Any]:
    from OpenSSL import crypto
    from twisted.internet import ssl

    from revproxy.certificates.folder import read_file
    from revproxy.certificates.pem import CertificateError, parse_pem

    try:
        found = parse_pem(read_file(file)).certificates
    except (OSError, CertificateError) as reason:
        raise ConfigError(f"tls.acme.ca: {file}: {reason}") from None
    if not found:
        raise ConfigError(f"tls.acme.ca: {file}: there is no certificate in it")
    return [ssl.Certificate(crypto.X509.from_cryptography(each)) for each in found]


def _is_cancelled(error: BaseException) -> bool:
    """Whether we have been told to stop, in whatever Twisted wraps that into."""
    reasons = getattr(error, "reasons", None) or ()
    cancelled = isinstance(error, CancelledError | ConnectingCancelledError)
    return cancelled or any(_is_cancelled(each.value) for each in reasons)


def _words(error: BaseException) -> str:
    """What went wrong, of the failures that Twisted wraps it into."""
    reasons = getattr(error, "reasons", None)
    if reasons:
        return _words(reasons[0].value)
    text = str(error)
    arguments = error.args[0] if error.args else None
    if isinstance(arguments, list) and arguments and isinstance(arguments[0], tuple):
        # OpenSSL's: a list of (library, function, reason).
        text = ", ".join(str(each[-1]) for each in arguments)
    return text.rstrip(".") or type(error).__name__
