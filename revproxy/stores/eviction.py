"""Which stored response has to go for another: S3-FIFO.

Most of what is stored is never asked for again, and one crawler stores a whole site once: an algorithm that keeps what
was used last (LRU) throws the popular out for these. S3-FIFO (Yang et al., "FIFO queues are all you need for cache
eviction", SOSP 2023) lets everything new prove itself in a small queue, a tenth of the octets. What was asked for there
moves to the main queue; the rest leaves, and only its key's hash is remembered. Who comes back while it is remembered
enters the main queue at once. There, whoever was asked for since its last turn gets another one.

A hit does nothing but count on the node, so it costs no lock, no list and no write. As measured by ``python -m
benchmarks.eviction``, it beats SIEVE by a little and LRU by far. One visit is enough to be promoted: with the two of
the paper, its hit ratio was the same without scans, and worse with them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

SMALL_SHARE: Final = 0.1
"""Of the octets, how many are for what has to prove itself."""
MOST_VISITS: Final = 3
"""More visits than these earn no more turns."""
LONGEST_SEARCH: Final = 64
"""Turns given in one search. Then the next has to go: where everything was visited, the search would take long."""
FEWEST_GHOSTS: Final = 64


class Node:
    """Something that may have to go. Who finds it adds 1 to ``visits``."""

    __slots__ = ("hash", "size", "visits")

    def __init__(self, key: bytes, size: int) -> None:
        self.hash = hash(key)
        self.size = size
        self.visits = 0


class S3Fifo:
    """The two queues and the memory of what left."""

    __slots__ = ("_ghosts", "_main", "_small", "_small_most", "_small_size")

    def __init__(self, most: int) -> None:
        self._small: OrderedDict[Node, None] = OrderedDict()
        self._main: OrderedDict[Node, None] = OrderedDict()
        self._ghosts: OrderedDict[int, None] = OrderedDict()
        self._small_size = 0
        self._small_most = 0
        self.bound(most)

    def bound(self, most: int) -> None:
        """Both together hold so many octets."""
        self._small_most = int(most * SMALL_SHARE)

    def __len__(self) -> int:
        return len(self._small) + len(self._main)

    def add(self, node: Node) -> None:
        """Puts something new into its queue."""
        if node.hash in self._ghosts:
            del self._ghosts[node.hash]
            self._main[node] = None
        else:
            self._small[node] = None
            self._small_size += node.size

    def resize(self, node: Node, size: int) -> None:
        """Notes another size, in octets."""
        if node in self._small:
            self._small_size += size - node.size
        node.size = size

    def remove(self, node: Node) -> None:
        """Takes something out that leaves for another reason."""
        if node in self._small:
            del self._small[node]
            self._small_size -= node.size
        else:
            self._main.pop(node, None)

    def victim(self) -> Node | None:
        """Takes out what has to go next; None if nothing is there."""
        turns = 0
        while self._small or self._main:
            if self._small and (self._small_size > self._small_most or not self._main):
                node, _ = self._small.popitem(last=False)
                self._small_size -= node.size
                if node.visits and turns < LONGEST_SEARCH:
                    turns += 1
                    node.visits = 0
                    self._main[node] = None
                    continue
                self._remember(node.hash)
                return node
            node, _ = self._main.popitem(last=False)
            if node.visits and turns < LONGEST_SEARCH:
                turns += 1
                node.visits = min(node.visits, MOST_VISITS) - 1
                self._main[node] = None
                continue
            return node
        return None

    def _remember(self, key_hash: int) -> None:
        ghosts = self._ghosts
        ghosts[key_hash] = None
        if len(ghosts) > max(len(self._main), FEWEST_GHOSTS):
            ghosts.popitem(last=False)
