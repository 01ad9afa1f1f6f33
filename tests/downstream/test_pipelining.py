"""Pipelined requests (RFC 9112 §9.3.2): answered in order, parsed one at a time."""

from __future__ import annotations

import pytest

from revproxy.downstream.body import UNPARSED
from tests.support.dialogue import GET, OK, answering, answers, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.reading import read_requests

THREE = (
    b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    b"PUT /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
)


def test_answered_in_order_however_they_arrive() -> None:
    for cut in ways(THREE):
        with running() as proxy:
            asked = answering(proxy.origin, lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + request.target)
            client = proxy.client()
            client.send(THREE, cut=cut)
            assert [(request.target, request.body) for request in asked] == [(b"/1", b""), (b"/2", b"abc"), (b"/3", b"xy")]
            assert [answer.body for answer in answers(client, b"GET", b"POST", b"PUT")] == [b"/1", b"/2", b"/3"]


def test_the_next_is_not_sent_before_the_answer_is_out(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(servers=["http://10.0.0.1", "http://10.0.0.2"])
    client = proxy.client()
    client.send(GET + GET)
    assert sum(len(origin.connections) for origin in proxy.origins.values()) == 1
    first = next(origin for origin in proxy.origins.values() if origin.connections).last
    first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    assert len(read_requests(b"".join(origin.received for origin in proxy.origins.values()))) == 1
    first.send(b"llo")
    assert len(read_requests(b"".join(origin.received for origin in proxy.origins.values()))) == 2


def test_octets_that_wait_are_bounded(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=4096)
    client.send(GET)
    flood = GET * 20_000
    sent = client.offer(flood)
    while taken := client.offer(flood[sent:]):
        sent += taken
    assert UNPARSED <= proxy.queued < UNPARSED + 300_000
    assert sent < len(flood)


def test_all_of_a_flood_are_answered(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET * 500)
    assert len(asked) == 500
    assert client.received.count(b"200 OK") == 500


def test_answers_that_need_no_origin_do_not_recurse(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    missing = b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"
    client.send(missing * 2000)
    assert client.received.count(b"HTTP/1.1 405") == 2000


@pytest.mark.parametrize("garbage", [b"\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])
def test_garbage_behind_a_request_is_answered_after_it(make_proxy: MakeProxy, garbage: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET + garbage)
    assert client.received == b""
    proxy.origin.last.send(OK)
    assert [answer.status for answer in answers(client, b"GET", b"GET")] == [200, 400]
    assert client.ended


def test_requests_behind_a_connection_close_are_not_served(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    assert len(asked) == 1
    assert [answer.status for answer in answers(client, b"GET", b"GET")] == [200]
    assert client.ended and not client.was_reset
