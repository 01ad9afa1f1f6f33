"""The load of handshakes: ``openssl s_time``, several at once, each opens one connection after the other.

wrk would do for neither kind: it resumes the session of a connection that it opens again, and does not tell whether
that succeeded. ``s_time`` marks each connection as new or resumed. On each it makes one request and reads until the
server closes.

A client has more to do in a full handshake than a server has: it verifies where the server signs. So the clients may
run on every core but the proxy's.
"""

from __future__ import annotations

import os
import re
import subprocess
import time

import attrs

from benchmarks.certificate import Certificate
from benchmarks.load import LoadError, LoadResult, children_seconds, host
from benchmarks.processes import on_cores
from benchmarks.scenarios import Ask, Scenario

PATIENCE_SECONDS = 20


@attrs.frozen
class Connections:
    """What one ``s_time`` counted."""

    made: int
    octets: int
    resumed: int


def parse_connections(output: str) -> Connections:
    """Read what ``s_time`` prints: a mark per connection (``r``: resumed), then its counts."""
    counts = re.search(r"^(\d+) connections in \S+s; \S+ connections/user sec, bytes read (\d+)", output, re.M)
    marks = re.search(r"^[r*3tu]+$", output, re.M)
    if counts is None:
        raise LoadError(f"openssl s_time gave no result: {output.strip()[-300:]}")
    return Connections(int(counts[1]), int(counts[2]), marks[0].count("r") if marks else 0)


def total(counted: list[Connections], seconds: float, cpu: float, *, resume: bool) -> LoadResult:
    """The figures of all together. A session that was resumed where none may be is an error."""
    made = sum(one.made for one in counted)
    resumed = sum(one.resumed for one in counted)
    return LoadResult(
        requests=made,
        octets=sum(one.octets for one in counted),
        seconds=seconds,
        p50=None,
        p99=None,
        cpu=cpu,
        errors={"resumption": resumed} if resumed and not resume else {},
        resumed=resumed / made if made else None,
    )


def target(ask: Ask, host: str) -> str:
    """What makes ``s_time`` send the request with a Host: it writes ``GET``, this, `` HTTP/1.0`` and an empty line."""
    return f"{ask.target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Written-As:"


def run(
    openssl: str, scenario: Scenario, port: int, seconds: int, certificate: Certificate, cores: frozenset[int]
) -> LoadResult:
    """One round of load. It ends with a whole second of the clock, between ``seconds`` and one more."""
    resume = scenario.load == "resumed"
    argv = (
        openssl,
        "s_time",
        "-connect",
        f"127.0.0.1:{port}",
        "-reuse" if resume else "-new",
        "-www",
        target(scenario.asks()[0], host(port, certificate)),
        "-time",
        str(seconds),
        # Nobody's chain is verified, and reading the system's authorities takes longer than many a handshake.
        "-no-CAfile",
        "-no-CApath",
        "-no-CAstore",
    )
    environment = {**os.environ, **certificate.environment()}
    before, begun = children_seconds(), time.monotonic()
    with on_cores(cores):
        running = [
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
            for _ in range(scenario.connections)
        ]
    try:
        deadline = begun + seconds + PATIENCE_SECONDS
        said = [one.communicate(timeout=max(0.0, deadline - time.monotonic()))[0] for one in running]
    except subprocess.TimeoutExpired:
        raise LoadError("openssl s_time did not end") from None
    finally:
        for one in running:
            if one.poll() is None:
                one.kill()
                one.communicate()
    took = time.monotonic() - begun
    return total([parse_connections(text) for text in said], took, children_seconds() - before, resume=resume)
