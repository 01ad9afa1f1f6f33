"""Which certificate, and which context, a client's hello is answered with.

One ``Choice`` is made of all certificates that are there and of what the sites demand; a change makes a new one, which
takes over the contexts that stay as they are. Connections that are open keep the context they were begun with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import attrs
from OpenSSL import SSL

from revproxy.certificates.contexts import PROFILES, PROTOCOLS, ClientAuthorities, build_context
from revproxy.certificates.names import NameTable
from revproxy.certificates.pem import Certificate
from revproxy.certificates.sites import Sites, SiteSecurity
from revproxy.certificates.tickets import ticket_key_name
from revproxy.wire.client_hello import UNRECOGNIZED_NAME, ClientHello
from revproxy.wire.handshake import HandshakeRefused

NO_APPLICATION_PROTOCOL: Final = 120
INTERNAL_ERROR: Final = 80
_TLS_1_3: Final = 0x0304
_ECDSA: Final = frozenset({0x0403, 0x0503, 0x0603})

_RSA: Final = frozenset({0x0401, 0x0804})
_NOTHING: Final[tuple[tuple[bytes, bytes], SSL.Context | None]] = ((b"", b""), None)
MOST_RETIRED: Final = 1024
"""Contexts whose tickets are honoured for as long again; a full handshake is all that the others cost."""

_Key = tuple[bytes, bytes]
"""What a context is made for: a site's session id context, and a certificate's fingerprint."""
_ECDSA_CIPHERS: Final = frozenset({0xC02B, 0xC02C, 0xCCA9})
_RSA_CIPHERS: Final = frozenset({0xC02F, 0xC030, 0xCCA8})
"""The suites of the intermediate profile that each kind of key goes with in TLS 1.2."""

Staple = Callable[[Certificate], Callable[[], bytes]]


@attrs.frozen(eq=False)
class ChosenContext:
    """What a handshake goes on with."""

    context: SSL.Context
    server_name: str
    """The name that the client asked for; empty for none."""
    clients: ClientAuthorities | None = None
    """What was demanded of the client's certificate; None for nothing."""
    is_challenge: bool = False
    """Whether the connection only proves something (``acme-tls/1``): it carries no requests."""


@attrs.frozen(eq=False)
class Selected:
    """What a handshake is to go on with, before there is a context for it."""

    name: str
    """The name that the client asked for; empty for none."""
    certificate: Certificate
    site: SiteSecurity
    why: str


Hook = Callable[[ClientHello], ChosenContext | None]


