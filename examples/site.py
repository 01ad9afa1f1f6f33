"""The same model in plain Python, with a Twisted resource of one's own in the tree.

revproxy check examples/site.py
twistd -n revproxy --config examples/site.py
"""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request

from revproxy.config import Config, HeaderChanges, Listener, Route, Site


class Health(Resource):
    """Answers that the proxy is there, without asking a backend."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain")
        return b"ok\n"


names = {"blog": 8001, "shop": 8002, "wiki": 8003}

config = Config(
    listeners=(Listener(address=":8080"),),
    sites=(
        *(
            Site(
                hosts=(f"{name}.example.com",),
                routes=(
                    Route(
                        path="/",
                        proxy=f"http://127.0.0.1:{port}",
                        response_headers=HeaderChanges(set=(("X-Robots-Tag", "noindex"),)),
                    ),
                ),
            )
            for name, port in names.items()
        ),
        Site(hosts=("*",), routes=(Route(path="/health", resource=Health()),)),
    ),
)
