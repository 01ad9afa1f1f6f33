"""What sites demand of connections: https, certificates of clients, the name that was asked for; HSTS."""

from __future__ import annotations

import base64
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.web.resource import Resource

from revproxy.config.model import HSTS, Config, Listener, Route, SiteTLS, TLSOptions
from revproxy.resources.site_guard import redirect
from revproxy.service.generation import Generation
from revproxy.service.guarding import https_port
from tests.certificates.making import client_of, make_root, pem_of
from tests.service.secured import CLIENTS, secured, site

ALICE = client_of(CLIENTS, "alice")


def demanding(folder: Path, mode: str = "required", name: str = "ca.pem", **more: Any) -> SiteTLS:
    (folder / name).write_bytes(pem_of(CLIENTS.certificate))
    return SiteTLS(client_certificates=mode, client_ca=str(folder / name), **more)


def test_nothing_stands_between_where_nothing_is_demanded(tmp_path: Path) -> None:
    with secured(tmp_path) as service:
        generation = service.proxy.generation
        assert generation is not None
        assert [acceptor.frontend.dispatch for acceptor in service.proxy.acceptors] == [generation.dispatch] * 2


# Redirects.


@pytest.mark.parametrize(("written", "status"), [(True, 308), (308, 308), (301, 301)])
def test_a_listener_redirects(written: Any, status: int, tmp_path: Path) -> None:
    with secured(tmp_path, plain={"redirect_to_https": written}) as service:
        assert service.proxy.generation is not None
        port = https_port(service.proxy.config)
        assert port == 0
        client = service.plain(1)
        answer = client.ask("a.example:8080", "/x?y=%20", method="POST", more="Content-Length: 0\r\n")
        assert (answer.status, answer.fields[b"location"]) == (status, b"https://a.example:0/x?y=%20")
        assert client.ask("Unknown.Example.").fields[b"location"] == b"https://unknown.example:0/"
        # Nobody goes in circles, and the authority's question is for whoever answers it.
        assert service.client().ask().status == 200
        assert client.ask(path="/.well-known/acme-challenge/token").status == 200
        assert client.ask(path="http://b.example/z").fields[b"location"] == b"https://b.example:0/z"
        assert client.ask("", path="/").status == 400


def test_a_site_redirects(tmp_path: Path) -> None:
    sites = [site("a.example", redirect_to_https=301), site("*")]
    with secured(tmp_path, *sites) as service:
        client = service.plain(1)
        assert client.ask("a.example").status == 301
        assert client.ask("b.example").status == 200


def test_whom_a_trusted_proxy_brought_by_https_is_not_redirected(tmp_path: Path) -> None:
    trusted = (ip_network("127.0.0.0/8"),)
    with secured(tmp_path, plain={"redirect_to_https": True}, trusted_proxies=trusted) as service:
        assert service.plain(1).ask(more="X-Forwarded-Proto: https\r\n").status == 200
        assert service.plain(1).ask(more="X-Forwarded-Proto: http\r\n").status == 308
    with secured(tmp_path, plain={"redirect_to_https": True}) as service:
        assert service.plain(1).ask(more="X-Forwarded-Proto: https\r\n").status == 308


def test_redirects_lead_to_the_port_of_tls(tmp_path: Path) -> None:
    def port(*addresses: str) -> int:
        return https_port(Config(listeners=tuple(Listener(address=each, tls=True) for each in addresses)))

    assert port(":8443", ":443") == 443
    assert port("unix:/x", ":8443", ":9443") == 8443
    assert port("unix:/x") == 443


# Strict-Transport-Security.


def test_hsts_is_in_every_answer_over_tls_and_in_no_other(tmp_path: Path) -> None:
    hsts = HSTS(max_age=31536000.0, include_subdomains=True, preload=True)
    sites = [site("a.example", tls=SiteTLS(hsts=hsts)), site("b.example", tls=SiteTLS(hsts=HSTS())), site("*")]
    name = b"strict-transport-security"
    with secured(tmp_path, *sites) as service:
        client = service.client()
        for _ in range(2):
            assert client.ask().fields[name] == b"max-age=31536000; includeSubDomains; preload"
        assert client.ask(method="DELETE").fields[name]
        assert client.ask("b.example").fields[name] == b"max-age=63072000"
        assert name not in client.ask("c.example").fields
        assert name not in service.plain(1).ask().fields


# The name that was asked for.


