"""A worker's share of the limits."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from revproxy.config.divide import FEW, divided, share, share_of_few
from revproxy.config.model import Cache, Config, Limits, Listener, Route, Server, Site, UpstreamOptions

CONFIG = Config(
    listeners=(Listener(address=":80"),),
    sites=(Site(hosts=("a.example",), routes=(Route(path="/", proxy="both"),)),),
    upstreams=(UpstreamOptions(name="both", servers=(Server(url="http://a"), Server(url="http://b"))),),
)
DIVIDED = {"connections", "connections_per_address", "buffered_octets"}
DIVIDED_UPSTREAM = {"connections", "connections_per_server", "idle_connections", "queue"}


def test_one_worker_has_it_all() -> None:
    assert divided(CONFIG, 1) is CONFIG


def test_sums_are_divided_and_nothing_else() -> None:
    part = divided(CONFIG, 4)
    changed = {name for name, value in attrs.asdict(part.limits).items() if value != getattr(CONFIG.limits, name)}
    assert changed == DIVIDED
    assert all(getattr(part.limits, name) == getattr(CONFIG.limits, name) // 4 for name in DIVIDED)
    (upstream,), (whole,) = part.upstreams, CONFIG.upstreams
    changed = {field.name for field in attrs.fields(UpstreamOptions)
               if getattr(upstream, field.name) != getattr(whole, field.name)}
    assert changed == DIVIDED_UPSTREAM
    assert all(getattr(upstream, name) == getattr(whole, name) // 4 for name in DIVIDED_UPSTREAM)
    assert part.cache == attrs.evolve(CONFIG.cache, background_validations=16)
    assert (part.listeners, part.sites, part.tls) == (CONFIG.listeners, CONFIG.sites, CONFIG.tls)


def test_none_kept_stays_none_kept() -> None:
    upstream = attrs.evolve(CONFIG.upstreams[0], idle_connections=0, queue=0)
    part = divided(attrs.evolve(CONFIG, upstreams=(upstream,)), 4).upstreams[0]
    assert (part.idle_connections, part.queue) == (0, 0)


def test_few_of_one_client_may_all_come_to_one_worker() -> None:
    config = attrs.evolve(CONFIG, limits=Limits(connections_per_address=4, connections=2))
    part = divided(config, 8).limits
    assert (part.connections_per_address, part.connections) == (4, 1)


counts = st.integers(1, 10**9)
processes = st.integers(1, 256)


@given(counts, processes)
def test_shares_never_exceed_the_whole_unless_it_is_less_than_one_each(whole: int, workers: int) -> None:
    part = share(whole, workers)
    assert part >= 1
    assert part * workers <= max(whole, workers)
    # No more is lost than the remainder.
    assert part * workers > whole - workers


@given(counts, processes)
def test_shares_of_few(whole: int, workers: int) -> None:
    part = share_of_few(whole, workers)
    assert part <= whole
    assert part == whole // workers or part == min(whole, FEW)


@given(st.integers(1, 10**6), processes)
def test_what_was_valid_stays_valid(count: int, workers: int) -> None:
    limits = Limits(connections=count, connections_per_address=count, buffered_octets=count)
    config = attrs.evolve(CONFIG, limits=limits, cache=Cache(background_validations=count))
    part = divided(config, workers)
    assert min(part.limits.connections, part.limits.connections_per_address, part.limits.buffered_octets) >= 1
    assert part.cache.background_validations >= 1
