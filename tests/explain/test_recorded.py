"""Requests that happened: every failure names its rule and the setting that bounds it."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from revproxy.config.load import examine_source
from revproxy.config.model import Config
from revproxy.errors import ProxyError
from revproxy.explain.failures import known_reasons, rule_of
from revproxy.explain.recorded import explain_recorded
from revproxy.explain.steps import Places
from revproxy.explain.walk import Running
from revproxy.observe.labels import RouteLabels
from revproxy.observe.transaction import Transaction
from revproxy.service.generation import Generation, Surroundings
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep

CONFIG = """\
[limits]
head_timeout = "9s"
head_size = 3000
head_count = 50
target_length = 3000
body_size = "1MiB"
body_rate = 10
body_timeout = "8s"
send_timeout = "7s"
half_close_grace = "6s"
connections_per_address = 5
buffered_octets = "1MiB"
response_head_size = 4000
response_head_count = 40
drain_timeout = "4s"
[[site]]
hosts = ["a.example"]
[[site.route]]
path = "/"
proxy = "app"
upgrade = ["websocket"]
cache = true
[upstream.app]
servers = ["http://10.0.0.5:8000"]
connect_timeout = "1s"
answer_timeout = "2s"
idle_timeout = "3s"
tunnel_timeout = "4s"
queue = 5
queue_timeout = "6s"
"""


def line(key: str) -> str:
    """Where a key is written; the last of its name, since upstreams stand last."""
    numbers = [number for number, text in enumerate(CONFIG.splitlines(), 1) if text.startswith(f"{key} = ")]
    return f"a.toml:{numbers[-1]}"


def limit(key: str) -> str:
    numbers = [number for number, text in enumerate(CONFIG.splitlines(), 1) if text.startswith(f"{key} = ")]
    return f"a.toml:{numbers[0]}"


@pytest.fixture(scope="module")
def config() -> Config:
    from pathlib import Path

    examined = examine_source(Path("a.toml"), CONFIG.encode())
    assert examined.config is not None, examined.mistakes
    return examined.config


@pytest.fixture
def running(config: Config) -> Running:
    clock = Clock()
    return Running(Generation(config, Surroundings(clock, Sweep(clock), OctetBudget(1))), None, None, {})


FAILURES = [
    ("connect_failed", "10.0.0.5:8000: Connection refused", 502, line("servers"), "RFC 9110 §15.6.3"),
    ("connect_timeout", "no connection in 1 s", 504, line("connect_timeout"), "RFC 9110 §15.6.5"),
    ("answer_timeout", "no answer in 2 s", 504, line("answer_timeout"), "RFC 9110 §15.6.5"),
    ("queue_full", "5 requests wait", 503, line("queue"), "RFC 9110 §15.6.4"),
    ("queue_timeout", "no connection became free in 6 s", 503, line("queue_timeout"), "RFC 9110 §15.6.4"),
    ("no_server", "all are marked down", 503, line("servers"), "RFC 9110 §15.6.4"),
    ("closed_early", "the server was silent for too long in the middle", 502, line("idle_timeout"), "RFC 9112 §8"),
    ("malformed_answer", "the answer's head has more than 4000 octets", 502, line("response_head_size"), ""),
    ("malformed_answer", "too many fields", 502, line("response_head_count"), ""),
    ("malformed_answer", "101 for a protocol that was not asked for", 502, line("upgrade"), "RFC 9110 §15.2.2"),
    ("client_gone", "the tunnel was idle", 101, line("tunnel_timeout"), ""),
    ("client_gone", "it closed its sending side and no answer came in time", 499, line("half_close_grace"), "RFC 9112 §9.6"),
    ("client_too_slow", "it took nothing of its answer for too long", 200, line("send_timeout"), ""),
    ("request_timeout", "the head did not come in time", 408, line("head_timeout"), "RFC 9110 §15.5.9"),
    ("request_timeout", "the body comes too slowly", 408, line("body_rate"), "RFC 9110 §15.5.9"),
    ("request_timeout", "no octet of the body in 8 s", 408, line("body_timeout"), "RFC 9110 §15.5.9"),
    ("content_too_large", "more than 1048576 octets", 413, limit("body_size"), "RFC 9110 §15.5.14"),
    ("target_too_long", "the target has more than 3000 octets", 414, line("target_length"), "RFC 9110 §15.5.15"),
    ("head_too_large", "more than 3000 octets", 431, line("head_size"), "RFC 6585 §5"),
    ("head_too_large", "too many fields", 431, line("head_count"), "RFC 6585 §5"),
    ("overloaded", "the process holds too many octets", 503, line("buffered_octets"), "RFC 9110 §15.6.4"),
    ("overloaded", "too many requests of this address at once", 503, line("connections_per_address"), ""),
    ("shutting_down", "the time to drain was over", 503, line("drain_timeout"), ""),
]  # fmt: skip


def transaction(running: Running, reason: str = "", detail: str = "", status: int = 200) -> Transaction:
    made = Transaction(b"an-id-of-its-own", b"192.0.2.7", b"GET", b"/x", 11, 1e9, 5.0)
    (route,) = running.generation.routes
    made.labels = route.labels
    made.host = b"a.example"
    made.reason, made.detail, made.status = reason, detail, status
    made.total_time = 0.25
    made.upstream = b"10.0.0.5:8000"
    made.tries = 2
    return made


@pytest.mark.parametrize(("reason", "detail", "status", "place", "rfc"), FAILURES)
def test_failures(
    reason: str, detail: str, status: int, place: str, rfc: str, config: Config, running: Running
) -> None:
    told = explain_recorded(transaction(running, reason, detail, status), config, Places("a.toml", CONFIG), running)
    (failure,) = [step for step in told.steps if step.step == "failure"]
    assert failure.text.startswith(f"{reason}: {detail}")
    assert failure.place == place
    assert rfc in failure.rfc
    outcome = [step.text for step in told.steps if step.step == "outcome"]
    assert outcome[0] == f"id an-id-of-its-own from 192.0.2.7: {status}, 0 octets, 250.0 ms in all"
    assert "after 1 other connection that failed" in outcome[-1]


def test_every_failure_has_a_rule() -> None:
    def all_of(kind: type[ProxyError]) -> set[str]:
        return {kind.reason}.union(*(all_of(sub) for sub in kind.__subclasses__()))

    assert all_of(ProxyError) <= known_reasons()
    assert rule_of("somebody's own", "").rfc == ""


def test_what_the_cache_said(config: Config, running: Running) -> None:
    made = transaction(running)
    made.upstream, made.tries = b"", 0
    made.cache_status = b"revproxy; hit; ttl=30"
    told = explain_recorded(made, config, Places("a.toml", CONFIG), running)
    assert ("the cache: revproxy; hit; ttl=30", line("cache"), "RFC 9211 §2") in [
        (step.text, step.place, step.rfc) for step in told.steps
    ]


def test_after_a_reload_no_line_is_told(config: Config, running: Running) -> None:
    made = transaction(running, "connect_failed", "refused", 502)
    made.labels = RouteLabels("a.example", "/", "app", (0, 0))
    told = explain_recorded(made, config, Places("a.toml", CONFIG), running)
    assert any("a configuration that is not in force any more" in step.text for step in told.steps)
    assert all(step.place == "" for step in told.steps)


def test_hostile_octets(config: Config, running: Running) -> None:
    made = transaction(running)
    made.method = made.target = made.host = b"\x1b[2J<script>\r\n" * 900
    made.client = made.request_id = b"<b>\x9b"
    made.detail, made.reason = "<script>\x1b\n", "bad_request"
    text = "\n".join(explain_recorded(made, config, Places("a.toml", CONFIG), running).lines)
    assert "<" not in text and "\x1b" not in text
    assert max(map(len, text.splitlines())) < 2000
