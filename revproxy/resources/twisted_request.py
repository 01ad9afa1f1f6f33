"""Any Twisted resource under our own listeners: it gets a real ``twisted.web.server.Request``, whole body and all, over
a channel of ours that frames the answer. Look-alikes would fail: Klein, for one, adapts the real class.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Cooperator, TaskFinished, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.error import UnsupportedMethod
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import NOT_DONE_YET, Site
from twisted.web.server import Request as TwistedRequest
from zope.interface import implementer

from revproxy.errors import BadRequest, ClientGone, ClosedEarly, ContentTooLarge, MethodNotAllowed, ProxyError
from revproxy.http.fields import HOP_BY_HOP, NO_FIELDS, Fields, is_claim, tells_certificate
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import NO_BODY, UNTIL_CLOSE, Framing
from revproxy.interfaces import Request

_log = Logger()
IN_MEMORY: Final = 100_000
"""Octets of a body beyond which it is kept in a temporary file, as Twisted does."""


class TwistedResources:
    """Serves resources that know nothing of streaming requests."""

    def __init__(self, reactor: Any, body_limit: int) -> None:
        self._reactor = reactor
        self._body_limit = body_limit
        self._sites: dict[int, _RouteSite] = {}
        self._cooperator = Cooperator(scheduler=lambda step: reactor.callLater(0, step))

    def serve(self, resource: IResource, request: Request, prepath: list[bytes], postpath: list[bytes]) -> None:
        """Gathers the body of ``request`` and lets ``resource`` answer it. Raises ContentTooLarge."""
        limit = self.limit(request)
        site = self._sites.get(id(resource))
        if site is None:
            site = self._sites[id(resource)] = _RouteSite(resource, self._reactor, self._cooperator)
        channel = ResourceChannel(request, site, prepath, postpath, limit)
        request.source = channel
        if request.facts.framing.kind == "none":
            channel.body_ended(NO_FIELDS)
        else:
            request.invite_body()
            request.read_body(channel)

    def limit(self, request: Request) -> int:
        """The octets that the body of ``request`` may have. Raises ContentTooLarge where it says that it has more."""
        limit = min(self._body_limit, request.body_limit)
        if request.facts.framing.length > limit:
            raise ContentTooLarge(f"{request.facts.framing.length} octets, {limit} are allowed")
        return limit


    def forget(self, resources: Iterable[IResource]) -> None:
        """These will not be asked any more: their sessions end."""
        for resource in resources:
            self._sites.pop(id(resource), None)


class _RouteSite(Site):
    """A Site whose resource is found below a route's path; sessions live in it as in any Site."""

    def __init__(self, resource: IResource, reactor: Any, cooperator: Cooperator) -> None:
        super().__init__(resource, reactor=reactor)
        self.cooperator = cooperator
        # A Site would start a clock for its own log, which nobody reads here.
        self.logFile = None

    def getResourceFor(self, request: Any) -> Any:
        request.site = self
        request.sitepath = list(request.channel.prepath)
        request.prepath = list(request.channel.prepath)
        request.postpath = list(request.channel.postpath)
        return getChildForRequest(self.resource, request)


class _Checked:
    """A resource on its way to Twisted's Request, which would make pages of its own of some answers: without a request
    id, with 501 where 405 is meant, or showing the resource and what it returned."""

    def __init__(self, resource: Any, channel: ResourceChannel) -> None:
        self._resource = resource
        self._channel = channel

    def render(self, request: Any) -> Any:
        try:
            body = self._resource.render(request)
        except UnsupportedMethod as refusal:
            names: tuple[str | bytes, ...] = refusal.allowedMethods
            allowed = sorted(name.encode("ascii") if isinstance(name, str) else name for name in names)
            if request.method == b"HEAD" and b"GET" in allowed:
                # Twisted asks again, for GET.
                raise
            self._channel.refuse_method(allowed)
            return NOT_DONE_YET
        if body is not NOT_DONE_YET and not isinstance(body, bytes):
            raise TypeError(f"render returned {type(body).__name__}, neither bytes nor NOT_DONE_YET")
        return body

    def __repr__(self) -> str:
        return repr(self._resource)


class _Request(TwistedRequest):
    """The real request, which answers failures as they are answered everywhere else here."""

    channel: Any

    def render(self, resrc: Any) -> None:
        super().render(_Checked(resrc, self.channel))

    def processingFailed(self, reason: Failure) -> Failure:
        if self.channel is None:
            # The client left, and what the resource did then failed.
            _log.failure("a resource failed", failure=reason)
        else:
            self.channel.resource_failed(reason)
        return reason


