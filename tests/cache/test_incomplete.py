"""Nothing truncated is ever stored as whole; parts, and how they become the whole (RFC 9111 §3.3, §3.4)."""

from __future__ import annotations

import pytest

from revproxy.caching.options import CacheOptions
from tests.support.caching import Cached, caching, response, told
from tests.support.dialogue import answer
from tests.support.reading import Asked

FRESH = b"Cache-Control: max-age=60"
STRONG = b'ETag: "a"'
TEN = b"0123456789"


def part(first: int, last: int, *lines: bytes, total: int = 10, tag: bytes = b'"a"') -> bytes:
    return response(
        FRESH, b"ETag: " + tag, b"Content-Range: bytes %d-%d/%d" % (first, last, total), *lines,
        status=b"206 Partial Content", body=TEN[first : last + 1],
    )  # fmt: skip


def broken_off(cached: Cached, *lines: bytes, sent: bytes = TEN[:4], how: str = "fin", framing: bytes = b"") -> None:
    """An answer of ten octets that ends too early."""
    script, cached.script = cached.script, None
    client = cached.ask()
    framing = framing or b"Content-Length: 10"
    end = cached.reply(b"\r\n".join([b"HTTP/1.1 200 OK", FRESH, framing, *lines, b"", sent]))
    getattr(end, how)()
    assert not answer(client).complete
    cached.script = script


@pytest.mark.parametrize("how", ["fin", "cut", "close"])
@pytest.mark.parametrize("lines", [(), (b'ETag: W/"a"',), (b"Last-Modified: Mon, 12 Jan 1970 13:46:39 GMT",)])
def test_what_breaks_off_is_not_stored(how: str, lines: tuple[bytes, ...]) -> None:
    with caching() as cached:
        broken_off(cached, *lines, how=how)
        assert cached.stored() == ()


@pytest.mark.parametrize(
    ("framing", "sent", "how"),
    [
        (b"Transfer-Encoding: chunked", b"4\r\n0123\r\n", "fin"),
        (b"Transfer-Encoding: chunked", b"4\r\n0123\r\n0\r\n", "fin"),
        (b"Transfer-Encoding: chunked", b"4\r\n0123\r\nx\r\n", "fin"),
        (b"Connection: close", b"0123", "cut"),
    ],
)
def test_what_breaks_off_without_a_length_is_not_stored(framing: bytes, sent: bytes, how: str) -> None:
    with caching() as cached:
        broken_off(cached, framing=framing, sent=sent, how=how)
        assert cached.stored() == ()


def test_a_server_that_is_silent_in_the_middle() -> None:
    with caching(idle_timeout=5.0) as cached:
        client = cached.ask()
        cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 10\r\n\r\n0123" % FRESH)
        cached.advance(10)
        assert not answer(client).complete
        assert client.is_over
        assert cached.stored() == ()


def test_a_clean_end_is_one() -> None:
    """RFC 9112 §8: what ends with its connection is complete if that ended cleanly."""
    with caching() as cached:
        client = cached.ask()
        cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n0123" % FRESH).fin()
        assert answer(client).complete
        assert cached.get().body == b"0123"
        assert len(cached.requests) == 1


def test_a_part_is_kept_and_completed() -> None:
    with caching() as cached:
        broken_off(cached, STRONG)
        (stored,) = cached.stored()
        assert (stored.head.status, stored.head.first, stored.head.total, stored.content.size) == (206, 0, 10, 4)
        # What is there answers a range, and nothing else.
        got = cached.get(b"/", b"Range: bytes=1-2")
        assert (got.status, got.body, got.get(b"content-range"), told(got)) == (206, b"12", b"bytes 1-2/10", b"hit; ttl=60")
        assert len(cached.requests) == 1
        cached.answers_with(FRESH, STRONG, b"Content-Range: bytes 3-9/10", status=b"206 Partial Content", body=TEN[3:])
        got = cached.get(b"/", b"Range: bytes=3-")
        assert (got.status, got.body) == (206, TEN[3:])
        # Now the whole is there.
        (stored,) = cached.stored()
        assert (stored.head.status, stored.content.size) == (200, 10)
        got = cached.get()
        assert (got.status, got.body, got.get(b"content-range"), told(got)) == (200, TEN, None, b"hit; ttl=60")
        assert len(cached.requests) == 2


