"""A download of any size, made up while it is sent: nothing is kept, and only as fast as the reader reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPullProducer
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.web.server import Request

_UNITS = {b"": 1, b"kb": 10**3, b"mb": 10**6, b"gb": 10**9, b"kib": 2**10, b"mib": 2**20, b"gib": 2**30}
_SIZE = re.compile(rb"(\d{1,13}) ?([kmg]i?b)?")
LARGEST = 2**40

# 64 KiB in numbered lines of 32 octets; a body is this again and again, so that a hole or a swap would show.
BLOCK = b"".join(b"%06x a line of a made-up file\n" % offset for offset in range(0, 65536, 32))


def parse_size(text: bytes) -> int | None:
    """``64KiB``, ``10MB``, ``2GiB`` or plain octets; None for anything else, and for more than a TiB."""
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None:
        return None
    size = int(match[1]) * _UNITS[match[2] or b""]
    return size if size <= LARGEST else None


@implementer(IPullProducer)
class MadeUpBody:
    """Writes one block whenever the transport has room for it."""

    def __init__(self, request: Request, size: int) -> None:
        self._request = request
        self._left = size

    def resumeProducing(self) -> None:
        piece = BLOCK[: self._left]
        self._left -= len(piece)
        self._request.write(piece)
        if not self._left:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        self._left = 0


class Download(Resource):
    """``?size=`` octets, with their Content-Length; 64 MiB when nothing is said."""

    def render_GET(self, request: Request) -> int | bytes:
        size = parse_size(request.args.get(b"size", [b"64MiB"])[0])
        if size is None:
            request.setResponseCode(400)
            request.setHeader(b"content-type", b"text/plain; charset=utf-8")
            return b"size: octets, or such as 64KiB, 10MB, 2GiB; at most 1024GiB\n"
        request.setHeader(b"content-type", b"application/octet-stream")
        request.setHeader(b"content-length", b"%d" % size)
        request.setHeader(b"content-disposition", b'attachment; filename="made-up.bin"')
        request.setHeader(b"cache-control", b"no-store")
        if request.method == b"HEAD" or not size:
            return b""
        # A pull producer; twisted.web's channel asks it again each time the socket has drained.
        request.registerProducer(MadeUpBody(request, size), False)
        return NOT_DONE_YET
