"""The load: one run of ``wrk`` against one proxy, and the check that the proxy answers rightly at all."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import resource
import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path

import attrs

from benchmarks.certificate import NAME, Certificate
from benchmarks.scenarios import RANDOM, Ask, Scenario

SCRIPT = Path(__file__).with_name("requests.lua")
TIMEOUT_SECONDS = 2
"""An answer that takes longer counts as an error."""


@attrs.frozen
class LoadResult:
    """What the clients saw in one round. Latencies are microseconds; None where they are not measured."""

    requests: int
    octets: int
    seconds: float
    p50: int | None
    p99: int | None
    cpu: float
    """CPU seconds of the clients themselves."""
    errors: dict[str, int]
    """How many of each kind (connect, read, write, status, timeout); only kinds that occurred."""
    resumed: float | None = None
    """The part of the connections whose TLS session was resumed; None where that is not known."""


class LoadError(Exception):
    """The load could not be run, or said nothing that can be read."""


def parse_result(output: str, cpu: float = 0.0) -> LoadResult:
    """Read the line that ``requests.lua`` prints at the end."""
    for line in output.splitlines():
        if line.startswith("RESULT "):
            data = json.loads(line.removeprefix("RESULT "))
            break
    else:
        raise LoadError(f"wrk gave no result: {output.strip()[-300:]}")
    kinds = ("connect", "read", "write", "status", "timeout")
    return LoadResult(
        requests=data["requests"],
        octets=data["octets"],
        seconds=data["microseconds"] / 1e6,
        p50=data["p50"],
        p99=data["p99"],
        cpu=cpu,
        errors={kind: data[kind] for kind in kinds if data[kind]},
    )


def write_requests(scenario: Scenario, host: str, file: Path) -> None:
    """Write the scenario's requests as ``requests.lua`` reads them."""
    file.write_bytes(b"\0".join(ask.render(host) for ask in scenario.asks()))


def host(port: int, certificate: Certificate | None) -> str:
    """How the proxy on this port is called: over TLS by the name that it has a certificate for."""
    return f"{NAME if certificate else '127.0.0.1'}:{port}"


def check(ask: Ask, port: int, context: ssl.SSLContext | None = None, timeout: float = 10.0) -> str | None:
    """Send one request and compare the whole answer; None, or what is wrong with it."""
    return check_all((ask,), port, context, timeout)


def check_all(
    asks: Iterable[Ask], port: int, context: ssl.SSLContext | None = None, timeout: float = 10.0
) -> str | None:
    """The same for several, one after the other on one connection; the first that is wrong is the last."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    else:
        connection = http.client.HTTPSConnection(NAME, port, timeout=timeout, context=context)
    try:
        return next(filter(None, (_wrong(ask, connection) for ask in asks)), None)
    finally:
        connection.close()


def _wrong(ask: Ask, connection: http.client.HTTPConnection) -> str | None:
    fields = {name: value.replace(RANDOM.decode(), "0") for name, value in ask.fields}
    try:
        connection.request(ask.method, ask.target, body=ask.body or None, headers=fields)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{ask.method} {ask.target}: {type(error).__name__}: {error}"
    if response.status != 200:
        return f"{ask.method} {ask.target}: status {response.status}"
    if len(body) != len(ask.answer):
        return f"{ask.method} {ask.target}: {len(body)} octets instead of {len(ask.answer)}"
    if hashlib.sha256(body).digest() != hashlib.sha256(ask.answer).digest():
        return f"{ask.method} {ask.target}: the right length with the wrong octets"
    return None


def children_seconds() -> float:
    """CPU seconds of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(
    wrk: str, scenario: Scenario, port: int, requests: Path, seconds: int, certificate: Certificate | None = None
) -> LoadResult:
    """One round of load. It runs on the core that this process is pinned to."""
    argv = [
        wrk,
        "--threads=1",
        f"--connections={scenario.connections}",
        f"--duration={seconds}s",
        f"--timeout={TIMEOUT_SECONDS}s",
        "--latency",
        f"--script={SCRIPT}",
        f"{'https' if certificate else 'http'}://{host(port, certificate)}/",
        "--",
        str(requests),
    ]
    environment = {**os.environ, **(certificate.environment() if certificate else {})}
    before = children_seconds()
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=seconds + 20, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise LoadError("wrk did not end") from None
    return parse_result(done.stdout + done.stderr, children_seconds() - before)
