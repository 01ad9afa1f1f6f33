"""``revproxy tail``: a line for each request, as they end.

Whoever reads it may leave (``| head``), and the proxy may be stopped, upgraded and started again: it goes on with the
one that serves then, and with what that one still knows of the time between.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import stat
import sys
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Iterable
from os import fstat
from typing import Any, Final, TextIO

import attrs

from revproxy.control.client import Admin, Refused, Unreachable
from revproxy.control.following import EventStream, StreamEnded, StreamRefused
from revproxy.control.paint import Line, Look, painted
from revproxy.control.panel import SLOW, status_role
from revproxy.control.words import cache_word, clock, fitted, number, octets, taken

OK: Final = 0
FAILED: Final = 1

SILENCE: Final = 10.0
"""Seconds without an event (one comes each second) after which the other side is given up."""
LONGEST_WAIT: Final = 2.0
"""Seconds between two tries to find the proxy again."""
REMEMBERED: Final = 2000
"""Ids of requests that were printed: what is asked for after a gap may have been printed before it."""
MISSED: Final = 1000
"""Requests that are asked for after a gap."""

FILTERS: Final = ("status", "host", "path", "method", "client", "upstream", "reason", "slower", "worker")


def query(filters: dict[str, str], **more: int) -> str:
    """The query of a request for these filters; empty, or with its question mark."""
    words = urllib.parse.urlencode({**filters, **more})
    return f"?{words}" if words else ""


def line(one: dict[str, Any], look: Look) -> Line:
    """One request as a line: the parts of fixed width first, so that the eye finds them."""
    status = one.get("status") or 0
    total = one.get("total")
    cache = cache_word(one.get("cache"))
    via = one.get("upstream") or (cache if cache == "hit" else "-")
    shown = [
        (clock(one.get("time")), "quiet"),
        (fitted(str(status or "-"), 3), status_role(status)),
        (fitted(look.text(one.get("method") or "-"), 7, end=look.end), "strong"),
        (fitted(taken(total), 8, right=True), "warn" if (total or 0) > SLOW else ""),
        (fitted(octets(one.get("sent")), 9, right=True), ""),
        (fitted(look.text(one.get("client") or "-"), 15, end=look.end), "quiet"),
        (fitted(look.text(via), 21, end=look.end), "quiet"),
        (look.text(f"{one.get('host') or ''}{one.get('target') or ''}" or "-"), ""),
    ]
    if one.get("reason"):
        detail = f": {one['detail']}" if one.get("detail") else ""
        shown.append((look.text(f"{one['reason']}{detail}"), "bad"))
    shown.append((f"id={look.text(one.get('id') or '-')}", "quiet"))
    spans = [(" ", "")] * (2 * len(shown) - 1)
    spans[::2] = shown
    return spans


@attrs.define
class Printed:
    """What came out so far."""

    out: TextIO
    notes: TextIO
    look: Look
    as_json: bool
    newest: str = ""
    """The time of the newest request, as the proxy writes it: such times sort as text."""
    ids: deque[str] = attrs.Factory(lambda: deque(maxlen=REMEMBERED))

    def requests(self, found: Iterable[dict[str, Any]]) -> None:
        """Prints those that were not yet."""
        for one in found:
            name = f"{one.get('id')} {one.get('time')}"
            if name in self.ids:
                continue
            self.ids.append(name)
            self.newest = max(self.newest, str(one.get("time") or ""))
            # JSON of ASCII alone: whatever is in it, a terminal obeys none of it.
            self.out.write(f"{json.dumps(one) if self.as_json else painted(line(one, self.look), self.look)}\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """Something about the requests rather than one of them."""
        self.out.flush()
        self.notes.write(f"revproxy: {self.look.text(text)}\n")
        self.notes.flush()


class Tail:
    """The requests of whichever proxy serves, until the reader has enough.

    :param find: gives the running proxy's admin interface, or raises Unreachable.
    """

    def __init__(self, find: Callable[[], Admin], filters: dict[str, str], last: int, printed: Printed) -> None:
        self._find = find
        self._filters = filters
        self._last = last
        self._printed = printed
        self._state = "serving"
        self._pipe = printed.out.fileno() if _is_pipe(printed.out) else None

    def run(self) -> int:
        """Returns the exit code."""
        try:
            stream = self._begin(self._last)
        except (Refused, StreamRefused, Unreachable) as error:
            self._printed.note(str(error))
            return error.code if isinstance(error, Unreachable) else FAILED
        while True:
            try:
                if not self._follow(stream):
                    return OK
            except StreamRefused as refused:
                self._printed.note(str(refused))
                return FAILED
            except StreamEnded as ended:
                self._printed.note(f"the proxy is gone ({ended}); waiting for it")
            finally:
                stream.close()
            again = self._again()
            if again is None:
                return OK
            stream = again

    def _begin(self, last: int, since: str = "") -> EventStream:
        """Opens the stream, and prints what was before it."""
        admin = self._find()
        try:
            stream = EventStream(admin.path, f"/events{query(self._filters)}")
        except OSError as error:
            raise Unreachable(f"{admin.path}: {error.strerror or error}") from None
        try:
            if last:
                found = admin.ask("GET", f"/requests{query(self._filters, limit=last)}")["requests"]
                self._printed.requests(one for one in reversed(found) if str(one.get("time") or "") >= since)
        except BaseException:
            stream.close()
            raise
        return stream

    def _again(self) -> EventStream | None:
        """The stream of the next proxy; None where the reader left meanwhile."""
        wait = 0.1
        while True:
            try:
                stream = self._begin(MISSED, self._printed.newest or "now")
            except (Refused, StreamRefused, Unreachable):
                if self._reader_left(wait):
                    return None
                wait = min(LONGEST_WAIT, 2 * wait)
            else:
                self._state = "serving"
                self._printed.note("it is there again")
                return stream

    def _follow(self, stream: EventStream) -> bool:
        """Prints until the stream ends (StreamEnded) or the reader leaves (False)."""
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        if self._pipe is not None:
            # Asked for nothing, it still tells that the other end is closed.
            poll.register(self._pipe, 0)
        heard = time.monotonic()
        while True:
            ready = dict(poll.poll(1000 * SILENCE / 4))
            if self._pipe is not None and ready.get(self._pipe):
                return False
            events = stream.read() if stream.fileno() in ready else []
            if events:
                heard = time.monotonic()
                self._take(events)
            elif time.monotonic() - heard > SILENCE:
                raise StreamEnded("it is silent")

    def _take(self, events: Iterable[tuple[str, Any]]) -> None:
        found = []
        for kind, value in events:
            if kind == "request":
                found.append(value)
            elif kind == "dropped":
                missed = int(value.get("requests") or 0)
                self._printed.requests(found)
                found = []
                self._printed.note(f"{number(missed)} more than could be shown")
            elif kind == "status":
                state = str(value.get("state") or "")
                if state != self._state:
                    self._state = state
                    self._printed.note(f"the proxy is {state}")
        self._printed.requests(found)

    def _reader_left(self, seconds: float) -> bool:
        poll = select.poll()
        if self._pipe is not None:
            poll.register(self._pipe, 0)
        return bool(poll.poll(1000 * seconds))


def _is_pipe(stream: TextIO) -> bool:
    with contextlib.suppress(OSError, ValueError):
        mode = fstat(stream.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return False


_DESCRIPTION = """\
Print a line for each request that the running proxy has answered, the last ones first, then each as it ends, until
Ctrl-C. Filters choose at the proxy; several must all hold. When the proxy is stopped or upgraded, it waits for the next
one and goes on. Notes (what was left out, that the proxy is gone) go to the error output.
Exit codes: 0 the reader had enough, 1 no proxy is running or it refused, 2 the command line can't be used.
"""
_EXAMPLES = """\
examples:
  revproxy tail --status 5xx
  revproxy tail --host '*.example.com' --path /api/ --slower 0.5
  revproxy tail --json | jq -r 'select(.cache == null) | .target'
