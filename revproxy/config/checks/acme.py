"""ACME: settings that fit each other, and names that can be had."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import os
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from revproxy.config.acme_tables import CHALLENGES, AcmeOptions, ExternalAccount, OnDemand
from revproxy.config.addresses import SystemdAddress, TcpAddress, parse_listener
from revproxy.config.hosts import normal_pattern
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config

MOST_NAMES: Final = 100
"""What servers of today put into one certificate."""

_HERE: Path = ("tls", "acme")
_PORTS = {"tls-alpn-01": 443, "http-01": 80}


def is_installed() -> bool:
    """Whether the libraries of the extra are there."""
    return all(importlib.util.find_spec(name) is not None for name in ("acme", "josepy"))


def check_acme(config: Config, installed: Callable[[], bool] = is_installed) -> Iterator[Mistake]:
    """Mistakes in ``[tls.acme]``."""
    options = config.tls.acme
    if options is None:
        return
    if not installed():
        yield Mistake(path=_HERE, text="ACME needs two more libraries: pip install 'txrevproxy[acme]'")
    if not options.agree:
        yield Mistake(
            path=(*_HERE, "agree"),
            text='read the terms of service of the server, and write "agree = true" if you agree',
        )
    secured = any(listener.tls for listener in config.listeners)
    if not secured:
        yield Mistake(path=_HERE, text='no listener has "tls = true": nothing would use the certificates')
    yield from _check_server(options)
    yield from _check_challenges(config, options, secured)
    yield from _check_names(config, options)
    for number, address in enumerate(options.contact):
        local, at, host = address.removeprefix("mailto:").partition("@")
        if not (local and at and host) or any(each in address for each in " ,?"):
            path: Path = (*_HERE, "contact", number)
            yield Mistake(path=path, text=f'"{address}" is no mail address')
    if options.external_account is not None:
        yield from _check_external(options.external_account)
    if options.on_demand is not None:
        yield from _check_on_demand(options.on_demand)


def _check_server(options: AcmeOptions) -> Iterator[Mistake]:
    path: Path = (*_HERE, "directory")
    if options.directory is not None:
        if options.staging:
            text = "directory names a server, so staging has no meaning: take one of them away"
            yield Mistake(path=(*_HERE, "staging"), text=text, related=(path,))
        parts = urlsplit(options.directory)
        # RFC 8555 §6.1: accounts and challenges would be anybody's without TLS.
        if parts.scheme != "https" or not parts.hostname:
            yield Mistake(path=path, text=f'"{options.directory}" is no URL that begins with https://')
    ca = options.ca
    if ca is not None and not os.path.isfile(ca):
        yield Mistake(path=(*_HERE, "ca"), text=f'the file "{ca}" does not exist')
    elif ca is not None and not os.access(ca, os.R_OK):
        yield Mistake(path=(*_HERE, "ca"), text=f'"{ca}" can\'t be read: no permission')


def _check_challenges(config: Config, options: AcmeOptions, secured: bool) -> Iterator[Mistake]:
    path: Path = (*_HERE, "challenges")
    known = []
    for number, name in enumerate(options.challenges):
        if name not in CHALLENGES:
            hint = "needs your DNS server, which is not ours to change" if name == "dns-01" else "is not known"
            text = f'"{name}" {hint}: write "tls-alpn-01" or "http-01"'
            yield Mistake(path=(*path, number), text=text)
        elif name in known:
            yield Mistake(path=(*path, number), text=f'"{name}" stands there twice')
        else:
            known.append(name)
    ports: dict[str, list[int]] = {"tls-alpn-01": [], "http-01": []}
    for listener in config.listeners:
        try:
            address = parse_listener(listener.address)
        except ValueError:
            continue
        challenge = "tls-alpn-01" if listener.tls else "http-01"
        if isinstance(address, TcpAddress):
            ports[challenge].append(address.port)
        elif isinstance(address, SystemdAddress):
            # Its port stands in the socket unit; it is taken for the right one.
            ports[challenge].append(_PORTS[challenge])
    if known == ["http-01"] and not ports["http-01"]:
        text = 'http-01 needs a listener without TLS, with address = ":80"'
        yield Mistake(path=path, text=text)
    elif known and secured and not any(_PORTS[name] in ports[name] for name in known):
        wanted = " or ".join(str(_PORTS[name]) for name in known)
        text = f"no listener is on port {wanted}, which the server connects to: it must be led to one of ours"
        yield Mistake(path=path, text=text, warning=True)


def _check_names(config: Config, options: AcmeOptions) -> Iterator[Mistake]:
    seen: dict[str, Path] = {}
    found = bool(options.certificates)
    for number, certificate in enumerate(options.certificates):
        for place, host in enumerate(certificate.names):
            path: Path = (*_HERE, "certificates", number, "names", place)
            text = why_not(host)
            if text:
                yield Mistake(path=path, text=text)
                continue
            first = seen.setdefault(normal_pattern(host), path)
            if first != path:
                yield Mistake(path=path, text=f'"{host}" stands there twice', related=(first,))
        if len(certificate.names) > MOST_NAMES:
            text = f"a certificate has {MOST_NAMES} names at most: share them among several"
            yield Mistake(path=(*_HERE, "certificates", number, "names"), text=text)
    if found:
        return
    if config.tls.internal and options.on_demand is None:
        yield Mistake(
            path=(*_HERE, "certificate"),
            text="the internal authority issues for the sites: list the names for ACME in [[tls.acme.certificate]]",
            related=(("tls", "internal"),),
        )
        return
    for number, site in enumerate(config.sites):
        for place, host in enumerate(site.hosts):
            found = found or not why_not(host)
            # A file may be for it, or it is had when it is asked for.
            if host.startswith("*.") and not config.tls.certificates and options.on_demand is None:
                text = (
                    f'"{host}": there are no certificates for patterns without dns-01; list the names in'
                    " [[tls.acme.certificate]], or use [tls.acme.on_demand]"
                )
                yield Mistake(path=("sites", number, "hosts", place), text=text, related=(_HERE,))
                return
    if not found and options.on_demand is None:
        text = "no site has a public name to get a certificate for: list names in [[tls.acme.certificate]]"
        yield Mistake(path=_HERE, text=text)


def why_not(host: str) -> str:
    """Why an ACME server can't issue for a site's host by our challenges; empty where it can."""
    try:
        name = normal_pattern(host)
    except ValueError as error:
        return str(error)
    if name.startswith("*"):
        return f'"{host}": there are no certificates for patterns without dns-01: list each name'
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        pass
    else:
        return f'"{host}" is an address: certificates are had for names'
    if "." not in name:
        return f'"{host}" is no public name: it has no dot'
    return ""


def _check_external(account: ExternalAccount) -> Iterator[Mistake]:
    path: Path = (*_HERE, "external_account")
    if not account.key_id:
        yield Mistake(path=(*path, "key_id"), text="it is empty")
    try:
        key = account.key.encode("ascii").rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        octets = base64.b64decode(key + b"=" * (-len(key) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        octets = b""
    if not octets:
        # Not shown: it is a secret.
        yield Mistake(path=(*path, "key"), text="it is no base64url text, as the server's operator gives it")


def _check_on_demand(options: OnDemand) -> Iterator[Mistake]:
    path: Path = (*_HERE, "on_demand")
    if not options.allow and options.ask is None:
        text = "anybody could have certificates made: write allow (names and patterns), or ask (a URL)"
        yield Mistake(path=path, text=text)
    for number, pattern in enumerate(options.allow):
        try:
            name = normal_pattern(pattern)
        except ValueError as error:
            yield Mistake(path=(*path, "allow", number), text=str(error))
            continue
        if name == "*":
            text = '"*" allows anybody to have certificates made: write ask, which can tell yours from others'
            yield Mistake(path=(*path, "allow", number), text=text)
    if options.ask is not None:
        parts = urlsplit(options.ask)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield Mistake(path=(*path, "ask"), text=f'"{options.ask}" is no http:// or https:// URL')
        elif parts.fragment:
            yield Mistake(path=(*path, "ask"), text="a fragment (#...) is not sent: take it away")
