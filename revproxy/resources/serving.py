"""Answers out of the store: heads with Age and Cache-Status, whole and partial contents, 304 and 416.

A hit of a request that wants nothing in particular is what a cache does most of the time. What does not change between
two of them is rendered once and kept with the stored head; a second's Age is the same for all hits of that second.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from revproxy.caching.cache_status import CacheStatus, appended, render_age
from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Serve
from revproxy.caching.freshness import Judgement
from revproxy.caching.groups import without_tags
from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.errors import ProxyError, StoreFailed
from revproxy.http.conditional import Evaluation, evaluate, not_modified_fields
from revproxy.http.fields import NO_FIELDS, Fields, Line
from revproxy.http.forward import OutgoingHead
from revproxy.http.framing import EMPTY, NO_BODY, Framing
from revproxy.http.ranges import RangeAction, RangePlan, partial_content, plan_ranges, unsatisfiable_fields
from revproxy.http.render import field_lines, status_line
from revproxy.interfaces import Request

PIECE: Final = 128 * 1024
"""Octets read from a store at once; contents up to this long leave in one piece."""

_BODYLESS: Final = frozenset({204, 304})


class Rendered:
    """What hits of one stored head have in common; it is the ``ReadyAnswer`` to them as well."""

    __slots__ = (
        "_before",
        "_end",
        "age",
        "block",
        "fields",
        "framing",
        "head",
        "member",
        "octets",
        "since",
        "status",
        "ttl",
        "until",
        "whole",
    )

    def __init__(self, stored: StoredResponse) -> None:
        head = stored.head
        size = stored.content.size
        self.status = head.status
        self.fields = public_fields(head)
        self.block = field_lines(self.fields)
        self.framing = Framing("length", size)
        self.whole = stored.content.octets if size <= PIECE else None
        self._end = b"Content-Length: %d\r\n\r\n" % size
        if head.status in _BODYLESS:
            self.framing, self.whole, self._end = NO_BODY, b"", b"\r\n"
        self._before = status_line(head.status, head.reason) + self.block
        # Of one second.
        self.age = -1
        self.ttl = 0
        self.member = b""
        self.octets = b""
        self.head: OutgoingHead | None = None
        self.since = self.until = 0.0
        """Between these instants of the wall clock (``until`` is none of them), all of that is as it should be."""

    def render(self, head: StoredHead, lines: bytes) -> OutgoingHead:
        """The head with these lines, which are those of one second."""
        self.octets = b"%b%b%b" % (self._before, lines, self._end)
        out = OutgoingHead(head.status, head.reason, self.fields, has_date=True, block=self.block + lines)
        out.framing = self.framing
        out.rendered = self.octets
        out.is_stored = True
        self.head = out
        return out


def public_fields(head: StoredHead) -> Fields:
    """A stored head's fields as clients may see them: without Age, Cache-Status and tags, which are made anew."""
    return Fields([line for line in without_tags(head.fields).lines if line[0] not in _MADE_ANEW])


_MADE_ANEW: Final = frozenset({b"age", b"cache-status"})


