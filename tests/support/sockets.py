"""Real sockets on the loopback, turned by hand: for what OpenSSL must read and write itself.

Nothing sleeps: ``Turns.until`` polls until what is waited for has come, and fails where nothing more can come.
"""

from __future__ import annotations

import datetime
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.task import Clock
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
                    descriptor.doRead() if event == select.POLLIN else descriptor.doWrite()
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


def server_context(name: str = "example.com") -> SSL.Context:
    """A context with a certificate of its own making."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(certificate)
    context.use_privatekey(key)
    return context


def client_context() -> SSL.Context:
    """A context that believes every certificate."""
    return SSL.Context(SSL.TLS_CLIENT_METHOD)
