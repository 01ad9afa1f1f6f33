"""Twenty changes of certificates while clients come and go: nobody fails, and nothing under way is disturbed."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from tests.certificates.making import Pair, pem_of
from tests.live.support_client import ask
from tests.live.support_process import until
from tests.live.support_proxy import Proxy
from tests.live.support_tls import ROOT, SecureClient, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started

NAMES = [f"{letter}.localhost" for letter in "abcd"]
ROUNDS = 5
# Looks follow each other quicker than they would, or the test would take minutes.
CONFIG = """
import os
from revproxy.certificates import collection
from revproxy.config.load import load
collection.LOOK_EVERY = 0.1
config = load(os.path.join(os.path.dirname(__file__), "inner.toml"))
"""


@pytest.fixture
def proxy(started: Started, tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "certs").mkdir()
    for name in NAMES:
        replace(tmp_path, name, ROOT.issue(name))
    (tmp_path / "inner.toml").write_text(f"""
        [[listener]]
        address = "127.0.0.1:0"
        tls = true
        [tls]
        certificates = "{tmp_path}/certs"
        [[site]]
        hosts = {NAMES}
        [[site.route]]
        proxy = "{started.backend("aiohttp").url}"
    """)
    with Proxy.configured(tmp_path, CONFIG, listen=False, name="config.py") as one:
        yield one
        assert "Traceback" not in one.output


def replace(folder: Path, name: str, pair: Pair) -> None:
    """The certificate and its key in a folder of their own, one after the other, as certbot writes them."""
    place = folder / "certs" / name
    place.mkdir(exist_ok=True)
    for file, octets in (("fullchain.pem", pem_of(pair.certificate)), ("privkey.pem", pem_of(pair.key))):
        (place / "new").write_bytes(octets)
        os.replace(place / "new", place / file)


class Visitor(threading.Thread):
    """Connects again and again, to one name after the other, and asks one question each time."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._enough = threading.Event()
        self.served: dict[str, int] = {}
        """The serial number that each name showed last."""
        self.count = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        contexts = {name: trusting() for name in NAMES}
        try:
            while not self._enough.is_set():
                for name in NAMES:
                    with SecureClient(self._port, name=name, context=contexts[name]) as client:
                        certificate = client.socket.getpeercert()
                        answer = client.ask("GET", "/hello.txt", host=name)
                        assert answer.status == 200 and answer.complete
                        assert certificate is not None
                        self.served[name] = int(str(certificate["serialNumber"]), 16)
                        self.count += 1
        except BaseException as failure:  # noqa: BLE001 -- told by the test
            self.failure = failure

    def await_served(self, serials: dict[str, int]) -> None:
        """Waits until it sees these certificates."""
        until(lambda: self.served == serials or self.failure, "the new certificates to be served")

    def end(self) -> None:
        self._enough.set()
        self.join()
        assert self.failure is None, repr(self.failure)


def test_twenty_changes_under_load(proxy: Proxy, started: Started, tmp_path: Path) -> None:
    visitor = Visitor(proxy.port)
    backend = started.backend("aiohttp").port
    with SecureClient(proxy.port, name=NAMES[0]) as under_way, SecureClient(proxy.port, name=NAMES[1]) as kept:
        under_way.send(b"GET /held/length/rotation HTTP/1.1\r\nHost: a.localhost\r\n\r\n")
        under_way.read_until(b"data: 1\n\n ")
        visitor.start()
        try:
            for _ in range(ROUNDS):
                renewed = {name: ROOT.issue(name) for name in NAMES}
                before = proxy.output.count("certificates: read again")
                for name, pair in renewed.items():
                    replace(tmp_path, name, pair)
                wanted = {name: pair.certificate.serial_number for name, pair in renewed.items()}
                visitor.await_served(wanted)
                assert kept.ask("GET", "/hello.txt", host=NAMES[1]).status == 200
                assert proxy.output.count("certificates: read again") > before
        finally:
            visitor.end()
        assert ask(backend, "POST", "/open/rotation").status == 200
        assert under_way.read_until(b"data: 2\n\n ")
    assert visitor.count > ROUNDS * len(NAMES)
    assert "TLS handshake" not in proxy.output


def test_a_bad_new_file_leaves_the_old_one_in_force_and_is_said_once(proxy: Proxy, tmp_path: Path) -> None:
    def served(name: str) -> int:
        with SecureClient(proxy.port, name=name) as client:
            certificate = client.socket.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    old, place = served(NAMES[0]), tmp_path / "certs" / NAMES[0]
    stays = "what was there before stays in force"
    (place / "fullchain.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense\n")
    proxy.wait_for(rf"{NAMES[0]}/fullchain.pem: .*{stays}")
    assert served(NAMES[0]) == old
    # Another name's change goes its way meanwhile.
    other = ROOT.issue(NAMES[1])
    replace(tmp_path, NAMES[1], other)
    until(lambda: served(NAMES[1]) == other.certificate.serial_number, "the other certificate")
    assert served(NAMES[0]) == old
    assert proxy.output.count(stays) == 1
    # A certificate without its key is not served either.
    half = ROOT.issue(NAMES[0])
    (place / "fullchain.pem").write_bytes(pem_of(half.certificate))
    proxy.wait_for(rf"private key does not belong.*{stays}")
    assert served(NAMES[0]) == old
    (place / "privkey.pem").write_bytes(pem_of(half.key))
    until(lambda: served(NAMES[0]) == half.certificate.serial_number, "the certificate whose key has come")
