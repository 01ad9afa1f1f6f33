"""``python -m benchmarks.resumption``: how many TLS connections resume a session, with 1, 2 and 4 processes behind one
listening socket.

OpenSSL makes a context's ticket keys with the context, so processes understand each other's tickets only where they
share the context: where it was made before they were forked. This shows both arrangements, with the contexts that the
proxy itself makes. A client comes again and again with the ticket that it got last; the kernel chooses who accepts.
"""

from __future__ import annotations

import datetime
import os
import socket
import sys
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from OpenSSL._util import lib

from benchmarks.table import plain
from revproxy.certificates.contexts import PROFILES, build_context
from revproxy.certificates.pem import Certificate

CONNECTIONS: Final = 200
NAME: Final = "localhost"


def made_certificate() -> Certificate:
    """A new key, and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.timezone.utc)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(leaf, (), key)


def serve(listening: socket.socket, context: SSL.Context) -> None:
    """Shakes hands with whoever comes, for ever."""
    while True:
        accepted, _ = listening.accept()
        connection = SSL.Connection(context, accepted)
        connection.set_accept_state()
        try:
            connection.do_handshake()
            connection.send(b"x")
            connection.shutdown()
        except SSL.Error:
            pass
        accepted.close()


def resumed(address: tuple[str, int], version: int) -> int:
    """How many of a client's connections resumed the session of the one before."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    session = None
    count = 0
    for _ in range(CONNECTIONS):
        with socket.create_connection(address) as sock:
            connection = SSL.Connection(context, sock)
            connection.set_tlsext_host_name(NAME.encode("ascii"))
            connection.set_connect_state()
            if session is not None:
                connection.set_session(session)
            connection.do_handshake()
            connection.recv(1)
            before = session
            session = connection.get_session()
            count += before is not None and is_resumed(connection)
            connection.shutdown()
    return count


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether a handshake was short. pyOpenSSL does not say it, the library that it is made of does."""
    return bool(lib.SSL_session_reused(connection._ssl))


def measured(processes: int, make: Callable[[], SSL.Context], *, before: bool, version: int) -> float:
    """The part of the connections that resumed."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        shared = make() if before else None
        children = []
        for _ in range(processes):
            child = os.fork()
            if not child:
                try:
                    serve(listening, shared or make())
                finally:
                    os._exit(0)
            children.append(child)
        try:
            return resumed(listening.getsockname(), version) / (CONNECTIONS - 1)
        finally:
            for child in children:
                os.kill(child, 9)
                os.waitpid(child, 0)


def main() -> int:
    """Prints the table."""
    rows = [["contexts are made", "processes", "TLS 1.2", "TLS 1.3"]]
    certificate = made_certificate()

    def make() -> SSL.Context:
        return build_context(certificate, PROFILES["intermediate"], site=b"benchmark")

    for before in (True, False):
        for processes in (1, 2, 4):
            shares = [
                measured(processes, make, before=before, version=version)
                for version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)
            ]
            words = "before the fork" if before else "in each process"
            rows.append([words, str(processes), *(f"{share:.0%}" for share in shares)])
    print(plain(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
