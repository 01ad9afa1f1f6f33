"""The certificate that every proxy shows, and how the clients of the benchmark speak TLS with it.

All clients offer the same one version, cipher and group, so that no proxy is quicker for having agreed on less. What
was agreed on is asked of each and printed.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NAME = "localhost"
CIPHER = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
INTERMEDIATE = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""The ciphers of TLS 1.2 that proxies are configured with, in Mozilla's order; the clients here never come to them."""

LABELS = (
    "Protocol version",
    "Ciphersuite",
    "Signature type",
    "Server Temp Key|Peer Temp Key|Negotiated TLS1.3 group",
)
"""What ``s_client`` says of what was agreed on; the last one depends on its version."""

CLIENT = f"""\
openssl_conf = top
[top]
ssl_conf = libraries
[libraries]
system_default = every_context
[every_context]
MinProtocol = TLSv1.3
Ciphersuites = {CIPHER}
Groups = {GROUP}
"""
"""A configuration of OpenSSL, which wrk, openssl and Python read when they start."""


@attrs.frozen
class Certificate:
    """Files of one self-signed certificate, and of the clients that are to meet it."""

    chain: Path
    key: Path
    both: Path
    """Certificate and key in one file, as HAProxy wants it."""
    client: Path
    """What the environment variable ``OPENSSL_CONF`` of clients names."""

    def environment(self) -> dict[str, str]:
        return {"OPENSSL_CONF": str(self.client)}

    def context(self) -> ssl.SSLContext:
        """For a client that believes this certificate alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.chain)
        return context


def make_certificate(folder: Path) -> Certificate:
    """ECDSA with P-256, for this machine's own name and address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName(
        [x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 30 * day)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    certificates = folder / "certificates"
    certificates.mkdir()
    made = Certificate(certificates / "chain.pem", certificates / "key.pem", folder / "both.pem", folder / "client.cnf")
    public = signed.public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for path, octets in ((made.chain, public), (made.key, private), (made.both, public + private)):
        path.touch(mode=0o600)
        path.write_bytes(octets)
    made.client.write_text(CLIENT)
    return made


def parse_negotiated(output: str) -> str | None:
    """Version, cipher, kind of signature and group, from what ``openssl s_client -brief`` says; None if nothing."""
    found = []
    for label in LABELS:
        match = re.search(rf"^(?:{label}): ([^,\n]+)", output, re.MULTILINE)
        if match:
            found.append(match[1].strip())
    return " ".join(found) or None


def negotiated(openssl: str, port: int, certificate: Certificate, environment: Mapping[str, str]) -> str:
    """What a server and the clients here agree on."""
    argv = [openssl, "s_client", "-brief", "-connect", f"127.0.0.1:{port}", "-servername", NAME]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**environment, **certificate.environment()},
    )
    return parse_negotiated(done.stdout + done.stderr) or "nothing: " + done.stderr.strip()[-200:]