class Serving:
    """Answers requests with stored responses, as one route does it."""

    __slots__ = ("_says", "_status")

    def __init__(self, status: CacheStatus, *, says: bool = True) -> None:
        """``says``: whether answers have Cache-Status."""
        self._status = status
        self._says = says

    def serve(self, request: Request, controls: RequestControls, decision: Serve, now: float) -> None:
        """Answers with what was decided to be served. Raises OSError where the content is lost, before anything is
        sent."""
        stored = decision.stored
        judgement = stored.head.memo
        rendered: Rendered | None = judgement.rendered if judgement is not None else None
        if rendered is None:
            rendered = Rendered(stored)
            if judgement is not None:
                judgement.rendered = rendered
        whole = rendered.whole
        if controls.plain and whole is not None and not decision.stale and request.method == b"GET":
            head = rendered.head
            if head is None or rendered.age != decision.age or rendered.ttl != decision.ttl:
                head = self._head_at(stored.head, rendered, decision.age, decision.ttl)
                rendered.until = 0.0
            request.transaction.cache_status = rendered.member
            request.answer_whole(head, rendered.framing, whole)
            return
        member = self._status.hit(decision.ttl)
        request.transaction.cache_status = member
        if decision.stale:
            member = self._status.hit_with(decision.ttl, detail=decision.reason.detail)
            request.transaction.cache_status = member
        self.answer(request, controls, stored.head, stored.content, decision.age, member, now)

    def _head_at(self, head: StoredHead, rendered: Rendered, age: int, ttl: int) -> OutgoingHead:
        """The head of this second. Stored heads without Cache-Status of caches behind us need only two more lines."""
        member = rendered.member = self._status.hit(ttl)
        rendered.ttl = ttl
        rendered.age = age
        if not self._says:
            return rendered.render(head, b"Age: %d\r\n" % age)
        behind = head.fields.get(b"cache-status")
        member = member if behind is None else appended(behind, member)
        return rendered.render(head, b"Age: %d\r\nCache-Status: %b\r\n" % (age, member))

    def renew(self, head: StoredHead, judgement: Judgement, rendered: Rendered, now: float) -> bool:
        """Renders what hits at ``now`` have in common; false where the stored response can't be used without a further
        question."""
        if not judgement.since <= now < judgement.plain_until:
            return False
        age, ttl = int(now - judgement.born), int(judgement.fresh_until - now)
        self._head_at(head, rendered, age, ttl)
        rendered.since = now
        rendered.until = min(judgement.born + age + 1, judgement.fresh_until - ttl, judgement.plain_until)
        return True

    def answer(
        self,
        request: Request,
        controls: RequestControls,
        head: StoredHead,
        content: Content,
        age: float,
        member: bytes,
        now: float,
    ) -> None:
        """Answers with any stored content under any head, as the request's own preconditions and Range want it. Raises
        OSError as ``serve`` does."""
        fields = public_fields(head)
        status = head.status
        lines = self.lines(head.fields, age, member)
        method = request.method
        wanted: bytes | None = None
        if controls.conditional or controls.ranged:
            evaluation = evaluate(method, request.fields, status, head.fields, received=head.response_time, now=now)
            if evaluation is Evaluation.NOT_MODIFIED:
                self._give(request, 304, b"", not_modified_fields(fields), lines)
                return
            if evaluation is not Evaluation.IGNORE_RANGE and method == b"GET" and status in (200, 206):
                wanted = request.fields.get(b"range")
        total = head.total if status == 206 else content.size
        plan = plan_ranges(wanted, first=head.first, size=content.size, total=total)
        if plan.action is RangeAction.PARTIAL:
            self._give_parts(request, head, fields, content, total, plan, lines)
        elif plan.action is RangeAction.UNSATISFIABLE:
            self._give(request, 416, b"", unsatisfiable_fields(fields, total), lines)
        elif method == b"HEAD":
            if status not in _BODYLESS:
                lines.append((b"content-length", b"Content-Length", b"%d" % content.size))
            out = OutgoingHead(status, head.reason, Fields([*fields.lines, *lines]), has_date=True)
            request.start(out, NO_BODY, None)
            request.finish(NO_FIELDS)
        else:
            out = OutgoingHead(status, head.reason, Fields([*fields.lines, *lines]), has_date=True)
            framing = NO_BODY if status in _BODYLESS else Framing("length", content.size)
            send(request, out, framing, content, [(b"", 0, content.size)], b"")

    def answer_without_content(
        self,
        request: Request,
        controls: RequestControls,
        head: StoredHead,
        size: int,
        age: float,
        member: bytes,
        now: float,
    ) -> bool:
        """Answers HEAD, and preconditions that come to 304, before the content is there (``size`` is negative where it
        is not known); false where content is wanted."""
        lines = self.lines(head.fields, age, member)
        fields = public_fields(head)
        if controls.conditional:
            evaluation = evaluate(
                request.method, request.fields, head.status, head.fields, received=head.response_time, now=now
            )
            if evaluation is Evaluation.NOT_MODIFIED:
                self._give(request, 304, b"", not_modified_fields(fields), lines)
                return True
        if request.method != b"HEAD":
            return False
        if size >= 0 and head.status not in _BODYLESS:
            lines.append((b"content-length", b"Content-Length", b"%d" % size))
        request.start(OutgoingHead(head.status, head.reason, Fields([*fields.lines, *lines])), NO_BODY, None)
        request.finish(NO_FIELDS)
        return True

    def outgoing(self, head: StoredHead, age: float, member: bytes) -> OutgoingHead:
        """A stored head for a client that reads the content while it arrives."""
        fields = public_fields(head)
        return OutgoingHead(
            head.status, head.reason, Fields([*fields.lines, *self.lines(head.fields, age, member)]), has_date=True
        )

    def added_lines(self, member: bytes) -> bytes:
        """Cache-Status of a request whose answer does not come this way. Where a cache behind us has said something,
        ours is one more line, which is one more member (RFC 9110 §5.3)."""
        return b"Cache-Status: %b\r\n" % member if self._says else b""

    def passed_on(self, head: OutgoingHead, member: bytes) -> OutgoingHead:
        """A server's head as the client gets it: with Cache-Status, and without tags."""
        fields = head.fields
        kept = without_tags(fields)
        behind = fields.get(b"cache-status")
        if kept is fields and behind is None:
            if not self._says:
                return head
            block = b"%bCache-Status: %b\r\n" % (head.block, member)
            return OutgoingHead(head.status, head.reason, fields, has_date=head.has_date, block=block)
        lines = [line for line in kept.lines if line[0] != b"cache-status" or not self._says]
        return OutgoingHead(head.status, head.reason, Fields([*lines, *self.lines(fields, None, member)]))

    def lines(self, behind: Fields, age: float | None, member: bytes) -> list[Line]:
        """Age and Cache-Status; ``behind`` are the fields that may have a Cache-Status of other caches already."""
        lines: list[Line] = []
        if age is not None:
            lines.append((b"age", b"Age", render_age(age)))
        if self._says:
            lines.append((b"cache-status", b"Cache-Status", appended(behind.get(b"cache-status"), member)))
        return lines

    def _give(self, request: Request, status: int, reason: bytes, fields: Fields, lines: list[Line]) -> None:
        """An answer without content."""
        out = OutgoingHead(status, reason, Fields([*fields.lines, *lines]))
        request.start(out, NO_BODY if status in _BODYLESS else EMPTY, None)
        request.finish(NO_FIELDS)

    def _give_parts(
        self,
        request: Request,
        head: StoredHead,
        fields: Fields,
        content: Content,
        total: int,
        plan: RangePlan,
        lines: list[Line],
    ) -> None:
        partial = partial_content(
            fields,
            plan,
            first=head.first,
            total=total,
            boundary=secrets.token_hex(16).encode("ascii"),
            if_range=b"if-range" in request.fields,
        )
        out = OutgoingHead(206, b"", Fields([*partial.fields.lines, *lines]), has_date=True)
        send(request, out, Framing("length", partial.length), content, list(partial.parts), partial.closing)


