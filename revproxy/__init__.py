"""revproxy: an event-driven reverse proxy on Twisted.

What a programmer takes from here: ``VirtualHosts``, ``Routes`` and ``Route``, ``ProxyResource`` and ``upstream_to``,
``CachingResource`` and ``open_cache`` for a tree of Twisted resources; ``Config`` and its parts for a configuration
written in Python. The first group imports
``twisted.web.proxy``, and with it the reactor, so nothing here is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from revproxy._version import VERSION as __version__  # noqa: N811  # the name that every package has

if TYPE_CHECKING:
    from revproxy.caching.key import KeyOptions
    from revproxy.caching.options import CacheOptions
    from revproxy.config.model import (
        HSTS,
        AccessLog,
        Config,
        HeaderChanges,
        Limits,
        Listener,
        Server,
        Site,
        SiteTLS,
        TLSOptions,
        UpstreamOptions,
    )
    from revproxy.resources.base import Route, Routes
    from revproxy.resources.caching import CachingResource
    from revproxy.resources.proxy import ProxyResource
    from revproxy.resources.vhost import VirtualHosts
    from revproxy.service.embed import open_cache, upstream_to

_HOMES = {
    "CacheOptions": "revproxy.caching.options",
    "CachingResource": "revproxy.resources.caching",
    "KeyOptions": "revproxy.caching.key",
    "ProxyResource": "revproxy.resources.proxy",
    "Route": "revproxy.resources.base",
    "Routes": "revproxy.resources.base",
    "VirtualHosts": "revproxy.resources.vhost",
    "open_cache": "revproxy.service.embed",
    "upstream_to": "revproxy.service.embed",
    **dict.fromkeys(
        (
            "AccessLog",
            "Config",
            "HSTS",
            "HeaderChanges",
            "Limits",
            "Listener",
            "Server",
            "Site",
            "SiteTLS",
            "TLSOptions",
            "UpstreamOptions",
        ),
        "revproxy.config.model",
    ),
}

__all__ = [
    "HSTS",
    "AccessLog",
    "CacheOptions",
    "CachingResource",
    "Config",
    "HeaderChanges",
    "KeyOptions",
    "Limits",
    "Listener",
    "ProxyResource",
    "Route",
    "Routes",
    "Server",
    "Site",
    "SiteTLS",
    "TLSOptions",
    "UpstreamOptions",
    "VirtualHosts",
    "__version__",
    "open_cache",
    "upstream_to",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'revproxy' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
