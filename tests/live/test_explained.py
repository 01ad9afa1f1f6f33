"""Asked of the running proxy: what it would do now, and what it did."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import ask
from tests.live.support_process import free_port, until
from tests.live.support_proxy import REVPROXY, Proxy

if TYPE_CHECKING:
    from tests.live.conftest import Started


@pytest.fixture(params=[1, 2])
def proxy(request: pytest.FixtureRequest, started: Started, tmp_path: Path) -> Iterator[Proxy]:
    text = f"""workers = {request.param}
[[site]]
hosts = ["example.com"]
[[site.route]]
path = "/"
proxy = "both"
cache = {{ ttl = "5m" }}
[[site.route]]
path = "/dead/"
proxy = "http://127.0.0.1:{free_port()}"
[upstream.both]
servers = ["{started.backend("nginx").url}", "http://127.0.0.1:{free_port()}"]
"""
    proxy = Proxy.configured(tmp_path, text)
    until(lambda: proxy.order("GET", "/readyz")[0] == 200, "all to serve")
    yield proxy
    proxy.end()
    proxy.__exit__(None, None, None)


def explain(proxy: Proxy, *words: str) -> tuple[int, str]:
    path = proxy.runtime / f"{proxy.process.pid}.sock"
    done = subprocess.run([REVPROXY, "explain", *words, "--socket", path], capture_output=True, text=True)
    return done.returncode, done.stdout or done.stderr


def test_before_the_fact(proxy: Proxy, tmp_path: Path) -> None:
    for number in range(8):
        assert ask(proxy.port, "GET", f"/hello.txt?{number}").status == 200
    code, text = explain(proxy, "http://example.com/hello.txt?other")
    assert code == 0
    file = tmp_path / "revproxy.toml"
    assert f"route     /: it takes /hello.txt  ({file}:4)" in text
    assert re.search(r"peer +127\.0\.0\.1:\d+: is asked, on (one of|a new)", text)
    assert re.search(r"127\.0\.0\.1:\d+: not asked: set aside for another \d+", text)
    code, text = explain(proxy, "DELETE", "http://elsewhere.example/")
    assert (code, "answered with 404: no site for this host" in text) == (0, True)
    code, text = explain(proxy, "ftp://x")
    assert code == 1 and "is no URL" in text


def test_after_the_fact(proxy: Proxy, tmp_path: Path) -> None:
    page = ask(proxy.port, "GET", "/dead/x", "Accept: text/html")
    assert page.status == 502
    # What a person would copy from the page.
    (shown,) = set(re.findall(r"[0-9a-f]{32}", page.body.decode()))
    assert shown == page.get("X-Request-ID")
    code, text = explain(proxy, shown)
    assert code == 0
    assert "failure   connect_failed: " in text and "RFC 9110 §15.6.3" in text
    file = tmp_path / "revproxy.toml"
    assert f"({file}:8" in text
    file.write_text(file.read_text().replace('"5m"', '"6m"'))
    file.write_text(file.read_text().replace("[[site.route]]\npath = \"/dead/\"", "[[site.route]]\nstrip = true\npath = \"/dead/\""))
    assert proxy.order("POST", "/reload", {})[0] == 200
    code, text = explain(proxy, shown)
    assert code == 0
    assert "connect_failed" in text and "not in force any more" in text
    code, text = explain(proxy, "0" * 32)
    assert (code, "not among the last requests" in text) == (1, True)


def test_a_404_shows_its_id(proxy: Proxy) -> None:
    page = ask(proxy.port, "GET", "/x", "Accept: text/html", host="nobody.example")
    assert page.status == 404
    code, text = explain(proxy, page.get("X-Request-ID"))
    assert page.get("X-Request-ID") in page.body.decode()
    assert code == 0 and "no_route" in text


def test_purged_by_order(proxy: Proxy) -> None:
    for _ in range(6):
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
    code, told = proxy.order("POST", "/purge", {"url": "http://example.com/hello.txt"})
    assert code == 200 and told["removed"] >= 1
    code, told = proxy.order("POST", "/purge", {"url": "nonsense"})
    assert code in (400, 409) and "is no URL" in told["error"]
