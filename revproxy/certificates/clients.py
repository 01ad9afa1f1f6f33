"""What a client proved in its handshake, as requests carry it."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from revproxy.certificates.choice import ChosenContext
from revproxy.http.forward import ClientTLS


def client_tls(connection: SSL.Connection, chosen: ChosenContext) -> ClientTLS:
    """What a complete handshake told of the client."""
    name = chosen.server_name.encode("ascii")
    if chosen.clients is None:
        return ClientTLS(name)
    # OpenSSL let nobody through whose certificate it has not verified; a resumed session brings it along.
    certificate = connection.get_peer_certificate(as_cryptography=True)
    if certificate is None:
        return ClientTLS(name, chosen.clients)
    return ClientTLS(name, chosen.clients, certificate_field(certificate), subject_field(certificate.subject))


def certificate_field(certificate: x509.Certificate) -> bytes:
    """The value of Client-Cert: the certificate in DER as a byte sequence (RFC 9440 §2.2, RFC 9651 §3.3.5)."""
    return b":%b:" % base64.b64encode(certificate.public_bytes(Encoding.DER))


def subject_field(subject: x509.Name) -> bytes:
    """A name as RFC 4514 writes it, the most specific part first, in the octets that a field may hold.

    What is no visible ASCII is written as the hexadecimal escapes of its UTF-8 (RFC 4514 §2.4).
    """
    text = subject.rfc4514_string()
    return b"".join(
        character.encode("ascii")
        if " " <= character <= "~"
        else b"".join(b"\\%02X" % octet for octet in character.encode("utf-8"))
        for character in text
    )
