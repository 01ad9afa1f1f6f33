"""A cache before a backend, in an ordinary Twisted site.

python cached_proxy.py 8080 http://127.0.0.1:8000

What the backend lets be stored is asked for once; Cache-Status says of each answer what was done. Any resource may
stand where ProxyResource does here if it is an ``IResponder``.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web.server import Site

from revproxy import CacheOptions, CachingResource, ProxyResource, open_cache, upstream_to


def tree(backend: str) -> CachingResource:
    """The one resource, which answers for everything."""
    upstream = upstream_to(backend)
    cache = open_cache(memory_size=16 * 1024 * 1024)
    for opened in (upstream, cache):
        reactor.addSystemEventTrigger("before", "shutdown", opened.stop)
    # Whoever asks within a minute after a page grew old gets it at once, and it is validated behind his back.
    return cache.before(ProxyResource(upstream), CacheOptions(stale_while_revalidate=60.0))


def main(port: str, backend: str) -> None:
    """Serves on a port of this machine alone."""
    reactor.listenTCP(int(port), Site(tree(backend)), interface="127.0.0.1")  # type: ignore[arg-type]
    print(f"open http://127.0.0.1:{port}/", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
