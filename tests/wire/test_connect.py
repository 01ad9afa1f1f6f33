"""Opening a connection: it succeeds or fails once, in time, and never after it was cancelled."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from revproxy.wire.budget import OctetBudget
from revproxy.wire.connect import Connecting, Stream
from revproxy.wire.sweep import Sweep


class PlayedReactor:
    """Remembers who waits for what."""

    def __init__(self) -> None:
        self.writers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        assert writer not in self.writers
        self.writers.append(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.remove(writer)

    def addReader(self, reader: Any) -> None:
        raise AssertionError("nobody reads yet")

    def removeReader(self, reader: Any) -> None:
        raise AssertionError("nobody reads yet")


class Waits:
    """Who wants the connection."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.failures: list[OSError] = []
        self.when_failed: Callable[[], None] | None = None

    def connected(self, stream: Stream) -> None:
        self.streams.append(stream)

    def connect_failed(self, reason: OSError) -> None:
        self.failures.append(reason)
        if self.when_failed is not None:
            self.when_failed()


class Bench:
    """An attempt on real sockets; the reactor's and the clock's part are a test's."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sweep = Sweep(self.clock, now=self.clock.seconds)
        self.sweep.start()
        self.reactor = PlayedReactor()
        self.user = Waits()
        self.attempt = self.another()

    def another(self) -> Connecting:
        return Connecting(self.reactor, self.sweep, OctetBudget(1000), self.user)  # type: ignore[arg-type]

    @property
    def errors(self) -> list[int | None]:
        return [failure.errno for failure in self.user.failures]

    @property
    def at_rest(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self.reactor.writers and len(self.sweep) == 0 and self.attempt.fileno() == -1

    def end(self) -> None:
        self.attempt.cancel()
        for stream in self.user.streams:
            stream.abort()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.end()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


class Delays(socket.socket):
    """Never told how the attempt ends before a test says so."""

    error = 0

    def connect_ex(self, address: Any) -> int:
        return errno.EINPROGRESS

    def getsockopt(self, *wanted: Any) -> Any:
        return self.error if wanted == (socket.SOL_SOCKET, socket.SO_ERROR) else super().getsockopt(*wanted)


@pytest.fixture
def delayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Delays]]:
    """The sockets that attempts make, which wait for a test."""
    made: list[Delays] = []

    def make(family: int, kind: int) -> Delays:
        made.append(Delays(family, kind))
        return made[-1]

    monkeypatch.setattr("revproxy.wire.connect.socket.socket", make)
    yield made
    for sock in made:
        sock.close()


LOOPBACK = (socket.AF_INET, ("127.0.0.1", 9))


def test_a_unix_socket_is_connected_at_once(bench: Bench, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        bench.attempt.start((socket.AF_UNIX, path), 3)
        (stream,) = bench.user.streams
        assert stream.write(b"hello")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(100) == b"hello"
    assert bench.at_rest
    assert bench.errors == []


def test_a_connection_that_takes_its_time(bench: Bench, server: socket.socket) -> None:
    bench.attempt.start((socket.AF_INET, server.getsockname()), 3)
    # On the loopback, too, the kernel tells only when it is asked for writability.
    assert bench.user.streams == []
    assert bench.reactor.writers == [bench.attempt]
    assert bench.attempt.fileno() != -1
    accepted, _ = server.accept()
    with accepted:
        bench.attempt.doWrite()
        (stream,) = bench.user.streams
        assert bench.at_rest
        # Nobody reads from it before its user says so, and small writes leave at once.
        assert not stream.is_reading
        assert stream.write(b"hello")
        assert accepted.recv(100) == b"hello"
    # An event that was on its way already changes nothing.
    bench.attempt.doWrite()
    bench.attempt.connectionLost(None)
    bench.clock.advance(10)
    assert (len(bench.user.streams), bench.errors) == (1, [])


def test_small_writes_are_not_held_back(bench: Bench, delayed: list[Delays]) -> None:
    bench.attempt.start(LOOPBACK, 3)
    assert delayed[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert delayed[0].gettimeout() == 0


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET])
@pytest.mark.parametrize("told", ["doWrite", "doRead", "connectionLost"])
def test_a_connection_that_fails_later(bench: Bench, delayed: list[Delays], number: int, told: str) -> None:
    bench.attempt.start(LOOPBACK, 3)
    delayed[0].error = number
    if told == "connectionLost":
        bench.attempt.connectionLost(None)
    else:
        getattr(bench.attempt, told)()
    (failure,) = bench.user.failures
    assert (failure.errno, failure.strerror) == (number, os.strerror(number))
    assert bench.at_rest
    assert delayed[0].fileno() == -1


def test_nobody_listens(bench: Bench, tmp_path: Path) -> None:
    bench.attempt.start((socket.AF_UNIX, str(tmp_path / "nobody.sock")), 3)
    assert bench.errors == [errno.ENOENT]
    left = str(tmp_path / "left.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(left)
    bench.attempt.start((socket.AF_UNIX, left), 3)
    assert bench.errors == [errno.ENOENT, errno.ECONNREFUSED]
    assert bench.at_rest


def test_no_answer_in_time(bench: Bench, delayed: list[Delays]) -> None:
    bench.attempt.start(LOOPBACK, 3)
    bench.clock.pump([1, 1])
    assert bench.errors == []
    bench.clock.advance(1)
    (failure,) = bench.user.failures
    # The pool takes it for a timeout by its class.
    assert isinstance(failure, TimeoutError)
    assert failure.errno == errno.ETIMEDOUT
    assert bench.at_rest
    assert delayed[0].fileno() == -1
    bench.clock.pump([1] * 5)
    assert len(bench.user.failures) == 1


def test_a_cancelled_attempt_calls_nobody_back(bench: Bench, delayed: list[Delays]) -> None:
    bench.attempt.start(LOOPBACK, 3)
    bench.attempt.cancel()
    bench.attempt.cancel()
    assert bench.at_rest
    assert delayed[0].fileno() == -1
    bench.attempt.doWrite()
    bench.attempt.connectionLost(None)
    bench.clock.pump([1] * 5)
    assert (bench.user.streams, bench.user.failures) == ([], [])


def test_an_attempt_before_its_start_is_cancelled(bench: Bench) -> None:
    bench.attempt.cancel()
    assert bench.at_rest


def test_attempts_that_are_cancelled_in_the_sweep_that_would_end_them(bench: Bench, delayed: list[Delays]) -> None:
    """Whichever of them is swept first takes the others along: they must not be told of a failure."""
    attempts = [bench.another() for _ in range(8)]
    for attempt in attempts:
        attempt.start(LOOPBACK, 3)

    def cancel_all() -> None:
        for attempt in attempts:
            attempt.cancel()

    bench.user.when_failed = cancel_all
    bench.clock.pump([1] * 5)
    assert len(bench.user.failures) == 1
    assert len(delayed) == 8
    assert bench.at_rest


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EAFNOSUPPORT])
def test_no_socket_to_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("revproxy.wire.connect.socket.socket", refuse)
    bench.attempt.start(LOOPBACK, 3)
    assert bench.errors == [number]
    assert bench.at_rest


@pytest.mark.parametrize(
    "address",
    [(socket.AF_UNIX, "/" + "x" * 200), (socket.AF_INET6, ("fe80::1%no-such-interface", 80))],
    ids=["too long", "no such scope"],
)
def test_an_address_that_makes_no_sense(bench: Bench, address: tuple[int, Any]) -> None:
    bench.attempt.start(address, 3)
    assert len(bench.user.failures) == 1
    assert bench.at_rest


def test_one_attempt_can_follow_another(bench: Bench, delayed: list[Delays]) -> None:
    bench.attempt.start(LOOPBACK, 3)
    bench.clock.pump([1] * 3)
    assert bench.errors == [errno.ETIMEDOUT]
    # The second has a deadline of its own.
    bench.attempt.start(LOOPBACK, 3)
    bench.clock.pump([1, 1])
    assert bench.errors == [errno.ETIMEDOUT]
    bench.attempt.doWrite()
    assert len(bench.user.streams) == 1
    assert bench.at_rest
