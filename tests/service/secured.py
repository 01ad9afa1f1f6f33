"""A whole proxy with TLS on real sockets that are turned by hand, and clients of OpenSSL's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
from OpenSSL import SSL
from twisted.web.resource import Resource

from revproxy.config.model import AccessLog, Config, Limits, Listener, Route, Site, SiteTLS, TLSOptions
from revproxy.observe.transaction import Transaction
from revproxy.service.proxy import ProxyService
from revproxy.service.secure import SecureAcceptor
from tests.certificates.making import make, make_root
from tests.support.sockets import Turns

ROOT = make_root()
A = ROOT.issue("a.example")
B = ROOT.issue("b.example")
CLIENTS = make_root("clients")
STRANGER = make("stranger")


class Page(Resource):
    """A Twisted resource that says where it is."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return b"%b of %b" % (request.uri, request.getHeader(b"host") or b"nobody")

    render_POST = render_GET


def site(*hosts: str, tls: SiteTLS | None = None, **more: Any) -> Site:
    more.setdefault("routes", (Route(resource=Page()),))
    return Site(hosts=hosts, tls=tls or SiteTLS(), **more)


class Service:
    """A proxy that listens on a unix socket in clear text, and on another one, or a port, for TLS."""

    def __init__(self, config: Config) -> None:
        self.turns = Turns()
        self.proxy = ProxyService(config, self.turns)
        self.proxy.sweep.now = self.turns.seconds
        self.transactions: list[Transaction] = []
        self._proxied: list[Client] = []

    def start(self) -> None:
        self.proxy.startService()
        for acceptor in self.proxy.acceptors:
            acceptor.frontend.record = self.transactions.append
            if isinstance(acceptor, SecureAcceptor):
                acceptor._clear.record = self.transactions.append

    def stop(self) -> None:
        for client in self._proxied:
            client.socket.close()
        self.turns.settle()
        stopped = self.proxy.stopService()
        for _ in range(200):
            self.turns.advance(0.1)
            self.turns.settle()
        assert stopped is None or stopped.called
        for acceptor in self.proxy.acceptors:
            assert acceptor.frontend.admission.count == 0
            assert acceptor.frontend.admission._by_address == {}
        assert self.turns.readers == set()
        assert self.proxy.budget.held == 0

    def connect(self, number: int = 0) -> socket.socket:
        """A connection to a listener."""
        sock = socket.create_connection(self.proxy.acceptors[number].port.address[:2])
        sock.setblocking(False)
        return sock

    def client(self, name: str = "a.example", number: int = 0, **more: Any) -> Client:
        """A client whose handshake is complete. Raises SSL.Error."""
        client = Client(self, self.connect(number), name, **more)
        client.shake()
        return client

    def plain(self, number: int) -> Client:
        """A client in clear text."""
        return Client(self, self.connect(number), None)

    def seconds(self, number: int) -> None:
        for _ in range(number):
            self.turns.advance(1)
            self.turns.settle()


class Client:
    """Somebody who talks to the proxy."""

    def __init__(
        self,
        service: Service,
        sock: socket.socket,
        name: str | None,
        context: SSL.Context | None = None,
        pair: Any = None,
    ) -> None:
        self._service = service
        service._proxied.append(self)
        self.socket = sock
        self.tls: SSL.Connection | None = None
        if name is not None:
            context = context or SSL.Context(SSL.TLS_CLIENT_METHOD)
            if pair is not None:
                context.use_certificate(pair.certificate)
                context.use_privatekey(pair.key)
            self.tls = SSL.Connection(context, sock)
            self.tls.set_connect_state()
            if name:
                self.tls.set_tlsext_host_name(name.encode())
        self.received = b""

    def shake(self) -> None:
        assert self.tls is not None
        while True:
            try:
                self.tls.do_handshake()
                return
            except SSL.WantReadError:
                self._service.turns.turn(20)

    def send(self, octets: bytes) -> None:
        (self.tls or self.socket).send(octets)

    def read(self) -> bytes | None:
        """What came; None at the end."""
        self._service.turns.settle()
        try:
            octets = (self.tls or self.socket).recv(65536)
        except (BlockingIOError, SSL.WantReadError):
            return b""
        except (SSL.ZeroReturnError, SSL.SysCallError, ConnectionError):
            return None
        self.received += octets
        return octets or None

    def ask(self, host: str = "a.example", path: str = "/", more: str = "", method: str = "GET") -> Answer:
        """One request and its answer."""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode())
        self.received = b""
        for _ in range(2000):
            if self.read() is None:
                break
            head, end, body = self.received.partition(b"\r\n\r\n")
            if end:
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                if method == "HEAD" or len(body) >= int(fields.get(b"content-length", b"0")):
                    plain = {line.split(b": ")[0].lower(): line.split(b": ", 1)[1] for line in head.split(b"\r\n")[1:]}
                    return Answer(int(head.split(b" ")[1]), plain, body)
            self._service.turns.turn(5)
        raise AssertionError(f"no answer: {self.received!r}")

    @property
    def served(self) -> Any:
        assert self.tls is not None
        return self.tls.get_peer_certificate(as_cryptography=True)


@attrs.frozen
class Answer:
    status: int
    fields: dict[bytes, bytes]
    body: bytes


@contextmanager
def secured(
    folder: Path,
    *sites: Site,
    limits: Limits | None = None,
    options: TLSOptions | None = None,
    tls: dict[str, Any] | None = None,
    plain: dict[str, Any] | None = None,
    **more: Any,
) -> Iterator[Service]:
    """A proxy whose first listener speaks TLS and whose second one does not."""
    certificates = folder / "certs"
    certificates.mkdir(exist_ok=True)
    (certificates / "a.pem").write_bytes(A.pem)
    (certificates / "b.pem").write_bytes(B.pem)
    config = Config(
        listeners=(
            Listener(address="127.0.0.1:0", tls=True, **(tls or {})),
            Listener(address="127.0.0.1:0", **(plain or {})),
        ),
        sites=sites or (site("a.example"), site("b.example"), site("*")),
        tls=options or TLSOptions(certificates=(str(certificates),)),
        limits=limits or Limits(),
        access_log=AccessLog(path="off"),
        **more,
    )
    service = Service(config)
    service.start()
    try:
        yield service
    finally:
        service.stop()
