"""Answers out of the store: Age, Cache-Status, preconditions, ranges, HEAD, slow clients."""

from __future__ import annotations

from typing import Any

import pytest

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.http.dates import format_date
from revproxy.http.target import parse_authority
from revproxy.resources.base import Route, Routes
from revproxy.resources.caching import CachingResource
from revproxy.resources.vhost import VirtualHosts
from revproxy.stores.memory import MemoryStore
from tests.support.caching import MIB, caching, response, told
from tests.support.dialogue import answer, answering
from tests.support.proxy import Proxy

FRESH = b"Cache-Control: max-age=60"
LARGE = bytes(range(256)) * 2400  # several pieces, and it fits on its way at once


def test_a_hit_has_age_and_says_so() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"X-A: 1")
        first = cached.get()
        assert told(first) == b"fwd=uri-miss; stored; ttl=60"
        assert first.get(b"age") is None
        cached.advance(7)
        hit = cached.get()
        assert (hit.status, hit.body, hit.get(b"x-a"), hit.get(b"age")) == (200, b"hello", b"1", b"7")
        assert told(hit) == b"hit; ttl=53"
        assert hit.get(b"date") == first.get(b"date")
        assert len(cached.requests) == 1
        assert cached.told == [b"fwd=uri-miss; stored; ttl=60", b"hit; ttl=53"]


def test_every_second_has_its_own_age() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        ages = []
        for _ in range(3):
            ages += [cached.get().get(b"age"), cached.get().get(b"age")]
            cached.advance(1)
        assert ages == [b"0", b"0", b"1", b"1", b"2", b"2"]


def test_age_counts_what_caches_behind_had() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Age: 20", b"Cache-Status: Inner; hit; ttl=40")
        first = cached.get()
        assert first.get(b"age") == b"20"
        assert first.get(b"cache-status") == b"Inner; hit; ttl=40, revproxy; fwd=uri-miss; stored; ttl=40"
        cached.advance(5)
        hit = cached.get()
        assert hit.get(b"age") == b"25"
        assert hit.get(b"cache-status") == b"Inner; hit; ttl=40, revproxy; hit; ttl=35"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), b"fwd=uri-miss; detail=never-usable"),
        ((b"Cache-Control: no-store",), b"fwd=uri-miss; detail=no-store"),
        ((b"Cache-Control: private",), b"fwd=uri-miss; detail=private"),
        ((b"Vary: *", FRESH), b"fwd=uri-miss; detail=vary-any"),
    ],
)
def test_what_is_not_stored_says_why(lines: tuple[bytes, ...], status: bytes) -> None:
    with caching() as cached:
        cached.answers_with(*lines)
        assert told(cached.get()) == status
        # One at a time: what is remembered of the key changes nothing of what is said.
        assert told(cached.get()) == status
        assert len(cached.requests) == 2
        assert cached.told == [status] * 2


@pytest.mark.parametrize(
    ("method", "lines", "status"),
    [
        (b"OPTIONS", (), b"fwd=method; detail=method"),
        (b"PUT", (), b"fwd=method; detail=unsafe-method"),
        (b"POST", (), b"fwd=method; detail=post"),
        (b"BREW", (), b"fwd=method; detail=unsafe-method"),
        (b"GET", (b"If-Match: \"a\"",), b"fwd=request; detail="),
        (b"GET", (b"X-Http-Method-Override: DELETE",), b"fwd=bypass; detail=rewriting-field"),
    ],
)
def test_what_is_sent_on_says_why(method: bytes, lines: tuple[bytes, ...], status: bytes) -> None:
    with caching() as cached:
        cached.answers_with()
        assert told(cached.get(b"/", *lines, method=method)).startswith(status)


def test_cache_status_can_be_turned_off_and_named() -> None:
    with caching(resource={"says": False}) as cached:
        cached.answers_with(FRESH)
        assert [cached.get().get(b"cache-status") for _ in range(2)] == [None, None]
        assert cached.get().get(b"age") == b"0"
    with caching(resource={"name": b"edge 1"}) as cached:
        cached.answers_with(FRESH)
        cached.get()
        assert cached.get().get(b"cache-status") == b'"edge 1"; hit; ttl=60'


