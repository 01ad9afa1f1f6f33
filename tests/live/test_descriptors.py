"""A process that has run out of descriptors: clients wait, nothing spins, nobody is lost, and it comes back by itself."""

from __future__ import annotations

import os
import resource
import select
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.support_backends import HELLO
from tests.live.support_client import RawClient, ask, request
from tests.live.support_process import until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Started

if not hasattr(resource, "prlimit"):
    pytest.skip("only Linux can lower another process's limits", allow_module_level=True)

FEW = 64
"""Descriptors that the proxy may have; it needs some twenty for itself."""
MANY = 120
"""Clients that come at once."""


@contextmanager
def few_descriptors(folder: Path, text: str) -> Iterator[Proxy]:
    """A proxy that may have few descriptors."""
    with Proxy.configured(folder, text) as proxy:
        _, hard = resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE)
        # Lowered, not set at its start: what it has opened by then is what it needs.
        resource.prlimit(proxy.process.pid, resource.RLIMIT_NOFILE, (FEW, hard))
        yield proxy


def processor_time(proxy: Proxy) -> float:
    """Seconds that the process has computed (proc(5): utime and stime are the 14th and 15th field of stat)."""
    fields = Path(f"/proc/{proxy.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(proxy: Proxy) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def configured(url: str, limits: str = "") -> str:
    return f'[[site]]\nroute = [{{proxy = "{url}"}}]\n[limits]\n{limits}\n'


def answered(clients: list[RawClient]) -> list[RawClient]:
    """Those for whom something has come."""
    ready, _, _ = select.select([client.socket for client in clients], [], [], 0)
    return [client for client in clients if client.socket in ready]


def assert_idle(proxy: Proxy) -> None:
    """It does not look again and again for what is not there."""
    before, began = processor_time(proxy), time.monotonic()
    time.sleep(1.2)
    # At rest it computes for a hundredth of the time; a busy loop takes all that the machine gives it.
    assert processor_time(proxy) - before < (time.monotonic() - began) / 10


def test_more_clients_than_descriptors(started: Started, tmp_path: Path) -> None:
    with few_descriptors(tmp_path, configured(started.backend("nginx").url)) as proxy, ExitStack() as stack:
        assert ask(proxy.port, "GET", "/hello.txt").body == HELLO
        at_rest = descriptors(proxy)
        clients = [stack.enter_context(RawClient(proxy.port)) for _ in range(MANY)]
        proxy.wait_for("can't accept on .*Too many open files")
        until(lambda: descriptors(proxy) >= FEW, "the last descriptor to be taken")
        assert_idle(proxy)
        assert proxy.is_running
        assert proxy.output.count("can't accept") == 1
        # Those who leave make room for those who wait: the kernel kept their connections, and what they sent.
        clients[-1].send(request("GET", "/hello.txt"))
        for client in clients[:-1]:
            client.close()
        assert clients[-1].read_answer().body == HELLO
        assert ask(proxy.port, "GET", "/hello.txt").body == HELLO
        until(lambda: descriptors(proxy) <= at_rest + 1, "the others' descriptors to be closed")
        assert "Traceback" not in proxy.output
        assert proxy.end() == 0


def test_clients_without_descriptors_for_their_requests(started: Started, tmp_path: Path) -> None:
    """All descriptors are clients', none is left for a connection to the server."""
    with few_descriptors(tmp_path, configured(started.backend("nginx").url)) as proxy, ExitStack() as stack:
        clients = [stack.enter_context(RawClient(proxy.port)) for _ in range(MANY)]
        proxy.wait_for("can't accept on .*Too many open files")
        until(lambda: descriptors(proxy) >= FEW, "the last descriptor to be taken")
        for client in clients:
            client.send(request("GET", "/hello.txt"))
        until(lambda: answered(clients), "an answer for somebody")
        first = answered(clients)[0].read_answer()
        assert first.complete
        record = proxy.record_with("id", first.get("X-Request-ID"))
        assert (first.status, record["reason"]) == (503, "overloaded")
        assert "Too many open files" in record["detail"]
        assert_idle(proxy)
        for client in clients:
            client.close()
        until(lambda: descriptors(proxy) < FEW // 2, "the descriptors to be closed")
        # The server was there all the time, and is not blamed.
        assert "can't be reached" not in proxy.output
        answer = ask(proxy.port, "GET", "/hello.txt")
        assert (answer.status, answer.body) == (200, HELLO)
        assert proxy.is_running
        assert "Traceback" not in proxy.output


def test_a_limit_below_the_descriptors_answers_instead(started: Started, tmp_path: Path) -> None:
    """What the documentation advises: fewer connections than descriptors, and nobody waits in vain."""
    text = configured(started.backend("nginx").url, "connections = 15")
    with few_descriptors(tmp_path, text) as proxy, ExitStack() as stack:
        assert ask(proxy.port, "GET", "/hello.txt").status == 200
        sitting = [stack.enter_context(RawClient(proxy.port)) for _ in range(15)]
        for client in sitting:
            assert client.ask("GET", "/hello.txt").body == HELLO
        for _ in range(MANY):
            with RawClient(proxy.port) as late:
                assert late.read_answer().status == 503
        for client in sitting:
            assert client.ask("GET", "/hello.txt").body == HELLO
        assert "can't accept" not in proxy.output
