"""Starts the demo: the backend alone, or the backend and a ``twistd revproxy`` in front of it."""

from __future__ import annotations

import argparse
import errno
import signal
import socket
import sys
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address

from revproxy.demo.front import LOCAL, Front
from revproxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from revproxy.demo.front import Reactor
    from revproxy.demo.secured import Secured

PORT_IN_USE = 2


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m revproxy.demo",
        description="A small sample backend for revproxy, to look at in a browser.",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8080,
        metavar="N",
        help="the port to open in a browser (default %(default)s)",
    )
    parser.add_argument(
        "--with-proxy",
        action="store_true",
        help="let `twistd revproxy` listen on that port, with the backend on a free one behind it",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="with --with-proxy: HTTPS, with a certificate of the internal authority",
    )
    chosen = parser.parse_args(arguments)
    if chosen.tls and not chosen.with_proxy:
        parser.error("--tls needs --with-proxy: the backend alone speaks no TLS")
    return chosen


def check_free(port: int) -> None:
    """Ends the program with one clear line if somebody listens on ``port`` already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCAL, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
            print(
                f"demo: port {port} {reason}; choose another: make demo PORT=9000, "
                "or python -m revproxy.demo --port 9000",
                file=sys.stderr,
            )
            sys.exit(PORT_IN_USE)


def _secured() -> Secured:
    # Only now: it brings much along that a demo without TLS does not need.
    from revproxy.demo.secured import Secured

    try:
        return Secured()
    except ConfigError as mistake:
        sys.exit(f"demo: {mistake}")


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    try:
        from revproxy.demo.site import DemoSite
    except ModuleNotFoundError as error:
        sys.exit(f"demo: there is no {error.name} here; pip install 'txrevproxy[demo]' brings it")
    check_free(chosen.port)
    # Not above: importing it chooses the reactor for the whole process.
    from twisted.internet import reactor as global_reactor

    reactor = cast("Reactor", global_reactor)
    # A terminal that is closed ends the demo as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
    backend = reactor.listenTCP(
        0 if chosen.with_proxy else chosen.port,
        DemoSite(reactor),  # type: ignore[arg-type]  # a ServerFactory in all but its annotations
        interface=LOCAL,
    )
    address = backend.getHost()
    assert isinstance(address, IPv4Address)
    backend_url = f"http://{LOCAL}:{address.port}"
    if not chosen.with_proxy:
        # Said in the first turn: from then on signals end it quietly.
        reactor.callLater(0, print, f"demo backend, without a proxy: {backend_url}/", flush=True)
        reactor.run()
        return
    front = Front(reactor, backend_url, chosen.port, _secured() if chosen.tls else None)
    reactor.callWhenRunning(front.start)
    reactor.run()
    if front.failed:
        sys.exit(1)
