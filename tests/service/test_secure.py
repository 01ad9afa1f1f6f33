"""Listeners that speak TLS: who gets through, who does not, and what is said of it."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.logger import capturedLogs

from revproxy.config.model import Limits, TLSOptions
from revproxy.service.secure import HandshakeFailures
from tests.service.secured import A, B, Client, Service, secured


def test_requests_over_tls(tmp_path: Path) -> None:
    with secured(tmp_path) as service:
        client = service.client("b.example")
        assert client.served == B.certificate
        answer = client.ask("b.example", "/x?y")
        assert (answer.status, answer.body) == (200, b"/x?y of b.example")
        assert client.ask("b.example", "/again").body == b"/again of b.example"
        assert [each.scheme for each in service.transactions] == [b"https", b"https"]
        assert service.plain(1).ask().status == 200
        assert service.transactions[-1].scheme == b"http"


def test_an_unknown_name_gets_its_alert(tmp_path: Path) -> None:
    options = TLSOptions(certificates=(str(tmp_path / "certs"),), unknown_name="refuse")
    with secured(tmp_path, options=options) as service, capturedLogs() as logs:
        with pytest.raises(SSL.Error, match="unrecognized name"):
            service.client("c.example")
        assert service.client("a.example").ask().status == 200
    assert [event["reason"] for event in logs if "reason" in event] == ['there is no certificate for "c.example"']


def test_plain_http_on_the_tls_port_is_told_so(tmp_path: Path) -> None:
    with secured(tmp_path) as service:
        answer = service.plain(0).ask(path="/x")
        assert answer.status == 400
        assert b"This port speaks HTTPS" in answer.body
        (transaction,) = service.transactions
        assert (transaction.reason, transaction.scheme) == ("bad_request", b"http")
        assert service.plain(0).ask(method="HEAD").status == 400


def test_a_handshake_that_stalls_is_closed(tmp_path: Path) -> None:
    with secured(tmp_path, limits=Limits(handshake_timeout=5)) as service:
        silent, half = service.plain(0), service.plain(0)
        half.send(b"\x16\x03\x01\x02\x00\x01\x00")
        service.seconds(4)
        assert silent.read() == half.read() == b""
        assert service.proxy.acceptors[0].frontend.admission.count == 2
        service.seconds(3)
        assert silent.read() is None and half.read() is None
        assert service.proxy.acceptors[0].frontend.admission.count == 0


def test_handshakes_count_as_connections(tmp_path: Path) -> None:
    with secured(tmp_path, limits=Limits(connections=2)) as service:
        first, second = service.plain(0), service.plain(0)
        service.turns.settle()
        assert service.plain(0).read() is None
        assert first.read() == second.read() == b""
        first.socket.close()
        service.turns.settle()
        assert service.client().ask().status == 200


def test_those_under_way_are_given_up_when_it_stops(tmp_path: Path) -> None:
    with secured(tmp_path) as service:
        silent = service.plain(0)
        service.turns.settle()
        acceptor = service.proxy.acceptors[0]
        acceptor.stop()
        assert silent.read() is None
        assert acceptor.frontend.admission.count == 0


def test_failures_are_said_once_per_address_and_minute(tmp_path: Path) -> None:
    failures = HandshakeFailures()
    with capturedLogs() as logs:
        for second in range(0, 200, 10):
            failures.failed(b"192.0.2.1", "why", float(second))
            failures.failed(b"192.0.2.2", "why", float(second))
    assert failures.count == 40
    said = [event["peer"] for event in logs if "peer" in event]
    assert said == ["192.0.2.1", "192.0.2.2"] * 4
    assert [event["count"] for event in logs if "count" in event] == [10, 10, 10]


def test_nonsense_is_no_traceback(tmp_path: Path) -> None:
    with secured(tmp_path) as service, capturedLogs() as logs:
        for octets in (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x80\x2e\x01\x00\x02", b"\x00" * 50, b"\x16\x03"):
            client = service.plain(0)
            client.send(octets)
            service.turns.settle()
            client.socket.shutdown(socket.SHUT_WR)
            service.turns.settle()
        assert service.proxy.acceptors[0].frontend.admission.count == 0
    assert [event for event in logs if "log_failure" in event] == []
    assert sum("reason" in event for event in logs) == 1


# The PROXY protocol in front of TLS.

HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 443\r\n"


def balanced(service: Service, header: bytes, *, split: int = 0) -> Client:
    client = Client(service, service.connect(0), "a.example")
    client.socket.send(header[:split] if split else header)
    service.turns.settle()
    if split:
        client.socket.send(header[split:])
    client.shake()
    return client


@pytest.mark.parametrize("split", [0, 1, 20, len(HEADER) - 1])
def test_a_proxy_protocol_header_comes_before_the_handshake(split: int, tmp_path: Path) -> None:
    with secured(tmp_path, tls={"proxy_protocol_from": (ip_network("127.0.0.0/8"),)}) as service:
        client = balanced(service, HEADER, split=split)
        assert client.served == A.certificate
        assert client.ask().status == 200
        assert service.transactions[-1].client == b"192.0.2.7"
        assert service.proxy.acceptors[0].frontend.admission._by_address == {b"192.0.2.7": 1}


def test_without_that_header_there_is_no_handshake(tmp_path: Path) -> None:
    tls = {"proxy_protocol_from": (ip_network("127.0.0.0/8"),)}
    with secured(tmp_path, tls=tls, limits=Limits(handshake_timeout=5)) as service:
        with pytest.raises(SSL.Error):
            service.client()
        silent = service.plain(0)
        service.seconds(7)
        assert silent.read() is None
        gone = service.plain(0)
        gone.send(b"PROXY TCP4 ")
        gone.socket.shutdown(socket.SHUT_WR)
        service.turns.settle()
        assert service.proxy.acceptors[0].frontend.admission.count == 0
