"""Our side of a stock ``twisted.web.server.Request``: what lets our responders answer inside anybody's Site."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from revproxy.errors import ClientGone, MethodNotAllowed, ProxyError
from revproxy.http.error_page import error_page
from revproxy.http.facts import RequestFacts
from revproxy.http.fields import FRAMING, NO_FIELDS, Fields
from revproxy.http.forward import (
    Client,
    Network,
    OutgoingHead,
    is_within,
    original_client,
    plain_address,
    public_authority,
    public_scheme,
    request_id_of,
)
from revproxy.http.framing import NO_BODY, Framing
from revproxy.http.target import NO_AUTHORITY, Target, parse_authority, parse_target
from revproxy.interfaces import BodySink, BodySource
from revproxy.observe.transaction import Transaction

_log = Logger()
PIECE: Final = 64 * 1024


def stock_target(request: Any) -> Target:
    """What a stock request asks for. Its host is that of an absolute target, else Host's (RFC 9112 §3.2.2); Twisted
    itself knows no absolute targets. Raises ProxyError."""
    target = parse_target(request.method, request.uri)
    if target.authority is None:
        host = request.getHeader(b"host")
        target.authority = parse_authority(host) if host else NO_AUTHORITY
    return target


@implementer(IPushProducer)
class StockRequest:
    """A stock request, dressed as ``interfaces.Request``. Its body is complete already; it can't be upgraded."""

    def __init__(self, request: Any, trusted: Sequence[Network]) -> None:
        self._request = request
        self.method: bytes = request.method
        self.version = 11 if request.clientproto != b"HTTP/1.0" else 10
        address = request.getClientAddress()
        peer = plain_address(getattr(address, "host", "") or "unix:").encode("ascii", "replace")
        is_trusted = is_within(peer, trusted)
        host = request.getHost()
        self.client = Client(
            peer,
            trusted=is_trusted,
            scheme=b"https" if request.isSecure() else b"http",
            port=getattr(host, "port", 0),
        )
        lines = [
            (name, value)
            for name, values in request.requestHeaders.getAllRawHeaders()
            for value in values
            if name.lower() not in FRAMING
        ]
        self.fields = Fields.of(lines)
        self.public_scheme = public_scheme(self.fields, self.client.scheme) if is_trusted else self.client.scheme
        self.public_authority = public_authority(self.fields) if is_trusted else b""
        if is_trusted:
            self.client.address = original_client(self.fields, peer, trusted)
        self.request_id: bytes = (request_id_of(self.fields) if is_trusted else None) or secrets.token_hex(
            16
        ).encode("ascii")
        self.transaction = Transaction(
            self.request_id, self.client.address, self.method, request.uri, self.version, time.time(), time.monotonic()
        )
        self.facts = RequestFacts(10, NO_FIELDS)
        self.authority = self.facts.authority
        self.target: bytes = request.uri
        self.path: bytes = request.uri.partition(b"?")[0]
        self.added_lines = b""
        self.matched_path = b""
        self.can_upgrade = False
        self.keeps_facts = False
        self.body_limit = 0
        self.is_body_complete = False
        self._sink: BodySink | None = None
        self.source: BodySource | None = None
        self._producing = False
        self._body_paused = False
        self._pumping = False
        self._started = False
        self._is_self_delimited = False
        self._over = False
        request.notifyFinish().addErrback(self._client_left)

    def prepare(self) -> None:
        """Reads the head. Raises ProxyError where it is none."""
        content = self._request.content
        content.seek(0, 2)
        length = content.tell()
        content.seek(0)
        self.facts = RequestFacts(self.version, self.fields)
        self.facts.expects_continue = False
        self.facts.upgrades = []
        had_body = self._request.requestHeaders.hasHeader(b"content-length") or length
        self.facts.framing = Framing("length", length) if had_body else NO_BODY
        self.authority = self.facts.authority
        target = parse_target(self.method, self._request.uri)
        self.target, self.path = target.raw, target.path
        if target.authority is not None:
            self.authority = target.authority

    def _client_left(self, failure: Any) -> None:
        self._over = True
        error = ClientGone("the client left")
        if self._sink is not None:
            self._sink.body_failed(error)
        if self.source is not None:
            self.source.cancel(error)

    # The body of the request.

    def read_body(self, sink: BodySink) -> None:
        """Sends the body, which is all there."""
        self._sink = sink
        self._pump()

    def pause_body(self) -> None:
        """The sink has enough for now."""
        self._body_paused = True

    def resume_body(self) -> None:
        """The sink can take more."""
        self._body_paused = False
        self._pump()

    def _pump(self) -> None:
        sink = self._sink
        if sink is None or self._pumping:
            return
        self._pumping = True
        while not self._body_paused and not self._over and not self.is_body_complete:
            data = self._request.content.read(PIECE)
            if data:
                self.transaction.received += len(data)
                sink.body_received(data)
            else:
                self.is_body_complete = True
                sink.body_ended(NO_FIELDS)
        self._pumping = False

    def invite_body(self) -> None:
        """Twisted sent 100 (Continue) long ago."""

    # The answer.

    def interim(self, head: OutgoingHead) -> None:
        """A stock request can't pass it on."""

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head."""
        if self._over:
            if source is not None:
                source.cancel(ClientGone())
            return
        self._started = True
        self.source = source
        request = self._request
        request.setResponseCode(head.status, head.reason or None)
        headers = request.responseHeaders
        for name in (b"server", b"date", b"content-type"):
            headers.removeHeader(name)
        # The block may have more than the fields.
        for line in head.block.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b": ")
            headers.addRawHeader(name, value)
        request.defaultContentType = None
        if not head.has_date:
            from twisted.web.http import datetimeToString

            headers.setRawHeaders(b"date", [datetimeToString()])
        if framing.kind == "length":
            headers.setRawHeaders(b"content-length", [b"%d" % framing.length])
        self._is_self_delimited = framing.kind == "length" or self.version >= 11
        if source is not None:
            self._producing = True
            request.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Octets of the body."""
        if not self._over:
            self.transaction.sent += len(data)
            self._request.write(data)

    def flush(self) -> None:
        """The head leaves even while there is no body yet."""
        if not self._over and self._started and not self._request.startedWriting:
            self._request.write(b"")

    def finish(self, trailers: Fields) -> None:
        """The answer is complete."""
        if self._over:
            return
        self._over = True
        if self._producing:
            self._request.unregisterProducer()
        self._request.finish()

    def answer_whole(self, head: OutgoingHead, framing: Framing, body: bytes) -> None:
        """A whole answer."""
        self.start(head, framing, None)
        if body:
            self.write(body)
        self.finish(NO_FIELDS)

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        if self._over:
            return
        _log.info("{id}: {error}", id=self.request_id.decode("ascii"), error=str(error))
        request = self._request
        if self._started:
            self.flush()
            self._over = True
            channel = request.channel
            if self._producing:
                request.unregisterProducer()
            # Where neither the length nor the last chunk was reached, the end can't look complete, and what is on its
            # way may still arrive; a body that ends with the connection needs the reset.
            if not self._is_self_delimited and hasattr(channel, "forceAbortClient"):
                channel.forceAbortClient()
            else:
                request.loseConnection()
            return
        media, page = error_page(error.status, self.request_id, self.fields)
        lines = [(b"Content-Type", media), (b"Cache-Control", b"no-store"), (b"X-Request-ID", self.request_id)]
        if isinstance(error, MethodNotAllowed) and error.allow:
            lines.append((b"Allow", error.allow))
        self.start(OutgoingHead(error.status, b"", Fields.of(lines)), Framing("length", len(page)), None)
        if self.method != b"HEAD":
            self.write(page)
        self.finish(NO_FIELDS)

    # What Twisted asks of a producer.

    def pauseProducing(self) -> None:
        """The client is slow."""
        if self.source is not None:
            self.source.pause()

    def resumeProducing(self) -> None:
        """The client can take more."""
        if self.source is not None:
            self.source.resume()

    def stopProducing(self) -> None:
        """The client is gone."""
        if self.source is not None:
            self.source.cancel(ClientGone("the client left"))
