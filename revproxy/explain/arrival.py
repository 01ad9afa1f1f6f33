"""How a connection arrives: the listener, whether there is room, which certificate, and whose word counts."""

from __future__ import annotations

from typing import Final, Protocol

from revproxy.certificates.choice import Selected
from revproxy.certificates.contexts import ClientAuthorities
from revproxy.config.mistakes import Path
from revproxy.config.model import Config
from revproxy.config.units import format_network, in_networks
from revproxy.downstream.frontend import Admission
from revproxy.explain.question import Asked, Probe
from revproxy.explain.steps import Steps, listed, shown
from revproxy.http.fields import is_claim
from revproxy.http.forward import ClientTLS, is_believed, network_of
from revproxy.service.generation import Generation
from revproxy.wire.client_hello import ClientHello
from revproxy.wire.handshake import HandshakeRefused

_TLS_1_3: Final = 0x0304
_TLS_1_2: Final = 0x0303
_SCHEMES: Final = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0807)
_CIPHERS: Final = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02C, 0xC02F, 0xC030, 0xCCA8, 0xCCA9)
PROVEN: Final = b":(its-certificate):"
"""What stands for the certificate that a client would show."""


class Selects(Protocol):
    """Which certificate a hello is answered with."""

    def select(self, hello: ClientHello) -> Selected:
        """Raises HandshakeRefused."""


def explain_listener(steps: Steps, config: Config, question: Asked, number: int, *, exact: bool) -> None:
    """Which one, and why."""
    listener = config.listeners[number]
    at: Path = ("listener", number)
    steps.add("listener", listener.address + (" (TLS)" if listener.tls else ""), (*at, "address"))
    if question.scheme == "https" and not listener.tls:
        text = "no listener speaks TLS: taken as if a trusted proxy in front of this one had said https"
        steps.add("listener", text, (*at, "tls"))
    elif not exact:
        steps.add("listener", f"no listener speaks {question.scheme} on port {question.port}: taken for this one")
    if in_networks(question.address.decode("ascii", "replace"), listener.proxy_protocol_from):
        text = (
            "from this address a connection begins with a PROXY protocol header, and counts as the client's named there"
        )
        steps.add("listener", text, (*at, "proxy_protocol_from"))


def explain_admission(steps: Steps, config: Config, asked: Probe, admission: Admission | None) -> bool:
    """Whether there is room for one more connection. ``admission`` is that of a running listener."""
    limits, client = config.limits, asked.client
    peer = shown(client.peer)
    if admission is None:
        text = f"let in while there are fewer than {limits.connections} connections"
        if not client.trusted:
            text += f", and fewer than {limits.connections_per_address} of {peer}"
        steps.add("admission", text, ("limits", "connections"))
        return True
    shortage = admission.shortage(client.peer, counted=not client.trusted)
    if shortage:
        text = f"turned away with 503, and closed: limits.{shortage} = {getattr(limits, shortage)} is reached"
        steps.add("admission", text, ("limits", shortage), "RFC 9110 §15.6.4")
        return False
    text = f"let in: there are {admission.count} of {limits.connections} connections"
    if not client.trusted:
        text += f", {admission.of_address(client.peer)} of {limits.connections_per_address} of {peer}"
    steps.add("admission", text, ("limits", "connections"))
    return True


def hello_of(host: str) -> ClientHello:
    """What a browser says that asks for a host; an address is no name (RFC 6066 §3)."""
    name = "" if host.startswith("[") or host.replace(".", "").isdigit() else host
    return ClientHello(name, (b"http/1.1",), (_TLS_1_3, _TLS_1_2), _SCHEMES, _CIPHERS)


