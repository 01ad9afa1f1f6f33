"""What can be looked at: figures, the last requests with their explanations, the configuration, the page.

Workers answer the orders ``requests`` ({"limit", "filters"} → list) and ``request`` ({"id"} → one, or null), and, where
somebody has plugged them in, ``retrace`` ({"id"} → an explanation of that request, or null) and ``explain``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from revproxy.admin import page
from revproxy.admin.answers import Answers, Arguments, answer, answer_later, answer_octets, query_of, refuse_method
from revproxy.admin.events import Events
from revproxy.admin.exposition import OPEN, PLAIN, exposition, is_open_wanted
from revproxy.admin.metrics import METRICS, series
from revproxy.admin.operator import Operator, Refusal
from revproxy.config.masked import masked
from revproxy.observe.points import no_point
from revproxy.observe.shown import filter_of

LONGEST_LIST: Final = 1000
"""Requests in one answer."""
_ID: Final = re.compile(r"[!-~]{1,256}")


def add_looks(root: Resource, operator: Operator) -> None:
    """Puts all of it under the root."""

    async def figures(arguments: Arguments) -> Any:
        history = list(operator.points())
        now = history[-1] if history else no_point(0.0)
        return {"at": now["at"], "now": now, "history": history}

    async def config(arguments: Arguments) -> Any:
        return masked(operator.config)

    root.putChild(b"", Page())
    root.putChild(b"figures", Answers(b"GET", figures))
    root.putChild(b"config", Answers(b"GET", config))
    root.putChild(b"metrics", Metrics(operator))
    root.putChild(b"requests", Requests(operator))
    root.putChild(b"events", Events(operator))


class Page(Resource):
    """The page that shows all the rest."""

    isLeaf = True

    def render(self, request: Request) -> int:
        """Answers."""
        if request.postpath:
            answer(request, 404, {"error": "nothing is here", "mistakes": []})
            return NOT_DONE_YET
        if request.method not in (b"GET", b"HEAD"):
            refuse_method(request, b"GET")
            return NOT_DONE_YET
        octets = page.page()
        for name, value in page.headers():
            request.responseHeaders.setRawHeaders(name, [value])
        request.responseHeaders.setRawHeaders(b"content-length", [b"%d" % len(octets)])
        if request.method == b"GET":
            request.write(octets)
        request.finish()
        return NOT_DONE_YET


class Metrics(Resource):
    """For a collector."""

    isLeaf = True

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self._operator = operator

    def render(self, request: Request) -> int:
        """Answers, in the form that the collector prefers."""
        if request.postpath:
            answer(request, 404, {"error": "nothing is here", "mistakes": []})
        elif request.method not in (b"GET", b"HEAD"):
            refuse_method(request, b"GET")
        else:
            is_open = is_open_wanted(request.getHeader(b"accept") or b"")
            request.responseHeaders.setRawHeaders(b"vary", [b"Accept"])

            def write(octets: bytes) -> None:
                answer_octets(request, 200, OPEN if is_open else PLAIN, octets)

            answer_later(request, self._text(is_open), write)
        return NOT_DONE_YET

    async def _text(self, is_open: bool) -> bytes:
        # In this order: what the counters say is then never ahead of what the state says was begun.
        counters = await self._operator.counted()
        return exposition(METRICS, series(counters, await self._operator.status()), is_open=is_open)


class Requests(Resource):
    """The last requests, or one of them with its explanation."""

    isLeaf = True

    def __init__(self, operator: Operator) -> None:
        super().__init__()
        self._operator = operator

    def render(self, request: Request) -> int:
        """Answers."""
        path = [part.decode("utf-8", "replace") for part in request.postpath or ()]
        if request.method not in (b"GET", b"HEAD"):
            refuse_method(request, b"GET")
        elif not path or path == [""]:
            answer_later(request, self._list(query_of(request)))
        elif len(path) == 1:
            answer_later(request, self._one(path[0]))
        else:
            answer(request, 404, {"error": "nothing is here", "mistakes": []})
        return NOT_DONE_YET

    async def _list(self, arguments: Arguments) -> Any:
        limit = limit_of(arguments)
        wanted = checked(arguments)
        filters = {name: value for name, value in arguments.items() if value}
        answers = await self._operator.ask("requests", {"limit": limit, "filters": filters})
        found = [
            each
            for number, requests in answers
            if wanted is None or number == wanted
            for each in requests
        ]
        found.sort(key=lambda each: str(each["time"]), reverse=True)
        return {"requests": found[:limit]}

    async def _one(self, number: str) -> Any:
        gone = Refusal("it is not among the last requests that are kept (admin.requests says how many)", 404)
        if not _ID.fullmatch(number):
            raise gone
        found = [each for _, each in await self._operator.ask("request", {"id": number}) if each is not None]
        if not found:
            raise gone
        explained = {"explanation": [], "text": ""}
        try:
            answers = await self._operator.ask("retrace", {"id": number})
        except Refusal as refusal:
            answers = [(0, {"explanation": [], "text": str(refusal)})]
        for _, value in answers:
            explained = value if value is not None else explained
        return {**found[0], **explained}


def limit_of(arguments: Arguments) -> int:
    """How many are wanted; it is taken out of the arguments. Raises Refusal."""
    text = str(arguments.pop("limit", "") or "100")
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 9):
        raise Refusal("limit is a number of requests", 400)
    return min(int(text), LONGEST_LIST)


def checked(arguments: Arguments) -> int | None:
    """The worker whose requests are wanted, None for all, where the filters make sense. Raises Refusal."""
    try:
        return filter_of(arguments).worker
    except ValueError as mistake:
        raise Refusal(str(mistake), 400) from None
