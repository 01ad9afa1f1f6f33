"""The resource that answers with what a server behind answers.

Importing this module imports ``twisted.web.proxy`` and with it the reactor: whoever wants another reactor installs it
before.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from revproxy.errors import ProxyError
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import (
    NO_CHANGES,
    FieldChanges,
    Network,
    OutgoingHead,
    RequestForwarding,
    ResponseForwarding,
)
from revproxy.http.framing import EMPTY
from revproxy.http.target import ALLOWED_METHODS
from revproxy.http.trace_context import TRACEPARENT
from revproxy.interfaces import IResponder, IUpstream, Request
from revproxy.resources.stock import StockRequest
from revproxy.resources.tracing import TraceContext


@implementer(IResponder)
class ProxyResource(ReverseProxyResource):
    """Everything below it is answered by an upstream.

    Under revproxy's own listeners bodies stream both ways; inside a stock ``twisted.web.server.Site`` it works too, but
    there Twisted holds a request's body until it is complete, and knows no 1xx answers, trailers or upgrades.

    :param upstream: where requests go (``revproxy.upstream_to`` makes one).
    :param host: Host to send; None keeps the client's.
    :param forwarded: whether Forwarded (RFC 7239) is sent beside X-Forwarded-*.
    :param upgrades: protocols that clients may ask to upgrade to.
    :param strip: path that is taken off before a request goes upstream, and put on again in what answers name.
    :param rewrite: whether Location, Content-Location, Refresh and cookies that name a backend are rewritten.
    :param keep_traces: whether the backend's Server, X-Powered-By and the like reach the client.
    :param shows_certificates: whether Client-Cert (RFC 9440) tells the backend what a client proved; nobody else may
        send it then.
    :param subject_name: name of a field for the proven subject; empty for none.
    :param trusted_proxies: networks whose claims about clients are believed (in a stock Site only; our listeners know
        their own).
    :param tracing: how traces go on from here; None lets traceparent and tracestate pass as they are.
    """

    isLeaf = True

    def __init__(
        self,
        upstream: IUpstream,
        *,
        host: bytes | None = None,
        forwarded: bool = False,
        upgrades: Iterable[bytes] = (b"websocket",),
        strip: bytes = b"",
        rewrite: bool = True,
        keep_traces: bool = False,
        request_changes: FieldChanges = NO_CHANGES,
        response_changes: FieldChanges = NO_CHANGES,
        shows_certificates: bool = False,
        subject_name: bytes = b"",
        trusted_proxies: Iterable[Network] = (),
        tracing: TraceContext | None = None,
    ) -> None:
        name, _, port = upstream.default_host.decode("ascii").partition(":")
        super().__init__(name, int(port or 80) if port.isdigit() or not port else 80, b"", None)
        prefix = strip.rstrip(b"/")
        self._upstream = upstream
        self._strip = prefix
        self._request_forwarding = RequestForwarding(
            host=host,
            default_host=upstream.default_host,
            forwarded=forwarded,
            upgrades=frozenset(protocol.lower() for protocol in upgrades),
            changes=request_changes,
            prefix=prefix,
            shows_certificates=shows_certificates,
            subject_name=subject_name,
            joins_traces=tracing is not None,
        )
        self._response_forwarding = ResponseForwarding(
            backends=upstream.authorities | ({host.lower()} if host else frozenset()),
            rewrite=rewrite,
            keep_traces=keep_traces,
            changes=response_changes,
            prefix=prefix,
            shows_certificates=shows_certificates,
        )
        self._trusted = tuple(trusted_proxies)
        # An operator may take the request id away like any other field.
        hidden = request_changes.remove | {field.lower() for field, _ in request_changes.set}
        self._id_line = b"" if b"x-request-id" in hidden else b"X-Request-ID: %b\r\n"
        self._tracing = None if TRACEPARENT in hidden else tracing

    @property
    def response_forwarding(self) -> ResponseForwarding:
        """How answers are changed on their way to clients."""
        return self._response_forwarding

    def respond(self, request: Request) -> None:
        """Sends the request upstream and gives its answer."""
        facts = request.facts
        forwarding = self._request_forwarding
        method = request.method
        if facts.forwarded_by is forwarding and request.authority is facts.authority:
            block = facts.forwarded
        else:
            fields = request.fields
            if method == b"OPTIONS" and b"max-forwards" in fields:
                rest = self._forward_less(request)
                if rest is None:
                    return
                fields = rest
            block = forwarding.block(fields, facts, request.client, request.authority.raw)
            if request.authority is facts.authority and fields is request.fields and request.keeps_facts:
                facts.forwarded_by = forwarding
                facts.forwarded = block
        target = request.target
        if self._strip and target.startswith(self._strip):
            target = target[len(self._strip) :]
            if target[:1] != b"/":
                target = b"/" + target
        upgrade = forwarding.upgrade_of(facts) if facts.upgrades and request.can_upgrade else b""
        if self._id_line:
            head = b"%b %b HTTP/1.1\r\n%bX-Request-ID: %b\r\n" % (method, target, block, request.request_id)
        else:
            head = b"%b %b HTTP/1.1\r\n%b" % (method, target, block)
        if self._tracing is not None:
            trace = self._tracing.next(facts, trusted=request.client.trusted).value()
            request.transaction.trace = trace
            head += b"traceparent: %b\r\n" % trace
        self._upstream.exchange(request, head, facts.framing, self._response_forwarding, upgrade, forwarding.changes)

    def toward(self, upstream: IUpstream) -> ProxyResource:
        """The same resource in front of another upstream, which is told all that this one would be told."""
        other = copy.copy(self)
        other._upstream = upstream
        return other

    def _forward_less(self, request: Request) -> Fields | None:
        """RFC 9110 §7.6.2: Max-Forwards counts down; at zero the request is answered here."""
        value = request.fields.get(b"max-forwards") or b""
        if not value.isdigit() or len(value) > 9:
            return Fields([line for line in request.fields.lines if line[0] != b"max-forwards"])
        left = int(value)
        if left == 0:
            head = OutgoingHead(200, b"", Fields.of([(b"Allow", ALLOWED_METHODS)]))
            request.start(head, EMPTY, None)
            request.finish(NO_FIELDS)
            return None
        return Fields(
            [
                (lower, name, b"%d" % (left - 1)) if lower == b"max-forwards" else (lower, name, line_value)
                for lower, name, line_value in request.fields.lines
            ]
        )

    def getChild(self, path: bytes, request: Any) -> ProxyResource:
        """Itself: everything below is its own."""
        return self

    def render(self, request: Any) -> int:
        """Answers a stock Twisted request."""
        adapted = StockRequest(request, self._trusted)
        try:
            adapted.prepare()
            self.respond(adapted)
        except ProxyError as error:
            adapted.fail(error)
        return NOT_DONE_YET
