"""One fetch from a server for one or many clients, and into the store at the same time.

Theory of operation. A ``Fetch`` is the request that goes upstream. Before its answer's head is there, others with the
same key may wait for it (RFC 9111 §4 lets a cache collapse requests). With the head the policy decides:

- The answer may be stored and is fresh: it is written to a ``Filling``, and the one who asked first and everybody who
  waits become ``Reader``s of that filling, each at its own pace.
- The answer may be stored, but not be used twice without validation: only the first reads it; who waits is released.
- It may not be stored: the first gets it directly from the upstream, which from then on does not even pass here; who
  waits is released at once, and for a while nobody waits for this key again.

Ends. Only a proven end commits. A fetch goes on without clients where the rest is small; else its server is told to
stop. What was begun and broke off is kept as an incomplete response where a strong validator allows to add the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from revproxy.caching.decisions import (
    Freshen,
    PassOn,
    Refetch,
    Refuse,
    Replace,
    Serve,
    Store,
    ValidationDecision,
)
from revproxy.caching.partial import as_incomplete
from revproxy.caching.policy import FAILURES, on_failure, on_response, on_validation
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.vary import selects
from revproxy.errors import ClientGone, ProxyError
from revproxy.http.fields import Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import NO_BODY, Framing
from revproxy.interfaces import BodySource
from revproxy.resources.readers import Reader
from revproxy.resources.serving import PIECE
from revproxy.resources.shared import SharedAnswer

if TYPE_CHECKING:
    pass


class Fetch(SharedAnswer):
    """A request on its way upstream whose answer may be stored and shared."""

    __slots__ = ()

    def begin(self) -> None:
        """Sends it."""
        self.original.source = self
        self._cache.send(self)

    def cancel(self, error: ProxyError) -> None:
        """The first client is gone before an answer came, or reads directly."""
        if self._direct is not None or not (self.waiters or self.readers):
            self._close()
            super().cancel(error)

    def _stop(self, error: ProxyError) -> None:
        """Nobody reads any more, and the rest is long."""
        self._close()
        self._keep_incomplete()
        super().cancel(error)

    def pause(self) -> None:
        """The one who reads directly has enough for now."""
        if self.source is not None:
            self.source.pause()

    def interim(self, head: OutgoingHead) -> None:
        """A 1xx answer: for the first client alone."""
        if self._head is None and self._direct is None:
            self.original.interim(head)

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head: here it is decided."""
        self.source = source
        cache = self._cache
        now = cache.wall()
        fields = head.fields
        status = head.status
        asked = self._asked
        method = self.method
        if method != b"GET":
            cache.invalidate(self, head)
        if asked is not None:
            decision: ValidationDecision = PassOn(self._why)
            if status in FAILURES:
                decision = on_failure(asked.stored, self._controls, status, cache.options, now)
            if not isinstance(decision, Serve):
                decision = on_validation(
                    method, self._controls, asked, self._selected, status, fields, cache.options,
                    self._request_time, now,
                )  # fmt: skip
            if not isinstance(decision, Replace):
                self._validated(decision, head, framing, source, now)
                return
        verdict = on_response(
            method, self._controls, status, fields, cache.options, self._request_time, now,
            key=self._key, url=cache.url_of(self), reason=head.reason,
        )  # fmt: skip
        if isinstance(verdict, Store) and framing.kind == "length" and cache.is_too_large(framing.length):
            verdict = Refuse(cache.too_large, True)
        if isinstance(verdict, Store) and not cache.may_keep(self):
            verdict = Refuse(cache.odd_host, False)
        if isinstance(verdict, Refuse):
            if verdict.outdated:
                for stored in self._selected:
                    cache.store.remove(stored)
            self._refused(verdict, head, framing, source)
        else:
            self._stored(verdict, head, framing)

    def _refused(self, verdict: Refuse, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        cache = self._cache
        member = cache.status.forward(self._why.forward or "miss", detail=verdict.reason.detail)
        cache.flights.refuse(self._key, self, cache.sweep.now())
        self._pass_on(head, framing, source, member)
        self._release_waiters()

    def _pass_on(self, head: OutgoingHead, framing: Framing, source: BodySource | None, member: bytes) -> None:
        """The answer is the first client's alone."""
        self._close()
        original = self.original
        original.transaction.cache_status = member
        self._direct = original
        out = self._cache.serving.passed_on(head, member)
        hand_over = getattr(source, "answer_to", None)
        if hand_over is not None:
            hand_over(original)
            original.start(out, framing, source)
        else:
            original.start(out, framing, self if source is not None else None)

    def _stored(self, verdict: Store, head: OutgoingHead, framing: Framing) -> None:
        cache = self._cache
        stored_head = verdict.head
        self._head = stored_head
        if framing.kind == "length":
            self._expected = framing.length
            if stored_head.total < 0 and stored_head.status != 206:
                stored_head.total = framing.length
        elif framing is NO_BODY:
            self._expected = 0
        self.filling = cache.store.begin(self._key, self._expected)
        original = self.original
        member = cache.status.forward(self._why.forward or "miss", stored=True, ttl=verdict.ttl)
        original.transaction.cache_status = member
        is_shared = verdict.ttl > 0 and stored_head.status != 206
        if not is_shared:
            cache.flights.refuse(self._key, self, cache.sweep.now())
        reader = Reader(self, original, trailers=True)
        self.readers[reader] = None
        original.start(cache.serving.passed_on(head, member), framing, reader)
        if is_shared:
            waiters, self.waiters = list(self.waiters), {}
            for waiter in waiters:
                if selects(stored_head, waiter.request.fields):
                    self._attach(waiter, stored_head)
                else:
                    cache.go_alone(waiter.request, waiter.controls)
        else:
            self._release_waiters()

    def _validated(
        self, decision: Any, head: OutgoingHead, framing: Framing, source: BodySource | None, now: float
    ) -> None:
        cache = self._cache
        original = self.original
        why = self._why.forward or "stale"
        if isinstance(decision, Freshen):
            renewed: dict[int, StoredResponse] = {}
            for stored, new in decision.updates:
                renewed[id(stored)] = cache.store.freshen(stored, new)
            for stored in decision.drop:
                cache.store.remove(stored)
            for stored in decision.invalidate:
                cache.store.freshen(stored, stored.head.as_invalidated())
            if decision.serve is None:
                self._pass_on(head, framing, source, cache.status.forward(why, detail=decision.reason.detail))
                self._release_waiters()
                return
            stored, new = decision.serve
            self._close()
            self._ignore(framing, source)
            current = renewed.get(id(stored), stored)
            member = cache.status.forward(why, status=head.status, stored=bool(renewed), detail=decision.reason.detail)
            judgement = cache.judged(new)
            self._serve_again(current, new, judgement.age(now), member, now)
            fresh = bool(renewed) and judgement.is_fresh(now) and judgement.must_validate is None
            self._share_validated(current, member, now) if fresh else self._release_waiters()
        elif isinstance(decision, Serve):
            self._close()
            self._ignore(framing, source)
            member = cache.status.forward(why, status=head.status, detail=decision.reason.detail, ttl=decision.ttl)
            self._serve_again(decision.stored, decision.stored.head, decision.age, member, now)
            self._release_waiters()
        elif isinstance(decision, Refetch):
            self._close()
            self._ignore(framing, source)
            cache.refetch(original, self._controls, self._key, self.waiters)
        else:
            self._pass_on(head, framing, source, cache.status.forward(why, detail=decision.reason.detail))
            self._release_waiters()

    def _serve_again(self, stored: StoredResponse, head: StoredHead, age: float, member: bytes, now: float) -> None:
        original = self.original
        original.transaction.cache_status = member
        original.source = None
        self._cache.serving.answer(original, self._controls, head, stored.content, age, member, now)

    def _share_validated(self, stored: StoredResponse, member: bytes, now: float) -> None:
        waiters, self.waiters = list(self.waiters), {}
        for waiter in waiters:
            request = waiter.request
            if not selects(stored.head, request.fields):
                self._cache.go_alone(request, waiter.controls)
                continue
            told = self._cache.status.forward(self._why.forward or "stale", collapsed=True)
            request.transaction.cache_status = told
            request.source = None
            age = self._cache.judged(stored.head).age(now)
            self._cache.serving.answer(request, waiter.controls, stored.head, stored.content, age, told, now)

    def _ignore(self, framing: Framing, source: BodySource | None) -> None:
        """What follows the head is nobody's. A short page is read, so that its connection can be used again."""
        self._passing = True
        if source is not None and framing is not NO_BODY and not (framing.kind == "length" and framing.length <= PIECE):
            source.cancel(ClientGone("a stored response is used instead of the server's"))

    def finish(self, trailers: Fields) -> None:
        """The answer is complete, proven by its framing."""
        if self._direct is not None:
            self._direct.finish(trailers)
            return
        filling = self.filling
        head = self._head
        self.source = None
        if filling is None or head is None:
            return
        self.complete = True
        self.trailers = trailers
        if not filling.broken:
            self._cache.keep(filling, head.as_invalidated() if self.outdated else head, self._selected)
        self._close()
        for reader in list(self.readers):
            reader.go_on()
        self.release_filling()

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        self.source = None
        if self._direct is not None:
            self._direct.fail(error)
            return
        if self._passing:
            return
        self._close()
        cache = self._cache
        if self._head is not None:
            self._keep_incomplete()
            readers, self.readers = list(self.readers), {}
            for reader in readers:
                reader.request.fail(error)
            return
        now = cache.wall()
        asked = self._asked
        decision = on_failure(asked.stored if asked else None, self._controls, 0, cache.options, now)
        if isinstance(decision, Serve) and error.fault == "upstream":
            member = cache.status.forward("stale", detail=decision.reason.detail, ttl=decision.ttl)
            transaction = self.original.transaction
            transaction.reason, transaction.detail = error.reason, error.detail
            self._serve_again(decision.stored, decision.stored.head, decision.age, member, now)
        else:
            member = cache.status.forward(self._why.forward or "miss")
            self.original.transaction.cache_status = member
            self.original.fail(error)
        self._release_waiters()

    def _keep_incomplete(self) -> None:
        filling, head = self.filling, self._head
        if filling is None or head is None:
            return
        if filling.size and not filling.broken and not self.outdated:
            incomplete = as_incomplete(head, self._cache.options, self._expected)
            if isinstance(incomplete, StoredHead):
                self._cache.keep(filling, incomplete, self._selected)
        filling.discard()
        self.filling = None
