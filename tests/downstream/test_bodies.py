"""Bodies in both directions: lengths and chunks made of each other, trailers, and none where none may be."""

from __future__ import annotations

import pytest

from tests.support.dialogue import GET, OK, answer, answering, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.reading import Asked, read_requests

CHUNKED = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\n"


def test_a_chunked_upload_arrives_whole_with_its_trailers() -> None:
    request = CHUNKED + b"X-Sum: 9\r\nContent-Length: 3\r\n\r\n"
    for cut in ways(request):
        with running() as proxy:
            asked = answering(proxy.origin, lambda request: OK)
            client = proxy.client()
            client.send(request, cut=cut)
            (only,) = asked
            assert only.body == b"wikipedia"
            assert only.get(b"transfer-encoding") == b"chunked"
            assert only.trailers == ((b"x-sum", b"9"),)
            assert answer(client, b"POST").status == 200
            assert proxy.transaction.received == 9


def test_an_upload_of_known_length_keeps_it() -> None:
    request = b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nwikipedia"
    for cut in ways(request):
        with running() as proxy:
            asked = answering(proxy.origin, lambda request: OK)
            client = proxy.client()
            client.send(request, cut=cut)
            assert [(only.body, only.get(b"content-length")) for only in asked] == [(b"wikipedia", b"9")]
            assert answer(client, b"PUT").status == 200


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"PATCH", b"DELETE", b"GET", b"BREW"])
def test_an_empty_body_says_its_length(make_proxy: MakeProxy, method: bytes) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    proxy.client().send(b"%b / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % method)
    assert asked[0].get(b"content-length") == b"0"


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwikipedia",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nwikipedia",
    b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nwikipedia",
    b"HTTP/1.0 200 OK\r\n\r\nwikipedia",
]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("given", ANSWERS)
def test_an_answer_arrives_whole_in_the_clients_framing(given: bytes, version: bytes) -> None:
    for cut in ways(given):
        with running() as proxy:
            client = proxy.client()
            client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
            proxy.origin.last.send(given, cut=cut)
            if b"\r\n\r\nwiki" in given and b"Length" not in given:
                assert not client.ended
                proxy.origin.last.fin()
            got = answer(client)
            assert (got.status, got.body, got.complete) == (200, b"wikipedia", True)
            assert proxy.transaction.sent == 9
            if version == b"1.0":
                assert got.get(b"transfer-encoding") is None
                assert client.ended
            elif b"Length" not in given:
                assert got.get(b"transfer-encoding") == b"chunked"


def test_trailers_of_an_answer_pass(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 2\r\nSet-Cookie: a\r\n\r\n"
    )
    assert answer(client).trailers == ((b"x-sum", b"2"),)


def test_the_first_octets_leave_while_the_rest_is_held(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    end = proxy.origin.last
    end.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert b"\r\n\r\n" in client.received
    end.send(b"2\r\nhi\r\n")
    assert client.received.endswith(b"2\r\nhi\r\n")
    end.send(b"3\r\nyo")
    assert client.received.endswith(b"2\r\nyo\r\n")


def test_the_first_octets_of_an_upload_leave_while_the_rest_is_held(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(CHUNKED[: CHUNKED.index(b"4;x")])
    assert proxy.origin.last.received.endswith(b"\r\n\r\n")
    client.send(b"4\r\nwi")
    assert read_requests(proxy.origin.received)[0].body == b"wi"


NO_CONTENT = [
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: \"a\"\r\n\r\n"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    (b"POST", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
]


@pytest.mark.parametrize(("method", "given"), NO_CONTENT)
def test_answers_that_have_no_body(method: bytes, given: bytes) -> None:
    for cut in ways(given, step=3):
        with running() as proxy:
            client = proxy.client()
            client.send(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            proxy.origin.last.send(given, cut=cut)
            got = answer(client, method)
            assert got.complete and got.body == b""
            assert got.get(b"transfer-encoding") is None
            if got.status == 204:
                assert got.get(b"content-length") is None
            # Both connections go on.
            client.received = b""
            client.send(GET)
            proxy.origin.last.send(OK)
            assert answer(client).body == b"hi"
            assert len(proxy.origin.connections) == 1


def test_an_http10_client_that_is_kept(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()

    def script(request: Asked) -> bytes:
        return OK

    asked = answering(proxy.origin, script)
    client = proxy.client()
    for _ in range(3):
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert len(asked) == 3
    assert asked[0].get(b"host") == b"10.0.0.1"
    assert asked[0].get(b"via") == b"1.0 revproxy"


@pytest.mark.parametrize("given", ANSWERS)
def test_an_answer_that_breaks_off_never_looks_complete(given: bytes) -> None:
    """However little of it is missing, whether the origin ends or cuts, for either version of a client."""
    for version in (b"1.0", b"1.1"):
        for at in range(given.index(b"\r\n\r\n") + 4, len(given)):
            for leave in ("close", "cut"):
                if b"Length" not in given and b"chunked" not in given and leave == "close":
                    continue
                with running() as proxy:
                    client = proxy.client()
                    client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
                    proxy.origin.last.send(given[:at])
                    getattr(proxy.origin.last, leave)()
                    if client.was_reset:
                        continue
                    assert client.ended
                    assert client.received == b"" or not answer(client).complete
                    assert proxy.transaction.reason == "closed_early"