def send(
    request: Request,
    head: OutgoingHead,
    framing: Framing,
    content: Content,
    parts: list[tuple[bytes, int, int]],
    closing: bytes,
) -> None:
    """Sends runs of a content, each behind some octets of its own, at the client's pace. Raises OSError where not even
    the first octets are there; then nothing was sent."""
    if framing is NO_BODY:
        request.start(head, framing, None)
        request.finish(NO_FIELDS)
        return
    source = StoredSource(request, content, parts, closing)
    source.read_first()
    request.start(head, framing, source)
    source.go_on()


class StoredSource:
    """Makes a body of a stored content."""

    __slots__ = ("_closing", "_content", "_going", "_parts", "_paused", "_request")

    def __init__(self, request: Request, content: Content, parts: list[tuple[bytes, int, int]], closing: bytes) -> None:
        self._request: Any = request
        self._content = content
        self._parts = parts
        self._closing = closing
        self._paused = False
        self._going = False

    def read_first(self) -> None:
        """Reads the first piece, before a head promises it. Raises OSError."""
        before, offset, length = self._parts[0]
        if length:
            piece = self._read(offset, length)
            size = len(piece)
            self._parts[0] = (before + piece if before else piece, offset + size, length - size)

    def _read(self, offset: int, length: int) -> bytes:
        piece = self._content.read(offset, min(length, PIECE))
        if not piece:
            raise OSError("the stored content ends too early")
        return piece

    def pause(self) -> None:
        """The client has enough for now."""
        self._paused = True

    def resume(self) -> None:
        """The client can take more."""
        self._paused = False
        self.go_on()

    def cancel(self, error: ProxyError) -> None:
        """The client is gone."""
        self._request = None

    def go_on(self) -> None:
        """Sends until the client has enough, or all of it."""
        if self._going:
            return
        self._going = True
        parts = self._parts
        try:
            while parts and self._request is not None and not self._paused:
                before, offset, length = parts.pop(0)
                if before:
                    self._request.write(before)
                if length and self._request is not None and self._paused:
                    parts.insert(0, (b"", offset, length))
                elif length:
                    piece = self._read(offset, length)
                    size = len(piece)
                    if size < length:
                        parts.insert(0, (b"", offset + size, length - size))
                    if self._request is not None:
                        self._request.write(piece)
        except OSError as mistake:
            request, self._request = self._request, None
            if request is not None:
                request.fail(StoreFailed(str(mistake)))
            return
        finally:
            self._going = False
        if not parts and self._request is not None:
            request, self._request = self._request, None
            if self._closing:
                request.write(self._closing)
            request.finish(NO_FIELDS)
