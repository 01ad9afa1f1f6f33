"""TLS towards servers: whom we believe, as whom we come, and the words for what went wrong.

The certificate's name is checked inside OpenSSL's own verification, so that a server that is not the one meant gets an
alert and not one octet of ours.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.logger import Logger

from revproxy.config.hosts import normal_host
from revproxy.config.model import UpstreamTLS
from revproxy.errors import ConfigError
from revproxy.wire.connect_tls import ClientContext
from revproxy.wire.tls import reasons_of

_log = Logger()

_WORDS: Final = {
    2: "its issuer is not known: no authority that we believe (name it with tls.ca)",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is signed by itself alone (name it with tls.ca to believe it)",
    19: "its root is no authority that we believe (name it with tls.ca)",
    20: "its issuer is not known: no authority that we believe (name it with tls.ca)",
    21: "its issuer is not known, and the server sent no chain to one that is (name it with tls.ca)",
    23: "it was revoked",
    24: "its issuer is no authority",
    26: "it is not made for servers",
    28: "it is rejected by its root",
    66: "its key is too weak",
    67: "its authority's key is too weak",
    68: "its digest is too weak",
    79: "it signed another one, and is no authority",
}
"""OpenSSL's codes of verification, as far as operators meet them."""


class _Expected:
    """What one connection must find."""

    __slots__ = ("name", "problem")

    def __init__(self, name: str) -> None:
        self.name = name
        self.problem = ""


def client_context(upstream: str, options: UpstreamTLS) -> SSL.Context:
    """The context for all servers of an upstream. Raises ConfigError for files that can't be used."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_protos([b"http/1.1"])
    if options.verify:
        context.set_verify(SSL.VERIFY_PEER, _verify)
        if options.ca is None:
            context.set_default_verify_paths()
        else:
            _use(f"upstream {upstream}: tls.ca", options.ca, context.load_verify_locations, options.ca)
    else:
        context.set_verify(SSL.VERIFY_NONE)
        _log.warn(
            "upstream {name}: tls.verify is false: whoever answers at its servers' addresses is believed", name=upstream
        )
    if options.certificate is not None:
        where = f"upstream {upstream}: tls.certificate"
        _use(where, options.certificate, context.use_certificate_chain_file, options.certificate)
        key = options.key or options.certificate
        _use(f"upstream {upstream}: tls.key", key, context.use_privatekey_file, key)
        _use(where, options.certificate, context.check_privatekey)
    return context


def _use(where: str, file: str, load: Any, *arguments: Any) -> None:
    try:
        with open(file, "rb"):
            pass
        load(*arguments)
    except OSError as reason:
        raise ConfigError(f"{where}: {file}: {reason.strerror}") from None
    except (SSL.Error, crypto.Error) as reason:
        raise ConfigError(f"{where}: {file}: {reasons_of(reason)}") from None  # type: ignore[arg-type]  # same shape


def secured(host: str, options: UpstreamTLS, context: SSL.Context) -> ClientContext:
    """How TLS is spoken with the server at ``host``."""
    name = normal_host(options.server_name).strip("[]") if options.server_name else host
    is_address = _is_address(name)

    def prepare(connection: SSL.Connection) -> None:
        connection.set_app_data(_Expected(name))
        if not is_address:
            # RFC 6066 §3: no literal addresses here.
            connection.set_tlsext_host_name(name.encode("ascii"))

    return ClientContext(context, prepare, _explain)


def _explain(connection: SSL.Connection) -> str:
    expected: _Expected | None = connection.get_app_data()
    return expected.problem if expected is not None else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _verify(connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
    """Asked by OpenSSL for each certificate of the chain, the server's own (depth 0) last (RFC 9110 §4.3.4)."""
    expected: _Expected = connection.get_app_data()
    if not ok:
        what = "the server's certificate" if depth == 0 else "a certificate of the server's chain"
        expected.problem = f"{what} is not believed: {_WORDS.get(error, f'OpenSSL calls it error {error}')}"
        return False
    if depth:
        return True
    try:
        if _is_address(expected.name):
            verify_certificate_ip_address(certificate.to_cryptography(), expected.name)
        else:
            verify_certificate_hostname(certificate.to_cryptography(), expected.name)
    except (VerificationError, CertificateError):
        expected.problem = (
            f"the server's certificate is not believed: it is not for {expected.name}{_names(certificate)}"
            " (another name is set with tls.server_name)"
        )
        return False
    return True


def _names(certificate: crypto.X509) -> str:
    """The names that a certificate has, for a person."""
    from cryptography import x509

    try:
        found = certificate.to_cryptography().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return " (it has no names)"
    names = [str(name.value) for name in found][:5]
    return f" but for {', '.join(names)}" if names else " (it has no names)"
