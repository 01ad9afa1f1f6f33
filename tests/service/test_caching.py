"""From the configuration to the cache: every option arrives where it is obeyed, and one store serves all routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.config import AccessLog, Cache, Config, Route, RouteCache, RouteCacheKey, Site
from revproxy.resources.caching import CachingResource
from revproxy.service.caching import cache_options, is_caching, key_options, open_store, store_options
from revproxy.service.generation import Generation, Surroundings
from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.open import StoreOptions
from revproxy.stores.tiered import TieredStore
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

MIB = 1 << 20

OPTIONS: dict[str, tuple[Any, Any]] = {
    "ttl": (60.0, 60.0),
    "force": (True, True),
    "heuristic": (False, False),
    "heuristic_most": (5.0, 5.0),
    "stale_while_revalidate": (5.0, 5.0),
    "stale_if_error": (6.0, 6.0),
    "stale_beside_s_maxage": (True, True),
    "negative_statuses": ((404, 410), frozenset({404, 410})),
    "negative_ttl": (7.0, 7.0),
    "negative_most": (8.0, 8.0),
    "set_cookie": ("strip", "strip"),
    "bypass_cookies": (("Session",), frozenset({b"Session"})),
    "bypass_headers": (("X-Fresh",), frozenset({b"x-fresh"})),
    "client_directives": (False, False),
    "largest": (5, 5),
    "partial": (False, False),
    "validate_variants": (False, False),
    "apparent_age": (False, False),
    "targeted": (("X-Cache-Control",), (b"x-cache-control",)),
}
KEY: dict[str, tuple[Any, Any]] = {
    "query": ("only", "only"),
    "parameters": (("a", "b*"), frozenset({b"a", b"b*"})),
    "sort_query": (True, True),
    "cookies": (("Lang",), (b"Lang",)),
    "headers": (("X-Country",), (b"x-country",)),
    "device": (True, True),
}


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RouteCache) if field.name != "key"])
def test_an_option_of_a_route(name: str) -> None:
    said, meant = OPTIONS[name]
    options = cache_options(RouteCache(**{name: said}))
    for field in attrs.fields(CacheOptions):
        if field.init:
            default = getattr(CacheOptions(), field.name)
            assert getattr(options, field.name) == (meant if field.name == name else default), field.name


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RouteCacheKey)])
def test_an_option_of_a_key(name: str) -> None:
    said, meant = KEY[name]
    assert key_options(RouteCacheKey(**{name: said})) == attrs.evolve(KeyOptions(), **{name: meant})


def config(*caches: bool | RouteCache, **options: Any) -> Config:
    """A route for each."""
    routes = [Route(path=f"/{number}", proxy="http://10.0.0.1", cache=cache) for number, cache in enumerate(caches)]  # type: ignore[arg-type]
    return Config(sites=(Site(routes=tuple(routes)),), cache=Cache(**options), access_log=AccessLog(path="off"))


def resources(wanted: Config) -> list[Any]:
    clock = Clock()
    store = open_store(wanted.cache, clock)
    generation = Generation(wanted, Surroundings(clock, Sweep(clock), OctetBudget(1), store))
    found = sorted(generation.routes.items(), key=lambda pair: pair[1])
    generation.stop()
    store.stop()
    return [route.resource for route, _ in found]


def test_routes_share_one_store_and_nothing_else() -> None:
    one, plain, two = resources(config(True, False, RouteCache(ttl=5.0)))
    assert isinstance(one, CachingResource) and isinstance(two, CachingResource)
    assert not isinstance(plain, CachingResource)
    assert one.store is two.store
    assert (one.options.ttl, two.options.ttl) == (None, 5.0)


def test_what_holds_for_all_routes() -> None:
    [cache] = resources(
        config(True, name="edge", status=False, collapse_timeout=2.0, background_validations=3, largest=MIB)
    )
    assert (cache.collapse_timeout, cache._background, cache.store.largest) == (2.0, 3, MIB)
    assert (cache.status.hit(5), cache.serving._says) == (b"edge; hit; ttl=5", False)


def test_the_store(tmp_path: Path) -> None:
    memory = open_store(Cache(memory=2 * MIB), Clock())
    assert isinstance(memory, MemoryStore) and memory.most_octets == 2 * MIB
    assert memory.largest == MIB
    wanted = Cache(folder=str(tmp_path / "kept"), disk=8 * MIB, largest=3 * MIB)
    tiered = open_store(wanted, Clock())
    assert isinstance(tiered, TieredStore) and isinstance(tiered.far, DiskStore)
    assert (tiered.far.most_octets, tiered.largest) == (8 * MIB, 3 * MIB)
    tiered.stop()


def test_redis() -> None:
    options = store_options(Cache(redis="redis://a", redis_prefix="p", redis_lifetime=5.0, redis_timeout=2.0))
    assert (options.redis, options.folder) == ("redis://a", "")
    assert (options.redis_prefix, options.redis_lifetime, options.redis_timeout) == ("p", 5.0, 2.0)
    usual = StoreOptions()
    assert (usual.redis_prefix, usual.redis_lifetime, usual.redis_timeout) == (
        Cache().redis_prefix,
        Cache().redis_lifetime,
        Cache().redis_timeout,
    )


def test_nothing_is_cached_by_default() -> None:
    assert not is_caching(config(False))
    assert is_caching(config(False, True))
