"""Upstreams: names that can be called, servers that can be reached, each in its place once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from revproxy.config.addresses import Address, parse_server
from revproxy.config.hosts import normal_host
from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config, UpstreamOptions, UpstreamTLS
from revproxy.config.suggest import nearest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_upstreams(config: Config) -> Iterator[Mistake]:
    """Mistakes in the upstreams; one that no route uses is a warning."""
    used, routes = _called(config)
    seen: dict[str, int] = {}
    for number, upstream in enumerate(config.upstreams):
        here: Path = ("upstreams", number)
        name = upstream.name
        if not _NAME.fullmatch(name):
            text = f'"{name}" can\'t be called by a route: letters, digits, "_", "-" and "." make a name'
            yield Mistake(path=(*here, "name"), text=text)
        elif name in seen:
            other: Path = ("upstreams", seen[name], "name")
            yield Mistake(path=(*here, "name"), text=f'there is another upstream "{name}"', related=(other,))
        elif name not in used:
            yield Mistake(path=here, text="no route uses this upstream", related=routes, warning=True)
        seen.setdefault(name, number)
        yield from _check_servers(upstream, here)
        yield from _check_tls(upstream, here)


def _check_tls(upstream: UpstreamOptions, here: Path) -> Iterator[Mistake]:
    options = upstream.tls
    if options == UpstreamTLS():
        return
    if not any(server.url.lower().startswith("https://") for server in upstream.servers):
        text = 'none of its servers is "https://": nothing uses these settings'
        yield Mistake(path=(*here, "tls"), text=text, related=((*here, "servers"),), warning=True)
    if not options.verify:
        text = "whoever answers at its servers' addresses is believed; name their authority with tls.ca instead"
        yield Mistake(path=(*here, "tls", "verify"), text=text, warning=True)
        if options.ca is not None:
            text = "with verify = false nobody's certificate is looked at: take one of the two away"
            yield Mistake(path=(*here, "tls", "ca"), text=text, related=((*here, "tls", "verify"),))
    if options.key is not None and options.certificate is None:
        yield Mistake(path=(*here, "tls", "key"), text="a key alone says nothing: write tls.certificate too")
    for key in ("ca", "certificate", "key"):
        file = getattr(options, key)
        if file is not None:
            try:
                with open(file, "rb") as opened:
                    opened.read(1)
            except OSError as reason:
                yield Mistake(path=(*here, "tls", key), text=f'"{file}" can\'t be read: {reason.strerror}')
    if options.server_name is not None:
        try:
            normal_host(options.server_name)
        except ValueError as error:
            yield Mistake(path=(*here, "tls", "server_name"), text=str(error))


def _called(config: Config) -> tuple[set[str], tuple[Path, ...]]:
    """The names that routes call or seem to mean, and the paths on which this knowledge rests."""
    names = [upstream.name for upstream in config.upstreams]
    used: set[str] = set()
    paths: list[Path] = [("sites",)]
    for number, site in enumerate(config.sites):
        paths.append(("sites", number, "routes"))
        for place, route in enumerate(site.routes):
            paths.append(("sites", number, "routes", place, "proxy"))
            if route.proxy is not None:
                used.add(route.proxy if route.proxy in names else nearest(route.proxy, names) or "")
    return used, tuple(paths)


def _check_servers(upstream: UpstreamOptions, here: Path) -> Iterator[Mistake]:
    seen: dict[Address, Path] = {}
    for number, server in enumerate(upstream.servers):
        path = (*here, "servers", number, "url")
        try:
            address = parse_server(server.url)
        except ValueError as error:
            yield Mistake(path=path, text=str(error))
            continue
        if address in seen:
            text = f'"{address.url}" is listed twice: use "weight" to give a server more requests'
            yield Mistake(path=path, text=text, related=(seen[address],))
        seen.setdefault(address, path)
