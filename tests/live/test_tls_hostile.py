"""Clients that shake hands badly, slowly or by the hundred: bounded, said once, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from OpenSSL import SSL

from tests.live.support_backends import HELLO
from tests.live.support_client import curl
from tests.live.support_process import PATIENCE, until
from tests.live.support_tls import SITE, OpenClient, SecureClient, secure_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Started
    from tests.live.support_proxy import Proxy

MOST = 300
"""Connections that the listener takes."""
STALLED = 60
"""Clients of each kind that stall."""
TWO_SECONDS = 2


@pytest.fixture
def proxy(started: Started, tmp_path: Path) -> Iterator[Proxy]:
    more = f"""
        [limits]
        handshake_timeout = "{TWO_SECONDS}s"
        connections = {MOST}
        connections_per_address = {MOST}
    """
    with secure_proxy(tmp_path, started.backend("nginx").url, more=more) as one:
        yield one
        assert "Traceback" not in one.output and "Unhandled" not in one.output


def hello(version: int = SSL.TLS1_3_VERSION) -> bytes:
    """A client's first message."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    client = SSL.Connection(context, None)
    client.set_tlsext_host_name(SITE.encode())
    client.set_connect_state()
    with contextlib.suppress(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(1 << 16)


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)


def read_to_end(sock: socket.socket) -> bytes:
    """What comes until the proxy closes or cuts the connection; it must do one of them."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            got += data
    return got


def is_served(proxy: Proxy) -> bool:
    with SecureClient(proxy.port) as client:
        return client.ask("GET", "/hello.txt", host=SITE).body == HELLO


def descriptors(proxy: Proxy) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def said(proxy: Proxy) -> int:
    """How often the log said that a handshake failed."""
    return proxy.output.count("TLS handshake with 127.0.0.1 failed")


def test_half_handshakes_that_stall_are_cut_while_others_are_served(proxy: Proxy) -> None:
    # A connection to the server stays from now on.
    assert is_served(proxy)
    before = descriptors(proxy)
    beginnings = [b"", hello()[:1], hello()[:100], hello()]
    with contextlib.ExitStack() as stack:
        stalled = []
        for number in range(STALLED * len(beginnings)):
            sock = stack.enter_context(connected(proxy))
            sock.sendall(beginnings[number % len(beginnings)])
            stalled.append(sock)
            if number % 20 == 0:
                assert is_served(proxy)
        assert descriptors(proxy) >= before + len(stalled) // 2
        assert is_served(proxy)
        for sock in stalled:
            read_to_end(sock)
    until(lambda: descriptors(proxy) <= before, "all descriptors to be given back")
    assert is_served(proxy)
    assert said(proxy) == 1


def test_a_flood_over_the_limit_is_turned_away_and_passes(proxy: Proxy) -> None:
    before = descriptors(proxy)
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(connected(proxy)) for _ in range(MOST + 100)]
        # The newest are closed at once, before a word; the oldest when their time is over.
        for sock in reversed(flood):
            assert read_to_end(sock) == b""
    until(lambda: descriptors(proxy) <= before, "all descriptors to be given back")
    assert is_served(proxy)
    assert said(proxy) == 1


def record(kind: int, octets: bytes) -> bytes:
    return struct.pack(">BHH", kind, 0x0303, len(octets)) + octets


GARBAGE = {
    "zeros": bytes(1000),
    "random": random.Random(1).randbytes(5000),
    "a record too long": b"\x16\x03\x01\xff\xff" + bytes(100),
    "an alert first": record(21, b"\x02\x28"),
    "application data first": record(23, b"GET / HTTP/1.1\r\n\r\n"),
    "a hello that lies about its length": record(22, b"\x01\xff\xff\xff" + bytes(200)),
    "a hello of nonsense": record(22, b"\x01\x00\x00\x64" + random.Random(2).randbytes(100)),
    "SSLv2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "two hellos": hello() * 2,
    "data behind the hello": hello() + record(23, bytes(100)),
    "garbage behind the hello": hello() + random.Random(3).randbytes(3000),
    "TLS 1.2, garbage behind the hello": hello(SSL.TLS1_2_VERSION) + record(22, random.Random(4).randbytes(500)),
    "a flood of empty records": hello() + record(22, b"") * 5000,
    "a flood of warnings": hello() + record(21, b"\x01\x5a") * 5000,
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a PROXY header that nobody awaits": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n" + hello(),
}


def test_garbage_costs_its_connection_alone(proxy: Proxy) -> None:
    before = descriptors(proxy)
    for name, octets in GARBAGE.items():
        with connected(proxy) as sock:
            with contextlib.suppress(ConnectionError):
                sock.sendall(octets)
                sock.shutdown(socket.SHUT_WR)
            got = read_to_end(sock)
        assert not got.startswith(b"HTTP") or octets[:1].isalpha(), name
        if got.startswith(b"HTTP"):
            assert got.startswith(b"HTTP/1.1 400 "), (name, got)
    until(lambda: descriptors(proxy) <= before, "all descriptors to be given back")
    assert is_served(proxy)
    assert said(proxy) == 1


def test_garbage_behind_a_good_handshake_costs_its_connection_alone(proxy: Proxy) -> None:
    for octets in (bytes(100), record(23, bytes(200)), record(22, bytes(50)), random.Random(5).randbytes(100_000)):
        with OpenClient(proxy.port) as client:
            with contextlib.suppress(ConnectionError):
                client.socket.sendall(octets)
            _, end = client.read_all()
        assert end in ("truncated", "reset", "alert")
    assert is_served(proxy)


def test_a_client_that_leaves_in_every_moment_of_the_handshake(proxy: Proxy) -> None:
    before = descriptors(proxy)
    whole = hello()
    for size in (0, 1, 5, 6, 100, len(whole) - 1, len(whole)):
        for cut in (False, True):
            with connected(proxy) as sock:
                sock.sendall(whole[:size])
                if cut:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: descriptors(proxy) <= before, "all descriptors to be given back")
    assert is_served(proxy)
    assert said(proxy) == 1


def test_http_in_clear_text_is_told_what_is_wrong(proxy: Proxy) -> None:
    done = curl(f"http://127.0.0.1:{proxy.port}/hello.txt")
    assert done.head.startswith("HTTP/1.1 400") and b"This port speaks HTTPS" in done.body
    with connected(proxy) as sock:
        # One octet after another, and an upload behind it.
        for octet in b"POST / HTTP/1.1\r\n":
            sock.sendall(bytes([octet]))
        sock.sendall(b"Host: x\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000))
        assert read_to_end(sock).startswith(b"HTTP/1.1 400 ")
    assert said(proxy) == 0