class Choice:
    """Chooses among certificates."""

    __slots__ = (
        "_contexts",
        "_default",
        "_default_name",
        "_refuses",
        "_retired",
        "_served",
        "_sites",
        "_staple",
        "_table",
    )

    def __init__(
        self,
        certificates: Sequence[Certificate],
        sites: Sites,
        *,
        default: str | None,
        refuses: bool,
        now: float,
        staple: Staple | None = None,
        before: Choice | None = None,
        retired: Choice | None = None,
    ) -> None:
        """``certificates`` that come first win over later ones for the same name and kind of key.

        ``default`` is the name whose certificate is served where none was asked for, ``refuses`` whether unknown names
        are refused. ``before`` is the choice whose contexts are taken over where nothing changed; ``retired`` one whose
        contexts are too old to be taken over, but whose tickets are still good.
        """
        self._sites = sites
        self._staple = staple
        self._refuses = refuses
        self._contexts: dict[_Key, SSL.Context] = {}
        self._served: dict[_Key, bytes] = {}
        """Contexts that were used, with the names of their ticket keys."""
        self._retired: dict[bytes, tuple[_Key, SSL.Context]] = {}
        """Contexts that only resume what they began, by the names of their ticket keys."""
        by_name: dict[str, list[Certificate]] = {}
        for certificate in certificates:
            for name in certificate.names:
                by_name.setdefault(name, []).append(certificate)
        self._table = NameTable((name, _by_kind(held, now)) for name, held in by_name.items())
        self._default_name = default or ""
        self._default = self._default_of(certificates, default, now)
        if retired is None:
            self._take_over(certificates, before)
        else:
            # The keys before the newest go on to open tickets, until the newest retire in turn. New contexts are made
            # when they are asked for: a thousand at once would keep everybody waiting.
            for key, key_name in list(retired._served.items())[:MOST_RETIRED]:
                if key_name:
                    self._retired[key_name] = (key, retired._contexts[key])

    def _default_of(
        self, certificates: Sequence[Certificate], default: str | None, now: float
    ) -> tuple[Certificate, ...]:
        names = [default] if default else [host for host in self._sites.hosts if not host.startswith("*")]
        for name in names:
            found = self._table.find_by_label(name)
            if found:
                self._default_name = name
                return found
        return _by_kind(certificates[:1], now)

    def _take_over(self, certificates: Sequence[Certificate], before: Choice | None) -> None:
        """Contexts for the names that are known; others are made when they are asked for."""
        if before is not None:
            current = {certificate.fingerprint for certificate in certificates}
            sites = {site.session_id for site in (*self._sites.all, self._sites.nobody)}
            for key, context in before._contexts.items():
                if key[0] in sites and key[1] in current:
                    self._contexts[key] = context
            self._served = {key: name for key, name in before._served.items() if key in self._contexts}
            self._retired = dict(before._retired)
        for name in self._table.exact_names():
            for certificate in self._table.find_by_label(name) or ():
                self._context(self._sites.find(name), certificate)

    def select(self, hello: ClientHello) -> Selected:
        """Which certificate a hello is answered with, and why. Raises HandshakeRefused. Nothing is made or kept."""
        if hello.alpn and not any(protocol in PROTOCOLS for protocol in hello.alpn):
            # RFC 7301 §3.2. Going on without would let an attacker turn octets for another protocol into requests.
            raise HandshakeRefused(NO_APPLICATION_PROTOCOL, "the client speaks none of our protocols over TLS")
        name = hello.server_name
        found = self._table.find_by_label(name) if name else None
        why = "the certificate has the name that the client asks for"
        if found is None:
            why = "no certificate has this name: the default" if name else "the client asks for no name: the default"
            if name and self._refuses:
                raise HandshakeRefused(UNRECOGNIZED_NAME, f'there is no certificate for "{name}"')
            found = self._default
            if not found:
                raise HandshakeRefused(INTERNAL_ERROR, "there is no certificate")
        site = self._sites.find(name or self._default_name)
        return Selected(name, next((each for each in found if takes(hello, each)), found[0]), site, why)

    def choose(self, hello: ClientHello) -> ChosenContext:
        """See ``ContextChoice``."""
        selected = self.select(hello)
        site, certificate = selected.site, selected.certificate
        context = self._context(site, certificate)
        key = (site.session_id, certificate.fingerprint)
        if key not in self._served:
            # Once for each context, and not for all of them when they are replaced.
            self._served[key] = ticket_key_name(context)
        if self._retired:
            for key_name in hello.ticket_keys:
                made_for, old = self._retired.get(key_name, _NOTHING)
                # What the site demands and what is served must be as they were when the ticket was made.
                if made_for == key and old is not None:
                    context = old
        return ChosenContext(context, selected.name, site.clients)

    def knows(self, name: str) -> bool:
        """Whether there is a certificate for a name."""
        return self._table.find_by_label(name) is not None

    def _context(self, site: SiteSecurity, certificate: Certificate) -> SSL.Context:
        key = (site.session_id, certificate.fingerprint)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = build_context(
                certificate,
                PROFILES[site.profile],
                site=site.session_id,
                clients=site.clients,
                staple=self._staple(certificate) if self._staple and certificate.responder else None,
            )
        return context


def _by_kind(certificates: Iterable[Certificate], now: float) -> tuple[Certificate, ...]:
    """The best certificate of each kind of key: ECDSA's first, RSA's after them.

    Among those of one kind, one that is valid now wins over one that is not, else the first.
    """
    best: dict[frozenset[int], Certificate] = {}
    for certificate in certificates:
        held = best.get(certificate.schemes)
        if held is None or (is_valid(certificate, now) and not is_valid(held, now)):
            best[certificate.schemes] = certificate
    return tuple(sorted(best.values(), key=lambda each: not each.schemes & _ECDSA))


def is_valid(certificate: Certificate, now: float) -> bool:
    """Whether ``now``, in seconds since 1970, lies within its validity."""
    return certificate.not_before <= now <= certificate.not_after


def takes(hello: ClientHello, certificate: Certificate) -> bool:
    """Whether the client can check the certificate's signature in the handshake (RFC 8446 §4.2.3, RFC 5246 §7.4.1.4.1).

    In TLS 1.2 an ECDSA scheme names only its hash, so any of them stands for every curve; and the cipher suite names
    the kind of key, Ed25519 counting as ECDSA (RFC 8422 §5.3).
    """
    offered = hello.signature_algorithms
    if _TLS_1_3 in hello.versions:
        return not certificate.schemes.isdisjoint(offered)
    if certificate.schemes.isdisjoint(_RSA):
        schemes = _ECDSA if certificate.schemes & _ECDSA else certificate.schemes
        return not schemes.isdisjoint(offered) and not _ECDSA_CIPHERS.isdisjoint(hello.ciphers)
    return not certificate.schemes.isdisjoint(offered) and not _RSA_CIPHERS.isdisjoint(hello.ciphers)
