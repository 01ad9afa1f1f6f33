"""What every store does. Each has a class that derives from this one and says how it is made."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.interfaces import IStore, Selection
from tests.stores.responses import DE, EN, KEY, NEITHER, URL, facts, fill, keep, make_head, octets, page, whole

T = TypeVar("T")

BORDER = 64 * 1024
LARGEST = 300_000
MOST = 2_000_000


async def now(value: T | Deferred[T]) -> T:
    """What a store says, at once or later."""
    return await value if isinstance(value, Deferred) else value


class StoreContract(TestCase):
    """The contract of ``IStore`` and ``Filling``."""

    timeout = 30

    def make_store(self, most: int = MOST, largest: int = LARGEST) -> IStore:
        """An empty store, which the test's end stops."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.store = self.make_store()

    async def found(self, key: bytes = KEY) -> tuple[StoredResponse, ...]:
        return await now(cast("Any", self.store.find(key)))

    async def only(self, key: bytes = KEY) -> StoredResponse:
        (one,) = await self.found(key)
        return one

    async def contents(self, key: bytes = KEY) -> list[bytes]:
        return [whole(one) for one in await self.found(key)]

    async def purged(self, **named: Any) -> int:
        return await now(self.store.purge(Selection(**named)))

    async def invalidated(self, key: bytes) -> int:
        return await now(self.store.invalidate(key))

    # Storing and finding.

    async def test_nothing_is_found_where_nothing_is(self) -> None:
        self.assertEqual(await self.found(), ())

    async def test_all_of_a_head_comes_back(self) -> None:
        head = make_head(
            lines=((b"Content-Type", b"text/html"), (b"X-Odd", b"\xff \t,"), (b"x-odd", b""), (b"X-ODD", b"3")),
            status=404,
            reason=b"Not Here",
            method=b"POST",
            selecting=(*EN, (b"cookie", None), (b"x", b"")),
            tags=frozenset({b"one", b"two"}),
            groups=frozenset({b"g"}),
            first=5,
            total=1000,
            request_time=12345.678,
            response_time=-1.5,
        )
        keep(self.store, head)
        stored = await self.only()
        self.assertEqual(facts(stored.head), facts(head))
        self.assertEqual(
            [raw for _, raw, _ in stored.head.fields.lines], [b"Content-Type", b"X-Odd", b"x-odd", b"X-ODD"]
        )

    async def test_content_is_read_from_anywhere(self) -> None:
        content = octets(1000)
        keep(self.store, make_head(), content)
        stored = await self.only()
        self.assertEqual(whole(stored), content)
        self.assertEqual(stored.content.read(990, 100), content[990:])
        self.assertEqual(stored.content.read(1000, 1), b"")
        self.assertEqual(stored.content.read(5000, 1), b"")
        self.assertEqual(stored.content.read(10, 5), content[10:15])

    async def test_keys_are_any_octets(self) -> None:
        keys = [b"\0", b"\0\0", b"", b"a" * 20_000, b"a" * 20_001, bytes(range(256))]
        for place, key in enumerate(keys):
            keep(self.store, make_head(key), b"%d" % place)
        for place, key in enumerate(keys):
            self.assertEqual(await self.contents(key), [b"%d" % place])

    async def test_no_content_at_all(self) -> None:
        keep(self.store, make_head(status=204), b"")
        stored = await self.only()
        self.assertEqual(stored.content.size, 0)
        self.assertEqual(stored.content.octets, b"")
        self.assertEqual(stored.content.read(0, 10), b"")

    async def test_every_size_at_the_borders(self) -> None:
        for size in (1, 4095, 4096, BORDER - 1, BORDER, BORDER + 1, 2 * BORDER, LARGEST - 1, LARGEST):
            content = octets(size, size)
            stored = keep(self.store, page(size), content)
            self.assertEqual(whole(stored), content, size)
            self.assertEqual(await self.contents(page(size).key), [content], size)

    async def test_a_part_of_a_representation(self) -> None:
        keep(self.store, make_head(status=206, first=500, total=9000), b"middle")
        stored = await self.only()
        self.assertEqual((stored.head.first, stored.head.total, stored.content.size), (500, 9000, 6))
        keep(self.store, make_head(status=206, first=500, total=-1), b"middle")
        self.assertEqual((await self.only()).head.total, -1)

    async def test_what_commit_returns_is_what_is_found(self) -> None:
        stored = keep(self.store, make_head(), b"abc")
        self.assertEqual(whole(stored), b"abc")
        again = await self.only()
        self.assertEqual(facts(stored.head), facts(again.head))
        self.store.remove(stored)
        self.assertEqual(await self.found(), ())

    # Several responses under one key.

    async def test_variants_are_found_newest_first(self) -> None:
        keep(self.store, make_head(selecting=EN), b"en")
        keep(self.store, make_head(selecting=DE), b"de")
        keep(self.store, make_head(selecting=NEITHER), b"neither")
        self.assertEqual(await self.contents(), [b"neither", b"de", b"en"])

    async def test_the_same_selecting_fields_replace(self) -> None:
        keep(self.store, make_head(selecting=EN), b"old")
        keep(self.store, make_head(selecting=DE), b"de")
        keep(self.store, make_head(selecting=EN), octets(BORDER + 1))
        keep(self.store, make_head(selecting=EN), b"new")
        self.assertEqual(await self.contents(), [b"new", b"de"])
        self.assertEqual(await self.purged(url=URL), 2)

    async def test_variants_of_one_key_are_bounded(self) -> None:
        for number in range(100):
            keep(self.store, make_head(selecting=((b"cookie", b"%d" % number),)), b"%d" % number)
        found = await self.contents()
        self.assertIn(len(found), range(8, 65))
        self.assertEqual(found[:2], [b"99", b"98"])
        self.assertEqual(await self.purged(url=URL), len(found))

    # Freshening and removing.

    async def test_freshening_changes_the_head_and_keeps_the_content(self) -> None:
        for size in (10, BORDER + 10):
            content = octets(size)
            keep(self.store, page(size), content)
            (stored,) = await self.found(page(size).key)
            fresh = self.store.freshen(stored, page(size, lines=((b"ETag", b'"2"'),), response_time=2e9))
            self.assertEqual(whole(fresh), content)
            (again,) = await self.found(page(size).key)
            self.assertEqual(again.head.fields.get(b"etag"), b'"2"')
            self.assertEqual(again.head.response_time, 2e9)
            self.assertEqual(whole(again), content)

    async def test_who_is_freshened_is_the_newest(self) -> None:
        english = keep(self.store, make_head(selecting=EN), b"en")
        keep(self.store, make_head(selecting=DE), b"de")
        self.store.freshen(english, make_head(selecting=EN))
        self.assertEqual(await self.contents(), [b"en", b"de"])

    async def test_freshening_what_is_gone_stores_nothing(self) -> None:
        stored = keep(self.store, make_head(), b"gone")
        await self.purged(url=URL)
        fresh = self.store.freshen(stored, make_head(status=203))
        self.assertEqual((fresh.head.status, whole(fresh)), (203, b"gone"))
        self.assertEqual(await self.found(), ())

    async def test_freshening_what_was_replaced_stores_nothing(self) -> None:
        old = keep(self.store, make_head(), b"old")
        keep(self.store, make_head(), b"new")
        self.store.freshen(old, make_head(status=203))
        stored = await self.only()
        self.assertEqual((stored.head.status, whole(stored)), (200, b"new"))

    async def test_two_validations_of_the_same_response(self) -> None:
        keep(self.store, make_head(), b"body")
        stored = await self.only()
        self.store.freshen(stored, make_head(status=203))
        self.store.freshen(stored, make_head(status=200, reason=b"second"))
        self.assertEqual((await self.only()).head.reason, b"second")

    async def test_freshening_may_change_what_is_selected_by(self) -> None:
        keep(self.store, make_head(selecting=DE), b"de")
        plain = keep(self.store, make_head(), b"plain")
        self.store.freshen(plain, make_head(selecting=DE, tags=frozenset({b"t"})))
        self.assertEqual(await self.contents(), [b"plain"])
        self.assertEqual(await self.purged(tag=b"t"), 1)

    async def test_remove(self) -> None:
        english = keep(self.store, make_head(selecting=EN), b"en")
        keep(self.store, make_head(selecting=DE), b"de")
        self.store.remove(english)
        self.store.remove(english)
        self.assertEqual(await self.contents(), [b"de"])

    async def test_removing_what_was_replaced_removes_nothing(self) -> None:
        old = keep(self.store, make_head(), b"old")
        keep(self.store, make_head(), b"new")
        self.store.remove(old)
        self.assertEqual(await self.contents(), [b"new"])

    async def test_removing_what_was_freshened_removes_it(self) -> None:
        stored = keep(self.store, make_head(), b"old")
        self.store.freshen(stored, make_head(status=203))
        self.store.remove(stored)
        self.assertEqual(await self.found(), ())

    # Invalidation.

    async def test_invalidation_by_key(self) -> None:
        keep(self.store, make_head(selecting=EN), b"en")
        keep(self.store, make_head(selecting=DE), octets(BORDER + 1))
        keep(self.store, page(1), b"other")
        self.assertEqual(await self.invalidated(KEY), 2)
        self.assertEqual(await self.invalidated(b"nothing there"), 0)
        self.assertEqual([one.head.invalidated for one in await self.found()], [True, True])
        self.assertEqual(await self.contents(), [octets(BORDER + 1), b"en"])
        self.assertFalse((await self.only(page(1).key)).head.invalidated)

    async def test_a_validation_after_an_invalidation_makes_it_usable(self) -> None:
        keep(self.store, make_head(), b"body")
        await self.invalidated(KEY)
        self.store.freshen(await self.only(), make_head())
        self.assertFalse((await self.only()).head.invalidated)

    async def test_a_validation_from_before_an_invalidation_does_not(self) -> None:
        stored = keep(self.store, make_head(), b"body")
        await self.invalidated(KEY)
        self.store.freshen(stored, make_head())
        self.assertTrue((await self.only()).head.invalidated)

    async def test_invalidation_by_group(self) -> None:
        keep(self.store, page(1, groups=frozenset({b"g", b"h"})))
        keep(self.store, page(2, groups=frozenset({b"h"})))
        keep(self.store, page(3, groups=frozenset({b"x"})))
        keep(self.store, page(b"https://other.example/", groups=frozenset({b"g"})))
        groups = frozenset({b"g", b"h"})
        self.assertGreaterEqual(await now(self.store.invalidate_groups(b"https://a.example", groups)), 2)
        marked = [
            (await self.only(head.key)).head.invalidated
            for head in (page(1), page(2), page(3), page(b"https://other.example/"))
        ]
        self.assertEqual(marked, [True, True, False, False])

    # Purging.

    async def left(self, *heads: StoredHead) -> list[bytes]:
        return [head.url for head in heads if await self.found(head.key)]

    async def test_purge_by_url(self) -> None:
        keep(self.store, make_head(selecting=EN))
        keep(self.store, make_head(selecting=DE))
        keep(self.store, make_head(b"another key"))
        keep(self.store, page(URL + b"/below"))
        keep(self.store, page(URL + b"?q"))
        self.assertEqual(await self.purged(url=URL), 3)
        self.assertEqual(await self.found(), ())
        self.assertEqual(await self.found(b"another key"), ())
        self.assertEqual(await self.purged(url=URL), 0)
        self.assertEqual(len(await self.left(page(URL + b"/below"), page(URL + b"?q"))), 2)

    async def test_purge_by_prefix(self) -> None:
        inside = [page(b"https://a.example/x" + rest) for rest in (b"", b"/", b"y", b"\xff", b"?q" * 400)]
        outside = [page(b"https://a.example/" + rest) for rest in (b"", b"w", b"y", b"X")]
        outside += [page(b"http://a.example/x"), page(b"https://a.example:444/x"), page(b"https://b.example/x")]
        for head in inside + outside:
            keep(self.store, head)
        self.assertEqual(await self.purged(prefix=b"https://a.example/x"), len(inside))
        self.assertEqual(await self.left(*inside, *outside), [head.url for head in outside])
        long = b"https://a.example/" + b"l" * 600
        keep(self.store, page(long + b"1"))
        keep(self.store, page(long + b"2"))
        self.assertEqual(await self.purged(prefix=long + b"2"), 1)
        self.assertEqual(await self.purged(url=long + b"1"), 1)
        self.assertEqual(await self.purged(prefix=b"http"), len(outside))

    async def test_purge_by_host(self) -> None:
        inside = [page(url) for url in (b"https://a.example/", b"http://a.example/", b"https://a.example:444/x?y")]
        inside += [page(b"https://a.example")]
        outside = [page(url) for url in (b"https://a.example.org/", b"https://b.a.example/", b"http://b/a.example/")]
        for head in inside + outside:
            keep(self.store, head)
        self.assertEqual(await self.purged(host=b"A.example"), len(inside))
        self.assertEqual(await self.left(*inside, *outside), [head.url for head in outside])
        keep(self.store, page(b"http://[::1]:8080/"))
        self.assertEqual(await self.purged(host=b"[::1]"), 1)

    async def test_purge_by_tag(self) -> None:
        keep(self.store, page(1, tags=frozenset({b"a", b"b"})))
        keep(self.store, page(2, tags=frozenset({b"b"})), octets(BORDER + 1))
        keep(self.store, page(3, tags=frozenset({b"ab"})))
        keep(self.store, make_head(selecting=EN, tags=frozenset({b"b"})))
        keep(self.store, make_head(selecting=DE), b"stays")
        self.assertEqual(await self.purged(tag=b"nobody has it"), 0)
        self.assertEqual(await self.purged(tag=b"b"), 3)
        self.assertEqual(len(await self.left(page(1), page(2), page(3))), 1)
        self.assertEqual(await self.contents(), [b"stays"])

    async def test_purge_by_group(self) -> None:
        keep(self.store, page(1, groups=frozenset({b"g"})))
        keep(self.store, page(2, groups=frozenset({b"h"})))
        keep(self.store, page(b"https://other.example/", groups=frozenset({b"g"})))
        self.assertEqual(await self.purged(group=(b"https://a.example", b"g")), 1)
        self.assertEqual(len(await self.left(page(1), page(2), page(b"https://other.example/"))), 2)

    async def test_purge_everything(self) -> None:
        for number in range(20):
            keep(self.store, page(number), octets(BORDER + 1) if number == 5 else b"x")
        self.assertEqual(await self.purged(everything=True), 20)
        self.assertEqual(await self.left(*map(page, range(20))), [])
        self.assertEqual(await self.purged(everything=True), 0)
        keep(self.store, page(1))
        self.assertEqual(await self.left(page(1)), [page(1).url])

    async def test_what_is_stored_anew_is_purged_anew(self) -> None:
        for _ in range(2):
            keep(self.store, page(1, tags=frozenset({b"a"})))
            self.assertEqual(await self.purged(host=b"a.example"), 1)
            keep(self.store, page(1, tags=frozenset({b"a"})))
            self.assertEqual(await self.purged(tag=b"a"), 1)

    # Readers.

    async def test_readers_read_on_after_a_purge(self) -> None:
        for size in (100, BORDER + 100, LARGEST):
            content = octets(size)
            keep(self.store, page(size), content)
        held = [await self.only(page(size).key) for size in (100, BORDER + 100, LARGEST)]
        beginnings = [stored.content.read(0, 50) for stored in held]
        await self.purged(everything=True)
        for size, stored, beginning in zip((100, BORDER + 100, LARGEST), held, beginnings, strict=True):
            self.assertEqual(beginning, octets(50))
            self.assertEqual(whole(stored), octets(size))

    async def test_readers_read_on_after_a_replacement(self) -> None:
        keep(self.store, make_head(), octets(BORDER + 1, 1))
        held = await self.only()
        keep(self.store, make_head(), octets(BORDER + 1, 2))
        self.assertEqual(whole(held), octets(BORDER + 1, 1))
        self.assertEqual(await self.contents(), [octets(BORDER + 1, 2)])

    # Fillings.

    async def test_a_filling_is_read_while_it_is_written(self) -> None:
        content = octets(200_000)
        filling = self.store.begin(KEY, -1)
        self.assertEqual(filling.read(0, 10), b"")
        read = b""
        for at in range(0, len(content), 3001):
            filling.write(content[at : at + 3001])
            self.assertEqual(filling.size, min(at + 3001, len(content)))
            while data := filling.read(len(read), 1000):
                self.assertLessEqual(len(data), 1000)
                read += data
            self.assertEqual(filling.read(0, 20), content[:20])
        self.assertEqual(read, content)
        self.assertEqual(await self.found(), ())
        self.assertIsNotNone(filling.commit(make_head()))
        self.assertEqual(filling.read(100_000, 10), content[100_000:100_010])
        await self.purged(everything=True)
        self.assertEqual(filling.read(150_000, 10), content[150_000:150_010])
        filling.discard()

    async def test_tiny_pieces(self) -> None:
        content = octets(20_000)
        filling = fill(self.store, content, make_head(), piece=1)
        self.assertEqual(filling.read(12_345, 1), content[12_345:12_346])
        filling.commit(make_head())
        filling.discard()
        self.assertEqual(await self.contents(), [content])

    async def test_larger_than_largest(self) -> None:
        content = octets(LARGEST + 1)
        filling = self.store.begin(KEY, -1)
        filling.write(content[:-1])
        self.assertFalse(filling.broken)
        filling.write(content[-1:])
        self.assertTrue(filling.broken)
        self.assertEqual(filling.read(0, 10), content[:10])
        filling.write(b"more")
        self.assertEqual(filling.read(LARGEST + 1, 10), b"more")
        filling.forget(LARGEST)
        self.assertEqual(filling.read(LARGEST, 1), content[-1:])
        self.assertIsNone(filling.commit(make_head()))
        filling.discard()
        self.assertEqual(await self.found(), ())

    async def test_what_is_known_to_be_too_large(self) -> None:
        filling = self.store.begin(KEY, LARGEST + 1)
        self.assertTrue(filling.broken)
        filling.write(b"abc")
        self.assertEqual(filling.read(1, 10), b"bc")
        self.assertIsNone(filling.commit(make_head()))
        filling.discard()
        self.assertFalse(self.store.begin(KEY, LARGEST).broken)

    async def test_a_broken_filling_may_forget(self) -> None:
        filling = self.store.begin(KEY, LARGEST + 1)
        for at in range(0, 500_000, 50_000):
            filling.write(octets(50_000, at))
            self.assertEqual(filling.read(at, 50_000), octets(50_000, at))
            filling.forget(at + 50_000)
        self.assertEqual(filling.size, 500_000)
        filling.discard()

    async def test_only_a_broken_filling_forgets(self) -> None:
        content = octets(BORDER * 2)
        filling = fill(self.store, content, make_head())
        filling.forget(BORDER)
        self.assertIsNotNone(filling.commit(make_head()))
        self.assertEqual(await self.contents(), [content])

    async def test_what_was_discarded_is_not_stored(self) -> None:
        for size in (5, BORDER + 5):
            filling = fill(self.store, octets(size), make_head())
            filling.discard()
            filling.discard()
            filling.write(b"late")
            self.assertIsNone(filling.commit(make_head()))
        self.assertEqual(await self.found(), ())

    async def test_a_filling_is_committed_once(self) -> None:
        filling = fill(self.store, b"abc", make_head())
        self.assertIsNotNone(filling.commit(make_head()))
        self.assertIsNone(filling.commit(make_head(KEY + b"2")))
        filling.write(b"late")
        filling.discard()
        self.assertEqual(await self.contents(), [b"abc"])
        self.assertEqual(await self.found(KEY + b"2"), ())

    async def test_two_fillings_of_one_key(self) -> None:
        for size in (5, BORDER + 5):
            first = self.store.begin(page(size).key, -1)
            second = self.store.begin(page(size).key, -1)
            first.write(octets(size, 1))
            second.write(octets(size, 2))
            second.commit(page(size))
            first.commit(page(size))
            self.assertEqual(await self.contents(page(size).key), [octets(size, 1)])

    async def test_what_began_before_a_purge_is_not_stored(self) -> None:
        for named in (
            {"url": URL},
            {"prefix": b"https://a"},
            {"host": b"a.example"},
            {"tag": b"t"},
            {"group": (b"https://a.example", b"g")},
            {"everything": True},
        ):
            head = make_head(tags=frozenset({b"t"}), groups=frozenset({b"g"}))
            filling = fill(self.store, b"from before", head)
            await self.purged(**named)
            self.assertIsNone(filling.commit(head), named)
            self.assertEqual(filling.read(0, 100), b"from before")
            filling.discard()
            self.assertEqual(await self.found(), (), named)
            keep(self.store, head, b"from afterwards")
            await self.purged(everything=True)

    async def test_what_began_before_an_invalidation_is_not_stored(self) -> None:
        head = make_head(groups=frozenset({b"g"}))
        filling = fill(self.store, b"from before", head)
        await self.invalidated(KEY)
        self.assertIsNone(filling.commit(head))
        filling = fill(self.store, b"from before", head)
        await now(self.store.invalidate_groups(b"https://a.example", frozenset({b"g"})))
        self.assertIsNone(filling.commit(head))
        self.assertEqual(await self.found(), ())

    async def test_what_a_purge_does_not_name_is_stored(self) -> None:
        filling = fill(self.store, b"body", make_head(tags=frozenset({b"t"})))
        await self.purged(url=URL + b"x")
        await self.purged(tag=b"u")
        await self.purged(host=b"b.example")
        await self.invalidated(b"another")
        self.assertIsNotNone(filling.commit(make_head(tags=frozenset({b"t"}))))
        self.assertEqual(await self.contents(), [b"body"])

    async def test_stopping(self) -> None:
        filling = fill(self.store, octets(BORDER + 1), make_head())
        keep(self.store, page(1))
        self.store.stop()
        self.store.stop()
        self.assertIsNone(filling.commit(make_head()))
        filling.discard()