def test_tags_are_for_us() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Surrogate-Key: a b", b"Cache-Tag: c")
        for _ in range(2):
            got = cached.get()
            assert (got.get(b"surrogate-key"), got.get(b"cache-tag")) == (None, None)
        (stored,) = cached.stored()
        assert stored.head.tags == {b"a", b"b", b"c"}


def test_only_if_cached() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        got = cached.get(b"/", b"Cache-Control: only-if-cached")
        assert got.status == 504
        # RFC 9211 §2: what the proxy makes itself has no Cache-Status.
        assert told(got) == b""
        assert cached.requests == []
        assert cached.told == [b"fwd=request; detail=only-if-cached"]
        cached.get()
        assert cached.get(b"/", b"Cache-Control: only-if-cached").status == 200
        assert len(cached.requests) == 1


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b'If-None-Match: "a"', 304),
        (b'If-None-Match: W/"a"', 304),
        (b'If-None-Match: "b", "a"', 304),
        (b"If-None-Match: *", 304),
        (b'If-None-Match: "b"', 200),
        (b"If-Modified-Since: Mon, 12 Jan 1970 10:00:00 GMT", 304),
        (b"If-Modified-Since: Mon, 12 Jan 1970 08:00:00 GMT", 200),
        (b"If-Modified-Since: nonsense", 200),
    ],
)
def test_preconditions(method: bytes, line: bytes, status: int) -> None:
    with caching() as cached:
        cached.answers_with(
            FRESH, b'ETag: "a"', b"Last-Modified: Mon, 12 Jan 1970 09:00:00 GMT", b"X-A: 1", b"Content-Type: text/plain"
        )
        cached.get()
        cached.advance(3)
        got = cached.get(b"/", line, method=method)
        assert (got.status, got.complete) == (status, True)
        assert got.body == (b"hello" if status == 200 and method == b"GET" else b"")
        assert (got.get(b"etag"), got.get(b"age")) == (b'"a"', b"3")
        assert told(got) == b"hit; ttl=57"
        # RFC 9110 §15.4.5: a 304 repeats what a cache needs, not what describes content that isn't there.
        assert (got.get(b"content-type") is None) == (status == 304)
        assert got.get(b"date") == format_date(1_000_000)
        assert len(cached.requests) == 1


@pytest.mark.parametrize(
    ("lines", "status", "content_range", "body"),
    [
        ((b"Range: bytes=0-1",), 206, b"bytes 0-1/10", b"01"),
        ((b"Range: bytes=8-",), 206, b"bytes 8-9/10", b"89"),
        ((b"Range: bytes=-3",), 206, b"bytes 7-9/10", b"789"),
        ((b"Range: bytes=10-",), 416, b"bytes */10", b""),
        ((b"Range: bytes=x",), 200, None, b"0123456789"),
        ((b"Range: lines=1-2",), 200, None, b"0123456789"),
        ((b"Range: bytes=0-1", b'If-Range: "a"'), 206, b"bytes 0-1/10", b"01"),
        ((b"Range: bytes=0-1", b'If-Range: "b"'), 200, None, b"0123456789"),
        ((b"Range: bytes=0-1", b'If-Range: W/"a"'), 200, None, b"0123456789"),
        ((b"Range: bytes=0-1", b'If-None-Match: "a"'), 304, None, b""),
        ((b"Range: bytes=0-1", b'If-None-Match: "b"'), 206, b"bytes 0-1/10", b"01"),
    ],
)
def test_ranges(lines: tuple[bytes, ...], status: int, content_range: bytes | None, body: bytes) -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b'ETag: "a"', body=b"0123456789")
        cached.get()
        got = cached.get(b"/", *lines)
        assert (got.status, got.get(b"content-range"), got.body, got.complete) == (status, content_range, body, True)
        assert told(got) == b"hit; ttl=60"
        assert len(cached.requests) == 1


def test_several_ranges_at_once() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Content-Type: text/plain", body=b"0123456789" * 100)
        cached.get()
        got = cached.get(b"/", b"Range: bytes=1-2, 500-502")
        assert got.status == 206
        media = got.get(b"content-type") or b""
        assert media.startswith(b"multipart/byteranges; boundary=")
        boundary = media.partition(b"=")[2].strip(b'"')
        parts = got.body.split(b"--" + boundary)
        assert len(parts) == 4
        assert parts[1].endswith(b"\r\n\r\n12\r\n")
        assert parts[2].endswith(b"\r\n\r\n012\r\n")
        assert b"bytes 500-502/1000" in parts[2]
        assert int(got.get(b"content-length") or b"") == len(got.body)


