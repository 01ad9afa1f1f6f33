"""The caching resource inside a stock ``twisted.web.server.Site``."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from revproxy.resources.caching import CachingResource
from revproxy.stores.memory import MemoryStore
from tests.resources.test_stock_site import StockSite
from tests.support.caching import MIB, response, told
from tests.support.dialogue import answering
from tests.support.proxy import Proxy
from tests.support.reading import Answer

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
FRESH = b"Cache-Control: max-age=60"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.assert_at_rest()


def ask(proxy: Proxy, cache: CachingResource, octets: bytes = GET) -> Answer:
    site = StockSite(proxy, cache)
    site.send(octets)
    got = site.answer(octets.split()[0])
    site.leave()
    return got


def cached_resource(proxy: Proxy) -> CachingResource:
    # Stock requests bring the machine's own clock.
    return CachingResource(proxy.resource, MemoryStore(64 * MIB, MIB, proxy.clock), proxy.sweep, wall=time.time)


def test_a_miss_and_a_hit(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: response(FRESH, b"X-A: 1", b"Cache-Status: Inner; hit"))
    cache = cached_resource(proxy)
    first = ask(proxy, cache)
    assert (first.status, first.body) == (200, b"hello")
    assert (first.get(b"cache-status") or b"").startswith(b"Inner; hit, revproxy; fwd=uri-miss; stored; ttl=")
    hit = ask(proxy, cache)
    assert (hit.body, hit.get(b"x-a"), hit.get(b"age")) == (b"hello", b"1", b"0")
    assert (hit.get(b"cache-status") or b"").startswith(b"Inner; hit, revproxy; hit; ttl=")
    assert len([name for name, _ in hit.fields if name == b"date"]) == 1
    assert len(asked) == 1


def test_head_preconditions_and_ranges(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: response(FRESH, b'ETag: "a"'))
    cache = cached_resource(proxy)
    ask(proxy, cache)
    head = ask(proxy, cache, GET.replace(b"GET", b"HEAD"))
    assert (head.status, head.body, head.get(b"content-length")) == (200, b"", b"5")
    same = ask(proxy, cache, GET[:-2] + b'If-None-Match: "a"\r\n\r\n')
    assert (same.status, same.body) == (304, b"")
    part = ask(proxy, cache, GET[:-2] + b"Range: bytes=1-2\r\n\r\n")
    assert (part.status, part.body, part.get(b"content-range")) == (206, b"el", b"bytes 1-2/5")
    assert len(asked) == 1


def test_what_is_not_stored_and_what_changes(proxy: Proxy) -> None:
    asked = answering(proxy.origin, lambda request: response(b"Cache-Control: no-store"))
    cache = cached_resource(proxy)
    assert told(ask(proxy, cache)) == b"fwd=uri-miss; detail=no-store"
    post = b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx"
    assert told(ask(proxy, cache, post)).startswith(b"fwd=method")
    assert [request.method for request in asked] == [b"GET", b"POST"]
    assert ask(proxy, cache, GET[:-2] + b"Cache-Control: only-if-cached\r\n\r\n").status == 504


def test_large_content(proxy: Proxy) -> None:
    body = bytes(range(256)) * 2000
    answering(proxy.origin, lambda request: response(FRESH, body=body))
    cache = cached_resource(proxy)
    for _ in range(2):
        got = ask(proxy, cache)
        assert (got.body, got.complete) == (body, True)


def test_a_bad_request(proxy: Proxy) -> None:
    cache = cached_resource(proxy)
    assert ask(proxy, cache, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n").status == 400


def test_it_is_found_below_itself(proxy: Proxy) -> None:
    cache = cached_resource(proxy)
    assert cache.getChild(b"x", None) is cache
