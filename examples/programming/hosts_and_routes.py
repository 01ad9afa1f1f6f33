"""Virtual hosts and routes in an ordinary Twisted site.

python hosts_and_routes.py 8080 http://127.0.0.1:8000

localhost has its own routes; every other name goes to the backend as a whole.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web.server import Site
from twisted.web.static import Data

from revproxy import ProxyResource, Route, Routes, VirtualHosts, upstream_to


def tree(backend: str) -> VirtualHosts:
    """The site's resources. Two routes share one upstream, and with it one pool of connections."""
    upstream = upstream_to(backend)
    reactor.addSystemEventTrigger("before", "shutdown", upstream.stop)
    hosts = VirtualHosts()
    hosts.addHost(
        b"localhost",
        Routes(
            [
                Route(b"/health", Data(b"ok\n", "text/plain")),
                Route(b"/api", ProxyResource(upstream, strip=b"/api"), methods=frozenset({b"GET", b"POST"})),
                Route(b"/", ProxyResource(upstream)),
            ]
        ),
    )
    hosts.addHost(b"*", ProxyResource(upstream, host=b"app.internal"))
    return hosts


def main(port: str, backend: str) -> None:
    """Serves on a port of this machine alone."""
    reactor.listenTCP(int(port), Site(tree(backend)), interface="127.0.0.1")  # type: ignore[arg-type]
    print(f"open http://localhost:{port}/health", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
