"""The caching resource: wraps whatever answers, and answers for it where RFC 9111 allows.

The policy decides, the store keeps, ``serving`` answers, ``fetch`` and ``passage`` go and ask: here they meet. A hit
takes one look-up and one decision, and makes nothing but the octets of its head.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger
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
from revproxy.caching.policy import invalidated, on_failure, on_request, revalidation, validation_fields
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.vary import matching, selects
from revproxy.errors import CacheOnly, ProxyError
from revproxy.http.forward import Network, OutgoingHead
from revproxy.interfaces import IResponder, IStore, Request, Selection
from revproxy.resources.fetch import BackgroundFetch, Fetch
from revproxy.resources.forwarded import ForwardedRequest, UnattendedRequest
from revproxy.resources.keeping import Keeping
from revproxy.resources.lookup import Lookup
from revproxy.resources.passage import Passage
from revproxy.resources.readers import Waiter
from revproxy.resources.serving import Serving
from revproxy.resources.stock import StockRequest
from revproxy.wire.sweep import Sweep

_log = Logger()

COLLAPSE_TIMEOUT: Final = 5.0
MOST_BACKGROUND: Final = 64
Found = tuple[StoredResponse, ...]


class RequestView:
    """What a request's fields say to a cache."""

    __slots__ = ("controls", "fields", "keys", "prefix", "rewriting", "usual")

    def __init__(self, controls: RequestControls, *, rewriting: bool) -> None:
        self.controls = controls
        self.fields = controls.fields
        self.rewriting = rewriting
        self.keys: PrimaryKeys | None = None
        """Those for which ``prefix`` and a target make a key."""
        self.usual: PrimaryKeys | None = None
        """The same, where the fields want nothing else of a cache."""
        self.prefix = b""

    def learn(self, keys: PrimaryKeys, prefix: bytes) -> None:
        """From now on ``prefix`` and a target make a key."""
        self.keys, self.prefix = keys, prefix
        self.usual = keys if self.controls.plain and not (self.controls.upgrades or self.rewriting) else None


