"""The clients of a fetch: those who wait for its head, those who read what arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from revproxy.caching.controls import RequestControls
from revproxy.caching.reasons import Reason
from revproxy.errors import ProxyError, StoreFailed
from revproxy.http.fields import NO_FIELDS
from revproxy.interfaces import Request
from revproxy.resources.serving import PIECE

if TYPE_CHECKING:
    from revproxy.resources.shared import SharedAnswer


class Waiter:
    """A client that waits for somebody else's answer."""

    __slots__ = ("controls", "fetch", "gone", "paused", "reason", "request")

    def __init__(self, fetch: SharedAnswer, request: Request, controls: RequestControls, reason: Reason) -> None:
        self.fetch = fetch
        self.request = request
        self.controls = controls
        self.reason = reason
        """Why it was not answered from the store."""
        self.paused = False
        self.gone = False

    def pause(self) -> None:
        """The client has enough for now, though nothing was sent yet."""
        self.paused = True

    def resume(self) -> None:
        """The client can take more."""
        self.paused = False

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        self.gone = True
        self.fetch.forsake(self, error)


class Reader:
    """A client that reads an answer while it arrives."""

    __slots__ = ("_going", "fetch", "lags_since", "offset", "paused", "request", "trailers")

    def __init__(self, fetch: SharedAnswer, request: Request, *, trailers: bool, paused: bool = False) -> None:
        self.fetch = fetch
        self.request = request
        self.offset = 0
        self.paused = paused
        self.lags_since = -1.0
        self.trailers = trailers
        """Whether it gets the answer's trailers, which are not stored."""
        self._going = False

    def pause(self) -> None:
        """The client has enough for now."""
        self.paused = True

    def resume(self) -> None:
        """The client can take more."""
        self.paused = False
        self.go_on()
        self.fetch.pace()

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        self.fetch.leave(self, error)

    def go_on(self) -> None:
        """Sends what there is, until the client has enough."""
        if self._going:
            return
        self._going = True
        fetch = self.fetch
        filling = fetch.filling
        try:
            while filling is not None and not self.paused and self.offset < filling.size and self in fetch.readers:
                data = filling.read(self.offset, PIECE)
                if not data:
                    raise OSError("octets that were stored a moment ago are gone")
                self.offset += len(data)
                self.request.write(data)
        except OSError as mistake:
            fetch.drop(self, StoreFailed(str(mistake)))
            return
        finally:
            self._going = False
        if self in fetch.readers and not self.paused:
            self.request.flush()
            if fetch.complete and filling is not None and self.offset == filling.size:
                fetch.readers.pop(self)
                self.request.finish(fetch.trailers if self.trailers else NO_FIELDS)
                fetch.release_filling()
