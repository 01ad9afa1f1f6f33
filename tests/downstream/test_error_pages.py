"""Error pages: a clean word and a request id for the client, never a backend's name; the cause for the operator."""

from __future__ import annotations

import json

import pytest

from tests.support.dialogue import GET, answer, answers
from tests.support.fixtures import MakeProxy


@pytest.mark.parametrize(("mode", "status"), [("refuse", 502), ("refuse later", 502), ("silent", 504)])
@pytest.mark.parametrize("accept", [b"text/html", b"application/json", b"*/*"])
def test_no_page_names_a_backend(make_proxy: MakeProxy, mode: str, status: int, accept: bytes) -> None:
    proxy = make_proxy(servers=["http://10.9.8.7:8000"])
    proxy.origin.mode = mode
    client = proxy.client()
    client.send(GET.replace(b"\r\n\r\n", b"\r\nAccept: %b\r\n\r\n" % accept))
    proxy.advance(5)
    got = answer(client)
    assert got.status == status
    assert b"10.9.8.7" not in client.received and b"refused" not in client.received
    request_id = proxy.transaction.request_id
    assert got.get(b"x-request-id") == request_id
    assert got.get(b"cache-control") == b"no-store"
    assert request_id in got.body
    if accept == b"application/json":
        assert got.get(b"content-type") == b"application/json"
        assert json.loads(got.body)["request_id"] == request_id.decode()
    else:
        assert (got.get(b"content-type") or b"").startswith(b"text/html")
    assert "10.9.8.7" in proxy.transaction.detail
    assert proxy.transaction.upstream == b"10.9.8.7:8000"


def test_a_head_request_gets_the_head_alone_and_goes_on(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    proxy.origin.mode = "refuse"
    client = proxy.client()
    head = GET.replace(b"GET", b"HEAD")
    client.send(head + head + GET)
    got = answers(client, b"HEAD", b"HEAD", b"GET")
    assert [answer.status for answer in got] == [502] * 3
    assert [bool(answer.body) for answer in got] == [False, False, True]
    assert {answer.get(b"content-length") for answer in got} == {b"%d" % len(got[2].body)}
    assert not client.ended


def test_a_connection_goes_on_after_an_error_of_the_servers(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.close()
    assert answer(client).status == 502
    client.take_back()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert answer(client).status == 204


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_refusals(make_proxy: MakeProxy, request_: bytes, status: int) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(request_)
    got = answer(client)
    assert (got.status, got.complete) == (status, True)
    assert got.get(b"date") is not None
    assert client.ended is (got.get(b"connection") == b"close")
    assert proxy.origin.connections == []
    assert proxy.transaction.status == status and proxy.transaction.reason


def test_the_clients_octets_are_in_no_page(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: <b>\r\nX-Request-ID: <i>\r\n\r\n")
    assert answer(client).status == 400
    assert b"<script" not in client.received and b"<i>" not in client.received