"""


def add_arguments(tool: argparse.ArgumentParser) -> None:
    """The arguments of ``tail``, but for those that say which proxy."""
    tool.description = _DESCRIPTION
    tool.epilog = _EXAMPLES
    tool.formatter_class = argparse.RawDescriptionHelpFormatter
    tool.add_argument("-n", "--last", metavar="N", type=_count, default=10, help="print so many that were before (10)")
    for name, metavar, help in (
        ("status", "STATUS", "a status (404) or a class of them (5xx)"),
        ("host", "HOST", "a part of the host's name, or *.example.com"),
        ("path", "PATH", "a part of the path or the query"),
        ("method", "METHOD", "a method"),
        ("client", "ADDRESS", "the client's address, its beginning, or a network (192.0.2.0/24)"),
        ("upstream", "SERVER", "a part of the server's address"),
        ("reason", "REASON", "why it failed, in the word of the log (connect_failed)"),
        ("slower", "SECONDS", "those that took longer"),
        ("worker", "NUMBER", "those of one worker"),
    ):
        tool.add_argument(f"--{name}", metavar=metavar, help=f"only: {help}")
    tool.add_argument("--json", action="store_true", help="print a JSON object a line, for programs")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > MISSED:
        raise argparse.ArgumentTypeError(f"is a number up to {MISSED}, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace, find: Callable[[], Admin]) -> int:
    """Prints until Ctrl-C; returns the exit code."""
    filters = {name: value for name in FILTERS if (value := getattr(arguments, name))}
    printed = Printed(sys.stdout, sys.stderr, Look.of(sys.stdout), arguments.json)
    try:
        return Tail(find, filters, arguments.last, printed).run()
    except KeyboardInterrupt:
        return OK
