"""One answer that several clients read while it arrives and is stored.

Pace. While the filling can still be committed, it holds everything, so the upstream waits for the fastest reader alone.
Once it is too big to be kept, octets that all readers have are forgotten, the upstream waits for the slowest, and one
who keeps the others waiting for too long is cut. A single reader of what will not be kept gets it directly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Forward, Revalidate
from revproxy.caching.policy import validation_fields
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import NO_CONTENT, StoredHead, StoredResponse
from revproxy.errors import ClientGone, LaggedBehind, ProxyError
from revproxy.http.fields import NO_FIELDS
from revproxy.http.framing import CHUNKED, NO_BODY, Framing
from revproxy.interfaces import Filling, Request
from revproxy.resources.forwarded import ForwardedRequest
from revproxy.resources.readers import Reader, Waiter

if TYPE_CHECKING:
    from revproxy.resources.caching import CachingResource

AHEAD: Final = 512 * 1024
"""Octets by which a server may be ahead of the reader that paces it."""
AHEAD_UNKEPT: Final = 64 * 1024
"""The same where the answer can't be kept: these octets are in nobody's account, so they are few."""
WORTH_FINISHING: Final = 1024 * 1024
"""Octets that may be missing of an answer that is fetched on though every client has left."""
LAG: Final = 10.0
"""Seconds for which one reader may hold up the others of an answer that can't be kept."""