def _view(request: Request) -> RequestView:
    """Made anew, or out of that of the same fields without Cookie."""
    fields = request.fields
    base = request.facts.base
    if base is None or base.fields is not fields.base:
        return RequestView(RequestControls(fields), rewriting=bool(rewriting_field(fields)))
    known = base.cache_view
    if not isinstance(known, RequestView):
        known = RequestView(RequestControls(base.fields), rewriting=bool(rewriting_field(base.fields)))
        base.cache_view = known
    view = RequestView(known.controls.beside(fields), rewriting=known.rewriting)
    if known.keys is not None:
        view.learn(known.keys, known.prefix)
    return view


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
        self._refusals = self.flights.refusals
        self.keep = Keeping(store, options).keep
        self.collapse_timeout = collapse_timeout
        self.wall = wall
        self._background = background
        self._validating: set[bytes] = set()
        self._trusted = trusted_proxies

    # Requests.

    def respond(self, request: Request) -> None:
        """Answers, now or later."""
        facts = request.facts
        view: Any = facts.cache_view
        if view is None or view.fields is not request.fields:
            view = facts.cache_view = _view(request)
        usual = view.usual is self.keys and request.method == b"GET" and request.authority is facts.authority
        if usual:
            key = view.prefix + request.target
        else:
            controls: RequestControls = view.controls
            if view.rewriting:
                self._pass(request, controls, Reason.REWRITING_FIELD)
                return
            if controls.upgrades and request.can_upgrade and facts.upgrades:
                self._pass(request, controls, Reason.UPGRADE)
                return
            if view.keys is self.keys and request.authority is facts.authority:
                key = view.prefix + request.target
            else:
                key = self._first_key(request, view)
            usual = controls.plain and request.method == b"GET"
        if usual:
            refusal = self._refusals.get(hash(key))
            if refusal is not None:
                if refusal.left and self.sweep.now() < refusal.until:
                    refusal.left -= 1
                    request.transaction.cache_status = refusal.member
                    request.added_lines += refusal.lines
                    self._inner.respond(request)
                    return
                refusal.look()
        found = self.store.find(key)
        if type(found) is tuple:
            self._decide(request, view.controls, key, found, request.transaction.started)
        else:
            Lookup(self, request, view.controls, key).wait(found)

    def _first_key(self, request: Request, view: RequestView) -> bytes:
        """A key, and what of it holds for the connection's next requests with these fields."""
        keys, facts = self.keys, request.facts
        is_lasting = request.keeps_facts and request.authority is facts.authority
        if is_lasting and keys.is_plain and not request.client.trusted:
            prefix = keys.prefix(request.public_scheme, request.authority, request.public_authority)
            view.learn(keys, prefix)
            base = facts.base
            if base is not None and isinstance(base.cache_view, RequestView):
                base.cache_view.learn(keys, prefix)
        return self._key(request)

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

    def found(self, request: Request, controls: RequestControls, key: bytes, found: Found, *, alone: bool) -> None:
        """The store answered, after a while."""
        self._decide(request, controls, key, found, self.wall(), alone=alone)

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
            try:
                self.serving.serve(request, controls, decision, now)
            except OSError as mistake:
                self._lost(decision.stored, mistake)
                rest = tuple(one for one in found if one is not decision.stored)
                self._decide(request, controls, key, rest, now, alone=alone)
                return
            if decision.revalidate:
                self._validate_behind(request, decision.stored, key)
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
        if decision.may_join and not alone:
            flight: Fetch | None = self.flights.get(key)
            if flight is not None and flight.may_be_joined(controls):
                flight.join(request, controls, decision.reason)
                return
        if not decision.may_store:
            Passage(self, request, controls, decision, selected, alone=alone).begin()
            return
        fetch = Fetch(self, request, controls, key, decision, selected, alone=alone)
        if decision.may_lead and not alone:
            self.flights.lead(key, fetch, self.sweep.now())
        fetch.begin()

    def _lost(self, stored: StoredResponse, mistake: OSError) -> None:
        url = stored.head.url.decode("latin-1")
        _log.warn("the store lost the content of {url}: {reason}", url=url, reason=mistake)
        self.store.remove(stored)

    def _pass(self, request: Request, controls: RequestControls, reason: Reason) -> None:
        Passage(self, request, controls, Forward(reason, False, False, False), ()).begin()

    def go_alone(self, waiter: Waiter) -> None:
        """A request that waited for another one's answer in vain is decided about again, and waits for nobody."""
        self._again(waiter, alone=True)

    def begin_again(self, waiter: Waiter) -> None:
        """The same, but it may wait for another one like it: what it waited for went wrong for a reason that it does
        not share."""
        self._again(waiter, alone=False)

    def _again(self, waiter: Waiter, *, alone: bool) -> None:
        request, controls = waiter.request, waiter.controls
        request.source = None
        key = self._key(request)
        found = self.store.find(key)
        if type(found) is tuple:
            self._decide(request, controls, key, found, self.wall(), alone=alone)
        else:
            Lookup(self, request, controls, key, alone=alone).wait(found)

    def usable(self, request: Request, controls: RequestControls, stored: StoredResponse, now: float) -> Serve | None:
        """Whether what another request brought is an answer to this one: only if it would be one from the store."""
        if not selects(stored.head, request.fields):
            return None
        decision = on_request(request.method, controls, (stored,), (stored,), self.options, now)
        return decision if isinstance(decision, Serve) and not decision.stale else None

    def on_failure(
        self, request: Request, controls: RequestControls, stored: StoredResponse, status: int, now: float
    ) -> Serve | None:
        """Whether a stale response stands in for this request too, since the server failed for another one."""
        if not selects(stored.head, request.fields):
            return None
        decision = on_failure(stored, controls, status, self.options, now)
        return decision if isinstance(decision, Serve) else None

    def give(self, waiter: Waiter, decision: Serve, member: bytes, now: float) -> None:
        """Answers one who waited from the store."""
        request, stored = waiter.request, decision.stored
        request.transaction.cache_status = member
        request.source = None
        try:
            self.serving.answer(request, waiter.controls, stored.head, stored.content, decision.age, member, now)
        except OSError as mistake:
            self._lost(stored, mistake)
            self.go_alone(waiter)

    def send(self, request: ForwardedRequest) -> None:
        """Asks who answers what the store can't."""
        try:
            self._inner.respond(request)
        except ProxyError as error:
            request.fail(error)
        except Exception as mistake:  # noqa: BLE001  # somebody's resource is broken: others may wait for this answer
            _log.failure("{id}: a resource failed", id=request.request_id.decode("ascii", "replace"))
            request.fail(ProxyError(f"a resource failed: {mistake!r}"))

    def _validate_behind(self, request: Request, stored: StoredResponse, key: bytes) -> None:
        """RFC 5861 §3: the client got what is stale; what is next is asked for without anybody waiting."""
        if key in self._validating or self.flights.get(key) is not None or len(self._validating) >= self._background:
            return
        asked = revalidation(stored, self.options)
        base = validation_fields(request.fields, asked._replace(add=()))
        self._validating.add(key)
        unattended = UnattendedRequest(request, base, lambda: self._validating.discard(key))
        fetch = BackgroundFetch(self, unattended, RequestControls(base), key, asked, (stored,))
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

    def has_changed(self, head: StoredHead, began: int) -> bool:
        """Whether something unsafe happened to a resource since ``flights.changes`` was ``began``: what came then may
        be from before."""
        if began == self.flights.changes:
            return False
        origin = origin_of(head.url)
        return self.flights.changed_since(began, (head.key, head.url, *[(origin, group) for group in head.groups]))

    def renew(self, decision: Freshen) -> dict[int, StoredResponse]:
        """Gives stored responses their new heads; what is stored now, by the ``id`` of what was."""
        renewed = {id(stored): self.store.freshen(stored, head) for stored, head in decision.updates}
        for stored in decision.drop:
            self.store.remove(stored)
        for stored in decision.invalidate:
            self.store.freshen(stored, stored.head.as_invalidated())
        return renewed

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
                    self.flights.note(url)
                    self.store.purge(Selection(url=url))
        groups = invalidated_groups(request.method, head.fields) if 200 <= head.status < 400 else frozenset()
        if groups:
            origin = origin_of(self.url_of(request))
            for group in groups:
                self.flights.note((origin, group))
            self.store.invalidate_groups(origin, groups)

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
