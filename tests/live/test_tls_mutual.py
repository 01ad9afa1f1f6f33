"""Certificates of clients: required or optional, revoked or not, and what of them reaches the backend."""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates.making import Pair, client_of, pem_of
from tests.live.support_client import Answer
from tests.live.support_process import until
from tests.live.support_proxy import Proxy
from tests.live.support_tls import CLIENTS, ROOT, SecureClient, trusting, write_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started

ALICE, BOB, STRANGER = client_of(CLIENTS, "alice"), client_of(CLIENTS, "bob"), client_of(ROOT, "alice")
SITE = """
    [[site]]
    hosts = ["{mode}.localhost"]
    {more}
    [[site.route]]
    proxy = "{url}"
"""
DEMAND = """
    [site.tls]
    client_certificates = "{mode}"
    client_ca = "clients.pem"
    client_crl = "revoked.pem"
    client_subject = "X-SSL-Client-S-DN"
"""
CLAIMS = (
    "Client-Cert: :bm9ib2R5:",
    "CLIENT-CERT: :bm9ib2R5:",
    "Client-Cert-Chain: :bm9ib2R5:",
    "X-SSL-Client-S-DN: CN=root",
    "x-ssl-client-verify: SUCCESS",
)


@pytest.fixture
def proxy(started: Started, tmp_path: Path) -> Iterator[Proxy]:
    url = started.backend("aiohttp").url
    write_certificates(tmp_path / "certs", "required.localhost", "optional.localhost", "open.localhost")
    (tmp_path / "clients.pem").write_bytes(pem_of(CLIENTS.certificate))
    (tmp_path / "revoked.pem").write_bytes(pem_of(CLIENTS.revokes(BOB.certificate)))
    sites = "".join(
        SITE.format(mode=mode, url=url, more=DEMAND.format(mode=mode) if mode != "open" else "")
        for mode in ("required", "optional", "open")
    )
    text = f"""
        trusted_proxies = ["127.0.0.1"]
        [[listener]]
        address = "127.0.0.1:0"
        tls = true
        [tls]
        certificates = "certs"
        {sites}
    """
    with Proxy.configured(tmp_path, text, listen=False) as one:
        yield one
        assert "Traceback" not in one.output


def context_of(pair: Pair | None, folder: Path, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = trusting(version=version)
    if pair is not None:
        file = folder / f"{pair.certificate.serial_number}.pem"
        file.write_bytes(pair.pem)
        context.load_cert_chain(file)
    return context


def ask(
    proxy: Proxy,
    site: str,
    context: ssl.SSLContext,
    *lines: str,
    host: str = "",
    session: ssl.SSLSession | None = None,
) -> Answer:
    """Raises OSError where the handshake is refused; in TLS 1.3 a client hears of that when it reads."""
    with SecureClient(proxy.port, name=f"{site}.localhost", context=context, session=session) as client:
        return client.ask("GET", "/seen", *lines, host=host or f"{site}.localhost")


def seen(answer: Answer) -> dict[str, Any]:
    """The fields of clients that the backend got."""
    assert answer.status == 200, answer
    fields = json.loads(answer.body)["fields"]
    return {name.lower(): value for name, value in fields if "client-" in name.lower()}


def expected(pair: Pair, subject: str) -> dict[str, str]:
    der = base64.b64encode(pair.certificate.public_bytes(Encoding.DER)).decode("ascii")
    return {"client-cert": f":{der}:", "x-ssl-client-s-dn": subject}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_who_is_let_in_and_what_the_backend_is_told(version: ssl.TLSVersion, proxy: Proxy, tmp_path: Path) -> None:
    alice = context_of(ALICE, tmp_path, version)
    nobody = context_of(None, tmp_path, version)
    for site in ("required", "optional"):
        assert seen(ask(proxy, site, alice)) == expected(ALICE, "CN=alice")
        for pair in (BOB, STRANGER):
            with pytest.raises(OSError, match=r"alert|closed|EOF"):
                ask(proxy, site, context_of(pair, tmp_path, version))
    with pytest.raises(OSError, match=r"required|handshake failure"):
        ask(proxy, "required", nobody)
    assert seen(ask(proxy, "optional", nobody)) == {}
    assert seen(ask(proxy, "open", alice)) == {}


def test_nobody_can_claim_a_certificate(proxy: Proxy, tmp_path: Path) -> None:
    """Not even through a trusted proxy, as which this client counts."""
    alice, nobody = context_of(ALICE, tmp_path), context_of(None, tmp_path)
    assert seen(ask(proxy, "required", alice, *CLAIMS)) == expected(ALICE, "CN=alice")
    assert seen(ask(proxy, "optional", nobody, *CLAIMS)) == {}


def test_another_name_is_no_way_in(proxy: Proxy, tmp_path: Path) -> None:
    nobody = context_of(None, tmp_path)
    for site in ("required", "optional"):
        assert ask(proxy, "open", nobody, *CLAIMS, host=f"{site}.localhost").status == 421
    assert ask(proxy, "optional", nobody, host="required.localhost").status == 421


def test_a_resumed_session_tells_the_same(proxy: Proxy, tmp_path: Path) -> None:
    alice = context_of(ALICE, tmp_path)
    session = None
    for resumed in (False, True, True):
        with SecureClient(proxy.port, name="required.localhost", context=alice, session=session) as client:
            assert seen(client.ask("GET", "/seen", host="required.localhost")) == expected(ALICE, "CN=alice")
            assert client.socket.session_reused is resumed
            session = client.socket.session


def test_a_revocation_holds_without_a_reload_for_sessions_and_open_connections_too(
    proxy: Proxy, tmp_path: Path
) -> None:
    alice = context_of(ALICE, tmp_path)
    with SecureClient(proxy.port, name="required.localhost", context=alice) as client:
        assert client.ask("GET", "/seen", host="required.localhost").status == 200
        session = client.socket.session
        (tmp_path / "revoked.pem").write_bytes(pem_of(CLIENTS.revokes(ALICE.certificate, BOB.certificate)))
        until(
            lambda: client.ask("GET", "/seen", host="required.localhost").status == 421,
            "the revocation to be heard of",
        )
    for before in (None, session):
        with pytest.raises(OSError, match="revoked"):
            ask(proxy, "required", alice, session=before)
