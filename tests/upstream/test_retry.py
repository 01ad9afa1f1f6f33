"""When a request is sent again, and when never (RFC 9110 §9.2.2, RFC 9112 §9.3.1)."""

from __future__ import annotations

import pytest

from tests.support.dialogue import GET, OK, answer
from tests.support.fixtures import MakeProxy
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.reading import read_requests


def with_kept_connection(proxy: Proxy) -> tuple[End, End]:
    """A client, and the origin's end of a connection that served one request and is idle."""
    client = proxy.client()
    client.send(GET)
    origin = proxy.origin.last
    origin.send(OK)
    assert answer(client).status == 200
    client.take_back()
    origin.take_back()
    return client, origin


def body_request(method: bytes, size: int = 5) -> bytes:
    return b"%b /again HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (method, size) + b"x" * size


@pytest.mark.parametrize("leave", ["close", "cut"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
def test_an_idempotent_request_that_met_a_dead_connection_is_sent_once_more(
    make_proxy: MakeProxy, method: bytes, leave: str
) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    request = body_request(method) if method in (b"PUT", b"DELETE") else b"%b /again HTTP/1.1\r\nHost: a\r\n\r\n" % method
    client.send(request)
    assert b"/again" in old.received
    getattr(old, leave)()
    assert len(proxy.origin.connections) == 2
    (asked,) = read_requests(proxy.origin.last.received)
    assert (asked.method, asked.target, asked.complete) == (method, b"/again", True)
    proxy.origin.last.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answer(client, method).status == 204
    assert proxy.transaction.tries == 2


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"BREW", b"get"])
def test_another_method_never(make_proxy: MakeProxy, method: bytes) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    client.send(body_request(method))
    old.close()
    assert len(proxy.origin.connections) == 1
    assert answer(client, method).status == 502


def test_never_after_an_octet_of_an_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    client.send(GET)
    old.send(b"H")
    old.close()
    assert len(proxy.origin.connections) == 1
    assert answer(client).status == 502


