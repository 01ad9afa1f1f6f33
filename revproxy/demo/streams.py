"""Answers that take their time: lines of text, and server-sent events."""

# mypy: allow-untyped-calls
# (what our classes inherit from twisted.web has no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.server import Request

LINE_INTERVAL = 0.5
EVENT_INTERVAL = 1.0
MOST_LINES = 1000


def repeat(clock: IReactorTime, interval: float, call: LoopingCall, request: Request) -> None:
    """Run ``call`` until it stops itself, which finishes the answer, or the client has left."""
    call.clock = clock
    left: list[Failure] = []

    def leave(reason: Failure) -> None:
        left.append(reason)
        if call.running:
            call.stop()

    def finish(_: object) -> None:
        if not left:
            request.finish()

    request.notifyFinish().addErrback(leave)
    call.start(interval).addCallback(finish)


class SlowLines(Resource):
    """``?lines=N`` lines of text, one each half second, in chunks."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_GET(self, request: Request) -> int | bytes:
        asked = request.args.get(b"lines", [b"20"])[0]
        if not asked.isdigit() or not 1 <= (count := int(asked[:6])) <= MOST_LINES:
            request.setResponseCode(400)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            return b"lines: a number from 1 to %d\n" % MOST_LINES
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        sent = 0

        def line() -> None:
            nonlocal sent
            sent += 1
            request.write(b"line %d of %d\n" % (sent, count))
            if sent == count:
                call.stop()

        call = LoopingCall(line)
        repeat(self._clock, LINE_INTERVAL, call, request)
        return NOT_DONE_YET


class Events(Resource):
    """Server-sent events, one each second, until the browser leaves; goes on where ``Last-Event-ID`` says."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        request.setHeader(b"content-type", b"text/event-stream")
        request.setHeader(b"cache-control", b"no-store")
        last = request.getHeader(b"last-event-id") or b""
        number = int(last[:12]) if last.isdigit() else 0
        request.write(b"retry: 1000\n\n")

        def event() -> None:
            nonlocal number
            number += 1
            request.write(b"id: %d\nevent: tick\ndata: event number %d\n\n" % (number, number))

        repeat(self._clock, EVENT_INTERVAL, LoopingCall(event), request)
        return NOT_DONE_YET
