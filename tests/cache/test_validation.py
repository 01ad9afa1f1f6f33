"""Validation of what is stored, and what happens when the server fails meanwhile."""

from __future__ import annotations

import pytest

from revproxy.caching.options import CacheOptions
from revproxy.caching.stored import Content
from tests.support.caching import Cached, caching, response, told

SHORT = b"Cache-Control: max-age=10"
TAG = b'ETag: "a"'
NOT_MODIFIED = b"304 Not Modified"


def fill(cached: Cached, *lines: bytes, body: bytes = b"hello", later: float = 20) -> None:
    """Stores something that is stale afterwards."""
    cached.answers_with(*(lines or (SHORT, TAG)), body=body)
    assert b"stored" in told(cached.get())
    cached.advance(later)


def test_a_304_freshens_what_is_stored() -> None:
    with caching() as cached:
        fill(cached, SHORT, TAG, b"X-A: old", b"Last-Modified: Mon, 12 Jan 1970 09:00:00 GMT")
        cached.answers_with(SHORT, TAG, b"X-A: new", b"X-B: 2", status=NOT_MODIFIED)
        got = cached.get()
        assert (got.status, got.body) == (200, b"hello")
        assert (got.get(b"x-a"), got.get(b"x-b"), got.get(b"age")) == (b"new", b"2", b"0")
        assert told(got) == b"fwd=stale; fwd-status=304; stored; ttl=10; detail=validated"
        asked = cached.requests[-1]
        assert asked.get(b"if-none-match") == b'"a"'
        assert asked.get(b"if-modified-since") == b"Mon, 12 Jan 1970 09:00:00 GMT"
        hit = cached.get()
        assert (told(hit), hit.get(b"x-a"), hit.body) == (b"hit; ttl=10", b"new", b"hello")
        assert len(cached.requests) == 2


def test_a_200_replaces_what_is_stored() -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(SHORT, b'ETag: "b"', body=b"other")
        got = cached.get()
        assert (got.body, told(got)) == (b"other", b"fwd=stale; stored; ttl=10")
        assert cached.get().body == b"other"
        assert len(cached.stored()) == 1


def test_a_200_that_is_not_stored_removes_what_was() -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(b"Cache-Control: no-store", body=b"other")
        assert cached.get().body == b"other"
        assert cached.stored() == ()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [b"500 Oops", b"502 Bad", b"503 Busy", b"504 Late"])
def test_a_failure_and_stale_if_error(status: bytes, method: bytes) -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: max-age=10, stale-if-error=60", TAG)
        cached.answers_with(status=status, body=b"secret page of the server")
        got = cached.get(method=method)
        assert (got.status, got.body) == (200, b"hello" if method == b"GET" else b"")
        assert got.get(b"age") == b"20"
        assert told(got) == b"fwd=stale; fwd-status=%b; ttl=-10; detail=stale-if-error" % status[:3]
        cached.answers_with(SHORT, TAG, status=NOT_MODIFIED)
        assert told(cached.get()).startswith(b"fwd=stale; fwd-status=304")


@pytest.mark.parametrize("status", [b"500 Oops", b"503 Busy"])
def test_a_failure_without_stale_if_error(status: bytes) -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(status=status, body=b"page")
        got = cached.get()
        assert (got.status, got.body) == (int(status[:3]), b"page")
        assert len(cached.stored()) == 1


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_no_connection_and_stale_if_error(method: bytes) -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: max-age=10, stale-if-error=60", TAG)
        for end in cached.proxy.origin.connections:
            end.close()
        cached.proxy.origin.mode = "refuse later"
        got = cached.get(method=method)
        assert (got.status, got.body) == (200, b"hello" if method == b"GET" else b"")
        assert told(got) == b"fwd=stale; ttl=-10; detail=stale-if-error"
        assert cached.proxy.transaction.status == 200
        if method == b"GET":
            # The log tells why.
            assert cached.proxy.transaction.reason == "connect_failed"
        cached.advance(100)
        got = cached.get(method=method)
        assert got.status == 502
        assert got.get(b"cache-status") is None


@pytest.mark.parametrize("directives", [b"max-age=10", b"max-age=10, stale-if-error=60, must-revalidate"])
def test_no_connection_and_nothing_that_allows_stale(directives: bytes) -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: " + directives, TAG)
        for end in cached.proxy.origin.connections:
            end.close()
        cached.proxy.origin.mode = "refuse later"
        assert cached.get().status == 502
        assert cached.told[-1] == b"fwd=stale"


