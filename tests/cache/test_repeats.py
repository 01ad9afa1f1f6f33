"""The short way for connections that ask again with the same fields: it must do nothing else than the long one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.web.resource import Resource
from zope.interface import implementer

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.config.model import Limits
from revproxy.downstream import repeats as repeats_module
from revproxy.http.target import parse_authority
from revproxy.interfaces import IResponder, Request, Selection
from revproxy.observe.labels import RouteLabels
from revproxy.observe.transaction import Transaction
from revproxy.resources.base import Route, Routes
from revproxy.resources.vhost import VirtualHosts
from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.tiered import TieredStore
from tests.support.caching import Cached, caching, response
from tests.support.network import End
from tests.support.reading import Answer, Asked, read_answers

LABELS = RouteLabels("a.example", "/")
FRESH = b"Cache-Control: max-age=60"
HOST = b"Host: a.example\r\n"
BROWSER = HOST + b"Accept: text/html\r\nAccept-Encoding: gzip\r\n"
PATTERN = BROWSER + b"Cookie: a=1\r\nX-A: 1\r\n"

SCRIPT = {
    b"/a": response(FRESH),
    b"/b?x=1": response(FRESH, b"ETag: \"1\"", body=b"b" * 20_000),
    b"/large": response(FRESH, body=b"l" * 200_000),
    b"/short": response(b"Cache-Control: max-age=2", b"Age: 1"),
    b"/gzip": response(FRESH, b"Vary: Accept-Encoding"),
    b"/own": response(FRESH, b"Vary: Cookie"),
    b"/never": response(b"Cache-Control: no-store"),
    b"/checked": response(b"Cache-Control: no-cache", b'ETag: "2"'),
    b"/stale": response(b"Cache-Control: max-age=1, stale-while-revalidate=5"),
    b"/empty": response(FRESH, status=b"204 No Content"),
    b"/missing": response(FRESH, status=b"404 Gone Fishing", body=b""),
    b"/behind": response(FRESH, b"Cache-Status: Inner; hit", b"Surrogate-Key: one two"),
}


class Counted:
    """How many answers took the short way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        answer = repeats_module.Repeats.answer

        def counting(own: Any, channel: Any, data: bytes) -> bool:
            done = answer(own, channel, data)
            self.count += done
            return done

        monkeypatch.setattr(repeats_module.Repeats, "answer", counting)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def head(target: bytes = b"/a", fields: bytes = HOST, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version, fields)


def ask(client: End, *heads: bytes) -> list[Answer]:
    """The answers to GETs that are sent one by one."""
    seen = len(client.received)
    for octets in heads:
        client.send(octets)
    return read_answers(client.received[seen:], [b"GET"] * len(heads), ended=client.ended)


def test_the_third_hit_takes_it(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, head(), head(), head())
        assert short.count == 0
        (answer,) = ask(client, head())
        assert short.count == 1
        assert (answer.status, answer.body) == (200, b"hello")
        transaction = cached.proxy.transaction
        assert transaction.cache_status == b"revproxy; hit; ttl=60"
        assert (transaction.method, transaction.target, transaction.status, transaction.sent) == (b"GET", b"/a", 200, 5)
        assert (transaction.host, transaction.client, transaction.request_id) == (b"a.example", b"192.0.2.1", b"id4")


def test_other_cookies_and_targets_take_it_too(short: Counted) -> None:
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=asked.target)
        client = cached.proxy.client()
        for target in (b"/1", b"/2"):
            ask(client, head(target), head(target))
        cookies = [BROWSER + b"Cookie: n=%d\r\nX-A: 1\r\n" % number for number in range(6)]
        ask(client, *[head(b"/1", fields) for fields in cookies[:2]])
        short.count = 0
        answers = ask(client, *[head(b"/%d" % (1 + number % 2), cookies[number]) for number in range(2, 6)])
        assert [answer.body for answer in answers] == [b"/1", b"/2", b"/1", b"/2"]
        assert short.count == 4
        ask(client, head(b"/1", BROWSER + b"Cookie: " + b"n" * 300 + b"\r\nX-A: 1\r\n"))
        assert short.count == 5


