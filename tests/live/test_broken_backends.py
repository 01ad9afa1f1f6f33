"""Backends that fail: what was cut never looks complete, the page names nobody, the log names the cause."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.live.support_client import RawClient, ask, curl
from tests.live.support_process import free_port, until
from tests.live.support_proxy import Proxy, StockSite
from tests.live.support_scripted import Accepted, answering_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_proxy import Front
    from tests.live.support_scripted import Scripted

OK = b"HTTP/1.1 200 OK\r\n"
CUT = {
    "length": (OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500, False),
    "length, none of it": (OK + b"Content-Length: 1000\r\n\r\n", False),
    "chunked, between chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
    "chunked, in a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhello", False),
    "chunked, in the end": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", False),
    "chunked, nonsense": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", False),
    "length, reset": (OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 500, True),
    # Not said to be HTTP/1.0: the proxy remembers that of a server, and this one is everybody's stage.
    "until close, reset": (OK + b"\r\nhello", True),
}


@pytest.fixture(params=CUT)
def cut(request: pytest.FixtureRequest) -> tuple[bytes, bool]:
    return CUT[request.param]


def dying(octets: bytes, reset: bool, read: list[bool]) -> Callable[[Accepted], None]:
    """A script that dies in the middle of its answer, once the client has the beginning."""

    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(octets)
        if reset:
            # A reset may overtake octets that the proxy has not read yet: then there is no answer at all to be cut.
            until(lambda: read, "the client to have the beginning")
            accepted.reset()

    return script


def test_raw_clients_see_the_cut(stage: Scripted, stage_front: Front, cut: tuple[bytes, bool]) -> None:
    read: list[bool] = []
    with stage.play(dying(*cut, read)):
        for version in (b"1.1", b"1.0"):
            read.clear()
            with RawClient(stage_front.port) as client:
                client.send(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
                try:
                    head = client.read_until(b"\r\n\r\n")
                except ConnectionError:
                    # A stock Site drops what it has queued when it resets; only answers without an end need that.
                    assert isinstance(stage_front, StockSite)
                    assert b"chunked" in cut[0]
                    assert version == b"1.0"
                    continue
                # A stock Site answers HTTP/1.0 with HTTP/1.0.
                assert head.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n"))
                read.append(True)
                rest, was_reset = read_to_end(client)
            if b"chunked" in head.lower():
                assert not rest.endswith(b"0\r\n\r\n")
            elif b"content-length" in head.lower():
                assert len(rest) < 1000
            else:
                # Nothing but the reset tells that something is missing.
                assert was_reset


def read_to_end(client: RawClient) -> tuple[bytes, bool]:
    """What comes, and whether it ended in a reset."""
    octets = client.read_available()
    try:
        while data := client.socket.recv(65536):
            octets += data
    except ConnectionError:
        return octets, True
    return octets, False


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0"])
def test_curl_sees_the_cut(stage: Scripted, stage_front: Front, version: str, cut: tuple[bytes, bool]) -> None:
    octets, _ = cut
    with stage.play(answering_once(octets) if not cut[1] else dying(octets, True, [True])):
        done = curl(version, f"{stage_front.url}/")
    # 18: partial file; 56: receive error. (A backend's reset may overtake the octets before it: then 502.)
    assert done.code in (18, 56) or (cut[1] and done.head.startswith("HTTP/1.1 502"))


def test_aiohttp_sees_the_cut(stage: Scripted, stage_front: Front, cut: tuple[bytes, bool]) -> None:
    octets, reset = cut

    async def get(url: str) -> int:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            await answer.read()
            return answer.status

    with stage.play(dying(octets, reset, [True])):
        url = stage_front.url
        if reset:
            try:
                assert asyncio.run(get(url)) == 502
            except aiohttp.ClientError:
                pass
        else:
            with pytest.raises(aiohttp.ClientError):
                asyncio.run(get(url))


FAILURES = {
    "no answer at all": (b"", 502, "closed_early"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", 502, "closed_early"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 502, "malformed_answer"),
    "a bad length": (OK + b"Content-Length: -1\r\n\r\n", 502, "malformed_answer"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 502, "malformed_answer"),
    "length and chunks": (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 502, "malformed_answer"),
    "a bad field": (OK + b"Bad Field: 1\r\n\r\n", 502, "malformed_answer"),
    "a folded field": (OK + b"A: 1\r\n b\r\nContent-Length: 0\r\n\r\n", 502, "malformed_answer"),
    "a status of letters": (b"HTTP/1.1 abc OK\r\n\r\n", 502, "malformed_answer"),
    "HTTP/2": (b"HTTP/2 200 OK\r\n\r\n", 502, "malformed_answer"),
    "a head without end": (OK + b"A: " + b"x" * 100_000, 502, "malformed_answer"),
    "an upgrade nobody wanted": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502, "malformed_answer"),
    "endless interim answers": (b"HTTP/1.1 102 Processing\r\n\r\n" * 1000, 502, "malformed_answer"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_a_page_and_a_line(stage: Scripted, stage_proxy: Proxy, failure: str) -> None:
    octets, status, reason = FAILURES[failure]

    def script(accepted: Accepted) -> None:
        if accepted.read_head() and octets:
            accepted.send(octets)
            if reason != "closed_early":
                accepted.await_end()

    with stage.play(script) as backend, RawClient(stage_proxy.port) as client:
        # It is no fault of the client's: its connection lives on.
        for method in ("POST", "GET"):
            answer = client.ask(method, "/", body=b"x" if method == "POST" else b"")
            while answer.status == 102:
                answer = client.read_answer()
            assert answer.status == status
            assert_page(answer.octets, backend.port)
            record = stage_proxy.record_with("id", answer.get("X-Request-ID"))
            assert (record["reason"], record["status"]) == (reason, status)
            assert record["upstream"] == f"127.0.0.1:{backend.port}"
            assert record["detail"]
    assert "Traceback" not in stage_proxy.output


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_in_a_stock_site(stage: Scripted, started: Started, failure: str) -> None:
    front = started.front("stock site", "stage")
    octets, status, _ = FAILURES[failure]
    with stage.play(answering_once(octets)) as backend:
        answer = ask(front.port, "POST", "/", body=b"x")
        assert answer.status == status
        assert_page(answer.octets, backend.port)
        # The operator finds the request by its id.
        front.wait_for(answer.get("X-Request-ID"))
        assert "Traceback" not in front.output


def assert_page(octets: bytes, port: int) -> None:
    """The page holds the request's id and nothing of the backend."""
    head, _, body = octets.partition(b"\r\n\r\n")
    request_id = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"x-request-id:")).split()[1]
    assert request_id in body
    assert str(port).encode() not in octets.replace(request_id, b"")
    assert b"127.0.0.1" not in octets


