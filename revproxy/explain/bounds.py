"""The limits and timeouts that apply to a request here."""

from __future__ import annotations

from typing import Any, Final

from revproxy.config.mistakes import Path
from revproxy.config.model import Config, Limits, UpstreamOptions
from revproxy.config.shape import settings
from revproxy.config.written import written
from revproxy.explain.peers import upstream_path
from revproxy.explain.routing import body_limit_path
from revproxy.explain.steps import Steps, named

RouteNumbers = tuple[int, int]

CLIENT: Final = (
    "head_size",
    "head_count",
    "target_length",
    "head_timeout",
    "body_rate",
    "body_timeout",
    "send_timeout",
)
"""Bounds of what a client sends and takes."""
SERVER: Final = (
    "connect_timeout",
    "answer_timeout",
    "idle_timeout",
    "queue",
    "queue_timeout",
    "connections_per_server",
)
"""Bounds of what is waited for from a server."""


def value_of(table: type[Any], held: Any, name: str) -> str:
    """A setting's value as it would be written."""
    for setting in settings(table):
        if setting.name == name:
            return f"{written(setting, getattr(held, name))}{'/s' if setting.kind == 'rate' else ''}"
    raise KeyError(name)


def explain_limits(steps: Steps, config: Config, numbers: RouteNumbers, upstream: UpstreamOptions | None) -> None:
    """Those that are written have a line of their own; the defaults stand together."""
    site, own = numbers
    path = body_limit_path(config, numbers)
    body = config.sites[site].routes[own].body_size
    held = config.limits.body_size if body is None else body
    bounds: list[tuple[Path, str]] = [(path, f"{named(path)} = {_size(held)}")]
    bounds += [(("limits", name), f"limits.{name} = {value_of(Limits, config.limits, name)}") for name in CLIENT]
    if upstream is not None:
        for name in SERVER:
            bounds.append(
                (upstream_path(config, numbers, name), f"{name} = {value_of(UpstreamOptions, upstream, name)}")
            )
    defaults = []
    for at, text in bounds:
        if steps.places.has(at) and at[-1] != "proxy":
            steps.add("limits", text, at)
        else:
            defaults.append(text)
    if defaults:
        steps.add("limits", f"by default {', '.join(defaults)}")


def _size(octets: int) -> str:
    return value_of(Limits, Limits(body_size=octets), "body_size")
