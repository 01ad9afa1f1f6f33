"""Wiring of the cache: what the configuration says of it → the policy's options, the key's, and one store."""

from __future__ import annotations

from typing import Any

from twisted.web.resource import IResource
from zope.interface import implementer

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions, SetCookie
from revproxy.config.model import Cache, Config, RouteCache, RouteCacheKey
from revproxy.interfaces import IResponder, IStore, Request
from revproxy.resources.caching import CachingResource
from revproxy.resources.dispatch import Dispatch
from revproxy.resources.twisted_request import TwistedResources
from revproxy.stores.disk import DiskStore
from revproxy.stores.open import StoreOptions
from revproxy.stores.open import open_store as open_stores
from revproxy.wire.sweep import Sweep


def is_caching(config: Config) -> bool:
    """Whether any route is cached."""
    return any(route.cache is not None for site in config.sites for route in site.routes)


def open_store(options: Cache, reactor: Any) -> IStore:
    """The store of this process: memory, before a folder or Redis where one is named. What can't be opened or reached
    is tried again while requests are served without it."""
    return open_stores(store_options(options), reactor)


def store_options(options: Cache) -> StoreOptions:
    """What is stored where."""
    return StoreOptions(
        memory_size=options.memory,
        folder=options.folder or "",
        disk_size=options.disk,
        redis=options.redis or "",
        redis_prefix=options.redis_prefix,
        redis_timeout=options.redis_timeout,
        redis_lifetime=options.redis_lifetime,
        largest=options.largest,
    )


def open_folder(options: Cache, reactor: Any) -> DiskStore:
    """The store in the configured folder alone, without memory in front of it."""
    assert options.folder is not None
    return DiskStore(options.folder, options.disk, options.largest, reactor)


def cached(
    resource: IResource, table: RouteCache, options: Cache, store: IStore, sweep: Sweep, others: TwistedResources
) -> CachingResource:
    """A route's resource behind a cache. ``others`` serves what knows nothing of streaming requests."""
    inner: Any = resource if IResponder.providedBy(resource) else TreeResponder(resource, others)
    return CachingResource(
        inner,
        store,
        sweep,
        options=cache_options(table),
        keys=key_options(table.key),
        name=options.name.encode("ascii"),
        says=options.status,
        collapse_timeout=options.collapse_timeout,
        background=options.background_validations,
    )


@implementer(IResponder)
class TreeResponder:
    """Answers with whatever is below a resource, a folder of files or anybody's Twisted resource among them."""

    def __init__(self, root: IResource, others: TwistedResources) -> None:
        self._dispatch = Dispatch(root, others)

    def respond(self, request: Request) -> None:
        """Answers, now or later."""
        self._dispatch(request)


def cache_options(table: RouteCache) -> CacheOptions:
    """The policy of a route. A new value each time: what is stored is judged by one route's own."""
    set_cookie: SetCookie = table.set_cookie  # type: ignore[assignment]  # one of its choices, as was checked
    return CacheOptions(
        targeted=_lower(table.targeted),
        ttl=table.ttl,
        force=table.force,
        heuristic=table.heuristic,
        heuristic_most=table.heuristic_most,
        stale_while_revalidate=table.stale_while_revalidate,
        stale_if_error=table.stale_if_error,
        stale_beside_s_maxage=table.stale_beside_s_maxage,
        negative_statuses=frozenset(table.negative_statuses),
        negative_ttl=table.negative_ttl,
        negative_most=table.negative_most,
        set_cookie=set_cookie,
        bypass_cookies=frozenset(_octets(table.bypass_cookies)),
        bypass_headers=frozenset(_lower(table.bypass_headers)),
        client_directives=table.client_directives,
        largest=-1 if table.largest is None else table.largest,
        partial=table.partial,
        validate_variants=table.validate_variants,
        apparent_age=table.apparent_age,
    )


def key_options(table: RouteCacheKey) -> KeyOptions:
    """What a route's key is made of."""
    return KeyOptions(
        query=table.query,  # type: ignore[arg-type]  # one of its choices, as was checked
        parameters=frozenset(_octets(table.parameters)),
        sort_query=table.sort_query,
        cookies=_octets(table.cookies),
        headers=_lower(table.headers),
        device=table.device,
    )


def _octets(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.encode("ascii") for name in names)


def _lower(names: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(name.lower().encode("ascii") for name in names)