class BoundedContract(StoreContract):
    """What stores do that are bounded by themselves."""

    keeps_copies = False
    """Whether more may be found than is counted: a copy of what was evicted behind it."""

    async def test_usage(self) -> None:
        self.assertEqual((self.store.usage().responses, self.store.usage().octets), (0, 0))
        keep(self.store, make_head(selecting=EN), octets(1000))
        keep(self.store, make_head(selecting=DE), octets(BORDER + 1000))
        usage = self.store.usage()
        self.assertEqual((usage.responses, usage.most_octets, usage.evicted), (2, MOST, 0))
        self.assertGreater(usage.octets, BORDER + 2000)
        await self.purged(everything=True)
        self.assertEqual((self.store.usage().responses, self.store.usage().octets), (0, 0))

    async def test_the_bound_holds(self) -> None:
        for number in range(200):
            size = (number * 7919) % 100_000
            keep(self.store, page(number), octets(size))
            self.assertLessEqual(self.store.usage().octets, MOST)
        usage = self.store.usage()
        self.assertGreater(usage.octets, MOST // 2)
        self.assertGreater(usage.evicted, 50)
        found = [number for number in range(200) if await self.found(page(number).key)]
        if self.keeps_copies:
            self.assertGreaterEqual(len(found), usage.responses)
        else:
            self.assertEqual(len(found), usage.responses)
        self.assertLessEqual(await self.purged(everything=True), len(found))
        self.assertEqual([number for number in found if await self.found(page(number).key)], [])
        self.assertEqual(self.store.usage().octets, 0)

    async def test_heads_count(self) -> None:
        lines = tuple((b"X-%d" % number, b"v" * 100) for number in range(100))
        for number in range(500):
            keep(self.store, page(number, lines=lines), b"")
        self.assertGreater(self.store.usage().evicted, 0)
        self.assertLessEqual(self.store.usage().responses * 10_000, MOST)

    async def test_a_reader_reads_on_after_eviction(self) -> None:
        for size in (1000, BORDER + 1000):
            keep(self.store, page(size), octets(size))
        held = [await self.only(page(size).key) for size in (1000, BORDER + 1000)]
        for number in range(200):
            keep(self.store, page(number), octets(50_000, 3))
            for again in range(number):
                if again % 10 == 0:
                    await self.found(page(again).key)
        self.assertEqual([whole(stored) for stored in held], [octets(1000), octets(BORDER + 1000)])

    async def test_what_is_asked_for_stays(self) -> None:
        popular = [page(number) for number in range(10)]
        for head in popular:
            keep(self.store, head, octets(20_000))
        for number in range(1000, 1400):
            for head in popular:
                await self.found(head.key)
            if number % 10 == 0:
                self.tick()
            keep(self.store, page(number), octets(20_000))
        self.assertEqual(len(await self.left(*popular)), 10)
        self.assertGreater(self.store.usage().evicted, 200)

    def tick(self) -> None:
        """Lets the time pass that a store needs to note what was asked for."""
