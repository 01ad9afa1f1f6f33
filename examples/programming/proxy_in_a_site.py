"""A backend below a path of an ordinary Twisted site.

python proxy_in_a_site.py 8080 http://127.0.0.1:8000

Everything below /app/ goes to the backend, the rest is the site's own. Twisted holds a request's body until it is
complete, and knows no upgrades: those need revproxy's own listeners.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from revproxy import ProxyResource, upstream_to


class Home(Resource):
    """The page at /."""

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return b"the site itself; the backend is below /app/\n"


def tree(backend: str) -> Resource:
    """The site's resources."""
    upstream = upstream_to(backend, connect_timeout=1.0)
    reactor.addSystemEventTrigger("before", "shutdown", upstream.stop)
    root = Resource()
    root.putChild(b"", Home())
    root.putChild(b"app", ProxyResource(upstream, strip=b"/app/"))
    return root


def main(port: str, backend: str) -> None:
    """Serves on a port of this machine alone."""
    reactor.listenTCP(int(port), Site(tree(backend)), interface="127.0.0.1")  # type: ignore[arg-type]
    print(f"open http://127.0.0.1:{port}/app/", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
