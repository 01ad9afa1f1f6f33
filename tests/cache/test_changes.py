"""What unsafe requests make doubtful (RFC 9111 §4.4, RFC 9875), also while something is being fetched."""

from __future__ import annotations

import pytest

from revproxy.caching.key import KeyOptions
from tests.support.caching import Cached, caching, response, told
from tests.support.dialogue import answer

FRESH = b"Cache-Control: max-age=60"


def fill(cached: Cached, *paths: bytes, lines: tuple[bytes, ...] = ()) -> None:
    cached.answers_with(FRESH, b'ETag: "a"', *lines)
    for path in paths:
        cached.get(path)


def is_valid(cached: Cached, path: bytes = b"/") -> bool:
    found = cached.stored(path)
    return bool(found) and not found[0].head.invalidated


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"BREW", b"MKCOL"])
@pytest.mark.parametrize(
    ("status", "valid"),
    [
        (b"200 OK", False), (b"201 Created", False), (b"204 No Content", False), (b"303 See Other", False),
        (b"400 Bad", True), (b"404 Not Found", True), (b"500 Oops", True),
    ],
)  # fmt: skip
def test_the_target(method: bytes, status: bytes, valid: bool) -> None:
    with caching() as cached:
        fill(cached, b"/", b"/other")
        cached.answers_with(status=status)
        assert cached.get(b"/", method=method, body=b"x").status == int(status[:3])
        assert (is_valid(cached), is_valid(cached, b"/other")) == (valid, True)
        cached.answers_with(FRESH, b'ETag: "a"', status=b"304 Not Modified")
        got = cached.get()
        assert (got.body, told(got)[:3]) == (b"hello", b"hit" if valid else b"fwd")
        assert is_valid(cached)


@pytest.mark.parametrize("method", [b"OPTIONS", b"HEAD", b"PROPFIND"])
def test_safe_methods_change_nothing(method: bytes) -> None:
    with caching() as cached:
        fill(cached, b"/")
        cached.answers_with(b'ETag: "a"')
        cached.get(method=method)
        assert is_valid(cached)


@pytest.mark.parametrize("field", [b"Location", b"Content-Location"])
@pytest.mark.parametrize(
    ("reference", "valid"),
    [
        (b"/made", False), (b"made", False), (b"http://a.example/made", False), (b"HTTP://A.EXAMPLE:80/made", False),
        (b"//a.example/made#part", False),
        (b"http://b.example/made", True), (b"https://a.example/made", True), (b"http://a.example:81/made", True),
        (b"http://[/made", True),
    ],
)  # fmt: skip
def test_what_it_names(field: bytes, reference: bytes, valid: bool) -> None:
    with caching() as cached:
        fill(cached, b"/", b"/made")
        cached.answers_with(b"%b: %b" % (field, reference), status=b"201 Created")
        cached.get(b"/", method=b"PUT", body=b"x")
        assert (is_valid(cached), is_valid(cached, b"/made")) == (False, valid)


def test_an_error_names_nothing() -> None:
    with caching() as cached:
        fill(cached, b"/made")
        cached.answers_with(b"Location: /made", status=b"409 Conflict")
        cached.get(b"/", method=b"PUT", body=b"x")
        assert is_valid(cached, b"/made")


def test_a_query_is_another_target() -> None:
    with caching() as cached:
        fill(cached, b"/?a", b"/?b")
        cached.answers_with()
        cached.get(b"/?a", method=b"POST", body=b"x")
        assert (is_valid(cached, b"/?a"), is_valid(cached, b"/?b")) == (False, True)


def test_a_host_without_a_path_and_a_query() -> None:
    with caching() as cached:
        fill(cached, b"/?a")
        cached.answers_with(b"Location: http://a.example?a", status=b"303 See Other")
        cached.get(b"/other", method=b"POST", body=b"x")
        assert not is_valid(cached, b"/?a")


def test_all_variants() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, b"Vary: X-A", b'ETag: "a"')
        for value in (b"1", b"2"):
            cached.get(b"/", b"X-A: " + value)
        cached.answers_with()
        cached.get(method=b"DELETE")
        assert [stored.head.invalidated for stored in cached.stored()] == [True, True]


def test_several_keys_of_one_url() -> None:
    with caching(keys=KeyOptions(cookies=(b"user",))) as cached:
        cached.answers_with(FRESH, b'ETag: "a"')
        for user in (b"1", b"2"):
            cached.get(b"/", b"Cookie: user=" + user)
            assert told(cached.get(b"/", b"Cookie: user=" + user)) == b"hit; ttl=60"
        cached.get(b"/", b"Cookie: user=1", method=b"POST", body=b"x")
        for user in (b"1", b"2"):
            assert told(cached.get(b"/", b"Cookie: user=" + user)).startswith(b"fwd=")


