"""How the demo starts and ends: alone, on a port that is taken, and with the proxy in front."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from tests.demo.process import Demo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_alone_it_says_where_it_is_and_ends_quietly(number: signal.Signals) -> None:
    demo = Demo()
    try:
        demo.wait_for(f"^demo backend, without a proxy: {demo.url}/$")
    finally:
        status = demo.end(number)
    assert status == 0
    assert len(demo.lines) == 1, demo.output


@pytest.mark.parametrize("arguments", [(), ("--with-proxy",)])
def test_a_port_that_is_taken_is_named_in_one_line(arguments: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        demo = Demo(*arguments, port=other.getsockname()[1])
        status = demo.process.wait(20)
        demo.end()
    assert status == 2
    assert len(demo.lines) == 1, demo.output
    assert f"port {demo.port} is in use" in demo.output and "make demo PORT=" in demo.output


def children(pid: int) -> list[int]:
    """The processes that ``pid`` started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_with_the_proxy_both_begin_and_end_together(number: signal.Signals) -> None:
    demo = Demo("--with-proxy")
    try:
        demo.wait_for(f"open {demo.url}/ in a browser")
        with urllib.request.urlopen(demo.url, timeout=10) as answer:
            page = answer.read().decode()
            assert answer.headers["Server"] != "demo-backend/1.0"
            assert "X-Powered-By" not in answer.headers
        assert 'id="passed"' in page, "the backend saw a Via"
        proxies = children(demo.process.pid)
        assert len(proxies) == 1
    finally:
        status = demo.end(number)
    assert status == 0
    assert not any(alive(pid) for pid in proxies), "the proxy is gone as well"
    assert "Traceback" not in demo.output and "Unhandled" not in demo.output, demo.output


def test_a_proxy_that_dies_ends_the_demo_with_a_word() -> None:
    demo = Demo("--with-proxy")
    try:
        demo.wait_for("open http")
        for pid in children(demo.process.pid):
            os.kill(pid, signal.SIGKILL)
        status = demo.process.wait(20)
    finally:
        demo.end()
    assert status == 1
    assert "demo: the proxy ended" in demo.output
