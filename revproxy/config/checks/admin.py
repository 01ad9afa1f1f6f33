"""The admin interface: never open to anybody by accident."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address

from revproxy.config.addresses import TcpAddress, parse_listener
from revproxy.config.admin_tables import Admin
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config

LEAST_TOKEN = 16
"""Characters that nobody guesses over a network."""
_ANYWHERE = ("", "0.0.0.0", "::")


def check_admin(config: Config) -> Iterator[Mistake]:
    """Mistakes in ``[admin]``."""
    options = config.admin
    yield from _check_listen(config, options)
    yield from _check_token(options)
    if options.client_ca is not None and options.certificate is None:
        text = "clients show their certificates under TLS alone: set certificate as well"
        yield Mistake(path=("admin", "client_ca"), text=text)
    for name in ("token_file", "certificate", "client_ca"):
        path = getattr(options, name)
        if path is not None and (not path or "\0" in path or not os.path.isfile(path)):
            yield Mistake(path=("admin", name), text=f'there is no file "{path}"')
    for number, host in enumerate(options.allowed_hosts):
        if not host or not host.isascii() or any(each in host for each in " /,;@*") or not host.isprintable():
            text = f"{host!r} is no name that a Host field could hold"
            yield Mistake(path=("admin", "allowed_hosts", number), text=text)


def _check_listen(config: Config, options: Admin) -> Iterator[Mistake]:
    path: Path = ("admin", "listen")
    if options.listen is None:
        for name in ("token", "token_file", "certificate", "client_ca"):
            if getattr(options, name) is not None:
                text = "has no effect without listen: nobody is asked for it on the control socket"
                yield Mistake(path=("admin", name), text=text, related=(path,), warning=True)
        return
    try:
        address = parse_listener(options.listen)
    except ValueError as mistake:
        yield Mistake(path=path, text=str(mistake))
        return
    if not isinstance(address, TcpAddress):
        yield Mistake(path=path, text='an address and a port are expected, such as "127.0.0.1:9090"')
        return
    if options.token is None and options.token_file is None and options.client_ca is None:
        text = "anybody who can reach it could stop the proxy: set token, token_file, or certificate and client_ca"
        yield Mistake(path=path, text=text)
    if options.listen in {listener.address for listener in config.listeners}:
        yield Mistake(path=path, text="is a public listener's address", related=(("listeners",),))
    if options.certificate is None and not _is_local(address.host):
        text = "the token goes over the network in clear text: set certificate, or listen on 127.0.0.1"
        yield Mistake(path=path, text=text, warning=True)


def _check_token(options: Admin) -> Iterator[Mistake]:
    path: Path = ("admin", "token")
    if options.token is None:
        return
    if options.token_file is not None:
        text = "the token is written here or in a file: take one of the two away"
        yield Mistake(path=path, text=text, related=(("admin", "token_file"),))
    flaw = token_flaw(options.token)
    if flaw:
        yield Mistake(path=path, text=flaw)


def token_flaw(token: str) -> str:
    """What is wrong with a token; empty if nothing. The token itself is not shown."""
    if not token.isascii() or not token.isprintable() or " " in token:
        return "a token of printable ASCII characters without spaces is expected"
    if len(token) < LEAST_TOKEN:
        return f"it has {len(token)} characters: {LEAST_TOKEN} are the least that can't be guessed"
    return ""


def _is_local(host: str) -> bool:
    if host in _ANYWHERE:
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
