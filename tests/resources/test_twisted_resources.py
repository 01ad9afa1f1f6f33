"""Any Twisted resource under our own listeners: files, a Klein app, plain resources, each with a real Request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from klein import Klein
from twisted.internet.defer import Deferred
from twisted.web.error import UnsupportedMethod
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.static import File

from revproxy.config.model import Limits
from revproxy.resources.base import Route, Routes
from tests.support.dialogue import answer, answers, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.network import End
from tests.support.proxy import Proxy


def under(resource: IResource, path: bytes = b"/") -> Any:
    return lambda proxy: Routes([Route(path, resource)])


def get(proxy: Proxy, target: bytes, fields: bytes = b"", method: bytes = b"GET") -> End:
    client = proxy.client()
    client.send(b"%b %b HTTP/1.1\r\nHost: a.example:8080\r\n%b\r\n" % (method, target, fields))
    return client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.txt").write_bytes(b"hello, world")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 4096)
    return tmp_path


def test_files(make_proxy: MakeProxy, folder: Path) -> None:
    proxy = make_proxy(root=under(File(str(folder)), b"/static"))
    got = answer(get(proxy, b"/static/hello.txt"))
    assert (got.status, got.body, got.get(b"content-length")) == (200, b"hello, world", b"12")
    assert answer(get(proxy, b"/static/missing")).status == 404
    assert answer(get(proxy, b"/static/../../etc/passwd")).status in (400, 404)
    assert answer(get(proxy, b"/static/%2e%2e/%2e%2e/etc/passwd")).status in (400, 404)
    head = answer(get(proxy, b"/static/hello.txt", method=b"HEAD"), b"HEAD")
    assert (head.status, head.body, head.get(b"content-length")) == (200, b"", b"12")


def test_ranges_of_a_file(make_proxy: MakeProxy, folder: Path) -> None:
    proxy = make_proxy(root=under(File(str(folder))))
    got = answer(get(proxy, b"/hello.txt", b"Range: bytes=7-\r\n"))
    assert (got.status, got.body, got.get(b"content-range")) == (206, b"world", b"bytes 7-11/12")
    assert answer(get(proxy, b"/hello.txt", b"Range: bytes=50-\r\n")).status == 416
    several = answer(get(proxy, b"/hello.txt", b"Range: bytes=0-1,3-4\r\n"))
    assert several.status == 206 and several.complete and b"he" in several.body


def test_conditional_requests_of_a_file(make_proxy: MakeProxy, folder: Path) -> None:
    proxy = make_proxy(root=under(File(str(folder))))
    modified = answer(get(proxy, b"/hello.txt")).get(b"last-modified") or b""
    got = answer(get(proxy, b"/hello.txt", b"If-Modified-Since: %b\r\n" % modified))
    assert (got.status, got.body, got.complete) == (304, b"", True)


def test_a_large_file_to_a_slow_client(make_proxy: MakeProxy, folder: Path) -> None:
    proxy = make_proxy(root=under(File(str(folder))))
    client = proxy.client(room=10_000)
    client.reads = False
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    proxy.advance(3)
    assert 0 < proxy.queued < 400_000
    client.reads = True
    for _ in range(300):
        proxy.network.settle()
    assert answer(client).body == bytes(range(256)) * 4096


def test_a_client_that_leaves_a_large_file(make_proxy: MakeProxy, folder: Path) -> None:
    proxy = make_proxy(root=under(File(str(folder))))
    client = proxy.client(room=10_000)
    client.reads = False
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    client.cut()
    proxy.advance(2)
    assert proxy.frontend.channels == set()


app = Klein()


@app.route("/", methods=["GET"])
def front(request: Any) -> bytes:
    return b"front"


@app.route("/form", methods=["POST"])
def form(request: Any) -> bytes:
    names: list[bytes] = request.args[b"name"]
    return b"|".join(names)


@app.route("/item/<int:number>")
def item(request: Any, number: int) -> str:
    request.setHeader("X-Number", str(number))
    return f"{number} of {request.URLPath()}"


def test_a_klein_app(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=under(app.resource(), b"/app"))
    assert answer(get(proxy, b"/app/")).body == b"front"
    got = answer(get(proxy, b"/app/item/42"))
    assert (got.body, got.get(b"x-number")) == (b"42 of http://a.example:8080/app/item/42", b"42")
    assert answer(get(proxy, b"/app/none")).status == 404
    assert answer(get(proxy, b"/app/form")).status == 405
    client = proxy.client()
    client.send(
        b"POST /app/form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 15\r\n\r\nname=a&name=b+c"
    )
    assert answer(client, b"POST").body == b"a|b c"


class Echo(Resource):
    """Says what it was asked."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        paths = b"/".join(request.prepath), b"/".join(request.postpath)
        return b"%b %b %b %b" % (request.uri, *paths, request.getClientAddress().host.encode())

    def render_POST(self, request: Any) -> bytes:
        return b"%d %b" % (len(request.content.read()), type(request.content).__name__.encode())


