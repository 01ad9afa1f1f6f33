"""Our resources inside a stock ``twisted.web.server.Site``."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.web.resource import IResource
from twisted.web.server import Site
from twisted.web.static import Data

from revproxy.resources.base import Route, Routes
from revproxy.resources.proxy import ProxyResource
from revproxy.resources.vhost import VirtualHosts
from tests.support.dialogue import OK, answering
from tests.support.proxy import Proxy
from tests.support.reading import Answer, read_answers, read_requests


class Transport(StringTransport):
    """Twisted's transport for tests, which tells its protocol when it is lost."""

    protocol: Any = None
    lost = ""

    def loseConnection(self) -> None:
        self.lost = self.lost or "closed"

    def abortConnection(self) -> None:
        self.lost = "cut"


class StockSite:
    """A stock Site before our upstream, and one client's connection to it."""

    def __init__(self, proxy: Proxy, root: IResource) -> None:
        self.proxy = proxy
        self.site = Site(root, reactor=proxy.clock)
        self.site.logFile = None
        self.channel: Any = self.site.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
        self.transport = Transport(peerAddress=IPv4Address("TCP", "192.0.2.1", 1))
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)
        self.proxy.network.settle()

    def leave(self) -> None:
        from twisted.internet.error import ConnectionLost
        from twisted.python.failure import Failure

        self.channel.connectionLost(Failure(ConnectionLost()))
        self.proxy.network.settle()

    def answer(self, method: bytes = b"GET") -> Answer:
        (only,) = read_answers(self.transport.value(), [method], ended=bool(self.transport.lost))
        return only


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.assert_at_rest()


def test_a_request_goes_through(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: OK.replace(b"\r\n\r\n", b"\r\nServer: secret\r\n\r\n"))
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET /a//b?c HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: X-Hop\r\nX-Hop: y\r\n\r\n")
    (request,) = asked
    assert request.target == b"/a//b?c"
    assert request.get(b"x-forwarded-for") == b"192.0.2.1"
    assert request.get(b"x-hop") is None
    got = site.answer()
    assert (got.status, got.body, got.get(b"server")) == (200, b"hi", None)
    site.leave()


@pytest.mark.parametrize("size", [0, 5, 300_000])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_goes_through(proxy: Proxy, framing: str, size: int) -> None:
    asked = answering(proxy.origin, lambda request: OK)
    site = StockSite(proxy, proxy.resource)
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    if framing == "length":
        site.send(head + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    else:
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size) if size else b""
        site.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n")
    assert [len(request.body) for request in asked] == [size]
    assert asked[0].complete
    assert site.answer(b"POST").status == 200
    site.leave()


@pytest.mark.parametrize(
    "given",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello",
    ],
)
def test_answers_stream(proxy: Proxy, given: bytes) -> None:
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    at = given.index(b"he") + 2 if b"103" not in given else given.index(b"hello") + 2
    proxy.origin.last.send(given[:at])
    assert b"he" in site.transport.value()
    proxy.origin.last.send(given[at:])
    proxy.origin.last.fin()
    got = site.answer()
    assert (got.body, got.complete, got.interim) == (b"hello", True, ())
    site.leave()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"])
def test_a_client_that_leaves_stops_the_work(proxy: Proxy, begun: bytes) -> None:
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    proxy.origin.last.send(begun)
    site.leave()
    assert proxy.origin.last.was_reset


@pytest.mark.parametrize(
    "begun", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe"]
)
def test_an_answer_that_breaks_off_never_looks_complete(proxy: Proxy, begun: bytes) -> None:
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    proxy.origin.last.send(begun)
    proxy.origin.last.close()
    proxy.advance(2)
    assert site.transport.lost
    assert not site.answer().complete


def test_a_server_that_can_not_be_reached(proxy: Proxy) -> None:
    proxy.origin.mode = "refuse"
    for method in (b"GET", b"HEAD"):
        site = StockSite(proxy, proxy.resource)
        site.send(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
        got = site.answer(method)
        assert (got.status, got.complete) == (502, True)
        assert b"10.0.0.1" not in site.transport.value()
        site.leave()


def test_a_slow_client_stops_the_server(proxy: Proxy) -> None:
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    producer = site.transport.producer
    assert producer is not None
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 10)
    producer.pauseProducing()
    before = len(site.transport.value())
    proxy.origin.last.offer(b"x" * 999_990)
    assert len(site.transport.value()) == before
    producer.resumeProducing()
    proxy.network.settle()
    assert len(site.answer().body) == 1_000_000
    site.leave()


def test_a_dead_connection_is_replaced(proxy: Proxy) -> None:
    for _ in range(2):
        site = StockSite(proxy, proxy.resource)
        site.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        if len(proxy.origin.connections) == 1 and proxy.origin.last.received.count(b"PUT") == 2:
            proxy.origin.last.close()
        proxy.origin.last.send(OK)
        assert site.answer(b"PUT").status == 200
        site.leave()
    assert [request.body for request in read_requests(proxy.origin.last.received)] == [b"hello"]
    assert len(proxy.origin.connections) == 2


