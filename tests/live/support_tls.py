"""TLS on both sides of the proxy: certificates, clients that see how a connection ends, servers that decide it."""

from __future__ import annotations

import socket
import ssl
import struct
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from tests.certificates.making import Pair, make_root, pem_of
from tests.live.support_client import RawClient
from tests.live.support_process import PATIENCE
from tests.live.support_proxy import Proxy
from tests.live.support_scripted import Accepted, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = make_root("the live tests' root")
CLIENTS = make_root("the live tests' clients")
SITE = "site.localhost"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """One for all: they take long to make."""
    return rsa.generate_private_key(65537, 2048)


def write_certificates(folder: Path, *names: str) -> Path:
    """An ECDSA certificate and an RSA one for names, with their root beside: ``folder`` is for ``tls.certificates``."""
    folder.mkdir(parents=True, exist_ok=True)
    root = pem_of(ROOT.certificate)
    (folder / "ecdsa.pem").write_bytes(ROOT.issue(*names).pem + root)
    (folder / "rsa.pem").write_bytes(ROOT.issue(*names, key=rsa_key()).pem + root)
    (folder.parent / "root.pem").write_bytes(root)
    return folder


def secure_proxy(folder: Path, server: str, *, more: str = "", tls: str = "", site: str = "") -> Proxy:
    """A proxy whose one listener speaks TLS for ``SITE`` and localhost, in front of a server.

    ``more`` comes first in the configuration, ``tls`` into its ``[tls]``, ``site`` into its site.
    """
    write_certificates(folder / "certs", SITE, "localhost", "127.0.0.1")
    text = f"""
        {more}
        [[listener]]
        address = "127.0.0.1:0"
        tls = true
        [tls]
        certificates = "certs"
        {tls}
        [[site]]
        hosts = ["{SITE}", "localhost", "127.0.0.1"]
        {site}
        [[site.route]]
        proxy = "{server}"
    """
    return Proxy.configured(folder, text, listen=False)


def trusting(*, version: ssl.TLSVersion | None = None, roots: Pair = ROOT) -> ssl.SSLContext:
    """A client's context that believes the tests' root alone."""
    context = ssl.create_default_context(cadata=pem_of(roots.certificate).decode("ascii"))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class SecureClient(RawClient):
    """A client under TLS, to whom an end without close_notify is an error as a reset is."""

    def __init__(
        self,
        port: int,
        *,
        name: str = SITE,
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        super().__init__(port)
        plain = self.socket
        try:
            self.socket: ssl.SSLSocket = (context or trusting()).wrap_socket(
                plain, server_hostname=name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            plain.close()
            raise

    def _more(self) -> bool:
        try:
            return super()._more()
        except ssl.SSLEOFError:
            raise ConnectionError("the end came without close_notify") from None


class OpenClient:
    """A client of pyOpenSSL's, which can end its own octets and read on."""

    def __init__(self, port: int, *, name: str = SITE, newest: int = SSL.TLS1_3_VERSION) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        # A Python timeout would make the descriptor non-blocking, which OpenSSL would see.
        self.socket.setblocking(True)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(PATIENCE), 0))
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(newest)
        self.tls = SSL.Connection(context, self.socket)
        self.tls.set_tlsext_host_name(name.encode("ascii"))
        self.tls.set_connect_state()
        self.tls.do_handshake()

    def __enter__(self) -> OpenClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.tls.sendall(octets)

    def end(self) -> None:
        """Sends close_notify, and goes on reading."""
        self.tls.shutdown()

    def read_all(self) -> tuple[bytes, str]:
        """What came, and how it ended: ``close_notify``, ``truncated``, ``reset`` or ``alert``."""
        got = b""
        while True:
            try:
                got += self.tls.recv(65536)
            except SSL.ZeroReturnError:
                return got, "close_notify"
            except SSL.SysCallError as reason:
                return got, "truncated" if reason.args[0] == -1 else "reset"
            except SSL.Error:
                return got, "alert"


class SecureAccepted(Accepted):
    """A connection under TLS that the proxy opened. Its end is a FIN alone, unless ``notify`` was called."""

    def notify(self) -> None:
        """Sends close_notify, and waits for the proxy's."""
        assert isinstance(self.socket, ssl.SSLSocket)
        try:
            self.socket = self.socket.unwrap()
        except (OSError, ValueError):
            pass


class SecureScripted(Scripted):
    """A scripted server that speaks TLS first; connections whose handshake fails are only counted."""

    def __init__(self, script: Callable[[SecureAccepted], None], context: ssl.SSLContext) -> None:
        self.refused: list[str] = []
        self.context = context
        super().__init__(script)  # type: ignore[arg-type]  # all that it accepts is of that kind
        self.url = f"https://localhost:{self.port}"

    def _run(self, accepted: Accepted) -> None:
        try:
            sock = self.context.wrap_socket(accepted.socket, server_side=True, suppress_ragged_eofs=False)
        except OSError as reason:
            self.refused.append(str(reason))
            accepted.socket.close()
            return
        secured = SecureAccepted(sock, accepted.number)
        self.accepted[accepted.number - 1] = secured
        super()._run(secured)


def server_context(folder: Path, pair: Pair, *, clients: Pair | None = None) -> ssl.SSLContext:
    """For a server that shows a certificate, and asks for one of ``clients``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"server-{pair.certificate.serial_number:x}.pem"
    file.write_bytes(pair.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if clients is not None:
        context.load_verify_locations(cadata=pem_of(clients.certificate).decode("ascii"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context
