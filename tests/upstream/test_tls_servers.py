"""Connections to ``https://`` servers: who is believed, what a failure is called, what is resumed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from OpenSSL._util import lib

from revproxy.config.model import Server, UpstreamOptions, UpstreamTLS
from revproxy.errors import ConfigError, ConnectFailed, ConnectTimeout, HandshakeError, ProxyError
from revproxy.upstream.group import peer_of
from revproxy.upstream.pool import Opening
from revproxy.upstream.secure import client_context, secured
from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import Stream
from revproxy.wire.connect_tls import ClientContext, SecureConnecting, TlsFailed
from revproxy.wire.sweep import Sweep
from tests.support.sockets import Identity, Turns
from tests.wire.test_stream import Remembers

ROOT = Identity("our root", is_authority=True)
GOOD = Identity("app.internal", "127.0.0.1", issuer=ROOT)


class TlsServer:
    """A server of one reactor's turns: shakes hands with all, and answers every octet with itself."""

    def __init__(self, reactor: Turns, context: SSL.Context | None) -> None:
        self.reactor = reactor
        self.context = context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = (socket.AF_INET, self.socket.getsockname())
        self.names: list[bytes | None] = []
        self.resumed: list[bool] = []
        self.peers: list[Any] = []
        self.failures: list[str] = []
        self.sockets: list[socket.socket] = []
        reactor.addReader(self)

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> None:
        accepted, _ = self.socket.accept()
        accepted.setblocking(False)
        self.sockets.append(accepted)
        if self.context is not None:
            self.reactor.addReader(_Served(self, accepted, self.context))
        else:
            accepted.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def close(self) -> None:
        self.reactor.removeAll()
        for sock in [self.socket, *self.sockets]:
            sock.close()


class _Served:
    def __init__(self, server: TlsServer, sock: socket.socket, context: SSL.Context) -> None:
        self.server = server
        self.connection = SSL.Connection(context, sock)
        self.connection.set_accept_state()
        self.shaken = False

    def fileno(self) -> int:
        number: int = self.connection.fileno()
        return number

    def doRead(self) -> None:
        try:
            if not self.shaken:
                self.connection.do_handshake()
                self.shaken = True
                self.server.names.append(self.connection.get_servername())
                self.server.peers.append(self.connection.get_peer_certificate())
                self.server.resumed.append(bool(lib.SSL_session_reused(self.connection._ssl)))
            self.connection.send(self.connection.recv(1000))
        except SSL.WantReadError:
            pass
        except SSL.Error as reason:
            self.server.failures.append(str(reason))
            self.server.reactor.removeReader(self)


