"""The page that says why there is no answer: for a person (HTML) or a program (JSON), never naming a backend."""

from __future__ import annotations

import json

from revproxy.http.fields import Fields
from revproxy.http.render import REASONS

_EXPLAINED = {
    400: "The request could not be understood.",
    404: "Nothing is served at this address.",
    405: "This method is not allowed here.",
    408: "The request took too long to arrive.",
    411: "The request must tell the length of its content.",
    413: "The request's content is too large.",
    414: "The address is too long.",
    417: "The request expects something that can't be done here.",
    421: "The request was sent to the wrong server.",
    431: "The request's header fields are too large.",
    500: "Something went wrong here.",
    501: "The request uses something that is not supported.",
    502: "The service behind this page gave no usable answer.",
    503: "The service is too busy or stopping. Please try again in a moment.",
    504: "The service behind this page did not answer in time.",
    505: "This version of HTTP is not supported.",
}

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title}</title>
<style>:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}}
h1{{font-size:1.5rem}}code{{font-size:.9rem}}p.id{{opacity:.7}}</style></head>
<body><h1>{status} {title}</h1><p>{text}</p>
<p class="id">If you report this problem, please quote: <code>{request_id}</code></p></body></html>
"""


def prefers_json(fields: Fields | None) -> bool:
    """Whether Accept ranks JSON above HTML (RFC 9110 §12.5.1); without Accept a person is assumed."""
    accept = fields.get(b"accept") if fields is not None else None
    if not accept:
        return False
    json_quality = html_quality = any_quality = -1.0
    for member in accept.lower().split(b","):
        media, *parameters = (part.strip() for part in member.split(b";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition(b"=")
            if name.strip() == b"q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        if media in (b"application/json", b"application/*") or media.endswith(b"+json"):
            json_quality = max(json_quality, quality)
        elif media in (b"text/html", b"text/*", b"application/xhtml+xml"):
            html_quality = max(html_quality, quality)
        elif media == b"*/*":
            any_quality = max(any_quality, quality)
    if html_quality < 0:
        # HTML is accepted as anything is; what was named goes before it among equals.
        return json_quality > 0 and json_quality >= any_quality
    return json_quality > html_quality


def error_page(status: int, request_id: bytes, fields: Fields | None) -> tuple[bytes, bytes]:
    """The media type and the octets of the page for a status. ``fields`` are the request's, where there are any."""
    title = REASONS.get(status, b"Error").decode("ascii")
    text = _EXPLAINED.get(status, "The request could not be served.")
    request_text = request_id.decode("ascii")
    if prefers_json(fields):
        page = {"status": status, "title": title, "detail": text, "request_id": request_text}
        return b"application/json", json.dumps(page).encode("ascii") + b"\n"
    octets = _PAGE.format(
        status=status, title=title, text=text, request_id=request_text
    ).encode("ascii")
    return b"text/html; charset=utf-8", octets
