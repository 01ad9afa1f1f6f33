"""A client that goes: its reset at every stage aborts the work on its request, its FIN does not."""

from __future__ import annotations

import pytest

from tests.support.dialogue import GET, OK, answer, answering, running
from tests.support.fixtures import MakeProxy

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"


@pytest.mark.parametrize("request_", [GET, POST])
def test_reset_before_the_answer_aborts(make_proxy: MakeProxy, request_: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(request_)
    assert proxy.origin.last.received
    client.cut()
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "client_gone"
    assert proxy.transaction.status == 499


def test_reset_while_connecting_aborts(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.origin.mode = "silent"
    client = proxy.client()
    client.send(GET)
    assert proxy.group.pool.states[0].open == 1
    client.cut()
    assert proxy.group.pool.states[0].open == 0


def test_reset_while_waiting_in_the_queue_aborts(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(connections_per_server=1)
    first, second = proxy.client(), proxy.client()
    first.send(GET)
    second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
    second.cut()
    proxy.origin.last.send(OK)
    assert b"/second" not in proxy.origin.received
    assert answer(first).status == 200


@pytest.mark.parametrize(
    "begun",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        b"HTTP/1.1 200 OK\r\n\r\nhe",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_reset_in_the_middle_of_an_answer_aborts(make_proxy: MakeProxy, begun: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(begun)
    client.cut()
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "client_gone"


def test_reset_of_a_client_that_is_not_read_from_is_noticed(make_proxy: MakeProxy) -> None:
    """A paused socket hears nothing: the sweep asks."""
    proxy = make_proxy()
    proxy.origin.room = 1000
    client = proxy.client(room=1 << 20)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    proxy.origin.last.reads = False
    client.offer(b"x" * 500_000)
    assert proxy.queued > 0
    client.cut()
    assert not proxy.origin.last.was_reset
    proxy.advance(1)
    assert proxy.origin.last.sock.reset
    assert proxy.queued == 0


@pytest.mark.parametrize("option", [b"", b"Connection: close\r\n"])
def test_fin_after_the_request_leaves_the_answer_alone(make_proxy: MakeProxy, option: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % option)
    client.fin()
    proxy.advance(5)
    proxy.origin.last.send(OK)
    assert answer(client).body == b"hi"
    assert client.ended and not client.was_reset
    assert proxy.transaction.reason == ""


def test_fin_after_pipelined_requests_lets_all_be_answered(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.network._settling = True  # both arrive before the proxy reads
    client.send(GET + GET + GET)
    client.fin()
    client.network._settling = False
    client.network.settle()
    assert client.received.count(b"200 OK") == 3
    assert client.ended


def test_a_half_closed_client_without_an_answer_is_given_up(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    client.fin()
    proxy.advance(9)
    assert not proxy.origin.last.is_over
    proxy.advance(2)
    assert proxy.origin.last.was_reset
    assert client.was_reset
    assert proxy.transaction.reason == "client_gone"


def test_octets_of_an_answer_keep_a_half_closed_client(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    client.fin()
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5):
        proxy.advance(8)
        proxy.origin.last.send(b"1\r\nx\r\n")
    proxy.origin.last.send(b"0\r\n\r\n")
    assert answer(client).body == b"xxxxx"
    assert answer(client).complete


def test_a_half_closed_client_may_read_slowly(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=1000)
    client.send(GET)
    client.fin()
    client.reads = False
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000)
    proxy.advance(30)
    assert not client.sock.reset
    client.reads = True
    client.network.settle()
    assert len(answer(client).body) == 20000


@pytest.mark.parametrize("mode", ["accept", "accept at once"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
def test_fin_right_behind_a_whole_body(body: bytes, mode: str) -> None:
    """However early it comes: also while the connection to the server is being opened."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\n" + body
    for at in range(len(request)):
        with running() as proxy:
            asked = answering(proxy.origin, lambda request: OK)
            proxy.origin.mode = mode
            client = proxy.client()
            client.send(request[:at])
            client.network._settling = True
            client.send(request[at:])
            client.fin()
            client.network._settling = False
            client.network.settle()
            assert [request.body for request in asked] == [b"hello"]
            assert answer(client, b"POST").status == 200


@pytest.mark.parametrize("mode", ["accept", "silent"])
def test_fin_in_the_middle_of_a_body_aborts(make_proxy: MakeProxy, mode: str) -> None:
    proxy = make_proxy()
    proxy.origin.mode = mode
    client = proxy.client()
    client.send(POST)
    client.fin()
    proxy.advance(20)
    assert all(end.was_reset for end in proxy.origin.connections)
    assert client.is_over
    assert proxy.transaction.reason in ("bad_request", "connect_timeout")


@pytest.mark.parametrize("part", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_fin_or_reset_without_a_request(make_proxy: MakeProxy, part: bytes) -> None:
    proxy = make_proxy()
    for leave in ("fin", "cut"):
        client = proxy.client()
        client.send(part)
        getattr(client, leave)()
        proxy.advance(1)
        assert client.sock.closed or client.ended
        assert client.received == b""
    assert proxy.transactions == []
    assert proxy.frontend.channels == set()


def test_a_write_that_fails_counts_as_gone(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    client.sock.peer.refuses = True
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    assert proxy.transaction.reason == "client_gone"
    assert proxy.origin.last.was_reset


def test_a_whole_answer_that_cannot_be_written_is_logged_as_such(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET + GET)
    client.sock.peer.refuses = True
    proxy.origin.last.send(OK)
    assert [transaction.reason for transaction in proxy.transactions] == ["client_gone"]
    assert proxy.origin.received.count(b"GET /") == 1


def test_a_pipelined_request_before_a_fin_has_a_grace_of_its_own(make_proxy: MakeProxy) -> None:
    """It does not inherit the silence of the answer before it."""
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET + GET)
    client.fin()
    proxy.advance(9)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    proxy.advance(5)
    proxy.origin.last.send(OK)
    assert client.received.count(b"200 OK") == 2
    assert client.ended and not client.was_reset


@pytest.mark.parametrize(
    "sign",
    [
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_heads_are_octets_of_an_answer(make_proxy: MakeProxy, sign: bytes) -> None:
    """A half-closed client is kept by interim answers and by the final one's head, as it is by its body."""
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    client.fin()
    proxy.advance(8)
    proxy.origin.last.send(sign)
    proxy.advance(8)
    assert not client.sock.reset
    proxy.advance(4)
    assert client.sock.reset


class Deaf:
    """A resolver that never answers."""

    def look_up(self, peer: object, told: object) -> None:
        """Forgets it."""


def test_reset_while_a_name_is_looked_up_aborts(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(resolver=lambda proxy: Deaf())
    client = proxy.client()
    client.send(GET)
    assert proxy.group.pool.states[0].open == 1
    client.cut()
    assert proxy.group.pool.states[0].open == 0
    assert proxy.transaction.reason == "client_gone"


def test_reset_while_a_request_waits_to_be_sent_again_aborts(make_proxy: MakeProxy) -> None:
    """Nobody reads from the client then: the sweep asks."""
    proxy = make_proxy(connections_per_server=1)
    client, other = proxy.client(), proxy.client()
    client.send(GET)
    proxy.origin.last.send(OK)
    client.send(POST.replace(b"POST", b"PUT"))
    other.send(GET)
    proxy.origin.last.close()
    assert len(proxy.group.pool._queue) == 1
    client.cut()
    proxy.advance(1)
    assert len(proxy.group.pool._queue) == 0
    assert proxy.queued == 0
    assert proxy.transaction.reason == "client_gone"
    proxy.origin.last.send(OK)
    assert answer(other).status == 200
    assert proxy.origin.last.received.count(b"PUT") == 0


@pytest.mark.parametrize("side", ["client", "origin"])
def test_reset_of_one_end_of_a_half_closed_tunnel_aborts(make_proxy: MakeProxy, side: str) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    origin = proxy.origin.last
    origin.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    ended, stays = (client, origin) if side == "client" else (origin, client)
    ended.fin()
    ended.cut()
    proxy.advance(2)
    assert stays.sock.reset
    assert proxy.transaction.status == 101
