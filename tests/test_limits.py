"""A test for every limit: each row of the configuration's tables has an entry here, and a new row without one fails."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from twisted.internet.address import IPv4Address
from twisted.web.resource import Resource

from revproxy.config.model import KIB, AccessLog, Config, Limits, Server, UpstreamOptions
from revproxy.resources.base import Route, Routes
from revproxy.service.generation import Generation, Surroundings, open_upstream
from revproxy.service.opened import Opened
from revproxy.service.worker import Worker
from tests.service.secured import secured
from tests.support.dialogue import GET, OK, answer, answering, running
from tests.support.network import End, Origin
from tests.support.proxy import Proxy

Check = Callable[[], None]
LIMITS: dict[str, Check] = {}
OPTIONS: dict[str, Check] = {}
NO_LIMITS = {"name", "servers", "balance", "tls"}
"""Options of an upstream that bound nothing."""

TWO = ["http://10.0.0.1", "http://10.0.0.2"]
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
def handshake_timeout() -> None:
    with TemporaryDirectory() as folder, secured(Path(folder), limits=Limits(handshake_timeout=5)) as service:
        client = service.plain(0)
        service.seconds(4)
        assert client.read() == b""
        service.seconds(2)
        assert client.read() is None


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
    # Behind a trusted proxy: requests at once, by the client that it tells.
    with running(limits=Limits(connections_per_address=2)) as proxy:
        clients = [proxy.client(trusted=True) for _ in range(4)]
        for client, original in zip(clients, (b"7", b"7", b"7", b"8"), strict=True):
            client.send(request(b"X-Forwarded-For: 198.51.100.%b\r\n" % original))
        assert answer(clients[2]).status == 503
        assert [client.received for client in (*clients[:2], clients[3])] == [b""] * 3


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
    """A service that stops, with the memory's connections for those of a listener."""
    with running() as proxy:
        idle, busy = proxy.client(), proxy.client()
        busy.send(GET)
        config = Config(listeners=(), limits=Limits(drain_timeout=5.0), access_log=AccessLog(path="off"))
        worker = Worker(Opened(config, [], None, None, None), proxy.clock)
        worker.sweep.now = proxy.clock.seconds
        worker.generation = Generation(config, Surroundings(proxy.network, worker.sweep, worker.budget))
        acceptor: Any = SimpleNamespace(
            stop=lambda: setattr(proxy.frontend, "draining", True),
            cut=lambda: None,
            is_busy=False,
            frontend=proxy.frontend,
        )
        worker.acceptors.append(acceptor)
        stopped = worker.drain(5.0)
        proxy.advance(4)
        assert idle.ended and not busy.is_over and not stopped.called
        proxy.advance(2)
        assert busy.was_reset and proxy.origin.last.is_over and stopped.called
        assert proxy.transaction.reason == "shutting_down"


@option
def connect_timeout() -> None:
    with running(servers=TWO, connect_timeout=4.0) as proxy:
        one, two = proxy.origins.values()
        one.mode = two.mode = "silent"
        client = proxy.client()
        client.send(GET)
        proxy.advance(3)
        assert (one.attempts, two.attempts) == (1, 0)
        proxy.advance(2)
        assert (one.attempts, two.attempts) == (1, 1) and client.received == b""
        proxy.advance(5)
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
    """No request meanwhile; tried in the background after 1, 2, 4 ... 16 times as long."""
    with running(servers=TWO, set_aside=5.0) as proxy:
        dead, alive = proxy.origins.values()
        answering(alive, lambda asked: OK)
        dead.mode = "refuse"
        client = proxy.client()
        client.send(GET)
        tried = [0]
        for second in range(1, 320):
            before = dead.attempts
            client.take_back()
            client.send(GET)
            assert answer(client).status == 200 and dead.attempts == before
            proxy.advance(1)
            if dead.attempts > before:
                tried.append(second)
        assert [later - earlier for earlier, later in pairwise(tried)] == [5, 10, 20, 40, 80, 80, 80]


@option
def resolve_every() -> None:
    """At that age a name is asked again, and its new address serves; without a dot, DNS is not asked for its TTL."""
    now_at, looked_up = "10.0.0.1", 0

    def resolve(receiver: Any, name: str, port: int = 0, *_: Any) -> None:
        nonlocal looked_up
        looked_up += 1
        receiver.addressResolved(IPv4Address("TCP", now_at, port))
        receiver.resolutionComplete()

    def resolver(proxy: Proxy) -> Any:
        reactor = SimpleNamespace(nameResolver=SimpleNamespace(resolveHostName=resolve))
        options = UpstreamOptions(name="app", servers=(Server(url="http://app:80"),), resolve_every=20.0)
        return open_upstream(options, Surroundings(reactor, proxy.sweep, proxy.budget), proxy.limits).pool.resolver

    with running(servers=["http://app:80"], resolver=resolver, idle_connections=0) as proxy:
        old, new = Origin(proxy.network), Origin(proxy.network)
        proxy.origins.update({("10.0.0.1", 80): old, ("10.0.0.2", 80): new})
        for origin in (old, new):
            answering(origin, lambda asked: OK)
        client = proxy.client()
        client.send(GET)
        now_at = "10.0.0.2"
        proxy.advance(19)
        client.send(GET)
        assert (looked_up, old.attempts, new.attempts) == (1, 2, 0)
        proxy.advance(2)
        client.send(GET + GET)
        assert (looked_up, old.attempts, new.attempts) == (2, 3, 1)
        assert client.received.count(b"200 OK") == 4


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
    for name, value in attrs.asdict(Limits()).items():
        assert value > 0, name
        assert attrs.fields_dict(Limits)[name].metadata["answer"], name
    assert Limits().head_size <= 64 * KIB


def test_the_answers_shown_here_are_those_of_the_table() -> None:
    """A changed word in the table asks for a look at its test. Keys that document none are left out."""
    limits = {"connections_per_address": "503, closed", "connections": "503, closed", "send_timeout": "cut"}
    limits |= {"handshake_timeout": "closed", "idle_timeout": "closed"}
    limits |= {"half_close_grace": "the exchange is aborted", "drain_timeout": "cut"}
    limits |= {"requests_per_connection": "Connection: close", "body_size": "413", "buffered_body_size": "413"}
    limits |= dict.fromkeys(("head_size", "head_count"), "431") | {"target_length": "414"}
    limits |= dict.fromkeys(("head_timeout", "body_rate", "body_timeout"), "408")
    limits |= dict.fromkeys(("response_head_size", "response_head_count"), "502")
    limits |= {"buffered_octets": "503 for new requests; a stream that needs more is cut"}
    assert limits == {field.name: field.metadata["answer"] for field in attrs.fields(Limits)}
    options = dict.fromkeys(("connections_per_server", "connections"), "the request waits in the queue")
    options |= {"connect_timeout": "next server, then 504", "answer_timeout": "504", "queue": "503"}
    options |= {"queue_timeout": "503", "idle_timeout": "the client's connection is cut"}
    options |= {"tunnel_timeout": "both sides are closed"}
    answered = {field.name: field.metadata["answer"] for field in attrs.fields(UpstreamOptions)}
    assert options == {name: words for name, words in answered.items() if words}
