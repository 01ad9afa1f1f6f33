"""The memory store: the contract, and what only it does."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

from twisted.internet.task import Clock

from revproxy.interfaces import IStore, Selection
from revproxy.stores.memory import FILLING_SHARE, STEP, MemoryStore
from tests.stores import contract
from tests.stores.contract import LARGEST, MOST
from tests.stores.responses import DE, EN, KEY, fill, keep, make_head, octets, page, whole


class CountingClock(Clock):
    """Counts what it is asked to call."""

    asked = 0

    def callLater(self, *args: Any, **kwargs: Any) -> Any:
        self.asked += 1
        return super().callLater(*args, **kwargs)


class MemoryTests(contract.BoundedContract):
    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        self.clock = Clock()
        store = MemoryStore(most, largest, self.clock)
        self.addCleanup(store.stop)
        return store

    async def test_fillings_count_and_are_bounded(self) -> None:
        fillings = []
        for number in range(100):
            fillings.append(fill(self.store, octets(100_000), page(number)))
            self.assertLessEqual(self.store.usage().octets, MOST * FILLING_SHARE)
        broken = [filling.broken for filling in fillings]
        self.assertEqual(broken, sorted(broken))
        self.assertEqual(broken.count(False), int(MOST * FILLING_SHARE) // 100_000)
        self.assertEqual(fillings[-1].read(0, 5), octets(5))
        for filling in fillings:
            filling.discard()
        self.assertEqual(self.store.usage().octets, 0)

    async def test_fillings_take_the_room_of_what_is_stored(self) -> None:
        for number in range(100):
            keep(self.store, page(number), octets(50_000))
        filling = fill(self.store, octets(250_000), page(1000))
        self.assertLessEqual(self.store.usage().octets, MOST)
        self.assertIsNotNone(filling.commit(page(1000)))
        self.assertLessEqual(self.store.usage().octets, MOST)

    async def test_content_in_one_piece_is_not_copied(self) -> None:
        content = octets(50_000)
        filling = self.store.begin(KEY, len(content))
        filling.write(content)
        self.assertIs(filling.read(0, 60_000), content)
        stored = filling.commit(make_head())
        assert stored is not None
        self.assertIs(stored.content.octets, content)

    async def test_large_content_stays_in_pieces(self) -> None:
        store = MemoryStore(20_000_000, 5_000_000, Clock())
        content = octets(3_000_000)
        stored = keep(store, make_head(), content)
        self.assertIsNone(stored.content.octets)
        self.assertEqual(whole(stored), content)

    async def test_a_large_purge_is_visible_at_once_and_cleaned_up_in_steps(self) -> None:
        clock = CountingClock()
        store = MemoryStore(100_000_000, LARGEST, clock)
        count = 3 * STEP + 10
        for number in range(count):
            keep(store, page(number, tags=frozenset({b"t"})))
        self.assertEqual(store.purge(Selection(tag=b"t")), count)
        self.assertEqual(store.find(page(5).key), ())
        self.assertEqual((store.usage().responses, store.usage().octets), (0, 0))
        keep(store, page(5, tags=frozenset({b"t"})), b"new")
        clock.advance(0)
        self.assertEqual((clock.asked, clock.getDelayedCalls()), (4, []))
        self.assertEqual([whole(one) for one in store.find(page(5).key)], [b"new"])
        self.assertEqual(store.purge(Selection(tag=b"t")), 1)
        clock.advance(0)
        self.assertEqual(len(store._labels), 0)
        self.assertEqual(len(store._queues), 0)

    async def test_room_is_made_while_a_purge_is_cleaned_up(self) -> None:
        for number in range(500):
            keep(self.store, page(number, tags=frozenset({b"t"})))
        await self.purged(tag=b"t")
        for number in range(1000, 1200):
            keep(self.store, page(number), octets(20_000))
            self.assertLessEqual(self.store.usage().octets, MOST)
        self.clock.advance(0)
        left = [number for number in range(1000, 1200) if await self.found(page(number).key)]
        self.assertEqual(len(left), self.store.usage().responses)
        self.assertEqual(await self.purged(host=b"a.example"), len(left))
        self.assertEqual(self.store.usage().octets, 0)

    async def test_purging_everything_leaves_nothing_to_clean_for_long(self) -> None:
        for number in range(10):
            keep(self.store, page(number))
        await self.purged(everything=True)
        keep(self.store, page(3), b"new")
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(await self.contents(page(3).key), [b"new"])
        self.assertEqual(await self.purged(host=b"a.example"), 1)

    async def test_labels_of_one_variant_leave_with_it(self) -> None:
        english = keep(self.store, make_head(selecting=EN, tags=frozenset({b"en", b"both"})))
        keep(self.store, make_head(selecting=DE, tags=frozenset({b"both"})))
        self.store.remove(english)
        self.assertEqual(await self.purged(tag=b"en"), 0)
        self.assertEqual(await self.purged(tag=b"both"), 1)

    async def test_the_estimate_is_near_what_python_takes(self) -> None:
        lines = tuple(
            (b"X-Field-%d" % number, b"a value of forty octets or so, you see %d" % number) for number in range(8)
        )
        store = MemoryStore(1 << 30, LARGEST, self.clock)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(2000):
            keep(store, page(number, lines=tuple((name, value + b"%d" % number) for name, value in lines)), bytes(500))
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertLess(abs(store.usage().octets / (after - before) - 1), 0.4)
