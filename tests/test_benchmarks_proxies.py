"""The parts of ``benchmarks/`` that set proxies up and speak TLS with them, and what they read from other programs."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import handshakes, origin, ours, scenarios
from benchmarks.certificate import Certificate, make_certificate, parse_negotiated
from benchmarks.launching import MissingError, Place
from benchmarks.load import LoadError
from benchmarks.measure import hit_ratio
from benchmarks.servers import caddy, haproxy, nginx, varnish
from revproxy.config.load import examine


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls") / "made")


class TestTLS:
    def test_the_certificate(self, certificate: Certificate) -> None:
        found = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
        key = found.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost"]
        assert certificate.both.read_bytes() == certificate.chain.read_bytes() + certificate.key.read_bytes()
        assert certificate.key.stat().st_mode & 0o077 == 0

    def test_clients_offer_one_cipher(self, certificate: Certificate) -> None:
        # In a process of its own: the configuration is read when the library is loaded.
        code = (
            "import ssl; ciphers = ssl.create_default_context().get_ciphers();"
            "print(*[one['name'] for one in ciphers if one['protocol'] == 'TLSv1.3'])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **certificate.environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["TLS_AES_128_GCM_SHA256"]

    def test_clients_believe_the_certificate_alone(self, certificate: Certificate) -> None:
        context = certificate.context()
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert len(context.get_ca_certs()) + context.cert_store_stats()["x509"] == 1

    def test_what_was_negotiated(self) -> None:
        said = (
            "depth=0 CN = localhost\nverify error:num=18:self-signed certificate\nCONNECTION ESTABLISHED\n"
            "Protocol version: TLSv1.3\nCiphersuite: TLS_AES_128_GCM_SHA256\nPeer certificate: CN = localhost\n"
            "Hash used: SHA256\nSignature type: ECDSA\nServer Temp Key: X25519, 253 bits\nDONE\n"
        )
        assert parse_negotiated(said) == "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDSA X25519"
        newer = said.replace("Server Temp Key: X25519, 253 bits", "Negotiated TLS1.3 group: X25519MLKEM768")
        assert parse_negotiated(newer) == "TLSv1.3 TLS_AES_128_GCM_SHA256 ECDSA X25519MLKEM768"
        assert parse_negotiated("connect: Connection refused\n") is None

    def test_connections_are_counted_and_told_apart(self) -> None:
        full = (
            "Collecting connection statistics for 1 seconds\n****\n\n"
            "4 connections in 0.17s; 23.52 connections/user sec, bytes read 592\n"
            "4 connections in 2 real seconds, 148 bytes read per connection\n"
        )
        assert handshakes.parse_connections(full) == handshakes.Connections(4, 592, 0)
        resumed = (
            "Collecting connection statistics for 1 seconds\n\n\nNow timing with session id reuse.\nstarting\nrr*\n\n"
            "3 connections in 0.00s; inf connections/user sec, bytes read 444\n"
            "3 connections in 1 real seconds, 148 bytes read per connection\n"
        )
        assert handshakes.parse_connections(resumed) == handshakes.Connections(3, 444, 2)
        with pytest.raises(LoadError, match="handshake failure"):
            handshakes.parse_connections("ERROR\n40: sslv3 alert handshake failure\n")

    def test_a_session_resumed_in_a_full_handshake_is_an_error(self) -> None:
        counted = [handshakes.Connections(10, 1000, 0), handshakes.Connections(6, 600, 4)]
        full = handshakes.total(counted, 2.0, 0.5, resume=False)
        assert (full.requests, full.octets, full.seconds, full.cpu) == (16, 1600, 2.0, 0.5)
        assert full.errors == {"resumption": 4}
        resumed = handshakes.total(counted, 2.0, 0.5, resume=True)
        assert (resumed.errors, resumed.resumed) == ({}, 0.25)
        assert handshakes.total([], 2.0, 0.5, resume=True).resumed is None

    def test_the_request_of_a_handshake_is_whole(self) -> None:
        target = handshakes.target(scenarios.Ask("/1k", b""), "localhost:1")
        assert f"GET {target} HTTP/1.0\r\n\r\n" == (
            "GET /1k HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\nX-Written-As: HTTP/1.0\r\n\r\n"
        )


class TestCache:
    def test_requests_that_the_origin_has_had(self) -> None:
        said = "Active connections: 1 \nserver accepts handled requests\n 12 12 345 \nReading: 0 Writing: 1 Waiting: 0 \n"
        assert origin.parse_requests(said) == 345
        with pytest.raises(ValueError, match="not the status"):
            origin.parse_requests("<html>404</html>")

    @pytest.mark.parametrize(
        ("answers", "asked", "expected"), [(100, 0, 1.0), (100, 25, 0.75), (100, 103, 0.0), (0, 0, None)]
    )
    def test_the_hit_ratio(self, answers: int, asked: int, expected: float | None) -> None:
        assert hit_ratio(answers, asked) == expected


class TestConfigurations:
    """What is written for each proxy. Whether the proxies take it, a run shows; ours can be asked."""

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("store", ["none", "memory", "tiered", "disk"])
    def test_ours_is_without_a_mistake(
        self, tls: bool, store: ours.Store, certificate: Certificate, tmp_path: Path
    ) -> None:
        place = Place(tmp_path, 20001, 20002, certificate if tls else None)
        file = tmp_path / "revproxy.toml"
        file.write_text(ours.configuration(place, store, 1))
        found = examine(file)
        assert found.mistakes == ()
        config = found.config
        assert config is not None
        assert config.listeners[0].tls is tls
        assert (config.sites[0].routes[0].cache is not None) is (store != "none")
        assert (config.cache.folder is not None) is (store in ("tiered", "disk"))

    @pytest.mark.parametrize("prepare", [nginx, haproxy, caddy], ids=lambda one: one.__name__)
    def test_others_speak_tls_where_there_is_a_certificate(
        self, prepare: object, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert callable(prepare)
        monkeypatch.setattr("benchmarks.servers.program", lambda name: f"/bin/{name}")
        for place, there in (
            (Place(tmp_path, 20001, 20002, certificate), True),
            (Place(tmp_path, 20001, 20002), False),
        ):
            launch = prepare(place)
            text = Path(launch.argv[-1]).read_text()
            assert (str(certificate.chain) in text or str(certificate.both) in text) is there

    def test_varnish_and_its_log_are_one_program_to_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("benchmarks.servers.program", lambda name: f"/bin/{name}")
        shell, option, line = varnish(Place(tmp_path, 20001, 20002)).argv
        assert (shell, option) == ("/bin/sh", "-c")
        assert line.startswith("/bin/varnishncsa ")
        assert " & exec /bin/varnishd " in line

    def test_the_folder_alone_is_the_store_where_that_is_measured(self) -> None:
        # In a process of its own, since it takes the place of a function of ours.
        code = (
            "import benchmarks.proxies.disk_alone, revproxy.service.carrying as service;"
            "print(service.open_store.__name__)"
        )
        argv = [sys.executable, "-c", code]
        done = subprocess.run(argv, cwd=ours.CHECKOUT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "open_folder"


class TestWorktree:
    @pytest.fixture
    def repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Two commits, of which the first is called v1."""
        folder = tmp_path / "repository"
        folder.mkdir()
        monkeypatch.setattr(ours, "CHECKOUT", folder)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{who}_NAME", "A")
            monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@example.com")
        ours.git("init", "--quiet")
        for text in ("old", "new"):
            (folder / "file").write_text(text)
            ours.git("add", "file")
            ours.git("commit", "--quiet", "-m", text)
            if text == "old":
                ours.git("tag", "v1")
        yield folder

    def test_another_revision_is_there_as_long_as_it_is_needed(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), ours.worktree("v1", tmp_path / "tree") as checkout:
            assert (checkout / "file").read_text() == "old"
            assert (repository / "file").read_text() == "new"
            commit = ours.git("rev-parse", "--short", "v1")
            ours.git("tag", "--force", "v1", "HEAD")
            assert ours.revision_version("v1", checkout) == f"v1 is {commit}"
            raise KeyboardInterrupt
        assert not (tmp_path / "tree").exists()
        assert len(ours.git("worktree", "list").splitlines()) == 1

    def test_a_revision_that_is_none(self, repository: Path, tmp_path: Path) -> None:
        with pytest.raises(MissingError, match="rev-parse"), ours.worktree("v2", tmp_path / "tree"):
            raise AssertionError
        assert not (tmp_path / "tree").exists()
