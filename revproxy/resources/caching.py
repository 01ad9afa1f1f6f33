"""The caching resource: wraps whatever answers, and answers for it where RFC 9111 allows.

The policy decides, the store keeps, ``serving`` answers, ``fetch`` and ``passage`` go and ask: here they meet. A hit
takes one look-up and one decision, and makes nothing but the octets of its head.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from zope.interface import implementer

from revproxy.caching.cache_status import CacheStatus
from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Forward, Freshen, GatewayTimeout, Revalidate, Serve
from revproxy.caching.flights import Flights
from revproxy.caching.freshness import Judgement, judged
from revproxy.caching.groups import invalidated_groups, origin_of
from revproxy.caching.key import KeyOptions, PrimaryKeys, is_canonical, rewriting_field, target_of
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.partial import combined
from revproxy.caching.policy import invalidated, on_request, revalidation, validation_fields
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.vary import matching, selects, surplus
from revproxy.errors import CacheOnly, ProxyError
from revproxy.http.fields import Fields
from revproxy.http.forward import Network, OutgoingHead
from revproxy.interfaces import Filling, IResponder, IStore, Request, Selection
from revproxy.resources.fetch import Fetch
from revproxy.resources.forwarded import ForwardedRequest, UnattendedRequest
from revproxy.resources.passage import Passage
from revproxy.resources.readers import Waiter
from revproxy.resources.serving import Serving
from revproxy.resources.stock import StockRequest
from revproxy.wire.sweep import Sweep

_log = Logger()

COLLAPSE_TIMEOUT: Final = 5.0
MOST_BACKGROUND: Final = 64
LARGEST_COMBINED: Final = 16 * 1024 * 1024
"""Octets up to which parts of a representation are put together."""

Found = tuple[StoredResponse, ...]


class RequestView:
    """What a request's fields say to a cache."""

    __slots__ = ("controls", "rewriting")

    def __init__(self, fields: Fields) -> None:
        self.controls = RequestControls(fields)
        self.rewriting = bool(rewriting_field(fields))


