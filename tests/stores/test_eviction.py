"""Eviction: who goes, and that the popular survive a crawl."""

from __future__ import annotations

from benchmarks.eviction import CACHES, hit_ratio, trace
from revproxy.stores.eviction import LONGEST_SEARCH, Node, S3Fifo


def node(name: bytes, queues: S3Fifo, visits: int = 0, size: int = 10) -> Node:
    made = Node(name, size)
    queues.add(made)
    made.visits = visits
    return made


def victims(queues: S3Fifo) -> list[Node]:
    found = []
    while (victim := queues.victim()) is not None:
        found.append(victim)
    return found


def test_nothing_has_to_go_where_nothing_is() -> None:
    assert S3Fifo(100).victim() is None


def test_who_was_asked_for_goes_last() -> None:
    queues = S3Fifo(100)
    node(b"a", queues, visits=1)
    others = [node(b"%d" % number, queues) for number in range(5)]
    assert victims(queues)[:4] == others[:4]


def test_who_comes_back_soon_need_not_prove_itself_again() -> None:
    queues = S3Fifo(100)
    node(b"a", queues)
    queues.victim()
    node(b"a", queues)
    new = [node(b"%d" % number, queues) for number in range(5)]
    assert victims(queues)[:4] == new[:4]
    assert len(queues) == 0


def test_visits_earn_turns_in_the_main_queue_but_not_without_end() -> None:
    queues = S3Fifo(100)
    crowd = [node(b"%d" % number, queues, visits=1000) for number in range(3 * LONGEST_SEARCH)]
    first = queues.victim()
    # The search ended early, with somebody who was visited.
    assert first in crowd
    assert set(victims(queues)) == set(crowd) - {first}


def test_what_is_removed_or_resized_is_counted_rightly() -> None:
    queues = S3Fifo(1000)
    removed = node(b"a", queues, size=900)
    large = node(b"b", queues, size=10)
    queues.resize(large, 95)
    queues.remove(removed)
    queues.remove(removed)
    small = node(b"c", queues, size=1)
    promoted = node(b"d", queues, visits=1)
    assert victims(queues) == [large, small, promoted]
    assert queues._small_size == 0


def test_a_crawl_does_not_throw_out_the_popular() -> None:
    asked = trace(1.0, 3000, objects=5000, requests=40_000)
    assert len(asked) == 46_000
    ratios = {name: hit_ratio(make(500), asked) for name, make in CACHES}
    assert ratios["S3-FIFO"] > ratios["LRU"] + 0.05
    assert ratios["S3-FIFO"] > ratios["SIEVE"]
    assert ratios["SIEVE"] > ratios["LRU"] + 0.02
