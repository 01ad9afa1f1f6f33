"""The configuration: what an operator says, as frozen values that can be read from TOML or built in Python."""

from revproxy.config.model import (
    HSTS,
    AccessLog,
    Config,
    HeaderChanges,
    Limits,
    Listener,
    Route,
    Server,
    Site,
    SiteTLS,
    TLSOptions,
    UpstreamOptions,
)

__all__ = [
    "HSTS",
    "AccessLog",
    "Config",
    "HeaderChanges",
    "Limits",
    "Listener",
    "Route",
    "Server",
    "Site",
    "SiteTLS",
    "TLSOptions",
    "UpstreamOptions",
]
