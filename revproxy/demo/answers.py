"""Answers whose fields name the backend: a redirect and a cookie, as careless applications send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.web.resource import Resource

if TYPE_CHECKING:
    from twisted.web.server import Request


def own_address(request: Request) -> tuple[str, int]:
    """Host and port that this backend listens on, which no visitor of the proxy should ever be sent to."""
    here = request.getHost()
    return here.host, here.port


def landing(request: Request) -> str:
    """Where the redirect leads, with the backend's own address."""
    return "http://{}:{}/landed".format(*own_address(request))


class RedirectAway(Resource):
    """Redirects to the backend's own address."""

    def render_GET(self, request: Request) -> bytes:
        request.setResponseCode(302)
        request.setHeader(b"location", landing(request).encode("ascii"))
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Elsewhere.\n"


class BakeCookies(Resource):
    """Sets two cookies, one of them for the backend's own host; with ``?forget=1`` takes both back."""

    def render_POST(self, request: Request) -> bytes:
        forget = b"forget" in request.args
        age = "0" if forget else None
        visits = request.received_cookies.get(b"visits", b"")
        count = int(visits[:6]) + 1 if visits.isdigit() else 1
        host, _ = own_address(request)
        request.addCookie("visits", str(count), path="/", max_age=age, httpOnly=True, sameSite="lax")
        request.addCookie("flavour", "oatmeal", path="/", max_age=age, domain=host, sameSite="lax")
        request.setResponseCode(303)
        request.setHeader(b"location", b"../cookies")
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return b"Back to the page.\n"
