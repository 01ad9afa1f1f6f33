"""The internal authority: a root of this machine's own, and short-lived certificates for names that no file is for.

For development and internal names: whoever trusts the root (``revproxy ca`` says how) sees no warning. The root and its
key lie in the state folder; leaves live in memory for thirty days at most and are made anew ten days before their end.
"""

from __future__ import annotations

import datetime
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from revproxy.certificates.pem import Certificate, CertificateError, PrivateKey, parse_pem, public_octets
from revproxy.certificates.state import private_folder
from revproxy.errors import ConfigError

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
LEAF_LIFE: Final = datetime.timedelta(days=30)
RENEWED_BEFORE: Final = 10 * 86400.0
"""Seconds before its end at which a leaf is made anew."""
_ROOT_LIFE: Final = datetime.timedelta(days=3650)
_SKEW: Final = datetime.timedelta(hours=1)
"""Clients' clocks go wrong by as much."""
SOURCE: Final = "the internal authority"


@attrs.frozen(eq=False)
class Authority:
    """A root that signs leaves."""

    root: x509.Certificate
    key: PrivateKey
    file: str
    """Where the root lies, for those who are to trust it."""

    def issue(self, names: Iterable[str], now: float) -> Certificate:
        """A certificate for names, ``*.`` patterns and addresses, valid from ``now`` (seconds since 1970)."""
        key = ec.generate_private_key(ec.SECP256R1())
        moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
        listed = [_general_name(name) for name in names]
        first = next(iter(listed)).value
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(first)[:64])]))
            .issuer_name(self.root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - _SKEW)
            .not_valid_after(min(moment + LEAF_LIFE, self.root.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(listed), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_authority_of(self.root), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return Certificate(leaf, (), key, SOURCE)


def open_authority(state: str, now: float) -> Authority:
    """The root of a state folder; made there if there is none. Raises ConfigError."""
    folder = os.path.join(private_folder(state), "authority")
    if not os.path.isdir(folder):
        _make(state, folder, now)
    root_file, key_file = os.path.join(folder, "root.pem"), os.path.join(folder, "root.key")
    try:
        with open(root_file, "rb") as file:
            root = parse_pem(file.read()).certificates[0]
        with open(key_file, "rb") as file:
            key = parse_pem(file.read()).keys[0]
    except OSError as reason:
        raise ConfigError(f"{reason.filename}: the internal authority can't be read: {reason.strerror}") from None
    except (CertificateError, IndexError) as reason:
        text = str(reason) if isinstance(reason, CertificateError) else "nothing is in it"
        raise ConfigError(
            f"{folder}: the internal authority can't be used: {text}; move the folder away and a new root is made,"
            " which clients then have to trust anew"
        ) from None
    own = public_octets(root.public_key())
    if not isinstance(key, ec.EllipticCurvePrivateKey) or public_octets(key.public_key()) != own:
        raise ConfigError(f"{folder}: root.key is not the key of root.pem; move the folder away and a new root is made")
    if root.not_valid_after_utc.timestamp() <= now + RENEWED_BEFORE:
        raise ConfigError(f"{root_file}: the internal root expires; move {folder} away and a new one is made")
    return Authority(root, key, root_file)


def _make(state: str, folder: str, now: float) -> None:
    """Makes the folder whole beside its place and moves it there: of several processes, one wins."""
    key = ec.generate_private_key(ec.SECP256R1())
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    # Two machines' roots must not look alike in a list of trusted roots.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "revproxy"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"revproxy local root {secrets.token_hex(4)}"),
        ]
    )
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _SKEW)
        .not_valid_after(moment + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    try:
        made = tempfile.mkdtemp(dir=state, prefix=".authority-")
        try:
            for name_of_file, octets in (
                ("root.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
                ("root.pem", root.public_bytes(Encoding.PEM)),
            ):
                fd = os.open(os.path.join(made, name_of_file), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(fd, "wb") as file:
                    file.write(octets)
                    file.flush()
                    os.fsync(fd)
            os.rename(made, folder)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as reason:
        if not os.path.isdir(folder):
            raise ConfigError(f"tls.state: can't make the internal authority in {state}: {reason.strerror}") from None


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ip_address(name.strip("[]")))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_of(root: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
