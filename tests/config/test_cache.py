"""What can be said of caching, and every mistake in it."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import attrs
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.config import Cache, Config, Route, RouteCache, RouteCacheKey, Site
from revproxy.config.load import examine, load
from revproxy.config.mistakes import ConfigMistakes
from revproxy.config.schema import schema
from revproxy.config.validate import validate

BASE = '[[site]]\n[[site.route]]\nproxy = "http://a"\n'


def route_of(folder: Path, text: str) -> Route:
    file = folder / "site.toml"
    file.write_text(BASE + dedent(text))
    return load(file).sites[0].routes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("cache = false", None),
        ("cache = true", RouteCache()),
        ("cache = {}", RouteCache()),
        ("[site.route.cache]", RouteCache()),
        ('[site.route.cache]\nttl = "5m"', RouteCache(ttl=300.0)),
        ('cache = { ttl = "5m", force = true }', RouteCache(ttl=300.0, force=True)),
        ("cache.negative_statuses = [404, 410]", RouteCache(negative_statuses=(404, 410))),
        ('cache.bypass_cookies = "session"', RouteCache(bypass_cookies=("session",))),
        (
            '[site.route.cache.key]\nquery = "except"\nparameters = ["utm_*"]',
            RouteCache(key=RouteCacheKey(query="except", parameters=("utm_*",))),
        ),
    ],
)
def test_true_false_or_a_table(text: str, expected: RouteCache | None, tmp_path: Path) -> None:
    assert route_of(tmp_path, text).cache == expected


def test_the_same_in_python() -> None:
    assert Route(proxy="a", cache=True).cache == RouteCache()  # type: ignore[arg-type]  # it is converted
    assert Route(proxy="a", cache=False).cache is None  # type: ignore[arg-type]
    table = RouteCache(negative_statuses=[404])  # type: ignore[arg-type]
    assert Route(proxy="a", cache=table).cache is table and table.negative_statuses == (404,)
    [mistake] = validate(Config(sites=(Site(routes=(Route(proxy="http://a", cache="yes"),)),)))  # type: ignore[arg-type]
    assert (mistake.key, mistake.text) == ("sites[0].routes[0].cache", "a RouteCache is expected, not str")


def test_the_store(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(BASE + 'cache = true\n[cache]\nfolder = "kept"\nmemory = "10MB"\ndisk = "5GiB"\nstatus = false\n')
    examination = examine(file)
    assert examination.mistakes == ()
    assert examination.config is not None
    expected = Cache(folder=str(tmp_path / "kept"), memory=10_000_000, disk=5 << 30, status=False)
    assert examination.config.cache == expected


def told(folder: Path, text: str) -> list[tuple[int, str, str, bool]]:
    file = folder / "site.toml"
    file.write_text(BASE + text)
    return [
        (mistake.place.line if mistake.place else 0, mistake.key, mistake.text, mistake.warning)
        for mistake in examine(file).mistakes
    ]


HERE = "site[0].route[0].cache"
MISTAKES = [
    ('cache = "yes"', 4, HERE, "true, false or a table is expected, not text"),
    ("cache = 60", 4, HERE, "true, false or a table is expected, not a whole number"),
    ("cache.tll = 60", 4, f"{HERE}.tll", 'unknown key "tll"; did you mean "ttl"?'),
    ('cache.ttl = "-5s"', 4, f"{HERE}.ttl", "a duration can't be negative"),
    ("cache.ttl = 0", 4, f"{HERE}.ttl", "0s is too little: 1ms is the least"),
    ("cache.negative_ttl = -1", 4, f"{HERE}.negative_ttl", "a duration can't be negative"),
    ('cache.largest = "5K"', 4, f"{HERE}.largest", 'write "5KiB" (1024s) or "5KB" (1000s)'),
    ('cache.set_cookie = "Strip"', 4, f"{HERE}.set_cookie", '"Strip" is none of the choices; did you mean "strip"?'),
    ("cache.negative_statuses = [404, 200]", 4, f"{HERE}.negative_statuses[1]", "200 is no status of an error"),
    ("cache.negative_statuses = [404, 404]", 4, f"{HERE}.negative_statuses[1]", "404 is listed twice"),
    ("cache.negative_statuses = 404", 4, f"{HERE}.negative_statuses", "a list is expected"),
    ('cache.negative_statuses = ["404"]', 4, f"{HERE}.negative_statuses[0]", "a whole number is expected, not text"),
    ('cache.bypass_cookies = ["a b"]', 4, f"{HERE}.bypass_cookies[0]", '"a b" is no name of a cookie'),
    ('cache.bypass_headers = ["X", "x"]', 4, f"{HERE}.bypass_headers[1]", '"x" is listed twice'),
    ('cache.targeted = ["Cache-Control"]', 4, f"{HERE}.targeted[0]", "Cache-Control is read anyway"),
    ('cache.key.query = "some"', 4, f"{HERE}.key.query", '"some" is none of the choices'),
    ('cache.key.query = "only"', 4, f"{HERE}.key.query", '"only" needs names: write parameters = ["..."], or query'),
    ('cache.key.query = "except"', 4, f"{HERE}.key.query", '"except" needs names: write parameters = ["..."]'),
    ('cache.key.parameters = ["a"]', 4, f"{HERE}.key.parameters", 'count only with query = "only"'),
    ('cache.key = {query = "only", parameters = ["a=1"]}', 4, f"{HERE}.key.parameters[0]", "no name of a parameter"),
    ('cache.key = {query = "only", parameters = ["*"]}', 4, f"{HERE}.key.parameters[0]", "no name of a parameter"),
    ('cache.key = {query = "only", parameters = ["*a"]}', 4, f"{HERE}.key.parameters[0]", 'a "*" can stand at the end'),
    ('cache.key = {query = "none", sort_query = true}', 4, f"{HERE}.key.sort_query", "there is nothing to sort"),
    ('cache = {bypass_cookies = ["s"], key.cookies = ["s"]}', 4, f"{HERE}.key.cookies[0]", "its value never counts"),
    ('cache = {bypass_headers = ["X"], key.headers = ["x"]}', 4, f"{HERE}.key.headers[0]", "its value never counts"),
    ('[cache]\nmemory = "10KiB"', 5, "cache.memory", "10KiB is too little: 1MiB is the least"),
    ('[cache]\nname = ""', 5, "cache.name", "a name of printable ASCII characters"),
    ('[cache]\nname = "é"', 5, "cache.name", "a name of printable ASCII characters"),
    ('[cache]\nfolder = ""', 5, "cache.folder", "no folder is named"),
    ('[cache]\nfolder = "site.toml"', 5, "cache.folder", "is no folder"),
    ('[cache]\nfolder = "no/such"', 5, "cache.folder", "does not exist"),
    ('[cache]\nredis = "127.0.0.1:6379"', 5, "cache.redis", "a URL is expected"),
    ('[cache]\nredis = "redis://"', 5, "cache.redis", "a URL is expected"),
    ('[cache]\nredis = "redis://a:b"', 5, "cache.redis", "a URL is expected"),
    ('[cache]\nredis = "redis://a/first"', 5, "cache.redis", "a URL is expected"),
    ('[cache]\nredis = "unix://a/b"', 5, "cache.redis", "a URL is expected"),
    ('cache = true\n[cache]\nfolder = "kept"\nredis = "redis://a"', 7, "cache.redis", "take one of the two away"),
    ('ttl = "5m"', 4, "site[0].route[0].ttl", 'unknown key "ttl"; it belongs to [site.route.cache]'),
    ("[cache]\nttl = 5", 5, "cache.ttl", "it belongs to [site.route.cache]"),
]
WARNINGS = [
    ('cache = true\nmethods = ["POST"]', 4, HERE, "nothing is ever answered from the cache"),
    ('cache.largest = "1GiB"', 4, f"{HERE}.largest", "cache.largest is less (64MiB), and counts"),
    ('cache.negative_ttl = "1m"', 4, f"{HERE}.negative_ttl", "has no effect without negative_statuses"),
    (
        'cache = {negative_statuses = [404], negative_ttl = "1h"}',
        4,
        f"{HERE}.negative_ttl",
        "negative_most is less, and counts",
    ),
    ('cache = {heuristic = false, heuristic_most = "1h"}', 4, f"{HERE}.heuristic_most", "has no effect with heuristic"),
    ('cache.key.headers = ["User-Agent"]', 4, f"{HERE}.key.headers[0]", '"device = true" tells phones from others'),
    ('cache.key.headers = ["Cookie"]', 4, f"{HERE}.key.headers[0]", 'name those that matter in "cookies"'),
    ('cache.key.headers = ["Host"]', 4, f"{HERE}.key.headers[0]", "the host counts anyway"),
    ('[cache]\nfolder = "kept"', 5, "cache.folder", 'no route has "cache"'),
    ('[cache]\nredis = "redis://a"', 5, "cache.redis", 'no route has "cache"'),
    ('[cache]\nredis_timeout = "1s"', 5, "cache.redis_timeout", "has no effect without redis"),
    ('[cache]\ndisk = "5GiB"', 5, "cache.disk", "has no effect without folder"),
]


@pytest.mark.parametrize(("text", "line", "key", "words"), MISTAKES)
def test_mistakes(text: str, line: int, key: str, words: str, tmp_path: Path) -> None:
    [found] = told(tmp_path, text)
    assert (found[0], found[1], found[3]) == (line, key, False)
    assert words in found[2]


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    [found] = told(tmp_path, '[cache]\nredis = "redis://:secret@a:b"')
    assert "secret" not in found[2]


def test_redis_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("revproxy.config.checks.cache.find_spec", lambda name: None)
    [found] = told(tmp_path, 'cache = true\n[cache]\nredis = "redis://a"')
    assert found[:2] == (6, "cache.redis") and 'pip install "txrevproxy[redis]"' in found[2]


@pytest.mark.parametrize("url", ["redis://a", "rediss://:p@a:6380/1", "unix:///run/redis.sock", "redis://[::1]:7"])
def test_redis(url: str, tmp_path: Path) -> None:
    assert told(tmp_path, f'cache = true\n[cache]\nredis = "{url}"') == []


@pytest.mark.parametrize(("text", "line", "key", "words"), WARNINGS)
def test_warnings(text: str, line: int, key: str, words: str, tmp_path: Path) -> None:
    [found] = told(tmp_path, text)
    assert (found[0], found[1], found[3]) == (line, key, True)
    assert words in found[2]


def test_certificates_of_clients_make_no_difference_to_a_key(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    text = 'cache = true\n[site.tls]\nclient_certificates = "required"\nclient_ca = "ca.pem"\n'
    text += '[[listener]]\naddress = ":8443"\ntls = true\n[tls]\ninternal = true\n'
    [found] = told(tmp_path, text)
    assert found[:2] == (4, HERE) and found[3] and "given to others too" in found[2]


def test_a_folder_that_cant_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    # Root may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != kept)
    text = 'cache = true\n[cache]\nfolder = "{}"\n'
    assert "can't be written" in told(tmp_path, text.format("kept"))[0][2]
    assert "does not exist, and the folder" in told(tmp_path, text.format("kept/below"))[0][2]


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert told(tmp_path, 'cache = true\n[cache]\nfolder = "kept"') == []


def test_one_wrong_route_stops_the_load(tmp_path: Path) -> None:
    with pytest.raises(ConfigMistakes):
        route_of(tmp_path, 'cache.key.query = "only"')


@pytest.mark.parametrize(
    ("value", "good"),
    [(True, True), (False, True), ({}, True), ({"ttl": "5m"}, True), ("yes", False), (1, False), ({"tll": 1}, False)],
)
def test_the_schema_takes_the_same(value: object, good: bool) -> None:
    file = {"site": [{"route": [{"proxy": "http://a", "cache": value}]}]}
    assert Draft202012Validator(schema()).is_valid(file) is good


def test_the_defaults_are_those_of_the_policy() -> None:
    """Each option of a route is an option of the policy or of the key, with the same default."""
    options, key = CacheOptions(), KeyOptions()
    for table, meant_by in ((RouteCache, options), (RouteCacheKey, key)):
        for field in attrs.fields(table):
            if field.name in ("key", "largest"):
                continue
            default, meant = field.default, getattr(meant_by, field.name)
            if isinstance(default, tuple):
                default = tuple(name.lower().encode() for name in default)
                meant = tuple(meant)
            assert default == meant, field.name
    assert RouteCache().largest is None and options.largest < 0
    given = {field.name for field in attrs.fields(CacheOptions) if field.init}
    assert given - {field.name for field in attrs.fields(RouteCache)} == {"heuristic_fraction"}
    unsaid = {field.name for field in attrs.fields(KeyOptions)} - {field.name for field in attrs.fields(RouteCacheKey)}
    assert unsaid == {"scope", "method"}
