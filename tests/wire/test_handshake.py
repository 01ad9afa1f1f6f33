"""Handshakes of both sides: chosen by the hello, bounded in time, refused with the right alert."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from OpenSSL import SSL

from revproxy.wire.budget import OctetBudget
from revproxy.wire.client_hello import INTERNAL_ERROR, UNRECOGNIZED_NAME, ClientHello
from revproxy.wire.handshake import (
    ClientHandshake,
    HandshakeFailed,
    HandshakeRefused,
    ServerHandshake,
)
from revproxy.wire.stream import SocketStream
from revproxy.wire.sweep import Sweep
from revproxy.wire.tls import TlsStream
from tests.support.sockets import Turns, client_context, server_context, tcp_pair
from tests.wire.test_stream import Remembers

CONTEXT = server_context()


@attrs.frozen
class Choice:
    context: SSL.Context
    name: str


class Chooser:
    """Knows one name."""

    def __init__(self) -> None:
        self.asked: list[ClientHello] = []

    def choose(self, hello: ClientHello) -> Choice:
        self.asked.append(hello)
        if hello.server_name == "unknown.example":
            raise HandshakeRefused(UNRECOGNIZED_NAME, "nobody is called unknown.example here")
        return Choice(CONTEXT, hello.server_name)


class Told:
    """Who is called back, on either side."""

    def __init__(self) -> None:
        self.stream: TlsStream | None = None
        self.chosen: Any = None
        self.clear: SocketStream | None = None
        self.failed = ""

    def secured(self, stream: TlsStream, chosen: Any = None) -> None:
        assert self.is_nothing
        self.stream, self.chosen = stream, chosen

    def clear_text_came(self, stream: SocketStream) -> None:
        assert self.is_nothing
        self.clear = stream

    def handshake_failed(self, error: HandshakeFailed) -> None:
        assert self.is_nothing
        self.failed = str(error)

    @property
    def is_nothing(self) -> bool:
        return self.stream is None and self.clear is None and not self.failed


class Bench:
    """An accepted socket under handshake; the test plays the client on the other one."""

    def __init__(self, pair: Any) -> None:
        self._pair = pair
        self.accepted, self.socket = pair.__enter__()
        self.reactor = Turns()
        self.sweep = Sweep(self.reactor, now=self.reactor.seconds)
        self.sweep.start()
        self.budget = OctetBudget(1 << 20)
        self.user = Told()
        self.chooser = Chooser()
        self.handshake = ServerHandshake(
            self.accepted, self.reactor, self.sweep, self.budget, choice=self.chooser, user=self.user
        )

    def client(self, name: bytes = b"example.com") -> SSL.Connection:
        connection = SSL.Connection(client_context(), self.socket)
        connection.set_tlsext_host_name(name)
        connection.set_connect_state()
        return connection

    def hello(self, name: bytes = b"example.com") -> bytes:
        connection = SSL.Connection(client_context(), None)
        connection.set_tlsext_host_name(name)
        connection.set_connect_state()
        with pytest.raises(SSL.WantReadError):
            connection.do_handshake()
        return connection.bio_read(1 << 16)

    def shake(self, client: SSL.Connection) -> None:
        for _ in range(100):
            self.reactor.turn(1)
            try:
                client.do_handshake()
            except SSL.WantReadError:
                continue
            if not self.user.is_nothing:
                return
        raise AssertionError("no end of the handshake")

    def read(self) -> bytes:
        """What the client's bare socket got, up to the end."""
        self.socket.setblocking(True)
        self.socket.settimeout(2)
        got = b""
        while octets := self.socket.recv(100):
            got += octets
        return got

    def close(self) -> None:
        self.handshake.cancel()
        if self.user.stream is not None:
            self.user.stream.abort()
        self.sweep.stop()
        self._pair.__exit__(None, None, None)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(tcp_pair())
    yield made
    made.close()


