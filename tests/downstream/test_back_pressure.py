"""Back-pressure: whoever is slow stops whoever is quick, and what waits between them is bounded."""

from __future__ import annotations

import pytest

from revproxy.config.model import Limits
from tests.support.dialogue import GET, OK, answer
from tests.support.fixtures import MakeProxy
from tests.support.reading import read_requests

BOUND = 600_000
"""Octets that one exchange may hold, whatever its size."""


@pytest.mark.parametrize(
    ("head", "wrap", "end"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n", b"%b", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2710\r\n%b\r\n", b"0\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"%b", None),
    ],
)
def test_a_slow_reader_stops_the_origin(make_proxy: MakeProxy, head: bytes, wrap: bytes, end: bytes | None) -> None:
    proxy = make_proxy()
    client = proxy.client(room=10_000)
    client.send(GET)
    client.reads = False
    origin = proxy.origin.last
    origin.send(head)
    piece = wrap % (b"x" * 10_000)
    waiting = piece * 300 if end is None else piece * 300 + end
    held = 0
    while waiting:
        taken = origin.offer(waiting[:400_000])
        waiting = waiting[taken:]
        if not taken:
            assert not origin.sock.is_writable
            client.take(300_000)
        held = max(held, proxy.queued)
    assert 0 < held < BOUND
    if end is None:
        origin.fin()
    client.reads = True
    proxy.network.settle()
    got = answer(client)
    assert got.complete and len(got.body) == 3_000_000
    assert proxy.queued == 0


@pytest.mark.parametrize("chunked", [False, True])
def test_a_slow_server_stops_the_upload(make_proxy: MakeProxy, chunked: bool) -> None:
    proxy = make_proxy()
    proxy.origin.room = 10_000
    client = proxy.client()
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 3000000"
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
    origin = proxy.origin.last
    origin.reads = False
    wrap = b"2710\r\n%b\r\n" if chunked else b"%b"
    waiting = (wrap % (b"x" * 10_000)) * 300 + (b"0\r\n\r\n" if chunked else b"")
    held = 0
    while waiting:
        taken = client.offer(waiting[:400_000])
        waiting = waiting[taken:]
        if not taken:
            origin.take(300_000)
        held = max(held, proxy.queued)
    assert 0 < held < BOUND
    origin.reads = True
    proxy.network.settle()
    (asked,) = read_requests(origin.received)
    assert asked.complete and len(asked.body) == 3_000_000
    origin.send(OK)
    assert answer(client, b"POST").status == 200
    assert proxy.queued == 0


def test_a_body_without_a_reader_waits_bounded(make_proxy: MakeProxy) -> None:
    """While a connection to the server is being opened nobody takes the body."""
    proxy = make_proxy(connect_timeout=50.0)
    proxy.origin.mode = "silent"
    client = proxy.client(room=10_000)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
    while client.offer(b"x" * 100_000):
        pass
    assert 0 < proxy.queued < BOUND


def test_the_whole_process_is_bounded_and_goes_on(make_proxy: MakeProxy) -> None:
    """Octets that do not fit the budget cost the stream that brought them; the process goes on."""
    proxy = make_proxy(limits=Limits(buffered_octets=50_000))
    slow = [proxy.client(b"192.0.2.%d" % number, room=1000) for number in range(1, 6)]
    for client in slow:
        client.reads = False
        client.send(GET)
    for end in proxy.origin.connections:
        end.offer(b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n" + b"x" * 150_000)
    assert proxy.queued <= 50_000
    cut = [client for client in slow if client.sock.reset or client.sock.fin]
    assert 0 < len(cut) < 5
    for client in slow:
        client.reads = True
    proxy.network.settle()
    assert proxy.queued == 0
    assert not any(client.received and answer(client).complete for client in cut)
    other = proxy.client()
    other.send(GET)
    proxy.origin.last.send(OK)
    assert answer(other).status == 200


def test_octets_behind_a_head_that_do_not_fit_cost_the_request_alone(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(buffered_octets=1000))
    proxy.budget.take(990)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
    assert answer(client, b"POST").status == 503
    assert proxy.origin.connections == []
    proxy.budget.give(990)


def test_a_full_process_answers_new_requests_503(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(buffered_octets=100_000))
    proxy.budget.take(100_000)
    client = proxy.client()
    client.send(GET)
    assert answer(client).status == 503
    with_rest = proxy.client()
    with_rest.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    assert answer(with_rest, b"POST").status == 503
    half = proxy.client()
    half.send(GET[:10])
    assert answer(half).status == 503
    assert proxy.origin.connections == []
    proxy.budget.give(100_000)
    again = proxy.client()
    again.send(GET)
    proxy.origin.last.send(OK)
    assert answer(again).status == 200


def test_octets_for_a_server_that_do_not_fit_are_our_overload(make_proxy: MakeProxy) -> None:
    """Neither the server's fault nor a reason to try another one: 503."""
    proxy = make_proxy(servers=("http://10.0.0.1:80", "http://10.0.0.2:80"), limits=Limits(buffered_octets=10_000))
    for origin in proxy.origins.values():
        origin.room = 1000
    client = proxy.client()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    proxy.origin.last.reads = False
    client.send(b"x" * 100_000)
    assert answer(client, b"PUT").status == 503
    assert proxy.transaction.reason == "overloaded"
    assert [len(origin.connections) for origin in proxy.origins.values()] == [1, 0]
    assert proxy.queued == 0


def test_octets_for_a_client_that_do_not_fit_are_our_overload(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(buffered_octets=10_000))
    client = proxy.client(room=1000)
    client.send(GET)
    client.reads = False
    proxy.origin.last.offer(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 50_000)
    assert client.sock.reset
    client.reads = True
    assert proxy.transaction.status == 200
    assert proxy.transaction.reason == "overloaded"


def test_an_answer_that_ends_with_the_connection_does_not_look_complete_then(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(buffered_octets=10_000))
    client = proxy.client(room=1000)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    client.reads = False
    proxy.origin.last.offer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 50_000)
    assert client.sock.reset
