"""PEM octets → certificates as values: names, validity, kind of key, a chain in its order.

Pure: what is wrong is raised as ``CertificateError``, in words for the operator and without the file's name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv6Address
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID

from revproxy.certificates.names import certificate_name

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_ECDSA: Final = {"secp256r1": 0x0403, "secp384r1": 0x0503, "secp521r1": 0x0603}
_RSA: Final = frozenset({0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806})


class CertificateError(ValueError):
    """A file holds no usable certificate or key. The text says why and what to do."""


@attrs.frozen
class Contents:
    """What stands in one file."""

    certificates: tuple[x509.Certificate, ...]
    keys: tuple[PrivateKey, ...]


@attrs.frozen(eq=False)
class Certificate:
    """A certificate that can be served: with its key and its chain."""

    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """The certificates between it and its root, the one that signed it first; the root is left out."""
    key: PrivateKey
    source: str = ""
    """Where it comes from, for messages."""
    lacks_chain: bool = False
    """Whether nothing was there between it and a root that nobody showed: clients may not find out who signed it."""
    names: tuple[str, ...] = attrs.field(init=False)
    """What it is for: names, ``*.`` patterns and addresses, in their normal form."""
    not_before: float = attrs.field(init=False)
    """Seconds since 1970, as ``not_after``."""
    not_after: float = attrs.field(init=False)
    schemes: frozenset[int] = attrs.field(init=False)
    """The SignatureSchemes (RFC 8446 §4.2.3) of which a client must offer one to be served it."""
    fingerprint: bytes = attrs.field(init=False)
    """SHA-256 of certificate, chain and key: equal means that nothing changed."""

    def __attrs_post_init__(self) -> None:
        put = object.__setattr__
        put(self, "names", names_of(self.leaf))
        put(self, "not_before", self.leaf.not_valid_before_utc.timestamp())
        put(self, "not_after", self.leaf.not_valid_after_utc.timestamp())
        put(self, "schemes", _schemes(self.key))
        digest = hashlib.sha256(public_octets(self.key.public_key()))
        for each in (self.leaf, *self.chain):
            digest.update(each.public_bytes(Encoding.DER))
        put(self, "fingerprint", digest.digest())

    @property
    def is_self_signed(self) -> bool:
        """Whether nobody else vouches for it."""
        return self.leaf.issuer == self.leaf.subject

    @property
    def responder(self) -> str:
        """The URL of its OCSP responder (RFC 6960 §3.1); empty where it names none."""
        try:
            access = self.leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        except (x509.ExtensionNotFound, ValueError):
            return ""
        for description in access:
            location = description.access_location
            if description.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
                location, x509.UniformResourceIdentifier
            ):
                return location.value
        return ""

    @property
    def shown_names(self) -> str:
        """Its names, for messages: the first few."""
        shown = ", ".join(self.names[:3]) or "no name"
        return f"{shown} and {len(self.names) - 3} more" if len(self.names) > 3 else shown


def parse_pem(octets: bytes) -> Contents:
    """All certificates and keys of a file. Raises CertificateError."""
    certificates: list[x509.Certificate] = []
    keys: list[PrivateKey] = []
    found = False
    for match in _BLOCK.finditer(octets):
        found = True
        label = match[1]
        if label in (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"):
            certificates.append(_certificate(match[0], len(certificates) + 1))
        elif label.endswith(b"PRIVATE KEY"):
            keys.append(_key(match[0]))
    if not found:
        raise CertificateError(_no_pem(octets))
    return Contents(tuple(certificates), tuple(keys))


def _no_pem(octets: bytes) -> str:
    if not octets.strip():
        return "the file is empty"
    if b"-----BEGIN" in octets:
        return "the file is cut off: a block has no -----END line"
    if octets[:1] == b"\x30":
        return (
            "this is not PEM but DER or PKCS #12: convert it, with"
            ' "openssl x509 -inform der -in FILE -out FILE.pem" or "openssl pkcs12 -in FILE -nodes -out FILE.pem"'
        )
    return 'this is not PEM: there is no line "-----BEGIN CERTIFICATE-----"'


def _certificate(block: bytes, number: int) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(block)
        # Extensions are parsed when they are first asked for, and must not fail later.
        certificate.extensions  # noqa: B018
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as reason:
        raise CertificateError(f"certificate {number} of the file can't be read: {reason}") from None
    return certificate


def _key(block: bytes) -> PrivateKey:
    try:
        key: PrivateKeyTypes = load_pem_private_key(block, None)
    except TypeError:
        raise CertificateError(
            "the private key has a passphrase, which nobody types at start: take it off with"
            ' "openssl pkey -in FILE -out NEW"'
        ) from None
    except (ValueError, UnsupportedAlgorithm) as reason:
        raise CertificateError(f"the private key can't be read: {reason}") from None
    if not isinstance(key, PrivateKey):
        raise CertificateError("the private key is of a kind that TLS clients don't take: use ECDSA or RSA")
    return key


def assemble(
    contents: Contents, key: PrivateKey, beside: Iterable[x509.Certificate] = (), source: str = ""
) -> Certificate:
    """The certificate of ``contents`` that ``key`` belongs to, with its chain in order, whatever order the file has.

    ``beside`` are certificates of other files that may complete the chain. Raises CertificateError if the key belongs
    to none of them.
    """
    own = public_octets(key.public_key())
    leaf = next((each for each in contents.certificates if public_octets(each.public_key()) == own), None)
    if leaf is None:
        raise CertificateError("the private key belongs to another certificate")
    weak = _too_weak(key)
    if weak:
        raise CertificateError(weak)
    chain, complete = ordered_chain(leaf, [*contents.certificates, *beside])
    return Certificate(leaf, chain, key, source, lacks_chain=not chain and not complete)


def _too_weak(key: PrivateKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        return f"an RSA key of {key.key_size} bits is refused by today's clients: use ECDSA P-256 or RSA with 2048 bits"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in _ECDSA:
        return f"clients know no certificates on the curve {key.curve.name}: use P-256 or P-384"
    return ""


def ordered_chain(
    leaf: x509.Certificate, pool: Sequence[x509.Certificate]
) -> tuple[tuple[x509.Certificate, ...], bool]:
    """The certificates of ``pool`` that lead from ``leaf`` upwards, each signed by the next, and whether they reach a
    root. The root is left out: clients have it or don't trust it (RFC 8446 §4.4.2).
    """
    chain: list[x509.Certificate] = []
    current = leaf
    while current.issuer != current.subject and len(chain) < len(pool):
        above = next((each for each in pool if each is not current and signs(each, current)), None)
        if above is None or above in chain:
            return tuple(chain), False
        if above.issuer == above.subject:
            return tuple(chain), True
        chain.append(above)
        current = above
    return tuple(chain), current.issuer == current.subject


def signs(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether ``certificate`` is signed by ``issuer``."""
    if certificate.issuer != issuer.subject:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others (RFC 5280 §4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """The names of a certificate in their normal form.

    The common name counts if no other is listed. Clients don't look at it any more (RFC 9525), but that is better
    heard from them than from a certificate that nobody is served.
    """
    found: dict[str, None] = {}
    try:
        listed = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        listed = None
    if isinstance(listed, x509.SubjectAlternativeName):
        for text in listed.get_values_for_type(x509.DNSName):
            name = certificate_name(text)
            if name is not None:
                found[name] = None
        for address in listed.get_values_for_type(x509.IPAddress):
            found[f"[{address}]" if isinstance(address, IPv6Address) else str(address)] = None
    if not found:
        for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
            name = certificate_name(str(attribute.value))
            if name is not None:
                found[name] = None
    return tuple(found)


def public_octets(key: PublicKeyTypes) -> bytes:
    """A public key, to be compared."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _schemes(key: PrivateKey) -> frozenset[int]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return frozenset({_ECDSA[key.curve.name]})
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return frozenset({0x0807})
    if isinstance(key, ed448.Ed448PrivateKey):
        return frozenset({0x0808})
    return _RSA
