"""A test for every limit: each row of the configuration's tables has an entry here, and a new row without one fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.web.resource import Resource

from revproxy.config.model import KIB, Limits, UpstreamOptions
from revproxy.resources.base import Route, Routes
from tests.support.dialogue import GET, OK, answer, answering, running
from tests.support.network import End
from tests.support.proxy import Proxy

Check = Callable[[], None]
LIMITS: dict[str, Check] = {}
OPTIONS: dict[str, Check] = {}
NO_LIMITS = {"name", "servers", "balance"}
"""Options of an upstream that bound nothing."""

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"


def limit(check: Check) -> Check:
    LIMITS[check.__name__] = check
    return check


def option(check: Check) -> Check:
    OPTIONS[check.__name__] = check
    return check


def request(fields: bytes = b"", method: bytes = b"GET", target: bytes = b"/", body: bytes = b"") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (method, target, fields, body)


def status(data: bytes, **limits: Any) -> int:
    """What a request is answered under limits, by an origin that answers 200."""
    with running(limits=Limits(**limits)) as proxy:
        answering(proxy.origin, lambda asked: OK)
        client = proxy.client()
        client.send(data)
        return answer(client, data.split(b" ")[0]).status


@limit
def head_size() -> None:
    size = len(request()) - 4
    assert status(request(), head_size=size) == 200
    assert status(request(), head_size=size - 1) == 431


@limit
def head_count() -> None:
    assert status(request(b"A: b\r\n" * 4), head_count=5) == 200
    assert status(request(b"A: b\r\n" * 5), head_count=5) == 431


@limit
def target_length() -> None:
    assert status(request(target=b"/" + b"x" * 9), target_length=10) == 200
    assert status(request(target=b"/" + b"x" * 10), target_length=10) == 414


def closes_after(seconds: float, client: End, proxy: Proxy) -> None:
    """Open until just before, over just after."""
    proxy.advance(seconds - 2)
    assert not client.is_over
    proxy.advance(4)
    assert client.is_over


@limit
def head_timeout() -> None:
    with running(limits=Limits(head_timeout=7)) as proxy:
        client = proxy.client()
        client.send(GET[:10])
        closes_after(7, client, proxy)
        assert answer(client).status == 408


@limit
def body_size() -> None:
    fields = b"Content-Length: 5\r\n"
    assert status(request(fields, b"POST", body=b"hello"), body_size=5) == 200
    assert status(request(fields, b"POST", body=b"hello"), body_size=4) == 413
    chunks = request(b"Transfer-Encoding: chunked\r\n", b"POST", body=b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    assert status(chunks, body_size=5) == 200
    assert status(chunks, body_size=4) == 413


class Counted(Resource):
    """A Twisted resource that tells how long its request's body is."""

    isLeaf = True

    def render_POST(self, request: Any) -> bytes:
        return b"%d" % len(request.content.read())


