"""Twisted's own proxy as its documentation has it: a Site around a ReverseProxyResource, with access log."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import Site


def main(listen: int, origin: int, log: str) -> None:
    resource = ReverseProxyResource("127.0.0.1", origin, b"")
    site: Any = Site(resource, logPath=log)
    reactor.listenTCP(listen, site, backlog=4096, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
