"""When a client's connection goes on after an answer: the truth table of RFC 9112 §9.3."""

from __future__ import annotations

import pytest
from twisted.web.resource import IResource

from revproxy.config.model import Limits
from revproxy.http.forward import FieldChanges
from revproxy.resources.base import Route, Routes
from revproxy.resources.proxy import ProxyResource
from tests.support.dialogue import GET, OK, answer, answering, answers, running, ways
from tests.support.fixtures import MakeProxy
from tests.support.proxy import Proxy

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"

TABLE = [
    # version, Connection, origin's answer, does it go on?, what Connection says to the client
    (b"1.1", None, LENGTH, True, None),
    (b"1.1", None, CHUNKED, True, None),
    (b"1.1", b"keep-alive", LENGTH, True, None),
    (b"1.1", b"close", LENGTH, False, b"close"),
    (b"1.1", b"Close", LENGTH, False, b"close"),
    (b"1.1", b"close", CHUNKED, False, b"close"),
    (b"1.1", b"keep-alive, close", LENGTH, False, b"close"),
    (b"1.1", b"foo,close", LENGTH, False, b"close"),
    (b"1.1", b"closed", LENGTH, True, None),
    (b"1.0", None, LENGTH, False, b"close"),
    (b"1.0", b"keep-alive", LENGTH, True, b"keep-alive"),
    (b"1.0", b"Keep-Alive", LENGTH, True, b"keep-alive"),
    (b"1.0", b"keep-alive", CHUNKED, False, b"close"),
    (b"1.0", b"keep-alive, close", LENGTH, False, b"close"),
    (b"1.2", None, LENGTH, True, None),
]


@pytest.mark.parametrize("with_body", [False, True])
@pytest.mark.parametrize(("version", "option", "given", "goes_on", "said"), TABLE)
def test_truth_table(
    version: bytes, option: bytes | None, given: bytes, goes_on: bool, said: bytes | None, with_body: bool
) -> None:
    method = b"POST" if with_body else b"GET"
    request = b"%b / HTTP/%b\r\nHost: a\r\n" % (method, version)
    if option is not None:
        request += b"Connection: %b\r\n" % option
    request += b"Content-Length: 3\r\n\r\nabc" if with_body else b"\r\n"
    for cut in ways(request, step=7):
        with running() as proxy:
            asked = answering(proxy.origin, lambda _: given)
            client = proxy.client()
            client.send(request, cut=cut)
            first = answer(client, method)
            assert (first.status, first.body, first.complete) == (200, b"hi", True)
            assert first.get(b"connection") == said
            assert client.ended is not goes_on
            client.send(request)
            assert len(asked) == (2 if goes_on else 1)
            assert asked[0].body == (b"abc" if with_body else b"")


