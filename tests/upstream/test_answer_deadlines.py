"""Servers that are slow: before the head, in the middle of a body, and with the octets of a request."""

from __future__ import annotations

from tests.support.dialogue import GET, OK, answer
from tests.support.fixtures import MakeProxy


def test_a_silent_server_is_answered_504(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0)
    client = proxy.client()
    client.send(GET)
    proxy.advance(4)
    assert client.received == b""
    proxy.advance(2)
    assert answer(client).status == 504
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "answer_timeout"


def test_octets_of_a_head_begin_its_time_anew(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0)
    client = proxy.client()
    client.send(GET)
    for part in (b"HTTP/1.1 200 OK\r\n", b"Content-", b"Length: 2\r\n", b"\r\n", b"hi"):
        proxy.advance(4)
        proxy.origin.last.send(part)
    assert answer(client).status == 200


def test_the_time_for_a_body_begins_with_the_head(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0, idle_timeout=20.0)
    client = proxy.client()
    client.send(GET)
    proxy.advance(4)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    proxy.advance(18)
    proxy.origin.last.send(b"hi")
    assert answer(client).complete


def test_silence_in_the_middle_of_a_body_cuts_the_client(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(idle_timeout=5.0)
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    proxy.advance(4)
    proxy.origin.last.send(b"!")
    proxy.advance(4)
    assert not client.is_over
    proxy.advance(3)
    assert client.is_over and not answer(client).complete
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "closed_early"


def test_a_server_is_not_late_while_its_client_does_not_read(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(idle_timeout=5.0)
    client = proxy.client(room=1000)
    client.send(GET)
    client.reads = False
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 40_000)
    proxy.advance(50)
    client.reads = True
    proxy.network.settle()
    proxy.origin.last.send(b"x" * 10_000)
    assert answer(client).complete


def test_a_server_that_takes_nothing_of_a_request_is_answered_504(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0)
    proxy.origin.room = 1000
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    proxy.origin.last.reads = False
    client.send(b"x" * 50_000)
    proxy.advance(7)
    assert answer(client, b"POST").status == 504


def test_an_upload_may_take_longer_than_an_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n")
    for _ in range(8):
        client.send(b"x" * 5000)
        proxy.advance(9 if client.received == b"" and _ < 7 else 1)
    proxy.origin.last.send(OK)
    assert answer(client, b"POST").status == 200


def test_after_the_upload_the_server_has_its_whole_time(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=5.0)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
    proxy.advance(3)
    client.send(b"hello")
    proxy.advance(4)
    assert client.received == b""
    proxy.advance(3)
    assert answer(client, b"POST").status == 504


def test_an_idle_connection_is_closed_when_it_is_old(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(keep_alive=30.0)
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(OK)
    proxy.advance(29)
    assert not proxy.origin.last.is_over
    proxy.advance(2)
    assert proxy.origin.last.ended
