"""The cached proxy under any order of requests, answers in pieces, clients that leave, failures and time.

What must hold whatever happens: every answer is one that the server gave for that path and those fields, in whole
unless it shows that it isn't; what is for one client reaches one; nothing is used beyond its lifetime, or after it was
invalidated; in the end nothing is left.
"""

from __future__ import annotations

import re

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.caching import Cached
from tests.support.network import End
from tests.support.reading import Answer, Asked, read_answers

LARGEST = 40_000
PIECES = st.one_of(st.integers(1, 60), st.integers(1, 5000), st.just(1 << 20))
LIFETIME = {
    b"max-age=5": (5, 0, True), b"max-age=20": (20, 0, True), b"max-age=2, stale-while-revalidate=30": (2, 30, True),
    b"max-age=2, stale-if-error=30": (2, 30, True), b"no-cache": (0, 0, True), b"no-store": (0, 0, False),
    b"private, max-age=9": (0, 0, False), b"": (0, 0, True),
}  # fmt: skip
"""Seconds fresh, seconds beyond, whether anybody else may get it."""


@attrs.define
class Asker:
    """A client with one request."""

    end: End
    method: bytes
    path: bytes
    language: bytes
    at: int
    time: float


@attrs.define
class Given:
    """An answer of the server."""

    asked: Asked
    end: End
    asked_at: int
    octets: bytes
    head: int
    body: bytes
    directives: bytes
    varies: bool
    needs_fin: bool
    tag: bytes
    """Of a 304: what it makes fresh again."""
    is_new: bool
    sent: int = 0
    ended: bool = False

    @property
    def complete(self) -> bool:
        return self.sent == len(self.octets) and (self.ended or not self.needs_fin)


