"""WebSockets through the proxy, and what a tunnel does when one side stops."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from tests.live.support_client import RawClient, ask, request
from tests.live.support_process import until
from tests.live.support_proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.conftest import Started
    from tests.live.support_scripted import Accepted, Scripted

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.fixture
def url(started: Started) -> str:
    return f"ws://127.0.0.1:{started.proxy('websockets').port}"


def test_text_and_binary_come_back(url: str) -> None:
    with connect(url, proxy=None) as socket:
        for message in ("hello", "grüße", "", b"\x00\xff", b""):
            socket.send(message)
            assert socket.recv() == message


def test_a_large_message_comes_back(url: str) -> None:
    message = os.urandom(1024 * 1024)
    with connect(url, proxy=None, max_size=2**24) as socket:
        for _ in range(4):
            socket.send(message)
        for _ in range(4):
            back = socket.recv()
            assert isinstance(back, bytes)
            assert hashlib.sha256(back).digest() == hashlib.sha256(message).digest()


def test_ping_is_answered(url: str) -> None:
    with connect(url, proxy=None) as socket:
        assert socket.ping().wait(10)


def test_close_codes_pass(url: str) -> None:
    with connect(f"{url}/close?code=4001&reason=why", proxy=None) as socket:
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "why")
    with connect(url, proxy=None) as socket:
        socket.close(1000, "enough")
        assert (socket.close_code, socket.close_reason) == (1000, "enough")
        with pytest.raises(ConnectionClosedOK):
            socket.recv()


def test_many_at_once(url: str) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(url, proxy=None)) for _ in range(30)]
        for number, socket in enumerate(sockets):
            socket.send(f"number {number}")
        assert [socket.recv() for socket in sockets] == [f"number {number}" for number in range(30)]


def test_aiohttp_behind_works_too(started: Started) -> None:
    with connect(f"ws://127.0.0.1:{started.proxy('aiohttp').port}/ws", proxy=None) as socket:
        socket.send("hello")
        assert socket.recv() == "hello"


def test_a_refused_upgrade_is_an_ordinary_answer(started: Started) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{started.proxy('nginx').port}/nowhere", proxy=None)
    assert refused.value.response.status_code == 404


def test_a_stock_site_does_not_upgrade(started: Started) -> None:
    answer = ask(started.front("stock site", "websockets").port, "GET", "/", *UPGRADE)
    assert answer.status != 101
    assert answer.status >= 400


def test_half_close_of_the_client(stage: Scripted, stage_proxy: Proxy) -> None:
    def script(accepted: Accepted) -> None:
        assert b"pgrade: websocket" in accepted.read_head()
        accepted.send(SWITCHED)
        # Everything up to the client's end, which must be told; the other way is still open.
        octets = accepted.read_exactly(10**6)
        accepted.send(b"%d octets" % len(octets))

    with stage.play(script), RawClient(stage_proxy.port) as client:
        client.send(request("GET", "/half", *UPGRADE))
        assert client.read_answer().status == 101
        client.send(b"x" * 1000)
        client.end()
        assert client.read_all() == b"1000 octets"
    record = stage_proxy.record_with("target", "/half")
    assert (record["status"], record["received"], record["sent"], record["reason"]) == (101, 1000, 11, None)


def test_half_close_of_the_server(stage: Scripted, stage_proxy: Proxy) -> None:
    heard: list[bytes] = []

    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(SWITCHED + b"last words")
        accepted.end_output()
        heard.append(accepted.read_exactly(5))

    with stage.play(script) as backend, RawClient(stage_proxy.port) as client:
        client.send(request("GET", "/", *UPGRADE))
        assert client.read_answer().status == 101
        assert client.read_exactly(10) == b"last words"
        assert client.is_ended()
        client.send(b"still")
        client.end()
        backend.await_finished(1)
    assert heard == [b"still"]


def test_octets_sent_right_behind_the_request(stage: Scripted, stage_proxy: Proxy) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(SWITCHED)
        accepted.send(accepted.read_exactly(5).upper())

    with stage.play(script), RawClient(stage_proxy.port) as client:
        client.send(request("GET", "/", *UPGRADE) + b"early")
        assert client.read_answer().status == 101
        assert client.read_exactly(5) == b"EARLY"


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_cut_on_one_side_ends_the_other(stage: Scripted, stage_proxy: Proxy, side: str) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(SWITCHED)
        if side == "server":
            accepted.read_exactly(1)
            accepted.reset()
        else:
            accepted.await_end()

    with stage.play(script) as backend, RawClient(stage_proxy.port) as client:
        client.send(request("GET", f"/cut-by-{side}", *UPGRADE))
        assert client.read_answer().status == 101
        if side == "server":
            client.send(b"x")
            assert client.is_ended()
        else:
            client.cut()
            backend.await_finished(1)
    assert stage_proxy.record_with("target", f"/cut-by-{side}")["status"] == 101


def test_an_idle_tunnel_is_closed(stage: Scripted, tmp_path: Path) -> None:
    def script(accepted: Accepted) -> None:
        accepted.read_head()
        accepted.send(SWITCHED)
        accepted.await_end()

    text = f'[[site]]\nroute = [{{proxy = "a"}}]\n[upstream.a]\nservers = ["{stage.url}"]\ntunnel_timeout = "1s"\n'
    with Proxy.configured(tmp_path, text) as proxy, stage.play(script) as backend, RawClient(proxy.port) as client:
        client.send(request("GET", "/", *UPGRADE))
        assert client.read_answer().status == 101
        assert client.is_ended()
        backend.await_finished(1)


def test_other_protocols_are_not_upgraded_to(stage: Scripted, stage_proxy: Proxy) -> None:
    heads: list[bytes] = []

    def script(accepted: Accepted) -> None:
        heads.append(accepted.read_head())
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with stage.play(script):
        assert ask(stage_proxy.port, "GET", "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c").status == 200
    until(lambda: heads, "the request")
    assert b"pgrade" not in heads[0]
