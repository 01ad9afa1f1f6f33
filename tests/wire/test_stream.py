"""One stream: immediate writes, what waits, and how it ends."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from revproxy.wire.budget import OctetBudget
from tests.support.network import End, MemoryStream, Network


class Remembers:
    """A stream's user: remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def octets_received(self, data: bytes) -> None:
        self.told.append(data)

    def input_ended(self) -> None:
        self.told.append("ended")

    def stream_lost(self, error: Exception) -> None:
        self.told.append(type(error))

    def output_blocked(self) -> None:
        self.told.append("blocked")

    def output_drained(self) -> None:
        self.told.append("drained")


class Bench:
    """A stream, its user and the other end."""

    def __init__(self, room: int = 10, limit: int = 1000) -> None:
        self.network = Network(Clock())
        self.budget = OctetBudget(limit)
        ours, theirs = self.network.pair(room)
        self.end: End = self.network.end(theirs)
        self.end.reads = False
        self.stream = MemoryStream(ours, self.network, self.budget)
        self.user = Remembers()
        self.stream.user = self.user

    @property
    def told(self) -> list[object]:
        """What the user was told since this was asked last."""
        told, self.user.told = self.user.told, []
        return told

    def read_all(self) -> bytes:
        self.end.reads = True
        self.network.settle()
        self.end.reads = False
        return self.end.take_back()


def test_a_write_leaves_at_once() -> None:
    bench = Bench()
    assert bench.stream.write(b"hello")
    assert bench.end.sock.waiting == b"hello"
    assert bench.network.getWriters() == []
    assert bench.told == []


@pytest.mark.parametrize("pieces", [[b"0123456789abcde"], [b"012", b"3456789abcde"], [b"0123456789", b"a", b"bcde"]])
def test_what_does_not_fit_waits_and_is_counted(pieces: list[bytes]) -> None:
    bench = Bench()
    assert bench.stream.write_pieces(pieces)
    assert (bench.stream.queued, bench.budget.held) == (5, 5)
    assert bench.told == ["blocked"]
    assert bench.stream.write(b"fgh")
    assert bench.stream.write_pieces([b"i", b"j"])
    assert (bench.stream.queued, bench.budget.held) == (10, 10)
    assert bench.told == []
    assert bench.read_all() == b"0123456789abcdefghij"
    assert (bench.stream.queued, bench.budget.held) == (0, 0)
    assert bench.told == ["drained"]
    assert bench.network.getWriters() == []


def test_blocked_and_drained_alternate() -> None:
    bench = Bench()
    for _ in range(3):
        bench.stream.write(b"x" * 15)
        bench.read_all()
    assert bench.told == ["blocked", "drained"] * 3


@pytest.mark.parametrize("how", ["close", "end_output"])
@pytest.mark.parametrize("size", [5, 25])
def test_an_end_comes_behind_what_was_written(how: str, size: int) -> None:
    bench = Bench()
    bench.stream.write(b"x" * size)
    getattr(bench.stream, how)()
    assert not bench.stream.write(b"no more")
    assert not bench.stream.write_pieces([b"no", b"more"])
    assert bench.read_all() == b"x" * size
    assert bench.end.ended and not bench.end.was_reset
    assert bench.stream.closed is (how == "close")
    bench.stream.abort()
    assert bench.budget.held == 0


def test_an_abort_is_a_reset_and_counts_nothing_any_more() -> None:
    bench = Bench()
    bench.stream.resume_reading()
    bench.stream.write(b"x" * 25)
    bench.stream.abort()
    assert bench.end.sock.reset
    assert (bench.stream.queued, bench.budget.held, bench.stream.fileno()) == (0, 0, -1)
    assert bench.network.getReaders() == bench.network.getWriters() == []
    assert not bench.stream.write(b"x")
    bench.stream.abort()
    bench.stream.close()
    bench.stream.end_output()
    bench.stream.resume_reading()
    bench.network.settle()
    assert bench.told == ["blocked"]


@pytest.mark.parametrize("pieces", [False, True])
def test_a_write_that_the_kernel_refuses_is_told_at_once_and_the_loss_later(pieces: bool) -> None:
    bench = Bench()
    bench.stream.sock.refuses = True
    assert not (bench.stream.write_pieces([b"a", b"b"]) if pieces else bench.stream.write(b"ab"))
    assert bench.stream.closed and bench.told == []
    bench.network.settle()
    assert bench.told == [ConnectionResetError]


def test_a_refused_write_of_what_waits_is_a_loss() -> None:
    bench = Bench()
    bench.stream.write(b"x" * 15)
    bench.end.cut()
    assert bench.told == ["blocked", ConnectionResetError]
    assert bench.budget.held == 0


def test_octets_over_the_budget_cost_the_stream() -> None:
    bench = Bench(limit=10)
    bench.stream.write(b"x" * 25)
    bench.network.settle()
    assert bench.told == [BufferError]
    assert bench.stream.closed and bench.budget.held == 0
    bench = Bench(limit=10)
    bench.stream.write(b"x" * 15)
    assert not bench.stream.write(b"x" * 6)
    bench.network.settle()
    assert bench.told == ["blocked", BufferError]
    assert bench.budget.held == 0
    assert bench.budget.refused == 1


def test_reading_is_paused_and_resumed() -> None:
    bench = Bench()
    bench.end.send(b"one")
    assert bench.told == []
    bench.stream.resume_reading()
    bench.network.settle()
    assert bench.told == [b"one"]
    bench.stream.pause_reading()
    bench.end.send(b"two")
    assert bench.told == []
    bench.stream.resume_reading()
    bench.network.settle()
    bench.end.fin()
    assert bench.told == [b"two", "ended"]
    assert bench.stream.input_at_end
    bench.stream.resume_reading()
    bench.network.settle()
    assert bench.told == []
    assert bench.stream.write(b"still")
    assert bench.read_all() == b"still"


def test_a_reset_is_a_loss() -> None:
    bench = Bench()
    bench.stream.resume_reading()
    bench.end.cut()
    assert bench.told == [ConnectionResetError]
    assert bench.stream.closed


def test_reads_grow_with_what_comes_and_shrink_again() -> None:
    bench = Bench(room=1 << 20)
    bench.end.send(b"x" * 1_000_000)
    bench.stream.resume_reading()
    bench.network.settle()
    sizes = [len(piece) for piece in bench.told if isinstance(piece, bytes)]
    assert sizes[:5] == [16384, 32768, 65536, 131072, 262144]
    assert max(sizes) == 262144 and sum(sizes) == 1_000_000
    for _ in range(8):
        bench.end.send(b"x")
    bench.end.send(b"x" * 100_000)
    assert [len(piece) for piece in bench.told if isinstance(piece, bytes)][8] == 16384


@pytest.mark.parametrize("closing", [False, True])
def test_the_reactors_end_ends_a_stream(closing: bool) -> None:
    from twisted.internet.error import ConnectionLost
    from twisted.python.failure import Failure

    bench = Bench()
    bench.stream.write(b"x" * 15)
    if closing:
        bench.stream.close()
    assert bench.told == ["blocked"]
    bench.stream.connectionLost(Failure(ConnectionLost()))
    assert bench.told == ([] if closing else [ConnectionLost])
    assert bench.budget.held == 0
