"""For programmers: an upstream to hang behind a ``ProxyResource`` in any tree of Twisted resources."""

from __future__ import annotations

from typing import Any

import attrs

from revproxy.config.model import Limits, UpstreamOptions
from revproxy.service.generation import Surroundings, open_upstream
from revproxy.upstream.group import UpstreamGroup, servers
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep


def upstream_to(*urls: str, reactor: Any = None, limits: Limits | None = None, **options: Any) -> UpstreamGroup:
    """A group of servers that can answer for each other, with its own pool of connections.

    :param urls: the servers: ``http://host:port`` or ``unix:/path``.
    :param reactor: the reactor; None takes the one that is installed.
    :param limits: limits of this process; None takes the defaults.
    :param options: whatever ``UpstreamOptions`` knows: ``connect_timeout=1.0``, ``connections_per_server=50`` ...

    Raises ValueError for a URL that names no server. ``stop()`` of the result lets go of its connections.
    """
    if not urls:
        raise ValueError("an upstream needs at least one server")
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    limits = limits or Limits()
    sweep = Sweep(reactor)
    described = attrs.evolve(UpstreamOptions(name=urls[0], servers=servers(urls)), **options)
    group = open_upstream(described, Surroundings(reactor, sweep, OctetBudget(limits.buffered_octets)), limits)
    group.on_stop = sweep.stop
    sweep.start()
    return group
