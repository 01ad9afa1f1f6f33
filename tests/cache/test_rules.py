"""Requests that the cache treats apart, and attempts to have it store or give what it must not."""

from __future__ import annotations

import pytest

from revproxy.caching.options import CacheOptions
from tests.support.caching import caching, response, told
from tests.support.dialogue import answer

FRESH = b"Cache-Control: max-age=60"


def test_a_post_whose_answer_is_the_targets_state() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Content-Location: /", body=b"posted")
        assert told(cached.get(method=b"POST", body=b"x")) == b"fwd=method; stored; ttl=60"
        # Its own change is one that its answer knows of.
        got = cached.get()
        assert (got.body, told(got)) == (b"posted", b"hit; ttl=60")
        assert cached.get(method=b"HEAD").get(b"content-length") == b"6"
        # POST itself is always sent on.
        cached.get(method=b"POST", body=b"x")
        assert [asked.method for asked in cached.requests] == [b"POST", b"POST"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((FRESH,), b"200 OK"),
        ((FRESH, b"Content-Location: /other"), b"200 OK"),
        ((b"Content-Location: /",), b"200 OK"),
        ((FRESH, b"Content-Location: /"), b"201 Created"),
    ],
)
def test_other_answers_to_post_are_not_stored(lines: tuple[bytes, ...], status: bytes) -> None:
    with caching() as cached:
        cached.answers_with(*lines, status=status)
        cached.get(method=b"POST", body=b"x")
        assert cached.stored() == ()


def test_a_change_while_a_post_is_on_its_way() -> None:
    with caching() as cached:
        first = cached.ask(method=b"POST", body=b"1")
        second = cached.ask(method=b"POST", body=b"2")
        octets = response(FRESH, b'ETag: "a"', b"Content-Location: /", body=b"posted")
        cached.reply(response(), 1)
        cached.reply(octets, 0)
        assert (answer(first).body, answer(second).body) == (b"posted", b"hello")
        assert [stored.head.invalidated for stored in cached.stored()] == [True]


def test_posts_do_not_wait_for_each_other() -> None:
    with caching() as cached:
        clients = [cached.ask(method=b"POST", body=b"%d" % number) for number in range(3)]
        assert [asked.body for asked in cached.requests] == [b"0", b"1", b"2"]
        for at in range(3):
            cached.reply(response(body=b"for%d" % at), at)
        assert [answer(client).body for client in clients] == [b"for0", b"for1", b"for2"]


def test_a_post_is_told_to_go_on_and_sends_its_body() -> None:
    with caching() as cached:
        client = cached.proxy.client()
        client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        end = cached.proxy.origin.last
        end.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.received.startswith(b"HTTP/1.1 100 Continue\r\n")
        client.send(b"hello")
        assert cached.requests[0].body == b"hello"
        cached.reply(response())
        assert answer(client, b"POST").status == 200


@pytest.mark.parametrize(
    ("directives", "stored"),
    [(b"max-age=60", False), (b"max-age=60, public", True), (b"s-maxage=60", True), (b"max-age=60, must-revalidate", True)],
)
def test_authorization(directives: bytes, stored: bool) -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: " + directives, body=b"secret")
        got = cached.get(b"/", b"Authorization: Basic eA==")
        assert (b"stored" in told(got)) == stored
        assert bool(cached.stored()) == stored
        cached.get()
        assert len(cached.requests) == (1 if stored else 2)


def test_a_stored_response_answers_who_is_authorized() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        assert told(cached.get(b"/", b"Authorization: Basic eA==")) == b"hit; ttl=60"


@pytest.mark.parametrize(
    ("option", "lines", "stored", "kept"),
    [
        ("explicit", (FRESH,), True, b"a=b"),
        ("explicit", (b"Last-Modified: Mon, 05 Jan 1970 00:00:00 GMT",), False, None),
        ("strip", (FRESH,), True, None),
        ("never", (FRESH,), False, None),
        ("always", (b"Last-Modified: Mon, 05 Jan 1970 00:00:00 GMT",), True, b"a=b"),
    ],
)
def test_set_cookie(option: str, lines: tuple[bytes, ...], stored: bool, kept: bytes | None) -> None:
    with caching(CacheOptions(set_cookie=option)) as cached:  # type: ignore[arg-type]
        cached.answers_with(b"Set-Cookie: a=b", *lines)
        assert cached.get().get(b"set-cookie") == b"a=b"
        assert bool(cached.stored()) == stored
        cached.answers_with(FRESH)
        assert cached.get().get(b"set-cookie") == kept


def test_a_request_that_forbids_storing() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        assert told(cached.get(b"/", b"Cache-Control: no-store")) == b"fwd=uri-miss; detail=miss"
        assert cached.stored() == ()
        cached.get()
        assert told(cached.get(b"/", b"Cache-Control: no-store")) == b"hit; ttl=60"


