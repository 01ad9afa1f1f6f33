"""The tree of the admin interface: what the control socket and the admin listener both serve."""

from __future__ import annotations

# Twisted imports it with the first POST, when who gave up root may not be able to read it any more.
import email.policy  # noqa: F401
from io import BytesIO
from typing import Any, Final

from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from revproxy.admin.answers import LARGEST_BODY, Answered, Answering, Answers, Arguments, answer
from revproxy.admin.looking import add_looks
from revproxy.admin.operator import Operator, Refusal
from revproxy.admin.orders import add_orders
from revproxy.admin.sessions import ONE_TIME, Sessions

_TOO_LARGE: Final = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def admin_root(operator: Operator, sessions: Sessions | None = None) -> Resource:
    """All there is: the state, figures and requests to look at, reloads and other orders, the page.

    :param sessions: where browsers log in over TCP; None where nobody does.
    """
    root = Root()
    if sessions is not None:
        root.putChild(b"login", Answers(b"POST", _login(sessions)))
    add_looks(root, operator)
    add_orders(root, operator)

    async def status(arguments: Arguments) -> Any:
        return await operator.status()

    async def reload(arguments: Arguments) -> Any:
        return await operator.reload(_flag(arguments, "plan"))

    async def rollback(arguments: Arguments) -> Any:
        return await operator.rollback()

    async def drain(arguments: Arguments) -> Any:
        return await operator.drain()

    async def upgrade(arguments: Arguments) -> Any:
        return await operator.upgrade()

    async def ready(arguments: Arguments) -> Any:
        known = await operator.status()
        value = {"ready": known["ready"], "state": known["state"]}
        return Answered(200 if known["ready"] else 503, value)

    async def alive(arguments: Arguments) -> Any:
        return {"alive": True}

    root.putChild(b"status", Answers(b"GET", status))
    root.putChild(b"healthz", Answers(b"GET", alive))
    root.putChild(b"readyz", Answers(b"GET", ready))
    root.putChild(b"reload", Answers(b"POST", reload))
    root.putChild(b"rollback", Answers(b"POST", rollback))
    root.putChild(b"drain", Answers(b"POST", drain))
    root.putChild(b"upgrade", Answers(b"POST", upgrade))
    return root


def admin_site(root: IResource, reactor: Any) -> Site:
    """What to listen with: bodies are small here, and a connection that is silent for a minute ends."""
    site = Site(root, requestFactory=BoundedRequest, timeout=60, reactor=reactor)
    site.displayTracebacks = False
    return site


class Root(Resource):
    """Knows its children; everything else is a 404 in JSON."""

    def getChild(self, path: bytes, request: Request) -> IResource:
        """There is no other."""
        return Nothing()

    def render(self, request: Request) -> int:
        """Nothing is at the root, unless a child of the empty name is."""
        return Nothing().render(request)


class Nothing(Resource):
    """404."""

    isLeaf = True

    def render(self, request: Request) -> int:
        """Answers."""
        answer(request, 404, {"error": "nothing is here", "mistakes": []})
        return NOT_DONE_YET


class BoundedRequest(Request):
    """A request whose body is small, or refused before it is stored anywhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken = 0
        self._refused = False

    def gotLength(self, length: int | None) -> None:
        """The head is complete."""
        # In memory, always: the parent would open a file where the length is not known.
        self.content = BytesIO()
        if length is not None and length > LARGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Some of the body."""
        self._taken += len(data)
        if self._taken > LARGEST_BODY:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """The body is complete."""
        if not self._refused:
            super().process()

    def render(self, resrc: Any) -> None:
        """The resource is found."""
        self.setHeader(b"server", b"revproxy")
        super().render(resrc)

    def _refuse(self) -> None:
        if self._refused:
            return
        self._refused = True
        channel = self.channel
        if isinstance(channel, HTTPChannel) and channel.transport is not None:
            channel.transport.write(_TOO_LARGE)
            channel.transport.loseConnection()


def _login(sessions: Sessions) -> Answering:
    async def login(arguments: Arguments) -> Any:
        return {"token": sessions.one_time(), "seconds": ONE_TIME}

    return login


def _flag(arguments: Arguments, name: str) -> bool:
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise Refusal(f"{name} is true or false", 400)
    return value
