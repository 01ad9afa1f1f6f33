"""For programmers: upstreams and caches for any tree of Twisted resources."""

from __future__ import annotations

from typing import Any

import attrs

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.config.model import Limits, UpstreamOptions
from revproxy.interfaces import IStore
from revproxy.resources.caching import CachingResource
from revproxy.service.generation import Surroundings, open_upstream
from revproxy.stores.open import StoreOptions, open_store
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


class OpenCache:
    """A store, and what caches before it need in common. ``stop()`` lets go of it."""

    def __init__(self, store: IStore, sweep: Sweep) -> None:
        self.store = store
        self._sweep = sweep

    def before(
        self, responder: Any, options: CacheOptions = DEFAULT_OPTIONS, keys: KeyOptions | None = None, **more: Any
    ) -> CachingResource:
        """A resource that answers from the store, or lets ``responder`` (a ``ProxyResource``, any ``IResponder``).

        :param options: what is stored and used (``revproxy.CacheOptions``).
        :param keys: what the cache key is made of (``revproxy.KeyOptions``). Responders that answer the same URLs
            differently need different scopes there.
        :param more: whatever else ``CachingResource`` takes: ``name``, ``says``, ``collapse_timeout``, ``background``,
            ``trusted_proxies``.
        """
        return CachingResource(responder, self.store, self._sweep, options=options, keys=keys, **more)

    def stop(self) -> None:
        """Lets go of files, connections and the sweep of deadlines."""
        self._sweep.stop()
        self.store.stop()


def open_cache(*, reactor: Any = None, **options: Any) -> OpenCache:
    """A store for one or several caches.

    :param reactor: the reactor; None takes the one that is installed.
    :param options: whatever ``revproxy.stores.open.StoreOptions`` knows: ``memory_size=16 << 20``, ``folder="..."``,
        ``redis="redis://..."`` ...

    Raises ValueError for options that contradict each other, ImportError where Redis is named and ``txredisapi`` is
    not installed.
    """
    if reactor is None:
        from twisted.internet import reactor as installed

        reactor = installed
    sweep = Sweep(reactor)
    opened = OpenCache(open_store(StoreOptions(**options), reactor), sweep)
    sweep.start()
    return opened
