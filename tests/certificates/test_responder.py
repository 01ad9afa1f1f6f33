"""Asking a responder over HTTP: what is sent, and every way in which no answer comes."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from revproxy.certificates.responder import LARGEST, TIMEOUT, Responders


class Exchange:
    """One question on its way."""

    def __init__(self, url: str = "http://127.0.0.1:88/ocsp") -> None:
        self.reactor = MemoryReactorClock()
        self.answers: list[Any] = []
        asked: Deferred[Any] = Responders(self.reactor).ask(url, b"question")
        asked.addBoth(self.answers.append)

    def connect(self) -> Any:
        (client,) = self.reactor.tcpClients
        assert client[:2] == ("127.0.0.1", 88)
        self.line = StringTransport()
        protocol: Any = client[2].buildProtocol(None)
        protocol.makeConnection(self.line)
        return protocol

    @property
    def failure(self) -> str:
        (failure,) = self.answers
        assert isinstance(failure, Failure)
        return failure.getErrorMessage()


def test_an_answer() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    sent = exchange.line.value()
    assert sent.startswith(b"POST /ocsp HTTP/1.1\r\n") and sent.endswith(b"\r\n\r\nquestion")
    assert b"Content-Type: application/ocsp-request\r\n" in sent
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nans")
    assert exchange.answers == []
    protocol.dataReceived(b"wer")
    assert exchange.answers == [b"answer"]
    exchange.reactor.advance(TIMEOUT + 1)


def test_nobody_there() -> None:
    exchange = Exchange()
    factory: Any = exchange.reactor.tcpClients[0][2]
    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    exchange.reactor.advance(1)
    assert "refused" in exchange.failure


def test_another_status() -> None:
    exchange = Exchange()
    exchange.connect().dataReceived(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    assert exchange.failure == "it answers with status 503"


def test_too_much() -> None:
    exchange = Exchange()
    protocol = exchange.connect()
    protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (LARGEST + 1))
    assert exchange.line.disconnecting
    protocol.connectionLost(Failure(ConnectionRefusedError()))
    assert exchange.failure == "the answer is too large"


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_it_takes_too_long(octets: bytes) -> None:
    exchange = Exchange()
    exchange.connect().dataReceived(octets)
    exchange.reactor.advance(TIMEOUT - 1)
    assert exchange.answers == []
    exchange.reactor.advance(2)
    assert isinstance(exchange.answers[0], Failure)


def test_another_scheme() -> None:
    assert Exchange("ldap://127.0.0.1:88/").failure == "its URL does not begin with http://"
