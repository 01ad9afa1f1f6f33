"""Who is measured in which group of scenarios."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import attrs

from benchmarks.launching import Contestant, library_versions
from benchmarks.ours import Store, ours, revision_version, version
from benchmarks.servers import (
    caddy,
    caddy_version,
    haproxy,
    haproxy_version,
    nginx,
    nginx_version,
    python_proxy,
    varnish,
    varnish_version,
)

OURS = "ours"

PLAIN: tuple[Contestant, ...] = (
    Contestant("nginx", "nginx proxy_pass", nginx, nginx_version),
    Contestant(OURS, "revproxy", ours, version),
    Contestant("ours-two", "revproxy, 2 workers", partial(ours, workers=2), version, scenarios=("1k",)),
    Contestant("haproxy", "HAProxy", haproxy, haproxy_version, share=0.3),
    Contestant("caddy", "Caddy", caddy, caddy_version, share=0.3),
    Contestant(
        "twisted",
        "Twisted's ReverseProxyResource",
        python_proxy("twisted_site.py", "twisted"),
        library_versions("twisted"),
        share=0.2,
    ),
    Contestant(
        "aiohttp", "aiohttp", python_proxy("aiohttp_proxy.py", "aiohttp"), library_versions("aiohttp"), share=0.2
    ),
    Contestant(
        "flask",
        "Flask + requests",
        python_proxy("flask_proxy.py", "flask", "requests"),
        library_versions("flask", "requests"),
        share=0.1,
        idle=False,
    ),
    Contestant(
        "stdlib",
        "http.server + http.client",
        python_proxy("stdlib_proxy.py"),
        lambda: f"Python {sys.version.partition(' ')[0]}",
        share=0.1,
        idle=False,
    ),
)

# Where several processes accept for us, how many sessions they resume for each other belongs beside this one: the
# same proxy again, with their number in its name and its configuration.
TLS: tuple[Contestant, ...] = (
    Contestant("nginx", "nginx", nginx, nginx_version, "tls"),
    Contestant(OURS, "revproxy", ours, version, "tls"),
    Contestant("haproxy", "HAProxy", haproxy, haproxy_version, "tls", share=0.3),
    Contestant("caddy", "Caddy", caddy, caddy_version, "tls", share=0.3),
)

CACHE: tuple[Contestant, ...] = (
    Contestant("nginx", "nginx proxy_cache", partial(nginx, cache=True), nginx_version, "cache"),
    Contestant(OURS, "revproxy, memory", partial(ours, store="memory"), version, "cache"),
    Contestant(
        "ours-off",
        "revproxy without cache",
        partial(ours, store="none"),
        version,
        "cache",
        scenarios=("cache-pass",),
    ),
    Contestant("ours-tiered", "revproxy, memory + LMDB", partial(ours, store="tiered"), version, "cache", share=0.3),
    Contestant("ours-disk", "revproxy, LMDB alone", partial(ours, store="disk"), version, "cache", share=0.3),
    Contestant("haproxy", "HAProxy cache", partial(haproxy, cache=True), haproxy_version, "cache", share=0.3),
    Contestant("varnish", "Varnish", varnish, varnish_version, "cache", share=0.3),
)

CONTESTANTS: tuple[Contestant, ...] = PLAIN + TLS + CACHE
PROXIES: tuple[str, ...] = tuple(dict.fromkeys(one.name for one in CONTESTANTS))

_STORES: dict[str, Store] = {"plain": "none", "tls": "none", "cache": "memory"}


def earlier(revision: str, checkout: Path) -> list[Contestant]:
    """Ourselves at another revision, set up in each group as we are, in every round."""
    return [
        attrs.evolve(
            one,
            name=earlier_name(revision),
            title=f"revproxy at {revision}",
            prepare=partial(ours, store=_STORES[one.group], checkout=checkout),
            version=partial(revision_version, revision, checkout),
            share=1.0,
        )
        for one in CONTESTANTS
        if one.name == OURS
    ]


def earlier_name(revision: str) -> str:
    return f"{OURS}@{revision}"
