"""A certificate and what its site demands → an OpenSSL context.

The profiles are those of the guideline "Server Side TLS" in its version 6.0. It has no suites with finite-field
Diffie-Hellman any more, so there are no parameters to generate, and it begins the groups with X25519MLKEM768, which
keeps today's traffic secret from tomorrow's quantum computers. The client's order of ciphers is followed, as the
guideline says: all of them are good, and a phone knows best whether it has AES in hardware.

Tickets alone resume a session, in TLS 1.2 as in 1.3: they hold what OpenSSL would otherwise keep for each client in
memory. Each context has ticket keys of its own, made by OpenSSL when the context is made, so a ticket of one site means
nothing to another, and new contexts mean new keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL._util import lib as _lib

from revproxy.certificates.pem import Certificate

PROTOCOLS: Final = (b"http/1.1", b"http/1.0")
"""What is spoken over TLS, as ALPN calls it, the best first."""

TICKET_LIFE: Final = 12 * 3600
"""Seconds for which a session can be resumed, and after which new contexts are made: keys live a day at most."""


@attrs.frozen
class Profile:
    """Versions, ciphers and groups."""

    version: int
    """The least."""
    ciphers: bytes
    """Of TLS 1.2; those of TLS 1.3 are all as the guideline has them."""
    groups: tuple[bytes, ...] = (b"X25519MLKEM768", b"X25519", b"prime256v1", b"secp384r1")


_INTERMEDIATE: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    b"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    b"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
PROFILES: Final = {
    "intermediate": Profile(SSL.TLS1_2_VERSION, _INTERMEDIATE),
    "modern": Profile(SSL.TLS1_3_VERSION, _INTERMEDIATE),
}


@attrs.frozen
class ClientAuthorities:
    """Whose certificates clients must or may show. Two are equal where the same client passes both."""

    required: bool
    certificates: tuple[x509.Certificate, ...]
    revocations: tuple[x509.CertificateRevocationList, ...] = ()

    @property
    def digest(self) -> bytes:
        """Tells two apart."""
        digest = hashlib.sha256(b"required" if self.required else b"optional")
        for certificate in self.certificates:
            digest.update(certificate.public_bytes(Encoding.DER))
        for revocation in self.revocations:
            digest.update(revocation.public_bytes(Encoding.DER))
        return digest.digest()


def build_context(
    certificate: Certificate,
    profile: Profile,
    *,
    site: bytes,
    clients: ClientAuthorities | None = None,
    staple: Callable[[], bytes] | None = None,
) -> SSL.Context:
    """A context that serves ``certificate``.

    ``site`` becomes the session id context (RFC 5246 knows none; OpenSSL resumes no session under another one).
    ``staple`` gives the responder's answer for the certificate, or nothing.
    """
    context = bare_context(profile)
    context.use_certificate(certificate.leaf)
    for above in certificate.chain:
        context.add_extra_chain_cert(above)
    context.use_privatekey(certificate.key)
    context.set_session_id(hashlib.sha256(site).digest())
    context.set_alpn_select_callback(_select_protocol)
    if staple is not None:
        answer = staple
        context.set_ocsp_server_callback(lambda connection, data: answer())
    if clients is not None:
        _demand(context, clients)
    return context


def bare_context(profile: Profile) -> SSL.Context:
    """A server's context that has no certificate yet."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(profile.version)
    context.set_cipher_list(profile.ciphers)
    _set_groups(context, profile.groups)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    # An idle connection gives its buffers back: half of its memory.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_timeout(TICKET_LIFE)
    return context


def _set_groups(context: SSL.Context, groups: tuple[bytes, ...]) -> None:
    """pyOpenSSL has no method for more than one group, but the function that it is made of."""
    # OpenSSL's own list would follow: it has groups that the guideline has not.
    known = list(groups)
    while known and _lib.SSL_CTX_set1_curves_list(context._context, b":".join(known)) != 1:
        _lib.ERR_clear_error()
        # Before OpenSSL 3.5 there is no ML-KEM.
        known.pop(0)


def _select_protocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    # A hello that offers protocols and none of ours never comes here: it was refused.
    return next(protocol for protocol in PROTOCOLS if protocol in offered)


def _demand(context: SSL.Context, clients: ClientAuthorities) -> None:
    store = context.get_cert_store()
    if store is None:
        raise RuntimeError("the context has no store of certificates")
    for authority in clients.certificates:
        store.add_cert(crypto.X509.from_cryptography(authority))
        # The client is told whose certificates count, so that a browser can offer the right one.
        context.add_client_ca(authority)
    # An authority that is named counts as it is, whoever signed it in turn.
    flags = crypto.X509StoreFlags.PARTIAL_CHAIN
    for revocation in clients.revocations:
        store.add_crl(revocation)
    if clients.revocations:
        flags |= crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL
    store.set_flags(flags)
    # Without a callback OpenSSL decides: what is shown must be good, also where nothing need be shown.
    context.set_verify(SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if clients.required else 0))
