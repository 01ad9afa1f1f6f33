"""The last requests can be found, in memory that no client can make grow."""

from __future__ import annotations

import gc
import weakref

import pytest

from revproxy.observe.ring import MOST_OCTETS, Ring, weight
from tests.observe.making import over


def ids(ring: Ring) -> list[bytes]:
    return [each.request_id for each in ring.newest()]


def filled(most: int, *sizes: int) -> Ring:
    ring, number = Ring(most), 0
    for size in sizes:
        ring.add([over(number + at) for at in range(size)])
        number += size
    return ring


@pytest.mark.parametrize("sizes", [(10,), (1,) * 10, (3, 3, 4), (5, 5)])
@pytest.mark.parametrize("most", [1, 3, 4, 7, 10, 99])
def test_the_last_ones_are_there_the_newest_first(most: int, sizes: tuple[int, ...]) -> None:
    ring = filled(most, *sizes)
    assert ids(ring) == [b"id-%d" % number for number in range(9, -1, -1)][:most]
    assert len(ring) == min(most, 10)


def test_one_is_found_by_its_id() -> None:
    ring = filled(5, 10)
    found = ring.find(b"id-7")
    assert found is not None
    assert found.request_id == b"id-7"
    assert ring.find(b"id-4") is None
    assert ring.find(b"") is None


def test_of_one_id_twice_the_newest_is_found() -> None:
    ring = Ring(5)
    ring.add([over(1, status=200)])
    ring.add([over(1, status=404)])
    found = ring.find(b"id-1")
    assert found is not None
    assert found.status == 404


def test_none_are_kept_where_none_are_wanted() -> None:
    ring = filled(0, 10)
    assert ids(ring) == []
    ring = filled(9, 9)
    ring.adopt(0)
    assert (ids(ring), len(ring)) == ([], 0)


def test_what_is_no_longer_kept_is_let_go_of() -> None:
    class Watched:
        pass

    watched = Watched()
    gone = weakref.ref(watched)
    ring = Ring(2)
    ring.add([over(detail=watched)])
    del watched
    ring.add([over(2), over(3)])
    gc.collect()
    assert gone() is None


def test_another_number_counts_at_once() -> None:
    ring = filled(100, *(10,) * 10)
    ring.adopt(15)
    assert len(ring) == len(ids(ring)) == 15


def test_giants_push_others_out() -> None:
    """8 KiB targets, a hundred fields of a kilobyte: far fewer than a thousand stay."""
    ring = Ring(1000)
    fields = tuple((b"X-%d" % number, b"v" * 1024) for number in range(100))
    for number in range(0, 1000, 50):
        ring.add([over(number + at, target=b"/" + b"a" * 8192, fields=fields) for at in range(50)])
        assert sum(weight([each]) for each in ring.newest()) <= MOST_OCTETS * 1.1
    assert 10 <= len(ids(ring)) < 100
    assert ids(ring)[0] == b"id-999"
    ring.add([over(2000)])
    assert ids(ring)[0] == b"id-2000"


def test_a_batch_of_giants_alone() -> None:
    ring = Ring(1000)
    fields = tuple((b"X-%d" % number, b"v" * 4096) for number in range(100))
    ring.add([over(at, fields=fields) for at in range(64)])
    assert 0 < len(ids(ring)) < 64
    assert ids(ring)[0] == b"id-63"


def test_facts_that_are_shared_count_once() -> None:
    transactions = [over(at, fields=((b"Cookie", b"v" * 10_000),)) for at in range(20)]
    apart = weight(transactions)
    for each in transactions:
        each.facts = transactions[0].facts
    assert weight(transactions) < apart / 5
