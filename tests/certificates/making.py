"""Certificates for tests: a root, an intermediate, leaves; made in milliseconds with P-256 keys."""

from __future__ import annotations

import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = 86400.0
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem_of(*things: Any) -> bytes:
    """Certificates, revocation lists and keys as PEM, one after another."""
    return b"".join(
        each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        if hasattr(each, "private_bytes")
        else each.public_bytes(Encoding.PEM)
        for each in things
    )


def encrypted(key: Any) -> bytes:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    return octets


@attrs.frozen(eq=False)
class Pair:
    """A certificate, its key, and who may sign further ones with it."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return pem_of(self.certificate, self.key)

    def issue(
        self,
        *names: str,
        key: Any = None,
        ca: bool = False,
        days: float = 30,
        since: float = -1,
        subject: str | None = None,
        responder: str = "",
        usage: Any = None,
        name: x509.Name | None = None,
    ) -> Pair:
        """A certificate signed by this one."""
        return make(
            *names,
            key=key,
            ca=ca,
            days=days,
            since=since,
            subject=subject,
            responder=responder,
            usage=usage,
            name=name,
            issuer=self,
        )

    def revokes(self, *certificates: x509.Certificate, days: float = 30) -> x509.CertificateRevocationList:
        """A revocation list of this authority."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(NOW - datetime.timedelta(days=40))
            .next_update(NOW + datetime.timedelta(days=days))
        )
        for each in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(each.serial_number).revocation_date(NOW).build()
            )
        return builder.sign(self.key, hashes.SHA256())


def make(
    *names: str,
    key: Any = None,
    issuer: Pair | None = None,
    ca: bool = False,
    days: float = 30,
    since: float = -1,
    subject: str | None = None,
    responder: str = "",
    usage: Any = None,
    name: x509.Name | None = None,
) -> Pair:
    """A certificate for names (the first is the common name too) from ``since`` for ``days``; alone it signs itself."""
    key = key or new_key()
    own = name or x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, subject or (names[0].strip("[]") if names else "nobody"))]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer.certificate.subject if issuer else own)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=since))
        .not_valid_after(NOW + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if ca:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True
        )
    listed: list[x509.GeneralName] = []
    for text in names:
        try:
            listed.append(x509.IPAddress(ip_address(text.strip("[]"))))
        except ValueError:
            listed.append(x509.DNSName(text))
    if listed and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(listed), critical=False)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if responder:
        location = x509.UniformResourceIdentifier(responder)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, location)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    # Strict verifiers ask for both (RFC 5280 §4.2.1.1, §4.2.1.2).
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    signer = issuer.key if issuer else key
    if issuer:
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        builder = builder.add_extension(above, critical=False)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


def make_root(subject: str = "root") -> Pair:
    return make(subject=subject, ca=True, days=365)


def client_of(issuer: Pair, subject: str, **more: Any) -> Pair:
    """A certificate that a client shows."""
    return issuer.issue(subject=subject, usage=ExtendedKeyUsageOID.CLIENT_AUTH, **more)


def misspelled(issuer: Pair, pair: Pair, right: bytes, wrong: bytes) -> Pair:
    """The certificate with other octets in the place of as many of its own, signed as if it had been made so."""
    octets = pair.certificate.tbs_certificate_bytes
    assert octets.count(right) and len(right) == len(wrong)
    signed = octets.replace(right, wrong)
    signature = issuer.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    # The algorithm stands in the certificate as well as behind it (RFC 5280 §4.1.1.2): ecdsa-with-SHA256.
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    bits = b"\x03%c\x00%b" % (len(signature) + 1, signature)
    content = signed + algorithm + bits
    return Pair(x509.load_der_x509_certificate(b"\x30\x82%b%b" % (len(content).to_bytes(2, "big"), content)), pair.key)


def write(folder: Path, **files: bytes) -> None:
    """Files with the suffix behind two underscores: ``a__pem`` is a.pem."""
    for name, octets in files.items():
        (folder / name.replace("__", ".")).write_bytes(octets)
