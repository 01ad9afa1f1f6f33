"""The whole proxy, with its own listeners, inside a program of one's own.

python proxy_in_a_program.py 127.0.0.1:8080 http://127.0.0.1:8000

The quick reactor is installed first, before anything imports twisted.internet.reactor; without that line the proxy
runs on whatever reactor there is.
"""

from __future__ import annotations

import sys

from revproxy.wire import reactor as lean_reactor

lean_reactor.install()

from twisted.internet import reactor  # noqa: E402  # after the reactor was chosen

from revproxy.config import AccessLog, Config, Limits, Listener, Route, Site  # noqa: E402
from revproxy.errors import ConfigError  # noqa: E402
from revproxy.service.proxy import ProxyService  # noqa: E402


def configured(address: str, backend: str) -> Config:
    """The configuration, as a value."""
    return Config(
        listeners=(Listener(address=address),),
        sites=(Site(routes=(Route(proxy=backend),)),),
        limits=Limits(body_size=10_000_000, drain_timeout=2.0),
        access_log=AccessLog(path="-", format="json"),
    )


def main(address: str, backend: str) -> None:
    """Serves until SIGINT or SIGTERM."""
    try:
        service = ProxyService(configured(address, backend), reactor)
    except ConfigError as mistake:
        sys.exit(str(mistake))
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    for acceptor in service.acceptors:
        print(f"open {acceptor.shown}", flush=True)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
