"""Connections to servers: which is used, how many there are, and who waits for one."""

from __future__ import annotations

import pytest

from revproxy.config.model import Server
from tests.support.dialogue import GET, OK, answer, answering
from tests.support.fixtures import MakeProxy


@pytest.mark.parametrize("servers", [["http://10.0.0.1"], ["http://10.0.0.1", "http://10.0.0.2"]])
def test_the_newest_idle_connection_is_used_first(make_proxy: MakeProxy, servers: list[str]) -> None:
    proxy = make_proxy(servers=servers)
    for origin in list(proxy.origins.values())[1:]:
        origin.mode = "refuse"
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.send(GET)
    for end in (proxy.origin.connections[1], proxy.origin.connections[2], proxy.origin.connections[0]):
        end.send(OK)
    for used in (0, 2, 1):
        clients[0].send(GET)
        assert proxy.origin.connections[used].received.count(b"GET /") == 2
        clients = clients[1:]


def test_only_so_many_idle_connections_are_kept(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(idle_connections=2)
    for client in [proxy.client() for _ in range(4)]:
        client.send(GET)
    for end in proxy.origin.connections:
        end.send(OK)
    assert [end.ended for end in proxy.origin.connections] == [False, False, True, True]


@pytest.mark.parametrize("options", [{"connections_per_server": 2}, {"connections": 2}])
def test_over_the_bound_requests_wait_in_order(make_proxy: MakeProxy, options: dict[str, int]) -> None:
    proxy = make_proxy(**options)
    clients = [proxy.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    assert len(proxy.origin.connections) == 2
    one, two = proxy.origin.connections
    one.send(OK)
    assert b"/2" in one.received and b"/3" not in one.received
    two.send(OK)
    assert b"/3" in two.received
    two.send(OK)
    assert b"/4" in two.received
    one.send(OK)
    two.send(OK)
    assert [answer(client).status for client in clients] == [200] * 5


def test_a_broken_connection_makes_room_for_who_waits(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(connections_per_server=1)
    first, second = proxy.client(), proxy.client()
    first.send(GET)
    second.send(GET)
    proxy.origin.last.close()
    assert answer(first).status == 502
    assert len(proxy.origin.connections) == 2
    proxy.origin.last.send(OK)
    assert answer(second).status == 200


def test_an_abandoned_attempt_makes_room_for_who_waits(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(connections_per_server=1)
    proxy.origin.mode = "silent"
    first, second = proxy.client(), proxy.client()
    first.send(GET)
    second.send(GET)
    proxy.origin.mode = "accept"
    first.cut()
    proxy.origin.last.send(OK)
    assert answer(second).status == 200


def test_a_full_queue_is_answered_503(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(connections_per_server=1, queue=1)
    clients = [proxy.client() for _ in range(3)]
    for client in clients:
        client.send(GET)
    got = answer(clients[2])
    assert (got.status, got.get(b"retry-after")) == (503, b"1")
    assert proxy.transaction.reason == "queue_full"
    assert clients[1].received == b""


def test_who_waits_too_long_is_answered_503(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(connections_per_server=1, queue_timeout=3.0)
    clients = [proxy.client() for _ in range(3)]
    clients[0].send(GET)
    clients[1].send(GET)
    proxy.advance(2)
    clients[2].send(GET)
    proxy.advance(2)
    assert answer(clients[1]).status == 503
    assert proxy.transaction.reason == "queue_timeout"
    assert clients[2].received == b""
    proxy.origin.last.send(OK)
    proxy.origin.last.send(OK)
    assert answer(clients[0]).status == answer(clients[2]).status == 200


def test_hundreds_that_fail_at_once_do_not_recurse(make_proxy: MakeProxy) -> None:
    """A unix socket's connect fails before ``connect`` returns."""
    proxy = make_proxy(servers=["unix:/run/app.sock"], connections_per_server=1, queue_timeout=1000.0)
    proxy.origin.mode = "accept at once"
    clients = [proxy.client() for _ in range(300)]
    proxy.network._settling = True
    for client in clients:
        client.send(GET)
    proxy.network._settling = False
    proxy.network.settle()
    proxy.origin.mode = "refuse"
    proxy.origin.last.cut()
    assert {answer(client).status for client in clients} == {502}
    assert proxy.origin.attempts == 300


def test_an_idle_connection_to_one_server_does_not_keep_another_from_being_reached(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=["http://10.0.0.1", "http://10.0.0.2"], connections=1)
    one, two = proxy.origins.values()
    client = proxy.client()
    for _ in range(4):
        client.send(GET)
        for origin in (one, two):
            for end in origin.connections:
                if end.received.count(b"GET /") > end.sock.peer.waiting.count(b"200") and not end.is_over:
                    end.received = b""
                    end.send(OK)
    assert client.received.count(b"200 OK") == 4
    assert one.attempts and two.attempts


@pytest.mark.parametrize(
    ("weights", "expected"), [((1, 1), "ABABAB"), ((5, 1, 1), "AABACAA"), ((2, 1), "ABAABA"), ((1,), "AAA")]
)
def test_weights_are_smooth(make_proxy: MakeProxy, weights: tuple[int, ...], expected: str) -> None:
    proxy = make_proxy(
        servers=[Server(url=f"http://10.0.0.{number}", weight=weight) for number, weight in enumerate(weights, 1)]
    )
    served = ""
    for name, origin in zip("ABC", proxy.origins.values(), strict=False):
        answering(origin, lambda request, name=name: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name.encode())  # type: ignore[misc]
    client = proxy.client()
    for _ in expected:
        client.send(GET)
        served += answer(client).body.decode()
        client.take_back()
    assert served == expected


def test_stopping_closes_what_is_idle_and_lets_the_rest_end(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    idle, busy = proxy.client(), proxy.client()
    idle.send(GET)
    busy.send(GET)
    proxy.origin.connections[0].send(OK)
    proxy.group.stop()
    proxy.network.settle()
    assert proxy.origin.connections[0].ended and not proxy.origin.connections[1].ended
    proxy.origin.connections[1].send(OK)
    assert answer(busy).status == 200
    assert proxy.origin.connections[1].ended
