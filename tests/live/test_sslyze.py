"""What sslyze says of TLS in front: Mozilla's profiles are kept, and there is nothing else to find."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.support_process import CHECKOUT, PATIENCE
from tests.live.support_proxy import Proxy
from tests.live.support_tls import write_certificates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.live.conftest import Started

PYTHON = CHECKOUT / ".venv-sslyze" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="sslyze is not installed: make .venv-sslyze/stamp")
TWO_YEARS = 63072000
VERSIONS = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
SUITES_1_3 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
SUITES_1_2 = {
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
}


@pytest.fixture(scope="module")
def proxy(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("sslyze")
    write_certificates(folder / "certs", "intermediate.localhost", "modern.localhost", "127.0.0.1")
    site = """
        [[site]]
        hosts = ["{profile}.localhost"]
        [site.tls]
        {chosen}
        hsts = "730d"
        [[site.route]]
        proxy = "{url}"
    """
    url = started.backend("nginx").url
    text = f"""
        [[listener]]
        address = "127.0.0.1:0"
        tls = true
        [tls]
        certificates = "certs"
        {site.format(profile="intermediate", chosen="", url=url)}
        {site.format(profile="modern", chosen='profile = "modern"', url=url)}
    """
    with Proxy.configured(folder, text, listen=False) as one:
        yield one


def scan(proxy: Proxy, profile: str, report: Path) -> dict[str, Any]:
    """What sslyze found; it ends with another status than 0 where the profile is not kept."""
    done = subprocess.run(
        [
            *(PYTHON, "-W", "ignore", "-m", "sslyze", "--mozilla_config", profile, "--json_out", report),
            *("--certinfo_ca_file", proxy.folder.parent / "root.pem", "--sni", f"{profile}.localhost"),
            *("--resum", "--early_data", "--http_headers", f"127.0.0.1:{proxy.port}"),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert f"127.0.0.1:{proxy.port}: OK - Compliant." in done.stdout
    (server,) = json.loads(report.read_text("utf-8"))["server_scan_results"]
    attempts = server["scan_result"]
    unfinished = [name for name, attempt in attempts.items() if attempt["status"] != "COMPLETED"]
    assert unfinished == []
    return {name: attempt["result"] for name, attempt in attempts.items()}


def accepted(found: dict[str, Any], version: str) -> set[str]:
    """The cipher suites of a version."""
    return {suite["cipher_suite"]["name"] for suite in found[f"{version}_cipher_suites"]["accepted_cipher_suites"]}


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_a_profile_is_kept_and_there_is_nothing_to_find(profile: str, proxy: Proxy, tmp_path: Path) -> None:
    found = scan(proxy, profile, tmp_path / "report.json")
    expected: dict[str, set[str]] = {version: set() for version in VERSIONS}
    expected["tls_1_3"] = SUITES_1_3
    if profile == "intermediate":
        expected["tls_1_2"] = SUITES_1_2
    assert {version: accepted(found, version) for version in VERSIONS} == expected
    curves = {curve["name"] for curve in found["elliptic_curves"]["supported_curves"]}
    assert curves == {"X25519", "secp256r1", "secp384r1"}
    deployed = found["certificate_info"]["certificate_deployments"]
    kinds = {each["received_certificate_chain"][0]["public_key"]["algorithm"] for each in deployed}
    # It asks for RSA by the cipher suites of TLS 1.2.
    assert kinds == ({"ECPublicKey"} if profile == "modern" else {"ECPublicKey", "RSAPublicKey"})
    for each in deployed:
        assert each["received_chain_has_valid_order"]
        assert not each["received_chain_contains_anchor_certificate"]
        assert not each["verified_chain_has_sha1_signature"]
    assert not found["tls_1_3_early_data"]["supports_early_data"]
    renegotiation = found["session_renegotiation"]
    assert renegotiation["client_renegotiations_success_count"] == 0
    assert not renegotiation["is_vulnerable_to_client_renegotiation_dos"]
    if profile == "intermediate":
        assert found["session_resumption"]["tls_ticket_resumption_result"] == "FULLY_SUPPORTED"
    assert found["http_headers"]["strict_transport_security_header"]["max_age"] == TWO_YEARS
    assert "Traceback" not in proxy.output