def test_a_range_of_a_head_request_means_nothing() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        got = cached.get(b"/", b"Range: bytes=0-1", method=b"HEAD")
        assert (got.status, got.get(b"content-length"), got.body) == (200, b"5", b"")


def test_head_out_of_a_stored_get() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"X-A: 1")
        cached.get()
        cached.advance(2)
        got = cached.get(method=b"HEAD")
        assert (got.status, got.body, got.get(b"content-length")) == (200, b"", b"5")
        assert (got.get(b"x-a"), got.get(b"age"), told(got)) == (b"1", b"2", b"hit; ttl=58")
        assert len(cached.requests) == 1


@pytest.mark.parametrize("status", [b"204 No Content", b"404 Not Found", b"301 Moved Permanently"])
def test_other_statuses(status: bytes) -> None:
    with caching() as cached:
        cached.answers_with(FRESH, status=status)
        cached.get()
        got = cached.get()
        assert got.status == int(status[:3])
        assert got.body == (b"" if status[:3] == b"204" else b"hello")
        assert (got.get(b"content-length") is None) == (status[:3] == b"204")
        head = cached.get(method=b"HEAD")
        assert (head.status, head.body) == (got.status, b"")
        assert (head.get(b"content-length") is None) == (status[:3] == b"204")
        assert len(cached.requests) == 1


def test_the_phrase_is_kept() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, status=b"200 Fine")
        for _ in range(2):
            client = cached.ask()
            assert client.received.startswith(b"HTTP/1.1 200 Fine\r\n")


def test_an_old_client() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        client = cached.proxy.client()
        client.send(b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n")
        assert client.received.endswith(b"\r\n\r\nhello")
        assert client.ended
        assert len(cached.requests) == 1


def test_hits_on_one_connection() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        client = cached.proxy.client()
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n" * 5)
        assert client.received.count(b"hello") == 5
        assert client.received.count(b"Cache-Status: revproxy; hit") == 5
        assert len(cached.requests) == 1


def test_large_content_goes_at_the_clients_pace() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=LARGE)
        cached.get()
        client = cached.proxy.client(room=10_000)
        client.reads = False
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert cached.proxy.queued < 200_000
        while len(client.received) < len(LARGE) // 2:
            assert client.take(9_000)
            assert cached.proxy.queued < 200_000
        client.reads = True
        cached.proxy.network.settle()
        got = answer(client)
        assert (got.body, got.complete) == (LARGE, True)
        assert len(cached.requests) == 1


def test_a_client_that_leaves_in_the_middle_of_a_hit() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=LARGE)
        cached.get()
        client = cached.proxy.client(room=10_000)
        client.reads = False
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        client.cut()
        cached.advance(2)
        assert cached.proxy.queued == 0
        assert cached.proxy.transaction.reason == "client_gone"
        assert cached.get().body == LARGE


def test_ranges_of_large_content() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=LARGE)
        cached.get()
        got = cached.get(b"/", b"Range: bytes=1000-500000")
        assert got.body == LARGE[1000:500001]
        assert len(cached.requests) == 1


def test_what_is_too_large_is_not_stored() -> None:
    with caching(CacheOptions(largest=4)) as cached:
        cached.answers_with(FRESH)
        for _ in range(2):
            got = cached.get()
            assert (got.body, told(got)) == (b"hello", b"fwd=uri-miss; detail=too-large")
        assert cached.stored() == ()