@limit
def buffered_body_size() -> None:
    fields = b"Content-Length: 5\r\n"
    chunks = request(b"Transfer-Encoding: chunked\r\n", b"POST", body=b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    for size, expected in ((5, 200), (4, 413)):
        for sent in (request(fields, b"POST", body=b"hello"), chunks):
            with running(
                limits=Limits(buffered_body_size=size), root=lambda proxy: Routes([Route(b"/", Counted())])
            ) as proxy:
                client = proxy.client()
                client.send(sent)
                assert answer(client, b"POST").status == expected


@limit
def body_rate() -> None:
    for rate, expected in ((100, None), (1000, 408)):
        with running(limits=Limits(body_rate=rate)) as proxy:
            client = proxy.client()
            client.send(request(b"Content-Length: 100000\r\n", b"POST"))
            for _ in range(40):
                client.send(b"x" * 300)
                proxy.advance(1)
            assert (answer(client, b"POST").status if client.received else None) == expected


@limit
def body_timeout() -> None:
    with running(limits=Limits(body_timeout=5)) as proxy:
        client = proxy.client()
        client.send(request(b"Content-Length: 10\r\n", b"POST", body=b"hello"))
        closes_after(5, client, proxy)
        assert answer(client, b"POST").status == 408


@limit
def idle_timeout() -> None:
    with running(limits=Limits(idle_timeout=9)) as proxy:
        answering(proxy.origin, lambda asked: OK)
        client = proxy.client()
        client.send(GET)
        closes_after(9, client, proxy)


@limit
def send_timeout() -> None:
    with running(limits=Limits(send_timeout=9)) as proxy:
        client = proxy.client(room=100)
        client.send(GET)
        client.reads = False
        proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
        proxy.advance(7)
        assert not client.sock.reset
        proxy.advance(4)
        assert client.sock.reset


@limit
def half_close_grace() -> None:
    with running(limits=Limits(half_close_grace=6)) as proxy:
        client = proxy.client()
        client.send(GET)
        client.fin()
        closes_after(6, client, proxy)
        assert proxy.origin.last.was_reset


@limit
def requests_per_connection() -> None:
    with running(limits=Limits(requests_per_connection=2)) as proxy:
        answering(proxy.origin, lambda asked: OK)
        client = proxy.client()
        client.send(GET)
        assert not client.ended and b"Connection: close" not in client.received
        client.send(GET)
        assert client.ended and client.received.count(b"Connection: close") == 1


def turned_away(client: End) -> bool:
    return client.ended and answer(client).status == 503


@limit
def connections() -> None:
    with running(limits=Limits(connections=2)) as proxy:
        clients = [proxy.client(b"192.0.2.%d" % number) for number in range(3)]
        assert [turned_away(client) if client.received else False for client in clients] == [False, False, True]
        clients[0].close()
        assert not proxy.client().ended


@limit
def connections_per_address() -> None:
    with running(limits=Limits(connections_per_address=2)) as proxy:
        clients = [proxy.client() for _ in range(3)]
        assert turned_away(clients[2])
        assert not proxy.client(b"192.0.2.99").ended
        assert not proxy.client(trusted=True).ended
        clients[2].send(GET)
        clients[0].close()
        assert not proxy.client().ended


@limit
def buffered_octets() -> None:
    with running(limits=Limits(buffered_octets=1000)) as proxy:
        slow, other = proxy.client(room=100), proxy.client()
        slow.send(GET)
        slow.reads = False
        proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 1500)
        assert slow.sock.fin or slow.sock.reset
        assert proxy.budget.held <= 1000
        proxy.budget.take(1000)
        other.send(GET)
        assert answer(other).status == 503
        proxy.budget.give(1000)


@limit
def response_head_size() -> None:
    for size, expected in ((len(OK) - 6, 200), (len(OK) - 7, 502)):
        with running(limits=Limits(response_head_size=size)) as proxy:
            client = proxy.client()
            client.send(GET)
            proxy.origin.last.send(OK)
            assert answer(client).status == expected


@limit
def response_head_count() -> None:
    for count, expected in ((3, 200), (2, 502)):
        with running(limits=Limits(response_head_count=count)) as proxy:
            client = proxy.client()
            client.send(GET)
            proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nContent-Length: 0\r\n\r\n")
            assert answer(client).status == expected


@limit
def drain_timeout() -> None:
    """The service keeps the time; what it does at its end is here: a stopped channel is cut."""
    assert attrs.fields(Limits).drain_timeout.default == 10.0
    with running() as proxy:
        client = proxy.client()
        client.send(GET)
        proxy.frontend.draining = True
        for channel in list(proxy.frontend.channels):
            channel.drain()  # type: ignore[attr-defined]
        proxy.advance(8)
        assert not client.is_over
        for channel in list(proxy.frontend.channels):
            channel.stop()  # type: ignore[attr-defined]
        proxy.network.settle()
        assert client.was_reset


@option
def connect_timeout() -> None:
    with running(connect_timeout=4.0) as proxy:
        proxy.origin.mode = "silent"
        client = proxy.client()
        client.send(GET)
        proxy.advance(3)
        assert client.received == b""
        proxy.advance(2)
        assert answer(client).status == 504


@option
def answer_timeout() -> None:
    with running(answer_timeout=4.0) as proxy:
        client = proxy.client()
        client.send(GET)
        proxy.advance(3)
        assert client.received == b""
        proxy.advance(2)
        assert answer(client).status == 504


