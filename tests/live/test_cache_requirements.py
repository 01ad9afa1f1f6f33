"""What RFC 9111 and its neighbours require of a shared cache, asked of the real process as a black box."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.support_cache_checks import Check, run
from tests.live.support_cache_corners import CORNERS
from tests.live.support_cache_freshness import FRESHNESS
from tests.live.support_cache_origin import Asked, CacheOrigin, Reply
from tests.live.support_cache_parts import PARTS
from tests.live.support_cache_storing import STORING
from tests.live.support_cache_using import USING
from tests.live.support_client import ask
from tests.live.support_process import until
from tests.live.support_proxy import Proxy

CHECKS = (*STORING, *FRESHNESS, *USING, *PARTS, *CORNERS)


@pytest.fixture(scope="module")
def origin() -> Iterator[CacheOrigin]:
    with CacheOrigin() as origin:
        yield origin


def _configured(url: str) -> str:
    return (
        f'[[listener]]\naddress = "127.0.0.1:0"\n[[site]]\n[[site.route]]\npath = "/"\nproxy = "{url}"\ncache = true\n'
    )


@pytest.fixture(scope="module")
def cached(origin: CacheOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("requirements")
    with Proxy.configured(folder, _configured(origin.url), listen=False) as proxy:
        yield proxy


@pytest.mark.parametrize("check", [pytest.param(check, id=f"{check.source}: {check.why}") for check in CHECKS])
def test_requirement(check: Check, origin: CacheOrigin, cached: Proxy) -> None:
    run(check, origin, cached.port)


def test_what_is_used_while_it_is_validated_is_validated(origin: CacheOrigin, cached: Proxy) -> None:
    """RFC 5861 §3: the client does not wait, the server is asked, and what it says is used next."""
    lines = ("Cache-Control: max-age=60, stale-while-revalidate=600", 'ETag: "a"')
    origin.says("/swr", Reply(200, (*lines, "Age: 100"), b"old"))
    assert ask(cached.port, "GET", "/swr").body == b"old"
    origin.says("/swr", Reply(200, (*lines[:1], 'ETag: "b"'), b"new"))
    stale = ask(cached.port, "GET", "/swr", "X-Mine: 1", 'If-None-Match: "z"', "Authorization: Basic dTpw")
    assert stale.body == b"old" and int(stale.get("Age")) >= 100
    assert stale.get("Cache-Status").startswith("revproxy; hit; ttl=-4")
    behind = origin.await_asked("/swr", 2)[1]
    assert behind.get("If-None-Match") == '"a"' and behind.method == "GET"
    assert not behind.all("Authorization"), "the credentials of one client are not for a request that is nobody's"
    until(lambda: ask(cached.port, "GET", "/swr").body == b"new", "the new response")
    assert len(origin.asked("/swr")) == 2


@pytest.mark.parametrize(
    ("status", "body", "after"),
    [(304, b"", b"old"), (404, b"gone", b"gone"), (503, b"no", b"old"), (200, b"secret", b"secret")],
)
def test_the_answer_to_a_background_validation_counts(
    origin: CacheOrigin, cached: Proxy, status: int, body: bytes, after: bytes
) -> None:
    """RFC 9111 §4.3.3 holds whoever waits: a 304 freshens, a 404 or a 200 ends what is stored, a 5xx changes nothing."""
    target = f"/behind{status}"
    fresh = "Cache-Control: max-age=60, stale-while-revalidate=600"
    origin.says(target, Reply(200, (fresh, 'ETag: "a"', "Age: 100"), b"old"))
    ask(cached.port, "GET", target)
    refused = "Cache-Control: no-store"
    origin.says(
        target,
        Reply(status, (fresh if status == 304 else refused, 'ETag: "a"'), body, "none" if status == 304 else "length"),
    )
    assert ask(cached.port, "GET", target).body == b"old"
    origin.await_asked(target, 2)
    if after != b"old":
        until(lambda: ask(cached.port, "GET", target).body == after, "the server's own answer")
    elif status == 304:
        until(lambda: int(ask(cached.port, "GET", target).get("Age")) < 50, "the freshened response")
        assert len(origin.asked(target)) == 2
    else:
        assert ask(cached.port, "GET", target).body == b"old"


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    """RFC 9111 §4.2.4, §5.2.2.2 and RFC 5861 §4, where nobody listens any more."""
    told = {
        "/fresh": ("max-age=600", 200),
        "/allowed": ("max-age=60, stale-if-error=600", 200),
        "/too-late": ("max-age=60, stale-if-error=20", 502),
        "/must": ("max-age=60, stale-if-error=600, must-revalidate", 502),
        "/shared": ("s-maxage=60, stale-if-error=600", 502),
        "/stale": ("max-age=60", 502),
        "/no-cache": ("no-cache, max-age=600, stale-if-error=600", 502),
    }
    with CacheOrigin() as origin, Proxy.configured(tmp_path, _configured(origin.url), listen=False) as proxy:
        for target, (directives, _) in told.items():
            origin.says(target, Reply(200, (f"Cache-Control: {directives}", "Age: 100", 'ETag: "a"'), b"kept"))
            assert ask(proxy.port, "GET", target).body == b"kept"
        origin.close()
        answers = {target: ask(proxy.port, "GET", target) for target in told}
        found = {target: answer.status if answer.status < 502 else 502 for target, answer in answers.items()}
        assert found == {target: status for target, (_, status) in told.items()}
        assert answers["/allowed"].body == b"kept" and int(answers["/allowed"].get("Age")) >= 100
        assert ask(proxy.port, "HEAD", "/allowed").status == 200
        assert ask(proxy.port, "GET", "/allowed", "Range: bytes=0-1").body == b"ke"
        assert ask(proxy.port, "GET", "/allowed", 'If-None-Match: "a"').status == 304
        assert ask(proxy.port, "GET", "/stale", "Cache-Control: max-stale").status == 200


@pytest.mark.parametrize("tag", ['"b"', 'W/"b"'])
def test_a_304_that_names_nothing_that_is_stored(origin: CacheOrigin, cached: Proxy, tag: str) -> None:
    """RFC 9111 §4.3.4: it updates nothing, so the whole is asked for."""
    target = f"/other-tag{len(tag)}"

    def say(asked: Asked) -> Reply:
        if asked.get("If-None-Match"):
            return Reply(304, ("Cache-Control: max-age=60", f"ETag: {tag}"), ending="none")
        return Reply(200, ("Cache-Control: max-age=60", f"ETag: {tag}"), b"new")

    origin.says(target, Reply(200, ("Cache-Control: max-age=60", "Age: 100", 'ETag: "a"'), b"old"))
    assert ask(cached.port, "GET", target).body == b"old"
    origin.says(target, say)
    answer = ask(cached.port, "GET", target)
    assert (answer.status, answer.body, answer.get("ETag")) == (200, b"new", tag)
    assert ask(cached.port, "GET", target).get("Cache-Status").startswith("revproxy; hit")
    assert [bool(asked.get("If-None-Match")) for asked in origin.asked(target)] == [False, True, False]


def test_the_absolute_form_is_the_same_target(origin: CacheOrigin, cached: Proxy) -> None:
    """RFC 9110 §7.1: the target URI counts, however the request line has it; there Host gives way (RFC 9112 §3.2.2)."""
    origin.says("/form", Reply(200, ("Cache-Control: max-age=60",), b"one"))
    assert ask(cached.port, "GET", "/form").body == b"one"
    assert "hit" in ask(cached.port, "GET", "http://EXAMPLE.com/form").get("Cache-Status")
    assert "hit" in ask(cached.port, "GET", "http://example.com:80/form").get("Cache-Status")
    assert len(origin.asked("/form")) == 1


def test_background_validation_has_the_fields_that_vary_names(origin: CacheOrigin, cached: Proxy) -> None:
    """RFC 9111 §4.3.1: a request of the cache's own has those that selected the stored response."""
    fresh = "Cache-Control: max-age=60, stale-while-revalidate=600"
    origin.says("/selects", Reply(200, (fresh, 'ETag: "a"', "Age: 100", "Vary: Accept-Language"), b"de"))
    ask(cached.port, "GET", "/selects", "Accept-Language: de")
    ask(cached.port, "GET", "/selects", "Accept-Language: de", "Range: bytes=0-0", "Cookie: a=b")
    asked = origin.await_asked("/selects", 2)[1]
    assert asked.get("Accept-Language") == "de" and asked.get("If-None-Match") == '"a"'
    assert not asked.all("Range")


def test_one_address_does_not_get_what_another_one_got(origin: CacheOrigin, cached: Proxy) -> None:
    """RFC 9111 §4.1, by a field that the proxy writes: Vary: X-Forwarded-For."""
    lines = ("Cache-Control: max-age=60", "Vary: X-Forwarded-For")
    origin.says("/where", lambda asked: Reply(200, lines, asked.get("X-Forwarded-For").encode()))
    assert ask(cached.port, "GET", "/where").body == b"127.0.0.1"
    with socket.create_connection(("127.0.0.1", cached.port), source_address=("127.0.0.2", 0)) as client:
        client.sendall(b"GET /where HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        with client.makefile("rb") as stream:
            assert stream.read().endswith(b"\r\n\r\n127.0.0.2")
