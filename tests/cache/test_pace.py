"""The pace of an answer that several clients read, and what of it is kept in memory."""

from __future__ import annotations

from typing import Any

import pytest

from revproxy.resources.shared import AHEAD, LAG
from tests.support.caching import MIB, Cached, caching, told
from tests.support.dialogue import answer
from tests.support.network import End

FRESH = b"Cache-Control: max-age=60"
ROOM = 10_000
SMALL_ROOM = 50_000


def slow_client(cached: Cached, *lines: bytes) -> End:
    client = cached.proxy.client(room=ROOM)
    client.reads = False
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n%b\r\n" % b"".join(line + b"\r\n" for line in lines))
    return client


def body(size: int) -> bytes:
    return (b"0123456789abcde\n" * (size // 16 + 1))[:size]


def send(end: End, octets: bytes, most: int = 1 << 30) -> int:
    """Sends until the proxy takes no more; how much it took."""
    sent = 0
    while sent < min(len(octets), most):
        taken = end.offer(octets[sent : sent + 30_000])
        if not taken:
            break
        sent += taken
    return sent


def head(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: %d\r\n\r\n" % (FRESH, size)


def flight(cached: Any) -> Any:
    (found,) = cached.cache.flights._by_key.values()
    return found


def read_on(client: End) -> None:
    client.reads = True
    client.network.settle()


def test_a_slow_reader_does_not_slow_the_others() -> None:
    size = 1_500_000
    with caching() as cached:
        cached.proxy.origin.room = SMALL_ROOM
        # Even where it is the one that asked first.
        slow = slow_client(cached)
        quick = cached.ask()
        end = cached.asked[0][1]
        octets = head(size) + body(size)
        assert send(end, octets) == len(octets)
        assert (answer(quick).body, answer(quick).complete) == (body(size), True)
        assert len(slow.received) == 0
        assert cached.proxy.queued < 300_000
        assert told(cached.get()) == b"hit; ttl=60"
        read_on(slow)
        assert (answer(slow).body, answer(slow).complete) == (body(size), True)


def test_the_server_waits_for_the_quickest() -> None:
    size = 1_900_000
    with caching() as cached:
        cached.proxy.origin.room = SMALL_ROOM
        slow, slower = slow_client(cached), slow_client(cached)
        end = cached.asked[0][1]
        octets = head(size) + body(size)
        sent = send(end, octets)
        assert AHEAD < sent < AHEAD + 500_000
        # The quickest takes some: so does the server's side.
        while len(slow.received) < 600_000:
            slow.take(ROOM)
        more = send(end, octets[sent:])
        assert 300_000 < more < 900_000
        read_on(slow)
        sent += more
        assert send(end, octets[sent:]) == len(octets) - sent
        assert answer(slow).body == body(size)
        assert len(slower.received) == 0
        read_on(slower)
        assert answer(slower).body == body(size)
        assert len(cached.stored()) == 1


def test_a_single_reader_of_what_cannot_be_kept_gets_it_directly() -> None:
    size = 3_000_000
    with caching(largest=MIB) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        client = cached.ask()
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        fetch = flight(cached)
        for _ in range(size // 0x8000):
            end.send(chunk)
        assert fetch.filling is None
        assert len(cached.cache.flights) == 0
        assert cached.store.usage().octets == 0
        end.send(b"0\r\nX-Trailer: 1\r\n\r\n")
        got = answer(client)
        assert (got.body, got.complete) == (body(0x8000) * (size // 0x8000), True)
        assert cached.stored() == ()


def test_direct_reading_has_back_pressure() -> None:
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        client = cached.ask()
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        for _ in range(20):
            end.send(chunk)
        client.reads = False
        sent = send(end, chunk * 100)
        assert sent < 2_500_000
        assert cached.proxy.queued < 200_000
        client.cut()
        cached.advance(2)
        assert end.is_over


def test_several_readers_of_what_cannot_be_kept() -> None:
    """Paced by the slowest, as long as it goes on; octets that all have are forgotten."""
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        clients = [cached.ask() for _ in range(2)]
        slow = slow_client(cached)
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        fetch = flight(cached)
        octets = chunk * 60 + b"0\r\n\r\n"
        sent = 0
        while True:
            sent += send(end, octets[sent:])
            assert sum(map(len, fetch.filling._pieces._parts)) < AHEAD + 400_000
            if sent == len(octets):
                break
            cached.advance(1)
            before = len(slow.received)
            while len(slow.received) < before + 300_000 and slow.take(ROOM):
                pass
            assert len(slow.received) > before
        read_on(slow)
        for client in (*clients, slow):
            got = answer(client)
            assert (got.body, got.complete) == (body(0x8000) * 60, True)
        assert cached.stored() == ()
        assert fetch.filling is None


def test_who_keeps_the_others_waiting_is_cut() -> None:
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        quick = cached.ask()
        slow = slow_client(cached)
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        octets = chunk * 60 + b"0\r\n\r\n"
        sent = send(end, octets)
        assert sent < 1_500_000
        cached.advance(LAG - 1)
        assert send(end, octets[sent:]) == 0
        cached.advance(3)
        sent += send(end, octets[sent:])
        assert sent == len(octets)
        assert (answer(quick).body, answer(quick).complete) == (body(0x8000) * 60, True)
        read_on(slow)
        assert not answer(slow).complete
        assert [one.reason for one in cached.proxy.transactions] == ["lagged_behind", ""]


def test_who_comes_late_and_keeps_the_others_waiting_is_cut() -> None:
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        quick = cached.ask()
        end = cached.asked[0][1]
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        cached.advance(3)
        slow = slow_client(cached)
        octets = (b"8000\r\n" + body(0x8000) + b"\r\n") * 60 + b"0\r\n\r\n"
        sent = send(end, octets)
        cached.advance(LAG + 3)
        assert send(end, octets[sent:]) == len(octets) - sent
        assert answer(quick).complete
        read_on(slow)
        assert not answer(slow).complete


def test_who_are_slow_alike_are_not_cut() -> None:
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        clients = [slow_client(cached), slow_client(cached)]
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        octets = chunk * 60 + b"0\r\n\r\n"
        sent = send(end, octets)
        for _ in range(4):
            cached.advance(10)
            for client in clients:
                client.take(2_000)
        for client in clients:
            read_on(client)
        assert send(end, octets[sent:]) == len(octets) - sent
        for client in clients:
            assert answer(client).complete


def test_the_last_of_several_goes_on_alone() -> None:
    with caching(largest=MIB // 4) as cached:
        cached.proxy.origin.room = SMALL_ROOM
        quick, other = cached.ask(), cached.ask()
        end = cached.asked[0][1]
        chunk = b"8000\r\n" + body(0x8000) + b"\r\n"
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        fetch = flight(cached)
        for _ in range(20):
            end.send(chunk)
        assert fetch.filling.broken
        quick.cut()
        end.send(chunk)
        assert fetch.filling is None
        end.send(b"0\r\n\r\n")
        assert answer(other).body == body(0x8000) * 21


def test_nobody_is_left_of_what_cannot_be_kept() -> None:
    with caching(largest=MIB // 4) as cached:
        clients = [cached.ask(), cached.ask()]
        end = cached.asked[0][1]
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % FRESH)
        for _ in range(20):
            end.send(b"8000\r\n" + body(0x8000) + b"\r\n")
        for client in clients:
            assert not end.is_over
            client.cut()
        assert end.was_reset


def test_what_breaks_when_everybody_has_left_is_stopped() -> None:
    """It was worth finishing only as long as it could be kept."""
    with caching(store=lambda proxy: BreakingStore(proxy)) as cached:
        client = cached.ask()
        end = cached.asked[0][1]
        end.send(head(100_000) + body(1000))
        client.cut()
        assert not end.is_over
        end.send(body(50_000))
        assert end.was_reset


def test_what_breaks_with_its_last_octets_leaves_no_dead_connection() -> None:
    with caching(store=lambda proxy: BreakingStore(proxy)) as cached:
        client = cached.ask()
        end = cached.asked[0][1]
        end.send(head(21_000) + body(1000))
        client.cut()
        end.send(body(20_000))
        assert end.was_reset
        (state,) = cached.proxy.group.pool.states
        assert (state.idle, state.open) == ([], 0)
        cached.answers_with()
        assert cached.get(b"/other").body == b"hello"
        assert len(cached.proxy.origin.connections) == 2


class BreakingStore:
    """A memory store whose fillings break after 20,000 octets."""

    def __new__(cls, proxy: Any) -> Any:
        from revproxy.stores.memory import MemoryStore

        store = MemoryStore(64 * MIB, 2 * MIB, proxy.clock)
        reserve = store.reserve
        store.reserve = lambda octets: store._filling + octets < 20_000 and reserve(octets)  # type: ignore[method-assign]
        return store


def test_a_filling_that_breaks_fails_no_request() -> None:
    with caching(store=BreakingStore) as cached:
        clients = [cached.ask(), cached.ask(), slow_client(cached)]
        cached.asked[0][1].send(head(100_000) + body(50_000))
        cached.asked[0][1].send(body(100_000)[50_000:])
        read_on(clients[2])
        for client in clients:
            assert (answer(client).body, answer(client).complete) == (body(100_000), True)
        assert cached.stored() == ()


@pytest.mark.parametrize("first", [True, False])
def test_a_client_that_leaves_in_the_middle(first: bool) -> None:
    with caching() as cached:
        clients = [cached.ask(), cached.ask()]
        end = cached.asked[0][1]
        end.send(head(1_500_000) + body(100_000))
        clients[0 if first else 1].cut()
        assert send(end, body(1_500_000)[100_000:]) == 1_400_000
        assert answer(clients[1 if first else 0]).body == body(1_500_000)
        assert told(cached.get()) == b"hit; ttl=60"


def test_the_fetch_goes_on_without_clients_where_the_rest_is_small() -> None:
    with caching() as cached:
        client = cached.ask()
        end = cached.asked[0][1]
        end.send(head(1_900_000) + body(950_000))
        client.cut()
        assert not end.is_over
        late = cached.ask()
        assert len(cached.requests) == 1
        late.cut()
        assert send(end, body(1_900_000)[950_000:]) == 950_000
        assert cached.get().body == body(1_900_000)
        assert len(cached.requests) == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 1900000", b"Transfer-Encoding: chunked"])
def test_the_server_is_told_to_stop_where_the_rest_is_large(framing: bytes) -> None:
    with caching() as cached:
        client = cached.ask()
        end = cached.asked[0][1]
        end.send(b"HTTP/1.1 200 OK\r\n%b\r\n%b\r\n\r\n5\r\nhello\r\n" % (FRESH, framing))
        client.cut()
        assert end.was_reset
        assert cached.stored() == ()
        assert len(cached.cache.flights) == 0
