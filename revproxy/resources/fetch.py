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

from revproxy.caching.decisions import (
    Forward,
    Freshen,
    PassOn,
    Refetch,
    Refuse,
    Replace,
    Serve,
    Store,
    ValidationDecision,
)
from revproxy.caching.groups import without_tags
from revproxy.caching.partial import as_incomplete
from revproxy.caching.policy import FAILURES, on_failure, on_response, on_validation
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.storing import outdates
from revproxy.errors import ClientGone, ProxyError, StoreFailed
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import NO_BODY, Framing
from revproxy.http.ranges import parse_content_range
from revproxy.interfaces import BodySource
from revproxy.resources.readers import Reader
from revproxy.resources.serving import PIECE
from revproxy.resources.shared import SharedAnswer


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
        else:
            self._leaderless = True

    def _stop(self, error: ProxyError) -> None:
        """Nobody reads any more, and the rest is long."""
        self._close()
        self._keep_incomplete()
        super().cancel(error)

    def pause(self) -> None:
        """The first client has enough for now. Who waits for the answer's head does not wait for this client too."""
        self._held = True
        if self._direct is not None:
            super().pause()

    def resume(self) -> None:
        """The first client can take more."""
        self._held = False
        if self._direct is not None:
            super().resume()

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
            changed = cache.flights.changed_since(self._began, (self._key,))
            cache.invalidate(self, head)
            if not changed:
                # Its own change is one that its answer knows of.
                self._began = cache.flights.changes
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
            key=self._key, url=cache.url_of(self), reason=head.reason, selected=self._selected,
        )  # fmt: skip
        if isinstance(verdict, Store):
            if framing.kind == "length" and cache.is_too_large(framing.length):
                verdict = Refuse(Reason.TOO_LARGE, outdates(method, status))
            elif not cache.may_keep(self):
                verdict = Refuse(Reason.ODD_HOST, False)
        if isinstance(verdict, Refuse):
            if verdict.outdated and asked is not None:
                for stored in self._selected:
                    cache.store.remove(stored)
            self._refused(verdict, head, framing, source)
        else:
            self._stored(verdict, head, framing)

    def _refused(self, verdict: Refuse, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        cache = self._cache
        if verdict.reason is Reason.ODD_HOST:
            # That is about this client alone, and says nothing of what others will get.
            cache.flights.leave(self._key, self)
            self._pass_on(head, framing, source, self._told(verdict.reason))
            for waiter in self._take_waiters():
                cache.begin_again(waiter)
            return
        told = self._told(verdict.reason)
        # What goes past the cache is not looked at, so its tags would not be taken out either.
        holds = self._controls.plain and not self._selected and not cache.options.bypasses
        holds = holds and self._why is Reason.MISS and without_tags(head.fields) is head.fields
        member = told if holds else b""
        cache.flights.refuse(self._key, self, cache.sweep.now(), member, cache.serving.added_lines(member))
        self._pass_on(head, framing, source, told)
        self._release_waiters()

    def _told(
        self, reason: Reason, *, status: int | None = None, ttl: float | None = None, otherwise: str = "miss"
    ) -> bytes:
        """Cache-Status for the first client."""
        return self._cache.status.forward(
            self._why.forward or otherwise, status=status, ttl=ttl, detail=reason.detail, collapsed=self._collapsed
        )

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
        if self._held and source is not None:
            source.pause()

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
        if stored_head.status == 206:
            told = parse_content_range(head.fields.get(b"content-range"))
            self._part = -1 if told is None else told.last - told.first + 1
        filling = self.filling = cache.store.begin(self._key, self._expected)
        is_shared = verdict.ttl > 0 and stored_head.status != 206
        if is_shared:
            cache.flights.forgive(self._key)
        else:
            cache.flights.refuse(self._key, self, cache.sweep.now())
        self._lead(verdict, head, framing, kept=not filling.broken)
        if is_shared:
            for waiter in self._take_waiters():
                self._attach(waiter)
        else:
            self._release_waiters()
        if not self.readers and not self.complete and not self._is_worth_finishing():
            self._stop(ClientGone("nobody reads the answer"))

    def _lead(self, verdict: Store, head: OutgoingHead, framing: Framing, *, kept: bool) -> None:
        """The first client's answer begins."""
        cache = self._cache
        original = self.original
        why = self._why.forward or "miss"
        ttl = verdict.ttl if kept else None
        member = cache.status.forward(why, stored=kept, collapsed=self._collapsed, ttl=ttl)
        original.transaction.cache_status = member
        asked = self._asked
        if asked is not None and asked.add and self._controls.conditional and self._is_worth_finishing():
            # Its own preconditions gave way to ours; now they are evaluated (RFC 9111 §4.3.2).
            original.source = None
            now = cache.wall()
            age = cache.judged(verdict.head).age(now)
            told = cache.status.forward(why, status=head.status, stored=kept, collapsed=self._collapsed, ttl=ttl)
            if cache.serving.answer_without_content(
                original, self._controls, verdict.head, self._expected, age, told, now
            ):
                original.transaction.cache_status = told
                return
        reader = Reader(self, original, trailers=True, paused=self._held)
        self.readers[reader] = None
        original.start(cache.serving.passed_on(head, member), framing, reader)

    def _validated(
        self,
        decision: Freshen | Serve | PassOn | Refetch,
        head: OutgoingHead,
        framing: Framing,
        source: BodySource | None,
        now: float,
    ) -> None:
        cache = self._cache
        if isinstance(decision, Freshen):
            renewed = cache.renew(decision)
            if decision.serve is not None:
                self._freshened(decision, renewed, head, framing, source, now)
                return
        elif isinstance(decision, Serve):
            self._close()
            self._ignore(framing, source)
            self._stand_in(decision, head.status, now)
            return
        elif isinstance(decision, Refetch):
            self._close()
            self._ignore(framing, source)
            self._refetch(Reason.UNKNOWN_VALIDATOR)
            return
        self._pass_on(head, framing, source, self._told(decision.reason, otherwise="stale"))
        self._release_waiters()

    def _freshened(
        self,
        decision: Freshen,
        renewed: dict[int, StoredResponse],
        head: OutgoingHead,
        framing: Framing,
        source: BodySource | None,
        now: float,
    ) -> None:
        """The server said that a stored response is valid: it is the answer, for those who wait as well."""
        assert decision.serve is not None
        cache = self._cache
        stored, new = decision.serve
        self._close()
        self._ignore(framing, source)
        current = renewed.get(id(stored))
        judgement = cache.judged(new)
        why = self._why.forward or "stale"
        ttl = judgement.fresh_until - now
        member = cache.status.forward(
            why, status=head.status, stored=current is not None, collapsed=self._collapsed, ttl=ttl,
            detail=decision.reason.detail,
        )  # fmt: skip
        if not self._serve_again(stored, new, judgement.age(now), member, now):
            cache.store.remove(current or stored)
            self._refetch(Reason.MISS)
            return
        for waiter in self._take_waiters():
            usable = None if current is None else cache.usable(waiter.request, waiter.controls, current, now)
            if usable is None:
                cache.go_alone(waiter)
                continue
            told = cache.status.forward(waiter.reason.forward or "stale", collapsed=True, ttl=usable.ttl)
            cache.give(waiter, usable, told, now)

    def _serve_again(self, stored: StoredResponse, head: StoredHead, age: float, member: bytes, now: float) -> bool:
        """Answers the first client from the store; false where the store lost the content."""
        original = self.original
        original.transaction.cache_status = member
        original.source = None
        try:
            self._cache.serving.answer(original, self._controls, head, stored.content, age, member, now)
        except OSError:
            return False
        return True

    def _stand_in(self, decision: Serve, status: int, now: float) -> None:
        """Answers with what is stale, since the server failed; those who wait as well, as far as they may be."""
        cache = self._cache
        member = self._told(decision.reason, status=status or None, ttl=decision.ttl, otherwise="stale")
        stored = decision.stored
        if not self._serve_again(stored, stored.head, decision.age, member, now):
            cache.store.remove(stored)
            self.original.fail(StoreFailed("the server failed, and the stored response is lost"))
        for waiter in self._take_waiters():
            stale = cache.on_failure(waiter.request, waiter.controls, stored, status, now)
            if stale is None:
                cache.go_alone(waiter)
                continue
            told = cache.status.forward(
                waiter.reason.forward or "stale", status=status or None, collapsed=True, ttl=stale.ttl,
                detail=stale.reason.detail,
            )  # fmt: skip
            cache.give(waiter, stale, told, now)

    def _refetch(self, reason: Reason) -> None:
        """Nothing that is stored is valid: the client's request is sent as it came."""
        cache = self._cache
        controls = self._controls
        decision = Forward(reason, not controls.no_store, False, True)
        fetch = type(self)(cache, self.original, controls, self._key, decision, ())
        if not self._leaderless:
            leads = not (controls.conditional or controls.ranged or controls.authorized)
            if leads and cache.flights.lead(self._key, fetch, cache.sweep.now()):
                for waiter in self._take_waiters():
                    fetch.join(waiter.request, waiter.controls, waiter.reason)
            fetch.begin()
        for waiter in self._take_waiters():
            cache.begin_again(waiter)

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
        if not filling.broken and (head.status != 206 or filling.size == self._part):
            cache = self._cache
            cache.keep(filling, head.as_invalidated() if cache.has_changed(head, self._began) else head, self._selected)
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
            transaction = self.original.transaction
            transaction.reason, transaction.detail = error.reason, error.detail
            self._stand_in(decision, 0, now)
        else:
            member = cache.status.forward(self._why.forward or "miss", collapsed=self._collapsed)
            self.original.transaction.cache_status = member
            self.original.fail(error)
            self._release_waiters()

    def _keep_incomplete(self) -> None:
        filling, head = self.filling, self._head
        if filling is None or head is None:
            return
        self.filling = None
        cache = self._cache
        fits = head.status != 206 or filling.size <= self._part
        if filling.size and fits and not filling.broken and not cache.has_changed(head, self._began):
            incomplete = as_incomplete(head, cache.options, self._expected if head.status == 200 else -1)
            if isinstance(incomplete, StoredHead):
                cache.keep(filling, incomplete, self._selected, came=head)
        filling.discard()


class BackgroundFetch(Fetch):
    """A validation that no client waits for: it ends as soon as what comes is not to be kept."""

    __slots__ = ()

    def _pass_on(self, head: OutgoingHead, framing: Framing, source: BodySource | None, member: bytes) -> None:
        self._close()
        self._ignore(framing, source)

    def _serve_again(self, stored: StoredResponse, head: StoredHead, age: float, member: bytes, now: float) -> bool:
        return True

    def _close(self) -> None:
        super()._close()
        self.original.finish(NO_FIELDS)

    def _is_worth_finishing(self) -> bool:
        return self.filling is not None and not self.filling.broken

    def _lead(self, verdict: Store, head: OutgoingHead, framing: Framing, *, kept: bool) -> None:
        """There is nobody to answer: the content is kept, whoever joins reads it."""
