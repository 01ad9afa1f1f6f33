"""Several servers, dead servers, servers that come back, and connections that die while they are kept."""

from __future__ import annotations

import asyncio
import select
import threading
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp

from tests.live.support_backends import Nginx, aiohttp_app
from tests.live.support_client import RawClient, ask, request
from tests.live.support_process import PATIENCE, free_port, until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Front
    from tests.live.support_scripted import Accepted, Scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def load(url: str, until_set: asyncio.Event, results: Counter[int | str]) -> None:
    """Keeps asking until told to stop."""
    async with aiohttp.ClientSession() as session:
        while not until_set.is_set():
            try:
                async with session.get(url) as answer:
                    await answer.read()
                    results[answer.status] += 1
            except aiohttp.ClientError as error:
                results[repr(error)] += 1


def test_one_of_two_dies_under_load(front_to: Callable[..., Front], tmp_path: Path) -> None:
    with aiohttp_app(tmp_path / "a") as one, aiohttp_app(tmp_path / "b") as two:
        front = front_to(one.url, two.url)
        results: Counter[int | str] = Counter()

        async def run() -> None:
            stop = asyncio.Event()
            clients = [asyncio.create_task(load(f"{front.url}/hello.txt", stop, results)) for _ in range(8)]
            await asyncio.to_thread(until, lambda: results[200] > 100, "load")
            one.process.kill()
            before = results[200]
            await asyncio.to_thread(until, lambda: results[200] > before + 300, "load on the other")
            stop.set()
            await asyncio.gather(*clients)

        asyncio.run(run())
        assert set(results) == {200}, results
        if isinstance(front, Proxy):
            front.wait_for("set aside")
            assert front.output.count("set aside") < 5


def test_both_are_used(front_to: Callable[..., Front], started: Started) -> None:
    one, two = started.backend("aiohttp"), started.backend("nginx")
    front = front_to(one.url, two.url)
    with RawClient(front.port) as client:
        kinds = Counter(client.ask("GET", "/hello.txt").get("ETag") != "" for _ in range(10))
    assert kinds == {True: 5, False: 5}


def test_both_are_dead(proxy_to: Callable[..., Proxy]) -> None:
    ports = free_port(), free_port()
    proxy = proxy_to(*(f"http://127.0.0.1:{port}" for port in ports))
    answer = ask(proxy.port, "GET", "/")
    assert answer.status == 502
    request_id = answer.get("X-Request-ID")
    assert request_id.encode() in answer.body
    record = proxy.records(1)[0]
    assert (record["id"], record["reason"], record["status"]) == (request_id, "connect_failed", 502)
    assert "refused" in record["detail"].lower()


def test_a_backend_that_is_started_again(proxy_to: Callable[..., Proxy], tmp_path: Path) -> None:
    with aiohttp_app(tmp_path / "a") as backend:
        proxy = proxy_to(backend.url)
        with RawClient(proxy.port) as client:
            assert client.ask("GET", "/hello.txt").status == 200
            backend.kill()
            assert client.ask("GET", "/hello.txt").status == 502
            with aiohttp_app(tmp_path / "b", backend.port):
                # The only server is asked again at once, however often it failed.
                assert client.ask("GET", "/hello.txt").status == 200


def test_a_kept_connection_that_closes_costs_no_get(stage: Scripted, stage_front: Front) -> None:
    def script(accepted: Accepted) -> None:
        # One answer that promises more, and then the connection is closed as soon as the next request is there.
        accepted.read_head()
        accepted.send(OK)
        if accepted.number % 2:
            accepted.read_head()

    with stage.play(script), RawClient(stage_front.port) as client:
        assert [client.ask("GET", "/").status for _ in range(50)] == [200] * 50


def test_a_backend_with_a_short_keep_alive(front_to: Callable[..., Front], tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    with Nginx(tmp_path / "n", "keepalive_timeout 1s; keepalive_requests 7;") as backend:
        front = front_to(backend.url)
        statuses: Counter[int] = Counter()

        def ask_often() -> None:
            with RawClient(front.port) as client:
                for _ in range(200):
                    statuses[client.ask("GET", "/hello.txt").status] += 1

        threads = [threading.Thread(target=ask_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == {200: 800}


def test_a_post_is_not_sent_twice(stage: Scripted, stage_front: Front) -> None:
    heads: list[bytes] = []

    def script(accepted: Accepted) -> None:
        while head := accepted.read_head():
            heads.append(head)
            if head.startswith(b"POST"):
                accepted.read_exactly(1)
                return
            accepted.send(OK)

    with stage.play(script), RawClient(stage_front.port) as client:
        assert client.ask("GET", "/").status == 200
        assert client.ask("POST", "/", body=b"x").status == 502
    assert len(heads) == 2


def test_a_put_is_sent_again_with_its_body(stage: Scripted, stage_front: Front) -> None:
    bodies: list[bytes] = []

    def script(accepted: Accepted) -> None:
        while head := accepted.read_head():
            if head.startswith(b"PUT"):
                bodies.append(accepted.read_exactly(1000))
                if accepted.number == 1:
                    return
            accepted.send(OK)

    with stage.play(script), RawClient(stage_front.port) as client:
        assert client.ask("GET", "/").status == 200
        assert client.ask("PUT", "/", body=b"x" * 1000).status == 200
    assert bodies == [b"x" * 1000] * 2


def test_connections_are_kept_and_used_again(stage: Scripted, stage_front: Front) -> None:
    def script(accepted: Accepted) -> None:
        while accepted.read_head():
            accepted.send(OK)

    with stage.play(script) as backend:
        with RawClient(stage_front.port) as client:
            for _ in range(20):
                assert client.ask("GET", "/").status == 200
        assert len(backend.accepted) == 1


def test_requests_wait_for_a_connection(stage: Scripted, tmp_path: Path) -> None:
    busy: list[bytes] = []
    go_on = threading.Event()

    def script(accepted: Accepted) -> None:
        while head := accepted.read_head():
            busy.append(head)
            go_on.wait(20)
            accepted.send(OK)

    text = (
        f'[[site]]\nroute = [{{proxy = "a"}}]\n[upstream.a]\nservers = ["{stage.url}"]\n'
        'connections_per_server = 1\nqueue = 1\nqueue_timeout = "10s"\n'
    )
    with Proxy.configured(tmp_path, text) as proxy, stage.play(script) as backend:
        with RawClient(proxy.port) as one, RawClient(proxy.port) as two, RawClient(proxy.port) as three:
            one.send(request("GET", "/"))
            until(lambda: busy, "the first to arrive")
            two.send(request("GET", "/"))
            three.send(request("GET", "/"))
            # One of them waits, and for the other there is no room.
            readable, _, _ = select.select([two.socket, three.socket], [], [], PATIENCE)
            refused, waiting = (two, three) if readable == [two.socket] else (three, two)
            assert refused.read_answer().status == 503
            go_on.set()
            assert one.read_answer().status == 200
            assert waiting.read_answer().status == 200
        assert len(backend.accepted) == 1
        assert proxy.record_with("reason", "queue_full")["status"] == 503
