"""The PROXY protocol in front of a connection."""

from __future__ import annotations

import ipaddress
import struct
from ipaddress import ip_network

import pytest

from revproxy.config.model import Limits
from tests.support.dialogue import GET, OK, answer, answering, running, ways
from tests.support.fixtures import MakeProxy

V1 = b"PROXY TCP4 198.51.100.7 203.0.113.1 5555 443\r\n"


def v2(source: str, target: str, *, command: int = 1, extra: bytes = b"") -> bytes:
    """A block of version 2."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(target)
    body = one.packed + other.packed + struct.pack("!HH", 5555, 443) + extra
    family = 0x11 if one.version == 4 else 0x21
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20 | command, family, len(body)) + body


V2 = v2("198.51.100.7", "203.0.113.1", extra=b"\x04\x00\x01x")


@pytest.mark.parametrize("header", [V1, V2])
def test_the_address_it_tells_is_the_clients(header: bytes) -> None:
    for cut in ways(header + GET):
        with running() as proxy:
            asked = answering(proxy.origin, lambda request: OK)
            client = proxy.client(b"10.0.0.9", awaits_proxy_header=True)
            client.send(header + GET, cut=cut)
            assert [request.get(b"x-forwarded-for") for request in asked] == [b"198.51.100.7"]
            assert answer(client).status == 200
            assert proxy.transaction.client == b"198.51.100.7"
            assert proxy.frontend.admission._by_address == {b"198.51.100.7": 1}


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (v2("2001:db8::1", "2001:db8::2"), b"2001:db8::1"),
        (v2("::ffff:198.51.100.7", "::1"), b"198.51.100.7"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", b"2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", b"10.0.0.9"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", b"10.0.0.9"),
        (v2("198.51.100.7", "203.0.113.1", command=0), b"10.0.0.9"),
    ],
)
def test_whose_connection_it_is(make_proxy: MakeProxy, header: bytes, address: bytes) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client(b"10.0.0.9", awaits_proxy_header=True)
    client.send(header + GET + GET)
    assert [request.get(b"x-forwarded-for") for request in asked] == [address] * 2


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"PROXY TCP4 1.2.3.4\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
        b"PROXY TCP4 ::1 ::2 1 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1\n",
        b"PROXY " + b"x" * 200,
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x04" + bytes(4),
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ],
)
def test_without_a_good_one_nothing_is_served(make_proxy: MakeProxy, header: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client(awaits_proxy_header=True)
    client.send(header + GET)
    assert proxy.origin.connections == []
    assert answer(client).status == 400
    assert client.ended


def test_one_that_does_not_come_in_time(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(awaits_proxy_header=True)
    client.send(V1[:10])
    proxy.advance(21)
    assert client.ended


def test_it_is_no_part_of_http_elsewhere(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(V1 + GET)
    assert answer(client).status == 400


def test_the_limit_per_address_counts_the_address_it_tells(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(connections_per_address=2))
    clients = [proxy.client(b"10.0.0.9", awaits_proxy_header=True) for _ in range(4)]
    for client in clients[:3]:
        client.send(V1 + GET)
    clients[3].send(v2("198.51.100.8", "203.0.113.1") + GET)
    assert [client.ended for client in clients] == [False, False, True, False]
    assert answer(clients[2]).status == 503
    clients[2].close()
    clients[0].cut()
    again = proxy.client(b"10.0.0.9", awaits_proxy_header=True)
    again.send(V1 + GET)
    assert not again.ended


def test_a_trusted_address_is_not_counted(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(connections_per_address=1), trusted=[ip_network("198.51.100.0/24")])
    asked = answering(proxy.origin, lambda request: OK)
    for _ in range(3):
        client = proxy.client(b"10.0.0.9", awaits_proxy_header=True)
        client.send(V1 + GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.77\r\n\r\n"))
        assert answer(client).status == 200
    assert asked[0].get(b"x-forwarded-for") == b"192.0.2.77, 198.51.100.7"
    assert proxy.transaction.client == b"192.0.2.77"