@implementer(IResponder)
class CachingResource(Resource):
    """Answers from a store, or from the responder behind.

    :param inner: who answers what the store can't: a ``ProxyResource``, or any ``IResponder``.
    :param store: where responses are kept; routes may share one.
    :param sweep: the process's, for the deadlines of those who wait.
    :param options: the policy of this route.
    :param keys: what its cache key is made of.
    :param name: what this cache calls itself in Cache-Status.
    :param says: whether answers have Cache-Status (RFC 9211).
    :param collapse_timeout: seconds that a request waits for the head of another one's answer.
    :param background: validations at once that no client waits for.
    :param wall: the wall clock, seconds.
    """

    isLeaf = True

    def __init__(
        self,
        inner: Any,
        store: IStore,
        sweep: Sweep,
        *,
        options: CacheOptions = DEFAULT_OPTIONS,
        keys: KeyOptions | None = None,
        name: bytes = b"revproxy",
        says: bool = True,
        collapse_timeout: float = COLLAPSE_TIMEOUT,
        background: int = MOST_BACKGROUND,
        trusted_proxies: tuple[Network, ...] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._inner = inner
        self.store: Any = store
        self.sweep = sweep
        self.options = options
        self.keys = PrimaryKeys(keys or KeyOptions())
        self.status = CacheStatus(name)
        self.serving = Serving(self.status, says=says)
        self.flights = Flights()
        self.collapse_timeout = collapse_timeout
        self.wall = wall
        self.too_large = Reason.TOO_LARGE
        self.odd_host = Reason.ODD_HOST
        self._background = background
        self._validating: set[bytes] = set()
        self._trusted = trusted_proxies

    # Requests.

    def respond(self, request: Request) -> None:
        """Answers, now or later."""
        facts = request.facts
        view = facts.cache_view
        if view is None or view.controls.fields is not request.fields:  # type: ignore[attr-defined]
            view = facts.cache_view = RequestView(request.fields)
        if view.rewriting:  # type: ignore[attr-defined]
            self._pass(request, view.controls, Reason.REWRITING_FIELD)  # type: ignore[attr-defined]
            return
        controls: RequestControls = view.controls  # type: ignore[attr-defined]
        if controls.upgrades and request.can_upgrade and facts.upgrades:
            self._inner.respond(request)
            return
        key = self._key(request)
        found = self.store.find(key)
        if type(found) is tuple:
            self._decide(request, controls, key, found, request.transaction.started)
        else:
            _Lookup(self, request, controls, key).wait(found)

    def _key(self, request: Request) -> bytes:
        return self.keys.of(
            request.public_scheme,
            request.authority,
            request.target,
            public_authority=request.public_authority,
            method=request.method,
            fields=request.fields,
            trusted=request.client.trusted,
        )

    def found(self, request: Request, controls: RequestControls, key: bytes, found: Found) -> None:
        """The store answered, after a while."""
        self._decide(request, controls, key, found, self.wall())

    def _decide(
        self,
        request: Request,
        controls: RequestControls,
        key: bytes,
        found: Found,
        now: float,
        *,
        alone: bool = False,
    ) -> None:
        selected: Any = ()
        if found:
            if len(found) == 1:
                head = found[0].head
                if not head.selecting or selects(head, request.fields):
                    selected = found
            else:
                selected = tuple(matching(found, request.fields, now))
        decision = on_request(request.method, controls, selected, found, self.options, now)
        if type(decision) is Serve:
            if decision.revalidate:
                self._validate_behind(request, decision.stored, key)
            self.serving.serve(request, controls, decision, now)
        elif isinstance(decision, GatewayTimeout):
            request.transaction.cache_status = self.status.forward("request", detail=decision.reason.detail)
            request.fail(CacheOnly("the client wants a stored response, and none can be used"))
        elif isinstance(decision, Forward | Revalidate):
            self._go(request, controls, key, decision, selected, alone)

    def _go(
        self,
        request: Request,
        controls: RequestControls,
        key: bytes,
        decision: Forward | Revalidate,
        selected: Found,
        alone: bool,
    ) -> None:
        if not decision.may_store:
            Passage(self, request, controls, decision, selected).begin()
            return
        if decision.may_join and not alone:
            flight: Fetch | None = self.flights.get(key)
            if flight is not None and flight.may_be_joined(request):
                flight.join(request, controls)
                return
        fetch = Fetch(self, request, controls, key, decision, selected)
        if decision.may_lead and not alone:
            self.flights.lead(key, fetch, self.sweep.now())
        fetch.begin()

    def _pass(self, request: Request, controls: RequestControls, reason: Reason) -> None:
        Passage(self, request, controls, Forward(reason, False, False, False), ()).begin()

    def go_alone(self, request: Request, controls: RequestControls) -> None:
        """A request that waited for another one's answer in vain is decided about again, and waits for nobody."""
        request.source = None
        key = self._key(request)
        found = self.store.find(key)
        if type(found) is tuple:
            self._decide(request, controls, key, found, self.wall(), alone=True)
        else:
            _Lookup(self, request, controls, key).wait(found)

    def refetch(self, original: Request, controls: RequestControls, key: bytes, waiters: dict[Waiter, None]) -> None:
        """Nothing that is stored is valid: the client's request is sent as it came."""
        decision = Forward(Reason.UNKNOWN_VALIDATOR, not controls.no_store, False, True)
        fetch = Fetch(self, original, controls, key, decision, ())
        if self.flights.lead(key, fetch, self.sweep.now()):
            fetch.waiters.update(waiters)
            for waiter in waiters:
                waiter.fetch = fetch
            waiters.clear()
        for waiter in list(waiters):
            self.go_alone(waiter.request, waiter.controls)
        fetch.begin()

    def send(self, request: ForwardedRequest) -> None:
        """Asks who answers what the store can't."""
        try:
            self._inner.respond(request)
        except ProxyError as error:
            request.fail(error)

    def _validate_behind(self, request: Request, stored: StoredResponse, key: bytes) -> None:
        """RFC 5861 §3: the client got what is stale; what is next is asked for without anybody waiting."""
        if key in self._validating or self.flights.get(key) is not None or len(self._validating) >= self._background:
            return
        asked = revalidation(stored, self.options)
        base = validation_fields(request.fields, asked._replace(add=()))
        self._validating.add(key)
        unattended = UnattendedRequest(request, base, lambda: self._validating.discard(key))
        fetch = Fetch(self, unattended, RequestControls(base), key, asked, (stored,))
        self.flights.lead(key, fetch, self.sweep.now())
        fetch.begin()

    # For fetches and passages.

    def judged(self, head: StoredHead) -> Judgement:
        """What a head means under this route's options."""
        return judged(head, self.options)

    def is_too_large(self, length: int) -> bool:
        """Whether content of this length is not kept."""
        largest = self.options.largest
        return length > self.store.largest or 0 <= largest < length

    def may_keep(self, request: ForwardedRequest) -> bool:
        """Whether an answer to a request for this spelling of its host may be stored."""
        return is_canonical(request.original.authority, request.original.public_scheme)

    def url_of(self, request: Request) -> bytes:
        """The target URI, as the key has it."""
        return self.keys.url(
            request.public_scheme, request.authority, request.target, public_authority=request.public_authority
        )

    def keep(self, filling: Filling, head: StoredHead, selected: Found) -> None:
        """Commits what was fetched; parts are added to parts of the same representation that are there."""
        if head.status == 206:
            for stored in selected:
                if stored.head.status == 206 and stored.head.selecting == head.selecting:
                    if self._combined(filling, head, stored):
                        return
                    break
            if any(stored.head.status != 206 and stored.head.selecting == head.selecting for stored in selected):
                return
        found = self.store.find(head.key)
        if type(found) is tuple:
            for stored in surplus([one for one in found if one.head.selecting != head.selecting]):
                self.store.remove(stored)
        if head.status != 206:
            head.total = filling.size
        filling.commit(head)

    def _combined(self, filling: Filling, head: StoredHead, stored: StoredResponse) -> bool:
        """Puts a part to one that is stored (RFC 9111 §3.4); false where they don't fit."""
        made = combined(stored, head, filling.size, head.response_time)
        if isinstance(made, str) or made.combination.size > LARGEST_COMBINED:
            return False
        whole: Filling = self.store.begin(head.key, made.combination.size)
        try:
            for piece in made.combination.pieces:
                at, left = piece.offset, piece.length
                while left and not whole.broken:
                    data = (filling if piece.is_new else stored.content).read(at, min(left, 1 << 18))
                    if not data:
                        raise OSError("octets that were stored are gone")
                    whole.write(data)
                    at += len(data)
                    left -= len(data)
        except OSError:
            whole.discard()
            return False
        whole.commit(made.head)
        whole.discard()
        return True

    def renew(self, decision: Freshen) -> None:
        """Gives stored responses their new heads."""
        for stored, head in decision.updates:
            self.store.freshen(stored, head)
        for stored in decision.drop:
            self.store.remove(stored)
        for stored in decision.invalidate:
            self.store.freshen(stored, stored.head.as_invalidated())

    def invalidate(self, request: ForwardedRequest, head: OutgoingHead) -> None:
        """RFC 9111 §4.4, RFC 9875 §3: what an unsafe request that succeeded made doubtful."""
        urls = invalidated(request.method, self.url_of(request), head.status, head.fields)
        if urls:
            own = self._key(request.original)
            for number, url in enumerate(urls):
                key = own if number == 0 else self._key_of_url(request, url)
                if key:
                    self.flights.outdate(key)
                    self.store.invalidate(key)
                if self.keys.several_per_url or request.client.trusted:
                    self.store.purge(Selection(url=url))
        groups = invalidated_groups(request.method, head.fields) if 200 <= head.status < 400 else frozenset()
        if groups:
            self.store.invalidate_groups(origin_of(self.url_of(request)), groups)

    def _key_of_url(self, request: ForwardedRequest, url: bytes) -> bytes:
        """The key under which a request like this one, for another target of its origin, finds what is stored."""
        return self.keys.of(
            request.public_scheme,
            request.original.authority,
            target_of(url),
            public_authority=request.public_authority,
            method=request.method,
            fields=request.original.fields,
            trusted=request.client.trusted,
        )

    # In a stock Twisted tree.

    def getChild(self, path: bytes, request: Any) -> CachingResource:
        """Itself: everything below is its own."""
        return self

    def render(self, request: Any) -> int:
        """Answers a stock Twisted request."""
        adapted = StockRequest(request, self._trusted)
        try:
            adapted.prepare()
            self.respond(adapted)
        except ProxyError as error:
            adapted.fail(error)
        return NOT_DONE_YET


class _Lookup:
    """A request that waits for a store that is far away."""

    __slots__ = ("_cache", "_controls", "_gone", "_key", "_request")

    def __init__(self, cache: CachingResource, request: Request, controls: RequestControls, key: bytes) -> None:
        self._cache = cache
        self._request = request
        self._controls = controls
        self._key = key
        self._gone = False
        request.source = self

    def wait(self, found: Deferred[Found]) -> None:
        """Goes on when the store answers; what fails there is found to be nothing."""
        found.addErrback(lambda failure: ()).addCallback(self._found).addErrback(self._failed)

    def _found(self, found: Found) -> None:
        if not self._gone:
            self._request.source = None
            self._cache.found(self._request, self._controls, self._key, found)

    def _failed(self, failure: Failure) -> None:
        _log.failure("{id}: a request failed behind the store's answer", failure, id=self._request.request_id.decode())
        self._request.fail(ProxyError(f"the cache failed: {failure.value!r}"))

    def pause(self) -> None:
        """Nothing is sent yet."""

    def resume(self) -> None:
        """Nothing is sent yet."""

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        self._gone = True

