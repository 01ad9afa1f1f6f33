"""Messages of TLS itself on a connection that is open (RFC 8446 §4.6), by a client that means no good.

OpenSSL sends no such thing, so the records are sealed here, with the client's secrets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from revproxy.wire import tls
from revproxy.wire.budget import OctetBudget
from revproxy.wire.tls import TlsStream
from tests.support.sockets import Turns, client_context, server_context, tcp_pair
from tests.wire.test_stream import Remembers

CONTEXT = server_context()
HANDSHAKE = 22
DATA = 23
UPDATE = b"\x18\x00\x00\x01"
"""A KeyUpdate but for its last octet (RFC 8446 §4.6.3)."""


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1)."""
    label = b"tls13 " + label
    return HKDFExpand(hashes.SHA256(), size, struct.pack(">HB", size, len(label)) + label + b"\0").derive(secret)


class Sealer:
    """Seals what a client sends behind the handshake, with TLS_AES_128_GCM_SHA256 (RFC 8446 §5.2)."""

    def __init__(self, secret: bytes) -> None:
        self._begin(secret)

    def _begin(self, secret: bytes) -> None:
        self._secret = secret
        self._key = AESGCM(expand(secret, b"key", 16))
        self._iv = int.from_bytes(expand(secret, b"iv", 12), "big")
        self._number = 0

    def record(self, kind: int, content: bytes) -> bytes:
        inner = content + bytes([kind])
        header = b"\x17\x03\x03" + struct.pack(">H", len(inner) + 16)
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return header + self._key.encrypt(nonce, inner, header)

    def updated(self) -> None:
        """The key changes behind a KeyUpdate."""
        self._begin(expand(self._secret, b"traffic upd", 32))

    def key_update(self, *, asks: bool) -> bytes:
        record = self.record(HANDSHAKE, UPDATE + bytes([asks]))
        self.updated()
        return record


class Bench:
    """A stream of ours, and a client's socket with what seals its records."""

    def __init__(self) -> None:
        self._pair = tcp_pair()
        self.ours, self.socket = self._pair.__enter__()
        self.reactor = Turns()
        secrets: dict[bytes, bytes] = {}
        context = client_context()
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")

        def keep(connection: SSL.Connection, line: bytes) -> None:
            name, _, secret = line.split()
            secrets[name] = bytes.fromhex(secret.decode())

        context.set_keylog_callback(keep)
        self.client = SSL.Connection(context, self.socket)
        self.client.set_connect_state()
        connection = SSL.Connection(CONTEXT, self.ours)
        connection.set_accept_state()
        done: set[SSL.Connection] = set()
        while len(done) < 2:
            for side in (self.client, connection):
                try:
                    side.do_handshake()
                    done.add(side)
                except SSL.WantReadError:
                    pass
        self.seals = Sealer(secrets[b"CLIENT_TRAFFIC_SECRET_0"])
        self.stream = TlsStream(self.ours, connection, self.reactor, OctetBudget(1 << 30))
        self.user = Remembers()
        self.stream.user = self.user
        self.stream.resume_reading()

    def turns(self, number: int) -> None:
        for _ in range(number):
            self.reactor.turn()

    def client_reads(self) -> bytes:
        got = b""
        while True:
            try:
                got += self.client.recv(1 << 16)
            except SSL.WantReadError:
                return got

    def close(self) -> None:
        self.stream.abort()
        assert self.reactor.readers == self.reactor.writers == set()
        self._pair.__exit__(None, None, None)


@pytest.fixture(params=["direct", "public"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "public":
        monkeypatch.setattr(tls, "DIRECT", False)
    made = Bench()
    yield made
    made.close()


def test_new_keys_are_taken(bench: Bench) -> None:
    bench.socket.send(bench.seals.key_update(asks=True) + bench.seals.record(DATA, b"under new keys"))
    bench.reactor.until(lambda: bench.user.told)
    assert bench.user.told == [b"under new keys"]
    bench.stream.write(b"an answer")
    assert bench.client_reads() == b"an answer"


@pytest.mark.parametrize("paused", [False, True])
def test_half_a_message_stops_writing_without_a_busy_loop(bench: Bench, paused: bool) -> None:
    bench.socket.send(bench.seals.record(HANDSHAKE, UPDATE))
    bench.reactor.settle()
    assert bench.stream.write(b"an answer")
    bench.turns(3)
    before = bench.reactor.count
    if paused:
        bench.stream.pause_reading()
    bench.turns(20)
    assert bench.reactor.count - before <= 1
    assert bench.stream.queued == len(b"an answer")
    bench.socket.send(bench.seals.record(HANDSHAKE, b"\0"))
    bench.seals.updated()
    bench.reactor.until(lambda: not bench.stream.queued)
    assert bench.client_reads() == b"an answer"
    bench.socket.send(bench.seals.record(DATA, b"and on"))
    bench.reactor.settle()
    assert b"and on" not in bench.user.told or not paused
    bench.stream.resume_reading()
    bench.reactor.until(lambda: b"and on" in bench.user.told)
    assert bench.user.told == ["blocked", "drained", b"and on"]
    assert bench.reactor.writers == set()


def test_a_client_that_leaves_half_a_message_behind_is_noticed(bench: Bench) -> None:
    bench.socket.send(bench.seals.record(HANDSHAKE, UPDATE))
    bench.reactor.settle()
    assert bench.stream.write(b"an answer")
    bench.turns(3)
    bench.stream.pause_reading()
    bench.socket.close()
    bench.reactor.until(lambda: bench.stream.closed)
    assert bench.reactor.readers == bench.reactor.writers == set()


def test_an_answer_to_a_message_that_does_not_fit_is_waited_for(bench: Bench) -> None:
    """A client asks for new keys, takes nothing of what it is sent, and sends on."""
    bench.socket.send(bench.seals.key_update(asks=True) + bench.seals.record(DATA, b"x"))
    bench.reactor.until(lambda: bench.user.told)
    # The kernel's buffer is filled behind OpenSSL's back, so that its own message is what does not fit.
    try:
        while True:
            bench.ours.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    assert bench.stream.write(b"an answer")
    bench.socket.send(bench.seals.record(DATA, b"y"))
    bench.turns(3)
    before = bench.reactor.count
    bench.turns(20)
    assert bench.reactor.count == before
    while bench.stream.queued:
        bench.socket.recv(1 << 20)
        bench.reactor.turn()
    bench.reactor.until(lambda: b"y" in bench.user.told)
    assert bench.reactor.writers == set()


def test_who_sends_nothing_but_new_keys_keeps_nobody_else_waiting() -> None:
    bench = Bench()
    for _ in range(300):
        bench.socket.send(bench.seals.key_update(asks=False))
    bench.socket.send(bench.seals.record(DATA, b"at last"))
    bench.reactor.until(lambda: bench.user.told)
    assert bench.user.told == [b"at last"]
    # Each was an event of its own, and others had their turn between them.
    assert bench.reactor.count > 300
    bench.close()