def test_a_handshake_gives_a_stream_and_what_was_chosen(bench: Bench) -> None:
    bench.handshake.start(10)
    client = bench.client()
    bench.shake(client)
    assert bench.user.chosen == Choice(CONTEXT, "example.com")
    stream = bench.user.stream
    assert stream is not None
    assert bench.reactor.readers | bench.reactor.writers == set()
    assert len(bench.sweep) == 0
    stream.user = Remembers()
    stream.resume_reading()
    client.send(b"hello")
    bench.reactor.until(lambda: stream.user.told)  # type: ignore[attr-defined]
    assert stream.user.told == [b"hello"]


def test_what_a_client_sends_right_behind_its_last_message_is_not_lost(bench: Bench) -> None:
    bench.handshake.start(10)
    client = bench.client()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    bench.reactor.turn(1000)
    client.do_handshake()
    client.send(b"early bird")
    bench.reactor.until(lambda: bench.user.stream)
    stream = bench.user.stream
    assert stream is not None
    stream.user = Remembers()
    stream.resume_reading()
    bench.reactor.until(lambda: stream.user.told)  # type: ignore[attr-defined]
    assert stream.user.told == [b"early bird"]


def test_a_hello_that_comes_in_pieces_wakes_us_for_new_octets_alone(bench: Bench) -> None:
    bench.handshake.start(10)
    hello = bench.hello()
    for at in range(0, len(hello), 50):
        bench.socket.send(hello[at : at + 50])
        bench.reactor.turn(1000)
        assert bench.chooser.asked or not bench.reactor.turn(), "awake for nothing"
    assert [asked.server_name for asked in bench.chooser.asked] == ["example.com"]
    assert bench.user.is_nothing


def test_on_a_unix_socket_half_a_hello_waits_for_the_sweep() -> None:
    one, other = socket.socketpair()
    one.setblocking(False)

    class Pair:
        def __enter__(self) -> tuple[socket.socket, socket.socket]:
            return one, other

        def __exit__(self, *_: object) -> None:
            one.close()
            other.close()

    bench = Bench(Pair())
    bench.handshake.start(10)
    hello = bench.hello()
    other.send(hello[:50])
    bench.reactor.turn(1000)
    assert not bench.reactor.turn(), "awake for nothing"
    other.send(hello[50:])
    bench.reactor.advance(1)
    bench.reactor.settle()
    assert [asked.server_name for asked in bench.chooser.asked] == ["example.com"]
    bench.close()


def test_a_name_that_is_nobodys_gets_the_alert_for_it(bench: Bench) -> None:
    bench.handshake.start(10)
    client = bench.client(b"unknown.example")
    with pytest.raises(SSL.Error) as refused:
        bench.shake(client)
    assert "unrecognized name" in str(refused.value).replace("_", " ")
    assert bench.user.failed == "nobody is called unknown.example here"


@pytest.mark.parametrize(
    ("octets", "alert"),
    [
        pytest.param(b"\x16\x03\x01\x00\x00", 22, id="an empty record"),
        pytest.param(b"\x80\x2e\x01\x03\x01", 10, id="SSLv2"),
        pytest.param(b"\x16\x03\x01\x40\x00" + b"\x01\x00\xff\xff" + bytes(17000), 50, id="too long"),
    ],
)
def test_what_is_no_hello_gets_an_alert_and_the_end(bench: Bench, octets: bytes, alert: int) -> None:
    bench.handshake.start(10)
    bench.socket.send(octets)
    bench.reactor.until(lambda: bench.user.failed)
    assert bench.read() == b"\x15\x03\x01\x00\x02\x02" + bytes([alert])


