"""Bodies of any size in constant memory, whichever side is slow."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import RawClient, request
from tests.live.support_process import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.support_proxy import Proxy
    from tests.live.support_scripted import Accepted, Scripted

MIB = 1024 * 1024
GIB = 1024 * MIB
GROWTH = 64 * MIB
PIECE = bytes(range(256)) * 4096


def send(sock: socket.socket, size: int) -> None:
    """Octets that repeat, as many."""
    assert size % len(PIECE) == 0
    for _ in range(size // len(PIECE)):
        sock.sendall(PIECE)


def receive_body(sock: socket.socket, early: bytes, size: int) -> None:
    """A body whose beginning came with the head."""
    assert early == (PIECE * 2)[: len(early)]
    room = bytearray(MIB)
    got = len(early)
    while got < size:
        part = sock.recv_into(room, min(MIB, size - got))
        assert part, "the body ended early"
        assert room[0] == got % 256
        assert room[part - 1] == (got + part - 1) % 256
        got += part


class Memory:
    """What the proxy grew by."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        with RawClient(proxy.port) as client:
            assert client.ask("GET", "/warm").status == 200
        self._before = proxy.resident()

    def check(self) -> None:
        grown = self._proxy.resident("VmHWM") - self._before
        assert grown < GROWTH, f"it grew by {grown / MIB:.1f} MiB"


def read_request(accepted: Accepted) -> bytes:
    """The head of the request that matters; answers the one before it."""
    head = accepted.read_head()
    while head.startswith(b"GET /warm "):
        accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        head = accepted.read_head()
    return head


@pytest.fixture
def proxy(stage: Scripted, proxy_to: Callable[..., Proxy]) -> Proxy:
    """One of its own, whose memory nobody else used."""
    return proxy_to(stage.url)


def test_upload_of_2_gib(stage: Scripted, proxy: Proxy) -> None:
    size = 2 * GIB

    def script(accepted: Accepted) -> None:
        if b"Content-Length: 2147483648\r\n" in read_request(accepted):
            receive_body(accepted.socket, accepted.read_available(), size)
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall")

    with stage.play(script):
        memory = Memory(proxy)
        with RawClient(proxy.port) as client:
            client.send(request("POST", "/", f"Content-Length: {size}"))
            send(client.socket, size)
            assert client.read_answer().body == b"all"
        memory.check()
    record = proxy.record_with("target", "/")
    assert (record["received"], record["status"]) == (size, 200)


def test_download_of_2_gib(stage: Scripted, proxy: Proxy) -> None:
    size = 2 * GIB

    def script(accepted: Accepted) -> None:
        if read_request(accepted):
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            send(accepted.socket, size)

    with stage.play(script):
        memory = Memory(proxy)
        with RawClient(proxy.port) as client:
            client.send(request("GET", "/"))
            client.read_until(b"\r\n\r\n")
            receive_body(client.socket, client.read_available(), size)
        memory.check()
    record = proxy.record_with("target", "/")
    assert (record["sent"], record["status"]) == (size, 200)


def await_standstill(numbers: list[int]) -> None:
    """Waits until nothing more is taken: everything between the two ends is full."""
    seen = [-1, 0]

    def stands() -> bool:
        seen[0], seen[1] = (numbers[0], 0) if seen[0] != numbers[0] else (seen[0], seen[1] + 1)
        return seen[1] > 50

    until(stands, "the sender to be stopped")


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_download_to_a_client_that_stops_reading(stage: Scripted, proxy: Proxy, chunked: bool) -> None:
    size = 256 * MIB
    sent = [0]

    def script(accepted: Accepted) -> None:
        if not read_request(accepted):
            return
        accepted.socket.settimeout(60)
        how = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        accepted.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % how)
        for _ in range(size // MIB):
            accepted.send(b"%x\r\n%b\r\n" % (MIB, PIECE) if chunked else PIECE)
            sent[0] += MIB
        if chunked:
            accepted.send(b"0\r\n\r\n")

    with stage.play(script):
        memory = Memory(proxy)
        with RawClient(proxy.port, receive_buffer=65536) as client:
            client.send(request("GET", "/"))
            client.read_until(b"\r\n\r\n")
            await_standstill(sent)
            # The backend was stopped long before its end, and the rest comes once the client reads again.
            assert sent[0] < GROWTH
            memory.check()
            if chunked:
                assert client.count_chunks() == size
            else:
                receive_body(client.socket, client.read_available(), size)
        memory.check()


def test_upload_to_a_backend_that_stops_reading(stage: Scripted, proxy: Proxy) -> None:
    size = 256 * MIB
    go_on = threading.Event()
    sent = [0]

    def script(accepted: Accepted) -> None:
        if b"POST" in read_request(accepted):
            go_on.wait()
            receive_body(accepted.socket, accepted.read_available(), size)
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall")

    def upload(client: RawClient) -> None:
        for _ in range(size // MIB):
            client.send(PIECE)
            sent[0] += MIB

    with stage.play(script):
        memory = Memory(proxy)
        with RawClient(proxy.port) as client:
            client.socket.settimeout(60)
            client.send(request("POST", "/", f"Content-Length: {size}"))
            thread = threading.Thread(target=upload, args=(client,))
            thread.start()
            try:
                await_standstill(sent)
                assert sent[0] < GROWTH
                memory.check()
            finally:
                go_on.set()
                thread.join()
            assert client.read_answer().body == b"all"
        memory.check()
