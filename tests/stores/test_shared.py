"""The Redis store, alone and behind memory, with a real server."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, cast

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from revproxy.caching.stored import StoredResponse
from revproxy.interfaces import IStore, Selection
from revproxy.stores.memory import MemoryStore
from revproxy.stores.redis_link import RedisAddress
from revproxy.stores.shared import RedisStore
from revproxy.stores.tiered import TieredStore
from tests.stores import contract
from tests.stores.contract import LARGEST, MOST, now
from tests.stores.redis_server import RedisServer, ready, until
from tests.stores.responses import KEY, URL, fill, keep, make_head, octets, page, whole

reactor = cast("Any", installed)
numbers = itertools.count()


class Redis:
    """The server that these tests share, started by the first that needs it."""

    server: ClassVar[RedisServer | None] = None

    @classmethod
    def get(cls) -> RedisServer:
        if cls.server is None:
            cls.server = RedisServer()
        return cls.server


def teardown_module() -> None:
    if Redis.server is not None:
        Redis.server.stop()
        Redis.server = None


async def stop(store: RedisStore) -> None:
    store.stop()
    assert store.stopped is not None
    await store.stopped


PATIENCE = 20.0
"""Seconds that a server gets which is nothing but busy, on a machine where everything is."""


class RedisTests(contract.StoreContract):
    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        return RedisStore(Redis.get().url, largest, reactor, prefix=f"test{next(numbers)}:", timeout=PATIENCE)

    async def setUp(self) -> None:  # type: ignore[override]
        self.store = self.make_store()
        self.addCleanup(stop, cast("RedisStore", self.store))
        await ready(reactor, cast("RedisStore", self.store))


class TieredRedisTests(contract.StoreContract):
    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        self.far = RedisStore(Redis.get().url, largest, reactor, prefix=f"test{next(numbers)}:", timeout=PATIENCE)
        return TieredStore(MemoryStore(most, largest, reactor), self.far, reactor)

    async def setUp(self) -> None:  # type: ignore[override]
        self.store = self.make_store()
        self.addCleanup(self.end)
        await ready(reactor, self.far)

    async def end(self) -> None:
        self.store.stop()
        assert self.far.stopped is not None
        await self.far.stopped


class Machine:
    """A proxy on a machine of its own: memory before Redis."""

    def __init__(self, url: str, prefix: str, timeout: float = 0.5) -> None:
        self.redis = RedisStore(url, 1_000_000, reactor, prefix=prefix, timeout=timeout)
        self.memory = MemoryStore(5_000_000, 1_000_000, reactor)
        self.store = TieredStore(self.memory, self.redis, reactor)

    async def find(self, key: bytes = KEY) -> tuple[StoredResponse, ...]:
        return await now(cast("Any", self.store.find(key)))

    async def contents(self, key: bytes = KEY) -> list[bytes]:
        return [whole(one) for one in await self.find(key)]

    async def holds(self) -> list[bytes]:
        """What is found, once it is in memory: what another machine tells of its changes may come behind an answer."""
        for _ in range(1000):
            found = await self.contents()
            if self.memory.has(KEY):
                return found
        raise AssertionError("it never is in memory")

    async def end(self) -> None:
        self.store.stop()
        assert self.redis.stopped is not None
        await self.redis.stopped


class MachineTests(TestCase):
    timeout = 30

    async def machines(self, server: RedisServer | None = None, timeout: float = 0.5) -> tuple[Machine, Machine]:
        url = (server or Redis.get()).url
        prefix = f"test{next(numbers)}:"
        if server is None:
            timeout = PATIENCE
        both = Machine(url, prefix, timeout), Machine(url, prefix, timeout)
        for machine in both:
            self.addCleanup(machine.end)
            await ready(reactor, machine.redis)
        return both

    def server(self, *options: str) -> RedisServer:
        made = RedisServer(0, *options)
        self.addCleanup(made.stop)
        return made

    def lines(self) -> list[str]:
        """What the stores say from here on."""
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: Any) -> None:
            if "store" in event:
                lines.append(f"{event['what']}: {event['cause']}")

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return lines

    async def test_what_one_stores_the_other_finds(self) -> None:
        one, other = await self.machines()
        keep(one.store, make_head())
        self.assertEqual(await one.contents(), [b"content"])
        await one.redis.find(KEY)  # type: ignore[misc]
        self.assertEqual(await other.holds(), [b"content"])

    async def test_changes_reach_the_memory_of_others(self) -> None:
        one, other = await self.machines()
        held = keep(one.store, make_head())
        acts: list[tuple[Any, list[bytes]]] = [
            (lambda: one.store.purge(Selection(url=URL)), []),
            (lambda: one.store.purge(Selection(tag=b"t")), []),
            (lambda: one.store.purge(Selection(prefix=URL[:-1])), []),
            (lambda: one.store.purge(Selection(everything=True)), []),
            (lambda: one.store.remove(held), []),
            (lambda: keep(one.store, make_head(), b"new"), [b"new"]),
        ]
        for act, left in acts:
            held = keep(one.store, make_head(tags=frozenset({b"t"})))
            await now(cast("Any", one.redis.find(KEY)))
            self.assertEqual(await other.holds(), [b"content"])
            keep(other.store, page(1))
            self.assertTrue(other.memory.has(KEY))
            seen = other.redis.pages.page[0]
            result = act()
            if isinstance(result, Deferred):
                await result
            await until(reactor, lambda seen=seen: other.redis.pages.page[0] != seen)
            self.assertEqual(await other.contents(), left)

    async def test_an_invalidation_reaches_the_memory_of_others(self) -> None:
        one, other = await self.machines()
        keep(one.store, make_head(groups=frozenset({b"g"})))
        await now(cast("Any", one.redis.find(KEY)))
        await other.find()
        seen = other.redis.pages.page[0]
        self.assertEqual(await now(cast("Any", one.store.invalidate(KEY))), 1)
        await until(reactor, lambda: other.redis.pages.page[0] != seen)
        self.assertTrue((await other.find())[0].head.invalidated)

    async def test_own_changes_leave_the_own_memory_as_it_is(self) -> None:
        one, _ = await self.machines()
        for _ in range(3):
            keep(one.store, make_head())
            await now(cast("Any", one.redis.find(KEY)))
        await until(reactor, lambda: (one.redis._last or 0) >= 2)
        await one.find()
        self.assertTrue(one.memory.has(KEY))

    async def test_a_filling_from_before_a_purge_elsewhere_is_not_stored(self) -> None:
        one, other = await self.machines()
        keep(one.store, page(1))
        filling = fill(other.store, octets(100_000), make_head())
        unrelated = fill(other.store, b"unrelated", page(2))
        await now(cast("Any", one.store.purge(Selection(url=URL))))
        # As if the message had not come yet: only the script knows.
        other.redis.recent.count = 0
        other.redis.recent._changes.clear()
        filling.commit(make_head())
        unrelated.commit(page(2))
        self.assertEqual(len(await now(cast("Any", one.redis.find(page(1).key)))), 1)
        await until_found(one, page(2).key)
        self.assertEqual(await now(cast("Any", one.redis.find(KEY))), ())

    async def test_lost_messages_are_noticed(self) -> None:
        one, other = await self.machines()
        keep(one.store, make_head())
        await now(cast("Any", one.redis.find(KEY)))
        await other.find()
        # It listens, and hears nothing.
        other.redis._told = lambda message: None  # type: ignore[method-assign]
        other.redis._news._protocol.messageReceived = lambda *message: None
        await now(cast("Any", one.store.purge(Selection(url=URL))))
        self.assertTrue(other.memory.has(KEY))
        seen = other.redis.pages.page[0]
        other.redis._look()
        await now(cast("Any", other.redis.find(b"")))
        other.redis._look()
        await until(reactor, lambda: other.redis.pages.page[0] != seen)
        self.assertEqual(await other.find(), ())

    async def test_everything_has_a_lifetime(self) -> None:
        server = self.server()
        one, _ = await self.machines(server)
        keep(one.store, make_head(tags=frozenset({b"t"})), octets(600_000))
        await now(cast("Any", one.redis.find(KEY)))
        names = [name for name in server.command("KEYS", "*").split(b"\r\n") if name.startswith(b"test")]
        kinds = {name.split(b":")[2][:1] for name in names}
        self.assertEqual(len(names), 1 + 3 + 3)
        self.assertEqual(kinds, {b"k", b"b", b"l"})
        for name in names:
            self.assertGreater(int(server.command("TTL", name.decode()).strip(b":\r\n")), 80_000)
        await now(cast("Any", one.store.purge(Selection(tag=b"t"))))
        names = [name for name in server.command("KEYS", "*").split(b"\r\n") if name.startswith(b"test")]
        self.assertEqual({name.split(b":")[2] for name in names}, {b"last", b"orders"})

    async def test_lost_chunks_and_damage_are_found(self) -> None:
        server = self.server()
        one, _ = await self.machines(server)
        for kind in ("b:", "k:"):
            keep(one.redis, make_head(), octets(600_000))
            self.assertEqual(len(await now(cast("Any", one.redis.find(KEY)))), 1)
            names = [name for name in server.command("KEYS", f"*:1:{kind}*").split(b"\r\n") if name.startswith(b"test")]
            if kind == "b:":
                server.command("DEL", names[0].decode())
            else:
                fields = server.command("HKEYS", names[0].decode()).split(b"\r\n")
                record = next(field for field in fields if field.startswith(b"r"))
                server.command("HSET", names[0].decode(), record.decode(), "no record")
            self.assertEqual(await now(cast("Any", one.redis.find(KEY))), ())
            self.assertEqual(await now(cast("Any", one.redis.find(KEY))), ())
            await now(cast("Any", one.redis.purge(Selection(everything=True))))

    async def test_a_server_that_goes_and_comes_back(self) -> None:
        server = self.server()
        one, other = await self.machines(server)
        keep(one.store, make_head())
        self.assertEqual(await other.contents() or await other.contents(), [b"content"])
        keep(one.redis, page(7), octets(100_000))
        lines = self.lines()
        server.stop()
        await until(reactor, lambda: one.redis.is_failing and other.redis.is_failing)
        # Memory was cleared, and goes on alone.
        self.assertEqual(await one.find(), ())
        self.assertIsNone(fill(one.redis, b"x", make_head()).commit(make_head()))
        keep(one.store, make_head(), b"only here")
        self.assertEqual(await one.contents(), [b"only here"])
        self.assertEqual(await now(cast("Any", one.store.purge(Selection(url=URL)))), 1)
        self.assertEqual(await now(cast("Any", one.store.invalidate(KEY))), 0)
        one.redis.freshen(StoredResponse(make_head(), NOTHING, b"0" * 16), make_head())
        self.assertEqual(one.store.usage().responses, 0)
        self.assertLessEqual(len(lines), 2)
        self.assertGreaterEqual(len(lines), 1)
        again = RedisServer(server.port)
        self.addCleanup(again.stop)
        for machine in (one, other):
            await ready(reactor, machine.redis)
        keep(one.store, make_head(), b"back")
        await until_found(other, KEY)
        self.assertEqual(await other.contents(), [b"back"])

    async def test_a_server_that_is_too_slow(self) -> None:
        server = self.server()
        one, _ = await self.machines(server, timeout=0.1)
        keep(one.redis, make_head())
        self.assertEqual(len(await now(cast("Any", one.redis.find(KEY)))), 1)
        server.freeze()
        try:
            waiting = [one.redis.find(KEY) for _ in range(5)]
            self.assertEqual([await now(cast("Any", found)) for found in waiting], [()] * 5)
            await until(reactor, lambda: one.redis.is_failing)
            self.assertEqual(one.redis.find(KEY), ())
        finally:
            server.thaw()
        await ready(reactor, one.redis)
        self.assertEqual(len(await now(cast("Any", one.redis.find(KEY)))), 1)

    async def test_a_server_without_memory(self) -> None:
        server = self.server("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
        one, _ = await self.machines(server)
        lines = self.lines()
        for number in range(60):
            keep(one.redis, page(number), octets(60_000, number))
        found = [await now(cast("Any", one.redis.find(page(number).key))) for number in range(60)]
        there = [number for number, responses in enumerate(found) if responses]
        self.assertTrue(0 < len(there) < 60)
        self.assertEqual([whole(found[number][0]) for number in there], [octets(60_000, number) for number in there])
        self.assertEqual(len(lines), 1)
        self.assertIn("OOM", lines[0])

    async def test_a_password(self) -> None:
        server = self.server("--requirepass", "secret word")
        lines = self.lines()
        address = f"127.0.0.1:{server.port}"
        wrong = RedisStore(f"redis://:wrong@{address}", 1000, reactor, prefix="p")
        self.addCleanup(stop, wrong)
        await until(reactor, lambda: lines)
        self.assertTrue(wrong.is_failing)
        self.assertNotIn("wrong@", lines[0])
        right = RedisStore(f"redis://:secret%20word@{address}/3", 1000, reactor, prefix="p")
        self.addCleanup(stop, right)
        await ready(reactor, right)
        keep(right, make_head())
        self.assertEqual(len(await now(cast("Any", right.find(KEY)))), 1)

    async def test_nothing_listens(self) -> None:
        server = self.server()
        server.stop()
        lines = self.lines()
        store = RedisStore(server.url, 1000, reactor)
        self.addCleanup(stop, store)
        await until(reactor, lambda: lines)
        self.assertEqual(store.find(KEY), ())
        self.assertIsNone(fill(store, b"x", make_head()).commit(make_head()))

    async def test_usage_is_what_redis_says(self) -> None:
        one, _ = await self.machines()
        one.redis.usage()
        await until(reactor, lambda: one.redis.usage().octets > 100_000)

    def test_urls(self) -> None:
        self.assertEqual(RedisAddress.parse("redis://h"), RedisAddress("h"))
        self.assertEqual(
            RedisAddress.parse("rediss://u:p%40@[::1]:7/2"), RedisAddress("::1", 7, "", True, "u", "p@", 2)
        )
        self.assertEqual(RedisAddress.parse("unix:///run/r.sock"), RedisAddress(path="/run/r.sock"))
        self.assertNotIn("secret", repr(RedisAddress.parse("redis://:secret@h")))
        for wrong in ("http://h", "redis://", "redis://h/x", "redis://h:x", "unix://h/x", "unix://", "redis://h:99999"):
            self.assertRaises(ValueError, RedisAddress.parse, wrong)


NOTHING = keep(MemoryStore(10_000, 1000, reactor), make_head(), b"").content


async def until_found(machine: Machine, key: bytes) -> None:
    for _ in range(1000):
        if await now(cast("Any", machine.redis.find(key))):
            return
    raise AssertionError("it is not found")
