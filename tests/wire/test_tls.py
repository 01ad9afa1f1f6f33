"""A stream under TLS, over real sockets: OpenSSL itself is at both ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from OpenSSL import SSL

from revproxy.wire import tls
from revproxy.wire.budget import OctetBudget
from revproxy.wire.stream import PeerReset
from revproxy.wire.tls import RECORD, TlsStream, TruncatedInput
from tests.support.sockets import Turns, client_context, server_context, tcp_pair
from tests.wire.test_stream import Remembers

CONTEXT = server_context()


class Bench:
    """A stream of ours, and OpenSSL with its bare socket at the other end."""

    def __init__(self, *, limit: int = 1 << 30, newest: int = SSL.TLS1_3_VERSION) -> None:
        self._pair = tcp_pair()
        ours, self.socket = self._pair.__enter__()
        self.reactor = Turns()
        self.budget = OctetBudget(limit)
        context = client_context()
        context.set_max_proto_version(newest)
        self.peer = SSL.Connection(context, self.socket)
        self.peer.set_connect_state()
        connection = SSL.Connection(CONTEXT, ours)
        connection.set_accept_state()
        done: set[SSL.Connection] = set()
        while len(done) < 2:
            for side in (self.peer, connection):
                try:
                    side.do_handshake()
                    done.add(side)
                except SSL.WantReadError:
                    pass
        self.stream = TlsStream(ours, connection, self.reactor, self.budget)
        self.user = Remembers()
        self.stream.user = self.user
        self.got = bytearray()

    @property
    def told(self) -> list[object]:
        told, self.user.told = self.user.told, []
        return told

    def peer_reads(self) -> None:
        """All that has come; raises what OpenSSL says of an end."""
        while True:
            try:
                self.got += self.peer.recv(1 << 16)
            except SSL.WantReadError:
                return

    def peer_reads_until(self, size: int) -> None:
        for _ in range(100_000):
            self.reactor.turn()
            self.peer_reads()
            if len(self.got) >= size:
                return
        raise AssertionError(f"only {len(self.got)} octets came")

    def close(self) -> None:
        self.stream.abort()
        self._pair.__exit__(None, None, None)


@pytest.fixture(params=["direct", "public"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    if request.param == "public":
        monkeypatch.setattr(tls, "DIRECT", False)
    else:
        assert tls.DIRECT, "this version of pyOpenSSL is built differently: look at revproxy/wire/tls.py"
    made = Bench()
    yield made
    made.close()


def test_octets_go_both_ways(bench: Bench) -> None:
    bench.stream.resume_reading()
    bench.peer.send(b"hello")
    bench.reactor.until(lambda: bench.user.told)
    assert bench.told == [b"hello"]
    assert bench.stream.write(b"world")
    bench.peer_reads()
    assert bench.got == b"world"
    assert bench.told == []


def test_small_pieces_leave_in_one_record(bench: Bench) -> None:
    assert bench.stream.write_pieces([b"a" * 10, b"b" * 20, b"c"])
    assert bench.peer.recv(1 << 16) == b"a" * 10 + b"b" * 20 + b"c"


def test_large_pieces_arrive_whole(bench: Bench) -> None:
    pieces = [b"a" * 100_000, b"b" * 3, b"c" * 50_000]
    assert bench.stream.write_pieces(pieces)
    bench.peer_reads_until(150_003)
    assert bench.got == b"".join(pieces)


def test_what_the_kernel_does_not_take_waits(bench: Bench) -> None:
    size = 8 * 1024 * 1024
    body = bytes(range(256)) * (size // 256)
    assert bench.stream.write(body)
    assert bench.told == ["blocked"]
    assert 0 < bench.stream.queued < size
    assert bench.budget.held == bench.stream.queued
    assert bench.stream.write(b"behind it")
    bench.peer_reads_until(size + 9)
    bench.reactor.settle()
    assert bench.got == body + b"behind it"
    assert bench.told == ["drained"]
    assert (bench.stream.queued, bench.budget.held) == (0, 0)
    assert bench.reactor.writers == set()


def test_octets_beyond_the_budget_end_the_stream() -> None:
    bench = Bench(limit=1000)
    bench.stream.write(bytes(8 * 1024 * 1024))
    bench.reactor.turn()
    assert bench.told == [BufferError] or bench.told[-1] is BufferError
    assert bench.stream.closed
    assert bench.budget.held == 0
    bench.close()


@pytest.mark.parametrize("newest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_close_notify_is_the_end_of_the_peers_octets_and_no_more(newest: int) -> None:
    bench = Bench(newest=newest)
    bench.stream.resume_reading()
    bench.peer.send(b"last words")
    bench.peer.shutdown()
    bench.reactor.until(lambda: "ended" in bench.user.told)
    assert bench.told == [b"last words", "ended"]
    assert bench.stream.input_at_end
    assert bench.stream.write(b"an answer")
    bench.stream.close()
    with pytest.raises(SSL.ZeroReturnError):
        bench.peer_reads()
    assert bench.got == b"an answer"
    assert bench.told == []
    bench.close()


def test_close_notify_and_a_fin_behind_it_are_a_clients_departure(bench: Bench) -> None:
    bench.stream.fin_is_departure = True
    bench.stream.resume_reading()
    bench.peer.shutdown()
    bench.socket.close()
    bench.reactor.until(lambda: bench.user.told)
    assert bench.told == [PeerReset]
    assert bench.stream.closed


def test_a_server_may_end_its_answer_and_the_connection_at_once(bench: Bench) -> None:
    bench.stream.resume_reading()
    bench.peer.send(b"all of it")
    bench.peer.shutdown()
    bench.socket.shutdown(1)
    bench.reactor.until(lambda: "ended" in bench.user.told)
    assert bench.told == [b"all of it", "ended"]


def test_a_fin_alone_may_have_cut_something_off(bench: Bench) -> None:
    bench.stream.resume_reading()
    bench.peer.send(b"some")
    # Not closed: the tickets it never read would make that a reset.
    bench.socket.shutdown(1)
    bench.reactor.until(lambda: len(bench.user.told) > 1)
    assert bench.told == [b"some", TruncatedInput]


def test_a_fin_shows_while_reading_is_paused(bench: Bench) -> None:
    assert not bench.stream.is_peer_gone(half_close_counts=False)
    bench.socket.shutdown(1)
    assert bench.stream.is_peer_gone(half_close_counts=False)


def test_octets_that_are_no_records_end_the_stream(bench: Bench) -> None:
    bench.stream.resume_reading()
    bench.socket.send(b"GET / HTTP/1.1\r\n\r\n")
    bench.reactor.until(lambda: bench.user.told)
    assert bench.told == [PeerReset]
    assert bench.stream.closed


def test_an_orderly_close_says_so_behind_what_was_written(bench: Bench) -> None:
    bench.stream.write(b"x" * 8 * 1024 * 1024)
    bench.stream.close()
    with pytest.raises(SSL.ZeroReturnError):
        bench.peer_reads_until(1 << 40)
    assert len(bench.got) == 8 * 1024 * 1024
    assert bench.stream.closed
    assert not bench.stream.write(b"more")


@pytest.mark.parametrize("how", ["close", "half", "both"])
def test_close_notify_waits_for_room(how: str, bench: Bench) -> None:
    bench.stream.fin_is_departure = True
    # There are tickets first.
    bench.stream.write(b"x")
    bench.peer_reads()
    other = fill(bench.stream._socket)
    if how != "close":
        bench.stream.end_output()
    if how != "half":
        bench.stream.close()
    assert not bench.stream.closed
    assert not bench.stream.output_ended
    assert bench.stream.queued
    while other:
        try:
            other -= len(bench.socket.recv(min(other, 1 << 16)))
        except BlockingIOError:
            bench.reactor.turn(1)
    bench.reactor.until(lambda: not bench.stream.queued)
    with pytest.raises(SSL.ZeroReturnError):
        bench.peer_reads()
    assert bench.stream.closed == (how != "half")
    assert bench.stream.output_ended == (how == "half")
    assert bench.budget.held == 0
    assert bench.reactor.writers == set()


def test_who_never_reads_is_cut_before_close_notify(bench: Bench) -> None:
    bench.stream.fin_is_departure = True
    fill(bench.stream._socket)
    bench.stream.close()
    assert not bench.stream.closed
    assert bench.stream.queued
    bench.stream.abort()
    assert bench.stream.closed
    assert (bench.stream.queued, bench.budget.held) == (0, 0)
    assert bench.reactor.writers == set()


def test_a_server_that_never_reads_is_not_waited_for(bench: Bench) -> None:
    fill(bench.stream._socket)
    bench.stream.close()
    assert bench.stream.closed


def fill(sock: socket.socket) -> int:
    """Behind OpenSSL's back, so that nothing of the stream's waits; how many octets that were."""
    size = 0
    try:
        while True:
            size += sock.send(bytes(1 << 16))
    except BlockingIOError:
        return size


def test_our_half_close_lets_the_peer_speak_on(bench: Bench) -> None:
    bench.stream.write(b"all of it")
    bench.stream.end_output()
    with pytest.raises(SSL.ZeroReturnError):
        bench.peer_reads()
    assert bench.got == b"all of it"
    bench.stream.resume_reading()
    bench.peer.send(b"still here")
    bench.reactor.until(lambda: bench.user.told)
    bench.peer.shutdown()
    bench.reactor.until(lambda: "ended" in bench.user.told)
    assert bench.told == [b"still here", "ended"]
    assert not bench.stream.write(b"more")


def test_an_abort_says_nothing(bench: Bench) -> None:
    bench.stream.write(b"half of")
    bench.stream.abort()
    with pytest.raises(SSL.SysCallError):
        bench.peer_reads_until(1 << 40)


def test_a_lost_peer_shows_when_something_is_written(bench: Bench) -> None:
    bench.stream.write(b"x")
    bench.socket.close()
    # The first write behind a reset may still be taken by the kernel.
    while bench.stream.write(b"y" * RECORD):
        pass
    bench.reactor.advance(0)
    assert bench.told[-1] is PeerReset
    assert bench.stream.closed


def test_paused_reading_hands_nothing_on(bench: Bench) -> None:
    bench.peer.send(b"one")
    bench.reactor.settle()
    assert bench.told == []
    bench.stream.resume_reading()
    bench.reactor.until(lambda: bench.user.told)
    assert bench.told == [b"one"]
    bench.stream.pause_reading()
    bench.peer.send(b"two")
    bench.reactor.settle()
    assert bench.told == []


def test_many_full_records_come_in_a_turn_and_pausing_stops_them_at_once(bench: Bench) -> None:
    body = b"z" * (RECORD * 4)
    sent = 0
    while sent < len(body):
        sent += bench.peer.send(body[sent:])
    bench.stream.resume_reading()
    seen = []

    def pause_after_first(data: bytes) -> None:
        seen.append(len(data))
        bench.stream.pause_reading()

    bench.user.octets_received = pause_after_first  # type: ignore[method-assign]
    bench.reactor.until(lambda: seen)
    bench.reactor.settle()
    assert seen == [RECORD]


@pytest.mark.parametrize("newest", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION])
def test_an_echo_of_megabytes_while_both_sides_are_slow(newest: int) -> None:
    bench = Bench(newest=newest)
    bench.stream.resume_reading()
    bench.user.octets_received = bench.stream.write  # type: ignore[method-assign,assignment]
    bench.user.output_blocked = bench.stream.pause_reading  # type: ignore[method-assign]
    bench.user.output_drained = bench.stream.resume_reading  # type: ignore[method-assign]
    body = bytes(range(251)) * 40_000
    rest = memoryview(body)
    for _ in range(1_000_000):
        if rest:
            try:
                rest = rest[bench.peer.send(rest[:100_000]) :]
            except SSL.WantWriteError:
                pass
        bench.reactor.turn()
        bench.peer_reads()
        if len(bench.got) == len(body):
            break
    assert bench.got == body
    bench.close()
