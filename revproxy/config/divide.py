"""One worker's share of what a configuration allows all of them together.

Limits that bound a sum (connections, octets held) are divided, rounded down, so that the sum of the shares never
exceeds the whole. None becomes less than one, since a worker that may do nothing at all serves nobody. What one client
or one server alone may have at a time is not divided below ``FEW``: few connections may all come to one worker, which
then has to allow them. Everything that bounds one connection, one request or one stored response is the same for all.
"""

from __future__ import annotations

from typing import Final

import attrs

from revproxy.config.model import Config, UpstreamOptions

FEW: Final = 16


def divided(config: Config, workers: int) -> Config:
    """The configuration of each of so many workers."""
    if workers <= 1:
        return config
    limits = config.limits
    return attrs.evolve(
        config,
        limits=attrs.evolve(
            limits,
            connections=share(limits.connections, workers),
            connections_per_address=share_of_few(limits.connections_per_address, workers),
            buffered_octets=share(limits.buffered_octets, workers),
        ),
        upstreams=tuple(_upstream(options, workers) for options in config.upstreams),
        cache=attrs.evolve(
            config.cache, background_validations=share(config.cache.background_validations, workers)
        ),
    )


def _upstream(options: UpstreamOptions, workers: int) -> UpstreamOptions:
    return attrs.evolve(
        options,
        connections=share_of_few(options.connections, workers),
        connections_per_server=share_of_few(options.connections_per_server, workers),
        # None kept at all is a wish of its own.
        idle_connections=share(options.idle_connections, workers) if options.idle_connections else 0,
        queue=share(options.queue, workers) if options.queue else 0,
    )


def share(whole: int, workers: int) -> int:
    """One worker's part of it; one at least."""
    return max(whole // workers, 1)


def share_of_few(whole: int, workers: int) -> int:
    """The same, but not less than ``FEW`` where there are as many."""
    return max(whole // workers, min(whole, FEW))
