"""What happens, as it happens: a stream of events (text/event-stream) of requests, figures and the state.

Theory of operation. While somebody follows, every worker is told so every few seconds, with the filters, and sends what
they take; a worker that hears nothing for a while stops by itself. So neither a worker that is started meanwhile nor a
follower that left without a word needs looking after. What a follower is too slow to take is not kept for it: it hears
how many requests it missed ("dropped").
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from revproxy.admin.answers import Arguments, answer, query_of, refuse_method
from revproxy.admin.operator import Operator, Refusal
from revproxy.observe.shown import filter_of

_log = Logger()

MOST_FOLLOWERS: Final = 32
RENEW: Final = 2
"""Seconds until the workers are told again."""
STATUS: Final = 5
"""Seconds between two events about the state."""


class Events(Resource):
    """GET opens a stream; its query filters the requests."""

    isLeaf = True

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self._operator = operator
        self._count = 0
        self.followers: set[Follower] = set()

    def render(self, request: Request) -> int:
        """Begins the stream."""
        if request.postpath:
            answer(request, 404, {"error": "nothing is here", "mistakes": []})
        elif request.method != b"GET":
            refuse_method(request, b"GET")
        elif len(self.followers) >= MOST_FOLLOWERS:
            answer(request, 503, {"error": f"{MOST_FOLLOWERS} follow already: no more can", "mistakes": []})
        else:
            arguments = query_of(request)
            try:
                worker = filter_of(arguments).worker
            except ValueError as mistake:
                answer(request, 400, {"error": str(mistake), "mistakes": []})
                return NOT_DONE_YET
            self._count += 1
            follower = Follower(request, self._operator, f"f{self._count}", arguments, worker)
            self.followers.add(follower)
            follower.begin(lambda: self.followers.discard(follower))
        return NOT_DONE_YET


@implementer(IPushProducer)
class Follower:
    """One open stream."""

    def __init__(
        self, request: Request, operator: Operator, name: str, filters: Arguments, worker: int | None
    ) -> None:
        self._request = request
        assert request.site is not None
        self._reactor: Any = request.site.reactor
        self._operator = operator
        self._name = name
        self._filters = filters
        self._worker = worker
        self._paused = False
        self._dropped = 0
        self._second = 0
        self._over = False
        self._call: Any = None
        self._ends: list[Callable[[], None]] = []

    def begin(self, ended: Callable[[], None]) -> None:
        """Sends the head and begins to listen. ``ended`` is called once the stream is over."""
        request = self._request
        fields = request.responseHeaders
        fields.setRawHeaders(b"content-type", [b"text/event-stream; charset=utf-8"])
        fields.setRawHeaders(b"cache-control", [b"no-store"])
        fields.setRawHeaders(b"x-content-type-options", [b"nosniff"])
        # Whoever stands between, nginx for one, is to pass each event on at once.
        fields.setRawHeaders(b"x-accel-buffering", [b"no"])
        request.notifyFinish().addBoth(self._end)
        self._ends = [
            self._operator.subscribe("tail", self._tail),
            self._operator.subscribe("point", lambda _, point: self._send("figures", point)),
            ended,
        ]
        request.registerProducer(self, True)
        request.write(b": revproxy\n\n")
        self._tick()

    def _tick(self) -> None:
        self._call = self._reactor.callLater(1, self._tick)
        second, self._second = self._second, self._second + 1
        if second % RENEW == 0:
            self._ask("tail", {"follower": self._name, "filters": self._filters})
        if second % STATUS == 0:
            self._after(Deferred.fromCoroutine(self._operator.status()), lambda status: self._send("status", status))

    def _ask(self, order: str, arguments: dict[str, Any]) -> None:
        self._after(Deferred.fromCoroutine(self._operator.ask(order, arguments)), lambda value: None)

    def _after(self, work: Deferred[Any], told: Callable[[Any], None]) -> None:
        work.addCallback(lambda value: None if self._over else told(value))
        work.addErrback(lambda failure: failure.trap(Refusal) and None)
        work.addErrback(lambda failure: _log.failure("an event could not be told", failure))

    def _tail(self, worker: int, value: dict[str, Any]) -> None:
        if value["follower"] != self._name or (self._worker is not None and worker != self._worker):
            return
        self._dropped += value["dropped"]
        if self._paused:
            self._dropped += len(value["requests"])
            return
        for each in value["requests"]:
            self._send("request", each)
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        if self._dropped and not self._paused:
            dropped, self._dropped = self._dropped, 0
            self._send("dropped", {"requests": dropped})

    def _send(self, kind: str, value: Any) -> None:
        if self._over:
            return
        if self._paused:
            # Figures and states come again.
            self._dropped += kind == "request"
            return
        self._request.write(b"event: %b\ndata: %b\n\n" % (kind.encode("ascii"), json.dumps(value).encode("ascii")))

    def _end(self, reason: object) -> None:
        if self._over:
            return
        self._over = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        for end in self._ends:
            end()
        self._ask("tail", {"follower": self._name, "end": True})

    # What the connection says.

    def pauseProducing(self) -> None:
        """The follower is slow."""
        self._paused = True

    def resumeProducing(self) -> None:
        """It has caught up."""
        self._paused = False
        self._tell_dropped()

    def stopProducing(self) -> None:
        """It is gone."""
        self._end(None)
