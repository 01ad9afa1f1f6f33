"""Everyday requests: every backend, every client, our listener and a stock Site."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.live.conftest import BACKENDS
from tests.live.support_backends import HELLO
from tests.live.support_client import RawClient, ask, curl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Front



@pytest.fixture(params=BACKENDS)
def front(request: pytest.FixtureRequest, started: Started, front_kind: str) -> Front:
    return started.front(front_kind, request.param)


@pytest.fixture(params=("flask", "aiohttp"))
def app(request: pytest.FixtureRequest, started: Started, front_kind: str) -> Front:
    return started.front(front_kind, request.param)


def test_curl_gets(front: Front) -> None:
    done = curl(f"{front.url}/hello.txt")
    assert (done.code, done.body) == (0, HELLO)
    assert done.head.startswith("HTTP/1.1 200 OK")


def test_aiohttp_gets_again_and_again(front: Front) -> None:
    async def get() -> list[tuple[int, bytes]]:
        async with aiohttp.ClientSession() as session:
            answers = []
            for _ in range(5):
                async with session.get(f"{front.url}/hello.txt") as answer:
                    answers.append((answer.status, await answer.read()))
            return answers

    assert asyncio.run(get()) == [(200, HELLO)] * 5


def test_raw_gets_on_one_connection(front: Front) -> None:
    with RawClient(front.port) as client:
        for _ in range(3):
            answer = client.ask("GET", "/hello.txt")
            assert (answer.status, answer.body, answer.complete) == (200, HELLO, True)


def test_head_has_the_length_and_no_body(front: Front) -> None:
    with RawClient(front.port) as client:
        head = client.ask("HEAD", "/hello.txt")
        assert (head.status, head.get("Content-Length")) == (200, str(len(HELLO)))
        # Nothing of a body came in between, or this answer would not be one.
        assert client.ask("GET", "/hello.txt").body == HELLO


def test_missing_pages_are_missing(front: Front) -> None:
    assert curl("--head", f"{front.url}/nowhere").head.startswith("HTTP/1.1 404")
    with RawClient(front.port) as client:
        assert client.ask("GET", "/nowhere").status == 404
        assert client.ask("GET", "/hello.txt").status == 200


def test_closing_after_one_answer(front: Front) -> None:
    with RawClient(front.port) as client:
        answer = client.ask("GET", "/hello.txt", "Connection: close")
        assert answer.body == HELLO
        assert client.is_ended()


def test_http_1_0_client(front: Front) -> None:
    with RawClient(front.port) as client:
        client.send(b"GET /hello.txt HTTP/1.0\r\nHost: example.com\r\n\r\n")
        answer = client.read_answer()
        assert (answer.status, answer.body, answer.complete) == (200, HELLO, True)
        assert "Transfer-Encoding" not in answer
        assert client.is_ended()


def test_pipelined_requests_are_answered_in_order(front: Front) -> None:
    with RawClient(front.port) as client:
        one = b"GET /hello.txt HTTP/1.1\r\nHost: example.com\r\n\r\n"
        other = b"GET /nowhere HTTP/1.1\r\nHost: example.com\r\n\r\n"
        client.send((one + other) * 10)
        assert [client.read_answer().status for _ in range(20)] == [200, 404] * 10


def test_post_arrives_whole(app: Front) -> None:
    seen = json.loads(curl("--data-binary", "@-", f"{app.url}/seen?a=1&b=2", give=b"0123456789" * 5000).body)
    assert (seen["method"], seen["path"], seen["query"], seen["length"]) == ("POST", "/seen", "a=1&b=2", 50000)


def test_chunked_post_arrives_whole(app: Front) -> None:
    with RawClient(app.port) as client:
        client.send(b"POST /seen HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"5\r\nhello\r\n")
        client.send(b"6;x=y\r\n world\r\n0\r\n\r\n")
        seen = json.loads(client.read_answer().body)
        assert (seen["length"], seen["body"]) == (11, "hello world")
        assert client.ask("GET", "/hello.txt").status == 200


def test_form_and_upload(started: Started, front_kind: str, tmp_path: Path) -> None:
    front = started.front(front_kind, "flask")
    file = tmp_path / "upload.bin"
    file.write_bytes(bytes(300_000))
    done = curl("-F", "name=value", "-F", f"file=@{file}", f"{front.url}/form")
    assert json.loads(done.body) == {"form": {"name": "value"}, "files": {"file": 300_000}}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(app: Front, method: str) -> None:
    assert json.loads(curl("-X", method, f"{app.url}/seen").body)["method"] == method


def test_login_with_redirect_and_cookie(app: Front, tmp_path: Path) -> None:
    done = curl("--location", "--cookie-jar", str(tmp_path / "jar"), f"{app.url}/login")
    assert (done.code, done.body) == (0, b"session s3cret")


def test_compressed_answers_stay_compressed(app: Front) -> None:
    answer = ask(app.port, "GET", "/gzip", "Accept-Encoding: gzip")
    assert answer.get("Content-Encoding") == "gzip"
    assert gzip.decompress(answer.body) == HELLO
    assert curl("--compressed", f"{app.url}/gzip").body == HELLO


def test_ranges_and_validators(started: Started, front_kind: str) -> None:
    front = started.front(front_kind, "nginx")
    with RawClient(front.port) as client:
        part = client.ask("GET", "/hello.txt", "Range: bytes=0-4")
        assert (part.status, part.body) == (206, HELLO[:5])
        same = client.ask("GET", "/hello.txt", f"If-None-Match: {part.get('ETag')}")
        assert (same.status, same.body) == (304, b"")
        assert client.ask("GET", "/hello.txt").body == HELLO


def test_a_crash_of_the_application_is_its_own_page(app: Front, started: Started, front_kind: str) -> None:
    answer = ask(started.front(front_kind, "flask").port, "GET", "/crash")
    assert answer.status == 500
    assert b"Internal Server Error" in answer.body


def test_the_target_goes_on_untouched(started: Started, front_kind: str) -> None:
    front = started.front(front_kind, "aiohttp")
    seen = json.loads(ask(front.port, "GET", "/seen?x=%2f%2F&y=a+b&z=%C3%A9|'").body)
    assert seen["target"] == "/seen?x=%2f%2F&y=a+b&z=%C3%A9|'"