def test_never_on_a_connection_that_was_fresh(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.close()
    assert len(proxy.origin.connections) == 1
    assert answer(client).status == 502


def test_once_and_no_more(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    client.send(GET)
    old.close()
    proxy.origin.last.close()
    assert len(proxy.origin.connections) == 2
    assert answer(client).status == 502


def test_a_second_idle_connection_is_not_used_for_the_second_try(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    clients = [proxy.client(), proxy.client()]
    for client in clients:
        client.send(GET)
    for end in proxy.origin.connections:
        end.send(OK)
    newest = proxy.group.pool.states[0].idle[-1]
    clients[0].send(GET)
    (used,) = [end for end in proxy.origin.connections if end.received.count(b"GET /") == 2]
    assert newest.exchange is not None
    used.close()
    assert len(proxy.origin.connections) == 3
    proxy.origin.last.send(OK)
    assert clients[0].received.count(b"200 OK") == 2


@pytest.mark.parametrize("method", [b"GET", b"POST", b"BREW"])
@pytest.mark.parametrize("mode", ["accept", "accept at once"])
def test_a_write_that_the_kernel_refused_is_repeated_for_any_method(
    make_proxy: MakeProxy, method: bytes, mode: str
) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    proxy.origin.mode = mode
    old.sock.peer.refuses = True
    client.send(body_request(method))
    assert old.received == b""
    (asked,) = read_requests(proxy.origin.last.received)
    assert (asked.method, asked.body, asked.complete) == (method, b"xxxxx", True)
    proxy.origin.last.send(OK)
    assert answer(client, method).status == 200


def test_an_empty_body_in_chunks_that_the_kernel_refused_is_repeated_too(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    old.sock.peer.refuses = True
    client.send(b"POST /again HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert old.received == b""
    (asked,) = read_requests(proxy.origin.last.received)
    assert (asked.method, asked.body, asked.complete) == (b"POST", b"", True)
    proxy.origin.last.send(OK)
    assert answer(client, b"POST").status == 200


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("mode", ["accept", "accept at once", "accept late"])
@pytest.mark.parametrize("method", [b"POST", b"PUT"])
def test_a_body_that_comes_while_the_second_connection_opens_arrives_whole(
    make_proxy: MakeProxy, method: bytes, mode: str, framing: str
) -> None:
    """However much of it comes meanwhile: nothing of its beginning may be lost."""
    proxy = make_proxy(replay_size=1000)
    client, old = with_kept_connection(proxy)
    proxy.origin.mode = mode
    body = bytes(range(256)) * 1000
    if framing == "length":
        head, pieces = b"Content-Length: %d" % len(body), [body[at : at + 500] for at in range(0, len(body), 500)]
    else:
        head = b"Transfer-Encoding: chunked"
        pieces = [b"1f4\r\n%b\r\n" % body[at : at + 500] for at in range(0, len(body), 500)] + [b"0\r\n\r\n"]
    head = b"%b /again HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (method, head)
    old.sock.peer.refuses = True
    proxy.network._settling = True
    client.send(head + pieces[0])
    proxy.network.turn()
    for piece in pieces[1:]:
        client.send(piece)
        proxy.network.turn()
    proxy.network._settling = False
    proxy.network.settle()
    proxy.advance(1)
    (asked,) = read_requests(proxy.origin.last.received)
    assert asked.complete
    assert asked.body == (body if framing == "length" else body[: 500 * (len(pieces) - 1)])
    proxy.origin.last.send(OK)
    assert answer(client, method).status == 200


def test_a_body_in_the_middle_is_sent_again_from_its_beginning(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    client.send(b"PUT /again HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nwiki")
    assert old.received.endswith(b"wiki")
    old.close()
    client.send(b"pedia")
    (asked,) = read_requests(proxy.origin.last.received)
    assert (asked.body, asked.complete) == (b"wikipedia", True)
    proxy.origin.last.send(OK)
    assert answer(client, b"PUT").status == 200


def test_a_body_over_the_size_that_is_kept_never(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(replay_size=1000)
    client, old = with_kept_connection(proxy)
    client.send(body_request(b"PUT", 1001))
    assert proxy.queued == 0
    old.close()
    assert len(proxy.origin.connections) == 1
    assert answer(client, b"PUT").status == 502


def test_what_is_kept_is_counted_and_let_go(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(replay_size=1000)
    client = proxy.client()
    client.send(body_request(b"PUT", 1000))
    assert proxy.queued == 1000
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh")
    assert proxy.queued == 0
    proxy.origin.last.send(b"i")
    assert answer(client, b"PUT").complete


def test_octets_in_vain_are_not_a_second_chance(make_proxy: MakeProxy) -> None:
    """A malformed answer on a kept connection is an answer: nothing is repeated."""
    proxy = make_proxy()
    client, old = with_kept_connection(proxy)
    client.send(GET)
    old.send(b"nonsense\r\n\r\n")
    assert len(proxy.origin.connections) == 1
    assert answer(client).status == 502


def test_a_connection_made_by_a_probe_may_be_dead_as_well(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=["http://10.0.0.1", "http://10.0.0.2"], set_aside=5.0)
    one, two = proxy.origins.values()
    one.mode = "refuse"
    two.answer = lambda end: setattr(end, "heard", lambda: end.send(OK))
    client = proxy.client()
    client.send(GET + GET)
    assert client.received.count(b"200 OK") == 2
    one.mode = "accept"
    proxy.advance(7)
    assert len(one.connections) == 1
    while not one.last.received:
        client.send(GET)
    before = client.received.count(b"200 OK")
    one.last.close()
    one.connections[-1].send(OK)
    two_or_one = [end for end in one.connections[1:] if end.received]
    for end in two_or_one:
        end.send(OK)
    assert client.received.count(b"502 Bad Gateway") == 0
    assert client.received.count(b"200 OK") == before + 1