def test_paths_and_peer_of_a_real_request(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=under(Echo(), b"/a/b"))
    assert answer(get(proxy, b"/a/b/c/d?e")).body == b"/a/b/c/d?e a/b c/d 192.0.2.1"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_body_is_gathered_in_memory_or_in_a_file(framing: str, size: int) -> None:
    body = b"x" * size
    if framing == "length":
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (size, body)
    else:
        chunks = b"%x\r\n%b\r\n" % (size, body) if size else b""
        request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
    for cut in ways(request) if size < 10 else [()]:
        with running(root=under(Echo())) as proxy:
            client = proxy.client()
            client.send(request, cut=cut)
            length, kind = answer(client, b"POST").body.split()
            assert int(length) == size
            assert (kind == b"BytesIO") is (size < 100_000)
            assert not client.ended


def test_a_body_over_the_limit_is_refused_early(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=under(Echo()), limits=Limits(buffered_body_size=1000))
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n")
    assert answer(client, b"POST").status == 413


def test_a_client_that_waits_is_told_to_go_on(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(root=under(Echo()))
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert client.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hi")
    assert answer(client, b"POST").body == b"2 BytesIO"


class Slow(Resource):
    """Answers when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.ends: list[str] = []

    def render(self, request: Any) -> int:
        self.requests.append(request)
        ended: Deferred[None] = request.notifyFinish()
        ended.addCallbacks(lambda _: self.ends.append("answered"), lambda _: self.ends.append("left"))
        return NOT_DONE_YET


def test_an_answer_in_pieces(make_proxy: MakeProxy) -> None:
    resource = Slow()
    proxy = make_proxy(root=under(resource))
    client = get(proxy, b"/")
    (request,) = resource.requests
    request.write(b"one")
    proxy.network.settle()
    assert client.received.endswith(b"3\r\none\r\n")
    request.write(b"two")
    request.finish()
    proxy.network.settle()
    assert answer(client).body == b"onetwo"
    assert resource.ends == ["answered"]


def test_a_client_that_leaves_before_the_answer_begins(make_proxy: MakeProxy) -> None:
    resource = Slow()
    proxy = make_proxy(root=under(resource))
    get(proxy, b"/").cut()
    assert resource.ends == ["left"]
    resource.requests[0].write(b"too late")


def test_a_client_that_leaves_in_the_middle(make_proxy: MakeProxy) -> None:
    resource = Slow()
    proxy = make_proxy(root=under(resource))
    client = get(proxy, b"/")
    resource.requests[0].write(b"one")
    client.cut()
    assert resource.ends == ["left"]


@pytest.mark.parametrize("body", [b"short", b"much too long"])
def test_a_resource_that_lies_about_its_length_never_looks_complete(make_proxy: MakeProxy, body: bytes) -> None:
    resource = Slow()
    proxy = make_proxy(root=under(resource))
    client = get(proxy, b"/")
    request = resource.requests[0]
    request.setHeader("content-length", "10")
    request.write(body)
    if not resource.ends:
        request.finish()
    proxy.network.settle()
    assert client.is_over
    assert not answer(client).complete


class Broken(Resource):
    """Fails."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        raise ValueError("secret")

    def render_HEAD(self, request: Any) -> int:
        request.write(b"")
        request.finish()
        return NOT_DONE_YET


class BrokenLate(Slow):
    """Begins to answer, and fails."""

    def render(self, request: Any) -> int:
        super().render(request)
        request.write(b"secr")
        raise ValueError("secret")


class BrokenWay(Resource):
    """Fails before it is asked."""

    def getChild(self, path: bytes, request: Any) -> IResource:
        raise ValueError("secret")


class NoBytes(Resource):
    """Returns what is no answer."""

    isLeaf = True

    def render_GET(self, request: Any) -> Any:
        return "secret"


def klein_that_fails() -> IResource:
    app = Klein()

    @app.route("/")
    def fail(request: Any) -> bytes:
        raise ValueError("secret")

    resource: IResource = app.resource()
    return resource


@pytest.mark.parametrize("make", [Broken, BrokenWay, NoBytes, klein_that_fails])
def test_a_resource_that_fails_is_500(make: Callable[[], IResource]) -> None:
    """Our page, with the number under which the log has the traceback, once."""
    proxy = Proxy(root=under(make()))
    client = get(proxy, b"/", b"Accept: text/plain\r\n")
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    got = answers(client, b"GET", b"HEAD")[0]
    assert got.status == 500 and got.complete
    assert b"secret" not in client.received and b"Processing" not in client.received
    assert got.get(b"x-request-id") == b"id1" and b"id1" in got.body
    first = proxy.transactions[0]
    assert (first.status, first.reason) == (500, "internal_error")
    assert [event["id"] for event in proxy.watch.mistakes][:1] == ["id1"]
    assert [event["id"] for event in proxy.watch.mistakes].count("id1") == 1
    proxy.watch.mistakes.clear()
    proxy.assert_at_rest()


def test_a_resource_that_fails_in_its_answer_never_looks_complete() -> None:
    resource = BrokenLate()
    proxy = Proxy(root=under(resource))
    client = get(proxy, b"/")
    got = answer(client)
    assert (got.status, got.body, got.complete) == (200, b"secr", False)
    assert client.is_over
    assert proxy.transaction.reason == "internal_error"
    assert resource.ends, "it hears that its request is over"
    assert len(proxy.watch.mistakes) == 1
    proxy.watch.mistakes.clear()
    proxy.assert_at_rest()


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"POST", b"BREW"])
def test_a_method_that_files_do_not_know_is_405(make_proxy: MakeProxy, folder: Path, method: bytes) -> None:
    proxy = make_proxy(root=under(File(str(folder))))
    client = get(proxy, b"/hello.txt", method=method)
    got = answer(client, method)
    assert (got.status, got.get(b"allow")) == (405, b"GET, HEAD")
    assert got.get(b"x-request-id") == b"id1"
    assert proxy.transaction.reason == "method_not_allowed"
    client.send(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answers(client, method, b"GET")[1].body == b"hello, world"


def test_a_head_of_a_resource_that_knows_get_alone_is_answered(make_proxy: MakeProxy) -> None:
    class Getting(Resource):
        isLeaf = True

        def render(self, request: Any) -> bytes:
            if request.method != b"GET":
                raise UnsupportedMethod([b"GET"])
            return b"hello"

    proxy = make_proxy(root=under(Getting()))
    got = answer(get(proxy, b"/", method=b"HEAD"), b"HEAD")
    assert (got.status, got.get(b"content-length"), got.body) == (200, b"5", b"")
    put = answer(get(proxy, b"/", method=b"PUT"), b"PUT")
    assert (put.status, put.get(b"allow")) == (405, b"GET, HEAD")


def test_a_router_that_fails_is_500() -> None:
    class Bad(Routes):
        def choose(self, request: Any) -> object:
            raise ValueError("secret")

    proxy = Proxy(root=lambda proxy: Bad([]))
    client = get(proxy, b"/")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [got.status for got in answers(client, b"GET", b"GET")] == [500, 500]
    assert b"secret" not in client.received
    assert len(proxy.watch.mistakes) == 2
    proxy.watch.mistakes.clear()
    proxy.assert_at_rest()


def test_children_are_walked_to_a_proxy(make_proxy: MakeProxy) -> None:
    def root(proxy: Proxy) -> IResource:
        top = Resource()
        middle = Resource()
        top.putChild(b"api", middle)
        middle.putChild(b"v1", proxy.resource)
        middle.putChild(b"echo", Echo())
        return top

    proxy = make_proxy(root=root)
    client = get(proxy, b"/api/v1/x?y")
    assert proxy.origin.received.startswith(b"GET /api/v1/x?y HTTP/1.1\r\n")
    client.cut()
    assert answer(get(proxy, b"/api/echo/z")).body == b"/api/echo/z api/echo z 192.0.2.1"
    assert answer(get(proxy, b"/api/none")).status == 404


class Pulled:
    """A pull producer that fails at its third piece."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.pieces = 0
        self.stopped = False

    def resumeProducing(self) -> None:
        self.pieces += 1
        if self.pieces == 3:
            raise ValueError("secret")
        self.request.write(b"piece")

    def stopProducing(self) -> None:
        self.stopped = True


def test_a_producer_that_fails_never_looks_complete() -> None:
    resource = Slow()
    proxy = Proxy(root=under(resource))
    client = get(proxy, b"/")
    producer = Pulled(resource.requests[0])
    resource.requests[0].registerProducer(producer, False)
    proxy.network.settle()
    assert client.is_over and answer(client).body == b"piecepiece" and not answer(client).complete
    assert producer.stopped
    assert len(proxy.watch.mistakes) == 1
    proxy.watch.mistakes.clear()
    proxy.assert_at_rest()


class Pushed:
    """A push producer: it only remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_a_producer_that_registers_while_the_client_is_slow_is_paused(make_proxy: MakeProxy) -> None:
    resource = Slow()
    proxy = make_proxy(root=under(resource))
    client = proxy.client(room=1000)
    client.reads = False
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    request = resource.requests[0]
    request.write(b"x" * 5000)
    producer = Pushed()
    request.registerProducer(producer, True)
    assert producer.told == ["pause"]
    client.reads = True
    proxy.network.settle()
    assert producer.told == ["pause", "resume"]
    client.cut()
    assert producer.told == ["pause", "resume", "stop"]
    assert resource.ends == ["left"]