def test_refusing_backend(front_to: Callable[..., Front]) -> None:
    port = free_port()
    front = front_to(f"http://127.0.0.1:{port}")
    with RawClient(front.port) as client:
        for method in ("GET", "POST"):
            answer = client.ask(method, "/", body=b"x" if method == "POST" else b"")
            assert answer.status == 502
            assert_page(answer.octets, port)
    if isinstance(front, Proxy):
        records = front.records(2)
        assert [record["reason"] for record in records] == ["connect_failed"] * 2
        assert "refused" in records[0]["detail"].lower()
        assert records[0]["upstream"] == f"127.0.0.1:{port}"


def test_missing_unix_socket(proxy_to: Callable[..., Proxy], tmp_path: Path) -> None:
    proxy = proxy_to(f"unix:{tmp_path}/nobody.sock")
    answer = ask(proxy.port, "GET", "/")
    assert answer.status == 502
    assert b"nobody" not in answer.octets
    assert "No such file" in proxy.records(1)[0]["detail"]


def test_unknown_name(proxy_to: Callable[..., Proxy]) -> None:
    proxy = proxy_to("http://backend.invalid:8000")
    answer = ask(proxy.port, "GET", "/")
    assert answer.status in (502, 504)
    assert b"backend.invalid" not in answer.octets
    assert "backend.invalid" in proxy.records(1)[0]["detail"]


def configured(folder: Path, url: str, settings: str) -> Proxy:
    return Proxy.configured(
        folder, f'[[site]]\nroute = [{{proxy = "main"}}]\n[upstream.main]\nservers = ["{url}"]\n{settings}\n'
    )


def test_silent_backend(stage: Scripted, tmp_path: Path) -> None:
    with (
        stage.play(Accepted.await_end) as backend,
        configured(tmp_path, backend.url, 'answer_timeout = "1s"') as proxy,
    ):
        answer = ask(proxy.port, "GET", "/")
        assert answer.status == 504
        assert_page(answer.octets, backend.port)
        assert proxy.records(1)[0]["reason"] == "answer_timeout"
        # The backend need not work on.
        backend.await_finished(1)


def test_backend_silent_in_the_middle(stage: Scripted, tmp_path: Path) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(OK + b"Content-Length: 1000\r\n\r\nhello")
        accepted.await_end()

    with stage.play(script) as backend, configured(tmp_path, backend.url, 'idle_timeout = "1s"') as proxy:
        answer = ask(proxy.port, "GET", "/")
        assert (answer.status, answer.complete) == (200, False)
        assert proxy.records(1)[0]["reason"]


def test_unreachable_backend(tmp_path: Path) -> None:
    # TEST-NET-1 (RFC 5737): nothing answers there, or the network says at once that there is no way.
    with configured(tmp_path, "http://192.0.2.1:8000", 'connect_timeout = "1s"') as proxy:
        answer = ask(proxy.port, "GET", "/")
        assert answer.status in (502, 504)
        assert b"192.0.2" not in answer.octets
        assert proxy.records(1)[0]["reason"] in ("connect_failed", "connect_timeout")


def test_json_for_programs(proxy_to: Callable[..., Proxy]) -> None:
    answer = ask(proxy_to(f"http://127.0.0.1:{free_port()}").port, "GET", "/", "Accept: application/json")
    assert answer.get("Content-Type") == "application/json"
    page = json.loads(answer.body)
    assert page["status"] == 502
    assert page["request_id"] == answer.get("X-Request-ID")
