"""``python -m benchmarks.eviction``: the hit ratio of the stores' evictions (S3-FIFO, SIEVE) beside LRU.

The trace is made: objects asked for by a Zipf distribution, and in between crawlers that ask for many objects once.
Only the requests of the distribution count. Sizes are equal: what is compared is the choice of who goes.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from benchmarks.table import Rows, plain
from revproxy.stores.eviction import Node, S3Fifo

OBJECTS: Final = 50_000
REQUESTS: Final = 200_000
BETWEEN: Final = 20_000
"""Requests from one crawl to the next."""
SIZE: Final = 1000
SEED: Final = 5


class Cache(Protocol):
    """Keeps a number of objects."""

    def ask(self, number: int) -> bool:
        """Whether it is there; it is from now on."""


class S3FifoCache:
    """The memory store's own."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.queues = S3Fifo(room * SIZE)
        self.nodes: dict[int, Node] = {}
        self.numbers: dict[Node, int] = {}

    def ask(self, number: int) -> bool:
        node = self.nodes.get(number)
        if node is not None:
            node.visits += 1
            return True
        if len(self.nodes) >= self.room:
            victim = self.queues.victim()
            assert victim is not None
            del self.nodes[self.numbers.pop(victim)]
        node = self.nodes[number] = Node(b"%d" % number, SIZE)
        self.numbers[node] = number
        self.queues.add(node)
        return False


class LruCache:
    """Throws out what was not used for the longest time."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.order: OrderedDict[int, None] = OrderedDict()

    def ask(self, number: int) -> bool:
        if number in self.order:
            self.order.move_to_end(number)
            return True
        self.order[number] = None
        if len(self.order) > self.room:
            self.order.popitem(last=False)
        return False


class _Link:
    """An object in SIEVE's queue."""

    __slots__ = ("newer", "number", "older", "visited")

    def __init__(self, number: int, older: _Link | None) -> None:
        self.number = number
        self.visited = False
        self.older = older
        self.newer: _Link | None = None


class SieveCache:
    """One queue, and a hand that goes from the oldest to the newest, over and over, and throws out who wasn't visited
    since it last came by (Zhang et al., NSDI 2024). The disk store uses it, since nothing in it ever moves."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.links: dict[int, _Link] = {}
        self.oldest: _Link | None = None
        self.newest: _Link | None = None
        self.hand: _Link | None = None

    def ask(self, number: int) -> bool:
        link = self.links.get(number)
        if link is not None:
            link.visited = True
            return True
        if len(self.links) >= self.room:
            self.evict()
        link = self.links[number] = _Link(number, self.newest)
        if self.newest is not None:
            self.newest.newer = link
        self.newest = link
        if self.oldest is None:
            self.oldest = link
        return False

    def evict(self) -> None:
        link = self.hand or self.oldest
        while link is not None and link.visited:
            link.visited = False
            link = link.newer or self.oldest
        assert link is not None
        self.hand = link.newer
        if link.older is not None:
            link.older.newer = link.newer
        else:
            self.oldest = link.newer
        if link.newer is not None:
            link.newer.older = link.older
        else:
            self.newest = link.older
        del self.links[link.number]


CACHES: Final[tuple[tuple[str, Callable[[int], Cache]], ...]] = (
    ("LRU", LruCache),
    ("SIEVE", SieveCache),
    ("S3-FIFO", S3FifoCache),
)


def trace(skew: float, crawl: int, objects: int = OBJECTS, requests: int = REQUESTS) -> list[tuple[int, bool]]:
    """What is asked for, and whether it counts."""
    weights = list(itertools.accumulate(1 / place**skew for place in range(1, objects + 1)))
    numbers = random.Random(SEED).choices(range(objects), cum_weights=weights, k=requests)
    asked: list[tuple[int, bool]] = []
    crawled = objects
    for place, number in enumerate(numbers, 1):
        asked.append((number, True))
        if place % BETWEEN == 0:
            asked += [(once, False) for once in range(crawled, crawled + crawl)]
            crawled += crawl
    return asked


def hit_ratio(cache: Cache, asked: list[tuple[int, bool]]) -> float:
    """The share of what counts that was there, after the cache was warm."""
    warm = len(asked) // 4
    for number, _ in asked[:warm]:
        cache.ask(number)
    hits = count = 0
    for number, counts in asked[warm:]:
        there = cache.ask(number)
        if counts:
            count += 1
            hits += there
    return hits / count


def rows() -> Rows:
    table: list[list[str]] = [["Zipf, share kept, crawl", *(name for name, _ in CACHES)]]
    for skew in (0.8, 1.0):
        for share in (0.01, 0.1):
            for crawl in (0, 1_000, 10_000):
                asked = trace(skew, crawl)
                ratios = [hit_ratio(make(int(OBJECTS * share)), asked) for _, make in CACHES]
                table.append([f"{skew}, {share:.0%}, {crawl:,}", *(f"{ratio:.3f}" for ratio in ratios)])
    return table


def main() -> None:
    sys.stdout.write(plain(rows()) + "\n")


if __name__ == "__main__":
    main()
