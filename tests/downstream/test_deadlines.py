"""Slow clients: heads, bodies and readers, each with its deadline on a clock that only the test moves."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.support.dialogue import GET, OK, answer, answering
from tests.support.fixtures import MakeProxy


def test_a_connection_that_says_nothing_is_closed(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    proxy.advance(19)
    assert not client.ended
    proxy.advance(2)
    assert client.ended and client.received == b""


def test_a_head_that_drips_is_answered_408(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    for octet in GET[:25]:
        client.send(bytes([octet]))
        proxy.advance(1)
    assert answer(client).status == 408
    assert proxy.transaction.reason == "request_timeout"


def test_the_second_heads_time_begins_with_its_first_octet(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET)
    proxy.advance(60)
    client.send(GET[:10])
    proxy.advance(19)
    client.send(GET[10:])
    assert client.received.count(b"200 OK") == 2
    client.send(GET[:10])
    proxy.advance(21)
    assert client.received.count(b"HTTP/1.1 408") == 1


def test_a_body_that_stops_is_answered_408(make_proxy: MakeProxy) -> None:
    """Not 504: the server waits for the client, too."""
    proxy = make_proxy(limits=Limits(body_rate=0))
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
    proxy.advance(58)
    assert client.received == b""
    proxy.advance(4)
    assert answer(client, b"POST").status == 408
    assert proxy.origin.last.was_reset


def test_a_body_below_the_rate_is_answered_408(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(40):
        client.send(b"x" * 100)
        proxy.advance(1)
        if client.received:
            break
    assert answer(client, b"POST").status == 408


def test_a_slow_body_above_the_rate_may_take_its_time(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
    for _ in range(200):
        client.send(b"x" * 300)
        proxy.advance(1)
    assert answer(client, b"POST").status == 200
    assert len(asked[0].body) == 60000


def test_a_body_that_the_server_does_not_take_is_not_the_clients_fault(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=1000.0)
    client = proxy.client()
    proxy.origin.room = 1000
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
    end = proxy.origin.last
    client.send(b"x")
    proxy.advance(1)
    end.reads = False
    client.send(b"x" * 9999)
    proxy.advance(100)
    end.reads = True
    proxy.network.settle()
    proxy.advance(5)
    assert client.received == b""
    client.send(b"x" * 10000)
    end.send(OK)
    assert answer(client, b"POST").status == 200


def test_a_reader_that_takes_nothing_is_cut(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=1000)
    client.send(GET)
    client.reads = False
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50000)
    proxy.advance(59)
    assert not client.sock.reset
    proxy.advance(3)
    assert client.sock.reset
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "client_too_slow"


def test_a_reader_that_takes_a_little_goes_on(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=100)
    client.send(GET)
    client.reads = False
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    for _ in range(14):
        proxy.advance(50)
        client.take(100)
    assert answer(client).complete


def test_an_idle_connection_is_closed(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET)
    proxy.advance(74)
    assert not client.ended
    proxy.advance(2)
    assert client.ended


def test_a_long_answer_has_no_deadline_of_the_clients(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    end = proxy.origin.last
    end.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        proxy.advance(55)
        end.send(b"1\r\nx\r\n")
    end.send(b"0\r\n\r\n")
    assert answer(client).body == b"x" * 20


def test_a_body_that_waits_for_another_connection_is_not_the_clients_fault(make_proxy: MakeProxy) -> None:
    """The client is not read from while its request waits to be sent again: that time is not held against it."""
    proxy = make_proxy(connections_per_server=1, queue_timeout=500.0, answer_timeout=500.0)
    client, other = proxy.client(), proxy.client()
    client.send(GET)
    proxy.origin.last.send(OK)
    client.take_back()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
    other.send(GET)
    proxy.advance(2)
    proxy.origin.last.cut()
    assert len(proxy.origin.connections) == 2
    proxy.advance(70)
    proxy.origin.last.send(OK)
    assert answer(other).status == 200
    third = proxy.origin.connections[2]
    assert third.received.endswith(b"01234")
    proxy.advance(5)
    assert client.received == b""
    client.send(b"56789")
    third.send(OK)
    assert third.received.endswith(b"0123456789")
    assert answer(client, b"PUT").status == 200
