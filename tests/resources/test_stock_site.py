"""Our resources inside a stock ``twisted.web.server.Site``, in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from revproxy.resources.base import Route, Routes
from revproxy.resources.vhost import VirtualHosts
from tests.support.dialogue import OK, answering
from tests.support.fixtures import MakeProxy
from tests.support.proxy import Proxy
from tests.support.reading import Answer, read_answers

GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"


class StockClient:
    """A connection to a stock Site."""

    def __init__(self, proxy: Proxy, root: IResource) -> None:
        self.proxy = proxy
        site = Site(root, reactor=proxy.clock)
        # A Site starts a clock for its log when it begins to listen: here it never does.
        self.channel = site.buildProtocol(None)
        self.transport = StringTransportWithDisconnection()
        self.transport.protocol = self.channel
        self.channel.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.channel.dataReceived(data)
        self.proxy.network.settle()

    def leave(self) -> None:
        if self.transport.connected:
            self.transport.connected = False
            self.channel.connectionLost(Failure(ConnectionLost()))
        self.proxy.network.settle()

    def answer(self, method: bytes = b"GET") -> Answer:
        (only,) = read_answers(self.transport.value(), [method], ended=not self.transport.connected)
        return only


def ask(
    proxy: Proxy, data: bytes, method: bytes = b"GET", root: Callable[[Proxy], IResource] | None = None
) -> Answer:
    """The answer to one request, whose client leaves then."""
    client = StockClient(proxy, root(proxy) if root is not None else proxy.resource)
    client.send(data)
    got = client.answer(method)
    client.leave()
    return got


def test_get(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    got = ask(proxy, GET)
    assert (got.status, got.body, got.complete) == (200, b"hi", True)
    assert got.get(b"content-length") == b"2"
    (request,) = asked
    assert (request.method, request.target) == (b"GET", b"/x?y=1")
    assert request.get(b"host") == b"a.example"
    assert request.get(b"x-request-id")


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_post_with_a_body(make_proxy: MakeProxy, size: int) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    body = b"0123456789" * (size // 10) + b"x" * (size % 10)
    got = ask(proxy, b"POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body), b"POST")
    assert got.body == b"hi"
    assert [(request.method, request.body) for request in asked] == [(b"POST", body)]


def test_post_in_chunks_goes_on_whole(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask(proxy, head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"POST").status == 200
    assert [request.body for request in asked] == [b"abcde"]


def test_head(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    got = ask(proxy, GET.replace(b"GET", b"HEAD"), b"HEAD")
    assert (got.status, got.body, got.get(b"content-length")) == (200, b"", b"500")
    assert asked[0].method == b"HEAD"


def test_a_chunked_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n"
    answering(proxy.origin, lambda request: chunked)
    got = ask(proxy, GET)
    assert (got.body, got.complete) == (b"hi yo", True)


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body(make_proxy: MakeProxy, status: int) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: b"HTTP/1.1 %d X\r\nETag: \"e\"\r\n\r\n" % status)
    got = ask(proxy, GET)
    assert (got.status, got.body, got.complete, got.get(b"etag")) == (status, b"", True, b'"e"')


def test_502_has_the_request_id_and_no_backend(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.origin.mode = "refuse"
    got = ask(proxy, GET)
    assert got.status == 502
    request_id = got.get(b"x-request-id")
    assert request_id and request_id in got.body
    assert b"10.0.0.1" not in b"".join([got.body, *(name + value for name, value in got.fields)])


def test_502_for_head_has_no_body(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.origin.mode = "refuse"
    got = ask(proxy, GET.replace(b"GET", b"HEAD"), b"HEAD")
    assert (got.status, got.body) == (502, b"")


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"])
def test_an_answer_that_breaks_off_looks_broken_off(make_proxy: MakeProxy, framing: bytes) -> None:
    proxy = make_proxy()
    client = StockClient(proxy, proxy.resource)
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\n" + framing)
    proxy.origin.last.close()
    got = client.answer()
    assert (got.status, got.body, got.complete) == (200, b"half", False)
    assert not client.transport.connected
    client.leave()


def test_a_client_that_leaves_while_waiting(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = StockClient(proxy, proxy.resource)
    client.send(GET)
    assert proxy.origin.last.received
    client.leave()
    assert proxy.origin.last.is_over


def test_a_client_that_leaves_in_the_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = StockClient(proxy, proxy.resource)
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    assert client.transport.value().endswith(b"half")
    client.leave()
    assert proxy.origin.last.is_over


def tree(proxy: Proxy) -> IResource:
    hosts = VirtualHosts()
    hosts.addHost(
        b"a.example", Routes([Route(b"/api", proxy.resource, frozenset({b"GET"})), Route(b"/", proxy.resource)])
    )
    hosts.addHost(b"*.b.example", proxy.resource)
    hosts.addHost(b"[::1]", proxy.resource)
    return hosts


@pytest.mark.parametrize(
    ("method", "host", "target", "status"),
    [
        (b"GET", b"a.example", b"/api/x", 200),
        (b"GET", b"A.Example.:8080", b"/api/x", 200),
        (b"GET", b"deep.www.b.example", b"/", 200),
        (b"GET", b"[0:0:0:0:0:0:0:1]:8080", b"/", 200),
        (b"GET", b"b.example", b"/", 404),
        (b"GET", b"[::2]", b"/", 404),
        (b"POST", b"a.example", b"/x", 200),
        (b"POST", b"a.example", b"/api/x", 405),
        (b"GET", b"a.example", b"/%61pi", 400),
        (b"GET", b"a.example", b"//api", 400),
        (b"GET", b"a.example", b"/x/../api", 400),
    ],
)
def test_hosts_and_routes(make_proxy: MakeProxy, method: bytes, host: bytes, target: bytes, status: int) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    raw = b"%b %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 0\r\n\r\n" % (method, target, host)
    got = ask(proxy, raw, method, tree)
    assert got.status == status
    assert [request.target for request in asked] == ([target] if status == 200 else [])
    if status == 405:
        assert got.get(b"allow") == b"GET, HEAD"


class Rest(Resource):
    """Answers with what is left of the path."""

    isLeaf = True

    def render_GET(self, request: object) -> bytes:
        return b"|".join([*request.prepath, b"", *request.postpath])  # type: ignore[attr-defined]


def test_a_plain_resource_behind_routes_sees_the_rest_of_the_path(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    got = ask(
        proxy,
        GET.replace(b"/x?y=1", b"/a/b%20c/d"),
        root=lambda proxy: Routes([Route(b"/a", Rest()), Route(b"/", proxy.resource)]),
    )
    assert got.body == b"a||b c|d"
