"""Clients of all kinds, each in a thread of its own, and what became of what they did."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import Final

import attrs
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.live.support_client import RawClient
from tests.live.support_tls import SecureClient

UPLOAD: Final = 16
DOWNLOAD: Final = 4 << 20
PIECE: Final = 64 << 10
# Each of them has to be refused, or to be taken for nothing.
HOSTILE: Final = (
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX:" + b"y" * 70_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n",
    b"\x00\xff\x00\xff\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
)


@attrs.frozen
class Failure:
    """Something that went wrong, as a client saw it."""

    kind: str
    began: float
    """Seconds of the monotonic clock."""
    ended: float
    text: str


class Tally:
    """What all clients did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()
        self.failures: list[Failure] = []

    def count(self, kind: str) -> None:
        with self._lock:
            self.done[kind] += 1

    def fail(self, failure: Failure) -> None:
        with self._lock:
            self.failures.append(failure)


@attrs.frozen
class Signals:
    """What all clients listen to."""

    resting: threading.Event = attrs.field(factory=threading.Event)
    """Let go of every connection, and wait."""
    ended: threading.Event = attrs.field(factory=threading.Event)


class Client(threading.Thread):
    """Does the same again and again, and rests while it is told to."""

    kind = ""
    pause = 0.02

    def __init__(self, ports: tuple[int, int], tally: Tally, signals: Signals) -> None:
        super().__init__(name=self.kind, daemon=True)
        self.port, self.secure_port = ports
        self.idle = threading.Event()
        """Set while it rests and holds no connection."""
        self._tally = tally
        self._resting = signals.resting
        self._ended = signals.ended

    def run(self) -> None:
        while not self._ended.is_set():
            if self._resting.is_set():
                self.close()
                self.idle.set()
                self._ended.wait(0.05)
                continue
            self.idle.clear()
            began = time.monotonic()
            try:
                self.turn()
            except (OSError, AssertionError, EOFError, WebSocketException) as error:
                self._tally.fail(Failure(self.kind, began, time.monotonic(), f"{type(error).__name__}: {error}"[:200]))
                self.close()
            else:
                self._tally.count(self.kind)
            self._ended.wait(self.pause)
        self.close()

    def turn(self) -> None:
        """One request, or whatever it is that is counted."""
        raise NotImplementedError

    def close(self) -> None:
        """Holds no connection any more."""


class Kept(Client):
    """Asks for something cached, always on the same connection."""

    kind = "kept connection"
    target = "/hello.txt"

    def __init__(self, ports: tuple[int, int], tally: Tally, signals: Signals) -> None:
        super().__init__(ports, tally, signals)
        self._client: RawClient | None = None

    def turn(self) -> None:
        if self._client is None:
            self._client = RawClient(self.port)
        answer = self._client.ask("GET", self.target)
        assert answer.status == 200 and answer.complete, f"{answer.status} {answer.head!r}"
        if answer.get("Connection") == "close":
            self.close()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class Uncached(Kept):
    """The same past the cache, from servers of which one comes and goes."""

    kind = "past the cache"
    target = "/plain/hello.txt"


class Fresh(Client):
    """A new TLS connection for each request."""

    kind = "new TLS connection"
    pause = 0.05

    def turn(self) -> None:
        with SecureClient(self.secure_port, name="localhost") as client:
            answer = client.ask("GET", "/hello.txt")
            assert answer.status == 200 and answer.complete, f"{answer.status} {answer.head!r}"


class Upload(Client):
    """A body of a megabyte, slowly."""

    kind = "upload"

    def turn(self) -> None:
        with RawClient(self.port) as client:
            size = UPLOAD * PIECE
            client.send(b"POST /app/slurp/soak HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(UPLOAD):
                client.send(bytes(PIECE))
                time.sleep(0.03)
            answer = client.read_answer("POST")
            assert (answer.status, answer.body) == (200, b"%d" % size), f"{answer.status} {answer.body!r}"


class Download(Client):
    """A body of several megabytes, taken slowly."""

    kind = "download"

    def turn(self) -> None:
        with RawClient(self.port, receive_buffer=PIECE) as client:
            client.send(b"GET /files/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = client.read_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            for _ in range(DOWNLOAD // PIECE):
                client.read_exactly(PIECE)
                time.sleep(0.02)


class Tunnel(Client):
    """A WebSocket that lasts, with a message now and then that comes back."""

    kind = "message in a tunnel"
    pause = 0.05

    def __init__(self, ports: tuple[int, int], tally: Tally, signals: Signals) -> None:
        super().__init__(ports, tally, signals)
        self._socket: ClientConnection | None = None
        self._open = ExitStack()

    def turn(self) -> None:
        if self._socket is None:
            url = f"ws://127.0.0.1:{self.port}/app/ws"
            self._socket = self._open.enter_context(connect(url, proxy=None, open_timeout=10, close_timeout=1))
        said = f"{random.random()}"
        self._socket.send(said)
        heard = self._socket.recv(timeout=10)
        assert heard == said, f"{heard!r} for {said!r}"

    def close(self) -> None:
        self._socket = None
        self._open.close()


class Slow(Client):
    """A head that comes an octet at a time."""

    kind = "slow head"

    def turn(self) -> None:
        with RawClient(self.port) as client:
            for octet in b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n":
                client.send(bytes([octet]))
                time.sleep(0.02)
            answer = client.read_answer()
            assert answer.status == 200 and answer.complete, f"{answer.status} {answer.head!r}"


class Hostile(Client):
    """What no proxy may let through."""

    kind = "refused nonsense"
    pause = 0.1

    def turn(self) -> None:
        with RawClient(self.port) as client:
            nonsense = random.choice(HOSTILE)
            try:
                client.send(nonsense)
            except ConnectionError:
                # It was refused before we had said all of it.
                return
            answer = client.read_all()
            assert not answer or answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), answer[:100]


class Leaver(Client):
    """Asks and is gone."""

    kind = "left at once"
    pause = 0.05

    def turn(self) -> None:
        client = RawClient(self.port)
        client.send(b"GET /plain/hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.cut()


KINDS: Final[tuple[tuple[type[Client], int], ...]] = (
    (Kept, 4),
    (Uncached, 4),
    (Fresh, 2),
    (Upload, 2),
    (Download, 2),
    (Tunnel, 6),
    (Slow, 2),
    (Hostile, 1),
    (Leaver, 1),
)
"""How many there are of each."""
