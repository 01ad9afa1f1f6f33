"""Several processes behind one address: their lives and deaths, a new process in their place, and the end."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import RawClient, ask
from tests.live.support_load import Load
from tests.live.support_process import PATIENCE, free_port, until
from tests.live.support_proxy import Proxy
from tests.live.support_scripted import Accepted, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.live.conftest import Started

if TYPE_CHECKING:
    Start = Callable[..., Proxy]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts proxies with a number of workers."""
    proxies: list[Proxy] = []

    def start_proxy(server: str, workers: int = 2, rest: str = "", top: str = "") -> Proxy:
        text = f"""
            workers = {workers}
            {top}
            [limits]
            drain_timeout = "3s"
            {rest}
            [[site]]
            hosts = ["*"]
            [[site.route]]
            path = "/"
            proxy = "{server}"
        """
        proxies.append(Proxy.configured(tmp_path, text))
        if workers > 1:
            until(lambda: proxies[-1].order("GET", "/readyz")[0] == 200, "all workers to serve")
        return proxies[-1]

    yield start_proxy
    for proxy in proxies:
        for pid in _children(proxy.process.pid):
            _kill(pid)
        proxy.__exit__(None, None, None)


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_killed_worker_is_replaced_and_the_log_says_what_it_carried(started: Started, start: Start) -> None:
    with Scripted(Accepted.await_end) as backend:
        proxy = start(backend.url)
        clients = [RawClient(proxy.port) for _ in range(6)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: len(backend.accepted) == 6, "all requests to arrive")
        until(lambda: proxy.status()["totals"]["in_flight"] == 6, "the figures to say so")
        victim, other = proxy.workers()
        carried = {worker["pid"]: worker for worker in proxy.status()["workers"]}[victim]
        time.sleep(1.1)  # Its figures are on the board once a second.
        _kill(victim)
        proxy.wait_for(
            rf"worker 0 \(process {victim}\) was killed by signal 9; it was carrying about {carried['connections']} "
            rf"connections, {carried['in_flight']} of them with a request"
        )
        until(lambda: len(proxy.workers()) == 2 and victim not in proxy.workers(), "another worker")
        assert other in proxy.workers()
        ended = sum(client.is_ended() for client in clients if _has_end(client))
        assert ended == carried["connections"]
        for client in clients:
            client.close()
    assert proxy.status()["workers"][0]["restarts"] == 1


def _has_end(client: RawClient) -> bool:
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        client.socket.settimeout(PATIENCE)


def test_workers_killed_again_and_again(started: Started, start: Start) -> None:
    """The service is up at once, and the master's descriptors and memory stay what they were."""
    proxy = start(started.backend("nginx").url)
    folder = f"/proc/{proxy.process.pid}/fd"

    def turn() -> None:
        victims = proxy.workers()
        for victim in victims:
            _kill(victim)
        assert ask(proxy.port, "GET", "/hello.txt").status == 200

        def is_whole() -> bool:
            pids = proxy.workers()
            return len(pids) == 2 and not set(pids) & set(victims)

        until(is_whole, "both to be replaced")

    turn()
    descriptors, memory = len(os.listdir(folder)), proxy.resident()
    for _ in range(4):
        turn()
    until(lambda: len(os.listdir(folder)) <= descriptors, "the master's descriptors")
    assert proxy.resident() < memory + 4 * 2**20


def test_only_what_the_killed_one_carried_is_lost(started: Started, start: Start) -> None:
    proxy = start(started.backend("nginx").url)
    with Load(proxy.port) as load:
        load.go_on()
        _kill(proxy.workers()[0])
        load.go_on(200)
    # Four threads have at most four connections, of which the dead one had some; accepted ones count as well.
    assert len(load.failures) <= 4, load.failures
    assert set(load.statuses) == {200}


