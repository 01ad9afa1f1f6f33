"""Requests that are neither answered from the store nor stored, but tell something about what is.

HEAD tells whether a stored response to GET is still right (RFC 9111 §4.3.5). An unsafe method that succeeded makes what
is stored doubtful (RFC 9111 §4.4), and may name groups that became so (RFC 9875 §3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Forward, Freshen, Revalidate, Serve
from revproxy.caching.groups import SAFE_METHODS
from revproxy.caching.policy import FAILURES, on_failure, on_head, on_validation
from revproxy.caching.stored import StoredResponse
from revproxy.errors import ClientGone, ProxyError
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import Framing
from revproxy.interfaces import BodySource, Request
from revproxy.resources.forwarded import ForwardedRequest

if TYPE_CHECKING:
    from revproxy.resources.caching import CachingResource


class Passage(ForwardedRequest):
    """A request whose answer is its client's alone."""

    __slots__ = ("_answered", "_cache", "_collapsed", "_controls", "_decision", "_request_time", "_selected")

    def __init__(
        self,
        cache: CachingResource,
        original: Request,
        controls: RequestControls,
        decision: Forward | Revalidate,
        selected: tuple[StoredResponse, ...],
        *,
        alone: bool = False,
    ) -> None:
        """``alone``: the request waited for another one's answer, in vain."""
        super().__init__(original)
        self._cache = cache
        self._controls = controls
        self._decision = decision
        self._selected = selected
        self._collapsed = False if alone else None
        self._request_time = cache.wall()
        self._answered = False
        """Whether the client was answered from the store, so that what still comes is nobody's."""

    def begin(self) -> None:
        """Sends it."""
        self.original.source = self
        self._cache.send(self)

    def start(self, head: OutgoingHead, framing: Framing, source: BodySource | None) -> None:
        """The final answer's head."""
        cache = self._cache
        decision = self._decision
        if self.method == b"HEAD":
            if self._stands_in(head.status):
                self._answered = True
                if source is not None and framing.kind != "none":
                    source.cancel(ClientGone("a stored response is used instead of the server's"))
                return
            self._heard(head)
        elif self.method not in SAFE_METHODS:
            cache.invalidate(self, head)
        why = decision.reason.forward or "bypass"
        member = cache.status.forward(why, detail=decision.reason.detail, collapsed=self._collapsed)
        original = self.original
        original.transaction.cache_status = member
        hand_over = getattr(source, "answer_to", None)
        if hand_over is not None:
            hand_over(original)
            original.start(cache.serving.passed_on(head, member), framing, source)
        else:
            self.source = source
            original.start(cache.serving.passed_on(head, member), framing, self if source is not None else None)

    def write(self, data: bytes) -> None:
        """Octets of its body."""
        if not self._answered:
            self.original.write(data)

    def fail(self, error: ProxyError) -> None:
        """There will be no (complete) answer."""
        if self._answered:
            return
        if self.method == b"HEAD" and error.fault == "upstream" and self._stands_in(0):
            self._answered = True
            return
        self.original.fail(error)

    def finish(self, trailers: object) -> None:
        """It is complete."""
        if not self._answered:
            self.original.finish(trailers)  # type: ignore[arg-type]

    def _stands_in(self, status: int) -> bool:
        """Answers HEAD with what is stored where the server failed and that is allowed (RFC 5861 §4)."""
        asked = self._decision
        if not isinstance(asked, Revalidate) or (status and status not in FAILURES):
            return False
        cache = self._cache
        now = cache.wall()
        decision = on_failure(asked.stored, self._controls, status, cache.options, now)
        if not isinstance(decision, Serve):
            return False
        why = asked.reason.forward or "stale"
        member = cache.status.forward(why, status=status or None, detail=decision.reason.detail, ttl=decision.ttl)
        original = self.original
        original.transaction.cache_status = member
        original.source = None
        stored = decision.stored
        cache.serving.answer(original, self._controls, stored.head, stored.content, decision.age, member, now)
        return True

    def _heard(self, head: OutgoingHead) -> None:
        """What the answer to HEAD says of what is stored."""
        if not self._selected:
            return
        cache = self._cache
        now = cache.wall()
        asked = self._decision
        if isinstance(asked, Revalidate):
            decision = on_validation(
                b"HEAD", self._controls, asked, self._selected, head.status, head.fields, cache.options,
                self._request_time, now,
            )  # fmt: skip
        else:
            decision = on_head(
                self._controls, self._selected, head.status, head.fields, cache.options, self._request_time, now
            )
        if isinstance(decision, Freshen):
            cache.renew(decision)
