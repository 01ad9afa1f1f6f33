"""How long a server may take over a request that it reads slowly."""

from __future__ import annotations

from tests.support.dialogue import OK, answer
from tests.support.fixtures import MakeProxy

HEAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n"
BODY = b"x" * 60_000


def test_a_server_that_reads_slowly_is_not_silent(make_proxy: MakeProxy) -> None:
    """It takes a little of the upload every few seconds, for longer than ``answer_timeout`` in all."""
    proxy = make_proxy(answer_timeout=10.0)
    proxy.origin.room = 5_000
    client = proxy.client()
    client.send(HEAD)
    origin = proxy.origin.last
    origin.reads = False
    client.send(BODY)
    for _ in range(5):
        origin.take(5_000)
        proxy.advance(6.0)
    assert not answers_of(client.received)
    origin.reads = True
    proxy.network.settle()
    origin.send(OK)
    assert answer(client, b"PUT").status == 200


def test_a_server_that_stops_reading_is(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(answer_timeout=10.0)
    proxy.origin.room = 5_000
    client = proxy.client()
    client.send(HEAD)
    origin = proxy.origin.last
    origin.reads = False
    client.send(BODY)
    proxy.advance(12.0)
    assert answer(client, b"PUT").status == 504


def answers_of(octets: bytes) -> int:
    """How many answers came."""
    return octets.count(b"HTTP/1.1 ")
