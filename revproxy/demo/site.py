"""The backend's tree of resources, and the Site that serves it."""

# mypy: allow-untyped-calls
# (what our classes inherit from twisted.web has no annotations)
from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from twisted.web import http
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request, Site
from twisted.web.static import Data

from revproxy.demo import pages
from revproxy.demo.answers import BakeCookies, RedirectAway
from revproxy.demo.download import Download
from revproxy.demo.echo import echo_resource
from revproxy.demo.failures import CloseMidBody, CloseWithoutAnswer, Fail
from revproxy.demo.streams import Events, SlowLines
from revproxy.demo.upload import ReportBody, StreamedBody

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

SERVER = b"demo-backend/1.0"
POWERED_BY = b"twisted.web"

_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class DemoRequest(Request):
    """A request whose body is digested while it arrives; the stock one would keep all of it in a file."""

    def gotLength(self, length: int | None) -> None:
        self.content = StreamedBody(self.channel.site.clock)  # type: ignore[attr-defined]  # set by Site

    def render(self, resrc: IResource) -> None:
        # What backends like to tell about themselves, for the proxy to take away.
        self.setHeader(b"server", SERVER)
        self.setHeader(b"x-powered-by", POWERED_BY)
        super().render(resrc)


class DemoSite(Site):
    """Serves the demo; ``clock`` is what its streams run by."""

    def __init__(self, clock: IReactorTime) -> None:
        # Forms are not parsed: StreamedBody has nothing left to parse.
        super().__init__(demo_tree(clock), DemoRequest, parsePOSTFormSubmission=False)
        self.clock = clock

    def log(self, request: http.Request) -> None:
        """Nothing: the access log to look at is the proxy's."""


def demo_tree(clock: IReactorTime) -> Resource:
    """All pages, each with what belongs to it one segment below; their links are relative, for any prefix."""
    root = Resource()
    home = pages.PageResource(pages.HomePage)
    root.putChild(b"", home)
    below: dict[bytes, tuple[Resource, dict[bytes, Resource]]] = {
        b"upload": (pages.PageResource(pages.UploadPage), {b"body": ReportBody()}),
        b"slow": (pages.PageResource(pages.SlowPage), {b"lines": SlowLines(clock)}),
        b"events": (pages.PageResource(pages.EventsPage), {b"stream": Events(clock)}),
        b"echo": (pages.PageResource(pages.EchoPage), {b"socket": echo_resource(clock)}),
        b"redirect": (pages.PageResource(pages.RedirectPage), {b"away": RedirectAway()}),
        b"landed": (pages.PageResource(pages.LandedPage), {}),
        b"cookies": (pages.PageResource(pages.CookiesPage), {b"bake": BakeCookies()}),
        b"download": (pages.PageResource(pages.DownloadPage), {b"file": Download()}),
        b"failures": (
            pages.PageResource(pages.FailuresPage),
            {b"error": Fail(), b"no-answer": CloseWithoutAnswer(), b"cut": CloseMidBody(clock)},
        ),
        b"static": (Resource(), _static()),
    }
    for name, (resource, children) in below.items():
        for child_name, child in children.items():
            resource.putChild(child_name, child)
        root.putChild(name, resource)
    return root


def _static() -> dict[bytes, Resource]:
    """The style sheet, the scripts and the icon, read once."""
    served: dict[bytes, Resource] = {}
    for entry in (files("revproxy.demo") / "static").iterdir():
        kind = _TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            served[entry.name.encode("ascii")] = Data(entry.read_bytes(), kind)
    return served


