"""One request and its answer: what is sent, and every way in which no answer comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from revproxy.certificates.acme.fetching import LARGEST, TIMEOUT, Answer, FetchError, HttpClient
from revproxy.errors import ConfigError


class Exchange:
    """One request on its way."""

    def __init__(self, url: str = "http://127.0.0.1:88/ask?a=b", body: bytes | None = None) -> None:
        self.reactor = MemoryReactorClock()
        self.answers: list[Any] = []
        client = HttpClient(self.reactor)
        method, kind = ("GET", "") if body is None else ("POST", "application/jose+json")
        self.asked: Deferred[Any] = Deferred.fromCoroutine(client(method, url, body, kind))
        self.asked.addBoth(self.answers.append)

    def connect(self) -> Any:
        client = self.reactor.tcpClients[0]
        self.line = StringTransport()
        protocol: Any = client[2].buildProtocol(None)
        protocol.makeConnection(self.line)
        return protocol

    @property
    def answer(self) -> Answer:
        (answer,) = self.answers
        assert isinstance(answer, Answer), answer
        return answer

    @property
    def failure(self) -> str:
        (failure,) = self.answers
        assert isinstance(failure, Failure)
        assert isinstance(failure.value, FetchError)
        return str(failure.value)


def test_a_question() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    sent = exchange.line.value()
    assert sent.startswith(b"GET /ask?a=b HTTP/1.1\r\n")
    assert b"\r\nUser-Agent: revproxy/" in sent
    protocol.dataReceived(b"HTTP/1.1 204 Fine\r\nReplay-Nonce: x\r\nLINK: a\r\nLink: b\r\n\r\n")
    assert exchange.answer.status == 204
    assert exchange.answer.field("replay-nonce") == "x"
    assert exchange.answer.fields["link"] == ("a", "b")
    assert exchange.answer.field("retry-after") == ""


def test_something_sent() -> None:
    exchange = Exchange(body=b'{"a": 1}')
    protocol = exchange.connect()
    assert b"Content-Type: application/jose+json\r\n" in exchange.line.value()
    assert exchange.line.value().endswith(b'\r\n\r\n{"a": 1}')
    protocol.dataReceived(b"HTTP/1.1 400 No\r\nContent-Length: 6\r\n\r\nans")
    assert exchange.answers == []
    protocol.dataReceived(b"wer")
    assert (exchange.answer.status, exchange.answer.body) == (400, b"answer")


def test_a_redirect_is_not_followed() -> None:
    exchange = Exchange()
    exchange.connect().dataReceived(b"HTTP/1.1 302 There\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\n\r\n")
    assert exchange.answer.status == 302
    assert len(exchange.reactor.tcpClients) == 1


def test_nobody_there() -> None:
    exchange = Exchange()
    factory: Any = exchange.reactor.tcpClients[0][2]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    exchange.reactor.advance(1)
    assert "refused" in exchange.failure


def test_too_much() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST + 1))
    assert exchange.failure == f"its answer is larger than {LARGEST} octets"


def test_cut_off() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    protocol.connectionLost(Failure(ConnectionRefusedError()))
    assert exchange.failure == "its answer was cut off"


def test_no_http_at_all() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    protocol.dataReceived(b"220 mail.example ESMTP\r\n\r\n")
    protocol.connectionLost(Failure(ConnectionRefusedError()))
    assert exchange.failure


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_it_takes_too_long(octets: bytes) -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    protocol.dataReceived(octets)
    exchange.reactor.advance(TIMEOUT - 1)
    assert exchange.answers == []
    exchange.reactor.advance(2)
    assert exchange.failure == "it did not answer within 30 s"
    assert exchange.line.disconnecting or exchange.line.disconnected


@pytest.mark.parametrize("octets", [None, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_whoever_stops_is_told_no_failure(octets: bytes | None) -> None:
    exchange = Exchange()
    if octets is not None:
        exchange.connect().dataReceived(octets)
    exchange.asked.cancel()
    exchange.reactor.advance(1)
    (failure,) = exchange.answers
    assert failure.check(CancelledError)
    assert exchange.reactor.getDelayedCalls() == []


def test_a_url_that_is_none() -> None:
    assert Exchange("gopher://a.example/").failure
    assert Exchange("http://[::1/").failure


@pytest.mark.parametrize("octets", [None, b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"])
def test_a_file_of_authorities_that_is_none(octets: bytes | None, tmp_path: Path) -> None:
    if octets is not None:
        (tmp_path / "ca.pem").write_bytes(octets)
    with pytest.raises(ConfigError, match=r"tls\.acme\.ca: .*ca\.pem"):
        HttpClient(MemoryReactorClock(), str(tmp_path / "ca.pem"))
