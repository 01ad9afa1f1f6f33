"""1xx answers and Expect (RFC 9110 §15.2, §10.1.1)."""

from __future__ import annotations

import pytest

from tests.support.dialogue import GET, OK, answer, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.reading import read_requests

EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"


def test_continue_goes_end_to_end(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING)
    origin = proxy.origin.last
    assert read_requests(origin.received)[0].get(b"expect") == b"100-continue"
    assert client.received == b""
    origin.send(CONTINUE)
    assert client.received.startswith(b"HTTP/1.1 100 Continue\r\n")
    client.send(b"hello")
    assert origin.received.endswith(b"hello")
    origin.send(OK)
    got = answer(client, b"POST")
    assert (got.interim, got.status, got.complete) == ((100,), 200, True)
    assert got.get(b"connection") is None


def test_a_refusal_instead_of_continue(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING)
    proxy.origin.last.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    got = answer(client, b"POST")
    assert (got.status, got.body, got.get(b"connection")) == (403, b"no", b"close")
    assert client.ended


def test_a_client_that_does_not_wait_for_continue(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING + b"hello")
    assert proxy.origin.last.received.endswith(b"hello")


def test_a_client_is_not_blamed_while_the_server_has_not_said_continue(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING)
    proxy.advance(40)
    assert client.received == b""
    proxy.origin.last.send(CONTINUE)
    proxy.advance(9)
    client.send(b"hello")
    proxy.origin.last.send(OK)
    assert answer(client, b"POST").status == 200


def test_a_server_that_never_says_continue_is_the_one_that_is_late(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING)
    proxy.advance(62)
    assert answer(client, b"POST").status == 504


def test_a_client_that_sends_nothing_after_continue_is_late(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING)
    proxy.origin.last.send(CONTINUE)
    proxy.advance(70)
    assert answer(client, b"POST").status == 408


@pytest.mark.parametrize("expect", [b"100-Continue", b"100-CONTINUE"])
def test_the_expectation_has_no_case(make_proxy: MakeProxy, expect: bytes) -> None:
    proxy = make_proxy()
    proxy.client().send(EXPECTING.replace(b"100-continue", expect))
    assert read_requests(proxy.origin.received)[0].get(b"expect") is not None


def test_another_expectation_is_refused(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING.replace(b"100-continue", b"the-impossible"))
    assert answer(client, b"POST").status == 417
    assert proxy.origin.connections == []


def test_http10_expects_nothing(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
    assert read_requests(proxy.origin.received)[0].get(b"expect") is None
    proxy.origin.last.send(CONTINUE + HINTS + OK)
    got = answer(client, b"POST")
    assert (got.interim, got.status) == ((), 200)


def test_several_interim_answers_pass_in_order() -> None:
    given = HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS + OK
    for cut in ways(given):
        with running() as proxy:
            client = proxy.client()
            client.send(GET)
            proxy.origin.last.send(given, cut=cut)
            got = answer(client)
            assert (got.interim, got.status, got.body) == ((103, 102, 103), 200, b"hi")


def test_an_interim_answer_passes_at_once(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(HINTS)
    assert b"Link: </style.css>" in client.received
    assert b"Content-Length" not in client.received


def test_interim_answers_are_counted(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(HINTS * 33)
    assert answer(client).status == 502
    assert proxy.origin.last.is_over


def test_interim_answers_keep_a_server_from_being_late(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    for _ in range(4):
        proxy.advance(50)
        proxy.origin.last.send(HINTS)
    proxy.origin.last.send(OK)
    assert answer(client).status == 200


def test_interim_answers_to_a_client_that_does_not_read_are_bounded(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client(room=100)
    client.send(GET)
    client.reads = False
    large = b"HTTP/1.1 103 Early Hints\r\nX: %b\r\n\r\n" % (b"x" * 10_000)
    proxy.origin.last.send(large)
    proxy.origin.last.offer(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"y" * 900_000)
    assert proxy.queued < 400_000
    client.reads = True
    proxy.network.settle()
    assert len(answer(client).body) == 900_000


def test_a_client_that_hesitates_after_continue_is_not_a_late_server(make_proxy: MakeProxy) -> None:
    """Once 100 was said, the next move is the client's, and its own deadlines count."""
    proxy = make_proxy(answer_timeout=4.0)
    client = proxy.client()
    client.send(EXPECTING)
    proxy.origin.last.send(CONTINUE)
    proxy.advance(9)
    client.send(b"hello")
    proxy.origin.last.send(OK)
    assert answer(client, b"POST").status == 200


@pytest.mark.parametrize("body", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_server_of_http10_will_not_say_continue(make_proxy: MakeProxy, body: bytes) -> None:
    """RFC 9110 §10.1.1: what is known to speak HTTP/1.0 alone is not waited for."""
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    client.take_back()
    client.send(EXPECTING.replace(b"Content-Length: 5", body))
    assert client.take_back() == CONTINUE
    client.send(b"hello" if body.startswith(b"Content") else b"5\r\nhello\r\n0\r\n\r\n")
    assert proxy.origin.last.received.endswith(b"\r\n\r\nhello")
    proxy.origin.last.send(OK)
    assert answer(client, b"POST").status == 200


def test_a_client_that_did_not_ask_is_not_invited(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    client.take_back()
    client.send(EXPECTING.replace(b"Expect: 100-continue\r\n", b""))
    assert client.received == b""