def test_the_servers_answer_breaks_off_before_its_head() -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: max-age=10, stale-if-error=60", TAG)
        cached.script = None
        client = cached.ask()
        cached.reply(b"HTTP/1.1 200 OK\r\nContent-").close()
        assert client.received.endswith(b"hello")


def test_a_304_with_an_unknown_validator_is_asked_again() -> None:
    with caching() as cached:
        fill(cached)
        octets = [response(b'ETag: "z"', SHORT, status=NOT_MODIFIED), response(SHORT, b'ETag: "z"', body=b"new")]
        cached.script = lambda asked: octets.pop(0)
        got = cached.get()
        assert (got.status, got.body) == (200, b"new")
        assert cached.requests[-2].get(b"if-none-match") == b'"a"'
        assert cached.requests[-1].get(b"if-none-match") is None
        assert cached.get().body == b"new"
        assert len(cached.requests) == 3


def test_waiters_go_with_who_asks_again() -> None:
    with caching() as cached:
        fill(cached)
        cached.script = None
        clients = [cached.ask() for _ in range(3)]
        assert len(cached.requests) == 2
        cached.reply(response(b'ETag: "z"', SHORT, status=NOT_MODIFIED))
        assert len(cached.requests) == 3
        # Their patience ends all the same.
        late = cached.ask()
        cached.advance(7)
        assert len(cached.requests) == 6
        octets = response(SHORT, b'ETag: "z"', body=b"new")
        for at in range(2, 6):
            cached.reply(octets, at)
        for client in (*clients, late):
            assert client.received.endswith(b"new")


def test_a_clients_own_validator_and_ours() -> None:
    """The client has what the server has by now; what is stored is older."""
    with caching() as cached:
        fill(cached)
        cached.answers_with(SHORT, b'ETag: "b"', body=b"other")
        got = cached.get(b"/", b'If-None-Match: "b"')
        assert cached.requests[-1].get(b"if-none-match") == b'"a"'
        assert (got.status, got.body, got.get(b"etag")) == (304, b"", b'"b"')
        assert told(got) == b"fwd=stale; fwd-status=200; stored; ttl=10"
        assert cached.get().body == b"other"
        assert len(cached.requests) == 2


def test_a_clients_own_validator_is_evaluated_after_a_304() -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(SHORT, TAG, status=NOT_MODIFIED)
        got = cached.get(b"/", b'If-None-Match: "x", "a"')
        assert (got.status, got.get(b"etag")) == (304, b'"a"')
        cached.advance(20)
        got = cached.get(b"/", b'If-None-Match: "x"')
        assert (got.status, got.body) == (200, b"hello")
        assert [asked.get(b"if-none-match") for asked in cached.requests] == [None, b'"a"', b'"a"']


def test_a_clients_own_validator_with_nothing_stored() -> None:
    with caching() as cached:
        cached.answers_with(SHORT, b'ETag: "x"', status=NOT_MODIFIED)
        got = cached.get(b"/", b'If-None-Match: "x"')
        assert (got.status, told(got)) == (304, b"fwd=uri-miss; detail=not-modified")
        assert cached.requests[-1].get(b"if-none-match") == b'"x"'
        assert cached.stored() == ()


def test_a_clients_own_validator_and_what_has_none() -> None:
    with caching() as cached:
        fill(cached, SHORT)
        cached.answers_with(SHORT, b'ETag: "x"', status=NOT_MODIFIED)
        got = cached.get(b"/", b'If-None-Match: "x"')
        assert (got.status, got.body) == (304, b"")
        assert told(got) == b"fwd=stale; detail=clients-validator"


def test_a_range_after_a_validation() -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(SHORT, TAG, status=NOT_MODIFIED)
        got = cached.get(b"/", b"Range: bytes=1-2")
        assert (got.status, got.body, got.get(b"content-range")) == (206, b"el", b"bytes 1-2/5")


