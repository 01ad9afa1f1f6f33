"""Real sockets on the loopback, turned by hand: for what OpenSSL must read and write itself.

Nothing sleeps: ``Turns.until`` polls until what is waited for has come, and fails where nothing more can come.
"""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

PATIENCE = 2000
"""Milliseconds without an event after which nothing more is expected."""


@implementer(IReactorFDSet)
class Turns(Clock):
    """A reactor of real descriptors whose turns are taken when a test says so, and whose clock stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.count = 0

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def removeAll(self) -> list[Any]:
        everyone = [*self.readers, *self.writers]
        self.readers.clear()
        self.writers.clear()
        return everyone

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def turn(self, patience: int = 0) -> bool:
        """One turn; False when nothing was to be done."""
        self.advance(0)
        poller = select.poll()
        wanted: dict[int, int] = {}
        for group, event in ((self.readers, select.POLLIN), (self.writers, select.POLLOUT)):
            for descriptor in group:
                wanted[descriptor.fileno()] = wanted.get(descriptor.fileno(), 0) | event
        for number, events in wanted.items():
            poller.register(number, events)
        ready = dict(poller.poll(patience)) if wanted else {}
        for group, event in ((self.readers, select.POLLIN), (self.writers, select.POLLOUT)):
            for descriptor in list(group):
                found = ready.get(descriptor.fileno(), 0)
                if descriptor in group and found & (event | select.POLLHUP | select.POLLERR):
                    self.count += 1
                    gone = descriptor.doRead() if event == select.POLLIN else descriptor.doWrite()
                    if gone is not None:
                        # Transports of Twisted's own tell their reactor that they have ended.
                        self.removeReader(descriptor)
                        self.removeWriter(descriptor)
                        descriptor.connectionLost(Failure(gone))
        self.advance(0)
        return bool(ready)

    def until(self, condition: Callable[[], object]) -> None:
        """Turns until the condition holds; fails when nothing comes any more."""
        while not condition():
            assert self.turn(PATIENCE), "nothing comes any more"

    def settle(self) -> None:
        """Turns until nothing is to be done."""
        while self.turn():
            pass


@contextmanager
def tcp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of one TCP connection, not blocking: the accepted one, and the one that connected."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    for end in (near, far):
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield far, near
    finally:
        near.close()
        far.close()


class Identity:
    """A private key and a certificate for it, made on the spot."""

    def __init__(
        self,
        *names: str,
        issuer: Identity | None = None,
        is_authority: bool = False,
        begins: float = -1.0,
        ends: float = 1.0,
    ) -> None:
        """``begins`` and ``ends`` are days from now."""
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.issuer = issuer or self
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "nobody")])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=ends))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            general = [_general_name(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        self.certificate = builder.sign(self.issuer.key, hashes.SHA256())

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def context(self) -> SSL.Context:
        """For a server that shows this certificate."""
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        return context


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(name: str = "example.com") -> SSL.Context:
    """A context with a certificate of its own making."""
    return Identity(name).context()


def client_context() -> SSL.Context:
    """A context that believes every certificate."""
    return SSL.Context(SSL.TLS_CLIENT_METHOD)
