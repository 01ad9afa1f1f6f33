"""What goes where: a row for every host and route of a configuration, in the order in which routes are tried."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from revproxy.config.addresses import is_server
from revproxy.config.model import Config, Route, Server, UpstreamOptions
from revproxy.config.shape import settings
from revproxy.config.written import written


@attrs.frozen(kw_only=True)
class Row:
    """One route of one host."""

    listeners: tuple[str, ...]
    host: str
    methods: tuple[str, ...]
    path: str
    target: str
    flags: tuple[str, ...]


def listing(config: Config) -> list[Row]:
    """Every route: exact names first, then patterns, then the default; within a host the longest path first."""
    listeners = tuple(listener.address for listener in config.listeners)
    hosts = [(host, site) for site in config.sites for host in site.hosts]
    rows = []
    for host, site in sorted(hosts, key=lambda pair: _generality(pair[0])):
        for route in sorted(site.routes, key=lambda route: (-len(route.path), route.path, route.methods)):
            rows.append(
                Row(
                    listeners=listeners,
                    host=host,
                    methods=route.methods,
                    path=route.path,
                    target=target_text(route, config.upstreams),
                    flags=_flags(route),
                )
            )
    return rows


def _generality(host: str) -> tuple[int, int]:
    if host == "*":
        return 2, 0
    return (1, -len(host)) if host.startswith("*.") else (0, 0)


def target_text(route: Route, upstreams: Iterable[UpstreamOptions]) -> str:
    """What answers a route's requests."""
    if route.files is not None:
        return f"files {route.files}"
    if route.resource is not None:
        return f"resource {type(route.resource).__module__}.{type(route.resource).__qualname__}"
    proxy = route.proxy or ""
    named = next((upstream for upstream in upstreams if upstream.name == proxy), None)
    if is_server(proxy) or named is None:
        return proxy
    return f"{proxy} ({', '.join(map(_server, named.servers))})"


def _server(server: Server) -> str:
    return server.url if server.weight == 1 else f"{server.url} weight {server.weight}"


def _flags(route: Route) -> tuple[str, ...]:
    """What differs from the defaults, as it would be written; of tables, only that they are there."""
    return differences(Route, route, deep=False)


def differences(table: type[Any], value: Any, *, deep: bool = True) -> tuple[str, ...]:
    """The settings of a table that are not the defaults, as they would be written: ``ttl=5m``. ``deep``: those of the
    tables in it too (``key.query=none``)."""
    flags = []
    for setting in settings(table):
        held = getattr(value, setting.name)
        if setting.one_of or setting.name in ("path", "methods") or held == setting.default:
            continue
        if setting.table is not None:
            if deep and not setting.several:
                flags += [f"{setting.key}.{flag}" for flag in differences(setting.table, held)]
            else:
                flags.append(setting.key)
        elif setting.kind == "flag":
            flags.append(setting.key if held else f"{setting.key}=false")
        else:
            flags.append(f"{setting.key}={_short(written(setting, held))}")
    return tuple(flags)


def _short(value: Any) -> str:
    return (",".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