def test_an_upgrade_is_not_asked_for(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: OK)
    site = StockSite(proxy, proxy.resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert asked[0].get(b"upgrade") is None
    site.leave()


def test_claims_of_a_trusted_proxy(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: OK)
    resource = ProxyResource(proxy.group, trusted_proxies=[ip_network("192.0.2.0/24")])
    site = StockSite(proxy, resource)
    site.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\nX-Request-ID: abc\r\n\r\n")
    assert asked[0].get(b"x-forwarded-for") == b"203.0.113.9, 192.0.2.1"
    assert asked[0].get(b"x-request-id") == b"abc"
    site.leave()


def tree(proxy: Proxy) -> VirtualHosts:
    hosts = VirtualHosts()
    said = Data(b"said", "text/plain")
    said.isLeaf = True
    hosts.addHost(
        b"a.example",
        Routes(
            [
                Route(b"/", said),
                Route(b"/api", ProxyResource(proxy.group, strip=b"/api")),
                Route(b"/read", said, frozenset({b"GET"})),
            ]
        ),
    )
    return hosts


@pytest.mark.parametrize(
    ("method", "host", "target", "status"),
    [
        (b"GET", b"a.example", b"/", 200),
        (b"GET", b"A.example.:80", b"/x/y", 200),
        (b"GET", b"b.example", b"/", 404),
        (b"GET", b"[::1]:80", b"/", 404),
        (b"GET", b"a.example", b"/%61pi", 400),
        (b"GET", b"a.example", b"/x/../api", 400),
        (b"GET", b"a.example", b"//api", 400),
        (b"DELETE", b"a.example", b"/read", 405),
    ],
)
def test_hosts_and_routes(proxy: Proxy, method: bytes, host: bytes, target: bytes, status: int) -> None:
    site = StockSite(proxy, tree(proxy))
    site.send(b"%b %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (method, target, host))
    assert site.answer(method).status == status
    assert proxy.origin.connections == []
    site.leave()


@pytest.mark.parametrize(("target", "sent"), [(b"/api", b"/"), (b"/api/x?y", b"/x?y"), (b"/api/x%20/z", b"/x%20/z")])
def test_a_proxy_below_hosts_and_routes(proxy: Proxy, target: bytes, sent: bytes) -> None:
    asked = answering(proxy.origin, lambda request: OK)
    site = StockSite(proxy, tree(proxy))
    site.send(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % target)
    assert [request.target for request in asked] == [sent]
    assert site.answer().body == b"hi"
    site.leave()


@pytest.mark.parametrize(
    ("target", "sent"),
    [(b"http://b.example/x/y?z", b"/x/y?z"), (b"HTTP://B.Example:80", b"/"), (b"http://b.example/cut/x", b"/x")],
)
def test_the_host_of_an_absolute_target_wins(proxy: Proxy, target: bytes, sent: bytes) -> None:
    """RFC 9112 §3.2.2: it chooses the site, and is the Host that goes on."""
    asked = answering(proxy.origin, lambda request: OK)
    hosts = tree(proxy)
    hosts.addHost(
        b"b.example", Routes([Route(b"/", proxy.resource), Route(b"/cut", ProxyResource(proxy.group, strip=b"/cut"))])
    )
    site = StockSite(proxy, hosts)
    site.send(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % target)
    (request,) = asked
    assert request.target == sent
    assert (request.get(b"host") or b"").lower().startswith(b"b.example")
    assert site.answer().body == b"hi"
    site.leave()


def test_a_resource_below_a_route_for_an_absolute_target(proxy: Proxy) -> None:
    class Below(Data):
        isLeaf = True

        def render_GET(self, request: Any) -> bytes:
            return b"/".join(request.postpath)

    hosts = VirtualHosts()
    hosts.addHost(b"b.example", Routes([Route(b"/api", Below(b"", "text/plain"))]))
    site = StockSite(proxy, hosts)
    site.send(b"GET http://b.example/api/x/y HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert site.answer().body == b"x/y"
    site.leave()


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        (b"GET /", b"a b", 400),
        (b"GET http://b.example", b"a.example", 404),
        (b"GET http://u@a.example/", b"a.example", 400),
        (b"GET ftp://a.example/", b"a.example", 400),
        (b"TRACE /", b"a.example", 405),
    ],
)
def test_a_host_that_is_none_is_refused(proxy: Proxy, line: bytes, host: bytes, status: int) -> None:
    site = StockSite(proxy, tree(proxy))
    site.send(b"%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (line, host))
    assert site.answer(line.split()[0]).status == status
    site.leave()
