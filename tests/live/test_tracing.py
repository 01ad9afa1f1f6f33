"""Traces through real processes: what the server behind is told, what a collector is sent, what a dead one costs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.live.support_client import RawClient, ask
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from tests.live.conftest import Started

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"


class Collector(ThreadingHTTPServer):
    """Takes spans."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.status = 200
        self.spans: list[Any] = []
        self.pids: set[int] = set()
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        octets = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if server.status == 200:
            assert self.headers["Content-Type"] == "application/x-protobuf"
            for resource in ExportTraceServiceRequest.FromString(octets).resource_spans:
                attributes = {each.key: each.value for each in resource.resource.attributes}
                server.pids.add(attributes["process.pid"].int_value)
                for scope in resource.scope_spans:
                    server.spans += scope.spans
        else:
            server.refused += 1
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


@contextmanager
def proxying(folder: Path, server: str, tracing: str, workers: int = 2) -> Iterator[Proxy]:
    with Proxy.configured(
        folder,
        f"""
        workers = {workers}
        trusted_proxies = ["127.0.0.1"]
        [tracing]
        {tracing}
        [[site]]
        hosts = ["*"]
        [[site.route]]
        path = "/"
        proxy = "{server}"
        [[site.route]]
        path = "/kept/"
        proxy = "{server}"
        strip = true
        cache = {{ ttl = "60s" }}
        """,
    ) as proxy:
        until(lambda: proxy.order("GET", "/readyz")[0] == 200, "all to serve")
        yield proxy
        if proxy.is_running:
            proxy.end()


def counted(proxy: Proxy, name: str) -> int:
    for line in proxy.fetch("/metrics").decode().splitlines():
        if line.startswith(f"revproxy_spans_{name}_total "):
            return int(float(line.split()[1]))
    return 0


def test_spans_of_two_workers_reach_the_collector(started: Started, tmp_path: Path) -> None:
    backend = started.backend("aiohttp")
    with (
        collecting() as collector,
        proxying(tmp_path, backend.url, f'sample_one_in = 1\nendpoint = "{collector.url}"\nservice = "front"') as proxy,
    ):
        workers = set(proxy.workers())
        seen = ask(proxy.port, "GET", "/seen", PARENT, "tracestate: a=b")
        assert seen.status == 200
        # The server is told of the same trace, and of another step in it.
        assert TRACE.encode() in seen.body
        assert b"00f067aa0ba902b7" not in seen.body
        assert b"a=b" in seen.body
        until(lambda: collector.pids, "the first span")
        requests = 1
        while collector.pids != workers:
            clients = [RawClient(proxy.port) for _ in range(4)]
            for client in clients:
                assert client.ask("GET", "/kept/hello.txt").status == 200
                assert client.ask("GET", "/kept/hello.txt").status == 200
                client.close()
            requests += 8
            until(lambda wanted=requests: len(own(collector)) >= wanted, "all spans")  # type: ignore[misc]
        assert len(own(collector)) == requests
        first = [span for span in collector.spans if span.trace_id.hex() == TRACE]
        server, client_span = sorted(first, key=lambda span: span.kind)
        assert server.parent_span_id.hex() == "00f067aa0ba902b7"
        assert client_span.parent_span_id == server.span_id
        assert client_span.span_id.hex().encode() in seen.body
        assert server.name == "GET /"
        # Of what came from the cache no server was asked.
        kept = [span for span in own(collector) if span.name == "GET /kept/"]
        asked = [span for span in collector.spans if span.kind == 3 and span.name == "GET"]
        assert len(kept) == requests - 1
        assert 1 <= len(asked) - 1 <= 3
        assert len({span.trace_id for span in collector.spans}) == requests
        assert all(span.end_time_unix_nano >= span.start_time_unix_nano > 1_700_000_000 * 10**9 for span in first)
        until(lambda: counted(proxy, "sent") == len(collector.spans), "the count of spans")
        assert counted(proxy, "lost") == 0


def own(collector: Collector) -> list[Any]:
    """One for each request."""
    return [span for span in collector.spans if span.kind == 2]


def test_a_collector_that_is_gone_costs_no_request(started: Started, tmp_path: Path) -> None:
    endpoint = f'endpoint = "http://127.0.0.1:{free_port()}/v1/traces"\nsample_one_in = 1'
    with proxying(tmp_path, started.backend("aiohttp").url, endpoint, workers=1) as proxy:
        for _ in range(20):
            assert ask(proxy.port, "GET", "/hello.txt").status == 200
        until(lambda: "spans can't be sent" in proxy.output, "a word about it")
        for _ in range(20):
            assert ask(proxy.port, "GET", "/hello.txt").status == 200
        assert proxy.end() == 0
        assert proxy.output.count("spans can't be sent") == 1
        assert "Traceback" not in proxy.output


def test_what_waits_is_sent_at_the_end_and_another_collector_takes_over_with_a_reload(
    started: Started, tmp_path: Path
) -> None:
    with collecting() as first, collecting() as second:
        first.status = 503
        tracing = f'sample_one_in = 1\nendpoint = "{first.url}"'
        with proxying(tmp_path, started.backend("aiohttp").url, tracing, workers=1) as proxy:
            assert ask(proxy.port, "GET", "/hello.txt").status == 200
            until(lambda: first.refused, "the first try")
            file = tmp_path / "revproxy.toml"
            file.write_text(file.read_text().replace(first.url, second.url))
            assert proxy.order("POST", "/reload", {})[0] == 200
            assert ask(proxy.port, "GET", "/hello.txt").status == 200
            # At once: nobody waits for the next second.
            assert proxy.end() == 0
        assert len(second.spans) == 2
        assert len(first.spans) == 0


def test_unsampled_nothing_is_sent(started: Started, tmp_path: Path) -> None:
    with collecting() as collector:
        tracing = f'sample_one_in = 0\nendpoint = "{collector.url}"'
        with proxying(tmp_path, started.backend("aiohttp").url, tracing, workers=1) as proxy:
            seen = ask(proxy.port, "GET", "/seen")
            assert b"traceparent" in seen.body.lower()
            # Whom the operator trusts may have it recorded all the same.
            assert ask(proxy.port, "GET", "/hello.txt", PARENT).status == 200
            proxy.end()
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
