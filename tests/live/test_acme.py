"""Certificates from a real ACME server (pebble): both challenges, the account, names on demand, renewal, failures."""

from __future__ import annotations

import http.server
import json
import signal
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.certificates.making import make_root, pem_of
from tests.live.support_acme import KEY_ID, MAC_KEY, Names, Pebble, RenewalServer, require_pebble
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Names]:
    require_pebble()
    with Names(tmp_path_factory.mktemp("names")) as server:
        yield server


class Place:
    """A server, and proxies on the ports that it connects to."""

    def __init__(self, folder: Path, names: Names, **options: Any) -> None:
        self.folder = folder
        self.http_port = free_port()
        self.tls_port = free_port()
        self.pebble = Pebble(folder / "pebble", names, http_port=self.http_port, tls_port=self.tls_port, **options)
        self.proxies: list[Proxy] = []

    def start(self, acme: str = "", hosts: str = '["one.example.com"]', *, clear: bool = True, tls: bool = True) -> Proxy:
        """A proxy; without ``clear`` or ``tls`` that listener is on a port that nobody knows."""
        http_port = self.http_port if clear else free_port()
        self.port = self.tls_port if tls else free_port()
        proxy = Proxy.configured(
            self.folder,
            f"""
            [[listener]]
            address = "127.0.0.1:{http_port}"
            redirect_to_https = true
            [[listener]]
            address = "127.0.0.1:{self.port}"
            tls = true
            [tls]
            state = "state"
            [tls.acme]
            agree = true
            directory = "{self.pebble.directory}"
            ca = "{self.pebble.ca}"
            {acme}
            [[site]]
            hosts = {hosts}
            [[site.route]]
            files = "{self.folder}"
            """,
            listen=False,
        )
        self.proxies.append(proxy)
        return proxy

    def served(self, name: str) -> x509.Certificate:
        """What a client gets that believes anything."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as sock,
            context.wrap_socket(sock, server_hostname=name) as wrapped,
        ):
            octets = wrapped.getpeercert(binary_form=True)
        assert octets is not None
        return x509.load_der_x509_certificate(octets)

    def trusts(self, name: str, root: int = 0) -> bool:
        """Whether a client that knows the server's root can connect, and is answered."""
        context = ssl.create_default_context(cadata=self.pebble.root(root).decode())
        with socket.create_connection(("127.0.0.1", self.port), 10) as sock:
            try:
                with context.wrap_socket(sock, server_hostname=name) as wrapped:
                    wrapped.sendall(f"GET /revproxy.toml HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                    return wrapped.recv(100).startswith(b"HTTP/1.1 200")
            except ssl.SSLCertVerificationError:
                return False

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.folder / "state" / "acme").glob(f"*/{pattern}"))

    def close(self) -> None:
        for child in (*self.proxies, self.pebble):
            child.__exit__(None, None, None)


