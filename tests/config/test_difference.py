"""What a reload would change, in words."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.config.difference import Change, difference
from revproxy.config.load import examine_source
from revproxy.config.model import Config, Limits, Listener, Route, Server, Site, UpstreamOptions

BASE = """
trusted_proxies = ["10.0.0.0/8"]

[[listener]]
address = ":80"

[[listener]]
address = ":8443"

[[site]]
hosts = ["a.example", "www.a.example"]

[[site.route]]
path = "/"
proxy = "app"

[[site.route]]
path = "/static/"
proxy = "http://10.0.0.9:80"
cache = true

[[site]]
hosts = ["b.example"]

[[site.route]]
path = "/"
proxy = "http://10.0.0.7:8000"

[upstream.app]
servers = ["http://10.0.0.5:8000", "http://10.0.0.6:8000"]

[cache]
redis = "redis://who:what@10.0.0.8:6379/0"
"""


def config(text: str) -> Config:
    examined = examine_source(Path("site.toml"), text.encode())
    assert examined.config is not None, examined.mistakes
    return examined.config


def changed(old: str, new: str) -> list[Change]:
    assert old in BASE
    return list(difference(config(BASE), config(BASE.replace(old, new, 1))))


def words(changes: list[Change]) -> list[str]:
    return [f"{each.kind} {each.change} {each.name}: {each.detail}" for each in changes]


@pytest.mark.parametrize(
    ("old", "new", "told", "path"),
    [
        ('":8443"', '":9443"', ["listener removed :8443: ", "listener added :9443: "], ("listeners", 1)),
        (
            'address = ":8443"',
            'address = ":8443"\nbacklog = 99',
            ["listener changed :8443: backlog: 4096 -> 99"],
            ("listeners", 1),
        ),
        (
            '"www.a.example"]',
            '"shop.a.example"]',
            ["site changed a.example, shop.a.example: hosts: +shop.a.example -www.a.example"],
            ("sites", 0),
        ),
        (
            'hosts = ["b.example"]',
            'hosts = ["c.example"]',
            [
                "site removed b.example: / to http://10.0.0.7:8000",
                "site added c.example: / to http://10.0.0.7:8000",
            ],
            ("sites", 1),
        ),
        (
            'hosts = ["b.example"]',
            'hosts = ["b.example"]\nredirect_to_https = 301',
            ["site changed b.example: redirect_to_https: false -> 301"],
            ("sites", 1),
        ),
        (
            "http://10.0.0.7:8000",
            "http://10.0.0.7:9000",
            ["route changed b.example/: proxy: http://10.0.0.7:8000 -> http://10.0.0.7:9000"],
            ("sites", 1, "routes", 0),
        ),
        (
            'path = "/static/"',
            'path = "/assets/"',
            [
                "route removed a.example/static/: to http://10.0.0.9:80",
                "route added a.example/assets/: to http://10.0.0.9:80",
            ],
            ("sites", 0, "routes", 1),
        ),
        (
            "cache = true",
            'cache = { ttl = "5m" }',
            ["route changed a.example/static/: cache.ttl: not set -> 5m"],
            ("sites", 0, "routes", 1),
        ),
        ("cache = true", "", ["route changed a.example/static/: cache: removed"], ("sites", 0, "routes", 1)),
        (
            "cache = true",
            'cache = true\nresponse_headers = { set = { Key = "hidden" } }',
            ["route changed a.example/static/: response_headers.set: +Key"],
            ("sites", 0, "routes", 1),
        ),
        (
            '"http://10.0.0.6:8000"]',
            '{ url = "http://10.0.0.6:8000", weight = 3 }]\nqueue = 5',
            [
                "upstream changed app: servers: +http://10.0.0.6:8000 weight 3 -http://10.0.0.6:8000; queue: 1024 -> 5",
            ],
            ("upstreams", 0),
        ),
        (
            '["http://10.0.0.5:8000", "http://10.0.0.6:8000"]',
            '["http://10.0.0.6:8000", "http://10.0.0.5:8000"]',
            ["upstream changed app: servers: another order"],
            ("upstreams", 0),
        ),
        (
            "[upstream.app]",
            '[upstream.more]\nservers = ["http://10.0.0.1"]\n\n[upstream.app]',
            ["upstream added more: http://10.0.0.1"],
            ("upstreams", 0),
        ),
        (
            '"10.0.0.0/8"',
            '"10.0.0.0/8", "192.0.2.1"',
            ["trusted_proxies changed : +192.0.2.1"],
            ("trusted_proxies",),
        ),
        ("[cache]", "[limits]\nbody_size = '1MiB'\n[cache]", ["limits changed : body_size: 4GiB -> 1MiB"], ("limits",)),
        ("trusted_proxies", 'workers = "auto"\ntrusted_proxies', ["workers changed : 1 -> auto"], ("workers",)),
        (
            "redis://who:what@10.0.0.8:6379/0",
            "redis://who:what@10.0.0.9:6379/0",
            ["cache changed : redis: redis://***@10.0.0.8:6379/0 -> redis://***@10.0.0.9:6379/0"],
            ("cache",),
        ),
        ("who:what", "who:else", ["cache changed : redis: another value"], ("cache",)),
    ],
)
def test_what_differs(old: str, new: str, told: list[str], path: tuple[str | int, ...]) -> None:
    changes = changed(old, new)
    assert words(changes) == told
    assert changes[-1].path == path


def test_what_moves() -> None:
    old = config(BASE)
    new = attrs.evolve(old, listeners=old.listeners[::-1], sites=old.sites[::-1])
    assert words(list(difference(old, new))) == [
        "listener moved :8443: the order in the file",
        "site moved b.example: the order in the file",
    ]


def test_what_is_removed_is_found_in_the_old_one() -> None:
    old = config(BASE)
    new = attrs.evolve(old, sites=old.sites[1:])
    (change,) = difference(old, new)
    assert (change.change, change.path) == ("removed", ("sites", 0))
    assert change.detail == "/ to app, /static/ to http://10.0.0.9:80"


def test_equal_configurations() -> None:
    assert difference(config(BASE), config(BASE)) == ()


hosts = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=3, unique=True).map(tuple)
routes = st.lists(
    st.builds(
        lambda path, proxy: Route(path=path, proxy=proxy),
        st.sampled_from(["/", "/x", "/y"]),
        st.sampled_from(["up", "http://a", "http://b"]),
    ),
    max_size=3,
).map(tuple)
sites = st.lists(st.builds(lambda hosts, routes: Site(hosts=hosts, routes=routes), hosts, routes), max_size=3)
servers = st.lists(
    st.builds(lambda url, weight: Server(url=url, weight=weight), st.sampled_from(["http://a", "http://b"]), st.integers(1, 2)),
    min_size=1,
    max_size=3,
).map(tuple)
upstreams = st.lists(
    st.builds(lambda name, servers: UpstreamOptions(name=name, servers=servers), st.sampled_from(["up", "down"]), servers),
    max_size=2,
)
listeners = st.lists(st.builds(lambda address, tls: Listener(address=address, tls=tls), st.sampled_from([":1", ":2"]), st.booleans()), max_size=3)
configs = st.builds(
    lambda sites, upstreams, listeners, count: Config(
        sites=tuple(sites), upstreams=tuple(upstreams), listeners=tuple(listeners), limits=Limits(connections=count)
    ),
    sites,
    upstreams,
    listeners,
    st.integers(1, 3),
)


@given(configs, configs)
def test_something_is_told_exactly_where_something_differs(old: Config, new: Config) -> None:
    changes = difference(old, new)
    assert bool(changes) == (old != new)
    for change in changes:
        assert change.change in ("added", "removed", "changed", "moved")
        place: object = old if change.change == "removed" else new
        for part in change.path:
            place = place[part] if isinstance(part, int) else getattr(place, part)  # type: ignore[index]
        # Nothing that has no words is left, in what these configurations are made of.
        assert change.kind != "configuration"
