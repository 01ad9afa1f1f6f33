"""Files that can be used: what they mean, and that TOML and Python mean the same."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from revproxy.config.load import examine, from_servers, load
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

EXAMPLES = Path(__file__).parents[2] / "examples"

TOML = """
trusted_proxies = ["10.0.0.0/8", "::ffff:192.0.2.1"]

[[listener]]
address = ":8080"
proxy_protocol_from = ["127.0.0.1"]

[[listener]]
address = "[::1]:8081"

[[site]]
hosts = ["Example.COM.", "*.example.com", "bücher.example"]

  [[site.route]]
  path = "/api"
  proxy = "api"
  methods = ["GET", "POST"]
  strip = true
  upgrade = []
  body_size = "10MB"
  request_headers = { remove = ["X-A"], set = { "X-B" = "b" }, add = { "X-C" = ["1", "2"] } }

  [[site.route]]
  proxy = "unix:/run/app.sock"
  host = "app.example:8000"

  [[site.route]]
  path = "/files/"
  files = "public"

[upstream.api]
servers = ["http://10.0.0.5:8000", { url = "http://10.0.0.6", weight = 3 }]
connect_timeout = "250ms"
keep_alive = 90
queue = 0

[limits]
body_size = "1GiB"
drain_timeout = "1m30s"

[access_log]
path = "off"
format = "json"
"""

PYTHON = """
from ipaddress import ip_network

from revproxy.config import *

config = Config(
    trusted_proxies=[ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")],
    listeners=[
        Listener(address=":8080", proxy_protocol_from=[ip_network("127.0.0.1/32")]),
        Listener(address="[::1]:8081"),
    ],
    sites=[
        Site(
            hosts=["Example.COM.", "*.example.com", "bücher.example"],
            routes=[
                Route(
                    path="/api",
                    proxy="api",
                    methods=["GET", "POST"],
                    strip=True,
                    upgrade=[],
                    body_size=10_000_000,
                    request_headers=HeaderChanges(
                        remove=["X-A"], set={"X-B": "b"}, add=[("X-C", "1"), ("X-C", "2")]
                    ),
                ),
                Route(proxy="unix:/run/app.sock", host="app.example:8000"),
                Route(path="/files/", files="public"),
            ],
        )
    ],
    upstreams=[
        UpstreamOptions(
            name="api",
            servers=[Server(url="http://10.0.0.5:8000"), Server(url="http://10.0.0.6", weight=3)],
            connect_timeout=0.25,
            keep_alive=90,
            queue=0,
        )
    ],
    limits=Limits(body_size=1024**3, drain_timeout=90),
    access_log=AccessLog(path="off", format="json"),
)
"""


def test_toml_and_python_mean_the_same(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "a.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "a.py").write_text(PYTHON, encoding="utf-8")
    expected = Config(
        listeners=(
            Listener(address=":8080", proxy_protocol_from=(ip_network("127.0.0.1/32"),)),
            Listener(address="[::1]:8081"),
        ),
        sites=(
            Site(
                hosts=("example.com", "*.example.com", "xn--bcher-kva.example"),
                routes=(
                    Route(
                        path="/api",
                        proxy="api",
                        methods=("GET", "POST"),
                        strip=True,
                        upgrade=(),
                        body_size=10_000_000,
                        request_headers=HeaderChanges(
                            remove=("X-A",), set=(("X-B", "b"),), add=(("X-C", "1"), ("X-C", "2"))
                        ),
                    ),
                    Route(proxy="unix:/run/app.sock", host="app.example:8000"),
                    Route(path="/files/", files=str(tmp_path / "public")),
                ),
            ),
        ),
        upstreams=(
            UpstreamOptions(
                name="api",
                servers=(Server(url="http://10.0.0.5:8000"), Server(url="http://10.0.0.6", weight=3)),
                connect_timeout=0.25,
                keep_alive=90.0,
                queue=0,
            ),
        ),
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32")),
        limits=Limits(body_size=1024**3, drain_timeout=90.0),
        access_log=AccessLog(path=None, format="json"),
    )
    from_toml, from_python = load(tmp_path / "a.toml"), load(str(tmp_path / "a.py"))
    assert from_toml == expected
    assert from_python == expected
    assert hash(from_toml) == hash(from_python)


@pytest.mark.parametrize("name", ["revproxy.toml", "minimal.toml"])
def test_twice_the_same(name: str) -> None:
    assert load(EXAMPLES / name) == load(EXAMPLES / name)


def test_every_example_is_without_a_flaw() -> None:
    files = [*EXAMPLES.glob("*.toml"), *EXAMPLES.glob("*.py")]
    assert len(files) >= 3
    for file in files:
        assert examine(file).mistakes == ()


def test_a_resource_is_imported_and_stays_the_same(tmp_path: Path) -> None:
    (tmp_path / "some_resources.py").write_text(
        "from twisted.web.resource import Resource\nclass Space:\n    page = Resource()\n"
    )
    file = tmp_path / "a.toml"
    file.write_text('[[site]]\n[[site.route]]\nresource = "some_resources:Space.page"\n')
    config = load(file)
    assert config.sites[0].routes[0].resource.isLeaf == 0
    assert load(file) == config


def test_a_byte_order_mark_and_line_ends_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes('\ufeff[[site]]\r\n[[site.route]]\r\nproxy = "http://a"\r\n'.encode())
    assert load(file).sites[0].routes[0].proxy == "http://a"


def test_relative_paths_are_seen_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "logs").mkdir()
    text = '[[site]]\n[[site.route]]\nfiles = "public"\n[access_log]\npath = "logs/access.log"\n'
    text += '[log]\nfile = "logs/revproxy.log"\n'
    (tmp_path / "a.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    config = load("a.toml")
    assert config.sites[0].routes[0].files == str(tmp_path / "public")
    assert config.access_log.path == str(tmp_path / "logs/access.log")
    assert config.log.file == str(tmp_path / "logs/revproxy.log")


def test_from_servers() -> None:
    config = from_servers(["http://127.0.0.1:8000", "unix:/run/a.sock"], ":9090")
    assert config.listeners == (Listener(address=":9090"),)
    ((site,), (upstream,)) = config.sites, config.upstreams
    assert (site.hosts, site.routes) == (("*",), (Route(path="/", proxy=upstream.name),))
    assert [server.url for server in upstream.servers] == ["http://127.0.0.1:8000", "unix:/run/a.sock"]
    assert len(from_servers(["http://a"], [":1", ":2"]).listeners) == 2


def test_from_servers_says_all_that_is_wrong() -> None:
    with pytest.raises(ConfigMistakes) as caught:
        from_servers(["127.0.0.1:8000", "ftp://a"], "localhost:80")
    assert [mistake.key for mistake in caught.value.mistakes] == ["--listen", "--to", "--to"]
    assert '--to: "127.0.0.1:8000" is no server' in str(caught.value)
    with pytest.raises(ConfigMistakes, match="--to: at least one is needed"):
        from_servers([])


def test_nothing_here_imports_twisted() -> None:
    code = (
        "import sys, revproxy.cli, revproxy.config.load; "
        f"revproxy.config.load.load({str(EXAMPLES / 'revproxy.toml')!r}); "
        "assert not any(name.partition('.')[0] in ('twisted', 'zope') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_resource_does_not_install_a_reactor() -> None:
    code = (
        "import sys, revproxy.config.load; "
        f"revproxy.config.load.load({str(EXAMPLES / 'minimal.toml')!r}); "
        "from revproxy.config.imports import resource_mistake; resource_mistake(1); "
        "assert 'twisted.internet.reactor' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
