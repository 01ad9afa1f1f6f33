"""The certificates of the state folder, and those that stand in for what has not been issued yet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.logger import Logger

from revproxy.certificates.acme.renewal import Held
from revproxy.certificates.acme.store import CERTIFICATE, Store
from revproxy.certificates.files import CertificateFiles, Reading
from revproxy.certificates.pem import Certificate, PrivateKey

_log = Logger()

STAND_IN: Final = "a self-signed certificate, until ACME has one"
_LIFE: Final = timedelta(days=30)
_MADE_ANEW: Final = 86400.0
"""Seconds before its end at which one that stands in is made anew."""


class IssuedCertificates:
    """What lies in the folder, by first names."""

    def __init__(self, store: Store) -> None:
        self._files = CertificateFiles((store.certificates,))
        self._by_name: dict[str, Certificate] = {}
        self._sort()
        self._complain(self._files.findings)

    def look(self) -> Reading | None:
        """Reads what has changed; any thread may call it."""
        return self._files.look()

    def take(self, reading: Reading | None) -> bool:
        """Puts what was read into force; whether certificates changed."""
        if reading is None:
            return False
        changed, findings = self._files.take(reading)
        self._complain(findings)
        self._sort()
        return changed

    def _sort(self) -> None:
        self._by_name = {}
        for certificate in self._files.certificates:
            folder, file = os.path.split(certificate.source)
            if file == CERTIFICATE:
                self._by_name[os.path.basename(folder)] = certificate

    def _complain(self, findings: Sequence[object]) -> None:
        for finding in findings:
            if not getattr(finding, "warning", False):
                _log.error("ACME: {finding}", finding=finding)

    def get(self, name: str) -> Certificate | None:
        """The certificate whose first name this is."""
        return self._by_name.get(name)

    def held(self, name: str) -> Held | None:
        """The same, as far as decisions need it."""
        certificate = self._by_name.get(name)
        if certificate is None:
            return None
        key_type = "rsa" if isinstance(certificate.key, rsa.RSAPrivateKey) else "ecdsa"
        return Held(frozenset(certificate.names), certificate.not_before, certificate.not_after, key_type)

    def items(self) -> list[tuple[str, Certificate]]:
        """All of them."""
        return list(self._by_name.items())


class StandIns:
    """Self-signed certificates: a client that insists can connect, and a browser says what is the matter."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Certificate] = {}

    def for_names(self, wanted: Sequence[tuple[str, ...]], now: float) -> list[Certificate]:
        """One for each certificate that is missing; others are forgotten."""
        made: dict[tuple[str, ...], Certificate] = {}
        for names in wanted:
            known = self._made.get(names)
            if known is None or known.not_after - now < _MADE_ANEW:
                known = sign_oneself(names, now)
            made[names] = known
        self._made = made
        return list(made.values())


def sign_oneself(names: Sequence[str], now: float) -> Certificate:
    """A certificate that nobody vouches for."""
    key: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    moment = datetime.fromtimestamp(now, timezone.utc)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "revproxy, until there is a certificate"),
            x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64]),
        ]
    )
    leaf = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(hours=1))
        .not_valid_after(moment + _LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(leaf, (), key, STAND_IN)
