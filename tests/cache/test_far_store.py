"""A store that answers later, or not at all; contents that are lost."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from zope.interface import implementer

from revproxy.caching.stored import Content, StoredHead, StoredResponse
from revproxy.interfaces import Filling, IStore, Selection, Usage
from revproxy.stores.memory import MemoryStore
from tests.support.caching import MIB, Cached, caching, response, told
from tests.support.dialogue import answer

FRESH = b"Cache-Control: max-age=60"


@implementer(IStore)
class FarStore:
    """A memory store whose ``find`` answers when a test says so."""

    name = "far"

    def __init__(self, proxy: Any) -> None:
        self.near = MemoryStore(64 * MIB, 2 * MIB, proxy.clock)
        self.largest = self.near.largest
        self.asked: list[tuple[bytes, Deferred[tuple[StoredResponse, ...]]]] = []
        self.network = proxy.network
        self.is_quick = False

    def find(self, key: bytes) -> Any:
        if self.is_quick:
            return self.near.find(key)
        found: Deferred[tuple[StoredResponse, ...]] = Deferred()
        self.asked.append((key, found))
        return found

    def answer(self) -> None:
        """Answers everything that was asked."""
        while self.asked:
            key, found = self.asked.pop(0)
            found.callback(self.near.find(key))
        self.network.settle()

    def fail(self) -> None:
        while self.asked:
            self.asked.pop(0)[1].errback(OSError("the store is away"))

    def begin(self, key: bytes, expected: int) -> Filling:
        return self.near.begin(key, expected)

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse:
        return self.near.freshen(stored, head)

    def remove(self, stored: StoredResponse) -> None:
        self.near.remove(stored)

    def invalidate(self, key: bytes) -> Deferred[int]:
        done: Deferred[int] = Deferred()
        done.callback(self.near.invalidate(key))
        return done

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int:
        return self.near.invalidate_groups(origin, groups)

    def purge(self, selection: Selection) -> int:
        return self.near.purge(selection)

    def usage(self) -> Usage:
        return self.near.usage()

    def stop(self) -> None:
        self.near.stop()


def far(cached: Cached) -> FarStore:
    assert isinstance(cached.store, FarStore)
    return cached.store


def test_it_answers_later() -> None:
    with caching(store=FarStore) as cached:
        cached.answers_with(FRESH)
        first = cached.ask()
        assert cached.requests == []
        far(cached).answer()
        cached.proxy.network.settle()
        assert answer(first).body == b"hello"
        far(cached).answer()
        second = cached.ask()
        cached.advance(2)
        far(cached).answer()
        got = answer(second)
        assert (got.body, got.get(b"age"), told(got)) == (b"hello", b"2", b"hit; ttl=58")
        far(cached).answer()


def test_it_fails() -> None:
    with caching(store=FarStore) as cached:
        cached.answers_with(FRESH)
        client = cached.ask()
        far(cached).fail()
        cached.proxy.network.settle()
        got = answer(client)
        assert (got.body, told(got)) == (b"hello", b"fwd=uri-miss; stored; ttl=60")
        far(cached).fail()


def test_the_client_leaves_meanwhile() -> None:
    with caching(store=FarStore) as cached:
        client = cached.ask()
        client.cut()
        far(cached).answer()
        assert cached.requests == []
        assert cached.proxy.transaction.reason == "client_gone"


def test_who_waits_for_the_store_waits_for_the_fetch_as_well() -> None:
    with caching(store=FarStore) as cached:
        clients = [cached.ask() for _ in range(3)]
        far(cached).answer()
        cached.proxy.network.settle()
        assert len(cached.requests) == 1
        cached.reply(response(FRESH))
        assert [answer(client).body for client in clients] == [b"hello"] * 3
        far(cached).answer()


def test_who_was_released_waits_for_nobody_again() -> None:
    with caching(store=FarStore, resource={"collapse_timeout": 2.0}) as cached:
        clients = [cached.ask() for _ in range(3)]
        far(cached).answer()
        cached.proxy.network.settle()
        assert len(cached.requests) == 1
        cached.advance(4)
        far(cached).answer()
        cached.proxy.network.settle()
        assert len(cached.requests) == 3
        for at in range(3):
            cached.reply(response(FRESH), at)
        assert [answer(client).body for client in clients] == [b"hello"] * 3
        far(cached).answer()


def test_a_mistake_behind_the_stores_answer() -> None:
    with caching(store=FarStore) as cached:
        client = cached.ask()

        def decide(*args: object, **more: object) -> None:
            raise RuntimeError("broken")

        cached.cache._decide = decide  # type: ignore[method-assign]
        far(cached).answer()
        cached.proxy.network.settle()
        assert answer(client).status == 500
        assert len(cached.proxy.watch.mistakes) == 1
        cached.proxy.watch.mistakes.clear()
        del cached.cache._decide


def test_changes_reach_it() -> None:
    with caching(store=FarStore) as cached:
        far(cached).is_quick = True
        cached.answers_with(FRESH, b'ETag: "a"')
        cached.get()
        cached.get(method=b"DELETE")
        assert cached.stored()[0].head.invalidated


# Contents that are lost.


class Failing(Content):
    """Content of which only the beginning can be read."""

    __slots__ = ("_good",)

    def __init__(self, good: bytes, size: int) -> None:
        super().__init__(None, size)
        self._good = good

    def read(self, offset: int, most: int) -> bytes:
        if offset + most > len(self._good) and offset >= len(self._good):
            raise OSError("a bad sector")
        return self._good[offset : offset + most]


def lose(cached: Cached, good: bytes, path: bytes = b"/") -> None:
    (stored,) = cached.stored(path)
    stored.content = Failing(good, stored.content.size)


@pytest.mark.parametrize("line", [b"X-A: 1", b"Range: bytes=1-3"])
def test_content_that_is_lost_before_the_head_is_fetched_again(line: bytes) -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=b"x" * 300_000)
        cached.get()
        lose(cached, b"")
        got = cached.get(b"/", line)
        assert got.complete
        assert len(cached.requests) == 2
        assert told(got).startswith(b"fwd=uri-miss")
        if line == b"X-A: 1":
            assert told(cached.get()) == b"hit; ttl=60"


def test_content_that_is_lost_in_the_middle_cuts_the_answer() -> None:
    with caching() as cached:
        cached.answers_with(FRESH, body=b"x" * 300_000)
        cached.get()
        lose(cached, b"x" * 200_000)
        client = cached.ask()
        assert not answer(client).complete
        assert client.is_over
        assert cached.proxy.transaction.reason == "store_failed"


def test_a_stale_response_that_is_lost_when_the_server_fails() -> None:
    with caching() as cached:
        cached.answers_with(b"Cache-Control: max-age=1, stale-if-error=100", body=b"x" * 300_000)
        cached.get()
        cached.advance(5)
        lose(cached, b"")
        cached.answers_with(status=b"503 Busy")
        assert cached.get().status in (500, 503)
        assert cached.proxy.transaction.reason == "store_failed"


def test_a_filling_that_cannot_be_read_back() -> None:
    class Unreadable(MemoryStore):
        def begin(self, key: bytes, expected: int) -> Any:
            filling = super().begin(key, expected)
            return BadFilling(filling)

    with caching(store=lambda proxy: Unreadable(64 * MIB, 2 * MIB, proxy.clock)) as cached:
        client = cached.ask()
        head = b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 10\r\n\r\n" % FRESH
        cached.reply(head + b"01234")
        late = cached.ask()
        cached.reply(b"56789")
        # Who has read along did not need it.
        assert (answer(client).body, answer(client).complete) == (b"0123456789", True)
        assert not answer(late).complete
        assert late.is_over
        assert "store_failed" in [transaction.reason for transaction in cached.proxy.transactions]


class BadFilling:
    """A filling whose octets can't be read."""

    def __init__(self, good: Any) -> None:
        self._good = good

    def __getattr__(self, name: str) -> Any:
        return getattr(self._good, name)

    def read(self, offset: int, most: int) -> bytes:
        raise OSError("a bad sector")
