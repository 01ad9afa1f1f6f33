"""Stale responses at once, and the validation behind them (RFC 5861 §3)."""

from __future__ import annotations

from revproxy.caching.options import CacheOptions
from tests.support.caching import Cached, caching, response, told
from tests.support.dialogue import answer

LINE = b"Cache-Control: max-age=10, stale-while-revalidate=100"
TAG = b'ETag: "a"'


def fill(cached: Cached, *lines: bytes, body: bytes = b"hello", path: bytes = b"/") -> None:
    cached.answers_with(*(lines or (LINE, TAG)), body=body)
    assert b"stored" in told(cached.get(path))
    cached.script = None


def test_the_client_does_not_wait() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        got = cached.get()
        assert (got.status, got.body, got.get(b"age")) == (200, b"hello", b"20")
        assert told(got) == b"hit; ttl=-10; detail=stale-while-revalidate"
        assert len(cached.requests) == 2
        assert cached.requests[-1].get(b"if-none-match") == b'"a"'
        # One validation is enough.
        assert told(cached.get()) == b"hit; ttl=-10; detail=stale-while-revalidate"
        assert len(cached.requests) == 2
        cached.reply(response(LINE, TAG, status=b"304 Not Modified"))
        assert told(cached.get()) == b"hit; ttl=10"
        cached.advance(20)
        cached.get()
        assert len(cached.requests) == 3
        cached.reply(response(LINE, b'ETag: "b"', body=b"other"))
        assert cached.get().body == b"other"


def test_what_is_asked_behind_is_not_the_clients() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        cached.get(
            b"/", b"Range: bytes=0-1", b'If-None-Match: "x"', b"Authorization: Basic eA==", b"X-A: 1", method=b"HEAD"
        )
        asked = cached.requests[-1]
        assert (asked.method, asked.get(b"x-a"), asked.get(b"if-none-match")) == (b"GET", b"1", b'"a"')
        assert asked.get(b"host") == b"a.example"
        for name in (b"range", b"authorization"):
            assert asked.get(name) is None
        cached.reply(response(LINE, TAG, status=b"304 Not Modified"))


def test_their_number_is_bounded() -> None:
    with caching(resource={"background": 2}) as cached:
        for path in (b"/1", b"/2", b"/3"):
            fill(cached, path=path)
        cached.advance(20)
        for path in (b"/1", b"/2", b"/3"):
            assert cached.get(path).body == b"hello"
        assert [asked.target for asked in cached.requests[3:]] == [b"/1", b"/2"]
        cached.reply(response(LINE, TAG, status=b"304 Not Modified"))
        cached.get(b"/3")
        assert [asked.target for asked in cached.requests[5:]] == [b"/3"]


def test_its_failure_harms_nobody() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        for _ in range(3):
            assert cached.get().body == b"hello"
            cached.asked[-1][1].cut()
        cached.get()
        cached.reply(response(status=b"500 Oops"))
        for end in cached.proxy.origin.connections:
            end.close()
        cached.proxy.origin.mode = "refuse"
        for _ in range(3):
            assert cached.get().body == b"hello"
        assert len(cached.stored()) == 1
        assert cached.cache._validating == set()


def test_what_is_not_to_be_kept_is_not_read() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        cached.get()
        end = cached.reply(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10000000\r\n\r\nbegin")
        assert end.was_reset
        assert cached.cache._validating == set()
        assert cached.stored() == ()


def test_what_turns_out_too_large_is_not_read() -> None:
    with caching(largest=100_000) as cached:
        fill(cached)
        cached.advance(20)
        cached.get()
        end = cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % LINE)
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        for _ in range(3):
            end.send(chunk)
        assert not end.is_over
        end.send(chunk)
        assert end.was_reset
        assert cached.cache._validating == set()


def test_who_comes_meanwhile_reads_along() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        cached.get()
        octets = response(LINE, b'ETag: "b"', body=b"x" * 1000)
        cached.reply(octets[:500])
        # What is stored is too old for this one.
        client = cached.ask(b"/", b"Cache-Control: max-age=5")
        assert client.received.count(b"x") > 0
        assert len(cached.requests) == 2
        cached.reply(octets[500:])
        assert client.received.endswith(b"x" * 1000)
        assert told(answer(client)) == b"fwd=stale; collapsed; ttl=10"


def test_who_reads_along_keeps_what_is_too_large() -> None:
    with caching(largest=100_000) as cached:
        fill(cached)
        cached.advance(20)
        cached.get()
        end = cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % LINE)
        client = cached.ask(b"/", b"Cache-Control: max-age=5")
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        for _ in range(6):
            end.send(chunk)
        end.send(b"0\r\n\r\n")
        got = answer(client)
        assert (got.body, got.complete) == (b"x" * 6 * 0x8000, True)
        assert cached.cache._validating == set()
        # What is stored stays: it was not replaced.
        assert len(cached.stored()) == 1


def test_an_unknown_validator_behind() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(20)
        cached.get()
        cached.reply(response(LINE, b'ETag: "z"', status=b"304 Not Modified"))
        assert cached.requests[-1].get(b"if-none-match") is None
        assert len(cached.requests) == 3
        cached.reply(response(LINE, b'ETag: "z"', body=b"new"))
        assert cached.get().body == b"new"


def test_from_the_configuration() -> None:
    with caching(CacheOptions(stale_while_revalidate=30)) as cached:
        fill(cached, b"Cache-Control: max-age=10")
        cached.advance(20)
        assert cached.get().body == b"hello"
        cached.reply(response(b"Cache-Control: max-age=10", body=b"other"))
        assert cached.get().body == b"other"


def test_who_waited_for_what_is_stale_again_lets_it_be_validated() -> None:
    with caching() as cached:
        fill(cached)
        cached.advance(200)
        clients = [cached.ask(), cached.ask()]
        assert len(cached.requests) == 2
        cached.reply(response(LINE, TAG, b"Age: 15", status=b"304 Not Modified"))
        assert [answer(client).body for client in clients] == [b"hello"] * 2
        assert told(answer(clients[1])) == b"hit; ttl=-5; detail=stale-while-revalidate"
        assert len(cached.requests) == 3
        cached.reply(response(LINE, TAG, status=b"304 Not Modified"))
