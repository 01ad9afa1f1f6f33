"""The body of the request in flight: cut from the connection's octets, handed to whoever reads it, at a pace.

Its reader may pause it; the time for which it did counts neither for nor against the client. A tunnel's octets come
through here too, uncut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from revproxy.config.model import Limits
from revproxy.downstream.request import StreamingRequest
from revproxy.errors import BadRequest, ContentTooLarge
from revproxy.http.fields import NO_FIELDS
from revproxy.http.framing import Decoder, FramingError

if TYPE_CHECKING:
    from revproxy.downstream.channel import Channel

UNPARSED: Final = 64 * 1024
"""Octets that may wait for their turn before reading pauses."""
RATE_GRACE: Final = 10.0
"""Seconds before the average rate of a body counts."""


class RequestBody:
    """What is still to come of a request's body. It lives until its last octet, or as long as its request."""

    __slots__ = (
        "_began",
        "_channel",
        "_decoder",
        "_paused_at",
        "_paused_for",
        "_progress",
        "_request",
        "_seen",
        "is_paused",
    )

    def __init__(self, channel: Channel, request: StreamingRequest, decoder: Decoder) -> None:
        self._channel = channel
        self._request = request
        self._decoder = decoder
        self.is_paused = False
        self._paused_at = 0.0
        self._paused_for = 0.0
        self._began = self._progress = channel.frontend.now()
        self._seen = 0

    def octets_received(self, data: bytes) -> None:
        """Octets of it, and perhaps some behind it."""
        request = self._request
        channel = self._channel
        sink = request.sink
        if sink is None:
            channel.keep(data)
            return
        decoder = self._decoder
        try:
            body, rest = decoder.feed(data)
        except FramingError as mistake:
            channel.abandon(request, BadRequest(str(mistake)))
            return
        if body:
            transaction = request.transaction
            transaction.received += len(body)
            if request.tunnel:
                sink.body_received(body)
                return
            if transaction.received > request.body_limit:
                channel.abandon(request, ContentTooLarge(f"more than {request.body_limit} octets"))
                return
        if decoder.done:
            channel.body = None
            request.is_body_complete = True
            if rest:
                channel.keep(rest)
            if self.is_paused and not channel.stream.is_reading and len(channel.pending) < UNPARSED:
                channel.stream.resume_reading()
            if body:
                sink.body_received(body)
            sink.body_ended(decoder.trailers)
        elif body:
            sink.body_received(body)

    def reader_found(self) -> None:
        """Somebody reads it from now on."""
        request = self._request
        channel = self._channel
        if channel.pending:
            data = channel.pending
            channel.set_pending(b"")
            self.octets_received(data)
        if channel.body is not self or request.over:
            return
        if channel.half_closed:
            self.input_ended()
            return
        self._began = self._progress = channel.frontend.now()
        if not self.is_paused and not channel.stream.is_reading:
            channel.stream.resume_reading()

    def input_ended(self) -> None:
        """The client sends nothing more, and somebody reads it."""
        request = self._request
        sink = request.sink
        if not request.tunnel:
            self._channel.abandon(request, BadRequest("the client closed in the middle of its request's body"))
        elif sink is not None:
            self._channel.body = None
            request.is_body_complete = True
            sink.body_ended(NO_FIELDS)
            if request.finished:
                self._channel.complete(request)

    def pause(self) -> None:
        """Its reader has enough for now."""
        if not self.is_paused:
            self.is_paused = True
            self._paused_at = self._channel.frontend.now()
            self._channel.stream.pause_reading()

    def resume(self) -> None:
        """Its reader can take more."""
        if self.is_paused:
            self.is_paused = False
            now = self._channel.frontend.now()
            self._paused_for += now - self._paused_at
            self._progress = now
            self._channel.stream.resume_reading()

    def delay(self, now: float, limits: Limits) -> str:
        """What is wrong with its pace; empty for nothing, and while nobody reads it."""
        request = self._request
        if request.tunnel or self.is_paused or request.sink is None:
            return ""
        received = request.transaction.received
        if received != self._seen:
            self._seen = received
            self._progress = now
        elif not request.invited:
            # It waits for 100 (Continue), and whoever is to say so has a deadline of its own.
            self._began = self._progress = now
        elif now - self._progress >= limits.body_timeout:
            return "no octet of the body came for too long"
        spent = now - self._began - self._paused_for - RATE_GRACE
        if spent > 0 and received < spent * limits.body_rate:
            return "the body comes too slowly"
        return ""
