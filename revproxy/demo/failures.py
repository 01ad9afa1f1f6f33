"""A backend's bad days: an error page, no answer at all, and an answer that is cut in the middle."""

# mypy: allow-untyped-calls
# (what our classes inherit from twisted.web has no annotations)
from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.server import Request

CUT_AFTER = 0.3


class Fail(Resource):
    """An application error, with a body of its own: the proxy passes it on."""

    def render_GET(self, request: Request) -> bytes:
        request.setResponseCode(500)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"The backend itself says: something went wrong here.\n"


class CloseWithoutAnswer(Resource):
    """Closes the connection where an answer should be: the proxy answers 502."""

    def render_GET(self, request: Request) -> int:
        request.loseConnection()
        return NOT_DONE_YET


class CloseMidBody(Resource):
    """Sends the beginning of a body and closes: nothing on the way may make that look complete.

    ``?framing=chunked`` leaves out the last chunk, otherwise Content-Length promises more than comes.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__()
        self._clock = clock

    def render_GET(self, request: Request) -> int:
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        request.setHeader(b"cache-control", b"no-store")
        if request.args.get(b"framing") != [b"chunked"]:
            request.setHeader(b"content-length", b"1000000")
        request.write(b"The beginning of a long story, in which suddenly\n")
        # Later, so that the beginning travels on its own.
        cut = self._clock.callLater(CUT_AFTER, request.loseConnection)

        def left(_: object) -> None:
            if cut.active():
                cut.cancel()

        request.notifyFinish().addErrback(left)
        return NOT_DONE_YET
