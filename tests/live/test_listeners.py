"""Where clients come in: several addresses, IPv6, unix sockets; garbage, limits; what else may hang in the tree."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.live.support_backends import HELLO
from tests.live.support_client import RawClient, ask, curl
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started


@pytest.fixture
def several(started: Started, tmp_path: Path) -> Iterator[tuple[Proxy, int, int, str]]:
    """One proxy on an IPv4 address, an IPv6 address, every address and a unix socket."""
    six, every, path = free_port("::1"), free_port(), f"{tmp_path}/front.sock"
    listeners = "".join(
        f'[[listener]]\naddress = "{address}"\n'
        for address in ("127.0.0.1:0", f"[::1]:{six}", f":{every}", f"unix:{path}")
    )
    text = listeners + f'[[site]]\nroute = [{{proxy = "{started.backend("nginx").url}"}}]\n'
    with Proxy.configured(tmp_path, text, listen=False) as proxy:
        proxy.wait_for("listens on unix:")
        yield proxy, six, every, path


def test_every_listener_serves(several: tuple[Proxy, int, int, str]) -> None:
    proxy, six, every, path = several
    for client in (
        RawClient(proxy.port),
        RawClient(six, host="::1"),
        RawClient(every),
        RawClient(every, host="::1"),
        RawClient(0, path=path),
    ):
        with client:
            assert client.ask("GET", "/hello.txt").body == HELLO
    assert curl("--unix-socket", path, "http://any.example/hello.txt").body == HELLO
    # An IPv4 client on a socket for both kinds has its IPv4 address.
    assert [record["client"] for record in proxy.records(6)] == ["127.0.0.1", "::1", "127.0.0.1", "::1", "unix:", "unix:"]
    assert proxy.end() == 0
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(OSError, match=r"."):
        probe.connect(path)


def test_a_socket_that_was_left_behind_is_replaced(started: Started, tmp_path: Path) -> None:
    path = tmp_path / "front.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Proxy(tmp_path, "--to", started.backend("nginx").url, "--listen", f"unix:{path}", listen=False) as proxy:
        proxy.await_start()
        with RawClient(0, path=str(path)) as client:
            assert client.ask("GET", "/hello.txt").status == 200


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=["TLS", "SSH", "zeros", "two hosts", "no host", "space", "smuggling", "HTTP/2"],
)
def test_garbage_is_told_so_and_closed(started: Started, garbage: bytes) -> None:
    proxy = started.proxy("nginx")
    with RawClient(proxy.port) as client:
        client.send(garbage)
        answer = client.read_answer()
        assert answer.status in (400, 505)
        assert answer.get("Connection") == "close"
        assert client.is_ended()
    record = proxy.record_with("id", answer.get("X-Request-ID"))
    assert record["status"] == answer.status
    assert record["reason"]
    assert "Traceback" not in proxy.output


def limited(folder: Path, started: Started, limits: str) -> Proxy:
    text = f'[[site]]\nroute = [{{proxy = "{started.backend("nginx").url}"}}]\n[limits]\n{limits}\n'
    return Proxy.configured(folder, text)


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
def test_connections_over_the_limit_are_turned_away(started: Started, tmp_path: Path, limit: str) -> None:
    with limited(tmp_path, started, f"{limit} = 2") as proxy, RawClient(proxy.port) as one:
        with RawClient(proxy.port) as two:
            assert one.ask("GET", "/hello.txt").status == 200
            assert two.ask("GET", "/hello.txt").status == 200
            with RawClient(proxy.port) as three:
                answer = three.read_answer()
                assert (answer.status, answer.get("Connection")) == (503, "close")
                assert three.is_ended()
        # One left: there is room again.
        until(lambda: ask(proxy.port, "GET", "/hello.txt").status == 200, "room for another")
        assert one.ask("GET", "/hello.txt").status == 200


def test_limits_of_requests(started: Started, tmp_path: Path) -> None:
    limits = 'head_size = "2KiB"\nhead_count = 5\ntarget_length = 100\nbody_size = 10\nhead_timeout = "1s"'
    with limited(tmp_path, started, limits) as proxy:
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
        assert ask(proxy.port, "GET", "/" + "x" * 200).status == 414
        assert ask(proxy.port, "GET", "/", "A: " + "x" * 3000).status == 431
        assert ask(proxy.port, "GET", "/", *("A: 1" for _ in range(6))).status == 431
        assert ask(proxy.port, "POST", "/", body=b"x" * 11).status == 413
        with RawClient(proxy.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHo")
            assert client.read_answer().status == 408
            assert client.is_ended()


SITE = """
from klein import Klein
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.static import File

