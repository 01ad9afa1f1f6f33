"""Upgrade: the tunnel, its early octets, its ends, and what is no upgrade (RFC 9110 §7.8)."""

from __future__ import annotations

import pytest

from tests.support.dialogue import GET, OK, answer, answers, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.reading import read_requests

ASK = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: x\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"


def tunnel(proxy: Proxy) -> tuple[End, End]:
    """An open tunnel's two ends."""
    client = proxy.client()
    client.send(ASK)
    origin = proxy.origin.last
    asked = read_requests(origin.take_back())[0]
    assert (asked.get(b"connection"), asked.get(b"upgrade")) == (b"Upgrade", b"websocket")
    origin.send(SWITCH)
    head = client.take_back()
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n") and head.endswith(b"\r\n\r\n")
    assert b"\r\nUpgrade: websocket\r\n" in head and b"\r\nConnection: Upgrade\r\n" in head
    return client, origin


def test_octets_pass_both_ways(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    for word in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff", b"x" * 500_000):
        client.send(word)
        assert origin.take_back() == word
        origin.send(word)
        assert client.take_back() == word


def test_early_octets_of_both_sides_pass_however_they_arrive() -> None:
    given, asked = SWITCH + b"early answer", ASK + b"early question"
    for cut in ways(given):
        with running() as proxy:
            client = proxy.client()
            client.send(asked)
            proxy.origin.last.send(given, cut=cut)
            assert client.received.endswith(b"\r\n\r\nearly answer")
            assert proxy.origin.received.endswith(b"\r\n\r\nearly question")
    for cut in ways(asked):
        with running() as proxy:
            client = proxy.client()
            client.send(asked, cut=cut)
            proxy.origin.last.send(given)
            assert client.received.endswith(b"\r\n\r\nearly answer")
            assert proxy.origin.received.endswith(b"\r\n\r\nearly question")


def test_the_client_ends_first(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    client.send(b"bye")
    client.fin()
    assert origin.ended and origin.take_back() == b"bye"
    origin.send(b"so long")
    assert client.take_back() == b"so long"
    origin.fin()
    assert client.ended and not client.was_reset
    assert proxy.transaction.status == 101
    assert (proxy.transaction.received, proxy.transaction.sent) == (3, 7)


def test_the_server_ends_first(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    origin.send(b"bye")
    origin.fin()
    assert client.ended and client.take_back() == b"bye"
    client.send(b"so long")
    assert origin.take_back() == b"so long"
    client.fin()
    assert origin.ended and not origin.was_reset
    assert len(proxy.transactions) == 1


def test_a_client_that_ended_before_the_switch(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(ASK + b"all I say")
    client.fin()
    origin = proxy.origin.last
    origin.send(SWITCH)
    assert origin.ended and origin.received.endswith(b"all I say")
    origin.send(b"heard")
    origin.fin()
    assert client.received.endswith(b"heard") and client.ended


@pytest.mark.parametrize("who", ["client", "origin"])
def test_a_reset_passes_on_as_a_reset(make_proxy: MakeProxy, who: str) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    (client if who == "client" else origin).cut()
    assert (origin if who == "client" else client).was_reset


def test_an_idle_tunnel_is_closed(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(tunnel_timeout=100.0, idle_timeout=10.0, answer_timeout=10.0)
    client, origin = tunnel(proxy)
    proxy.advance(95)
    client.send(b"still here")
    proxy.advance(95)
    origin.send(b"so am I")
    proxy.advance(95)
    assert not client.is_over and not origin.is_over
    proxy.advance(10)
    assert client.is_over and origin.is_over


@pytest.mark.parametrize("how", ["idle", "broken"])
def test_a_tunnel_whose_server_ended_does_not_stay_open_for_ever(make_proxy: MakeProxy, how: str) -> None:
    """The client never ends its side: what happens to the server's still ends the connection."""
    proxy = make_proxy(tunnel_timeout=60.0)
    client, origin = tunnel(proxy)
    origin.fin()
    assert client.ended
    if how == "broken":
        origin.cut()
        client.send(b"is anybody there?")
    proxy.advance(2 if how == "broken" else 62)
    assert proxy.frontend.channels == set()
    assert client.sock.reset
    assert proxy.transaction.status == 101


def test_a_tunnel_that_was_slow_for_a_while_keeps_its_timeout(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(idle_timeout=10.0, answer_timeout=10.0)
    proxy.origin.room = 1000
    client, origin = tunnel(proxy)
    origin.reads = False
    client.send(b"x" * 5000)
    origin.reads = True
    proxy.network.settle()
    proxy.advance(60)
    assert not client.is_over and not origin.is_over
    assert len(origin.received) == 5000


def test_back_pressure_in_a_tunnel(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    for sender, reader in ((client, origin), (origin, client)):
        reader.sock.room = sender.sock.peer.room = 1000
        reader.reads = False
        sent = 0
        while taken := sender.offer(b"x" * 100_000):
            sent += taken
        assert proxy.queued < 300_000
        reader.reads = True
        proxy.network.settle()
        assert len(reader.take_back()) == sent


def test_a_refused_upgrade_is_a_plain_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(ASK + GET)
    proxy.origin.last.send(OK)
    proxy.origin.last.send(OK)
    assert [(got.status, got.body) for got in answers(client, b"GET", b"GET")] == [(200, b"hi"), (200, b"hi")]
    assert read_requests(proxy.origin.received)[1].target == b"/"


BAD_SWITCHES = [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
]


@pytest.mark.parametrize("given", BAD_SWITCHES)
def test_a_switch_to_something_else_is_refused(make_proxy: MakeProxy, given: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(ASK)
    proxy.origin.last.send(given)
    assert answer(client).status == 502
    assert proxy.origin.last.is_over


NO_UPGRADES = [
    GET,
    ASK.replace(b": WebSocket", b": h2c").replace(b"Upgrade\r\n", b"Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n", 1),
    ASK.replace(b": WebSocket", b": TLS/1.0"),
    ASK.replace(b"keep-alive, Upgrade", b"keep-alive"),
    ASK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ASK.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\nhi"),
]


@pytest.mark.parametrize("request_", NO_UPGRADES)
def test_what_asks_for_no_upgrade_gets_none(make_proxy: MakeProxy, request_: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(request_)
    (asked,) = read_requests(proxy.origin.received)
    assert asked.get(b"upgrade") is None and asked.get(b"http2-settings") is None
    assert b"upgrade" not in (asked.get(b"connection") or b"").lower()
    proxy.origin.last.send(SWITCH)
    assert answer(client, request_[:4].strip()).status == 502


def test_of_several_protocols_only_the_allowed_one_is_asked_for(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.client().send(ASK.replace(b": WebSocket", b": h2c, websocket"))
    assert read_requests(proxy.origin.received)[0].get(b"upgrade") == b"websocket"


def test_an_idle_tunnel_that_the_server_half_closed_is_closed(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(tunnel_timeout=100.0)
    client, origin = tunnel(proxy)
    origin.send(b"bye")
    origin.fin()
    proxy.advance(99)
    assert not client.sock.reset
    proxy.advance(2)
    assert client.sock.reset and origin.sock.reset


def test_octets_for_a_server_that_ended_and_left_cut_the_tunnel(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, origin = tunnel(proxy)
    origin.close()
    client.send(b"is anybody there?")
    client.send(b"hello?")
    proxy.advance(1)
    assert client.sock.reset
    assert len(proxy.transactions) == 1
