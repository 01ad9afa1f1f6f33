"""``revproxy top``: the figures of the page in a terminal, drawn anew each second."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from revproxy.control.client import OK, Admin, Refused, Unreachable
from revproxy.control.paint import Look, painted
from revproxy.control.panel import Sample, View, screen
from revproxy.control.tail import query

RECENT: Final = 200
"""Requests that are asked for; the slowest are the slowest of these."""
WIDTH: Final = 132
"""Columns where the output is no terminal, and says no width."""


class Sampler:
    """Asks the running proxy, and finds it again when it is another one.

    :param find: gives the running proxy's admin interface, or raises Unreachable.
    """

    def __init__(self, find: Callable[[], Admin]) -> None:
        self._find = find
        self._admin: Admin | None = None
        self._used: dict[int, tuple[float, float]] = {}

    def take(self, *, failed: bool = False) -> Sample:
        """One sample; of requests, only the failed ones if so wished. Raises Unreachable and Refused."""
        if self._admin is None:
            self._admin = self._find()
        try:
            admin = self._admin
            status = admin.ask("GET", "/status")
            figures = admin.ask("GET", "/figures")
            filters = {"status": "5xx"} if failed else {}
            requests = admin.ask("GET", f"/requests{query(filters, limit=RECENT)}")["requests"]
        except Unreachable:
            # The next one may listen elsewhere.
            self._admin = None
            raise
        return Sample(status, figures, requests, self._cpu(status, time.monotonic()))

    def _cpu(self, status: dict[str, Any], now: float) -> dict[int, float]:
        before, self._used = self._used, {}
        spent = {}
        for worker in status.get("workers") or []:
            pid, cpu = worker.get("pid") or 0, worker.get("cpu") or 0.0
            self._used[pid] = (now, cpu)
            then, was = before.get(pid, (now, cpu))
            if now > then:
                spent[pid] = max(0.0, cpu - was) / (now - then)
        return spent


def once(sampler: Sampler, as_json: bool) -> int:
    """One look, printed; the exit code."""
    try:
        sample = sampler.take()
    except (Refused, Unreachable) as error:
        print(f"revproxy: {error}", file=sys.stderr)
        return error.code
    if as_json:
        print(json.dumps({"status": sample.status, "figures": sample.figures, "requests": sample.requests}, indent=2))
        return OK
    look = Look.of(sys.stdout)
    width = shutil.get_terminal_size((WIDTH, 24)).columns
    for line in screen(View(sample), look, width):
        print(painted(line, look, width))
    return OK


def watch(sampler: Sampler, interval: float) -> int:
    """Draws until q or Ctrl-C; the exit code."""
    # Where no proxy runs, that is said on the screen that one is on.
    try:
        view = View(sampler.take())
    except (Refused, Unreachable) as error:
        print(f"revproxy: {error}", file=sys.stderr)
        return error.code
    from revproxy.control.terminal import Terminal

    look = Look.of(sys.stdout)
    with Terminal() as terminal:
        due = time.monotonic() + interval
        while True:
            columns, lines = terminal.size
            terminal.draw([painted(line, look, columns) for line in screen(view, look, columns, lines)])
            wait = 3600.0 if view.paused else max(0.0, due - time.monotonic())
            pressed = terminal.keys(wait).lower()
            if "q" in pressed:
                return OK
            asked = turn(view, pressed)
            if asked or (not view.paused and time.monotonic() >= due):
                due = time.monotonic() + interval
                sample(sampler, view)


def turn(view: View, pressed: str) -> bool:
    """What the keys change; whether the proxy is to be asked at once."""
    asked = False
    for key in pressed:
        if key == "p":
            view.paused = not view.paused
            asked = asked or not view.paused
        elif key == "s":
            view.slowest = not view.slowest
        elif key == "e":
            view.failed = not view.failed
            asked = True
        elif key == " ":
            asked = True
    return asked


def sample(sampler: Sampler, view: View) -> None:
    """The newest sample; where there is none, why, over the one before."""
    try:
        view.sample = sampler.take(failed=view.failed)
        view.trouble = ""
    except (Refused, Unreachable) as error:
        view.trouble = f"No answer: {error}. What is below is old; it is tried again."


_DESCRIPTION = """\
Show the running proxy's rates, times, workers, upstream servers and requests, drawn anew each second.
Keys: q quits, p pauses, s sorts by time taken, e shows failed requests (5xx) alone, space asks at once.
Where the output is no terminal it is printed once. Exit codes: 0 done, 1 no proxy is running or it refused, 2 the
command line can't be used.
"""


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """The arguments of ``top``, but for those that say which proxy."""
    tool.description = _DESCRIPTION
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    tool.add_argument("--once", action="store_true", help="print one look, and end")
    tool.add_argument("--json", action="store_true", help="print it as JSON, once, for programs")
    tool.add_argument(
        "--interval", metavar="SECONDS", type=_seconds, default=1.0, help="time from one look to the next (1)"
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"is a number of seconds from 0.1 to 3600, not {text!r}")
    return seconds


def run(arguments: argparse.Namespace, find: Callable[[], Admin]) -> int:
    """Shows until q or Ctrl-C; returns the exit code."""
    sampler = Sampler(find)
    try:
        if arguments.once or arguments.json or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            return once(sampler, arguments.json)
        return watch(sampler, arguments.interval)
    except KeyboardInterrupt:
        return OK