@pytest.mark.parametrize(
    "octets",
    [
        head(fields=PATTERN, method=b"HEAD"),
        head(fields=PATTERN, method=b"get"),
        head(fields=PATTERN, method=b"PUT"),
        head(fields=PATTERN, version=b"1.0"),
        head(fields=PATTERN, target=b"http://a.example/a"),
        head(fields=PATTERN, target=b"/a#b"),
        head(fields=PATTERN, target=b"/a HTTP/1.1"),
        head(fields=BROWSER + b"Cookie: a=1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\r\nX-A: 2\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\r\nX-A: 1\r\nRange: bytes=0-1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\x00\r\nX-A: 1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\rb\r\nX-A: 1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\r\nRange: bytes=0-1\r\nX-A: 1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\r\nCookie: b=2\r\nX-A: 1\r\n"),
        head(fields=BROWSER + b"Cookie: a=1\r\nContent-Length: 5\r\nX-A: 1\r\n") + b"hello",
        head(fields=BROWSER + b"Cookie: a=1\r\n\r\nGET /b HTTP/1.1\r\nX-A: 1\r\n"),
        head(fields=BROWSER + b"X-A: 1\r\n"),
        head(fields=BROWSER + b"Cookie: \r\nX-A: 1\r\n")[:-2],
        b"\r\n" + head(fields=BROWSER + b"Cookie: a=1\r\nX-A: 1\r\n"),
    ],
)
def test_what_is_only_like_it_is_read_in_the_usual_way(octets: bytes, short: Counted) -> None:
    def talk(*, hidden: bool) -> bytes:
        with made(hidden=hidden) as cached:
            client = cached.proxy.client()
            for number in range(4):
                client.send(head(fields=BROWSER + b"Cookie: a=%d\r\nX-A: 1\r\n" % number))
            assert (short.count > 0) is not hidden
            before, received = short.count, len(client.received)
            client.send(octets)
            assert short.count == before
            return client.received[received:]

    expected = talk(hidden=True)
    assert talk(hidden=False) == expected


class made:
    """A cached proxy with the script; ``hidden``: there is no short way."""

    def __init__(self, options: CacheOptions | None = None, *, hidden: bool, **more: Any) -> None:
        self.cached = Cached(options, **more)
        self.cached.script = lambda asked: SCRIPT.get(asked.target, response(FRESH, body=asked.target))
        hosts = self.cached.proxy.root
        assert isinstance(hosts, VirtualHosts)
        hosts.addHost(b"*", Routes([Route(b"/", self.cached.cache, labels=LABELS)]))
        self.cached.proxy.frontend.name = "127.0.0.1:80"
        if hidden:
            hide(self.cached)

    def __enter__(self) -> Cached:
        return self.cached

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            self.cached.proxy.assert_at_rest()


def hide(cached: Cached) -> None:
    """Puts something before the tree that does not know of the short way."""
    tree = cached.proxy.dispatch
    cached.proxy.frontend.dispatch = lambda request: tree(request)