@option
def idle_timeout_() -> None:
    with running(idle_timeout=4.0) as proxy:
        client = proxy.client()
        client.send(GET)
        proxy.origin.last.send(HELLO)
        closes_after(4, client, proxy)
        assert not answer(client).complete


OPTIONS["idle_timeout"] = OPTIONS.pop("idle_timeout_")


@option
def tunnel_timeout() -> None:
    with running(tunnel_timeout=4.0) as proxy:
        client = proxy.client()
        client.send(request(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        proxy.origin.last.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        closes_after(4, client, proxy)
        assert proxy.origin.last.is_over


@option
def keep_alive() -> None:
    with running(keep_alive=5.0) as proxy:
        client = proxy.client()
        client.send(GET)
        proxy.origin.last.send(OK)
        closes_after(5, proxy.origin.last, proxy)


@option
def idle_connections() -> None:
    with running(idle_connections=1) as proxy:
        for client in (proxy.client(), proxy.client()):
            client.send(GET)
        for end in proxy.origin.connections:
            end.send(OK)
        assert [end.ended for end in proxy.origin.connections] == [False, True]


def second_waits(**options: int) -> None:
    with running(**options) as proxy:
        clients = [proxy.client(), proxy.client()]
        for client in clients:
            client.send(GET)
        assert len(proxy.origin.connections) == 1
        proxy.origin.last.send(OK)
        proxy.origin.last.send(OK)
        assert [answer(client).status for client in clients] == [200, 200]


@option
def connections_per_server() -> None:
    second_waits(connections_per_server=1)


@option
def connections_() -> None:
    second_waits(connections=1)


OPTIONS["connections"] = OPTIONS.pop("connections_")


@option
def queue() -> None:
    with running(connections=1, queue=0) as proxy:
        clients = [proxy.client(), proxy.client()]
        for client in clients:
            client.send(GET)
        assert answer(clients[1]).status == 503


@option
def queue_timeout() -> None:
    with running(connections=1, queue_timeout=4.0) as proxy:
        clients = [proxy.client(), proxy.client()]
        for client in clients:
            client.send(GET)
        proxy.advance(3)
        assert clients[1].received == b""
        proxy.advance(2)
        assert answer(clients[1]).status == 503


@option
def replay_size() -> None:
    for size, expected in ((5, 200), (4, 502)):
        with running(replay_size=size) as proxy:
            client = proxy.client()
            client.send(GET)
            old = proxy.origin.last
            old.send(OK)
            client.take_back()
            client.send(request(b"Content-Length: 5\r\n", b"PUT", body=b"hello"))
            old.close()
            if proxy.origin.last is not old:
                proxy.origin.last.send(OK)
            assert answer(client, b"PUT").status == expected


@option
def set_aside() -> None:
    with running(servers=["http://10.0.0.1", "http://10.0.0.2"], set_aside=6.0) as proxy:
        dead, alive = proxy.origins.values()
        answering(alive, lambda asked: OK)
        dead.mode = "refuse"
        proxy.client().send(GET + GET)
        proxy.advance(5)
        assert dead.attempts == 1
        proxy.advance(2)
        assert dead.attempts == 2


@option
def resolve_every() -> None:
    """The generation gives it to the resolver, whose own tests keep it."""
    from revproxy.service.generation import Surroundings

    with running() as proxy:
        surroundings = Surroundings(proxy.clock, proxy.sweep, proxy.budget)
        assert surroundings.resolver(12.0)._every == 12.0


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
def test_limit(name: str) -> None:
    LIMITS[name]()


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(UpstreamOptions) if field.name not in NO_LIMITS])
def test_option_of_an_upstream(name: str) -> None:
    OPTIONS[name]()


def test_no_check_is_left_over() -> None:
    assert set(LIMITS) == {field.name for field in attrs.fields(Limits)}
    assert set(OPTIONS) == {field.name for field in attrs.fields(UpstreamOptions)} - NO_LIMITS


def test_every_default_bounds_something() -> None:
    for field in attrs.fields(Limits):
        assert field.default > 0, field.name
        assert field.metadata["answer"], field.name
    assert attrs.fields(Limits).head_size.default <= 64 * KIB
