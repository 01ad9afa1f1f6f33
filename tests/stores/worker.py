"""A process of its own with a disk store: ``python -m tests.stores.worker FOLDER WHAT SEED``."""

from __future__ import annotations

import random
import sys
import time

from twisted.internet.task import Clock

from revproxy.interfaces import Selection
from revproxy.stores.disk import DiskStore
from revproxy.stores.memory import MemoryStore
from revproxy.stores.tiered import TieredStore
from tests.stores.responses import fill, keep, octets, page, whole

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


def obey(store: DiskStore) -> None:
    """Does what it is told line by line, with a memory before the disk."""
    memory = MemoryStore(MOST, LARGEST, Clock())
    tiered = TieredStore(memory, store, Clock())
    tiered.find(b"")
    for line in sys.stdin:
        order, what, *more = line.split()
        if order == "keep":
            keep(tiered, page(int(what), tags=frozenset({b"t" + what.encode()})), more[0].encode())
            say("kept")
        elif order == "find":
            before = memory.find(page(int(what)).key)
            found = tiered.find(page(int(what)).key)
            assert isinstance(found, tuple)
            where = "memory" if before is found else "far"
            texts = [f"{whole(one).decode()} {where}{' invalidated' if one.head.invalidated else ''}" for one in found]
            say(texts[0] if texts else "none")
        elif order == "purge":
            say(str(tiered.purge(Selection(tag=what.encode()))))
        elif order == "invalidate":
            say(str(tiered.invalidate(page(int(what)).key)))


def main(folder: str, what: str, seed: int) -> None:
    store = DiskStore(folder, MOST, LARGEST, Clock())
    if what == "write":
        write(store, seed, 150)
        store.stop()
    elif what == "write on":
        write(store, seed, 1_000_000)
    elif what == "obey":
        obey(store)
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
