"""What a collector reads: valid in both formats, complete in the documentation, and safe with any name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
from prometheus_client.parser import text_string_to_metric_families as read_plain

from revproxy.admin.exposition import OPEN, PLAIN, Metric, exposition, is_open_wanted
from revproxy.admin.metrics import METRICS, series
from revproxy.admin.root import admin_root
from revproxy.observe.counters import Counters
from revproxy.observe.labels import RouteLabels
from tests.admin.asking import STATUS, Asking, ScriptedOperator
from tests.observe.making import over

DOCS = Path(__file__).parents[2] / "docs" / "metrics.rst"

FULL: dict[str, Any] = {
    **STATUS,
    "config": {
        "file": "/etc/revproxy.toml", "generation": 4, "loaded": 1.7e9, "previous": 3, "refused": 2,
        "last_reload": {"at": 1.7e9, "ok": False, "text": "nothing was reloaded"},
    },
    "workers": [
        {"number": number, "pid": 9, "state": "serving", "started": 1.0, "restarts": number, "connections": 2,
         "in_flight": 1, "requests": 5, "memory": 1 << 20, "cpu": 1.25, "beat_age": 0.1,
         "descriptors": 40, "most_descriptors": 1024}
        for number in range(2)
    ],
    "listeners": [{"address": ":80", "tls": False, "connections": 3}],
    "upstreams": [
        {"name": "shop", "queued": 2, "servers": [
            {"name": "10.0.0.5:80", "state": "aside", "weight": 1, "open": 5, "idle": 2, "failures": 1, "aside_for": 3.0}
        ]}
    ],
    "certificates": [
        {"names": ["a.example", "b.example"], "source": "a.pem", "not_after": expiry, "days_left": 9.0}
        for expiry in (1.8e9, 1.9e9)
    ],
    "cache": {"store": "memory", "entries": 7, "octets": 4096, "shared": False},
    "totals": {"connections": 3, "in_flight": 1, "tunnels": 1, "requests": 10, "handshakes_failed": 4, "refused": 5},
}  # fmt: skip


def everything() -> Counters:
    """Counters in which every kind of thing has happened."""
    counters = Counters()
    counters.count(
        [
            over(cache_status=b"revproxy; hit; ttl=2"),
            over(status=502, reason="connect_failed", tries=2, connect_time=0.1),
            over(status=101),
        ]
    )
    counters.add("log_lines_lost", 3)
    return counters


def read(text: bytes, *, is_open: bool = False) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Figures by the name of their sample and its labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in (read_open if is_open else read_plain)(text.decode("utf-8")):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in found.setdefault(sample.name, {}), f"{sample.name}{labels} twice"
            found[sample.name][labels] = sample.value
    return found


@pytest.mark.parametrize("is_open", [False, True])
def test_collectors_can_read_it(is_open: bool) -> None:
    found = read(exposition(METRICS, series(everything(), FULL), is_open=is_open), is_open=is_open)
    for metric in METRICS:
        assert metric.name in found or f"{metric.name}_count" in found, metric.name
    shop = (("route", "/"), ("site", "shop.example"))
    requests = found["revproxy_requests_total"]
    assert sum(requests.values()) == 3
    assert requests[tuple(sorted((*shop, ("code", "502"), ("method", "GET"))))] == 1
    assert found["revproxy_request_duration_seconds_count"][shop] == 2
    assert found["revproxy_request_duration_seconds_sum"][shop] == pytest.approx(0.024)
    buckets = found["revproxy_request_duration_seconds_bucket"]
    assert buckets[tuple(sorted((*shop, ("le", "+Inf"))))] == 2
    assert found["revproxy_reloads_total"] == {(("result", "ok"),): 3, (("result", "failed"),): 2}
    assert found["revproxy_config_last_reload_successful"] == {(): 0}
    (expiry,) = found["revproxy_certificate_expiry_timestamp_seconds"].values()
    assert expiry == 1.8e9
    states = found["revproxy_upstream_server_state"]
    assert {dict(labels)["state"]: value for labels, value in states.items()} == {"up": 0, "aside": 1, "down": 0}
    assert found["revproxy_access_log_lines_lost_total"] == {(): 3}


@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_has_happened_yet(is_open: bool) -> None:
    found = read(exposition(METRICS, series(Counters(), STATUS), is_open=is_open), is_open=is_open)
    assert found["revproxy_build_info"] == {(("version", "1"),): 1}
    assert found["revproxy_tunnels_closed_total"] == {(): 0}
    assert "revproxy_requests_total" not in found


@pytest.mark.parametrize("name", ['a"b', "a\\", "a\nb", "a\\n", "ünïcode", "", "\udc80", "}", 'x",evil="1'])
@pytest.mark.parametrize("is_open", [False, True])
def test_any_name_of_the_configurations(name: str, is_open: bool) -> None:
    counters = Counters()
    counters.count([over(labels=RouteLabels(name, name, name))])
    found = read(exposition(METRICS, series(counters, STATUS), is_open=is_open), is_open=is_open)
    (labels,) = found["revproxy_request_body_bytes_total"]
    shown = name.encode("utf-8", "replace").decode("utf-8")
    assert dict(labels) == {"site": shown, "route": shown}


def test_the_documentation_tells_of_every_metric() -> None:
    """Its name, its kind and its labels, and of none that is not there."""
    rows = re.findall(r"^   \* - ``(\w+)``\n     - (\w+)\n     - (.*)\n     - (.*)$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert rows == [
        (metric.name, metric.kind, ", ".join(metric.labels) or "none", metric.help) for metric in METRICS
    ]


def test_names_are_as_collectors_want_them() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"", False),
        (b"*/*", False),
        (b"text/plain", False),
        (b"application/openmetrics-text", True),
        (b"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
         b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        (b"application/openmetrics-text;q=0.1, text/plain", False),
        (b"application/openmetrics-text;q=0", False),
        (b"application/openmetrics-text;q=\xff", False),
    ],
)  # fmt: skip
def test_which_format(accept: bytes, wanted: bool) -> None:
    assert is_open_wanted(accept) is wanted


def test_over_http() -> None:
    operator = ScriptedOperator()
    operator.counters = everything()
    operator.status_value = FULL
    asking = Asking(admin_root(operator))
    plain = asking.get("/metrics")
    assert (plain.status, plain.fields[b"content-type"]) == (200, PLAIN)
    assert read(plain.body)["revproxy_requests_in_flight"] == {(): 1}
    opened = asking.get("/metrics", Accept="application/openmetrics-text")
    assert opened.fields[b"content-type"] == OPEN
    assert opened.body.endswith(b"# EOF\n")
    assert read(opened.body, is_open=True) == read(plain.body)
    assert asking.ask("HEAD", "/metrics").body == b""
    assert asking.post("/metrics").status == 405
    assert asking.get("/metrics/x").status == 404


def test_a_metric_without_labels() -> None:
    text = exposition([Metric("a_total", "counter", "A\nhelp\\")], {"a_total": [((), 1.5)]}, is_open=False)
    assert text == b"# HELP a_total A\\nhelp\\\\\n# TYPE a_total counter\na_total 1.5\n"
