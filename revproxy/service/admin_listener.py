"""The admin interface over TCP, for collectors and browsers on other machines: bound early, guarded always."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLContextFactory, IProtocolFactory
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import IResource
from zope.interface import implementer

from revproxy.admin.guard import Guard, Rules
from revproxy.admin.root import admin_site
from revproxy.admin.sessions import Sessions
from revproxy.certificates.contexts import PROFILES, ClientAuthorities, build_context
from revproxy.certificates.pem import Certificate, assemble, parse_pem
from revproxy.config.addresses import TcpAddress, parse_listener
from revproxy.config.admin_tables import Admin
from revproxy.config.checks.admin import token_flaw
from revproxy.config.model import Listener
from revproxy.errors import ConfigError
from revproxy.service.listeners import Handed
from revproxy.service.opened import Bound
from revproxy.wire.listen import bind_tcp

_log = Logger()

BACKLOG: Final = 128


class AdminListener:
    """Listens where ``admin.listen`` says. Raises ConfigError for what can't be used.

    :param handed: sockets of the process whose place this one takes.
    """

    def __init__(self, options: Admin, reactor: Any, handed: Handed | None = None) -> None:
        assert options.listen is not None
        self._options = options
        self._reactor = reactor
        self._token = read_token(options)
        self._context: SSL.Context | None = None
        hosts = {host.lower() for host in options.allowed_hosts}
        if options.certificate is not None:
            certificate = read_certificate(options.certificate)
            self._context = build_context(
                certificate, PROFILES["intermediate"], site=b"admin", clients=read_authorities(options.client_ca)
            )
            hosts.update(certificate.names)
        self.sessions = Sessions(time.monotonic)
        self._rules = Rules(self._token, frozenset(hosts), self._context is not None)
        self._port: Any = None
        self._name = f"admin {options.listen}"
        given = handed.take(self._name) if handed is not None else []
        self._sockets = given or [_bound(options.listen)]

    @property
    def sockets(self) -> list[Bound]:
        """What a process is handed that takes our place."""
        return [(Listener(address=self._name), sock) for sock in self._sockets]

    @property
    def address(self) -> str:
        """Where it is, for a person."""
        host, port = self._sockets[0].getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._context is not None else 'http'}://{shown}:{port}/"

    def start(self, root: IResource) -> None:
        """Begins to answer."""
        site: Any = admin_site(Guard(root, self._rules, self.sessions, time.monotonic), self._reactor)
        site.noisy = False
        site.log = _say_nothing
        factory: IProtocolFactory = site
        if self._context is not None:
            factory = TLSMemoryBIOFactory(_Contexts(self._context), False, site)
            factory.noisy = False
        sock = self._sockets[0]
        self._port = self._reactor.adoptStreamPort(sock.fileno(), sock.family, factory)
        _log.info("the admin interface is at {address}", address=self.address)

    def drop(self) -> None:
        """In a child: closes copies, and nothing else."""
        for sock in self._sockets:
            sock.close()
        if self._port is not None:
            self._port.socket.close()

    def stop(self) -> None:
        """Answers no more."""
        if self._port is not None:
            self._port.stopListening()
            self._port = None
        for sock in self._sockets:
            sock.close()


@implementer(IOpenSSLContextFactory)
class _Contexts:
    """What Twisted asks for a context."""

    def __init__(self, context: SSL.Context) -> None:
        self._context = context

    def getContext(self) -> SSL.Context:
        return self._context


def _bound(listen: str) -> socket.socket:
    address = parse_listener(listen)
    assert isinstance(address, TcpAddress)
    try:
        return bind_tcp(address.host, address.port, BACKLOG)
    except ConfigError as mistake:
        raise ConfigError(f"admin.listen: {mistake}") from None


def read_token(options: Admin) -> bytes | None:
    """The token, from wherever it is. Raises ConfigError."""
    if options.token_file is None:
        return options.token.encode("ascii") if options.token is not None else None
    text = _read("token_file", options.token_file).decode("utf-8", "replace").strip()
    flaw = token_flaw(text)
    if flaw:
        raise ConfigError(f"admin.token_file: {options.token_file}: {flaw}")
    return text.encode("ascii")


def read_certificate(path: str) -> Certificate:
    """Certificate, chain and key of one file. Raises ConfigError."""
    try:
        contents = parse_pem(_read("certificate", path))
        if not contents.keys:
            raise ConfigError(f"admin.certificate: {path}: there is no private key in it")
        return assemble(contents, contents.keys[0], source=path)
    except ValueError as mistake:
        raise ConfigError(f"admin.certificate: {path}: {mistake}") from None


def read_authorities(path: str | None) -> ClientAuthorities | None:
    """Whose clients are let in; None for everybody. Raises ConfigError."""
    if path is None:
        return None
    try:
        return ClientAuthorities(True, tuple(x509.load_pem_x509_certificates(_read("client_ca", path))))
    except ValueError as mistake:
        raise ConfigError(f"admin.client_ca: {path}: {mistake}") from None


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as reason:
        raise ConfigError(f"admin.{setting}: {path}: {reason.strerror or reason}") from None


def _say_nothing(request: Any) -> None:
    """No line."""