class _Pulling:
    """A pull producer (``static.File`` is one), asked again and again while it is not paused.

    Twisted's own ``_PullToPush`` takes the cooperator of the installed reactor, and must be resumed as often as paused.
    """

    def __init__(self, producer: Any, cooperator: Cooperator, failed: Callable[[Failure], None]) -> None:
        self._producer = producer
        self._paused = False
        self._task = cooperator.cooperate(self._pull())
        self._task.whenDone().addErrback(lambda failure: None if failure.check(TaskStopped) else failed(failure))

    def _pull(self) -> Iterator[None]:
        while True:
            self._producer.resumeProducing()
            yield

    def pauseProducing(self) -> None:
        if not self._paused:
            self._paused = True
            self._task.pause()

    def resumeProducing(self) -> None:
        if self._paused:
            self._paused = False
            self._task.resume()

    def stop(self) -> None:
        """Asks no more."""
        try:
            self._task.stop()
        except TaskFinished:
            pass

    def stopProducing(self) -> None:
        self.stop()
        self._producer.stopProducing()


@implementer(IConsumer)
class ResourceChannel:
    """What a ``twisted.web.server.Request`` takes for its HTTP channel; gathers its body and frames its answer."""

    factory = None

    def __init__(
        self, request: Request, site: _RouteSite, prepath: list[bytes], postpath: list[bytes], body_limit: int
    ) -> None:
        self._request = request
        self._body_limit = body_limit
        self._content: Any = BytesIO()
        self._gathered = 0
        self._producer: Any = None
        self._paused = False
        self._twisted: Any = None
        self._left = -1
        self._over = False
        self.site = site
        self.prepath = prepath
        self.postpath = postpath
        self.transport = self

    # The request's body.

    def body_received(self, data: bytes) -> None:
        """Octets of the body."""
        if self._over:
            return
        self._gathered += len(data)
        if self._gathered > self._body_limit:
            self._over = True
            self._request.fail(ContentTooLarge(f"more than {self._body_limit} octets"))
            return
        if self._gathered > IN_MEMORY and isinstance(self._content, BytesIO):
            # Deleted with the last reference to it: the request holds that, and closes it at its end.
            file = tempfile.TemporaryFile()  # noqa: SIM115
            file.write(self._content.getvalue())
            self._content = file
        self._content.write(data)

    def body_ended(self, trailers: Fields) -> None:
        """The body is complete: the resource is asked."""
        if self._over:
            return
        request = self._request
        twisted = _Request(self)
        self._twisted = twisted
        headers = twisted.requestHeaders
        client = request.client
        proves = client.tls is not None and client.tls.demands is not None
        for lower, name, value in request.fields.lines:
            # As for servers behind (http/forward.py): what nobody vouches for, and what WSGI would take for it.
            believed = client.trusted and b"_" not in lower and not (proves and tells_certificate(lower))
            if believed or not is_claim(lower):
                headers.addRawHeader(name, value)
        if proves and client.tls is not None and client.tls.certificate:
            headers.addRawHeader(b"Client-Cert", client.tls.certificate)
        twisted.parseCookies()
        # Left at its end: Twisted takes the position for the length, and goes back to the beginning itself.
        twisted.content = self._content
        version = b"HTTP/1.1" if request.facts.version >= 11 else b"HTTP/1.0"
        twisted.requestReceived(request.method, request.target, version)

    def body_failed(self, error: ProxyError) -> None:
        """The body will never be complete."""
        self._over = True
        self._content.close()

    # What the request writes.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Any) -> None:
        """The head of the answer."""
        pairs = headers.getAllRawHeaders() if isinstance(headers, Headers) else ((n, [v]) for n, v in headers)
        lines = []
        length: int | None = None
        for name, values in pairs:
            lower = name.lower()
            if lower in HOP_BY_HOP or lower == b"server":
                continue
            if lower == b"content-length" and values[-1].isdigit():
                length = int(values[-1])
                continue
            lines += [(name, value) for value in values]
        status = int(code)
        framing = UNTIL_CLOSE if length is None else Framing("length", length)
        if self._request.method == b"HEAD" or status < 200 or status in (204, 304):
            framing = NO_BODY
            if length is not None and status not in (204,) and status >= 200:
                lines.append((b"Content-Length", b"%d" % length))
        if framing.kind == "length":
            self._left = framing.length
        # The request chose chunks by itself; that is this side's business.
        self._twisted.chunked = 0
        self._request.start(OutgoingHead(status, reason, Fields.of(lines)), framing, self)
        self._request.flush()

    def write(self, data: bytes) -> None:
        """Octets of the answer."""
        if self._over or not data or self._request.method == b"HEAD":
            return
        if self._left >= 0:
            if len(data) > self._left:
                self._fail(ClosedEarly("a resource wrote more than its Content-Length"))
                return
            self._left -= len(data)
        self._request.write(data)
        self._request.flush()

    def writeSequence(self, pieces: list[bytes]) -> None:
        """Octets of the answer."""
        self.write(b"".join(pieces))

    def requestDone(self, request: Any) -> None:
        """The answer is complete."""
        if self._over:
            return
        if self._left > 0 and self._request.method != b"HEAD":
            self._fail(ClosedEarly("a resource wrote less than its Content-Length"))
            return
        self._over = True
        self._request.finish(NO_FIELDS)

    def resource_failed(self, failure: Failure) -> None:
        """The resource raised."""
        _log.failure("{id}: a resource failed", failure=failure, id=self._request.request_id.decode("ascii", "replace"))
        self._give_up(ProxyError(f"a resource failed: {failure.value!r}"))

    def refuse_method(self, allowed: list[bytes]) -> None:
        """The resource knows other methods (RFC 9110 §15.5.6). Not 501: there may be routes for any method."""
        if b"GET" in allowed and b"HEAD" not in allowed:
            allowed.append(b"HEAD")
        self._give_up(MethodNotAllowed("the resource does not know this method", allow=b", ".join(allowed)))

    def _give_up(self, error: ProxyError) -> None:
        """The answer is ours from here on; the resource learns that its request is over."""
        if not self._over:
            self._fail(error)
            self._disconnect(error)

    def _disconnect(self, error: ProxyError) -> None:
        if self._twisted is not None:
            from twisted.internet.error import ConnectionLost

            self._twisted.connectionLost(Failure(ConnectionLost(str(error))))

    def _fail(self, error: ProxyError) -> None:
        self._over = True
        self._request.fail(error)
        self._stop_producing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Something will make the answer."""
        if self._over:
            producer.stopProducing()
            return
        self._producer = producer if streaming else _Pulling(producer, self.site.cooperator, self._producer_failed)
        if self._paused:
            self._producer.pauseProducing()

    def _producer_failed(self, failure: Failure) -> None:
        _log.failure("a producer failed", failure=failure)
        self._fail(ProxyError(f"a producer failed: {failure.value!r}"))

    def unregisterProducer(self) -> None:
        """It made all of it."""
        producer, self._producer = self._producer, None
        if isinstance(producer, _Pulling):
            producer.stop()

    # What the client's side asks of a body's source.

    def pause(self) -> None:
        """The client is slow."""
        self._paused = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """The client can take more."""
        self._paused = False
        if self._producer is not None:
            self._producer.resumeProducing()

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        if self._over:
            return
        self._over = True
        self._stop_producing()
        self._disconnect(error)

    def _stop_producing(self) -> None:
        producer = self._producer
        if producer is not None:
            self.unregisterProducer()
            try:
                producer.stopProducing()
            except Exception:  # noqa: BLE001  # a resource's own mistake
                _log.failure("a producer could not be stopped")

    # What the request asks of a connection.

    def getPeer(self) -> IPv4Address | IPv6Address | UNIXAddress:
        """The client's address."""
        address = self._request.client.address.decode("ascii", "replace")
        if address.startswith("unix:"):
            return UNIXAddress(None)
        return IPv6Address("TCP", address, 0) if ":" in address else IPv4Address("TCP", address, 0)

    def getHost(self) -> IPv4Address:
        """Our own address, as far as a resource needs it: the port that the client used."""
        return IPv4Address("TCP", "0.0.0.0", self._request.client.port)

    def isSecure(self) -> bool:
        """Whether the client came over TLS."""
        return self._request.public_scheme == b"https"

    def loseConnection(self) -> None:
        """The resource gives the client up."""
        if not self._over:
            self._over = True
            self._request.fail(ClientGone("a resource closed the connection"))

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own name: its Request calls it for a form that can't be parsed.
        self._over = True
        self._request.fail(BadRequest("the form can't be parsed"))

    abortConnection = loseConnection
    forceAbortClient = loseConnection
