"""What becomes of a request that is over: its line, its count, and a while to be asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.web.resource import IResource

from revproxy.config.model import Config, Server, Site, UpstreamOptions
from revproxy.config.model import Route as RouteOptions
from revproxy.observe.counters import Counters
from revproxy.observe.labels import NO_ROUTE, RouteLabels
from revproxy.resources.base import Route, Routes
from revproxy.resources.vhost import VirtualHosts
from revproxy.service.access_log import AccessLog
from revproxy.service.generation import Generation, Surroundings
from revproxy.service.recording import BATCH, Recorder
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep
from tests.observe.making import over
from tests.support.dialogue import OK, answering, running
from tests.support.proxy import Proxy


def test_a_batch_that_is_full_is_dealt_with_at_once() -> None:
    recorder = Recorder(1000)
    for number in range(BATCH - 1):
        recorder.record(over(number))
    assert (recorder.taken, len(recorder.ring), recorder.waiting) == (0, 0, BATCH - 1)
    recorder.record(over(BATCH))
    assert (recorder.taken, len(recorder.ring), recorder.waiting) == (BATCH, BATCH, 0)


def test_a_line_for_each_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = AccessLog(str(path), "combined")
    recorder = Recorder(10, log)
    for number in range(3):
        recorder.record(over(number))
    recorder.flush(1.0)
    log.close(1.0)
    assert [line.split("id=")[1].split()[0] for line in path.read_text().splitlines()] == ["id-0", "id-1", "id-2"]
    assert log.taken == 3


def test_the_master_is_told_what_is_new() -> None:
    told: list[tuple[str, Any]] = []
    recorder = Recorder(10)
    recorder.tell = lambda kind, value: told.append((kind, value))
    recorder.record(over())
    recorder.report(100.0)
    recorder.record(over())
    recorder.record(over())
    recorder.report(101.5)
    recorder.report(102.5)
    assert [kind for kind, _ in told] == ["counted"] * 3
    assert [value["lasted"] for _, value in told] == [1.0, 1.5, 1.0]
    total = Counters()
    numbers = []
    for _, value in told:
        total.merge(value["counters"])
        numbers.append(sum(total.routes["shop.example", "/"].requests.values()))
    assert numbers == [1, 3, 3]


def test_others_see_each_batch_once() -> None:
    seen: list[int] = []
    recorder = Recorder(0)
    recorder.on_batch.append(lambda batch: seen.append(len(batch)))
    recorder.record(over())
    recorder.flush(1.0)
    recorder.flush(2.0)
    assert seen == [1]


def two_routes(proxy: Proxy) -> IResource:
    hosts = VirtualHosts()
    routes = [Route(b"/a/", proxy.resource, labels=A), Route(b"/b", proxy.resource, frozenset({b"GET"}), labels=B)]
    hosts.addHost(b"a.example", Routes(routes, NONE))
    return hosts


A, B, NONE = (RouteLabels("a.example", path) for path in ("/a/", "/b", "-"))


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        (b"GET /a/%3Cscript%3E", A),
        (b"GET /b", B),
        (b"POST /b", NONE),
        (b"GET /c", NONE),
        (b"GET /a/../b", NONE),
        (b"GET http://b.example/a/", NO_ROUTE),
        (b"NONSENSE", NO_ROUTE),
    ],
)
def test_a_request_knows_its_site_and_route(line: bytes, labels: RouteLabels) -> None:
    with running(root=two_routes) as proxy:
        answering(proxy.origin, lambda asked: OK)
        for _ in range(2):
            proxy.client().send(line + b" HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        assert [each.labels for each in proxy.transactions] == [labels, labels]


def test_labels_are_the_configurations_names() -> None:
    config = from_toml_sites()
    generation = Generation(config, Surroundings(Clock(), Sweep(Clock()), OctetBudget(1)))
    try:
        assert sorted(attrs.astuple(route.labels) for route in generation.routes) == [
            ("a.example", "/", "http://127.0.0.1:8000", (0, 1)),
            ("a.example", "/api", "pool", (0, 0)),
            ("c.example", "/", "", (1, 0)),
        ]
    finally:
        generation.stop()


def from_toml_sites() -> Config:
    return Config(
        sites=(
            Site(
                hosts=("a.example", "b.example"),
                routes=(RouteOptions(path="/api", proxy="pool"), RouteOptions(path="/", proxy="http://127.0.0.1:8000")),
            ),
            Site(hosts=("c.example",), routes=(RouteOptions(path="/", files="/nowhere"),)),
        ),
        upstreams=(UpstreamOptions(name="pool", servers=(Server(url="http://10.0.0.1"),)),),
    )
