"""openssl s_client against TLS in front: versions, names, resumption, renegotiation, and what is refused in which way."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.live.support_backends import HELLO
from tests.live.support_client import request
from tests.live.support_process import PATIENCE
from tests.live.support_tls import SITE, secure_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Proxy

ASK = request("GET", "/hello.txt", "Connection: close", host=SITE)
OLD = ("-cipher", "DEFAULT@SECLEVEL=0")


@pytest.fixture(scope="module")
def proxy(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("s_client")
    with secure_proxy(folder, started.backend("nginx").url, tls='unknown_name = "refuse"') as one:
        yield one
        assert "Traceback" not in one.output


def command(proxy: Proxy, *arguments: str, name: str = SITE) -> list[str]:
    """``openssl s_client``, which checks the certificate."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed")
    asked = ("-servername", name) if name else ("-noservername",)
    return [
        *(program, "s_client", "-connect", f"127.0.0.1:{proxy.port}", *asked),
        *("-CAfile", f"{proxy.folder.parent}/root.pem", "-verify_return_error", *arguments),
    ]


def s_client(proxy: Proxy, *arguments: str, give: bytes = b"", name: str = SITE) -> str:
    """What it prints, on both of its streams."""
    done = subprocess.run(
        command(proxy, *arguments, name=name),
        input=give,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout.decode("latin-1")


@pytest.mark.parametrize("version", ["1_2", "1_3"])
def test_a_session_is_kept_in_a_file_and_resumed(version: str, proxy: Proxy, tmp_path: Path) -> None:
    file = str(tmp_path / "session")
    first = s_client(proxy, f"-tls{version}", "-ign_eof", "-sess_out", file, give=ASK)
    shown = f"TLSv{version.replace('_', '.')}"
    assert f"New, {shown}, " in first
    again = s_client(proxy, f"-tls{version}", "-ign_eof", "-sess_in", file, give=ASK)
    assert f"Reused, {shown}, " in again
    for printed in (first, again):
        assert "Verify return code: 0 (ok)" in printed
        assert "HTTP/1.1 200 OK" in printed
        assert HELLO.decode("ascii") in printed
        # It says so where the end came with close_notify, and else names an error.
        assert printed.rstrip().endswith("closed") and "error:" not in printed


def test_five_connections_behind_the_first_resume_its_session(proxy: Proxy) -> None:
    printed = s_client(proxy, "-tls1_2", "-reconnect")
    assert re.findall(r"^(New|Reused), TLSv1.2", printed, re.MULTILINE) == ["New"] + ["Reused"] * 5


@pytest.mark.parametrize(
    "profile", [("-sigalgs", "RSA-PSS+SHA256"), ("-sigalgs", "ECDSA+SHA256")], ids=["RSA", "ECDSA"]
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_client_gets_the_kind_of_certificate_that_it_can_check(
    profile: tuple[str, str], version: str, proxy: Proxy
) -> None:
    printed = s_client(proxy, version, *profile)
    assert "Verify return code: 0 (ok)" in printed
    assert f"Peer signature type: {'RSA-PSS' if 'RSA-PSS' in profile[1] else 'ECDSA'}" in printed


@pytest.mark.parametrize(
    ("arguments", "name", "alert"),
    [
        pytest.param((), "unknown.example", "unrecognized name", id="a name of nobody"),
        pytest.param(("-tls1_1", *OLD), SITE, "protocol version", id="TLS 1.1"),
        pytest.param(("-tls1", *OLD), SITE, "protocol version", id="TLS 1.0"),
        pytest.param(("-tls1_2", "-cipher", "AES128-GCM-SHA256"), SITE, "handshake failure", id="RSA key exchange"),
        pytest.param(("-tls1_2", "-cipher", "ECDHE+AES+SHA"), SITE, "handshake failure", id="CBC"),
        pytest.param(("-tls1_3", "-groups", "X448"), SITE, "handshake failure", id="a group that is none of ours"),
        pytest.param(("-tls1_2", "-groups", "P-521"), SITE, "handshake failure", id="a group in TLS 1.2"),
        pytest.param(("-alpn", "h2"), SITE, "no application protocol", id="a protocol that is not spoken"),
    ],
)
def test_what_is_refused_gets_the_alert_for_it(arguments: tuple[str, ...], name: str, alert: str, proxy: Proxy) -> None:
    printed = s_client(proxy, *arguments, name=name)
    assert re.search(rf"alert {alert}|{alert}.*SSL alert number", printed), printed
    assert "New, (NONE)" in printed
    assert "HTTP/1.1" not in printed


def test_who_asks_for_no_name_is_served(proxy: Proxy) -> None:
    printed = s_client(proxy, "-ign_eof", give=ASK, name="")
    assert "Verify return code: 0 (ok)" in printed and "HTTP/1.1 200 OK" in printed


def test_the_protocol_is_agreed_on(proxy: Proxy) -> None:
    assert "ALPN protocol: http/1.1" in s_client(proxy, "-alpn", "h2,http/1.1")


def test_there_is_no_renegotiation(proxy: Proxy) -> None:
    asking = command(proxy, "-tls1_2")
    with subprocess.Popen(asking, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdin is not None and process.stdout is not None
        # A line with this letter alone asks for one. Its input stays open: it ends by itself.
        process.stdin.write(b"R\n")
        process.stdin.flush()
        giving_up = threading.Timer(PATIENCE, process.kill)
        giving_up.start()
        printed = process.stdout.read().decode("latin-1")
        giving_up.cancel()
    assert "RENEGOTIATING" in printed
    assert "no renegotiation" in printed
