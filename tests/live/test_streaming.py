"""Octets leave as they come, both ways; who leaves ends the work of the other side; 1xx answers and trailers pass."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.live.conftest import FRONTS
from tests.live.support_client import RawClient, ask, curl, request
from tests.live.support_process import PATIENCE, until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Started
    from tests.live.support_backends import Backend
    from tests.live.support_proxy import Front
    from tests.live.support_scripted import Accepted, Scripted

_names = map("gate{}".format, itertools.count(1))


@pytest.fixture
def gate() -> str:
    """A name that nothing else uses."""
    return next(_names)


@pytest.fixture
def backend(started: Started) -> Backend:
    return started.backend("aiohttp")


@pytest.fixture
def front(started: Started, front_kind: str) -> Front:
    return started.front(front_kind, "aiohttp")


def count(backend: Backend, event: str) -> int:
    """How often something happened in the backend."""
    return int(ask(backend.port, "GET", f"/event/{event}".replace(" ", "%20")).body)


@pytest.mark.parametrize("kind", ["chunked", "sse", "length"])
def test_the_first_piece_comes_while_the_rest_is_held(backend: Backend, front: Front, gate: str, kind: str) -> None:
    with RawClient(front.port) as client:
        client.send(request("GET", f"/held/{kind}/{gate}"))
        assert client.read_until(b"data: 1\n\n").startswith(b"HTTP/1.1 200")
        assert ask(backend.port, "POST", f"/open/{gate}").status == 200
        client.read_until(b"data: 2\n\n ")
        if kind != "length":
            assert client.read_until(b"0\r\n\r\n") == b"\r\n0\r\n\r\n"
        assert client.ask("GET", "/hello.txt").status == 200


def test_the_first_piece_comes_to_aiohttp(backend: Backend, front: Front, gate: str) -> None:
    async def read() -> tuple[bytes, bytes]:
        async with aiohttp.ClientSession() as session, session.get(f"{front.url}/held/sse/{gate}") as answer:
            first = await answer.content.readuntil(b"\n\n")
            async with session.post(f"{backend.url}/open/{gate}"):
                pass
            return first, await answer.read()

    assert asyncio.run(read()) == (b"data: 1\n\n", b" data: 2\n\n ")


def test_a_body_goes_on_before_it_is_complete(stage: Scripted, stage_proxy: Proxy) -> None:
    arrived: list[bytes] = []

    def script(accepted: Accepted) -> None:
        head = accepted.read_head()
        assert b"Transfer-Encoding: chunked" in head
        arrived.append(accepted.read_exactly(len(b"5\r\nfirst\r\n")))
        accepted.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ngot\r\n")
        arrived.append(accepted.read_exactly(len(b"4\r\nlast\r\n0\r\n\r\n")))
        accepted.send(b"3\r\nall\r\n0\r\n\r\n")

    with stage.play(script) as backend, RawClient(stage_proxy.port) as client:
        client.send(request("POST", "/", "Transfer-Encoding: chunked"))
        client.send(b"5\r\nfirst\r\n")
        # Both directions are open at once: an answer begins while the request's body is still coming.
        client.read_until(b"3\r\ngot\r\n")
        assert arrived == [b"5\r\nfirst\r\n"]
        client.send(b"4\r\nlast\r\n0\r\n\r\n")
        client.read_until(b"0\r\n\r\n")
        backend.await_finished(1)
    assert arrived == [b"5\r\nfirst\r\n", b"4\r\nlast\r\n0\r\n\r\n"]


@pytest.fixture(scope="module")
def impatient(started: Started, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy to which a client that closed its sending side counts as gone after a second of silence."""
    text = f'[[site]]\nroute = [{{proxy = "{started.backend("aiohttp").url}"}}]\n[limits]\nhalf_close_grace = "1s"\n'
    with Proxy.configured(tmp_path_factory.mktemp("impatient"), text) as proxy:
        yield proxy


@pytest.fixture(params=FRONTS)
def leaving(request: pytest.FixtureRequest, impatient: Proxy, started: Started) -> Front:
    """A front that is left by its clients."""
    return impatient if request.param == "listener" else started.front("stock site", "aiohttp")


@pytest.mark.parametrize("kind", ["hang", "held/chunked", "held/length", "endless"])
@pytest.mark.parametrize("how", ["closes", "cuts"])
def test_a_client_that_leaves_ends_the_work_behind(
    backend: Backend, leaving: Front, gate: str, kind: str, how: str
) -> None:
    with RawClient(leaving.port) as client:
        client.send(request("GET", f"/{kind}/{gate}"))
        if kind == "hang":
            until(lambda: count(backend, f"came {gate}") == 1, "the request to arrive")
        else:
            client.read_until(b"\r\n\r\n")
        if how == "cuts":
            client.cut()
    until(lambda: count(backend, f"left {gate}") == 1, "the backend to notice")
    if isinstance(leaving, Proxy):
        assert leaving.record_with("target", f"/{kind}/{gate}")["reason"] == "client_gone"


