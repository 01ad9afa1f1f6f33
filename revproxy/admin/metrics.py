"""What a metrics collector is told: the table of all metrics, and where each figure comes from.

Labels hold names of the configuration and words of ours, never anything that a client sent (``observe/labels.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from revproxy.admin.exposition import Metric, Series
from revproxy.observe.counters import Counters

_ROUTE: Final = ("site", "route")
_SERVER: Final = ("upstream", "server")

METRICS: Final = (
    Metric(
        "revproxy_requests_total",
        "counter",
        "Requests that are over, by site, route, method and status.",
        (*_ROUTE, "method", "code"),
    ),
    Metric(
        "revproxy_request_duration_seconds",
        "histogram",
        "Time from a request's head to the last octet of its answer, without tunnels.",
        _ROUTE,
    ),
    Metric("revproxy_request_body_bytes_total", "counter", "Octets of requests' contents.", _ROUTE),
    Metric("revproxy_response_body_bytes_total", "counter", "Octets of answers' contents.", _ROUTE),
    Metric("revproxy_failures_total", "counter", "Requests that failed, by reason.", ("reason",)),
    Metric("revproxy_requests_in_flight", "gauge", "Requests that are being answered."),
    Metric("revproxy_connections", "gauge", "Connections of clients, by listener.", ("listener",)),
    Metric("revproxy_connections_refused_total", "counter", "Connections that a limit kept out."),
    Metric("revproxy_tls_handshakes_failed_total", "counter", "TLS handshakes that came to nothing."),
    Metric("revproxy_tunnels", "gauge", "Tunnels that are open, such as WebSockets."),
    Metric("revproxy_tunnels_closed_total", "counter", "Tunnels that are over."),
    Metric(
        "revproxy_cache_requests_total",
        "counter",
        "Requests that a cache was asked for, by what it did.",
        (*_ROUTE, "outcome"),
    ),
    Metric("revproxy_cache_responses", "gauge", "Responses that are stored.", ("store",)),
    Metric("revproxy_cache_bytes", "gauge", "Octets of the responses that are stored.", ("store",)),
    Metric("revproxy_upstream_requests_total", "counter", "Requests that a server was the last to get.", _SERVER),
    Metric("revproxy_upstream_retries_total", "counter", "Connections beyond the first for these requests.", _SERVER),
    Metric(
        "revproxy_upstream_failures_total",
        "counter",
        "Requests that failed for a server's fault, by reason.",
        (*_SERVER, "reason"),
    ),
    Metric(
        "revproxy_upstream_first_byte_seconds",
        "histogram",
        "Time from a request's head to the first octet of a server's answer.",
        _SERVER,
    ),
    Metric(
        "revproxy_upstream_connect_seconds",
        "histogram",
        "Time that new connections to a server took to open.",
        _SERVER,
    ),
    Metric(
        "revproxy_upstream_server_state",
        "gauge",
        "1 for the state that a server is in: up, aside (its connections failed lately), down.",
        (*_SERVER, "state"),
    ),
    Metric(
        "revproxy_upstream_connections",
        "gauge",
        "Connections to a server, in use and idle.",
        (*_SERVER, "state"),
    ),
    Metric("revproxy_upstream_queued", "gauge", "Requests that wait for a connection.", ("upstream",)),
    Metric(
        "revproxy_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate expires, in seconds since 1970.",
        ("certificate", "source"),
    ),
    Metric("revproxy_workers", "gauge", "Worker processes, by state.", ("state",)),
    Metric("revproxy_worker_restarts_total", "counter", "How often a worker was replaced.", ("worker",)),
    Metric("revproxy_worker_resident_memory_bytes", "gauge", "Memory that a worker has in use.", ("worker",)),
    Metric("revproxy_worker_cpu_seconds_total", "counter", "Processor time of a worker.", ("worker",)),
    Metric("revproxy_worker_open_descriptors", "gauge", "Descriptors that a worker has open.", ("worker",)),
    Metric("revproxy_worker_max_descriptors", "gauge", "Descriptors that it may have open.", ("worker",)),
    Metric("revproxy_ready", "gauge", "1 while new connections are welcome."),
    Metric("revproxy_reloads_total", "counter", "Reloads, by result: ok or failed.", ("result",)),
    Metric("revproxy_config_loaded_timestamp_seconds", "gauge", "When the configuration in force was put into force."),
    Metric("revproxy_config_last_reload_successful", "gauge", "0 after a reload that failed, else 1."),
    Metric("revproxy_access_log_lines_lost_total", "counter", "Lines of the access log that could not be written."),
    Metric("revproxy_spans_sent_total", "counter", "Spans that the collector of [tracing] took."),
    Metric("revproxy_spans_lost_total", "counter", "Spans that it did not take, or for which no room was left."),
    Metric("revproxy_build_info", "gauge", "1; the version is in its label.", ("version",)),
    Metric("process_start_time_seconds", "gauge", "When the process was started, in seconds since 1970."),
)
"""Every metric there is, in the order in which they are told."""

SUMS: Final = {
    "revproxy_tunnels_closed_total": "tunnels",
    "revproxy_access_log_lines_lost_total": "log_lines_lost",
    "revproxy_spans_sent_total": "spans_sent",
    "revproxy_spans_lost_total": "spans_lost",
}
"""Metrics of what is counted without being told apart: its name among ``Counters.sums``."""


def series(counters: Counters, status: dict[str, Any]) -> dict[str, list[Series]]:
    """The figures of each metric, from what was counted and from how everything is (``GET /status``)."""
    found: dict[str, list[Series]] = {metric.name: [] for metric in METRICS}
    for name, labels, value in (*_counted(counters), *_present(status)):
        found[name].append((labels, value))
    return found


_Figures = Iterator[tuple[str, tuple[str, ...], Any]]


def _counted(counters: Counters) -> _Figures:
    for route, counts in sorted(counters.routes.items()):
        for (method, code), number in sorted(counts.requests.items()):
            yield "revproxy_requests_total", (*route, method, code), number
        yield "revproxy_request_duration_seconds", route, counts.durations
        yield "revproxy_request_body_bytes_total", route, counts.received
        yield "revproxy_response_body_bytes_total", route, counts.sent
        for outcome, number in sorted(counts.cache.items()):
            yield "revproxy_cache_requests_total", (*route, outcome), number
    for server, counted in sorted(counters.servers.items()):
        yield "revproxy_upstream_requests_total", server, counted.requests
        yield "revproxy_upstream_retries_total", server, counted.retries
        for reason, number in sorted(counted.failures.items()):
            yield "revproxy_upstream_failures_total", (*server, reason), number
        yield "revproxy_upstream_first_byte_seconds", server, counted.first_bytes
        yield "revproxy_upstream_connect_seconds", server, counted.connects
    for reason, number in sorted(counters.reasons.items()):
        yield "revproxy_failures_total", (reason,), number
    for name, counted_as in SUMS.items():
        yield name, (), counters.sums.get(counted_as, 0)


def _present(status: dict[str, Any]) -> _Figures:
    totals, config = status["totals"], status["config"]
    yield "revproxy_build_info", (status["version"],), 1
    yield "process_start_time_seconds", (), status["started"]
    yield "revproxy_ready", (), int(status["ready"])
    yield "revproxy_requests_in_flight", (), totals["in_flight"]
    yield "revproxy_tunnels", (), totals["tunnels"]
    yield "revproxy_connections_refused_total", (), totals["refused"]
    yield "revproxy_tls_handshakes_failed_total", (), totals["handshakes_failed"]
    for listener in status["listeners"]:
        yield "revproxy_connections", (listener["address"],), listener["connections"]
    last = config["last_reload"]
    yield "revproxy_reloads_total", ("ok",), config["generation"] - 1
    yield "revproxy_reloads_total", ("failed",), config.get("refused", 0)
    yield "revproxy_config_loaded_timestamp_seconds", (), config["loaded"]
    yield "revproxy_config_last_reload_successful", (), int(last is None or last["ok"])
    yield from _of_workers(status["workers"])
    yield from _of_upstreams(status["upstreams"])
    for names, source, expiry in _certificates(status["certificates"]):
        yield "revproxy_certificate_expiry_timestamp_seconds", (names, source), expiry
    cache = status["cache"]
    if cache is not None:
        yield "revproxy_cache_responses", (cache["store"],), cache["entries"]
        yield "revproxy_cache_bytes", (cache["store"],), cache["octets"]


def _of_workers(workers: Iterable[dict[str, Any]]) -> _Figures:
    states: dict[str, int] = {}
    for worker in workers:
        number = (str(worker["number"]),)
        states[worker["state"]] = states.get(worker["state"], 0) + 1
        yield "revproxy_worker_restarts_total", number, worker["restarts"]
        yield "revproxy_worker_resident_memory_bytes", number, worker["memory"]
        yield "revproxy_worker_cpu_seconds_total", number, worker["cpu"]
        # What the system does not tell, or what has no end, is no figure.
        if worker["descriptors"]:
            yield "revproxy_worker_open_descriptors", number, worker["descriptors"]
        if worker["most_descriptors"]:
            yield "revproxy_worker_max_descriptors", number, worker["most_descriptors"]
    for state, count in sorted(states.items()):
        yield "revproxy_workers", (state,), count


def _of_upstreams(upstreams: Iterable[dict[str, Any]]) -> _Figures:
    for upstream in upstreams:
        name = upstream["name"]
        yield "revproxy_upstream_queued", (name,), upstream["queued"]
        for server in upstream["servers"]:
            labels = name, server["name"]
            for state in ("up", "aside", "down"):
                yield "revproxy_upstream_server_state", (*labels, state), int(server["state"] == state)
            yield "revproxy_upstream_connections", (*labels, "used"), server["open"] - server["idle"]
            yield "revproxy_upstream_connections", (*labels, "idle"), server["idle"]


def _certificates(certificates: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """Of several of the same names and source the one that expires first: there must be one figure to a set of
    labels."""
    found: dict[tuple[str, str], float] = {}
    for each in certificates:
        key = " ".join(each["names"]), each["source"]
        found[key] = min(found.get(key, each["not_after"]), each["not_after"])
    for (names, source), expiry in sorted(found.items()):
        yield names, source, expiry