def test_whatever_stands_before_the_tree_is_asked_for_each_request(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        hide(cached)
        ask(cached.proxy.client(), *[head()] * 5)
        assert short.count == 0


def test_a_reload_ends_it(short: Counted) -> None:
    with caching() as cached, made(hidden=False) as other:
        cached.answers_with(FRESH)
        other.answers_with(FRESH, body=b"other")
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        assert short.count == 1
        cached.proxy.frontend.dispatch = other.proxy.dispatch
        client.send(head())
        other.proxy.network.settle()
        assert short.count == 1
        assert [request.target for request in other.requests] == [b"/a"]
        cached.proxy.network.settle()
        assert client.received.endswith(b"other")
        ask(client, *[head()] * 2)
        assert short.count == 2
        assert client.received.endswith(b"other")
        assert len(cached.requests) == 1


def test_a_new_site_or_route_counts_at_once(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        assert short.count == 1
        hosts = cached.proxy.root
        assert isinstance(hosts, VirtualHosts)
        hosts.addHost(b"a.example", Routes([Route(b"/", cached.proxy.resource)]))
        cached.answers_with(b"Cache-Control: no-store", body=b"new")
        (answer,) = ask(client, head())
        assert answer.body == b"new"
        hosts.removeHost(b"a.example")
        (answer,) = ask(client, head())
        assert answer.body == b"hello"


def test_what_another_worker_purges_is_not_given(short: Counted, tmp_path: Path) -> None:
    tiers: list[TieredStore] = []

    def store(proxy: Any) -> TieredStore:
        for _ in range(2):
            disk = DiskStore(str(tmp_path), 1 << 24, 1 << 20, proxy.clock)
            tiers.append(TieredStore(MemoryStore(1 << 24, 1 << 20, proxy.clock), disk, proxy.clock))
        return tiers[0]

    with caching(store=store) as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, *[head()] * 5)
        assert short.count > 0
        cached.answers_with(FRESH, body=b"new")
        tiers[1].purge(Selection(url=b"http://a.example/a"))
        (answer,) = ask(client, head())
        assert answer.body == b"new"
        for tier in tiers:
            tier.stop()


@implementer(IResponder)
class Chooser(Resource):
    """Chooses by something that no cache key has."""

    isLeaf = True

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner
        self.asked = 0

    def respond(self, request: Request) -> None:
        self.asked += 1
        self.inner.respond(request)


def test_a_resource_before_the_cache_is_asked_for_each_request(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        chooser = Chooser(cached.cache)
        hosts = cached.proxy.root
        assert isinstance(hosts, VirtualHosts)
        hosts.addHost(b"a.example", Routes([Route(b"/", chooser)]))
        ask(cached.proxy.client(), *[head()] * 5)
        assert chooser.asked == 5
        assert short.count == 0


class OwnCookie(Routes):
    """Routes of somebody who looks at more than ours do."""


@pytest.mark.parametrize(
    "options",
    [
        {"options": CacheOptions(bypass_cookies=frozenset({b"session"}))},
        {"keys": KeyOptions(cookies=(b"session",))},
        {"keys": KeyOptions(query="none")},
    ],
)
def test_where_more_decides_than_host_and_target_there_is_none(options: dict[str, Any], short: Counted) -> None:
    with caching(**options) as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        for number in range(5):
            ask(client, head(fields=HOST + b"Cookie: x=%d\r\n" % number))
        assert short.count == 0


def test_trees_of_others_have_none(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        hosts = cached.proxy.root
        assert isinstance(hosts, VirtualHosts)
        hosts.addHost(b"a.example", OwnCookie([Route(b"/", cached.cache)]))
        ask(cached.proxy.client(), *[head()] * 5)
        hosts.addHost(b"a.example", Routes([Route(b"/", cached.cache, frozenset({b"GET"}))]))
        ask(cached.proxy.client(), *[head()] * 5)
        assert short.count == 0


@pytest.mark.parametrize(
    "fields",
    [b"Authorization: Basic eDp5\r\n", b"Cache-Control: max-age=9\r\n", b'If-None-Match: "x"\r\n', b"Range: bytes=0-\r\n",
     b"X-Host: b.example\r\n", b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"Connection: X-A\r\nX-A: 1\r\n"],
)  # fmt: skip
def test_what_wants_something_has_none(fields: bytes, short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get(b"/a")
        ask(cached.proxy.client(), *[head(fields=HOST + fields)] * 5)
        assert short.count == 0


def test_a_trusted_proxys_requests_have_none(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        ask(cached.proxy.client(trusted=True), *[head()] * 5)
        assert short.count == 0


def test_the_last_request_that_a_connection_may_have_says_so(short: Counted) -> None:
    with caching(limits=Limits(requests_per_connection=5)) as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        answers = ask(client, *[head()] * 5)
        assert [answer.get(b"connection") for answer in answers] == [None, None, None, None, b"close"]
        assert short.count == 1
        assert client.ended


def test_a_proxy_that_drains_closes_after_the_answer(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        cached.proxy.frontend.draining = True
        (answer,) = ask(client, head())
        assert answer.get(b"connection") == b"close"
        assert short.count == 1


def test_limits_hold_as_before(short: Counted) -> None:
    with caching(limits=Limits(head_size=200, target_length=100)) as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, *[head(fields=HOST + b"Cookie: a=%d\r\n" % number) for number in range(4)])
        assert short.count > 0
        client.send(head(fields=HOST + b"Cookie: %b\r\n" % (b"a" * 200)))
        assert client.received.rpartition(b"HTTP/1.1 ")[2].startswith(b"431 ")


def test_a_process_without_room_refuses(short: Counted) -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        budget = cached.proxy.budget
        budget.held += budget.limit
        (answer,) = ask(client, head())
        budget.held -= budget.limit
        assert answer.status == 503


def test_an_idle_connection_ends_in_time_after_it(short: Counted) -> None:
    limits = Limits()
    with caching(limits=limits) as cached:
        cached.answers_with(b"Cache-Control: max-age=6000")
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        cached.advance(limits.idle_timeout - 2)
        ask(client, head())
        assert short.count == 2
        cached.advance(limits.idle_timeout - 2)
        assert not client.ended
        cached.advance(4)
        assert client.ended


def test_a_client_that_does_not_take_its_answer_is_waited_for(short: Counted) -> None:
    body = b"x" * 100_000
    with caching() as cached:
        cached.answers_with(FRESH, body=body)
        client = cached.proxy.client(room=150_000)
        ask(client, *[head()] * 3)
        client.reads = False
        client.send(head())
        client.send(head())
        client.send(head() + head())
        assert short.count == 2
        ended = len(cached.proxy.transactions)
        assert ended == 4
        client.reads = True
        cached.proxy.network.settle()
        answers = read_answers(client.received, [b"GET"] * 7, ended=client.ended)
        assert [answer.body for answer in answers] == [body] * 7
        assert len({one.request_id for one in cached.proxy.transactions}) == 7


def test_a_client_that_left_is_logged_as_gone(short: Counted) -> None:
    body = b"x" * 100_000
    with caching() as cached:
        cached.answers_with(FRESH, body=body)
        client = cached.proxy.client(room=150_000)
        ask(client, *[head()] * 3)
        client.reads = False
        client.send(head())
        client.send(head())
        client.cut()
        cached.advance(2)
        assert short.count == 2
        assert cached.proxy.transaction.reason == "client_gone"
        assert cached.proxy.transaction.cache_status == b"revproxy; hit; ttl=60"


def test_a_slow_client_is_given_up_in_time(short: Counted) -> None:
    limits = Limits()
    body = b"x" * 100_000
    with caching(limits=limits) as cached:
        cached.answers_with(FRESH, body=body)
        client = cached.proxy.client(room=150_000)
        ask(client, *[head()] * 3)
        client.reads = False
        client.send(head())
        client.send(head())
        cached.advance(limits.send_timeout + 3)
        assert cached.proxy.transaction.reason == "client_too_slow"
        assert short.count == 2


TELLING = [name for name in Transaction.__slots__ if name not in ("facts", "request_id")]


def told(transaction: Transaction) -> list[Any]:
    return [getattr(transaction, name) for name in TELLING]


def asked(request: Asked) -> tuple[Any, ...]:
    fields = [line for line in request.fields if line[0].lower() != b"x-request-id"]
    return request.method, request.target, fields


TARGETS = [*SCRIPT, b"/x?y", b"/%61"]
STRANGE = [
    HOST + b"Accept-Encoding: br\r\n", HOST + b"Cache-Control: no-cache\r\n", HOST + b'If-None-Match: "1"\r\n',
    b"Host: A.example\r\n", PATTERN + b"Cookie: b=2\r\n", BROWSER,
]  # fmt: skip


def script(chance: Random) -> Iterator[tuple[str, Any]]:
    """What happens to three connections, each with fields of its own."""
    for _ in range(250):
        connection = chance.randrange(3)
        lines = HOST
        if connection:
            after = b"X-A: 1\r\n" if connection == 1 else b"Accept-Encoding: br\r\n"
            lines = (BROWSER if connection == 1 else HOST) + b"Cookie: a=%d\r\n" % chance.randrange(4) + after
        target = chance.choice(TARGETS)
        what = chance.random()
        if what < 0.85:
            yield "send", (connection, head(target, lines), 0)
        elif what < 0.88:
            yield "send", (connection, head(target, chance.choice(STRANGE)), 0)
        elif what < 0.90:
            yield "send", (connection, head(target, lines, chance.choice([b"HEAD", b"POST"])), 0)
        elif what < 0.91:
            yield "send", (connection, head(target, lines) + head(chance.choice(TARGETS), lines), 0)
        elif what < 0.92:
            yield "send", (connection, head(target, lines), chance.randrange(1, 60))
        elif what < 0.97:
            yield "time", chance.choice([0.25, 0.5, 1.0, 2.5, 30.0])
        elif what < 0.995:
            yield chance.choice(["purge", "invalidate"]), target
        else:
            yield "purge", b""


def played(seed: int, *, hidden: bool) -> tuple[Any, ...]:
    with made(hidden=hidden) as cached:
        clients = [cached.proxy.client() for _ in range(3)]
        for kind, what in script(Random(seed)):
            if kind == "send":
                connection, octets, cut = what
                clients[connection].send(octets, cut=(cut,) if cut else ())
            elif kind == "time":
                cached.advance(what)
            elif kind == "purge":
                url = b"http://a.example" + what
                cached.store.purge(Selection(url=url) if what else Selection(everything=True))
            else:
                cached.store.invalidate(cached.cache.keys.of(b"http", parse_authority(b"a.example"), what))
        return (
            [client.received for client in clients],
            [told(transaction) for transaction in cached.proxy.transactions],
            [asked(request) for request in cached.requests],
            {key: entry.visits for key, entry in cached.store._entries.items()},
        )


@pytest.mark.parametrize("seed", range(8))
def test_nobody_can_tell_the_two_ways_apart(seed: int, short: Counted) -> None:
    expected = played(seed, hidden=True)
    assert short.count == 0
    assert played(seed, hidden=False) == expected
    assert short.count >= 30


def test_a_clock_that_was_set_back_makes_nothing_younger(short: Counted) -> None:
    def ages(*, hidden: bool) -> list[bytes | None]:
        with made(hidden=hidden) as cached:
            client = cached.proxy.client()
            ask(client, *[head(b"/short")] * 3)
            cached.advance(0.5)
            ask(client, *[head(b"/short")] * 2)
            frontend, wall = cached.proxy.frontend, cached.proxy.frontend.wall
            frontend.wall = lambda: wall() - 0.25
            before = ask(client, head(b"/short"))
            frontend.wall = lambda: wall() - 100
            return [answer.get(b"age") for answer in before + ask(client, head(b"/short"))]

    assert ages(hidden=False) == ages(hidden=True) == [b"1", b"1"]
    assert short.count == 3


def test_a_route_without_a_cache_gets_nothing_that_is_stored(short: Counted) -> None:
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=asked.target)
        cached.get(b"/b")
        hosts = cached.proxy.root
        assert isinstance(hosts, VirtualHosts)
        hosts.addHost(b"*", Routes([Route(b"/", cached.cache), Route(b"/b", cached.proxy.resource)]))
        client = cached.proxy.client()
        ask(client, *[head()] * 4)
        assert short.count == 1
        answers = ask(client, *[head(b"/b")] * 3)
        assert [(answer.body, answer.get(b"cache-status")) for answer in answers] == [(b"/b", None)] * 3
        assert short.count == 1
