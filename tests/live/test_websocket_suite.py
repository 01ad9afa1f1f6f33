"""A few of the public WebSocket conformance cases from each group; ``make websocket-suite`` runs all of them.

They run in a process of their own: the cases bring along modules under names that others have, and leave files open.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.live.support_process import CHECKOUT, python

if TYPE_CHECKING:
    from tests.live.conftest import Started

# By the ids' first numbers: framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, large messages and
# many messages, automatic fragmentation, compression without and with parameters.
CASES = [
    *("1.1.1", "1.1.8", "1.2.7"),
    *("2.1", "2.5", "2.10"),
    *("3.1", "3.4"),
    *("4.1.2", "4.2.5"),
    *("5.1", "5.8", "5.15"),
    *("6.1.1", "6.2.3", "6.3.2", "6.11.4"),
    *("7.1.1", "7.1.4", "7.3.6", "7.5.1", "7.7.13", "7.9.1"),
    *("9.1.2", "9.2.3", "9.5.6", "9.7.1"),
    "10.1.1",
]
COMPRESSED = ["12.1.1", "12.5.3", "13.1.2", "13.7.2"]


def suite(*words: str) -> tuple[int, list[str]]:
    """The exit code and the lines of a run."""
    command = [str(word) for word in python("-m", "tests.websocket_suite", *words)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_cases_go_as_without_the_proxy() -> None:
    status, lines = suite(*CASES, *COMPRESSED)
    number = len(CASES) + len(COMPRESSED)
    assert lines[-1] == f"{number} cases, 0 differ through the proxy", lines
    assert status == 0
    ways = [line for line in lines if line.startswith(("direct: ", "proxied: "))]
    assert len(ways) == 2
    for way in ways:
        assert f": {number} cases in " in way
        assert way.endswith(f", {len(COMPRESSED)} compressed")


def test_the_comparison_notices_a_difference(started: Started) -> None:
    """Behind this proxy is no WebSocket server: each case ends otherwise."""
    status, lines = suite("--through", f"ws://127.0.0.1:{started.proxy('nginx').port}", "1.1.1", "7.1.1")
    assert lines[-1] == "2 cases, 2 differ through the proxy"
    assert status == 1
    assert [line for line in lines if line.startswith("case ")] == ["case 1.1.1", "case 7.1.1"]