def test_a_part_does_not_answer_for_the_whole() -> None:
    with caching() as cached:
        broken_off(cached, STRONG)
        cached.answers_with(FRESH, STRONG, body=TEN)
        assert cached.get(method=b"HEAD").status == 200
        assert cached.requests[-1].method == b"HEAD"
        got = cached.get()
        assert (got.status, got.body, told(got)) == (200, TEN, b"fwd=partial; stored; ttl=60")
        assert cached.requests[-1].get(b"range") is None
        (stored,) = cached.stored()
        assert stored.head.status == 200


def test_what_breaks_off_twice_grows() -> None:
    with caching() as cached:
        broken_off(cached, STRONG)
        broken_off(cached, STRONG, sent=TEN[:7])
        (stored,) = cached.stored()
        assert (stored.head.status, stored.content.size) == (206, 7)
        broken_off(cached, STRONG, sent=TEN[:2])
        (stored,) = cached.stored()
        assert (stored.head.status, stored.content.size) == (206, 7)
        assert cached.get(b"/", b"Range: bytes=0-6").body == TEN[:7]


def test_parts_of_other_representations_are_not_mixed() -> None:
    with caching() as cached:
        broken_off(cached, STRONG)
        cached.script = lambda asked: part(3, 9, tag=b'"b"')
        assert cached.get(b"/", b"Range: bytes=3-").body == TEN[3:]
        (stored,) = cached.stored()
        assert (stored.head.status, stored.head.first, stored.content.size) == (206, 3, 7)
        assert cached.get(b"/", b"Range: bytes=4-5").body == b"45"


def test_a_part_that_breaks_off() -> None:
    with caching() as cached:
        client = cached.ask(b"/", b"Range: bytes=2-9")
        octets = part(2, 9)
        cached.reply(octets[:-4]).fin()
        assert not answer(client).complete
        (stored,) = cached.stored()
        assert (stored.head.status, stored.head.first, stored.head.total, stored.content.size) == (206, 2, 10, 4)
        assert cached.get(b"/", b"Range: bytes=2-5").body == b"2345"
        assert len(cached.requests) == 1


def test_a_part_does_not_replace_the_whole() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, STRONG, body=TEN)
        cached.get()
        cached.advance(5)
        cached.script = lambda asked: part(0, 1)
        got = cached.get(b"/", b"Range: bytes=0-1", b"Cache-Control: no-cache")
        assert (got.status, got.body) == (206, b"01")
        assert cached.get().body == TEN
        cached.advance(70)
        assert cached.get(b"/", b"Range: bytes=0-1").body == b"01"
        (stored,) = cached.stored()
        assert stored.head.status == 200


def test_what_breaks_off_does_not_replace_the_whole() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=5, stale-if-error=100", b'ETag: "old"', body=b"old")
        cached.get()
        cached.advance(10)
        broken_off(cached, STRONG)
        (stored,) = cached.stored()
        assert (stored.head.status, stored.content.size) == (200, 3)
        cached.answers_with(status=b"503 Busy")
        assert cached.get().body == b"old"


def test_a_whole_that_came_meanwhile_stays() -> None:
    with caching() as cached:
        ranged = cached.ask(b"/", b"Range: bytes=0-3")
        cached.script = lambda asked: response(FRESH, b'ETag: "b"', body=b"whole")
        assert cached.get().body == b"whole"
        cached.reply(part(0, 3), 0)
        assert answer(ranged).body == TEN[:4]
        (stored,) = cached.stored()
        assert (stored.head.status, stored.content.size) == (200, 5)


def test_a_client_that_leaves_makes_a_part() -> None:
    with caching() as cached:
        client = cached.ask()
        cached.reply(b"HTTP/1.1 200 OK\r\n%b\r\n%b\r\nContent-Length: 1900000\r\n\r\nhello" % (FRESH, STRONG))
        client.cut()
        (stored,) = cached.stored()
        assert (stored.head.status, stored.head.total, stored.content.size) == (206, 1_900_000, 5)


