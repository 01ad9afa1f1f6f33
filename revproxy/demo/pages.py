"""The HTML pages: a template each in ``pages/``, in a common frame; templates escape what is filled in."""

# mypy: allow-untyped-calls
# (what our classes inherit from twisted.web has no annotations)
from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.template import Element, Tag, XMLString, flattenString, renderer, tags

from revproxy.demo.answers import landing, own_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.web.server import Request

# What a page may load: files of its own origin, and nothing from elsewhere.
POLICY = b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

DOCTYPE = b"<!DOCTYPE html>\n"

NAVIGATION = (
    ("./", "Start"),
    ("upload", "Upload"),
    ("download", "Download"),
    ("slow", "Slow stream"),
    ("events", "Events"),
    ("echo", "WebSocket"),
    ("redirect", "Redirect"),
    ("cookies", "Cookies"),
    ("failures", "Failures"),
)

FIELD_NOTES = {
    "host": "the name you asked for, kept; a route may set another",
    "via": "the proxy signs every message that it passes on",
    "x-request-id": "names this request in the access log and on error pages",
    "x-forwarded-for": "your address, as the proxy saw it; what a client claims here is dropped",
    "x-forwarded-proto": "how you reached the proxy: http or https",
    "x-forwarded-host": "the name you asked the proxy for",
    "x-forwarded-port": "the port you reached the proxy on",
    "forwarded": "the same, as RFC 7239 writes it",
}


def _template(name: str) -> XMLString:
    return XMLString((files("revproxy.demo") / "pages" / f"{name}.html").read_text("utf-8"))


def text(octets: bytes) -> str:
    """A field's octets as something to show; field values have no declared encoding."""
    return octets.decode("utf-8", "backslashreplace")


class Page(Element):
    """What is the same on every page; ``template`` fills the middle, with the renderers of the subclass."""

    template: ClassVar[str]
    title: ClassVar[str]
    address: ClassVar[str]
    script: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__(_template("frame"))

    @renderer
    def heading(self, request: Request, tag: Tag) -> Tag:
        return tag(self.title)

    @renderer
    def navigation(self, request: Request, tag: Tag) -> Iterator[Tag]:
        for address, label in NAVIGATION:
            link = tags.a(label, href=address)
            if address == self.address:
                link(**{"aria-current": "page"})
            yield tag.clone()(link)

    @renderer
    def own_script(self, request: Request, tag: Tag) -> Tag | str:
        return tag(src=f"static/{self.script}.js") if self.script else ""

    @renderer
    def content(self, request: Request, tag: Tag) -> object:
        # Loaded rather than wrapped in an Element of its own: its renderers are this page's.
        return _template(self.template).load()


class HomePage(Page):
    """Explains the features, and shows the request's fields as they arrived here."""

    template, title, address, script = "home", "One public endpoint, everything else hidden", "./", "home"

    @renderer
    def passed(self, request: Request, tag: Tag) -> Tag | str:
        return tag if request.requestHeaders.hasHeader(b"via") else ""

    @renderer
    def direct(self, request: Request, tag: Tag) -> Tag | str:
        return "" if request.requestHeaders.hasHeader(b"via") else tag

    @renderer
    def request_line(self, request: Request, tag: Tag) -> Tag:
        return tag(text(b"%s %s %s" % (request.method, request.uri, request.clientproto)))

    @renderer
    def peer(self, request: Request, tag: Tag) -> Tag:
        peer = request.getClientAddress()
        return tag(f"{peer.host}, port {peer.port}")

    @renderer
    def received(self, request: Request, tag: Tag) -> Iterator[Tag]:
        fields = request.requestHeaders.getAllRawHeaders()
        rows = [(text(name), text(value)) for name, values in fields for value in values]
        # What the proxy added comes first: it is what the page is about.
        rows.sort(key=lambda row: (row[0].lower() not in FIELD_NOTES, row[0].lower()))
        for name, value in rows:
            row = tag.clone()
            note = FIELD_NOTES.get(name.lower(), "")
            if note:
                row(class_="noted")
            row.fillSlots(name=name, value=value, note=note)
            yield row


class UploadPage(Page):
    template, title, address, script = "upload", "Upload", "upload", "upload"


class DownloadPage(Page):
    template, title, address, script = "download", "Download", "download", "download"


class SlowPage(Page):
    template, title, address, script = "slow", "Slow stream", "slow", "slow"


class EventsPage(Page):
    template, title, address, script = "events", "Server-sent events", "events", "events"


class EchoPage(Page):
    template, title, address, script = "echo", "WebSocket echo", "echo", "echo"


class FailuresPage(Page):
    template, title, address, script = "failures", "Failures", "failures", "failures"


class RedirectPage(Page):
    template, title, address = "redirect", "Redirect", "redirect"

    @renderer
    def location(self, request: Request, tag: Tag) -> Tag:
        return tag(landing(request))


class LandedPage(RedirectPage):
    """Where the redirect leads; its script compares the browser's address with the one the backend gave."""

    template, title, script = "landed", "Redirect: arrived", "landed"


class CookiesPage(Page):
    template, title, address = "cookies", "Cookies", "cookies"

    @renderer
    def received(self, request: Request, tag: Tag) -> Iterator[Tag]:
        for name, value in request.received_cookies.items():
            row = tag.clone()
            row.fillSlots(name=text(name), value=text(value))
            yield row

    @renderer
    def none_yet(self, request: Request, tag: Tag) -> Tag | str:
        return "" if request.received_cookies else tag

    @renderer
    def domain(self, request: Request, tag: Tag) -> Tag:
        return tag(own_address(request)[0])


class PageResource(Resource):
    """Serves one kind of page."""

    def __init__(self, page: type[Page]) -> None:
        super().__init__()
        self._page = page

    def render_GET(self, request: Request) -> int:
        def send(body: bytes) -> None:
            request.setHeader(b"content-type", b"text/html; charset=utf-8")
            request.setHeader(b"content-length", b"%d" % (len(DOCTYPE) + len(body)))
            request.setHeader(b"content-security-policy", POLICY)
            request.setHeader(b"cache-control", b"no-store")
            request.write(DOCTYPE + body)
            request.finish()

        body = flattenString(request, self._page())
        body.addCallbacks(send, request.processingFailed)
        return NOT_DONE_YET
