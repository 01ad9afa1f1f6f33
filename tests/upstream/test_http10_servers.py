"""Servers that speak HTTP/1.0: they can't read chunks, so a body of unknown length is gathered (RFC 9112 §6.1)."""

from __future__ import annotations

import pytest

from revproxy.config.model import Limits
from tests.support.dialogue import GET, answer
from tests.support.fixtures import MakeProxy
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.reading import read_requests

OLD = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def before_an_old_server(make_proxy: MakeProxy, **options: object) -> tuple[Proxy, End]:
    proxy = make_proxy(**options)
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(OLD)
    client.take_back()
    return proxy, client


@pytest.mark.parametrize("trailer", [b"", b"X-Sum: 1\r\n"])
@pytest.mark.parametrize("pieces", [[], [b"wiki"], [b"wiki", b"pedia"]])
def test_a_chunked_upload_is_gathered(make_proxy: MakeProxy, pieces: list[bytes], trailer: bytes) -> None:
    proxy, client = before_an_old_server(make_proxy)
    client.send(HEAD)
    for piece in pieces:
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    assert proxy.origin.last.received == b""
    client.send(b"0\r\n%b\r\n" % trailer)
    (asked,) = read_requests(proxy.origin.last.received)
    assert asked.body == b"".join(pieces) and asked.complete
    assert asked.get(b"content-length") == b"%d" % len(asked.body)
    assert asked.get(b"transfer-encoding") is None
    proxy.origin.last.send(OLD)
    assert answer(client, b"POST").status == 200


def test_all_in_one(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy)
    client.send(HEAD + b"4\r\nwiki\r\n0\r\n\r\n")
    assert read_requests(proxy.origin.last.received)[0].body == b"wiki"


def test_over_the_bound_it_is_answered_411(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy, replay_size=10)
    client.send(HEAD + b"6\r\n012345\r\n")
    client.send(b"6\r\n012345\r\n")
    assert answer(client, b"POST").status == 411
    assert proxy.origin.last.received == b""
    assert proxy.queued == 0


def test_over_the_budget_it_is_answered_411(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy, limits=Limits(buffered_octets=1000))
    client.send(HEAD + b"258\r\n" + b"x" * 600 + b"\r\n")
    client.send(b"258\r\n" + b"x" * 600 + b"\r\n")
    assert answer(client, b"POST").status in (411, 503)
    assert proxy.queued == 0


def test_a_client_that_waits_is_invited(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy)
    client.send(HEAD[:-2] + b"Expect: 100-continue\r\n\r\n")
    assert client.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"2\r\nhi\r\n0\r\n\r\n")
    assert read_requests(proxy.origin.last.received)[0].body == b"hi"


def test_a_slow_upload_is_not_the_servers_fault(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy, answer_timeout=5.0)
    client.send(HEAD)
    for _ in range(4):
        client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        proxy.advance(4)
    client.send(b"0\r\n\r\n")
    proxy.origin.last.send(OLD)
    assert answer(client, b"POST").status == 200


def test_a_length_needs_no_gathering(make_proxy: MakeProxy) -> None:
    proxy, client = before_an_old_server(make_proxy)
    client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nwiki")
    assert proxy.origin.last.received.endswith(b"wiki")


def test_a_gathered_body_survives_a_dead_connection(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    old = proxy.origin.last
    old.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi")
    client.take_back()
    old.sock.peer.refuses = True
    client.send(HEAD + b"4\r\nwiki\r\n0\r\n\r\n")
    (asked,) = read_requests(proxy.origin.last.received)
    assert asked.body == b"wiki" and asked.complete
    proxy.origin.last.send(OLD)
    assert answer(client, b"POST").status == 200
