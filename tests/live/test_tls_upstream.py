"""Servers behind https://: nginx and others with certificates of a private authority, and every reason to refuse one."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.certificates.making import client_of, make, pem_of
from tests.live.support_backends import HELLO, Nginx
from tests.live.support_client import Answer, ask
from tests.live.support_process import free_port
from tests.live.support_proxy import Proxy
from tests.live.support_tls import (
    CLIENTS,
    ROOT,
    SITE,
    SecureAccepted,
    SecureScripted,
    server_context,
    trusting,
    write_certificates,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started

CERTIFICATES = "ssl_certificate {folder}/app.pem; ssl_certificate_key {folder}/app.pem;"
NGINX = """
    listen 127.0.0.1:{port} ssl; keepalive_requests 1; {certificates}
    add_header X-Reused $ssl_session_reused; add_header X-Name $ssl_server_name;
  }}
  server {{
    listen 127.0.0.1:{mutual} ssl; {certificates} root {folder}/documents;
    ssl_verify_client on; ssl_client_certificate {folder}/clients.pem;
    add_header X-Subject $ssl_client_s_dn;
"""
UPSTREAM = """
    [[site]]
    hosts = ["{name}.localhost"]
    [[site.route]]
    proxy = "{name}"
    [upstream.{name}]
    servers = ["https://127.0.0.1:{port}"]
    [upstream.{name}.tls]
    {options}
"""


def served(accepted: SecureAccepted) -> None:
    """Answers everybody."""
    while accepted.read_head():
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@attrs.frozen
class Secured:
    """A proxy in front of servers that each are wrong in one way."""

    proxy: Proxy
    secure_port: int
    expired: SecureScripted

    def ask(self, name: str) -> Answer:
        return ask(self.proxy.port, "GET", f"/hello.txt?{name}", host=f"{name}.localhost")

    def refused(self, name: str) -> str:
        """What the log says of a request that got 502, and of which the server got nothing."""
        answer = self.ask(name)
        assert answer.status == 502
        # Whose certificate is wrong is nothing for clients.
        assert b"certificate" not in answer.body and b"127.0.0.1" not in answer.body
        record = self.proxy.record_with("target", f"/hello.txt?{name}")
        assert record["reason"] == "tls_failed", record
        return str(record["detail"])


@pytest.fixture(scope="module")
def secured(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("upstream")
    write_certificates(folder / "certs", SITE)
    backend = folder / "backend"
    backend.mkdir()
    (backend / "app.pem").write_bytes(ROOT.issue("app.internal").pem)
    (backend / "clients.pem").write_bytes(pem_of(CLIENTS.certificate))
    (folder / "ours.pem").write_bytes(client_of(CLIENTS, "the proxy").pem)
    ports = {"port": free_port(), "mutual": free_port()}
    more = NGINX.format(folder=backend, certificates=CERTIFICATES.format(folder=backend), **ports)
    old = server_context(folder, ROOT.issue("app.internal", days=-0.5))
    alone = server_context(folder, make("app.internal"))
    internal = 'server_name = "app.internal"\nca = "root.pem"\n'
    with (
        Nginx(backend, more) as nginx,
        SecureScripted(served, old) as expired,
        SecureScripted(served, alone) as self_signed,
        serve(echo, "127.0.0.1", 0, ssl=server_context(folder, ROOT.issue("app.internal"))) as sockets,
    ):
        serving = threading.Thread(target=sockets.serve_forever, daemon=True)
        serving.start()
        upstreams: dict[str, tuple[int, str]] = {
            "good": (ports["port"], internal),
            "another-name": (ports["port"], 'server_name = "other.internal"\nca = "root.pem"'),
            "an-address": (ports["port"], 'ca = "root.pem"'),
            "unknown": (ports["port"], 'server_name = "app.internal"'),
            "expired": (expired.port, internal),
            "self-signed": (self_signed.port, internal),
            "clear-text": (nginx.port, internal),
            "unverified": (self_signed.port, "verify = false"),
            "mutual": (ports["mutual"], internal + 'certificate = "ours.pem"'),
            "nobody": (ports["mutual"], internal),
            "sockets": (sockets.socket.getsockname()[1], internal),
        }
        secure_port = free_port()
        described = "".join(
            UPSTREAM.format(name=name, port=port, options=options) for name, (port, options) in upstreams.items()
        ).replace('"sockets.localhost"', f'"sockets.localhost", "{SITE}"')
        text = f"""
            [[listener]]
            address = "127.0.0.1:0"
            [[listener]]
            address = "127.0.0.1:{secure_port}"
            tls = true
            [tls]
            certificates = "certs"
            {described}
        """
        with Proxy.configured(folder, text, listen=False) as proxy:
            yield Secured(proxy, secure_port, expired)
            assert "Traceback" not in proxy.output
        sockets.shutdown()
        serving.join()


def test_a_server_that_proves_its_name(secured: Secured) -> None:
    answers = [secured.ask("good") for _ in range(3)]
    for answer in answers:
        assert (answer.status, answer.body, answer.get("X-Name")) == (200, HELLO, "app.internal")
    # A connection for each of them, and one full handshake for all.
    assert [answer.get("X-Reused") for answer in answers] == [".", "r", "r"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("another-name", "it is not for other.internal but for app.internal"),
        ("an-address", "it is not for 127.0.0.1 but for app.internal"),
        ("unknown", "its issuer is not known"),
        ("expired", "it has expired"),
        ("self-signed", "it is signed by itself alone"),
        ("clear-text", "it does not speak TLS on this port"),
    ],
)
def test_the_log_says_exactly_why_a_server_was_refused(name: str, words: str, secured: Secured) -> None:
    assert words in secured.refused(name)
    assert secured.expired.finished == 0, "a request reached a server that was not believed"


def test_who_gives_verification_up_is_warned_at_each_start(secured: Secured) -> None:
    assert secured.ask("unverified").body == b"ok"
    assert secured.proxy.output.count("upstream unverified: tls.verify is false") == 1


def test_a_client_certificate_is_shown(secured: Secured) -> None:
    answer = secured.ask("mutual")
    assert (answer.status, answer.get("X-Subject")) == (200, "CN=the proxy")
    # Without one nginx answers by itself, since this is how it refuses.
    assert secured.ask("nobody").status == 400


@pytest.mark.parametrize("message", ["hello", "x" * 1_000_000, b"\0" * 100_000])
def test_a_web_socket_through_tls_on_both_sides(message: Any, secured: Secured) -> None:
    with connect(
        f"wss://{SITE}:{secured.secure_port}/",
        sock=socket.create_connection(("127.0.0.1", secured.secure_port)),
        ssl=trusting(),
        server_hostname=SITE,
        max_size=None,
    ) as client:
        client.send(message)
        assert client.recv(20) == message


def test_an_authority_that_is_missing_ends_the_start_with_a_word(tmp_path: Path) -> None:
    text = UPSTREAM.format(name="app", port=1, options='ca = "gone.pem"')
    (tmp_path / "revproxy.toml").write_text(text)
    with Proxy(tmp_path, "--config", tmp_path / "revproxy.toml") as proxy:
        assert proxy.wait() == 2
        assert "upstream.app.tls.ca" in proxy.output and "gone.pem" in proxy.output
        assert "Traceback" not in proxy.output