def test_parts_are_not_kept_where_that_is_off() -> None:
    with caching(CacheOptions(partial=False)) as cached:
        broken_off(cached, STRONG)
        assert cached.stored() == ()
        cached.script = lambda asked: part(0, 3)
        cached.get(b"/", b"Range: bytes=0-3")
        assert cached.stored() == ()


@pytest.mark.parametrize("broken", [True, False])
def test_a_part_from_before_a_change_is_not_kept(broken: bool) -> None:
    with caching() as cached:
        client = cached.ask(b"/", b"Range: bytes=0-3")
        cached.get(method=b"DELETE") if cached.script else cached.ask(method=b"DELETE")
        cached.reply(response(status=b"204 No Content"))
        octets = part(0, 3)
        if broken:
            cached.reply(octets[:-2], 0).fin()
            assert cached.stored() == ()
        else:
            cached.reply(octets, 0)
            assert answer(client).body == TEN[:4]
            assert all(stored.head.invalidated for stored in cached.stored())


@pytest.mark.parametrize("sent", [b"01", b"012345"])
@pytest.mark.parametrize("framing", ["chunked", "until close", "length"])
def test_a_part_that_is_not_what_it_says(framing: str, sent: bytes) -> None:
    """Content-Range promises four octets."""
    with caching() as cached:
        client = cached.ask(b"/", b"Range: bytes=0-3")
        head = b"HTTP/1.1 206 Partial Content\r\n%b\r\n%b\r\nContent-Range: bytes 0-3/10\r\n" % (FRESH, STRONG)
        if framing == "chunked":
            cached.reply(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent))
        elif framing == "length":
            cached.reply(head + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent))
        else:
            cached.reply(head + b"\r\n" + sent).fin()
        assert answer(client).body == sent
        assert cached.stored() == ()


def test_a_part_that_is_too_long_and_breaks_off() -> None:
    with caching() as cached:
        cached.ask(b"/", b"Range: bytes=0-3")
        head = b"HTTP/1.1 206 Partial Content\r\n%b\r\n%b\r\nContent-Range: bytes 0-3/10\r\n" % (FRESH, STRONG)
        cached.reply(head + b"Content-Length: 9\r\n\r\n012345").fin()
        assert cached.stored() == ()


def test_of_two_parts_that_do_not_touch_the_larger_stays() -> None:
    with caching() as cached:
        cached.script = lambda asked: part(0, 3) if asked.get(b"range") == b"bytes=0-3" else part(7, 8)
        cached.get(b"/", b"Range: bytes=0-3")
        cached.get(b"/", b"Range: bytes=7-8")
        (stored,) = cached.stored()
        assert (stored.head.first, stored.content.size) == (0, 4)
        cached.advance(70)
        # Unless it is stale.
        cached.get(b"/", b"Range: bytes=7-8")
        (stored,) = cached.stored()
        assert (stored.head.first, stored.content.size) == (7, 2)


def test_what_is_large_is_not_copied_for_a_few_octets() -> None:
    size = 500_000
    body = b"x" * size

    def script(asked: Asked) -> bytes:
        first, last = map(int, (asked.get(b"range") or b"").removeprefix(b"bytes=").split(b"-"))
        told = b"Content-Range: bytes %d-%d/%d" % (first, last, size)
        return response(FRESH, STRONG, told, status=b"206 Partial Content", body=body[first : last + 1])

    with caching() as cached:
        cached.script = script
        cached.get(b"/", b"Range: bytes=0-299999")
        cached.get(b"/", b"Range: bytes=300000-300009")
        assert cached.stored()[0].content.size == 300_000
        cached.get(b"/", b"Range: bytes=300000-399999")
        assert cached.stored()[0].content.size == 400_000
        cached.get(b"/", b"Range: bytes=350000-499999")
        assert (cached.stored()[0].head.status, cached.stored()[0].content.size) == (200, size)
        assert cached.get().body == body
