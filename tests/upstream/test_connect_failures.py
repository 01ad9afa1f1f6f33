"""Servers that can't be reached: the next one is tried, the failing one set aside and tried again unseen."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs, formatEvent

from tests.support.dialogue import GET, OK, answer, answering
from tests.support.fixtures import MakeProxy
from tests.support.network import Origin
from tests.support.proxy import Proxy

TWO = ["http://10.0.0.1", "http://10.0.0.2"]


def two(proxy: Proxy) -> tuple[Origin, Origin]:
    one, other = proxy.origins.values()
    for origin in (one, other):
        answering(origin, lambda request: OK)
    return one, other


@pytest.mark.parametrize("mode", ["refuse", "refuse later"])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"BREW"])
def test_any_method_goes_to_the_next_server(make_proxy: MakeProxy, method: bytes, mode: str) -> None:
    proxy = make_proxy(servers=TWO)
    dead, alive = two(proxy)
    dead.mode = mode
    client = proxy.client()
    client.send(b"%b / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" % method)
    assert answer(client, method).status == 200
    assert (dead.attempts, alive.attempts) == (1, 1)
    assert proxy.transaction.tries == 1


@pytest.mark.parametrize(("mode", "status"), [("refuse", 502), ("refuse later", 502), ("silent", 504)])
def test_no_server_left(make_proxy: MakeProxy, mode: str, status: int) -> None:
    proxy = make_proxy(servers=TWO)
    for origin in two(proxy):
        origin.mode = mode
    client = proxy.client()
    client.send(GET)
    proxy.advance(8)
    assert answer(client).status == status
    assert b"10.0.0" not in client.received
    assert "10.0.0" in proxy.transaction.detail


def test_a_silent_server_costs_its_time_once(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=TWO, connect_timeout=2.0)
    dead, _ = two(proxy)
    dead.mode = "silent"
    client = proxy.client()
    client.send(GET)
    assert client.received == b""
    proxy.advance(3)
    assert answer(client).status == 200
    client.take_back()
    for _ in range(10):
        client.send(GET)
        assert answer(client).status == 200
        client.take_back()
    assert dead.attempts == 1


def test_set_aside_for_longer_each_time_and_tried_in_the_background(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=TWO, set_aside=10.0)
    dead, alive = two(proxy)
    dead.mode = "refuse later"
    client = proxy.client()
    client.send(GET)
    began = proxy.clock.seconds()
    tried = []
    for _ in range(400):
        before = dead.attempts
        proxy.advance(1)
        if dead.attempts > before:
            tried.append(round(proxy.clock.seconds() - began))
        client.take_back()
        client.send(GET)
        assert answer(client).status == 200
    gaps = [later - earlier for earlier, later in zip([0, *tried], tried, strict=False)]
    assert gaps == [10, 20, 40, 80, 160]
    assert len(alive.connections) == 1


def test_the_growth_has_a_bound(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=TWO, set_aside=1.0)
    dead, _ = two(proxy)
    dead.mode = "refuse"
    proxy.client().send(GET)
    proxy.advance(300)
    before = dead.attempts
    proxy.advance(160)
    assert dead.attempts - before == 10


def test_one_that_came_back_is_used_again(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=TWO, set_aside=5.0)
    dead, _ = two(proxy)
    dead.mode = "refuse"
    client = proxy.client()
    client.send(GET)
    dead.mode = "accept"
    client.send(GET * 4)
    assert dead.received == b""
    proxy.advance(6)
    client.send(GET * 4)
    assert dead.received.count(b"GET /") == 2


def test_a_single_server_is_always_tried(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.origin.mode = "refuse"
    for _ in range(3):
        client = proxy.client()
        client.send(GET)
        assert answer(client).status == 502
    proxy.origin.mode = "accept"
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET)
    assert answer(client).status == 200


def test_when_all_are_aside_one_is_tried(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=TWO, set_aside=100.0)
    one, other = two(proxy)
    one.mode = other.mode = "refuse"
    proxy.client().send(GET)
    one.mode = other.mode = "accept"
    client = proxy.client()
    client.send(GET)
    assert answer(client).status == 200


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        (TWO, "server 10.0.0.1 is set aside for 10 s: 10.0.0.1: Connection refused"),
        (
            TWO[:1],
            "server 10.0.0.1 can't be reached, and is tried for each request, since there is no other: "
            "10.0.0.1: Connection refused",
        ),
    ],
)
def test_the_log_says_once_what_becomes_of_a_server(make_proxy: MakeProxy, servers: list[str], said: str) -> None:
    proxy = make_proxy(servers=servers, set_aside=10.0)
    for origin in proxy.origins.values():
        answering(origin, lambda request: OK)
    proxy.origin.mode = "refuse"
    with capturedLogs() as events:
        for _ in range(3):
            proxy.client().send(GET)
        proxy.origin.mode = "accept"
        proxy.advance(11)
        proxy.client().send(GET)
    assert [formatEvent(event) for event in events] == [said, "server 10.0.0.1 can be reached again"]