class SharedAnswer(ForwardedRequest):
    """A request on its way upstream, and those who wait for its answer or read it."""

    __slots__ = (
        "_arriving",
        "_asked",
        "_began",
        "_cache",
        "_collapsed",
        "_controls",
        "_deadline",
        "_direct",
        "_expected",
        "_head",
        "_held",
        "_key",
        "_leaderless",
        "_part",
        "_passing",
        "_paused",
        "_request_time",
        "_selected",
        "_sweeping",
        "_why",
        "complete",
        "filling",
        "readers",
        "trailers",
        "waiters",
    )

    def __init__(
        self,
        cache: CachingResource,
        original: Request,
        controls: RequestControls,
        key: bytes,
        decision: Forward | Revalidate,
        selected: tuple[StoredResponse, ...],
        *,
        alone: bool = False,
    ) -> None:
        """``alone``: the request waited for another one's answer, in vain."""
        asked = decision if isinstance(decision, Revalidate) else None
        fields = validation_fields(original.fields, asked) if asked is not None else None
        super().__init__(original, fields)
        self._cache = cache
        self._controls = controls
        self._key = key
        self._asked = asked
        self._selected = selected
        self._why = decision.reason
        self._collapsed = False if alone else None
        self._request_time = cache.wall()
        self._began = cache.flights.changes
        self._head: StoredHead | None = None
        self._arriving: StoredResponse | None = None
        """What is arriving, as the policy sees it."""
        self._expected = -1
        self._part = -1
        """The octets that Content-Range promises."""
        self._deadline = 0.0
        self._direct: Request | None = None
        """Who gets everything that comes, unseen by us."""
        self._passing = False
        """Whether what comes is nobody's: its head was enough."""
        self._held = False
        """Whether the first client has enough for now, before it got anything of this answer."""
        self._leaderless = False
        """Whether the first client left before the answer came."""
        self._paused = False
        self._sweeping = False
        self.filling: Filling | None = None
        self.complete = False
        self.trailers = NO_FIELDS
        self.readers: dict[Reader, None] = {}
        self.waiters: dict[Waiter, None] = {}

    def may_be_joined(self, controls: RequestControls) -> bool:
        """Whether a request with the same key may wait here, or read what is arriving."""
        if controls.no_store or controls.ranged or self._direct is not None or self._passing:
            return False
        if controls.max_age == 0 and self._cache.options.client_directives:
            # Nothing that was asked for earlier is young enough.
            return False
        return self._head is None or (self.filling is not None and not self.filling.broken and not self.complete)

    def join(self, request: Request, controls: RequestControls, reason: Reason) -> None:
        """Waits for the answer, or reads it from its beginning."""
        waiter = Waiter(self, request, controls, reason)
        if self._head is not None:
            self._attach(waiter)
            return
        request.source = waiter
        self.waiters[waiter] = None
        if not self._sweeping:
            self._sweep()
            self._deadline = self._cache.sweep.now() + self._cache.collapse_timeout

    def forsake(self, waiter: Waiter, error: ProxyError) -> None:
        """A waiter's client is gone."""
        self.waiters.pop(waiter, None)
        if self._leaderless and not self.waiters and not self.readers and self._head is None and not self._passing:
            self._stop(error)

    def _attach(self, waiter: Waiter) -> None:
        """Lets one who waited read what is arriving, if the policy would answer it from the store with this."""
        request, controls = waiter.request, waiter.controls
        cache = self._cache
        head = self._head
        if head is None or self.filling is None:
            cache.go_alone(waiter)
            return
        stored = self._arriving
        if stored is None:
            stored = self._arriving = StoredResponse(head, NO_CONTENT)
        now = cache.wall()
        decision = cache.usable(request, controls, stored, now)
        if decision is None:
            cache.go_alone(waiter)
            return
        member = cache.status.forward(waiter.reason.forward or "miss", collapsed=True, ttl=decision.ttl)
        request.transaction.cache_status = member
        serving = cache.serving
        if controls.conditional or request.method == b"HEAD":
            request.source = None
            if serving.answer_without_content(request, controls, head, self._expected, decision.age, member, now):
                return
        reader = Reader(self, request, trailers=False, paused=waiter.paused)
        self.readers[reader] = None
        framing = Framing("length", self._expected) if self._expected >= 0 else CHUNKED
        if head.status in (204, 304):
            framing = NO_BODY
        request.start(serving.outgoing(head, decision.age, member), framing, reader)
        reader.go_on()

    def leave(self, reader: Reader, error: ProxyError) -> None:
        """A reader's client is gone."""
        self.readers.pop(reader, None)
        if self.complete:
            self.release_filling()
        elif not self.readers and not self.waiters and not self._is_worth_finishing():
            self._stop(error)
        else:
            self.pace()

    def drop(self, reader: Reader, error: ProxyError) -> None:
        """A reader can't be served any more."""
        if reader in self.readers:
            self.leave(reader, error)
            reader.request.fail(error)

    def _is_worth_finishing(self) -> bool:
        filling = self.filling
        if filling is None or filling.broken:
            return False
        return self._expected >= 0 and self._expected - filling.size <= WORTH_FINISHING

    def pace(self) -> None:
        """Lets the server go on, or wait, for the reader that counts; forgets what nobody needs."""
        filling = self.filling
        source = self.source
        if filling is None or source is None or self.complete:
            return
        if not self.readers:
            wait = False
        elif filling.broken:
            slowest = min(reader.offset for reader in self.readers)
            filling.forget(slowest)
            wait = filling.size - slowest > AHEAD_UNKEPT
            if wait and len(self.readers) > 1:
                self._sweep()
        else:
            wait = filling.size - max(reader.offset for reader in self.readers) > AHEAD
        if wait != self._paused:
            self._paused = wait
            if wait:
                source.pause()
            else:
                source.resume()

    def write(self, data: bytes) -> None:
        """Octets of the answer's body."""
        if self._direct is not None:
            self._direct.write(data)
            return
        filling = self.filling
        if filling is None:
            return
        before = filling.size
        filling.write(data)
        for reader in list(self.readers):
            if reader.offset == before and not reader.paused:
                reader.offset = before + len(data)
                reader.request.write(data)
        if filling.broken:
            self._hand_over(filling)
            if self._direct is None and not self.readers:
                # Nobody reads it, and it can't be kept.
                self._stop(ClientGone("nobody reads the answer"))
                return
        self.pace()

    def _hand_over(self, filling: Filling) -> None:
        """What can't be kept, and has one reader who has all of it so far, goes to that one directly."""
        if len(self.readers) != 1 or self.waiters:
            return
        reader = next(iter(self.readers))
        source = self.source
        hand_over = getattr(source, "answer_to", None)
        if hand_over is None or reader.paused or reader.offset != filling.size:
            return
        self._close()
        self.readers.clear()
        filling.discard()
        self.filling = None
        self._direct = reader.request
        reader.request.source = source
        hand_over(reader.request)
        if self._paused and source is not None:
            source.resume()

    def flush(self) -> None:
        """The server has nothing more at the moment."""
        if self._direct is not None:
            self._direct.flush()
        else:
            for reader in list(self.readers):
                reader.request.flush()

    def release_filling(self) -> None:
        """The last reader is through."""
        if self.complete and not self.readers and self.filling is not None:
            self.filling.discard()
            self.filling = None

    def _release_waiters(self) -> None:
        for waiter in self._take_waiters():
            self._cache.go_alone(waiter)

    def _take_waiters(self) -> Iterator[Waiter]:
        """Those who still wait; answering one may make others leave."""
        waiters, self.waiters = list(self.waiters), {}
        for waiter in waiters:
            if not waiter.gone:
                waiter.request.source = None
                yield waiter

    def _close(self) -> None:
        """Nobody joins any more."""
        self._cache.flights.leave(self._key, self)
        if self._sweeping and not self.readers:
            self._sweeping = False
            self._cache.sweep.discard(self)

    def _sweep(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._cache.sweep.add(self)

    def sweep(self, now: float) -> None:
        """Keeps the deadlines of those who wait, and of those who make others wait."""
        if self.waiters:
            if now >= self._deadline:
                self._cache.flights.leave(self._key, self)
                self._release_waiters()
                if self._leaderless:
                    self._stop(ClientGone("nobody waits for the answer any more"))
            return
        filling = self.filling
        if self.complete or filling is None or not filling.broken or len(self.readers) < 2:
            self._sweeping = False
            self._cache.sweep.discard(self)
            return
        behind = filling.size - AHEAD_UNKEPT
        # Where all are slow alike, nobody keeps anybody waiting.
        starving = any(reader.offset == filling.size for reader in self.readers)
        for reader in list(self.readers):
            if reader.offset >= behind or not starving:
                reader.lags_since = -1.0
            elif reader.lags_since < 0:
                reader.lags_since = now
            elif now - reader.lags_since >= LAG:
                self.drop(reader, LaggedBehind("others wait for what this client does not take"))

    def _stop(self, error: ProxyError) -> None:
        """Nobody reads any more, and the rest is long."""
        raise NotImplementedError