def test_a_cancelled_request_of_aiohttp_ends_the_work_behind(backend: Backend, leaving: Front, gate: str) -> None:
    async def ask_and_give_up() -> None:
        async with aiohttp.ClientSession() as session:
            task = asyncio.create_task(session.get(f"{leaving.url}/hang/{gate}"))
            while True:
                async with session.get(f"{backend.url}/event/came {gate}") as answer:
                    if await answer.text() == "1":
                        break
            task.cancel()

    asyncio.run(ask_and_give_up())
    until(lambda: count(backend, f"left {gate}") == 1, "the backend to notice")


def test_an_upload_that_stops_ends_the_work_behind(backend: Backend, started: Started, gate: str) -> None:
    proxy = started.proxy("aiohttp")
    with RawClient(proxy.port) as client:
        client.send(request("POST", f"/slurp/{gate}", "Content-Length: 1000000"))
        client.send(b"x" * 1000)
        until(lambda: count(backend, f"came {gate}") == 1, "the request to arrive")
    until(lambda: count(backend, f"left {gate}") == 1, "the backend to notice")
    assert count(backend, f"done {gate}") == 0


def test_expect_100_continue_from_curl(front: Front) -> None:
    done = curl("-H", "Expect: 100-continue", "--expect100-timeout", f"{PATIENCE * 2}", "--data-binary", "@-",
                f"{front.url}/seen", give=b"x" * 100_000)  # fmt: skip
    assert done.code == 0
    assert done.head.startswith("HTTP/1.1 100 Continue")
    assert json.loads(done.body)["length"] == 100_000


def test_expect_100_continue_waits_for_the_backend(stage: Scripted, stage_proxy: Proxy) -> None:
    def script(accepted: Accepted) -> None:
        head = accepted.read_head()
        assert b"100-continue" in head.lower()
        asked.append(head)
        until(lambda: go_on, "the test to say go on")
        accepted.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert accepted.read_exactly(5) == b"hello"
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    asked: list[bytes] = []
    go_on: list[bool] = []
    with stage.play(script) as backend, RawClient(stage_proxy.port) as client:
        client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
        until(lambda: asked, "the head to arrive")
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(PATIENCE)
        go_on.append(True)
        assert client.read_answer().status == 100
        client.send(b"hello")
        answer = client.read_answer()
        assert (answer.status, answer.body) == (200, b"ok")
        backend.await_finished(1)


def test_a_final_answer_instead_of_100_continue(stage: Scripted, stage_proxy: Proxy) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        accepted.await_end()

    with stage.play(script):
        done = curl("-H", "Expect: 100-continue", "--expect100-timeout", f"{PATIENCE * 2}", "--data-binary", "@-",
                    f"{stage_proxy.url}/", give=b"x" * 10_000)  # fmt: skip
        assert (done.code, done.body) == (0, b"no")
        assert done.head.startswith("HTTP/1.1 401")


def test_early_hints_pass(stage: Scripted, stage_proxy: Proxy) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
        until(lambda: hinted, "the hint to reach the client")
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")

    hinted: list[bool] = []
    with stage.play(script), RawClient(stage_proxy.port) as client:
        client.send(request("GET", "/"))
        hint = client.read_answer()
        hinted.append(True)
        assert (hint.status, hint.get("Link")) == (103, "</style.css>; rel=preload")
        assert client.read_answer().body == b"page"


def test_interim_answers_are_kept_from_http_1_0_and_a_stock_site(stage: Scripted, stage_front: Front) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")

    with stage.play(script), RawClient(stage_front.port) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        answer = client.read_answer()
        assert (answer.status, answer.body) == (200, b"page")


def test_trailers_pass_both_ways(stage: Scripted, stage_proxy: Proxy) -> None:
    arrived: list[bytes] = []
    last = b"0\r\nX-Sum: 17\r\n\r\n"

    def script(accepted: Accepted) -> None:
        accepted.read_head()
        arrived.append(accepted.read_exactly(len(b"2\r\nhi\r\n" + last)))
        accepted.send(b"HTTP/1.1 200 OK\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n")
        accepted.send(b"2\r\nyo\r\n0\r\nX-Check: fine\r\n\r\n")

    with stage.play(script), RawClient(stage_proxy.port) as client:
        client.send(request("POST", "/", "TE: trailers", "Trailer: X-Sum", "Transfer-Encoding: chunked"))
        client.send(b"2\r\nhi\r\n" + last)
        answer = client.read_answer()
        assert (answer.body, answer.complete, answer.trailers) == (b"yo", True, (("X-Check", "fine"),))
    assert arrived == [b"2\r\nhi\r\n" + last]


def test_options_of_the_server_itself(stage: Scripted, stage_proxy: Proxy) -> None:
    heads: list[bytes] = []

    def script(accepted: Accepted) -> None:
        heads.append(accepted.read_head())
        accepted.send(b"HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n")

    with stage.play(script):
        answer = ask(stage_proxy.port, "OPTIONS", "*")
        assert (answer.status, answer.get("Allow")) == (204, "GET")
    assert heads[0].startswith(b"OPTIONS * HTTP/1.1\r\n")
