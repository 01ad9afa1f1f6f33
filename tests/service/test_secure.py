"""Listeners that speak TLS: who gets through, who does not, and what is said of it."""

from __future__ import annotations

import gc
import socket
import struct
from ipaddress import ip_network
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.logger import capturedLogs

from revproxy.config.model import Limits, SiteTLS, TLSOptions
from revproxy.service.secure import HandshakeFailures
from revproxy.wire.handshake import ServerHandshake
from tests.certificates.making import client_of, misspelled, pem_of
from tests.service.secured import CLIENTS, A, B, Client, Service, secured, site


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


def test_those_under_way_go_on_when_it_stops_until_they_are_cut(tmp_path: Path) -> None:
    with secured(tmp_path) as service:
        silent = service.plain(0)
        service.turns.settle()
        acceptor = service.proxy.acceptors[0]
        acceptor.stop()
        assert acceptor.is_busy
        assert silent.read() == b""
        acceptor.cut()
        assert silent.read() is None
        assert not acceptor.is_busy
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


def test_a_certificate_that_can_not_be_read_costs_its_client_alone(tmp_path: Path) -> None:
    """OpenSSL verifies it, and is content with Latin-1 in a T61String."""
    (tmp_path / "ca.pem").write_bytes(pem_of(CLIENTS.certificate))
    tls = SiteTLS(client_certificates="required", client_ca=str(tmp_path / "ca.pem"))
    mallory = misspelled(CLIENTS, client_of(CLIENTS, "mallory"), b"\x0c\x07mallory", b"\x14\x07mal\xff\xffry")
    with secured(tmp_path, site("a.example", tls=tls), site("*")) as service, capturedLogs() as logs:
        client = service.client("a.example", pair=mallory)
        assert client.read() is None
        acceptor = service.proxy.acceptors[0]
        assert acceptor.frontend.admission.count == 0
        assert service.client("a.example", pair=client_of(CLIENTS, "alice")).ask().status == 200
    assert [event for event in logs if "log_failure" in event] == []
    assert sum("can't be read" in event.get("reason", "") for event in logs) == 1


@pytest.mark.parametrize("how", ["ask", "leave", "reset", "half", "refused"])
def test_what_openssl_holds_for_a_connection_goes_with_it(how: str, tmp_path: Path) -> None:
    """It is ten times what Python holds, and the collector, which does not know that, comes late."""
    with secured(tmp_path) as service:
        # What is made once for each context.
        service.client().ask()
        gc.collect()
        gc.disable()
        try:
            before = _held()
            for _ in range(5):
                client = service.plain(0) if how == "half" else Client(service, service.connect(0), "a.example")
                if how == "half":
                    client.send(b"\x16\x03\x01\x02\x00\x01\x00")
                elif how == "refused":
                    assert client.tls is not None
                    client.tls.set_alpn_protos([b"h2"])
                    with pytest.raises(SSL.Error):
                        client.shake()
                else:
                    client.shake()
                    if how != "leave":
                        client.ask()
                if how == "reset":
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.socket.close()
                service.turns.settle()
                # The client's own, which the service remembers.
                client.tls = None
            service.turns.until(lambda: service.proxy.acceptors[0].frontend.admission.count <= 1)
            assert _held() == before
        finally:
            gc.enable()


def _held() -> dict[type, int]:
    kinds = (SSL.Connection, ServerHandshake)
    return {kind: sum(type(each) is kind for each in gc.get_objects()) for kind in kinds}


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


def test_the_balancer_itself_is_not_counted(tmp_path: Path) -> None:
    tls = {"proxy_protocol_from": (ip_network("127.0.0.0/8"),)}
    with secured(tmp_path, tls=tls, limits=Limits(connections_per_address=1)) as service:
        slow = service.plain(0)
        first = balanced(service, HEADER)
        assert first.ask().status == 200
        # It speaks for itself: it looks whether we are there.
        assert balanced(service, b"PROXY UNKNOWN\r\n").ask().status == 200
        with pytest.raises(SSL.Error):
            balanced(service, HEADER)
        assert balanced(service, HEADER.replace(b"0.2.7", b"0.2.8")).ask().status == 200
        assert slow.read() == b""


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