from revproxy.config import AccessLog, Config, Listener, Route, Site

app = Klein()


@app.route("/greet/<name>")
def greet(request, name):
    return f"hello {name}, {request.getClientAddress().host}"


@app.route("/later")
def later(request):
    from twisted.internet import reactor

    return deferLater(reactor, 0.01, lambda: b"later")


@app.route("/fails")
def fails(request):
    raise RuntimeError("a mistake of the application")


class Posted(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"get"

    def render_POST(self, request):
        return b"%d" % len(request.content.read())


config = Config(
    sites=(
        Site(
            routes=(
                Route(path="/klein", resource=app.resource()),
                Route(path="/files/", resource=File({folder!r})),
                Route(path="/post", resource=Posted()),
                Route(path="/", proxy={url!r}),
            )
        ),
    ),
)
"""


@pytest.fixture(scope="module")
def python_site(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("python")
    documents = folder / "documents"
    documents.mkdir()
    (documents / "hello.txt").write_bytes(HELLO)
    (documents / "big.bin").write_bytes(bytes(range(256)) * 40_000)
    text = SITE.replace("{folder!r}", repr(str(documents))).replace("{url!r}", repr(started.backend("nginx").url))
    with Proxy.configured(folder, text, name="site.py") as proxy:
        yield proxy


def test_files_in_the_tree(python_site: Proxy) -> None:
    with RawClient(python_site.port) as client:
        assert client.ask("GET", "/files/hello.txt").body == HELLO
        part = client.ask("GET", "/files/hello.txt", "Range: bytes=6-9")
        assert (part.status, part.body) == (206, b"from")
        head = client.ask("HEAD", "/files/hello.txt")
        assert head.get("Content-Length") == str(len(HELLO))
        assert client.ask("GET", "/files/big.bin").body == bytes(range(256)) * 40_000
        assert client.ask("GET", "/files/nowhere").status == 404
        assert client.ask("GET", "/hello.txt").body == HELLO
        # Ambiguous, and whoever sends that is not believed about where its next request begins.
        assert client.ask("GET", "/files/..%2f..%2fetc/passwd").status == 400


def test_a_klein_application_in_the_tree(python_site: Proxy) -> None:
    with RawClient(python_site.port) as client:
        assert client.ask("GET", "/klein/greet/you").body == b"hello you, 127.0.0.1"
        assert client.ask("GET", "/klein/later").body == b"later"
        assert client.ask("GET", "/klein/nowhere").status == 404
        failed = client.ask("GET", "/klein/fails")
        assert failed.status == 500
        assert b"a mistake" not in failed.body
        assert client.ask("GET", "/klein/later").body == b"later"


def test_a_plain_resource_in_the_tree(python_site: Proxy) -> None:
    with RawClient(python_site.port) as client:
        assert client.ask("POST", "/post", body=b"x" * 300_000).body == b"300000"
        client.send(b"POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert client.read_answer().body == b"3"
        assert client.ask("PUT", "/post", body=b"x").status == 405
        assert client.ask("GET", "/post").body == b"get"


def test_requests_of_resources_are_logged_once(python_site: Proxy) -> None:
    assert ask(python_site.port, "GET", "/klein/greet/log").status == 200
    record = python_site.record_with("target", "/klein/greet/log")
    assert (record["status"], record["upstream"], record["sent"]) == (200, None, 20)
