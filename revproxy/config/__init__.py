"""The configuration: what an operator says, as frozen values that can be read from TOML or built in Python."""

from revproxy.config.model import (
    AccessLog,
    Config,
    HeaderChanges,
    Limits,
    Listener,
    Route,
    Server,
    Site,
    UpstreamOptions,
)

__all__ = [
    "AccessLog",
    "Config",
    "HeaderChanges",
    "Limits",
    "Listener",
    "Route",
    "Server",
    "Site",
    "UpstreamOptions",
]
