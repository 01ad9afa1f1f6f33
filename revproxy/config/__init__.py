"""The configuration: what an operator says, as frozen values that can be read from TOML or built in Python."""

from revproxy.config.model import (
    HSTS,
    AccessLog,
    Cache,
    Config,
    HeaderChanges,
    Limits,
    Listener,
    Log,
    Route,
    RouteCache,
    RouteCacheKey,
    Server,
    Site,
    SiteTLS,
    TLSOptions,
    UpstreamOptions,
)

__all__ = [
    "HSTS",
    "AccessLog",
    "Cache",
    "Config",
    "HeaderChanges",
    "Limits",
    "Listener",
    "Log",
    "Route",
    "RouteCache",
    "RouteCacheKey",
    "Server",
    "Site",
    "SiteTLS",
    "TLSOptions",
    "UpstreamOptions",
]
