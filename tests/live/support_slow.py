"""Clients that cost a server much and themselves little, hundreds at a time, and one that only wants its answers."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.live.support_client import request
from tests.live.support_process import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Slow = Callable[[socket.socket], Awaitable[str]]

DRIP = 1.0
"""Seconds from one octet of a slow client to its next."""
PACE = 0.05
"""Seconds from an answer to the next request of a client that is not slow."""


class Crowd:
    """Slow clients, all open at the same time, and how each of them ended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open = 0
        """How many are connected just now."""
        self.ends: Counter[tuple[str, str]] = Counter()
        """By the kind of client and what became of it."""

    async def send(self, count: int, *kinds: Slow) -> None:
        """So many clients of each kind; returns when all have ended."""
        clients = [self._one(kind) for _ in range(count) for kind in kinds]
        await asyncio.wait_for(asyncio.gather(*clients), PATIENCE * 2)

    async def _one(self, kind: Slow) -> None:
        async with connected(self._port) as sock:
            self.open += 1
            try:
                self.ends[kind.__name__, await kind(sock)] += 1
            finally:
                self.open -= 1


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[socket.socket]:
    """A socket for the loop, with a small window: what is not read fills it soon."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield sock


async def until_so(condition: Callable[[], bool]) -> None:
    """Waits for what nobody tells."""
    while not condition():  # noqa: ASYNC110 -- there is nobody who could set an event
        await asyncio.sleep(0.05)


async def end_of(sock: socket.socket, came: bytes = b"") -> str:
    """How it ends: the status of the last answer, if there was one, and whether it was closed or cut."""
    how = "closed"
    try:
        while data := await asyncio.get_running_loop().sock_recv(sock, 65536):
            came += data
    except ConnectionError:
        how = "cut"
    at = came.rfind(b"HTTP/1.1 ")
    return how if at == -1 else f"{came[at + 9 : at + 12].decode('ascii')} {how}"


async def _drip(sock: socket.socket, octets: bytes, every: float) -> str:
    """The same octets again and again, until something comes back."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            came = await asyncio.wait_for(loop.sock_recv(sock, 65536), every)
            return await end_of(sock, came) if came else "closed"
        except asyncio.TimeoutError:
            await loop.sock_sendall(sock, octets)
        except ConnectionError:
            return "cut"


async def slow_head(sock: socket.socket) -> str:
    """One octet a second."""
    await asyncio.get_running_loop().sock_sendall(sock, b"GET /hello.txt HTTP/1.1\r\nHost: example.com\r\nX-Slow: ")
    return await _drip(sock, b"x", DRIP)


async def endless_head(sock: socket.socket) -> str:
    """It comes quickly, and never ends."""
    await asyncio.get_running_loop().sock_sendall(sock, b"GET /hello.txt HTTP/1.1\r\nHost: example.com\r\nX-Long: ")
    return await _drip(sock, b"x" * 4096, 0.1)


async def slow_body(sock: socket.socket) -> str:
    """One octet a second."""
    await asyncio.get_running_loop().sock_sendall(sock, request("POST", "/slurp/slow", "Content-Length: 100000"))
    return await _drip(sock, b"x", DRIP)


async def silent_body(sock: socket.socket) -> str:
    """It stops after its beginning."""
    await asyncio.get_running_loop().sock_sendall(sock, request("POST", "/slurp/silent", "Content-Length: 9") + b"xx")
    return await end_of(sock)


async def greedy_reader(sock: socket.socket) -> str:
    """Asks for an answer without an end, and takes only its beginning."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, request("GET", "/endless/greedy"))
    beginning = await loop.sock_recv(sock, 100)
    assert beginning.startswith(b"HTTP/1.1 200 "), beginning
    poll = select.poll()
    poll.register(sock, 0)
    await until_so(lambda: bool(poll.poll(0)))
    return await end_of(sock, beginning)


async def silent(sock: socket.socket) -> str:
    """Says nothing at all."""
    return await end_of(sock)


async def idle(sock: socket.socket) -> str:
    """Says nothing more after an answer."""
    await asyncio.get_running_loop().sock_sendall(sock, request("GET", "/hello.txt"))
    return await end_of(sock)


async def half_closed(sock: socket.socket) -> str:
    """Ends its octets in the middle of a head, and goes on listening."""
    await asyncio.get_running_loop().sock_sendall(sock, b"GET /hello.txt HT")
    sock.shutdown(socket.SHUT_WR)
    return await end_of(sock)


class Visitor:
    """Whoever is there to be served: asks again and again, over one connection or over a new one each time."""

    def __init__(self, port: int, expected: bytes, *, keep: bool) -> None:
        self._port = port
        self._expected = expected
        self._keep = keep
        self.answers: list[tuple[float, int]] = []
        """For each answer, how long it took (seconds), and how many of the crowd were connected then."""

    async def visit(self, crowd: Crowd, enough: asyncio.Event) -> None:
        """Every answer must be right; stops when told so."""
        while not enough.is_set():
            async with connected(self._port) as sock:
                await self._ask(sock, crowd)
                while self._keep and not enough.is_set():
                    await self._ask(sock, crowd)

    async def _ask(self, sock: socket.socket, crowd: Crowd) -> None:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        await loop.sock_sendall(sock, request("GET", "/hello.txt"))
        came = b""
        while not came.endswith(self._expected):
            data = await asyncio.wait_for(loop.sock_recv(sock, 65536), PATIENCE)
            assert data, f"closed after {came!r}"
            came += data
        assert came.startswith(b"HTTP/1.1 200 "), came
        self.answers.append((time.monotonic() - began, crowd.open))
        await asyncio.sleep(PACE)


async def besiege(crowd: Crowd, visitors: list[Visitor], siege: Awaitable[None]) -> None:
    """Visitors ask until the siege is over."""
    enough = asyncio.Event()
    visits = [asyncio.create_task(visitor.visit(crowd, enough)) for visitor in visitors]
    try:
        await siege
    finally:
        enough.set()
        await asyncio.gather(*visits)