def test_groups() -> None:
    with caching() as cached:
        fill(cached, b"/1", lines=(b'Cache-Groups: "news"',))
        fill(cached, b"/2", lines=(b'Cache-Groups: "other"',))
        cached.answers_with(b'Cache-Group-Invalidation: "news"')
        cached.get(b"/3", method=b"POST", body=b"x")
        assert (is_valid(cached, b"/1"), is_valid(cached, b"/2")) == (False, True)
        # Safe methods and errors invalidate none.
        cached.answers_with(b'Cache-Group-Invalidation: "other"')
        cached.get(b"/4")
        cached.answers_with(b'Cache-Group-Invalidation: "other"', status=b"500 Oops")
        cached.get(b"/3", method=b"POST", body=b"x")
        assert is_valid(cached, b"/2")


def changing(cached: Cached, path: bytes = b"/", *lines: bytes) -> None:
    """Something unsafe happens while the first request is in flight."""
    client = cached.ask(path, method=b"POST", body=b"x")
    cached.reply(response(*lines))
    assert answer(client, b"POST").status == 200


@pytest.mark.parametrize("cut", [0, 30, -2])
def test_an_answer_from_before_the_change_is_not_taken_for_new(cut: int) -> None:
    with caching() as cached:
        client = cached.ask()
        octets = response(FRESH, b'ETag: "old"', body=b"old")
        cached.reply(octets[:cut])
        changing(cached)
        # Nobody joins it any more.
        late = cached.ask()
        assert len(cached.requests) == 3
        cached.reply(octets[cut:], 0)
        assert answer(client).body == b"old"
        assert not is_valid(cached)
        cached.reply(response(FRESH, b'ETag: "new"', body=b"new"), 2)
        assert answer(late).body == b"new"
        assert cached.get().body == b"new"


@pytest.mark.parametrize("line", [b"Range: bytes=0-2", b'If-None-Match: "x"', b"Authorization: Basic eA=="])
def test_the_same_for_answers_that_nobody_joins(line: bytes) -> None:
    with caching() as cached:
        client = cached.ask(b"/", line)
        changing(cached)
        cached.reply(response(b"Cache-Control: max-age=60, public", b'ETag: "old"', body=b"old"), 0)
        assert answer(client).body == b"old"
        assert not is_valid(cached)


def test_the_same_by_location_and_group() -> None:
    with caching() as cached:
        clients = [cached.ask(b"/1"), cached.ask(b"/2"), cached.ask(b"/3")]
        changing(cached, b"/other", b"Location: /1", b'Cache-Group-Invalidation: "g"')
        for at in range(3):
            cached.reply(response(FRESH, b'ETag: "a"', *([b'Cache-Groups: "g"'] if at == 1 else [])), at)
        assert [answer(client).body for client in clients] == [b"hello"] * 3
        assert [is_valid(cached, path) for path in (b"/1", b"/2", b"/3")] == [False, False, True]


def test_the_same_for_urls_of_several_keys() -> None:
    with caching(keys=KeyOptions(cookies=(b"user",))) as cached:
        client = cached.ask(b"/", b"Cookie: user=1")
        post = cached.ask(b"/", b"Cookie: user=2", method=b"POST", body=b"x")
        cached.reply(response())
        cached.reply(response(FRESH, b'ETag: "a"'), 0)
        assert (answer(client).body, answer(post).status) == (b"hello", 200)
        cached.answers_with(FRESH)
        assert told(cached.get(b"/", b"Cookie: user=1")).startswith(b"fwd=")


def test_very_many_changes() -> None:
    """What can't be remembered counts as changed."""
    with caching() as cached:
        client = cached.ask()
        for number in range(10_001):
            cached.cache.flights.note(b"%d" % number)
        cached.reply(response(FRESH, b'ETag: "a"'), 0)
        assert answer(client).body == b"hello"
        assert not is_valid(cached)
        assert len(cached.cache.flights._changed) <= 10_000


def test_a_validation_from_before_the_change() -> None:
    with caching() as cached:
        fill(cached, b"/")
        cached.advance(70)
        cached.script = None
        client = cached.ask()
        changing(cached)
        cached.reply(response(FRESH, b'ETag: "a"', status=b"304 Not Modified"), 1)
        assert answer(client).body == b"hello"
        assert not is_valid(cached)


def test_an_upgrade_changes_as_well() -> None:
    with caching() as cached:
        fill(cached, b"/")
        cached.answers_with()
        got = cached.get(b"/", b"Connection: upgrade", b"Upgrade: websocket", method=b"DELETE")
        assert (got.status, told(got)) == (200, b"fwd=bypass; detail=upgrade")
        assert not is_valid(cached)


def test_the_client_leaves_before_the_answer_to_its_change() -> None:
    with caching() as cached:
        fill(cached, b"/")
        cached.script = None
        client = cached.ask(method=b"DELETE")
        client.cut()
        assert cached.asked[-1][1].was_reset
        assert is_valid(cached)
