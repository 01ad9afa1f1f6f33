"""Resources of three kinds under revproxy's own listeners: plain Twisted ones, a Klein app, and a backend.

twistd -n revproxy --config any_resource.py

A request to one of the first two has its whole body before the resource is asked (limits.buffered_body_size bounds
it). The route to the backend streams both ways.
"""

from __future__ import annotations

import os

from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Request

from revproxy.config import Config, Listener, Route, Site

BACKEND = os.environ.get("BACKEND", "http://127.0.0.1:8000")

app = Klein()


@app.route("/slow")
def slow(request: IRequest) -> Deferred[str]:
    """Any answer that Klein knows, a Deferred too."""
    return deferLater(reactor, 0.1, lambda: "slow, but here\n")


class Guestbook(Resource):
    """Keeps what is posted to it."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[bytes] = []

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"".join(entry + b"\n" for entry in self.entries)

    def render_POST(self, request: Request) -> bytes:
        assert request.content is not None
        self.entries.append(request.content.read())
        request.setResponseCode(201)
        return b""


config = Config(
    listeners=(Listener(address="127.0.0.1:8080"),),
    sites=(
        Site(
            hosts=("*",),
            routes=(
                Route(path="/guestbook", resource=Guestbook()),
                Route(path="/klein/", resource=app.resource()),
                Route(path="/", proxy=BACKEND),
            ),
        ),
    ),
)
