"""Vary: variants of one URL, and who waits for which."""

from __future__ import annotations

from tests.support.caching import Cached, caching, response, told
from tests.support.dialogue import answer
from tests.support.reading import Asked

FRESH = b"Cache-Control: max-age=60"


def by_language(asked: Asked) -> bytes:
    language = asked.get(b"accept-language") or b"none"
    return response(FRESH, b"Vary: Accept-Language", body=language)


def test_each_gets_its_variant() -> None:
    with caching() as cached:
        cached.script = by_language
        for _ in range(2):
            for language in (b"de", b"fr"):
                assert cached.get(b"/", b"Accept-Language: " + language).body == language
            assert cached.get().body == b"none"
        assert len(cached.requests) == 3
        assert cached.told[:3] == [
            b"fwd=uri-miss; stored; ttl=60", b"fwd=vary-miss; stored; ttl=60", b"fwd=vary-miss; stored; ttl=60",
        ]  # fmt: skip
        assert cached.told[3:] == [b"hit; ttl=60"] * 3


def test_one_client_cannot_fill_a_key() -> None:
    with caching() as cached:
        cached.script = by_language
        for number in range(100):
            cached.get(b"/", b"Accept-Language: x%d" % number)
        assert len(cached.stored()) <= 64
        assert cached.get(b"/", b"Accept-Language: x99").body == b"x99"
        assert len(cached.requests) == 100


def waiting(cached: Cached, *languages: bytes) -> list[object]:
    return [cached.ask(b"/", b"Accept-Language: " + language) for language in languages]


def test_who_waits_gets_his_own_variant() -> None:
    with caching() as cached:
        clients = waiting(cached, b"de", b"de", b"fr", b"de", b"fr")
        assert len(cached.requests) == 1
        cached.reply(by_language(cached.requests[0]))
        # Those with another language ask for themselves.
        assert [asked.get(b"accept-language") for asked in cached.requests] == [b"de", b"fr", b"fr"]
        for at in (1, 2):
            cached.reply(by_language(cached.requests[at]), at)
        bodies = [answer(client).body for client in clients]  # type: ignore[arg-type]
        assert bodies == [b"de", b"de", b"fr", b"de", b"fr"]
        assert [told(answer(client)) for client in clients] == [  # type: ignore[arg-type]
            b"fwd=uri-miss; stored; ttl=60",
            b"fwd=uri-miss; collapsed; ttl=60",
            b"fwd=uri-miss; stored; collapsed=?0; ttl=60",
            b"fwd=uri-miss; collapsed; ttl=60",
            b"fwd=uri-miss; stored; collapsed=?0; ttl=60",
        ]


def test_who_comes_while_another_variant_arrives() -> None:
    with caching() as cached:
        first = cached.ask(b"/", b"Accept-Language: de")
        octets = by_language(cached.requests[0])
        cached.reply(octets[:-1])
        other = cached.ask(b"/", b"Accept-Language: fr")
        assert len(cached.requests) == 2
        cached.reply(by_language(cached.requests[1]), 1)
        cached.reply(octets[-1:], 0)
        assert (answer(first).body, answer(other).body) == (b"de", b"fr")
        assert len(cached.stored()) == 2


def test_the_first_client_left_and_who_waits_wants_another_variant() -> None:
    with caching() as cached:
        first = cached.ask(b"/", b"Accept-Language: de")
        other = cached.ask(b"/", b"Accept-Language: fr")
        first.cut()
        head = b"HTTP/1.1 200 OK\r\n%b\r\nVary: Accept-Language\r\nContent-Length: 1900000\r\n\r\nde" % FRESH
        end = cached.reply(head, 0)
        # Nobody wants it.
        assert end.was_reset
        cached.reply(by_language(cached.requests[1]), 1)
        assert answer(other).body == b"fr"
