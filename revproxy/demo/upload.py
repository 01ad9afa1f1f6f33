"""The upload: counts and digests a body while it arrives, and says what came. Nothing of it is kept."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from twisted.web.resource import Resource

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.server import Request


class StreamedBody:
    """Stands where ``twisted.web`` wants a file for the body; keeps a digest of it, and the times."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._digest = hashlib.sha256()
        self._started = clock.seconds()
        self._last = self._started
        self.first_after: float | None = None
        self.size = 0
        self.pieces = 0

    def write(self, data: bytes) -> None:
        self._last = self._clock.seconds()
        if self.first_after is None:
            self.first_after = self._last - self._started
        self._digest.update(data)
        self.size += len(data)
        self.pieces += 1

    def tell(self) -> int:
        return self.size

    def seek(self, offset: int, whence: int = 0) -> None:
        """There is nothing to go back to; ``twisted.web`` rewinds every body."""

    def read(self, size: int = -1) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing is open."""

    def report(self) -> dict[str, object]:
        """What arrived; ``first_after`` and ``seconds`` count from the head of the request."""
        return {
            "size": self.size,
            "sha256": self._digest.hexdigest(),
            "pieces": self.pieces,
            "first_after": round(self.first_after or 0.0, 4),
            "seconds": round(self._last - self._started, 4),
        }


class ReportBody(Resource):
    """Answers POST and PUT with the report on their body, as JSON."""

    def render_POST(self, request: Request) -> bytes:
        body = request.content
        assert isinstance(body, StreamedBody)
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        return json.dumps(body.report(), indent=2).encode("ascii") + b"\n"

    def render_PUT(self, request: Request) -> bytes:
        return self.render_POST(request)