def test_workers_end_in_order_when_the_master_is_gone(started: Started, start: Start) -> None:
    with Scripted(Accepted.await_end) as backend:
        proxy = start(backend.url)
        with RawClient(proxy.port) as idle, RawClient(proxy.port) as busy:
            busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: backend.accepted, "the request")
            workers = proxy.workers()
            proxy.kill()
            until(lambda: "the master is gone" in proxy.output, "the workers to notice")
            backend.accepted[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")
            assert busy.read_answer().body == b"last"
            assert idle.is_ended()
        until(lambda: not any(map(_lives, workers)), "the workers to end")


def test_the_end_lets_requests_in_all_workers_end(start: Start) -> None:
    with Scripted(Accepted.await_end) as backend:
        proxy = start(backend.url)
        clients = [RawClient(proxy.port) for _ in range(4)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: len(backend.accepted) == 4, "the requests")
        workers = proxy.workers()
        proxy.signal(signal.SIGTERM)
        proxy.wait_for("stopping: nothing is accepted any more")
        until(lambda: _refused(proxy.port), "the listener to close")
        for accepted in backend.accepted[:3]:
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")
        bodies = []
        for client in clients:
            try:
                bodies.append(client.read_answer().body)
            except (AssertionError, OSError, EOFError):
                bodies.append(b"")
        # The fourth is cut when the time is over, and counted.
        assert sorted(bodies) == [b"", b"last", b"last", b"last"]
        assert proxy.wait() == 0
        assert "1 request was cut" in proxy.output
        assert not any(map(_lives, workers))
        for client in clients:
            client.close()
    assert "Traceback" not in proxy.output


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_readiness_goes_before_the_listener(started: Started, start: Start) -> None:
    proxy = start(started.backend("nginx").url, top='drain_delay = "1s"')
    assert proxy.order("GET", "/readyz")[0] == 200
    proxy.signal(signal.SIGTERM)
    until(lambda: proxy.order("GET", "/readyz")[0] == 503, "readiness to go")
    # Who balances has not heard of it yet.
    assert ask(proxy.port, "GET", "/hello.txt").status == 200
    assert proxy.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_another_process_takes_over_under_load(started: Started, start: Start, workers: int) -> None:
    proxy = start(started.backend("nginx").url, workers)
    first = proxy.process.pid
    pids = [first]
    with Load(proxy.port) as load:
        for _ in range(3):
            load.go_on()
            code, told = proxy.order("POST", "/upgrade", {}, pid=pids[-1])
            assert code == 200, told
            pids.append(int(told["pid"]))
            load.go_on()
    try:
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert proxy.wait() == 0
        until(lambda: not any(map(_lives, pids[:-1])), "those before to end")
        assert proxy.status(pid=pids[-1])["state"] == "serving"
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
    finally:
        os.kill(pids[-1], signal.SIGTERM)
        until(lambda: not _lives(pids[-1]), "the last one to end")


def test_a_process_that_can_not_begin_takes_nothing_over(started: Started, start: Start, tmp_path: Path) -> None:
    proxy = start(started.backend("nginx").url)
    (tmp_path / "revproxy.toml").write_text("workers = 2\nnonsense = 1\n")
    code, told = proxy.order("POST", "/upgrade", {})
    assert code == 409
    assert "nonsense" in told["error"]
    assert ask(proxy.port, "GET", "/hello.txt").status == 200
    assert proxy.status()["state"] == "serving"


def test_the_number_of_workers_changes_under_load(started: Started, start: Start, tmp_path: Path) -> None:
    proxy = start(started.backend("nginx").url)
    file = tmp_path / "revproxy.toml"
    with Load(proxy.port) as load:
        for workers in (4, 1 + 1, 3):
            file.write_text(file.read_text().replace(f"workers = {len(proxy.workers())}", f"workers = {workers}"))
            code, told = proxy.order("POST", "/reload", {})
            assert code == 200, told
            until(lambda wanted=workers: len(proxy.workers()) == wanted, f"{workers} workers")  # type: ignore[misc]
            load.go_on()
    assert load.failures == []
    assert set(load.statuses) == {200}


def test_a_server_that_one_finds_gone_is_set_aside_by_all(started: Started, start: Start) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    proxy = start("both", rest=f'[upstream.both]\nservers = ["{gone}", "{started.backend("nginx").url}"]')

    def conditions() -> list[str]:
        """Of the server that is gone, in each worker."""
        found = []
        for worker in proxy.workers():
            state = proxy.status()["upstreams"][0]["servers"]
            found += [server["state"] for server in state if server["name"] in gone]
            assert worker
        return found

    while "is set aside" not in proxy.output:
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
    assert conditions() == ["aside", "aside"]
    for _ in range(20):
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
    # Had each found out by itself, each would have said so.
    assert proxy.output.count("is set aside") == 1