def test_misdirected_requests(tmp_path: Path) -> None:
    options = TLSOptions(certificates=(str(tmp_path / "certs"),), misdirected=True)
    with secured(tmp_path, options=options) as service:
        client = service.client("a.example")
        assert client.ask("a.example").status == client.ask("A.example.:443").status == 200
        answer = client.ask("b.example")
        assert answer.status == 421
        assert service.transactions[-1].reason == "misdirected"
        assert client.ask("a.example").status == 200
        assert client.ask(path="http://b.example/").status == 421
        # Who asked for no name disagrees with none.
        assert service.client("").ask("b.example").status == 200
    with secured(tmp_path) as service:
        assert service.client("a.example").ask("b.example").status == 200


# Certificates of clients.


def test_a_site_is_served_on_connections_alone_that_proved_what_it_demands(tmp_path: Path) -> None:
    sites = [site("a.example", tls=demanding(tmp_path)), site("b.example"), site("*")]
    with secured(tmp_path, *sites) as service:
        proved = service.client("a.example", pair=ALICE)
        assert proved.ask("a.example").status == 200
        # The other way round nothing is demanded.
        assert proved.ask("b.example").status == 200
        for name in ("b.example", "c.example", ""):
            other = service.client(name, pair=ALICE) if name else service.client("b.example")
            assert other.ask("a.example").status == 421
            assert other.ask(path="http://a.example/").status == 421
            assert other.ask("A.EXAMPLE.").status == 421
            assert other.ask("b.example").status == 200
        assert service.plain(1).ask("a.example").status == 421
        assert service.plain(1).ask("b.example").status == 200
        with pytest.raises(SSL.Error):
            service.client("a.example").ask()


def test_a_site_below_a_pattern_is_no_way_around(tmp_path: Path) -> None:
    """What the tree chooses and what was demanded must be the same site, however a host is written."""
    sites = [site("[::1]", "*.a.example", tls=demanding(tmp_path)), site("*")]
    with secured(tmp_path, *sites) as service:
        client = service.client("b.example")
        for host in ("[::1]", "[0:0::1]", "[0:0:0:0:0:0:0:1]:443", "x.a.example", "y.x.A.example."):
            assert client.ask(host).status == 421, host


def test_optional_certificates(tmp_path: Path) -> None:
    sites = [site("a.example", tls=demanding(tmp_path, "optional")), site("b.example"), site("*")]
    with secured(tmp_path, *sites) as service:
        assert service.client("a.example").ask().status == 200
        assert service.client("a.example", pair=ALICE).ask().status == 200
        # There nobody was asked: the backend must not take that for a client that has none.
        assert service.client("b.example").ask("a.example").status == 421
        assert service.plain(1).ask("a.example").status == 200


def test_two_sites_that_demand_the_same_share_connections(tmp_path: Path) -> None:
    first, same = demanding(tmp_path), demanding(tmp_path, name="copy.pem")
    other = demanding(tmp_path, "optional")
    sites = [site("a.example", tls=first), site("b.example", tls=same), site("c.example", tls=other), site("*")]
    with secured(tmp_path, *sites) as service:
        client = service.client("a.example", pair=ALICE)
        assert [client.ask(host).status for host in ("a.example", "b.example", "c.example")] == [200, 200, 421]


def test_authorities_that_changed_count_at_once(tmp_path: Path) -> None:
    others = make_root("others")
    bob = client_of(others, "bob")
    sites = [site("a.example", tls=demanding(tmp_path)), site("*")]
    with secured(tmp_path, *sites) as service:
        client = service.client("a.example", pair=ALICE)
        assert client.ask().status == 200
        (tmp_path / "ca.pem").write_bytes(pem_of(others.certificate))
        service.seconds(7)
        assert client.ask().status == 421
        assert service.client("a.example", pair=bob).ask().status == 200
        with pytest.raises(SSL.Error):
            service.client("a.example", pair=ALICE).ask()


@pytest.mark.parametrize("mode", ["required", "optional"])
def test_without_authorities_nobody_passes(mode: str, tmp_path: Path) -> None:
    """``check`` refuses it, but a Config that is made in Python need not be checked."""
    sites = [site("a.example", tls=SiteTLS(client_certificates=mode)), site("*")]
    with secured(tmp_path, *sites) as service:
        for pair in (None, ALICE):
            with pytest.raises(SSL.Error):
                service.client("a.example", pair=pair).ask()
        assert service.client("b.example").ask("a.example").status == 421


