"""A resource that answers while the request's body still comes: the hash of an upload of any size, in constant memory.

twistd -n revproxy --config streaming_responder.py
curl --data-binary @file http://127.0.0.1:8080/sha256
"""

from __future__ import annotations

import hashlib

from twisted.web.resource import Resource
from zope.interface import implementer

from revproxy.config import Config, Listener, Route, Site
from revproxy.errors import ProxyError
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import Framing
from revproxy.interfaces import IResponder, Request


class Hashing:
    """The sink of one request's body, and the source of its answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._hash = hashlib.sha256()

    def body_received(self, data: bytes) -> None:
        """Some octets. Who can't take more says so with ``request.pause_body()``."""
        self._hash.update(data)

    def body_ended(self, trailers: Fields) -> None:
        """The body is complete: answers."""
        page = self._hash.hexdigest().encode("ascii") + b"\n"
        head = OutgoingHead(200, b"", Fields.of([(b"Content-Type", b"text/plain")]))
        self._request.start(head, Framing("length", len(page)), self)
        if self._request.method != b"HEAD":
            self._request.write(page)
        self._request.finish(NO_FIELDS)

    def body_failed(self, error: ProxyError) -> None:
        """The client left or broke the framing. It has been told; nothing is left to do."""

    def pause(self) -> None:
        """The client takes the answer slowly. This one is written whole."""

    def resume(self) -> None:
        """The client took everything."""

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""


@implementer(IResponder)
class SHA256(Resource):
    """Answers with the hash of what it is sent."""

    isLeaf = True

    def respond(self, request: Request) -> None:
        """Called as soon as the head is complete."""
        sink = Hashing(request)
        request.source = sink
        request.invite_body()
        request.read_body(sink)


config = Config(
    listeners=(Listener(address="127.0.0.1:8080"),),
    sites=(Site(hosts=("*",), routes=(Route(path="/sha256", resource=SHA256()),)),),
)