class Wanted:
    """Who wants a connection."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.failed: OSError | None = None

    def connected(self, stream: Stream) -> None:
        self.stream = stream
        stream.user = Remembers()
        stream.resume_reading()

    def connect_failed(self, reason: OSError) -> None:
        self.failed = reason


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reactor = Turns()
        self.sweep = Sweep(self.reactor, now=self.reactor.seconds)
        self.sweep.start()
        self.servers: list[TlsServer] = []
        self.streams: list[Stream] = []

    def server(self, identity: Identity | None = GOOD, context: SSL.Context | None = None) -> TlsServer:
        server = TlsServer(self.reactor, context or (identity.context() if identity else None))
        self.servers.append(server)
        return server

    def file(self, name: str, *octets: bytes) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(octets))
        return str(path)

    def secure(self, host: str = "app.internal", **options: Any) -> ClientContext:
        options.setdefault("ca", self.file("root.pem", ROOT.certificate_pem))
        described = UpstreamTLS(**options)
        return secured(host, described, client_context("app", described))

    def attempt(self, server: TlsServer, secure: ClientContext) -> tuple[SecureConnecting, Wanted]:
        wanted = Wanted()
        connecting = SecureConnecting(self.reactor, self.sweep, OctetBudget(1 << 20), wanted, secure)
        connecting.start(server.address, 3.0)
        return connecting, wanted

    def connect(self, server: TlsServer, secure: ClientContext) -> Wanted:
        _, wanted = self.attempt(server, secure)
        self.reactor.until(lambda: wanted.stream or wanted.failed)
        if wanted.stream is not None:
            self.streams.append(wanted.stream)
        return wanted

    def talk(self, wanted: Wanted) -> None:
        stream = wanted.stream
        assert stream is not None, wanted.failed
        assert stream.write(b"hello")
        self.reactor.until(lambda: stream.user.told)
        assert stream.user.told == [b"hello"]

    def close(self) -> None:
        self.sweep.stop()
        for stream in self.streams:
            stream.abort()
        for server in self.servers:
            server.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def test_a_server_that_proves_its_name_is_spoken_with(bench: Bench) -> None:
    server = bench.server()
    bench.talk(bench.connect(server, bench.secure()))
    assert server.names == [b"app.internal"]


def test_an_address_is_a_name_too_but_is_not_asked_for(bench: Bench) -> None:
    server = bench.server()
    bench.talk(bench.connect(server, bench.secure("127.0.0.1")))
    assert server.names == [None]


def test_another_name_can_be_meant(bench: Bench) -> None:
    server = bench.server()
    bench.talk(bench.connect(server, bench.secure("10.0.0.7", server_name="App.internal.")))
    assert server.names == [b"app.internal"]


@pytest.mark.parametrize(
    ("identity", "host", "words"),
    [
        (Identity("app.internal", issuer=ROOT, ends=-0.5), "app.internal", "it has expired"),
        (Identity("app.internal", issuer=ROOT, begins=0.5), "app.internal", "it is not valid yet"),
        (GOOD, "other.internal", "it is not for other.internal but for app.internal, 127.0.0.1"),
        (GOOD, "127.0.0.2", "it is not for 127.0.0.2 but for app.internal"),
        (Identity(issuer=ROOT), "app.internal", "it is not for app.internal (it has no names)"),
        (Identity("app.internal"), "app.internal", "it is signed by itself alone"),
        (Identity("app.internal", issuer=Identity("a stranger")), "app.internal", "its issuer is not known"),
        (None, "app.internal", "it does not speak TLS on this port (wrong version number)"),
    ],
    ids=["expired", "too early", "another name", "another address", "no names", "self-signed", "unknown CA", "clear"],
)
def test_who_is_not_believed_gets_nothing_of_ours(
    bench: Bench, identity: Identity | None, host: str, words: str
) -> None:
    server = bench.server(identity)
    wanted = bench.connect(server, bench.secure(host))
    assert isinstance(wanted.failed, TlsFailed)
    assert words in (wanted.failed.strerror or "")
    bench.reactor.settle()
    assert server.names == []


def test_verification_can_be_given_up(bench: Bench) -> None:
    server = bench.server(Identity("whoever", ends=-0.5))
    bench.talk(bench.connect(server, bench.secure(verify=False, ca=None)))


def test_without_a_ca_of_its_own_the_systems_count(bench: Bench) -> None:
    wanted = bench.connect(bench.server(), bench.secure(ca=None))
    assert isinstance(wanted.failed, TlsFailed)


@pytest.mark.parametrize("newest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_the_next_connection_resumes_the_session(bench: Bench, newest: int) -> None:
    context = GOOD.context()
    context.set_max_proto_version(newest)
    context.set_session_id(b"app")
    server = bench.server(context=context)
    secure = bench.secure()
    for _ in range(3):
        wanted = bench.connect(server, secure)
        bench.talk(wanted)
        assert wanted.stream is not None
        wanted.stream.close()
    assert server.resumed == [False, True, True]


def test_a_client_certificate_is_shown_to_who_asks(bench: Bench) -> None:
    ours = Identity("the proxy", issuer=ROOT)
    context = GOOD.context()
    store = context.get_cert_store()
    assert store is not None
    from OpenSSL import crypto

    store.add_cert(crypto.X509.from_cryptography(ROOT.certificate))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    server = bench.server(context=context)
    together = bench.file("ours.pem", ours.certificate_pem, ours.key_pem)
    bench.talk(bench.connect(server, bench.secure(certificate=together)))
    assert server.peers[0].to_cryptography() == ours.certificate
    apart = bench.secure(
        certificate=bench.file("cert.pem", ours.certificate_pem), key=bench.file("key.pem", ours.key_pem)
    )
    bench.talk(bench.connect(server, apart))


def test_a_handshake_that_stalls_is_a_timeout(bench: Bench) -> None:
    server = bench.server()
    bench.reactor.removeReader(server)
    _, wanted = bench.attempt(server, bench.secure())
    bench.reactor.settle()
    bench.reactor.pump([1.0] * 4)
    assert isinstance(wanted.failed, TimeoutError)
    assert len(bench.sweep) == 0


def test_an_attempt_that_is_cancelled_calls_nobody(bench: Bench) -> None:
    server = bench.server()
    connecting, wanted = bench.attempt(server, bench.secure())
    bench.reactor.turn(1000)
    connecting.cancel()
    bench.reactor.settle()
    assert wanted.stream is None
    assert wanted.failed is None


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (TlsFailed("it has expired"), HandshakeError),
        (TimeoutError(110, "no end"), ConnectTimeout),
        (ConnectionRefusedError(111, "refused"), ConnectFailed),
    ],
)
def test_each_failure_has_its_own_reason(reason: OSError, kind: type) -> None:
    failed: list[ProxyError] = []

    class FakePool:
        now = staticmethod(lambda: 0.0)

        def opening_failed(self, opening: Opening, error: ProxyError) -> None:
            failed.append(error)

    class State:
        name = b"app:443"

    Opening(FakePool(), State(), None).connect_failed(reason)  # type: ignore[arg-type]
    assert type(failed[0]) is kind
    assert str(reason.strerror) in failed[0].detail


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca": "nowhere.pem"}, "tls.ca: .*nowhere.pem: No such file"),
        ({"ca": "empty"}, "tls.ca: .*empty: "),
        ({"certificate": "root"}, "tls.key: .*root: "),
        ({"certificate": "root", "key": "other key"}, "tls.key: .*other key: .*mismatch"),
    ],
)
def test_files_that_can_not_be_used_are_named(bench: Bench, options: dict[str, str], words: str) -> None:
    bench.file("empty")
    bench.file("root", ROOT.certificate_pem)
    bench.file("other key", GOOD.key_pem)
    named = {key: str(bench.folder / file) for key, file in options.items()}
    with pytest.raises(ConfigError, match=words):
        client_context("app", UpstreamTLS(**named))  # type: ignore[arg-type]  # all of them are texts


def test_a_server_with_tls_is_another_peer() -> None:
    clear, secure = peer_of("http://a.example:443"), peer_of("https://a.example")
    assert clear != secure
    assert (clear.authority, secure.authority) == (b"a.example:443", b"a.example")
    assert secure.authorities == {b"a.example", b"a.example:443"}
    assert UpstreamOptions(name="a", servers=(Server(url="https://a.example"),)).tls == UpstreamTLS()