def explain_tls(steps: Steps, generation: Generation, asked: Probe, certificates: Selects | None, trouble: str) -> bool:
    """Which certificate; False where the handshake fails. Tells the probe what the client's connection is then."""
    config = generation.config
    host = asked.authority.host.decode("ascii", "replace")
    asked.client.tls = ClientTLS(host.encode("ascii"))
    if certificates is None:
        steps.add("tls", trouble or "certificates can't be looked at from here", ("tls", "certificates"))
        return True
    try:
        selected = certificates.select(hello_of(host))
    except HandshakeRefused as refusal:
        own = _issued(config, host)
        if own:
            steps.add("tls", own, ("tls", "internal" if config.tls.internal else "acme"), "RFC 6066 §3")
            return True
        key = "unknown_name" if config.tls.unknown_name == "refuse" else "certificates"
        text = f"the handshake is refused (alert {refusal.alert}): {refusal}; no request gets through"
        steps.add("tls", text, ("tls", key), "RFC 6066 §3")
        return False
    certificate = selected.certificate
    own = _issued(config, host) if "default" in selected.why else ""
    if own:
        steps.add("tls", own, ("tls", "internal" if config.tls.internal else "acme"), "RFC 6066 §3")
    else:
        names = listed(certificate.names, 4)
        text = f"the certificate for {names}, from {certificate.source}: {selected.why}"
        steps.add("tls", text, ("tls", "default" if config.tls.default else "certificates"), "RFC 6066 §3")
    site = generation.hosts.find((selected.name or host).encode("ascii", "replace"))
    number = generation.sites.get(site, 0) if site is not None else 0
    _explain_clients(steps, asked, selected.name, number, selected.site.clients)
    return True


def _issued(config: Config, host: str) -> str:
    """How a name gets a certificate that lies in no file; empty where it gets none."""
    if not any(host == name or name.startswith("*.") and host.endswith(name[1:]) for name in _hosts(config)):
        return ""
    if config.tls.internal:
        return f"a certificate of the internal authority, made for {host}: no file has one"
    if config.tls.acme is not None:
        return f"a certificate from the ACME server for {host}, once it is issued: no file has one"
    return ""


def _hosts(config: Config) -> list[str]:
    return [host for site in config.sites for host in site.hosts]


def _explain_clients(steps: Steps, asked: Probe, name: str, number: int, clients: ClientAuthorities | None) -> None:
    """What is demanded of the client's certificate."""
    certificate, subject = b"", b""
    if clients is not None:
        at: Path = ("site", number, "tls", "client_certificates")
        if clients.required:
            steps.add(
                "tls", "the client must show a certificate of client_ca, or the handshake fails", at, "RFC 8446 §4.4.2"
            )
            certificate, subject = PROVEN, b"(its subject)"
        else:
            steps.add(
                "tls",
                "the client may show a certificate of client_ca; taken for one that shows none",
                at,
                "RFC 8446 §4.4.2",
            )
    asked.client.tls = ClientTLS(name.encode("ascii"), clients, certificate, subject)


def explain_client(steps: Steps, config: Config, asked: Probe) -> None:
    """Whose word counts: the connection's address, or what a trusted proxy says."""
    client = asked.client
    claims = sorted({shown(name, 40) for lower, name, _ in asked.fields.lines if is_claim(lower)})
    at: Path = ("trusted_proxies",)
    peer = shown(client.peer)
    network = network_of(client.peer, config.trusted_proxies)
    if network is None:
        why = "it is not in trusted_proxies" if config.trusted_proxies else "trusted_proxies is not set"
        what = f"what it claims is dropped ({listed(claims)})" if claims else "whatever it claims is dropped"
        steps.add("client", f"{peer}: {why}, so {what}", at, "RFC 7239 §8.1")
        return
    believed = sorted({shown(name, 40) for lower, name, _ in asked.fields.lines if _counts(lower)})
    text = f"{peer}: in trusted_proxies ({format_network(network)})"
    text += f", so what it claims is believed ({listed(believed)})" if believed else "; it claims nothing"
    steps.add("client", text, at, "RFC 7239 §8.1")
    if client.address != client.peer:
        told = f"the client is {shown(client.address)}: the last address in X-Forwarded-For that is no trusted proxy's"
        steps.add("client", told, at)
    if asked.public_scheme != client.scheme:
        steps.add("client", f"it used {asked.public_scheme.decode()}, as X-Forwarded-Proto says", at)
    if asked.public_authority:
        steps.add("client", f"it asked for {shown(asked.public_authority)}, as X-Forwarded-Host says", at)


def _counts(lower: bytes) -> bool:
    return is_claim(lower) and (is_believed(lower, trusted=True) or lower == b"x-request-id")
