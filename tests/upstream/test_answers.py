"""A server's answers are trusted no more than a client's requests: malformed ones, octets too many, octets too few."""

from __future__ import annotations

import select
import socket
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from revproxy.wire.budget import OctetBudget
from revproxy.wire.stream import SocketStream
from tests.support.dialogue import GET, OK, answer, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.network import Network

MALFORMED = [
    b"nonsense\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\n\r\n",
    b"HTTP/1.1 099 OK\r\n\r\n",
    b"HTTP/1.1  200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: y\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("given", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_answer_is_502_and_its_connection_is_not_used_again(given: bytes) -> None:
    step = max(1, len(given) // 20)
    for cut in ways(given, step=step) if len(given) < 500 else [()]:
        with running() as proxy:
            client = proxy.client()
            client.send(GET)
            first = proxy.origin.last
            first.send(given, cut=cut)
            assert answer(client).status == 502
            assert proxy.transaction.reason == "malformed_answer"
            assert first.was_reset or first.is_over
            client.take_back()
            client.send(GET)
            assert len(proxy.origin.connections) == 2
            proxy.origin.last.send(OK)
            assert answer(client).status == 200


@pytest.mark.parametrize("bad", [b"x\r\n", b"5\r\nhelloo", b"-1\r\n", b"5;\x01\r\n"])
def test_a_body_that_breaks_cuts_the_client(make_proxy: MakeProxy, bad: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    proxy.origin.last.send(bad)
    assert client.is_over
    got = answer(client)
    assert got.status == 200 and not got.complete and got.body.startswith(b"hi")
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "malformed_answer"


@pytest.mark.parametrize(
    "given",
    [
        OK + b"x",
        OK + OK,
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nHTTP/1.1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhi",
    ],
)
def test_octets_behind_a_whole_answer_end_its_connection(given: bytes) -> None:
    for cut in ways(given, step=5):
        with running() as proxy:
            client = proxy.client()
            client.send(GET)
            proxy.origin.last.send(given, cut=cut)
            got = answer(client)
            assert got.complete and got.body in (b"hi", b"")
            client.take_back()
            client.send(GET)
            assert len(proxy.origin.connections) == 2
            assert client.received == b""
            proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
            assert answer(client).body == b"mine"


def test_an_answer_to_no_request_ends_the_connection(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    first = proxy.origin.last
    first.send(OK)
    first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
    assert first.sock.peer.closed
    client.take_back()
    client.send(GET)
    proxy.origin.last.send(OK)
    assert answer(client).body == b"hi"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (OK, True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", True),
    ],
)
def test_whether_its_connection_is_kept(make_proxy: MakeProxy, given: bytes, kept: bool) -> None:
    proxy = make_proxy()
    client = proxy.client()
    for number in (1, 2, 3):
        client.send(GET)
        assert len(proxy.origin.connections) == (1 if kept else number)
        proxy.origin.last.send(given)
    state = proxy.group.pool.states[0]
    assert (len(state.idle), state.open) == ((1, 1) if kept else (0, 0))


def test_fields_of_the_connection_and_traces_end_here(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(
        b"HTTP/1.1 302 Found\r\nServer: secret/1\r\nX-Powered-By: secret\r\nConnection: X-Hop, keep-alive\r\nX-Hop: secret\r\n"
        b"Keep-Alive: timeout=5\r\nLocation: http://10.0.0.1/there\r\nContent-Location: http://10.0.0.1:80/x\r\n"
        b"Set-Cookie: a=b; Domain=10.0.0.1; Path=/\r\nContent-Length: 0\r\n\r\n"
    )
    assert b"secret" not in client.received and b"10.0.0.1" not in client.received
    assert answer(client).get(b"location") == b"http://a.example/there"


def test_a_long_answer_of_many_octets_at_once(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
    assert len(answer(client).body) == 1_000_000


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_broken_length_where_there_is_no_body_is_left_out(make_proxy: MakeProxy, lines: bytes) -> None:
    """RFC 9112 §6.3 rule 1: the end does not depend on it. RFC 9110 §8.6: it must not go on."""
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET.replace(b"GET", b"HEAD"))
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\n%b\r\n" % lines)
    got = answer(client, b"HEAD")
    assert (got.status, got.complete) == (200, True)
    assert got.get(b"content-length") is None and got.get(b"transfer-encoding") is None
    client.take_back()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\n%b\r\nhi" % lines)
    assert answer(client).status == 502


def test_the_length_of_what_a_head_would_have_got_goes_on(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET.replace(b"GET", b"HEAD"))
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0012\r\n\r\n")
    assert answer(client, b"HEAD").get(b"content-length") == b"12"


def test_the_kernel_keeps_what_came_before_a_reset() -> None:
    """With real sockets: a peer that closes with octets unread resets the connection; its last words are still there."""
    network = Network(Clock())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
        ours.sendall(b"x" * 1000)
        theirs.recv(1)
        theirs.sendall(b"HTTP/1.1 413 No\r\n\r\n")
        theirs.close()
    poller = select.poll()
    poller.register(ours, 0)
    poller.poll(5000)
    ours.setblocking(False)
    stream = SocketStream(ours, network, OctetBudget(1000))  # type: ignore[arg-type]  # all of a reactor that it asks for
    lost: list[Exception] = []
    stream.user = SimpleNamespace(stream_lost=lost.append)
    assert not stream.write(b"y")
    assert stream.closed and stream.input_at_end
    assert stream.unread == b"HTTP/1.1 413 No\r\n\r\n"
    network.clock.advance(0)
    assert len(lost) == 1