def test_an_upgrade_goes_past_the_cache() -> None:
    with caching() as cached:
        client = cached.ask(b"/", b"Connection: upgrade", b"Upgrade: websocket")
        cached.reply(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfrom server")
        assert client.received.startswith(b"HTTP/1.1 101 ")
        assert client.received.endswith(b"\r\n\r\nfrom server")
        client.send(b"from client")
        assert cached.asked[0][1].received.endswith(b"\r\n\r\nfrom client")


def test_an_upgrade_that_is_declined_is_not_stored() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        got = cached.get(b"/", b"Connection: upgrade", b"Upgrade: websocket")
        assert (got.status, told(got)) == (200, b"fwd=bypass; detail=upgrade")
        assert cached.stored() == ()


def test_an_offer_of_http_2_is_no_reason_to_ask_the_server() -> None:
    with caching() as cached:
        cached.answers_with(FRESH)
        cached.get()
        got = cached.get(b"/", b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
        assert told(got) == b"hit; ttl=60"


@pytest.mark.parametrize(
    ("options", "line", "detail"),
    [
        (CacheOptions(bypass_cookies=frozenset({b"session"})), b"Cookie: a=b; session=1", b"bypass-cookie"),
        (CacheOptions(bypass_headers=frozenset({b"x-debug"})), b"X-Debug: 1", b"bypass-header"),
    ],
)
def test_bypasses(options: CacheOptions, line: bytes, detail: bytes) -> None:
    with caching(options) as cached:
        cached.answers_with(FRESH)
        cached.get()
        for _ in range(2):
            assert told(cached.get(b"/", line)) == b"fwd=bypass; detail=" + detail
        assert told(cached.get()) == b"hit; ttl=60"
        assert len(cached.requests) == 3


def test_a_bypass_is_said_where_the_answer_is_not_stored_anyway() -> None:
    with caching(CacheOptions(bypass_cookies=frozenset({b"session"}))) as cached:
        cached.answers_with(b"Cache-Control: private")
        for _ in range(3):
            assert told(cached.get()) == b"fwd=uri-miss; detail=private"
            assert told(cached.get(b"/", b"Cookie: session=1")) == b"fwd=bypass; detail=bypass-cookie"


# Attempts.


def test_a_get_with_content() -> None:
    """The server may look at content that no key covers."""
    with caching() as cached:
        cached.answers_with(FRESH, body=b"evil")
        got = cached.get(b"/", body=b"q=evil")
        assert (got.body, told(got)) == (b"evil", b"fwd=bypass; detail=request-content")
        assert cached.requests[0].body == b"q=evil"
        assert cached.stored() == ()
        cached.answers_with(FRESH, body=b"good")
        assert cached.get().body == b"good"
        assert cached.get(b"/", body=b"q=evil").body == b"good"
        assert len(cached.requests) == 3


@pytest.mark.parametrize(
    "line",
    [
        b"X-HTTP-Method-Override: POST", b"X-Host: evil.example", b"X-Original-URI: /admin", b"X_Original_URI: /admin",
        b"Script-Name: /admin",
    ],
)  # fmt: skip
def test_fields_that_rewrite(line: bytes) -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=b"evil")
        got = cached.get(b"/", line)
        assert told(got) == b"fwd=bypass; detail=rewriting-field"
        assert cached.stored() == ()
        waiting = cached.ask(b"/", line)
        assert answer(waiting).body == b"evil"
        cached.answers_with(FRESH, body=b"good")
        assert cached.get().body == b"good"
        # It does not even get what is stored: it is about something else.
        cached.answers_with(FRESH, body=b"evil")
        assert cached.get(b"/", line).body == b"evil"
        assert cached.get().body == b"good"


@pytest.mark.parametrize("line", [b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https", b"Forwarded: host=evil.example", b"X-Original-URL: /evil", b"X-Rewrite-URL: /evil"])
def test_claims_do_not_reach_the_server(line: bytes) -> None:
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=b"%r" % (sorted(asked.fields),))
        assert b"evil" not in cached.get(b"/", line).body
        assert told(cached.get()) == b"hit; ttl=60"


@pytest.mark.parametrize("host", [b"A.EXAMPLE", b"a.example.", b"a.example:80"])
def test_a_host_that_is_oddly_written(host: bytes) -> None:
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=asked.get(b"host") or b"")

        def odd() -> bytes:
            client = cached.proxy.client()
            client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
            return answer(client).body

        assert odd() == host
        assert cached.stored() == ()
        assert cached.get().body == b"a.example"
        assert odd() == b"a.example"
        assert len(cached.requests) == 2


def test_an_absolute_target_and_another_host() -> None:
    """RFC 9112 §3.2.2: the target's host counts, for the key too."""
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=asked.get(b"host") or b"")
        client = cached.proxy.client()
        client.send(b"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert answer(client).body == b"b.example"
        assert cached.get().body == b"a.example"
        client = cached.proxy.client()
        client.send(b"GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n")
        assert told(answer(client)) == b"hit; ttl=60"


def test_paths_are_what_their_octets_are() -> None:
    with caching() as cached:
        cached.script = lambda asked: response(FRESH, body=asked.target)
        for path in (b"/a", b"/%61", b"//a", b"/a?", b"/A"):
            for _ in range(2):
                assert cached.get(path).body == path
        assert len(cached.requests) == 5


def test_an_error_that_was_provoked_does_not_stay() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=86400", status=b"400 Bad")
        cached.get()
        cached.advance(301)
        cached.answers_with(FRESH)
        assert cached.get().status == 200


def test_a_vary_that_is_too_much() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Vary: " + b", ".join(b"x-%d" % number for number in range(200)))
        assert told(cached.get()) == b"fwd=uri-miss; detail=vary-oversized"
        assert cached.stored() == ()


def test_a_path_that_looks_like_a_file_is_no_reason_to_store() -> None:
    with caching() as cached:
        cached.answers_with(body=b"account")
        assert told(cached.get(b"/account/x.css")) == b"fwd=uri-miss; detail=never-usable"
        assert cached.stored(b"/account/x.css") == ()