@pytest.fixture
def place(tmp_path: Path, names: Names, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(tmp_path, names, **getattr(request, "param", {}))
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["tls-alpn-01", "http-01"])
def test_a_certificate_is_had(place: Place, kind: str) -> None:
    proxy = place.start(
        f'challenges = "{kind}"\ncontact = "ops@example.com"', '["one.example.com", "two.example.com"]',
        clear=kind == "http-01", tls=kind == "tls-alpn-01",
    )  # fmt: skip
    proxy.wait_for("a self-signed one is served until")
    proxy.wait_for("has issued a certificate for one.example.com, two.example.com")
    until(lambda: place.trusts("one.example.com"), "the certificate is served")
    assert place.trusts("two.example.com")
    assert not place.trusts("three.example.com")
    for path in place.files("**/*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert place.files("challenges/*") == []
    # Nothing is asked again, and nothing is had again.
    proxy.end()
    count = place.pebble.output.count("Issued certificate")
    again = place.start(f'challenges = "{kind}"', '["one.example.com", "two.example.com"]')
    assert place.trusts("one.example.com")
    assert "self-signed" not in again.output
    assert place.pebble.output.count("Issued certificate") == count
    assert again.end() == 0
    assert "Traceback" not in proxy.output + again.output


def test_rsa_and_another_root(tmp_path: Path, names: Names) -> None:
    place = Place(tmp_path, names, alternate_roots=1)
    try:
        root = x509.load_pem_x509_certificate(place.pebble.root(1))
        name = root.subject.rfc4514_string().removeprefix("CN=")
        proxy = place.start(f'key_type = "rsa"\npreferred_chain = "{name}"')
        proxy.wait_for("has issued a certificate")
        until(lambda: place.trusts("one.example.com", 1), "the certificate is served")
        assert not place.trusts("one.example.com", 0)
        assert isinstance(place.served("one.example.com").public_key(), rsa.RSAPublicKey)
    finally:
        place.close()


@pytest.mark.parametrize("place", [{"external": True}], indirect=True)
def test_an_external_account(place: Place) -> None:
    proxy = place.start()
    proxy.wait_for(r"no certificate for one\.example\.com: .* takes only customers that it knows")
    proxy.end()
    for path in place.files("server.json"):
        path.unlink()
    proxy = place.start(f'[tls.acme.external_account]\nkey_id = "{KEY_ID}"\nkey = "{MAC_KEY}"')
    proxy.wait_for("has issued a certificate")


def make_due(place: Place, name: str = "one.example.com") -> None:
    """As if its time had come, while no proxy runs."""
    (file,) = place.files(f"certificates/{name}/progress.json")
    progress = json.loads(file.read_text())
    progress.update(renew_at=1.0, next_time=0.0)
    file.write_text(json.dumps(progress))


def test_renewal_and_an_account_that_the_server_has_forgotten(place: Place, names: Names) -> None:
    proxy = place.start()
    proxy.wait_for("has issued a certificate")
    until(lambda: place.trusts("one.example.com"), "the certificate is served")
    before = place.served("one.example.com").serial_number
    proxy.end()
    # Pebble forgets everything when it ends.
    place.pebble.__exit__(None, None, None)
    place.pebble = Pebble(
        place.folder / "again", names, http_port=place.http_port, tls_port=place.tls_port, port=place.pebble.port
    )
    make_due(place)
    proxy = place.start()
    assert place.served("one.example.com").serial_number == before
    proxy.wait_for("it is time to renew it")
    proxy.wait_for("is of no use any more")
    proxy.wait_for("has issued a certificate")
    until(lambda: place.trusts("one.example.com"), "the new certificate is served")
    assert place.served("one.example.com").serial_number != before
    assert place.files("account.json.old")


def test_renewal_information(tmp_path: Path) -> None:
    """RFC 9773, which pebble does not know: each certificate's window is asked for."""
    with RenewalServer(tmp_path / "server") as server:
        text = f"""
            [[listener]]
            address = "127.0.0.1:0"
            tls = true
            [tls]
            state = "state"
            [tls.acme]
            agree = true
            contact = "ops@example.com"
            directory = "{server.directory}"
            ca = "{server.ca}"
            [[site]]
            hosts = ["one.example.com"]
            [[site.route]]
            files = "{tmp_path}"
            """
        with Proxy.configured(tmp_path, text, listen=False) as proxy:
            proxy.wait_for("has issued a certificate")
            proxy.wait_for(r"wants one\.example\.com to be renewed between")
            proxy.end()
        (file,) = (tmp_path / "state" / "acme").glob("*/certificates/one.example.com/progress.json")
        progress = json.loads(file.read_text())
        # The server issues for 30 days, and its window begins at 85 % of them.
        assert progress["window"]["start"] < progress["renew_at"] < progress["window"]["end"]
        progress["renew_at"] = 1.0
        file.write_text(json.dumps(progress))
        with Proxy.configured(tmp_path, text, listen=False) as proxy:
            proxy.wait_for("it is time to renew it")
            proxy.wait_for("has issued a certificate")
            proxy.wait_for(r"wants one\.example\.com to be renewed between")
        again = json.loads(file.read_text())
        assert again["window"] != progress["window"]
        assert server.output.count("/acme/renewal-info/") >= 2


def test_two_processes_and_one_orders(place: Place) -> None:
    first = place.start()
    second = place.start(clear=False, tls=False)
    first.wait_for("has issued a certificate")
    # The port is that of the second one.
    until(lambda: place.trusts("one.example.com"), "the second process serves what the first one has had")
    assert place.pebble.output.count("Issued certificate") == 1
    assert "ordering" not in second.output
    # The one that orders is killed; the other one takes over.
    second_port = place.port
    first.signal(signal.SIGKILL)
    first.wait()
    make_due(place)
    second.wait_for("it is time to renew it")
    assert place.port == second_port


def test_a_name_that_is_somewhere_else(place: Place, names: Names) -> None:
    names.answer("far.example.com", "127.0.0.9")
    proxy = place.start(hosts='["one.example.com"]', acme="""
        [[tls.acme.certificate]]
        names = ["far.example.com"]
        [[tls.acme.certificate]]
        names = ["one.example.com"]
    """)
    line = proxy.wait_for(r"no certificate for far\.example\.com: (.*)")[1]
    assert f"127.0.0.1:{place.pebble.port} could not verify far.example.com by tls-alpn-01" in line
    assert "the next try is at" in line
    proxy.wait_for("has issued a certificate for one.example.com")
    (file,) = place.files("certificates/far.example.com/progress.json")
    assert json.loads(file.read_text())["failures"] == 1


def test_a_server_that_is_not_there(place: Place) -> None:
    place.pebble.kill()
    proxy = place.start()
    line = proxy.wait_for(r"no certificate for one\.example\.com: (.*)")[1]
    assert "refused" in line
    assert "until there is a certificate" in place.served("one.example.com").subject.rfc4514_string()
    assert proxy.end() == 0


def test_a_server_that_is_somebody_else(place: Place) -> None:
    """Its certificate is of other authorities than ours."""
    real, place.pebble.ca = place.pebble.ca, place.folder / "other.pem"
    place.pebble.ca.write_bytes(pem_of(make_root().certificate))
    try:
        proxy = place.start()
        assert "certificate verify failed" in proxy.wait_for(r"no certificate for one\.example\.com: (.*)")[1]
    finally:
        place.pebble.ca = real


class Asked(http.server.BaseHTTPRequestHandler):
    """Allows names that begin with "good"."""

    names: list[str] = []  # noqa: RUF012  # of the class, on purpose

    def do_GET(self) -> None:
        (name,) = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["domain"]
        self.names.append(name)
        self.send_response(200 if name.startswith("good") else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest's output is for results."""


@pytest.fixture
def ask() -> Iterator[str]:
    Asked.names.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ask"
        server.shutdown()
        thread.join()


def test_names_on_demand(place: Place, ask: str) -> None:
    proxy = place.start(f'[tls.acme.on_demand]\nask = "{ask}"', '["*"]')
    # Nobody waits: the first client gets what is there.
    assert "until there is a certificate" in place.served("good.example.org").subject.rfc4514_string()
    place.served("bad.example.org")
    proxy.wait_for("has issued a certificate for good.example.org")
    until(lambda: place.trusts("good.example.org"), "the certificate is served")
    assert not place.trusts("bad.example.org")
    assert sorted(Asked.names) == ["bad.example.org", "good.example.org"]
    assert place.pebble.output.count("Issued certificate") == 1
