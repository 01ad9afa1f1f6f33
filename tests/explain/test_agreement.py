"""What is explained is what is done: the same requests and answers through the whole proxy, and through ``explain``."""

from __future__ import annotations

import pytest

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.config import Config
from revproxy.explain.cache import CacheWalk
from revproxy.explain.question import asked, probe
from revproxy.http.fields import Fields
from tests.support.caching import caching, told

Lines = tuple[bytes, ...]
DAY = b"Last-Modified: Sat, 10 Jan 1970 13:46:40 GMT"

EXCHANGES: list[tuple[str, bytes, Lines, bytes, Lines]] = [
    ("plain", b"GET", (), b"200 OK", ()),
    ("fresh", b"GET", (), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("to validate", b"GET", (), b"200 OK", (b'ETag: "a"',)),
    ("guessed", b"GET", (), b"200 OK", (DAY,)),
    ("cookie", b"GET", (), b"200 OK", (DAY, b"Set-Cookie: a=b")),
    ("private", b"GET", (), b"200 OK", (b"Cache-Control: private, max-age=60",)),
    ("no-store", b"GET", (), b"200 OK", (b"Cache-Control: no-store",)),
    ("vary any", b"GET", (), b"200 OK", (b"Cache-Control: max-age=60", b"Vary: *")),
    ("too large", b"GET", (), b"200 OK", (b"Cache-Control: max-age=60", b"X-Large: yes")),
    ("status", b"GET", (), b"302 Found", ()),
    ("one client's status", b"GET", (), b"429 Slow down", (b"Cache-Control: max-age=60",)),
    ("negative", b"GET", (), b"404 Not Found", ()),
    ("authorized", b"GET", (b"Authorization: Basic x",), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("authorized, public", b"GET", (b"Authorization: Basic x",), b"200 OK", (b"Cache-Control: public, max-age=60",)),
    ("client's no-store", b"GET", (b"Cache-Control: no-store",), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("bypass", b"GET", (b"Cookie: session=1",), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("if-match", b"GET", (b'If-Match: "a"',), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("rewriting", b"GET", (b"X-Host: b",), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("head", b"HEAD", (), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("options", b"OPTIONS", (), b"200 OK", (b"Cache-Control: max-age=60",)),
    ("delete", b"DELETE", (), b"204 No Content", ()),
]
OPTIONS = CacheOptions(negative_statuses=frozenset({404}), bypass_cookies=frozenset({b"session"}), largest=1000)


def body_of(lines: Lines) -> bytes:
    return b"x" * 2000 if b"X-Large: yes" in lines else b"hello"


@pytest.mark.parametrize("exchange", EXCHANGES, ids=[exchange[0] for exchange in EXCHANGES])
def test_explained_as_done(exchange: tuple[str, bytes, Lines, bytes, Lines]) -> None:
    _, method, request, status, response = exchange
    with caching(OPTIONS) as cached:
        cached.answers_with(*response, status=status, body=body_of(response))
        done = told(cached.get(b"/a", *request, method=method)).decode()
        question = asked(method.decode(), "http://a.example/a", tuple(line.decode() for line in request), "192.0.2.1")
        walk = CacheWalk(cached.cache, KeyOptions(), probe(Config(), question, cached.now), cached.now)
        asks = walk.ask(())
        pairs = [line.split(b": ", 1) for line in response]
        fields = Fields.of([(name, value) for name, value in pairs])
        *_, answers = walk.answered(int(status[:3]), fields, len(body_of(response)))
    is_stored = "; stored" in done
    assert answers.decision.startswith("stored") is is_stored
    if is_stored:
        assert walk.url == b"http://a.example/a"
        fresh = [word for word in answers.decision.split() if word.isdigit()]
        assert f"; ttl={fresh[0] if fresh else 0}" in done
    else:
        assert f"detail={asks.detail}" in done or f"detail={answers.detail}" in done or "detail" not in done
        assert "detail" in done or asks.detail in ("method", "unsafe-method", "miss")


def test_a_stored_response_is_explained_as_it_is_used() -> None:
    with caching(OPTIONS) as cached:
        cached.answers_with(b"Cache-Control: max-age=60", b'ETag: "a"')
        cached.get(b"/a")
        for seconds, lines, decision, detail in (
            (10, (), "answered from the store, 10 s old", "fresh"),
            (0, (b"Cache-Control: no-cache",), "sent on, to validate what is stored", "request-no-cache"),
            (60, (), "sent on, to validate what is stored", "stale"),
            (0, (b"Cache-Control: max-stale=100",), "answered from the store, 70 s old, stale", "max-stale"),
        ):
            cached.advance(seconds)
            question = asked("GET", "http://a.example/a", tuple(line.decode() for line in lines), "192.0.2.1")
            walk = CacheWalk(cached.cache, KeyOptions(), probe(Config(), question, cached.now), cached.now)
            verdict = walk.ask(cached.stored(b"/a"))
            assert (verdict.decision, verdict.detail) == (decision, detail)
        walk.ask(cached.stored(b"/a"))


@pytest.mark.parametrize(
    ("status", "fields", "decisions"),
    [
        (304, {b"ETag": b'"a"'}, ["what is stored is made fresh, and sent: validated"]),
        (200, {b"ETag": b'"b"'}, ["what is stored is replaced: replaced", "stored, validated before each use"]),
        (503, {}, ["a stored response is sent instead, 70 s old: stale-if-error"]),
        (404, {}, ["what is stored is replaced: replaced", "stored, fresh for 10 s: stored-negative"]),
    ],
)
def test_answers_to_a_validation(status: int, fields: dict[bytes, bytes], decisions: list[str]) -> None:
    with caching(OPTIONS) as cached:
        cached.answers_with(b"Cache-Control: max-age=60, stale-if-error=600", b'ETag: "a"')
        cached.get(b"/a")
        cached.advance(70)
        question = asked("GET", "http://a.example/a", (), "192.0.2.1")
        walk = CacheWalk(cached.cache, KeyOptions(), probe(Config(), question, cached.now), cached.now)
        walk.ask(cached.stored(b"/a"))
        assert walk.sent().fields.get(b"if-none-match") == b'"a"'
        told = walk.answered(status, Fields.of(list(fields.items())), 5)
        assert [verdict.decision for verdict in told] == [text.partition(": ")[0] for text in decisions]
        assert [verdict.detail for verdict in told][:1] == [decisions[0].partition(": ")[2]]
