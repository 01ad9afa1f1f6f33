"""Answers that come before their request is complete, and the lingering close that lets them arrive (RFC 9112 §9.6)."""

from __future__ import annotations

import pytest

from revproxy.config.model import Limits
from tests.support.dialogue import GET, OK, answer
from tests.support.fixtures import MakeProxy

UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


def test_an_early_answer_reaches_a_client_that_is_still_sending(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(UPLOAD + b"x" * 1000)
    proxy.origin.last.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
    got = answer(client, b"POST")
    assert (got.status, got.body, got.get(b"connection")) == (413, b"big", b"close")
    assert client.ended
    assert proxy.origin.last.is_over
    # What it sends on is read and dropped, so that no reset destroys the answer.
    client.send(b"x" * 500_000)
    assert not client.was_reset and not client.sock.reset
    client.fin()
    assert client.sock.peer.closed


def test_lingering_ends(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(UPLOAD)
    proxy.origin.last.send(OK)
    assert not client.sock.peer.closed
    proxy.advance(6)
    assert client.sock.peer.closed


def test_lingering_reads_only_so_much(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(UPLOAD)
    proxy.origin.last.send(OK)
    for _ in range(10):
        client.send(b"x" * 1_000_000)
    assert client.sock.peer.closed


def test_the_last_answer_reaches_a_client_that_did_not_know_it_was_the_last(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(requests_per_connection=1))
    client = proxy.client()
    client.reads = False
    client.send(GET)
    proxy.origin.last.send(OK)
    client.send(GET)
    client.reads = True
    proxy.network.settle()
    assert answer(client).body == b"hi"
    assert client.ended and not client.was_reset


@pytest.mark.parametrize("bad", [b"\x00\x01\x02\x03", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", b" / HTTP/1.1\r\n\r\n"])
def test_a_refusal_reaches_a_client_that_is_still_sending(make_proxy: MakeProxy, bad: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(bad + b"x" * 100_000)
    client.send(b"x" * 100_000)
    assert answer(client).status in (400, 505)
    assert client.ended and not client.was_reset


def test_an_answer_that_goes_on_behind_an_unread_body_ends_with_the_connection(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(UPLOAD)
    end = proxy.origin.last
    end.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
    client.send(b"x" * 1000)
    assert end.received.endswith(b"x" * 1000)
    end.send(b"56789")
    assert answer(client, b"POST").body == b"0123456789"
    assert client.ended


def test_both_directions_at_once(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    end = proxy.origin.last
    end.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for word in (b"one", b"two", b"six"):
        client.send(b"3\r\n%b\r\n" % word)
        assert end.received.endswith(b"3\r\n%b\r\n" % word)
        end.send(b"3\r\n%b\r\n" % word)
        assert client.received.endswith(b"3\r\n%b\r\n" % word)
    client.send(b"0\r\n\r\n")
    end.send(b"0\r\n\r\n")
    assert answer(client, b"POST").body == b"onetwosix"


def test_a_body_over_the_limit_found_while_it_streams(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(body_size=10))
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")
    assert proxy.origin.last.received
    client.send(b"6\r\n567890\r\n")
    assert answer(client, b"POST").status == 413
    assert proxy.origin.last.was_reset
    assert proxy.transaction.reason == "content_too_large"


@pytest.mark.parametrize("bad", [b"x\r\n", b"5\r\nhelloo\r\n", b"-1\r\n", b"5\nhello", b"11111111111111111\r\n"])
def test_a_body_whose_framing_breaks_while_it_streams(make_proxy: MakeProxy, bad: bytes) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
    client.send(bad)
    assert answer(client, b"POST").status == 400
    assert proxy.origin.last.was_reset
    assert not proxy.origin.received.endswith(b"0\r\n\r\n")


def test_a_body_that_breaks_after_the_answer_was_given(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=100)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.reads = False
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    client.send(b"what\r\n" + GET)
    client.reads = True
    proxy.network.settle()
    assert len(answer(client, b"POST").body) == 1000
    assert client.ended


def test_a_reset_tunnel_or_cut_answer_closes_both_ends(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
    proxy.origin.last.cut()
    assert client.is_over
    assert not answer(client).complete


REFUSAL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig"


@pytest.mark.parametrize("method", [b"POST", b"PUT"])
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (REFUSAL, 413),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + REFUSAL, 413),
        (REFUSAL[:-1], 413),
        (REFUSAL[:20], 502),
    ],
)
def test_an_answer_before_the_servers_reset_is_not_lost(
    make_proxy: MakeProxy, method: bytes, blocked: bool, said: bytes, status: int
) -> None:
    """A server refuses an upload and closes; the proxy notices while it is writing, before it has read the answer."""
    proxy = make_proxy(servers=("http://10.0.0.1:80", "http://10.0.0.2:80"))
    proxy.origin.room = 1000
    client = proxy.client()
    client.send(UPLOAD.replace(b"POST", method) + b"x" * 100)
    server = proxy.origin.last
    if blocked:
        server.reads = False
        client.send(b"x" * 10_000)
        assert proxy.queued
    proxy.network._settling = True
    server.send(said)
    server.sock.peer.refuses = True
    client.send(b"x" * 100)
    for stream in proxy.network.getWriters():
        stream.doWrite()
    proxy.network._settling = False
    proxy.network.settle()
    got = answer(client, method)
    assert (got.status, got.complete) == (status, said != REFUSAL[:-1])
    assert client.ended
    assert sum(len(origin.connections) for origin in proxy.origins.values()) == 1
