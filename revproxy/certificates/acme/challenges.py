"""Proving that a name is ours: what is published, and how clients that ask for it are answered.

http-01 (RFC 8555 §8.3) is asked for in clear text below a well-known path, tls-alpn-01 (RFC 8737) in a handshake that
offers ``acme-tls/1`` and nothing else. Whichever process is asked answers from the folder that all share.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.logger import Logger

from revproxy.certificates.acme.store import Store
from revproxy.certificates.choice import ChosenContext
from revproxy.certificates.contexts import PROFILES, bare_context
from revproxy.certificates.pem import parse_pem
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import Framing
from revproxy.interfaces import Request
from revproxy.wire.client_hello import ClientHello

_log = Logger()

PATH: Final = b"/.well-known/acme-challenge/"
PROTOCOL: Final = b"acme-tls/1"
_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
"""id-pe-acmeIdentifier (RFC 8737 §6.1)."""


@attrs.frozen
class Published:
    """One challenge's answer in the folder."""

    file: str
    octets: bytes


def prepare(kind: str, name: str, token: str, thumbprint: bytes) -> Published:
    """What answers a challenge. ``thumbprint`` is that of the account's key (RFC 8555 §8.1)."""
    authorization = f"{token}.{_encoded(thumbprint)}".encode("ascii")
    if kind == "http-01":
        return Published(token, authorization)
    return Published(name + ".pem", proving_certificate(name, authorization))


def _encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def proving_certificate(name: str, authorization: bytes) -> bytes:
    """The certificate of RFC 8737 §3, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME challenge")])
    now = datetime.now(timezone.utc)
    # A DER OCTET STRING of the digest.
    value = b"\x04\x20" + hashlib.sha256(authorization).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(_IDENTIFIER, value), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + private


class SharedPlace:
    """Where challenges are published: the folder, for all processes. Implements ``order.Publish``."""

    __slots__ = ("_in_thread", "_store")

    def __init__(self, store: Store, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._store = store
        self._in_thread = in_thread

    async def publish(self, published: Published) -> None:
        """Puts it there."""
        await self._in_thread(self._store.publish, published.file, published.octets)

    async def withdraw(self, published: Published) -> None:
        """At once: the order may be given up, and nothing can be awaited then."""
        self._store.withdraw(published.file)


class ChallengeAnswers:
    """Answers challenges."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    # Over TLS.

    def choose(self, hello: ClientHello) -> ChosenContext | None:
        """A hook of ``Certificates.first_asked``; None for what is no challenge of ours."""
        if PROTOCOL not in hello.alpn or len(hello.alpn) != 1:
            return None
        try:
            octets = self._store.answer_of_name(hello.server_name)
        except OSError:
            _log.failure("ACME: the answer to a challenge can't be read")
            return None
        if octets is None:
            return None
        return ChosenContext(_proving_context(octets), hello.server_name, is_challenge=True)

    # In clear text.

    def before(self, inner: Callable[[Request], None]) -> Callable[[Request], None]:
        """Stands before ``inner``: whatever the host, and before any redirect. One comparison for all other paths."""

        def dispatch(request: Request) -> None:
            if request.path.startswith(PATH) and self._answer(request):
                return
            inner(request)

        return dispatch

    def _answer(self, request: Request) -> bool:
        if request.method not in (b"GET", b"HEAD"):
            return False
        try:
            text = self._store.answer_of_token(request.path[len(PATH) :].decode("ascii", "replace"))
        except OSError:
            _log.failure("ACME: the answer to a challenge can't be read")
            return False
        if text is None:
            # A site may have an ACME client of its own behind it.
            return False
        fields = Fields.of([(b"Content-Type", b"application/octet-stream"), (b"Cache-Control", b"no-store")])
        request.start(OutgoingHead(200, b"", fields), Framing("length", len(text)), None)
        if request.method != b"HEAD":
            request.write(text)
        request.finish(NO_FIELDS)
        return True


def _proving_context(octets: bytes) -> SSL.Context:
    contents = parse_pem(octets)
    context = bare_context(PROFILES["intermediate"])
    context.use_certificate(contents.certificates[0])
    key: Any = contents.keys[0]
    context.use_privatekey(key)
    context.set_alpn_select_callback(_select)
    return context


def _select(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    # RFC 8737 §3: the protocol must be agreed on. A hello that offers others does not come here.
    return PROTOCOL