class AnyOrder(RuleBasedStateMachine):
    """Clients, a server and a clock, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.cached = Cached(largest=LARGEST, resource={"collapse_timeout": 3.0}, answer_timeout=30.0, idle_timeout=30.0)
        self.now = 0
        self.askers: list[Asker] = []
        self.asked_at: list[int] = []
        self.given: dict[int, Given] = {}
        self.tags: dict[bytes, Given] = {}
        self.fresh: dict[bytes, list[tuple[int, float, float]]] = {}
        """For each tag: when it was said to be fresh, until when it is, and until when it may be used stale."""
        self.changes: dict[bytes, list[int]] = {}

    def tick(self) -> int:
        self.now += 1
        while len(self.asked_at) < len(self.cached.asked):
            self.asked_at.append(self.now)
        return self.now

    # Clients.

    @precondition(lambda self: len(self.askers) < 40)
    @rule(
        method=st.sampled_from([b"GET"] * 6 + [b"HEAD", b"POST"]),
        path=st.sampled_from([b"/a", b"/a", b"/b"]),
        language=st.sampled_from([b"de", b"de", b"fr"]),
        extra=st.sampled_from(
            [b""] * 6 + [b"Range: bytes=2-9", b"Range: bytes=-5", b"Cache-Control: no-cache", b"Cache-Control: no-store"]
        ),
        known=st.integers(0, 8),
        room=st.sampled_from([3000, 1 << 20, 1 << 20]),
        reads=st.sampled_from([True, True, True, False]),
    )
    def ask(
        self, method: bytes, path: bytes, language: bytes, extra: bytes, known: int, room: int, reads: bool
    ) -> None:
        now = self.tick()
        client = self.cached.proxy.client(room=room)
        client.reads = reads
        lines = [b"Host: a.example", b"X-L: " + language]
        if method == b"POST":
            lines.append(b"Content-Length: 2")
        elif extra:
            lines.append(extra)
        elif known < 3 and len(self.tags) > known:
            lines.append(b'If-None-Match: "%b"' % list(self.tags)[-1 - known])
        self.askers.append(Asker(client, method, path, language, now, self.cached.now))
        body = b"hi" if method == b"POST" else b""
        client.send(b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, path, b"\r\n".join(lines), body))
        self.tick()

    @precondition(lambda self: self.askers)
    @rule(data=st.data(), how=st.sampled_from(["reads", "reads", "takes", "cut", "close"]))
    def behave(self, data: st.DataObject, how: str) -> None:
        asker = data.draw(st.sampled_from(self.askers))
        if how == "reads":
            asker.end.reads = not asker.end.reads
            self.cached.proxy.network.settle()
        elif how == "takes":
            if not asker.end.sock.closed:
                asker.end.take(2000)
        else:
            getattr(asker.end, how)()
        self.tick()

    # The server.

    def pending(self) -> list[int]:
        return [at for at, (_, end) in enumerate(self.cached.asked) if at not in self.given and not end.sock.closed]

    def going(self) -> list[Given]:
        return [given for given in self.given.values() if given.sent < len(given.octets) and not given.end.sock.closed]

    @precondition(lambda self: self.pending())
    @rule(
        data=st.data(),
        status=st.sampled_from([b"200 OK"] * 5 + [b"404 Not Found", b"503 Busy", b"304 Not Modified"]),
        size=st.sampled_from([0, 1, 30, 30, 3000, 30_000, 90_000]),
        framing=st.sampled_from(["length", "length", "chunked", "until close"]),
        directives=st.sampled_from(list(LIFETIME)),
        has_tag=st.booleans(),
        varies=st.sampled_from([False, False, True]),
        first=st.sampled_from([0, 10, 100, 1 << 20, 1 << 20]),
    )
    def answer(
        self, data: st.DataObject, status: bytes, size: int, framing: str, directives: bytes, has_tag: bool,
        varies: bool, first: int,
    ) -> None:  # fmt: skip
        self.tick()
        at = data.draw(st.sampled_from(self.pending()))
        asked, end = self.cached.asked[at]
        tag = b"%d" % len(self.tags)
        lines = [b"Cache-Control: " + directives] if directives else []
        nominated = re.findall(rb'"(\d+)"', asked.get(b"if-none-match") or b"")
        body = (b"%b," % tag * size)[:size]
        found = re.fullmatch(rb"bytes=(\d*)-(\d*)", asked.get(b"range") or b"")
        is_new = True
        if status[:3] == b"304":
            if not nominated:
                status = b"200 OK"
            else:
                tag = data.draw(st.sampled_from(nominated))
                lines.append(b'ETag: "%b"' % tag)
                body, is_new = b"", False
                varies = self.tags[tag].varies
        if is_new:
            lines.append(b"X-Tag: " + tag)
            if has_tag or found:
                lines.append(b'ETag: "%b"' % tag)
        if varies:
            lines.append(b"Vary: X-L")
        sent = body
        if found and status[:3] == b"200" and size > 10 and asked.method == b"GET":
            begin, end_at = (2, 9) if found[1] else (size - 5, size - 1)
            status = b"206 Partial Content"
            lines.append(b"Content-Range: bytes %d-%d/%d" % (begin, end_at, size))
            sent = body[begin : end_at + 1]
        until_close = False
        if not is_new:
            pass
        elif framing == "chunked" and asked.method != b"HEAD":
            lines.append(b"Transfer-Encoding: chunked")
            cut = len(sent) // 3
            sent = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (sent[:cut], sent[cut:]) if one) + b"0\r\n\r\n"
        elif framing == "until close" and asked.method != b"HEAD":
            until_close = True
        else:
            lines.append(b"Content-Length: %d" % len(sent))
        head = b"HTTP/1.1 %b\r\n%b\r\n\r\n" % (status, b"\r\n".join(lines or [b"X-Y: z"]))
        octets = head + (b"" if asked.method == b"HEAD" else sent)
        given = Given(
            asked, end, self.asked_at[at], octets, len(head), body, directives, varies, until_close, tag, is_new
        )
        self.given[at] = given
        if is_new:
            self.tags[tag] = given
        self.push(given, first)

    def push(self, given: Given, size: int) -> None:
        before = given.sent
        if not given.end.sock.shut:
            given.sent += given.end.offer(given.octets[before : before + size])
        if before < given.head <= given.sent:
            said = [given.directives]
            if not given.is_new and not given.directives:
                # RFC 9111 §3.2: a 304 without Cache-Control leaves that of before, from now on.
                said = [other.directives for other in self.given.values() if other.tag == given.tag]
            fresh = max(LIFETIME[one][0] for one in said)
            beyond = max(LIFETIME[one][1] for one in said)
            now = self.cached.now
            self.fresh.setdefault(given.tag, []).append((given.asked_at, now + fresh, now + fresh + beyond))
            if given.asked.method == b"POST" and b" 20" in given.octets[:12]:
                self.changes.setdefault(given.asked.target, []).append(self.now)
        if given.sent == len(given.octets) and given.needs_fin and not given.ended and not given.end.sock.closed:
            given.ended = True
            given.end.close()
        self.tick()

    @precondition(lambda self: self.going())
    @rule(data=st.data(), size=PIECES)
    def answer_on(self, data: st.DataObject, size: int) -> None:
        self.tick()
        self.push(data.draw(st.sampled_from(self.going())), size)

    @precondition(lambda self: self.cached.asked)
    @rule(data=st.data(), how=st.sampled_from(["fin", "close", "cut"]))
    def fail(self, data: st.DataObject, how: str) -> None:
        at = data.draw(st.integers(0, len(self.cached.asked) - 1))
        end = self.cached.asked[at][1]
        given = next((given for given in reversed(self.given.values()) if given.end is end), None)
        if given is not None and how != "cut" and not given.ended:
            given.ended = True
            if given.needs_fin and given.sent >= given.head and not given.end.sock.shut:
                # Nobody can tell that this is not all of it.
                given.octets = given.octets[: given.sent]
                if not given.octets.startswith(b"HTTP/1.1 206"):
                    given.body = given.octets[given.head :]
        getattr(end, how)()
        self.tick()

    @rule(seconds=st.sampled_from([1, 1, 2, 4, 12]))
    def time_passes(self, seconds: int) -> None:
        self.cached.advance(seconds)
        self.tick()

    # What must hold.

    @invariant()
    def memory_is_bounded(self) -> None:
        assert 0 <= self.cached.proxy.budget.held <= 700_000 * max(1, len(self.askers))
        assert self.cached.store._filling >= 0

    def teardown(self) -> None:
        cached = self.cached
        cached.proxy.assert_at_rest()
        assert len(cached.cache.flights) == 0
        assert cached.cache._validating == set()
        assert cached.store._filling == 0
        reached: dict[bytes, int] = {}
        for asker in self.askers:
            for got in read_answers(asker.end.received, [asker.method], ended=asker.end.ended):
                tag = got.get(b"x-tag")
                if tag is not None:
                    reached[tag] = reached.get(tag, 0) + 1
                    self.check(asker, got, self.tags[tag])
        for tag, count in reached.items():
            shared = LIFETIME[self.tags[tag].directives][2] and self.tags[tag].asked.get(b"cache-control") != b"no-store"
            assert shared or count == 1, f"{tag!r} was for one client"

    def check(self, asker: Asker, got: Answer, given: Given) -> None:
        assert given.asked.target == asker.path
        body = given.body
        told = (got.get(b"cache-status") or b"").removeprefix(b"revproxy; ")
        if given.varies and b"validated-variant" not in told:
            assert given.asked.get(b"x-l") == asker.language, got
        if got.status == 206:
            found = re.fullmatch(rb"bytes (\d+)-(\d+)/(\d+)", got.get(b"content-range") or b"")
            assert found, got
            assert int(found[3]) == len(body)
            body = body[int(found[1]) : int(found[2]) + 1]
        if asker.method != b"HEAD" and got.status not in (304, 416):
            assert body.startswith(got.body)
            if got.complete:
                assert got.body == body or (got.status == 206 and given.needs_fin)
                if got.status != 206:
                    assert given.complete
        if told.startswith(b"hit"):
            # It was decided when it was asked, or later where it waited for another one.
            until = max(fresh for _, fresh, _ in self.fresh[given.tag])
            beyond = max(stale for _, _, stale in self.fresh[given.tag])
            assert asker.time < (beyond if b"stale-while-revalidate" in told else until)
            for changed in self.changes.get(asker.path, []):
                if changed < asker.at:
                    assert any(changed <= at for at, _, _ in self.fresh[given.tag]), "it was invalidated"


AnyOrder.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
TestAnyOrder = AnyOrder.TestCase
