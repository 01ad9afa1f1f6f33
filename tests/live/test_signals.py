"""Signals: the end, with and without requests in flight, and log rotation. The small tools as processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import RawClient, ask
from tests.live.support_process import PATIENCE, until
from tests.live.support_proxy import REVPROXY, Proxy
from tests.live.support_scripted import Accepted, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.conftest import Started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_proxy_ends_cleanly(number: signal.Signals, started: Started, proxy_to: Callable[..., Proxy]) -> None:
    proxy = proxy_to(started.backend("nginx").url)
    # An idle kept-alive connection does not hold it up.
    with RawClient(proxy.port) as client:
        assert client.ask("GET", "/hello.txt").status == 200
        assert proxy.end(number) == 0
        assert client.is_ended()
    assert "Traceback" not in proxy.output
    # The line of the last request is not lost.
    assert len(proxy.lines(1)) == 1


def test_a_request_in_flight_ends_well(started: Started, proxy_to: Callable[..., Proxy]) -> None:
    backend = started.backend("aiohttp")
    proxy = proxy_to(backend.url)
    with RawClient(proxy.port) as client, RawClient(proxy.port) as other:
        assert other.ask("GET", "/hello.txt").status == 200
        client.send(b"GET /held/chunked/term HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"data: 1")
        proxy.signal(signal.SIGTERM)
        # The idle connection goes first, and no new one is taken.
        assert other.is_ended()

        def is_refused() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", proxy.port)) != 0

        until(is_refused, "the listener to close")
        assert ask(backend.port, "POST", "/open/term").status == 200
        assert client.read_until(b"0\r\n\r\n").endswith(b"data: 2\n\n \r\n0\r\n\r\n")
        assert client.is_ended()
    assert proxy.wait() == 0


def test_an_answer_not_begun_is_still_given(proxy_to: Callable[..., Proxy]) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        proxy.signal(signal.SIGTERM)
        until(lambda: "stopping" in proxy.output, "the proxy to hear of it")
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")

    with Scripted(script) as backend:
        proxy = proxy_to(backend.url)
        answer = ask(proxy.port, "GET", "/")
        assert (answer.status, answer.body, answer.get("Connection")) == (200, b"last", "close")
        assert proxy.wait() == 0


def test_a_second_signal_ends_it_at_once(proxy_to: Callable[..., Proxy]) -> None:
    with Scripted(Accepted.await_end) as backend:
        proxy = proxy_to(backend.url)
        with RawClient(proxy.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: backend.accepted, "the request to arrive")
            proxy.signal(signal.SIGINT)
            proxy.wait_for("stopping")
            proxy.signal(signal.SIGINT)
            assert proxy.wait() == -signal.SIGINT


def test_what_does_not_end_is_cut_after_the_drain_timeout(tmp_path: Path) -> None:
    with Scripted(Accepted.await_end) as backend:
        text = f'[[site]]\nroute = [{{proxy = "{backend.url}"}}]\n[limits]\ndrain_timeout = "500ms"\n'
        with Proxy.configured(tmp_path, text) as proxy, RawClient(proxy.port) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: backend.accepted, "the request to arrive")
            assert proxy.end() == 0
            assert client.read_all() == b""
            assert proxy.records(1)[0]["reason"] == "shutting_down"
            assert "Traceback" not in proxy.output


def test_sigusr1_opens_the_log_again(started: Started, proxy_to: Callable[..., Proxy]) -> None:
    proxy = proxy_to(started.backend("nginx").url)
    with RawClient(proxy.port) as client:
        assert client.ask("GET", "/hello.txt?before").status == 200
        rotated = proxy.log.rename(proxy.log.with_suffix(".1"))
        proxy.signal(signal.SIGUSR1)
        until(proxy.log.exists, "a new log")
        assert client.ask("GET", "/hello.txt?after").status == 200
        assert [record["target"] for record in proxy.records(1)] == ["/hello.txt?after"]
        assert [json.loads(line)["target"] for line in rotated.read_text().splitlines()] == ["/hello.txt?before"]


def test_sigusr1_without_a_log_does_no_harm(started: Started, tmp_path: Path) -> None:
    text = f'[[site]]\nroute = [{{proxy = "{started.backend("nginx").url}"}}]\n[access_log]\npath = "off"\n'
    file = tmp_path / "off.toml"
    file.write_text(text)
    with Proxy(tmp_path, "--config", file, "--access-log", "off") as proxy:
        proxy.await_start()
        proxy.signal(signal.SIGUSR1)
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
        assert proxy.end() == 0


def _tool(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(
        [REVPROXY, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE, stdin=subprocess.DEVNULL
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_the_tools_as_processes(tmp_path: Path) -> None:
    file = tmp_path / "revproxy.toml"
    file.write_text('[[site]]\n  [[site.route]]\n  path = "/api"\n  proxy = "http://127.0.0.1:1"\n')
    code, text = _tool("check", file)
    assert (code, text.count("\n")) == (0, 1)
    assert "ok" in text
    code, text = _tool("routes", file)
    assert code == 0
    assert "/api" in text
    assert "http://127.0.0.1:1" in text
    code, text = _tool("schema")
    assert code == 0
    assert json.loads(text)["properties"]["site"]
    file.write_text("[[sites]]\n[limit]\n")
    code, text = _tool("check", file)
    assert code == 2
    assert f"{file}:1" in text
    assert f"{file}:2" in text
