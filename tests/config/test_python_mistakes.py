"""Configurations built in Python: files that go wrong, and values that the model does not allow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.web.resource import Resource

from revproxy.config.load import examine, load
from revproxy.config.mistakes import ConfigMistakes
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
from revproxy.config.validate import validate


def told(folder: Path, source: str) -> str:
    file = folder / "site.py"
    file.write_text(source)
    with pytest.raises(ConfigMistakes) as caught:
        load(file)
    return str(caught.value).replace(str(file), "site.py")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", 'site.py: the file must define "config": config = Config(...)'),
        (
            "from revproxy.config import *\nsite = Config()",
            'site.py: the file must define "config"; "site" is one: call',
        ),
        ("config = 5", "site.py: config: a Config is expected, not int"),
        ("x = 1\nx.y", "site.py:2: AttributeError: 'int' object has no attribute 'y'"),
        ("def f():\n    return 1 / 0\n\nf()", "site.py:2: ZeroDivisionError: division by zero"),
        ("\nx = (", "site.py:2:5: '(' was never closed"),
        ("x = 1\0", "site.py:"),
        ("import sys\nsys.exit(1)", "site.py:2: sys.exit() was called"),
        ("import no_such_module_here", "site.py:1: ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("import beside_it", "site.py:1: NameError: name 'nothing' is not defined (raised in "),
        ("from revproxy.config import *\nRoute(prox=1)", 'site.py:2: Route has no "prox"; did you mean "proxy"?'),
        ("from revproxy.config import *\nListener()", "site.py:2: TypeError: "),
        ("from revproxy.errors import ConfigError\nraise ConfigError('my own words')", "site.py:2: my own words"),
        ("from revproxy.config.load import from_servers\nfrom_servers(['x'])", '--to: "x" is no server'),
        ("from revproxy.config.units import *\nparse_size('1K')", 'site.py:2: ValueError: "1K" is no size'),
    ],
)
def test_a_file_that_goes_wrong(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "beside_it.py").write_text("\nnothing")
    text = told(tmp_path, source)
    assert text.startswith(message)
    assert "\n" not in text
    assert "Traceback" not in text


def test_values_are_named_as_in_python(tmp_path: Path) -> None:
    source = """
from revproxy.config import *