def test_clear_text_is_handed_over_unread(bench: Bench) -> None:
    bench.handshake.start(10)
    bench.socket.send(b"GET / HTTP/1.1\r\n")
    bench.reactor.until(lambda: bench.user.clear)
    stream = bench.user.clear
    assert stream is not None
    stream.user = Remembers()
    stream.resume_reading()
    bench.reactor.until(lambda: stream.user.told)  # type: ignore[attr-defined]
    assert stream.user.told == [b"GET / HTTP/1.1\r\n"]
    stream.abort()


@pytest.mark.parametrize("octets", [0, 1, 50])
def test_a_client_that_stalls_is_cut_when_its_time_is_over(bench: Bench, octets: int) -> None:
    bench.handshake.start(10)
    bench.socket.send(bench.hello()[:octets]) if octets else None
    bench.reactor.settle()
    bench.reactor.pump([1] * 9)
    assert bench.user.is_nothing
    bench.reactor.pump([1] * 2)
    assert bench.user.failed == "it was not complete in time"
    assert bench.reactor.readers == set()
    assert len(bench.sweep) == 0


def test_a_client_that_stalls_behind_its_hello_is_cut_too(bench: Bench) -> None:
    bench.handshake.start(10)
    bench.socket.send(bench.hello())
    bench.reactor.settle()
    bench.reactor.pump([1] * 11)
    assert bench.user.failed == "it was not complete in time"


@pytest.mark.parametrize("octets", [0, 50, 10_000])
def test_a_client_that_leaves_is_not_waited_for(bench: Bench, octets: int) -> None:
    bench.handshake.start(10)
    if octets:
        bench.socket.send(bench.hello()[:octets])
        bench.reactor.settle()
    bench.socket.shutdown(socket.SHUT_WR)
    bench.reactor.until(lambda: bench.user.failed)
    assert "closed the connection" in bench.user.failed


def test_a_reset_is_a_failure(bench: Bench) -> None:
    bench.handshake.start(10)
    bench.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    bench.socket.close()
    bench.reactor.until(lambda: bench.user.failed)
    assert "lost" in bench.user.failed


def test_openssl_says_what_is_wrong(bench: Bench) -> None:
    bench.handshake.start(10)
    context = client_context()
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
    client = SSL.Connection(context, bench.socket)
    client.set_connect_state()
    with pytest.raises(SSL.Error):
        bench.shake(client)
    assert bench.user.failed == "no shared cipher"


def test_whatever_a_choice_raises_costs_this_connection_alone(bench: Bench) -> None:
    def fail(hello: ClientHello) -> Choice:
        raise RuntimeError("a mistake of ours")

    bench.chooser.choose = fail  # type: ignore[method-assign]
    bench.handshake.start(10)
    bench.socket.send(bench.hello())
    bench.reactor.until(lambda: bench.user.failed)
    assert "a mistake of ours" in bench.user.failed
    assert bench.read() == b"\x15\x03\x01\x00\x02\x02" + bytes([INTERNAL_ERROR])


def test_a_cancelled_handshake_calls_nobody(bench: Bench) -> None:
    bench.handshake.start(10)
    bench.handshake.cancel()
    bench.reactor.settle()
    assert bench.user.is_nothing
    assert bench.reactor.readers == set()
    assert bench.read() == b""


def test_a_handshake_as_client() -> None:
    pair = tcp_pair()
    ours, theirs = pair.__enter__()
    reactor = Turns()
    sweep = Sweep(reactor, now=reactor.seconds)
    server = SSL.Connection(CONTEXT, theirs)
    server.set_accept_state()
    user = Told()
    handshake = ClientHandshake(
        ours, reactor, sweep, OctetBudget(1000), connection=SSL.Connection(client_context(), ours), user=user
    )
    handshake.start(10)
    for _ in range(100):
        reactor.turn(1)
        try:
            server.do_handshake()
        except SSL.WantReadError:
            continue
        if user.stream is not None:
            break
    assert user.stream is not None
    user.stream.write(b"hello")
    assert server.recv(100) == b"hello"
    user.stream.abort()
    pair.__exit__(None, None, None)