def test_variants_are_nominated_together() -> None:
    with caching() as cached:
        cached.script = lambda asked: response(
            SHORT, b"Vary: X-L", b'ETag: "%b"' % (asked.get(b"x-l") or b""), body=asked.get(b"x-l") or b""
        )
        for language in (b"de", b"fr"):
            cached.get(b"/", b"X-L: " + language)
        assert len(cached.stored()) == 2
        cached.answers_with(SHORT, b"Vary: X-L", b'ETag: "fr"', status=NOT_MODIFIED)
        got = cached.get(b"/", b"X-L: fr-CH")
        tags = set((cached.requests[-1].get(b"if-none-match") or b"").split(b", "))
        assert tags == {b'"de"', b'"fr"'}
        assert (got.status, got.body, told(got)[:13]) == (200, b"fr", b"fwd=vary-miss")
        assert b"detail=validated-variant" in told(got)
        # It is not stored for the other fields (RFC 9111 §4.3.4).
        assert len(cached.stored()) == 2


def test_a_304_that_forbids_to_keep_it() -> None:
    with caching() as cached:
        fill(cached)
        cached.answers_with(b"Cache-Control: no-store", TAG, status=NOT_MODIFIED)
        got = cached.get()
        assert (got.status, got.body, got.get(b"cache-control")) == (200, b"hello", b"no-store")
        assert b"stored" not in told(got)
        assert cached.stored() == ()


def test_a_304_with_a_body_that_it_must_not_have() -> None:
    with caching() as cached:
        fill(cached)
        cached.script = None
        client = cached.ask()
        end = cached.reply(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 3\r\n\r\nxyz')
        assert client.received.endswith(b"hello")
        cached.proxy.network.settle()
        # What follows could be taken for the next answer: the connection is not used again.
        assert end.is_over


def test_a_failure_with_a_long_page_is_not_read() -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: max-age=10, stale-if-error=60", TAG)
        cached.script = None
        client = cached.ask()
        end = cached.reply(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\nxyz")
        assert client.received.endswith(b"hello")
        assert end.is_over


def test_a_failure_with_a_short_page_keeps_its_connection() -> None:
    with caching() as cached:
        fill(cached, b"Cache-Control: max-age=10, stale-if-error=60", TAG)
        cached.script = None
        client = cached.ask()
        end = cached.reply(b"HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\nxyz")
        assert client.received.endswith(b"hello")
        end.send(b"abc")
        cached.script = lambda asked: response(SHORT, TAG, status=NOT_MODIFIED)
        cached.get()
        assert len(cached.proxy.origin.connections) == 1


def test_content_that_is_lost_when_it_is_validated() -> None:
    with caching() as cached:
        fill(cached, body=b"y" * 200_000)
        (stored,) = cached.stored()
        stored.content = Content(None, 200_000)
        octets = [response(SHORT, TAG, status=NOT_MODIFIED), response(SHORT, TAG, body=b"again")]
        cached.script = lambda asked: octets.pop(0)
        got = cached.get()
        assert (got.status, got.body) == (200, b"again")


def test_requests_validation_directives() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=100", TAG)
        cached.get()
        cached.advance(5)
        cached.answers_with(b"Cache-Control: max-age=100", TAG, status=NOT_MODIFIED)
        for line in (b"Cache-Control: no-cache", b"Cache-Control: max-age=0", b"Pragma: no-cache"):
            cached.advance(1)
            before = len(cached.requests)
            got = cached.get(b"/", line)
            assert (got.status, got.body, len(cached.requests)) == (200, b"hello", before + 1)
            assert told(got).startswith(b"fwd=request; fwd-status=304; stored; ttl=100")


def test_options_of_a_route_for_failures() -> None:
    with caching(CacheOptions(stale_if_error=100)) as cached:
        fill(cached)
        cached.answers_with(status=b"503 Busy")
        assert cached.get().body == b"hello"


def test_head_freshens_and_invalidates() -> None:
    with caching() as cached:
        fill(cached, SHORT, TAG)
        cached.answers_with(SHORT, TAG, b"Content-Length: 5")
        got = cached.get(method=b"HEAD")
        assert (got.status, told(got)) == (200, b"fwd=stale; detail=stale")
        assert cached.requests[-1].method == b"HEAD"
        assert told(cached.get()) == b"hit; ttl=10"
        cached.advance(20)
        cached.answers_with(SHORT, b'ETag: "b"', body=b"other")
        cached.get(method=b"HEAD")
        assert cached.stored()[0].head.invalidated
        assert cached.get().body == b"other"
