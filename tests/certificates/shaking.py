"""TLS handshakes in memory: a client of OpenSSL's, its hello read as we read it, the context that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from OpenSSL import SSL, crypto

from revproxy.certificates.choice import ChosenContext
from revproxy.wire.client_hello import ClientHello, parse_client_hello
from tests.certificates.making import Pair


@attrs.define(eq=False)
class Shaken:
    """Both ends after the handshake."""

    client: SSL.Connection
    server: SSL.Connection
    hello: ClientHello
    chosen: ChosenContext
    session: Any = None

    @property
    def served(self) -> Any:
        """The certificate that the client was shown."""
        return self.client.get_peer_certificate(as_cryptography=True)

    @property
    def resumed(self) -> bool:
        return bool(SSL._lib.SSL_session_reused(self.client._ssl))  # type: ignore[attr-defined]


def client_context(
    *,
    version: int = 0,
    ciphers: bytes = b"",
    alpn: Sequence[bytes] = (),
    pair: Pair | None = None,
    trusts: Pair | None = None,
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if version:
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
    if ciphers:
        context.set_cipher_list(ciphers)
    if alpn:
        context.set_alpn_protos(list(alpn))
    if pair is not None:
        context.use_certificate(pair.certificate)
        context.use_privatekey(pair.key)
    if trusts is not None:
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(crypto.X509.from_cryptography(trusts.certificate))
        context.set_verify(SSL.VERIFY_PEER)
    return context


def hello_of(
    context: SSL.Context, name: str = "", session: Any = None, *, wants_ocsp: bool = False
) -> tuple[SSL.Connection, bytes]:
    client = SSL.Connection(context, None)
    client.set_connect_state()
    if name:
        client.set_tlsext_host_name(name.encode())
    if session is not None:
        client.set_session(session)
    if wants_ocsp:
        client.request_ocsp()
    try:
        client.do_handshake()
    except SSL.WantReadError:
        pass
    return client, client.bio_read(65536)


def shake(
    choice: Any, name: str = "", context: SSL.Context | None = None, session: Any = None, *, wants_ocsp: bool = False
) -> Shaken:
    """Raises what the choice raises, or SSL.Error of the side that gives up."""
    client, octets = hello_of(context or client_context(), name, session, wants_ocsp=wants_ocsp)
    hello = parse_client_hello(octets)
    assert hello is not None
    chosen = choice.choose(hello)
    server = SSL.Connection(chosen.context, None)
    server.set_accept_state()
    server.bio_write(octets)
    for _ in range(6):
        for own, other in ((server, client), (client, server)):
            try:
                own.do_handshake()
            except SSL.WantReadError:
                pass
            finally:
                carry(own, other)
    # A byte each way: TLS 1.3 sends its tickets, and its refusals of certificates, behind the handshake.
    server.send(b"s")
    carry(server, client)
    assert client.recv(10) == b"s"
    client.send(b"c")
    carry(client, server)
    assert server.recv(10) == b"c"
    return Shaken(client, server, hello, chosen, client.get_session())


def carry(own: SSL.Connection, other: SSL.Connection) -> None:
    try:
        while octets := own.bio_read(65536):
            other.bio_write(octets)
    except SSL.WantReadError:
        pass
