"""A program: our resource in a stock Twisted Site. ``python -m tests.live.support_stock_site URL ...``"""

from __future__ import annotations

import sys
from ipaddress import ip_network
from typing import Any

from twisted.internet import reactor as installed
from twisted.python import log
from twisted.web.server import Site

import revproxy


def main() -> None:
    reactor: Any = installed
    log.startLogging(sys.stderr, setStdout=False)
    servers = [word for word in sys.argv[1:] if not word.startswith("--trust=")]
    trusted = [ip_network(word.partition("=")[2]) for word in sys.argv[1:] if word.startswith("--trust=")]
    upstream = revproxy.upstream_to(*servers, connect_timeout=2.0, answer_timeout=2.0)
    site = Site(revproxy.ProxyResource(upstream, trusted_proxies=trusted))
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    reactor.addSystemEventTrigger("during", "shutdown", upstream.stop)
    print(f"listening on {port.getHost().port}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
