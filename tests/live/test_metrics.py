"""Figures of real processes: what a counting client saw is what is told, over two workers, a reload and an upgrade."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.live.support_client import RawClient, ask
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from tests.live.conftest import Started

TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    proxies: list[Proxy] = []

    def start_proxy(server: str, workers: int = 2, rest: str = "") -> Proxy:
        text = f"""
            workers = {workers}
            [[site]]
            hosts = ["example.com", "*.example.com"]
            [[site.route]]
            path = "/"
            proxy = "{server}"
            [[site.route]]
            path = "/cached/"
            proxy = "{server}"
            cache = {{ ttl = "1m" }}
            {rest}
        """
        proxies.append(Proxy.configured(tmp_path, text))
        until(lambda: proxies[-1].order("GET", "/readyz")[0] == 200, "all workers to serve")
        return proxies[-1]

    yield start_proxy
    for proxy in proxies:
        proxy.end()
        proxy.__exit__(None, None, None)


def samples(text: str, read: Any = parse) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read(text)
        for sample in family.samples
    }


def figures(proxy: Proxy) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return samples(proxy.fetch("/metrics").decode())


def requests(found: dict[Any, float]) -> dict[tuple[str, str, str, str], int]:
    return {
        tuple(dict(labels)[name] for name in ("site", "route", "method", "code")): int(value)
        for (name, labels), value in found.items()
        if name == "revproxy_requests_total"
    }


def visit(port: int, count: int) -> dict[tuple[str, str, str, str], int]:
    """What a client that counts did: requests by site, route, method and status."""
    seen: dict[tuple[str, str, str, str], int] = {}
    for number in range(count):
        method = ("GET", "HEAD", "POST")[number % 3]
        host = ("example.com", "www.example.com", "elsewhere.example")[number % 2 if number % 5 else 2]
        path = ("/hello.txt", "/missing", "/cached/x")[number % 3 if method != "POST" else 0]
        answer = ask(port, method, path, host=host)
        known = host != "elsewhere.example"
        route = "/cached/" if path.startswith("/cached/") else "/"
        key = ("example.com", route, method, str(answer.status)) if known else ("-", "-", method, str(answer.status))
        seen[key] = seen.get(key, 0) + 1
    return seen


def test_what_a_client_counted_is_told(started: Started, start: Callable[..., Proxy], tmp_path: Path) -> None:
    proxy = start(started.backend("nginx").url)
    seen = visit(proxy.port, 60)
    assert requests(figures(proxy)) == seen
    file = tmp_path / "revproxy.toml"
    file.write_text(file.read_text().replace('path = "/"', 'path = "/"\n methods = []'))
    assert proxy.order("POST", "/reload", {})[0] == 200
    for key, number in visit(proxy.port, 30).items():
        seen[key] = seen.get(key, 0) + number
    found = figures(proxy)
    assert requests(found) == seen
    total = sum(seen.values())
    counted = [value for (name, _), value in found.items() if name == "revproxy_request_duration_seconds_count"]
    assert sum(counted) == total
    assert proxy.status()["totals"]["requests"] == total
    assert found["revproxy_workers", (("state", "serving"),)] == 2
    assert found["revproxy_reloads_total", (("result", "ok"),)] == 1


def test_a_killed_worker_takes_nothing_with_it(started: Started, start: Callable[..., Proxy]) -> None:
    import os
    import signal
    import time

    proxy = start(started.backend("nginx").url)
    seen = visit(proxy.port, 30)
    figures(proxy)
    victims = proxy.workers()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(proxy.workers()) == 2 and not set(proxy.workers()) & set(victims), "others in their place")
    time.sleep(0.1)
    assert requests(figures(proxy)) == seen


def test_openmetrics_for_whom_asks(started: Started, start: Callable[..., Proxy]) -> None:
    proxy = start(started.backend("nginx").url, 1)
    seen = visit(proxy.port, 9)
    text = proxy.fetch("/metrics", Accept="application/openmetrics-text; version=1.0.0").decode()
    assert text.endswith("# EOF\n")
    assert requests(samples(text, parse_open)) == seen


def test_hostile_names_make_no_labels(started: Started, start: Callable[..., Proxy]) -> None:
    proxy = start(started.backend("nginx").url, 1)
    before = len(figures(proxy))
    for number in range(200):
        with RawClient(proxy.port) as client:
            client.send(b"M%dX /%d HTTP/1.1\r\nHost: h%d.example\r\nConnection: close\r\n\r\n" % (number, number, number))
            client.read_answer()
    found = figures(proxy)
    # One more method, one more route (none), a few reasons: nothing that grows with what a client makes up.
    assert len(found) - before < 60
    assert not any("h1" in value for _, labels in found for _, value in labels)


def test_the_last_requests_and_a_live_tail(started: Started, start: Callable[..., Proxy]) -> None:
    proxy = start(started.backend("nginx").url)
    ask(proxy.port, "GET", "/hello.txt?1")
    ask(proxy.port, "GET", "/missing")
    _, told = proxy.order("GET", "/requests?status=4xx")
    (missing,) = told["requests"]
    assert (missing["target"], missing["status"], missing["site"]) == ("/missing", 404, "example.com")
    code, one = proxy.order("GET", f"/requests/{missing['id']}")
    assert (code, one["target"]) == (200, "/missing")
    assert proxy.order("GET", "/requests/nothing")[0] == 404
    with proxy.events("/events?path=/live") as events:
        until(lambda: next(events)[0] == "status", "the first events")
        for number in range(6):
            ask(proxy.port, "GET", f"/live/{number}")
            ask(proxy.port, "GET", f"/dead/{number}")
        seen = set()
        kinds = set()
        for kind, value in events:
            kinds.add(kind)
            if kind == "request":
                seen.add(value["target"])
            if len(seen) == 6 and "figures" in kinds:
                break
        assert seen == {f"/live/{number}" for number in range(6)}
    def rates() -> list[float]:
        return [point["rate"] for point in proxy.order("GET", "/figures")[1]["history"]]

    until(lambda: max(rates(), default=0.0) > 0, "the figures to move")


def test_purge_and_marks(started: Started, start: Callable[..., Proxy]) -> None:
    server = started.backend("nginx").url
    proxy = start(server)
    assert ask(proxy.port, "GET", "/hello.txt").status == 200
    upstream = proxy.status()["upstreams"][0]
    name = upstream["servers"][0]["name"]
    order = {"upstream": upstream["name"], "server": name}
    assert proxy.order("POST", "/peers", {**order, "state": "down"})[0] == 200
    answer = ask(proxy.port, "GET", "/hello.txt")
    assert answer.status == 503
    # Workers to come know of it as well.
    import os
    import signal

    victims = proxy.workers()
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    until(lambda: len(proxy.workers()) == 2 and not set(proxy.workers()) & set(victims), "others in their place")
    until(lambda: proxy.status()["upstreams"][0]["servers"][0]["state"] == "down", "the mark to be known")
    assert proxy.order("POST", "/peers", {**order, "state": "up"})[0] == 200
    assert ask(proxy.port, "GET", "/hello.txt").status == 200
    assert proxy.order("POST", "/peers", {**order, "server": "x", "state": "up"})[0] == 404


def admin(port: int, path: str, method: str = "GET", body: str | None = None, **fields: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_over_tcp_nobody_gets_in_without_the_token(started: Started, start: Callable[..., Proxy]) -> None:
    port = free_port()
    proxy = start(
        started.backend("nginx").url, 2, f'[admin]\nlisten = "127.0.0.1:{port}"\ntoken = "{TOKEN}"'
    )
    bearer = f"Bearer {TOKEN}"
    assert admin(port, "/status")[0] == 401
    assert admin(port, "/status", Authorization="Bearer wrong-horse-battery-staple")[0] == 401
    assert admin(port, "/metrics", Authorization=bearer)[0] == 200
    assert admin(port, "/status", Authorization=bearer, Host="evil.example")[0] == 421
    json_type = {"Content_Type": "application/json", "Authorization": bearer}
    assert admin(port, "/drain", "POST", "{}", Origin="http://evil.example", **json_type)[0] == 403
    assert admin(port, "/reload", "POST", '{"plan": true}', **json_type)[0] == 200
    assert admin(port, "/reload", "POST", "{}", Authorization=bearer)[0] == 415
    # The page itself is for everybody, and has nothing in it.
    assert admin(port, "/")[0] == 200
    code, config = admin(port, "/config", Authorization=bearer)
    assert code == 200 and TOKEN not in config and "***" in config
    assert TOKEN not in proxy.output
    # A browser gets in by a link that is good once.
    code, told = proxy.order("POST", "/login", {})
    assert code == 200
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", f"/?token={told['token']}")
        answer = connection.getresponse()
        cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        assert answer.status == 303
    assert admin(port, "/status", Cookie=cookie)[0] == 200
    assert admin(port, f"/?token={told['token']}")[0] == 401
    # A new process takes this socket over as well.
    code, told = proxy.order("POST", "/upgrade", {})
    assert code == 200, told
    assert proxy.wait() == 0
    try:
        assert admin(port, "/healthz", Authorization=bearer)[0] == 200
    finally:
        import os
        import signal

        os.kill(int(told["pid"]), signal.SIGTERM)
        until(lambda: not Path(f"/proc/{told['pid']}").exists(), "the new one to end")


def test_client_certificates_over_tls(started: Started, start: Callable[..., Proxy], tmp_path: Path) -> None:
    key, certificate, both = tmp_path / "k.pem", tmp_path / "c.pem", tmp_path / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost"],
        check=True,
        capture_output=True,
    )
    both.write_text(certificate.read_text() + key.read_text())
    port = free_port()
    start(
        started.backend("nginx").url,
        1,
        f'[admin]\nlisten = "127.0.0.1:{port}"\ncertificate = "{both}"\nclient_ca = "{certificate}"',
    )
    context = ssl.create_default_context(cafile=str(certificate))

    def asked() -> bytes:
        with closing(http.client.HTTPSConnection("localhost", port, timeout=10, context=context)) as connection:
            connection.request("GET", "/status")
            return connection.getresponse().read()

    with pytest.raises((ssl.SSLError, OSError)):
        asked()
    context.load_cert_chain(str(both))
    assert json.loads(asked())["ready"] is True


def test_an_admin_address_in_use_ends_the_start(started: Started, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = tmp_path / "r.toml"
        file.write_text(
            f'[[site]]\n[[site.route]]\nproxy = "http://127.0.0.1:1"\n[admin]\ntoken = "{TOKEN}"\n'
            f'listen = "127.0.0.1:{taken.getsockname()[1]}"\n'
        )
        with Proxy(tmp_path, "--config", file) as proxy:
            assert proxy.wait() == 2
            assert "admin.listen: can't listen" in proxy.output
