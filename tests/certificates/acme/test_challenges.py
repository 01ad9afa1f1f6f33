"""Challenges: who asks for them, and what is answered, by a proxy on sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from revproxy.certificates.acme.challenges import prepare
from revproxy.config.acme_tables import AcmeOptions
from revproxy.config.model import TLSOptions
from revproxy.wire.handshake import HandshakeRefused
from tests.certificates.acme.stage import Stage
from tests.certificates.shaking import client_context, shake
from tests.service.secured import Service, secured

THUMBPRINT = b"\x00" * 32
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PATH = f"/.well-known/acme-challenge/{TOKEN}"
ANSWER = TOKEN.encode() + b"." + b"A" * 43


def test_the_key_authorization() -> None:
    """RFC 8555 §8.1."""
    published = prepare("http-01", "a.example", TOKEN, THUMBPRINT)
    assert (published.file, published.octets) == (TOKEN, ANSWER)


def test_the_certificate_that_proves(stage: Stage) -> None:
    """RFC 8737 §3: one name, and the digest in a critical extension."""
    process = stage.start("a.example")
    published = prepare("tls-alpn-01", "a.example", TOKEN, THUMBPRINT)
    process.store.publish(published.file, published.octets)
    shaken = shake(process.certificates, "a.example", client_context(alpn=(b"acme-tls/1",)))
    assert shaken.chosen.is_challenge
    assert shaken.client.get_alpn_proto_negotiated() == b"acme-tls/1"
    served: x509.Certificate = shaken.served
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("a.example")]
    extension = served.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert extension.critical
    value: Any = extension.value
    assert value.value == b"\x04\x20" + hashlib.sha256(ANSWER).digest()
    process.store.withdraw(published.file)
    with pytest.raises(HandshakeRefused):
        shake(process.certificates, "a.example", client_context(alpn=(b"acme-tls/1",)))


@pytest.mark.parametrize("alpn", [(), (b"http/1.1",), (b"acme-tls/1", b"http/1.1"), (b"http/1.1", b"acme-tls/1")])
def test_others_see_nothing_of_it(stage: Stage, alpn: tuple[bytes, ...]) -> None:
    process = stage.start("a.example")
    published = prepare("tls-alpn-01", "a.example", TOKEN, THUMBPRINT)
    process.store.publish(published.file, published.octets)
    shaken = shake(process.certificates, "a.example", client_context(alpn=alpn))
    assert not shaken.chosen.is_challenge
    assert shaken.client.get_alpn_proto_negotiated() in (b"http/1.1", b"")


def test_names_without_a_challenge_are_refused(stage: Stage) -> None:
    process = stage.start("a.example")
    for name in ("a.example", "", "a", "x" * 200):
        with pytest.raises(HandshakeRefused, match="speaks none of our protocols"):
            shake(process.certificates, name, client_context(alpn=(b"acme-tls/1",)))


# A whole proxy.


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """All names have files, so nothing is ordered."""
    acme = AcmeOptions(agree=True, directory="https://127.0.0.1:9/directory")
    options = TLSOptions(certificates=(str(tmp_path / "certs"),), state=str(tmp_path / "state"), acme=acme)
    with secured(tmp_path, options=options, plain={"redirect_to_https": 308}) as made:
        yield made


def publish(service: Service, kind: str, name: str = "a.example") -> None:
    assert service.proxy.acme is not None
    published = prepare(kind, name, TOKEN, THUMBPRINT)
    service.proxy.acme.answers._store.publish(published.file, published.octets)


@pytest.mark.parametrize("host", ["a.example", "nobody.example", "[::1]:80"])
def test_http_01_is_answered_before_any_redirect_whatever_the_host(service: Service, host: str) -> None:
    publish(service, "http-01")
    client = service.plain(1)
    answer = client.ask(host, PATH)
    assert (answer.status, answer.body) == (200, ANSWER)
    assert answer.fields[b"content-type"] == b"application/octet-stream"
    answer = client.ask(host, PATH, method="HEAD")
    assert (answer.status, answer.body, answer.fields[b"content-length"]) == (200, b"", b"%d" % len(ANSWER))
    assert client.ask(host, "/").status == 308


@pytest.mark.parametrize("path", [PATH + "x", PATH[:-1], PATH + "/", "/.well-known/acme-challenge/", "/x" + PATH])
def test_what_is_no_challenge_of_ours_goes_on(service: Service, path: str) -> None:
    publish(service, "http-01")
    answer = service.plain(1).ask(path=path)
    assert ANSWER not in answer.body
    # A site's own client of ACME is asked.
    assert answer.status == (308 if path.startswith("/x") else 200)


def test_a_challenge_is_only_read(service: Service) -> None:
    publish(service, "http-01")
    answer = service.plain(1).ask(path=PATH, method="POST", more="Content-Length: 0\r\n")
    assert ANSWER not in answer.body


def test_it_is_not_answered_over_tls(service: Service) -> None:
    publish(service, "http-01")
    assert ANSWER not in service.client().ask(path=PATH).body


def test_tls_alpn_01_on_a_socket(service: Service) -> None:
    publish(service, "tls-alpn-01", "new.example")
    client = service.client("new.example", context=client_context(alpn=(b"acme-tls/1",)))
    assert client.tls is not None
    assert client.tls.get_alpn_proto_negotiated() == b"acme-tls/1"
    assert client.served.subject.rfc4514_string() == "CN=ACME challenge"
    # RFC 8737 §4: it carries nothing.
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    for _ in range(100):
        if client.read() is None:
            break
    else:
        raise AssertionError("the connection stays open")
    assert client.received == b""
    assert service.transactions == []
