"""TLS in front, as a process of its own: curl and Python's own TLS as clients, a real root, real files that change."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.certificates.making import client_of, make_root, pem_of
from tests.live.support_backends import HELLO
from tests.live.support_client import curl
from tests.live.support_process import PATIENCE, free_port, until
from tests.live.support_proxy import REVPROXY, Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started

CLIENTS = make_root("clients")
FILES = make_root("files")


@attrs.frozen
class Secured:
    """A proxy with the internal authority, a certificate from a file, and a site that demands certificates."""

    proxy: Proxy
    port: int
    folder: Path

    @property
    def root(self) -> str:
        return str(self.folder / "state" / "authority" / "root.pem")

    def curl(self, host: str, *arguments: str, scheme: str = "https", port: int = 0) -> tuple[str, bytes]:
        """The head and the body of what curl was answered, having checked the certificate."""
        port = port or self.port
        done = curl(
            *("--resolve", f"{host}:{self.port}:127.0.0.1", "--resolve", f"{host}:{port}:127.0.0.1"),
            *("--cacert", self.root, *arguments, f"{scheme}://{host}:{port}/hello.txt"),
        )
        return done.head if done.code == 0 else done.error, done.body

    def connect(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None = None, host: str = "localhost"
    ) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname=host, session=session)


@pytest.fixture
def secured(started: Started, tmp_path: Path) -> Iterator[Secured]:
    port = free_port()
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "a.pem").write_bytes(FILES.issue("file.localhost").pem)
    (tmp_path / "clients.pem").write_bytes(pem_of(CLIENTS.certificate))
    proxied = f'[[site.route]]\nproxy = "{started.backend("nginx").url}"\n'
    text = f"""
        [[listener]]
        address = "127.0.0.1:0"
        redirect_to_https = true
        [[listener]]
        address = "127.0.0.1:{port}"
        tls = true
        [tls]
        certificates = "certs"
        internal = true
        state = "state"
        [[site]]
        hosts = ["localhost", "file.localhost", "*.below.localhost"]
        [site.tls]
        hsts = "1d"
        {proxied}
        [[site]]
        hosts = ["private.localhost"]
        [site.tls]
        client_certificates = "required"
        client_ca = "clients.pem"
        {proxied}
    """
    with Proxy.configured(tmp_path, text, listen=False) as proxy:
        proxy.wait_for(rf"listens on https://127.0.0.1:{port}/")
        yield Secured(proxy, port, tmp_path)


def test_curl_believes_the_internal_authority(secured: Secured) -> None:
    for host in ("localhost", "x.below.localhost"):
        head, body = secured.curl(host)
        assert head.startswith("HTTP/1.1 200") and body == HELLO
        assert "Strict-Transport-Security: max-age=86400" in head
    head, _ = secured.curl("localhost", scheme="http", port=secured.proxy.port)
    assert head.startswith("HTTP/1.1 308") and f"Location: https://localhost:{secured.port}/hello.txt" in head
    assert secured.curl("localhost", "--location", scheme="http", port=secured.proxy.port)[1] == HELLO
    head, body = secured.curl("localhost", scheme="http")
    assert head.startswith("HTTP/1.1 400") and b"This port speaks HTTPS" in body
    # Signed by a root that curl was not told of.
    assert "certificate" in secured.curl("file.localhost")[0]
    told = subprocess.run([REVPROXY, "ca", secured.folder / "revproxy.toml"], capture_output=True, check=True, text=True)
    assert f"curl --cacert {secured.root}" in told.stdout


def test_certificates_of_clients(secured: Secured) -> None:
    alice, stranger = client_of(CLIENTS, "alice"), client_of(FILES, "alice")
    for name, pair in (("alice", alice), ("stranger", stranger)):
        (secured.folder / f"{name}.pem").write_bytes(pair.pem)
    assert secured.curl("private.localhost", "--cert", str(secured.folder / "alice.pem"))[1] == HELLO
    for arguments in ((), ("--cert", str(secured.folder / "stranger.pem"))):
        error, body = secured.curl("private.localhost", *arguments)
        assert body == b"" and not error.startswith("HTTP")
    assert secured.curl("localhost", "--header", "Host: private.localhost")[0].startswith("HTTP/1.1 421")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(version: ssl.TLSVersion, secured: Secured) -> None:
    context = ssl.create_default_context(cafile=secured.root)
    context.minimum_version = context.maximum_version = version
    session = None
    reused = []
    for _ in range(5):
        with secured.connect(context, session) as client:
            client.sendall(b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            octets = b""
            while piece := client.recv(65536):
                octets += piece
            assert octets.endswith(HELLO)
            reused.append(client.session_reused)
            # TLS 1.3's tickets came with the answer.
            session = client.session
    assert reused == [False, True, True, True, True]


def test_a_changed_file_is_served_without_a_reload(secured: Secured) -> None:
    context = ssl.create_default_context(cadata=pem_of(FILES.certificate).decode())
    renewed = FILES.issue("file.localhost", days=60)

    def served() -> int:
        with secured.connect(context, host="file.localhost") as client:
            certificate = client.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    assert served() != renewed.certificate.serial_number
    (secured.folder / "new").write_bytes(renewed.pem)
    os.replace(secured.folder / "new", secured.folder / "certs" / "a.pem")
    until(lambda: served() == renewed.certificate.serial_number, "the new certificate")
    secured.proxy.wait_for("certificates: read again")