def test_too_large_for_the_store() -> None:
    with caching(largest=MIB // 2) as cached:
        cached.answers_with(FRESH, body=LARGE)
        got = cached.get()
        assert (got.body, told(got)) == (LARGE, b"fwd=uri-miss; detail=too-large")
        assert cached.stored() == ()


def test_an_error_that_is_too_large_outdates_nothing() -> None:
    with caching(CacheOptions(largest=4)) as cached:
        cached.answers_with(b"Cache-Control: max-age=1", b'ETag: "a"', body=b"ok")
        cached.get()
        cached.advance(2)
        cached.answers_with(FRESH, status=b"500 Oops")
        assert told(cached.get()) == b"fwd=stale; detail=too-large"
        assert len(cached.stored()) == 1
        cached.answers_with(FRESH, body=b"a long one")
        assert told(cached.get()) == b"fwd=stale; detail=too-large"
        assert cached.stored() == ()


def test_two_responses_that_differ_in_nothing_but_the_second() -> None:
    """What is rendered for a second is not used in the next, whatever the ages' fractions are."""
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=3")
        cached.get()
        seen = []
        for _ in range(8):
            cached.proxy.clock.advance(0.5)
            cached.proxy.network.settle()
            got = cached.get()
            seen.append((got.get(b"age"), told(got)))
        assert seen[0] == (b"0", b"hit; ttl=2")
        assert seen[3] == (b"2", b"hit; ttl=1")
        assert seen[5][1] == b"fwd=stale; stored; ttl=3"
        assert len(cached.requests) == 2


def test_octets_in_pieces_become_one_response() -> None:
    with caching() as cached:
        octets = response(FRESH, b"Transfer-Encoding: chunked", body=b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
        for path, cut in ((b"/whole", range(0)), (b"/each", range(1, len(octets)))):
            client = cached.ask(path)
            cached.asked[-1][1].send(octets, cut=cut)
            assert answer(client).body == b"hello"
            hit = cached.get(path)
            assert (hit.body, hit.get(b"content-length"), hit.get(b"transfer-encoding")) == (b"hello", b"5", None)
        assert len(cached.requests) == 2


def test_keys_on_one_connection() -> None:
    """What is remembered of a key between requests is right for the next one, whatever changes."""
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=b"%b %b" % (asked.get(b"host") or b"", asked.target))
        client = cached.proxy.client()

        def ask(target: bytes, host: bytes, *lines: bytes) -> bytes:
            client.take_back()
            fields = b"".join(line + b"\r\n" for line in (b"Host: " + host, *lines))
            client.send(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, fields))
            return answer(client).body

        for _ in range(3):
            for path in (b"/1", b"/2"):
                assert ask(path, b"b.example", b"Cookie: a") == b"b.example " + path
                assert ask(path, b"b.example", b"Cookie: b") == b"b.example " + path
                assert ask(path, b"a.example") == b"a.example " + path
                # The same fields, but the target names another host.
                assert ask(b"http://b.example" + path, b"a.example") == b"b.example " + path
                assert ask(path, b"a.example") == b"a.example " + path
                assert ask(b"http://c.example" + path, b"a.example") == b"c.example " + path
        assert len(cached.requests) == 6


def test_two_routes_on_one_connection() -> None:
    """Routes of other scopes never share, though their store is one."""

    def root(proxy: Proxy) -> Any:
        store = MemoryStore(64 * MIB, MIB, proxy.clock)
        wall = lambda: 1_000_000.0 + proxy.clock.seconds()  # noqa: E731
        routes = [
            Route(path, CachingResource(proxy.resource, store, proxy.sweep, keys=KeyOptions(scope=path), wall=wall))
            for path in (b"/", b"/deep")
        ]
        hosts = VirtualHosts()
        hosts.addHost(b"*", Routes(routes))
        roots.extend(routes)
        return hosts

    roots: list[Any] = []
    proxy = Proxy(root=root)
    asked = answering(proxy.origin, lambda request: response(FRESH, body=request.target))
    client = proxy.client()
    for _ in range(2):
        for path in (b"/x", b"/deep/x", b"/x", b"/deep/x"):
            client.take_back()
            client.send(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % path)
            assert answer(client).body == path
    assert len(asked) == 2
    store = roots[0].resource.store
    assert store.usage().responses == 2
    (deep,) = store.find(roots[1].resource.keys.of(b"http", parse_authority(b"a.example"), b"/deep/x"))
    assert deep.content.octets == b"/deep/x"
    (plain,) = store.find(roots[0].resource.keys.of(b"http", parse_authority(b"a.example"), b"/x"))
    assert plain.content.octets == b"/x"
    assert store.find(roots[1].resource.keys.of(b"http", parse_authority(b"a.example"), b"/x")) == ()
    proxy.assert_at_rest()
