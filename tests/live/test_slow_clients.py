"""Hundreds of clients that are slow, silent or too many: each is ended as documented, and everybody else is served.

The only times that are asserted are generous bounds: a visitor who waits for ``LONGEST`` seconds was not served.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections import Counter
from typing import TYPE_CHECKING

from tests.live.support_backends import HELLO
from tests.live.support_client import RawClient, ask, request
from tests.live.support_process import until
from tests.live.support_proxy import Proxy
from tests.live.support_slow import (
    Crowd,
    Visitor,
    besiege,
    connected,
    endless_head,
    greedy_reader,
    half_closed,
    idle,
    silent,
    silent_body,
    slow_body,
    slow_head,
    until_so,
)
from tests.live.test_volume import GROWTH, MIB

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Started

EACH = 80
"""Slow clients of each kind."""
LONGEST = 5.0
LIMITS = """
head_timeout = "2s"
head_size = "8KiB"
body_timeout = "3s"
idle_timeout = "3s"
send_timeout = "2s"
"""
SITE = """
{top}
[[site]]
route = [
  {{path = "/", proxy = "{nginx}"}},
  {{path = "/slurp", proxy = "{aiohttp}"}},
  {{path = "/endless", proxy = "{aiohttp}"}},
  {{path = "/hang", proxy = "{aiohttp}"}},
]
[limits]
{limits}
"""


def serving(started: Started, folder: Path, limits: str, top: str = "") -> Proxy:
    nginx, aiohttp = started.backend("nginx").url, started.backend("aiohttp").url
    return Proxy.configured(folder, SITE.format(top=top, nginx=nginx, aiohttp=aiohttp, limits=limits))


def logged(proxy: Proxy) -> Counter[tuple[str, int, str]]:
    """How often each first segment of a target had which status, for which reason."""
    proxy.signal(signal.SIGUSR1)
    records = [json.loads(line) for line in proxy.log.read_text("ascii").splitlines()]
    return Counter((record["target"][:6], record["status"], record["reason"]) for record in records)


def test_slow_clients_are_ended_and_others_served(started: Started, tmp_path: Path) -> None:
    with serving(started, tmp_path, LIMITS) as proxy:
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
        before = proxy.resident()
        crowd = Crowd(proxy.port)
        visitors = [Visitor(proxy.port, HELLO, keep=keep) for keep in (True, True, False)]
        siege = crowd.send(
            EACH, slow_head, endless_head, slow_body, silent_body, greedy_reader, silent, idle, half_closed
        )
        asyncio.run(besiege(crowd, visitors, siege))
        # docs/limits.rst says how each of them ends.
        assert crowd.ends == {
            ("slow_head", "408 closed"): EACH,
            ("endless_head", "431 closed"): EACH,
            ("slow_body", "408 closed"): EACH,
            ("silent_body", "408 closed"): EACH,
            ("greedy_reader", "200 cut"): EACH,
            ("silent", "closed"): EACH,
            ("idle", "200 closed"): EACH,
            ("half_closed", "closed"): EACH,
        }
        for visitor in visitors:
            assert max(seconds for seconds, _ in visitor.answers) < LONGEST
            assert max(others for _, others in visitor.answers) > 4 * EACH
        grown = proxy.resident("VmHWM") - before
        assert grown < GROWTH, f"it grew by {grown / MIB:.1f} MiB"
        wanted = {
            ("", 408, "request_timeout"): EACH,
            ("", 431, "head_too_large"): EACH,
            ("/slurp", 408, "request_timeout"): 2 * EACH,
            ("/endle", 200, "client_too_slow"): EACH,
        }
        until(lambda: wanted.items() <= logged(proxy).items(), f"{wanted} in the log, of {logged(proxy)}")
        # Nothing is left over of any of them.
        assert ask(proxy.port, "GET", "/hello.txt").body == HELLO
        assert "Traceback" not in proxy.output
        assert proxy.end() == 0


def test_a_flood_of_connections_is_turned_away(started: Started, tmp_path: Path) -> None:
    most = 100
    limits = f"connections = {most}\n"
    with serving(started, tmp_path, limits) as proxy:
        before = proxy.resident()
        crowd = Crowd(proxy.port)
        visitor = Visitor(proxy.port, HELLO, keep=True)

        async def flood() -> None:
            await until_so(lambda: bool(visitor.answers))
            async with contextlib.AsyncExitStack() as sitting:
                # Those who are in sit there and say nothing: that is what head_timeout is for.
                for _ in range(most - 1):
                    await sitting.enter_async_context(connected(proxy.port))
                for _ in range(3):
                    await crowd.send(100, silent, idle)

        asyncio.run(besiege(crowd, [visitor], flood()))
        assert crowd.ends == {("silent", "503 closed"): 300, ("idle", "503 closed"): 300}
        assert max(seconds for seconds, _ in visitor.answers) < LONGEST
        assert len(visitor.answers) > 1
        assert proxy.resident("VmHWM") - before < GROWTH
        until(lambda: ask(proxy.port, "GET", "/hello.txt").status == 200, "room again")
        assert "Traceback" not in proxy.output


def test_requests_at_once_of_one_client_behind_a_trusted_proxy(started: Started, tmp_path: Path) -> None:
    with serving(started, tmp_path, "connections_per_address = 3", 'trusted_proxies = ["127.0.0.0/8"]') as proxy:

        def ask_for(address: str) -> int:
            return ask(proxy.port, "GET", "/hello.txt", f"X-Forwarded-For: {address}").status

        waiting = [RawClient(proxy.port) for _ in range(3)]
        for client in waiting:
            client.send(request("GET", "/hang/trusted", "X-Forwarded-For: 203.0.113.7"))
        until(lambda: ask_for("203.0.113.7") == 503, "the third request to count")
        # Whatever the client says of itself, the trusted proxy wrote the last address.
        assert ask_for("198.51.100.1, 203.0.113.7") == 503
        # Others are served, over however many connections of the trusted proxy, and over one that was refused before.
        assert [ask_for(f"203.0.113.{number}") for number in range(8, 18)] == [200] * 10
        with RawClient(proxy.port) as shared:
            for address, status in (("203.0.113.7", 503), ("203.0.113.8", 200), ("203.0.113.7", 503)):
                assert shared.ask("GET", "/hello.txt", f"X-Forwarded-For: {address}").status == status
        assert ask(started.backend("aiohttp").port, "POST", "/open/trusted").status == 200
        for client in waiting:
            with client:
                assert client.read_answer().status == 200
        assert ask_for("203.0.113.7") == 200
        assert "Traceback" not in proxy.output
