"""A process of its own with a disk store: ``python -m tests.stores.worker FOLDER WHAT SEED``."""

from __future__ import annotations

import random
import sys
import time

from twisted.internet.task import Clock

from revproxy.stores.disk import DiskStore
from tests.stores.responses import fill, octets, page

MOST = 30_000_000
LARGEST = 1_000_000
SIZES = (0, 10, 5_000, 65_536, 65_537, 200_000)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def content_of(number: int) -> bytes:
    """What a page always has."""
    return octets(SIZES[number % len(SIZES)], number)


def write(store: DiskStore, seed: int, count: int) -> None:
    """Stores pages in any order; says so after each."""
    numbers = random.Random(seed)
    for _ in range(count):
        number = numbers.randrange(300)
        head = page(number, tags=frozenset({b"t%d" % (number % 7)}))
        filling = fill(store, content_of(number), head, piece=16_384)
        if filling.commit(head) is None:
            raise SystemExit("it was not stored")
        say(str(number))


def main(folder: str, what: str, seed: int) -> None:
    store = DiskStore(folder, MOST, LARGEST, Clock())
    if what == "write":
        write(store, seed, 150)
        store.stop()
    elif what == "write on":
        write(store, seed, 1_000_000)
    elif what == "read on":
        opened = store.environment.open()
        transaction = opened.begin()
        say(str(transaction.id()))
        time.sleep(600)
    elif what == "fill on":
        filling = fill(store, octets(500_000), page(1))
        say(str(filling.size))
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