def test_the_same_fields_again_mean_the_same(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    asked = answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    for number in range(5):
        client.send(b"GET /%d HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n" % number)
    assert [request.target for request in asked] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert {request.get(b"x-forwarded-for") for request in asked} == {b"192.0.2.1"}
    assert len({request.get(b"x-request-id") for request in asked}) == 5
    assert len(answers(client, *[b"GET"] * 5)) == 5
    assert len(proxy.origin.connections) == 1


def test_a_kept_connection_serves_head_after_get(make_proxy: MakeProxy) -> None:
    """The same octets from the origin mean another framing for another method."""
    proxy = make_proxy()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Mon, 12 Jan 1970 13:46:40 GMT\r\n\r\n"
    answering(proxy.origin, lambda request: head if request.method == b"HEAD" else head + b"hi")
    client = proxy.client()
    methods = [b"GET", b"GET", b"HEAD", b"GET", b"HEAD", b"HEAD", b"GET"]
    for method in methods:
        client.send(b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % method)
    got = answers(client, *methods)
    assert [answer.body for answer in got] == [b"" if method == b"HEAD" else b"hi" for method in methods]
    assert [answer.get(b"content-length") for answer in got] == [b"2"] * 7
    assert len(proxy.origin.connections) == 1


def drain(proxy: Proxy) -> None:
    proxy.frontend.draining = True
    for channel in list(proxy.frontend.channels):
        channel.drain()  # type: ignore[attr-defined]
    proxy.network.settle()


def test_drained_connections_end_after_their_answer(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    busy, half_sent = proxy.client(), proxy.client()
    busy.send(GET)
    half_sent.send(GET[:20])
    drain(proxy)
    assert not busy.ended and not half_sent.ended
    # A request that had begun to come is served.
    half_sent.send(GET[20:])
    for connection in proxy.origin.connections:
        connection.send(OK)
    for client in (busy, half_sent):
        assert answer(client).get(b"connection") == b"close"
        assert client.ended


def test_a_connection_that_is_idle_for_long_ends_at_once(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET)
    answer(client)
    proxy.advance(2)
    drain(proxy)
    assert client.ended and not client.was_reset


def test_a_connection_in_use_gets_a_moment_for_its_next_request(make_proxy: MakeProxy) -> None:
    """RFC 9112 §9.5: the next request may be on its way, and would be lost."""
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    asks_again, silent, fresh = proxy.client(), proxy.client(), proxy.client()
    for client in (asks_again, silent):
        client.send(GET)
        answer(client)
    drain(proxy)
    assert not asks_again.ended and not silent.ended and not fresh.ended
    asks_again.send(GET)
    assert [one.get(b"connection") for one in answers(asks_again, b"GET", b"GET")] == [None, b"close"]
    assert asks_again.ended
    proxy.advance(2)
    assert silent.ended and fresh.ended
    assert not silent.was_reset and not fresh.was_reset


def test_a_request_that_came_with_the_last_moment_is_read(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    answering(proxy.origin, lambda request: OK)
    client = proxy.client()
    client.send(GET)
    answer(client)
    proxy.advance(2)
    # It is in the kernel, and nobody has read it yet.
    client.sock.send(GET)
    drain(proxy)
    assert [one.get(b"connection") for one in answers(client, b"GET", b"GET")] == [None, b"close"]


def test_what_still_runs_when_the_time_to_drain_is_over_is_cut(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    client = proxy.client()
    client.send(GET)
    for channel in list(proxy.frontend.channels):
        channel.stop()  # type: ignore[attr-defined]
    proxy.network.settle()
    assert client.was_reset
    assert proxy.origin.last.is_over
    assert proxy.transaction.reason == "shutting_down"


def test_the_same_fields_on_another_route_are_forwarded_as_that_route_says(make_proxy: MakeProxy) -> None:
    """What was rendered for one route, or for one answer, must not serve another."""

    def root(proxy: Proxy) -> IResource:
        hidden = FieldChanges(remove=frozenset({b"x-kept"}))
        one = ProxyResource(proxy.group, host=b"one.example", response_changes=hidden)
        return Routes([Route(b"/one", one), Route(b"/", proxy.resource)])

    proxy = make_proxy(root=root)
    given = b"HTTP/1.1 200 OK\r\nX-Kept: y\r\nDate: Mon, 12 Jan 1970 13:46:40 GMT\r\nContent-Length: 2\r\n\r\nhi"
    asked = answering(proxy.origin, lambda request: given)
    client = proxy.client()
    for target in (b"/one", b"/two", b"/one", b"/two", b"/two", b"/one"):
        client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    expected = [b"one.example", b"a", b"one.example", b"a", b"a", b"one.example"]
    assert [request.get(b"host") for request in asked] == expected
    kept = [got.get(b"x-kept") for got in answers(client, *[b"GET"] * 6)]
    assert kept == [None if host == b"one.example" else b"y" for host in expected]


@pytest.mark.parametrize("leaves", ["reads on", "cuts"])
def test_a_connection_that_is_over_is_let_go_at_once(make_proxy: MakeProxy, leaves: str) -> None:
    """Not when the sweep comes by: a stopping proxy waits for what is left."""
    proxy = make_proxy()
    client = proxy.client(room=1000)
    client.reads = False
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    server = proxy.origin.last
    server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + b"x" * 5000)
    client.fin()
    server.close()
    assert len(proxy.frontend.channels) == 1
    if leaves == "reads on":
        client.reads = True
        proxy.network.settle()
        assert client.received.endswith(b"x" * 5000) and client.ended and not client.was_reset
    else:
        client.cut()
    assert proxy.frontend.channels == set()
    assert proxy.queued == 0


def test_what_is_to_be_closed_and_is_not_taken_is_cut(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(limits=Limits(send_timeout=5.0))
    client = proxy.client(room=1000)
    client.reads = False
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    server = proxy.origin.last
    server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + b"x" * 5000)
    client.fin()
    server.close()
    proxy.advance(4)
    assert len(proxy.frontend.channels) == 1
    proxy.advance(2)
    assert proxy.frontend.channels == set()
    assert client.sock.reset