config = Config(
    sites=[Site(hosts=["a"], routes=[Route(proxy="nope"), Route(path="x", proxy="http://b")])],
    upstreams=[UpstreamOptions(name="nop", servers=[Server(url="http://c", weight=0)])],
)
"""
    assert told(tmp_path, source).splitlines() == [
        "site.py: config.upstreams[0].servers[0].weight: 0 is too little: 1 is the least",
        'site.py: config.sites[0].routes[0].proxy: there is no upstream "nope"; did you mean "nop"?',
        'site.py: config.sites[0].routes[1].path: "x" must begin with a slash: write "/x"',
    ]


def test_modules_beside_the_file_and_later_imports(tmp_path: Path) -> None:
    (tmp_path / "names_of_services.py").write_text("NAMES = ['a', 'b']\n")
    (tmp_path / "site.py").write_text(
        "from names_of_services import NAMES\n"
        "from revproxy.config import *\n"
        "config = Config(sites=[Site(hosts=[n], routes=[Route(proxy='http://x')]) for n in NAMES])\n"
    )
    assert [site.hosts for site in load(tmp_path / "site.py").sites] == [("a",), ("b",)]


def test_a_file_without_resources_is_twice_the_same(tmp_path: Path) -> None:
    (tmp_path / "site.py").write_text(
        "from revproxy.config import *\nconfig = Config(sites=[Site(routes=[Route(proxy='http://x')])])\n"
    )
    assert load(tmp_path / "site.py") == load(tmp_path / "site.py")
    assert examine(tmp_path / "site.py").mistakes == ()


GOOD = Site(routes=(Route(proxy="http://a"),))


def wrong(**values: Any) -> list[tuple[str, str]]:
    return [(mistake.key, mistake.text) for mistake in validate(Config(**{"sites": (GOOD,), **values}))]


def route(**values: Any) -> Site:
    return Site(routes=(Route(**values),))


def test_nothing_wrong() -> None:
    assert wrong() == []
    assert wrong(sites=(route(resource=Resource()),)) == []


ANY: Any = object()


@pytest.mark.parametrize(
    ("values", "key", "message"),
    [
        ({"sites": "x"}, "sites", "a tuple is expected, not str"),
        ({"sites": ("x",)}, "sites[0]", "a Site is expected, not str"),
        ({"sites": ()}, "sites", "at least one is needed"),
        ({"sites": (Site(),)}, "sites[0].routes", "at least one is needed"),
        ({"sites": (Site(hosts=ANY, routes=(Route(proxy="http://a"),)),)}, "sites[0].hosts", "a tuple is expected"),
        ({"sites": (Site(hosts=(ANY,), routes=GOOD.routes),)}, "sites[0].hosts[0]", "a str is expected, not object"),
        ({"sites": (route(proxy=5),)}, "sites[0].routes[0].proxy", "a str is expected, not int"),
        ({"sites": (route(resource=ANY),)}, "sites[0].routes[0].resource", "the value is no Twisted resource"),
        ({"sites": (route(resource=Resource),)}, "sites[0].routes[0].resource", "the value is a class"),
        ({"sites": (route(proxy="http://a", strip=1),)}, "sites[0].routes[0].strip", "True or False is expected"),
        (
            {"sites": (route(proxy="http://a", body_size=1.5),)},
            "sites[0].routes[0].body_size",
            "whole number of octets",
        ),
        (
            {"sites": (route(proxy="http://a", request_headers=HeaderChanges(set=(("A",),))),)},  # type: ignore[arg-type]
            "sites[0].routes[0].request_headers.set",
            "a tuple of pairs of str is expected",
        ),
        (
            {"sites": (route(proxy="http://a", request_headers=HeaderChanges(add=(("A", "x\ny"),))),)},
            "sites[0].routes[0].request_headers.add.A",
            "control character",
        ),
        ({"listeners": (Listener(address=ANY),)}, "listeners[0].address", "a str is expected, not object"),
        ({"listeners": (Listener(address=":1"), Listener(address=":1"))}, "listeners[1].address", "taken already"),
        ({"listeners": ()}, "listeners", "at least one is needed"),
        ({"limits": None}, "limits", "a Limits is expected, not NoneType"),
        ({"limits": Limits(head_size=True)}, "limits.head_size", "a whole number of octets is expected, not bool"),
        ({"limits": Limits(head_timeout="5s")}, "limits.head_timeout", "a number of seconds is expected, not str"),  # type: ignore[arg-type]
        ({"limits": Limits(head_timeout=float("nan"))}, "limits.head_timeout", "a finite number is expected"),
        ({"limits": Limits(head_timeout=-1)}, "limits.head_timeout", "-1 is too little: 1ms is the least"),
        ({"trusted_proxies": ("10.0.0.0/8",)}, "trusted_proxies[0]", "an IPv4Network or IPv6Network is expected"),
        ({"access_log": AccessLog(format="xml")}, "access_log.format", "none of the choices"),
    ],
)
def test_wrong_values(values: dict[str, Any], key: str, message: str) -> None:
    found = wrong(**values)
    assert len(found) == 1, found
    assert found[0][0] == key
    assert message in found[0][1]


def test_two_upstreams_of_one_name() -> None:
    pool = UpstreamOptions(name="a", servers=(Server(url="http://x"),))
    found = wrong(sites=(route(proxy="a"),), upstreams=(pool, pool))
    assert found == [("upstreams[1].name", 'there is another upstream "a"')]


def test_no_config_at_all() -> None:
    nothing: Any = None
    assert [mistake.text for mistake in validate(nothing)] == ["a Config is expected, not NoneType"]