def test_who_is_refused_hears_why(tmp_path: Path) -> None:
    """A client of TLS 1.3 has sent its request by then: a reset would destroy the alert on its way."""
    stranger = client_of(make_root("others"), "stranger")
    with secured(tmp_path, site("a.example", tls=demanding(tmp_path)), site("*")) as service:
        client = service.client("a.example", pair=stranger)
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        service.turns.settle()
        # The alert's record, and a FIN.
        assert len(client.socket.recv(1000)) == 24
        assert client.socket.recv(1000) == b""


# What the backend is told. Its request is rendered by the forwarding alone.


class Upstream:
    """Takes what would be sent."""

    authorities: frozenset[bytes] = frozenset()
    default_host = b"backend"

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def exchange(self, request: Any, head: bytes, *rest: Any) -> None:
        self.heads.append(head)
        redirect(request, 301, b"")


def told(folder: Path, tls: SiteTLS, monkeypatch: pytest.MonkeyPatch, fields: str, **who: Any) -> dict[str, str]:
    upstream = Upstream()
    monkeypatch.setattr(Generation, "_upstream", lambda self, target, before: upstream)
    sites = [site("a.example", tls=tls, routes=(Route(proxy="http://backend"),)), site("*")]
    trusted = (ip_network("127.0.0.0/8"),) if who.pop("trusted", False) else ()
    with secured(folder, *sites, trusted_proxies=trusted) as service:
        service.client("a.example", **who).ask(more=fields)
        monkeypatch.undo()
        assert service.proxy.generation is not None
        service.proxy.generation.upstreams.clear()
    lines = upstream.heads[0].decode().split("\r\n")[1:-1]
    return dict(line.split(": ", 1) for line in lines)


FORGED = "".join(
    f"{name}: forged\r\n"
    for name in (
        "Client-Cert",
        "client_cert",
        "Client-Cert-Chain",
        "X-SSL-Client-S-DN",
        "X_SSL_Client-S-DN",
        "SSL-Client-X",
        "X-SSL-Client-Verify",
    )
)


@pytest.mark.parametrize("trusted", [False, True])
def test_the_backend_is_told_what_was_proved(trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = demanding(tmp_path, "optional", client_subject="X-SSL-Client-S-DN")
    fields = told(tmp_path, tls, monkeypatch, FORGED, pair=ALICE, trusted=trusted)
    der = ALICE.certificate.public_bytes(Encoding.DER)
    assert fields["Client-Cert"] == f":{base64.b64encode(der).decode()}:"
    assert fields["X-SSL-Client-S-DN"] == "CN=alice"
    assert "forged" not in fields.values()
    fields = told(tmp_path, tls, monkeypatch, FORGED, trusted=trusted)
    assert "Client-Cert" not in fields and "forged" not in fields.values()


def test_nobody_is_believed_where_nothing_is_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = told(tmp_path, SiteTLS(), monkeypatch, FORGED)
    assert [name for name, value in fields.items() if value == "forged"] == []


class Heard(Resource):
    """A Twisted resource that remembers what it was told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[bytes, list[bytes]] = {}

    def render_GET(self, request: Any) -> bytes:
        self.fields = dict(request.requestHeaders.getAllRawHeaders())
        return b""


@pytest.mark.parametrize("trusted", [False, True])
def test_a_resource_of_ours_is_told_the_same(trusted: bool, tmp_path: Path) -> None:
    heard = Heard()
    routes = (Route(resource=heard),)
    sites = [site("a.example", tls=demanding(tmp_path, "optional"), routes=routes), site("b.example", routes=routes)]
    networks = (ip_network("127.0.0.0/8"),) if trusted else ()
    forged = FORGED + "X-Forwarded-For: 192.0.2.1\r\nTransfer_Encoding: chunked\r\nX-Mine: 1\r\n"
    with secured(tmp_path, *sites, trusted_proxies=networks) as service:
        service.client("a.example", pair=ALICE).ask(more=forged)
        der = ALICE.certificate.public_bytes(Encoding.DER)
        assert heard.fields[b"Client-Cert"] == [b":%b:" % base64.b64encode(der)]
        service.client("a.example").ask(more=forged)
        assert [b"forged"] not in heard.fields.values()
        service.client("b.example").ask("b.example", more=forged)
    assert heard.fields[b"X-Mine"] == [b"1"]
    believed = {b"Client-Cert", b"Client-Cert-Chain", b"X-Forwarded-For"} & set(heard.fields)
    assert len(believed) == (3 if trusted else 0)
    assert not [name for name in heard.fields if b"_" in name]
