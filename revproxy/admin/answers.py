"""JSON over twisted.web: one resource for each thing that can be asked or ordered, and errors as values."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from revproxy.admin.operator import Refusal
from revproxy.config.mistakes import ConfigMistakes
from revproxy.errors import ConfigError

_log = Logger()

LARGEST_BODY: Final = 64 * 1024
"""Octets that the body of an admin request may have."""

Arguments = dict[str, Any]
Answering = Callable[[Arguments], Awaitable[Any]]
"""Gets what the request says (its query, or its JSON body) and gives a JSON value; raises Refusal or ConfigError."""


class Answered:
    """A JSON value with another status than 200."""

    def __init__(self, status: int, value: Any) -> None:
        self.status = status
        self.value = value


def answer(request: Request, status: int, value: Any) -> None:
    """Ends a request with a JSON value."""
    octets = json.dumps(value).encode("ascii")
    answer_octets(request, status, b"application/json", octets)


def answer_octets(request: Request, status: int, media: bytes, octets: bytes) -> None:
    """Ends a request with any content."""
    request.setResponseCode(status)
    fields = request.responseHeaders
    fields.setRawHeaders(b"content-type", [media])
    fields.setRawHeaders(b"content-length", [b"%d" % len(octets)])
    fields.setRawHeaders(b"cache-control", [b"no-store"])
    fields.setRawHeaders(b"x-content-type-options", [b"nosniff"])
    if request.method != b"HEAD":
        request.write(octets)
    request.finish()


def mistake_of(reason: BaseException | None) -> tuple[int, dict[str, Any]] | None:
    """How a failure that its asker can understand is answered; None for any other."""
    if isinstance(reason, Refusal):
        return reason.status, {"error": str(reason), "mistakes": []}
    if isinstance(reason, ConfigMistakes):
        number = len(reason.mistakes)
        text = f"the configuration has {number} mistake{'' if number == 1 else 's'}"
        return 422, {"error": text, "mistakes": [str(mistake) for mistake in reason.mistakes]}
    if isinstance(reason, ConfigError):
        first = str(reason).partition("\n")[0]
        return 422, {"error": first, "mistakes": str(reason).splitlines()}
    return None


class Answers(Resource):
    """Answers one method (GET brings HEAD with it) under one path, and refuses all others."""

    isLeaf = True

    def __init__(self, method: bytes, answering: Answering) -> None:
        super().__init__()
        self._method = method
        self._answering = answering

    def render(self, request: Request) -> int:
        """Answers, perhaps later."""
        if request.postpath:
            answer(request, 404, {"error": "nothing is here", "mistakes": []})
        elif request.method != self._method and not (self._method == b"GET" and request.method == b"HEAD"):
            refuse_method(request, self._method)
        else:
            try:
                arguments = query_of(request) if self._method == b"GET" else _body(request)
            except Refusal as refusal:
                answer(request, refusal.status, {"error": str(refusal), "mistakes": []})
            else:
                answer_later(request, self._answering(arguments))
        return NOT_DONE_YET


def refuse_method(request: Request, allowed: bytes) -> None:
    """405."""
    shown = b"GET, HEAD" if allowed == b"GET" else allowed
    request.responseHeaders.setRawHeaders(b"allow", [shown])
    answer(request, 405, {"error": f"only {shown.decode('ascii')} is understood here", "mistakes": []})


def answer_later(request: Request, coming: Awaitable[Any], write: Callable[[Any], None] | None = None) -> None:
    """Answers with what is coming: a JSON value, or whatever ``write`` writes."""

    async def awaited() -> Any:
        return await coming

    def give(value: Any) -> None:
        if write is not None:
            write(value)
        elif isinstance(value, Answered):
            answer(request, value.status, value.value)
        else:
            answer(request, 200, value)

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        known = mistake_of(failure.value)
        if known is None:
            _log.failure("an admin request failed", failure)
            known = 500, {"error": f"it failed: {failure.getErrorMessage()}; the log says more", "mistakes": []}
        answer(request, *known)

    work: Deferred[Any] = Deferred.fromCoroutine(awaited())
    # Who asked may leave: then nobody is answered, and what was begun goes on.
    left = False

    def gone(_: object) -> None:
        nonlocal left
        left = True

    request.notifyFinish().addErrback(gone)
    work.addCallbacks(lambda value: None if left else give(value), lambda failure: None if left else failed(failure))
    work.addErrback(lambda failure: _log.failure("an admin request could not be answered", failure))


def query_of(request: Request) -> Arguments:
    """The query's arguments; of several of one name the last counts."""
    return {
        name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
        for name, values in (request.args or {}).items()
    }


def _body(request: Request) -> Arguments:
    media = (request.getHeader(b"content-type") or b"").partition(b";")[0].strip().lower()
    # A page of somebody else's can't send this media type without asking first, and is not let.
    if media != b"application/json":
        raise Refusal("send JSON: Content-Type: application/json", 415)
    assert request.content is not None
    octets = request.content.read()
    try:
        value = json.loads(octets) if octets.strip() else {}
    except (ValueError, RecursionError):
        raise Refusal("the body is no JSON", 400) from None
    if not isinstance(value, dict):
        raise Refusal("the body is no JSON object", 400)
    return value
