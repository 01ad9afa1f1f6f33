"""The last requests, kept whole so that they can be asked about, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from revproxy.observe.transaction import Transaction

MOST_OCTETS: Final = 16 * 1024 * 1024
"""What the requests that are kept may hold, as estimated by ``weight``."""
_OBJECT: Final = 1024
"""Octets of a transaction with a short target, and its share of what hangs on it."""
_LINE: Final = 256
"""Octets of a field line beside its own: three objects in a tuple, and an entry in two tables."""
_COPIES: Final = 4
"""How often a field's octets are there: read, looked up, rendered for the server, in the block they came in."""
_SAMPLED: Final = 4
"""One in so many heads is weighed, and counts for as many."""


@attrs.frozen
class _Batch:
    transactions: Sequence[Transaction]
    weight: int


class Ring:
    """The last ``most`` transactions, fewer where they are large.

    They are kept in the batches in which they came: the oldest batch goes as a whole, when those after it are enough.
    """

    __slots__ = ("_batches", "_count", "_weight", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._batches: deque[_Batch] = deque()
        self._count = 0
        self._weight = 0

    def add(self, batch: Sequence[Transaction]) -> None:
        """Keeps a batch, which nobody changes any more."""
        if not self.most:
            return
        if len(batch) > self.most:
            batch = batch[-self.most :]
        heavy = weight(batch)
        while heavy > MOST_OCTETS and len(batch) > 1:
            # One batch of giants: the later half of it has to do.
            batch = batch[(len(batch) + 1) // 2 :]
            heavy = weight(batch)
        self._batches.append(_Batch(batch, heavy))
        self._count += len(batch)
        self._weight += heavy
        self._trim()

    def adopt(self, most: int) -> None:
        """Keeps another number from now on."""
        self.most = most
        self._trim()

    def _trim(self) -> None:
        batches = self._batches
        while batches and (
            not self.most
            or self._count - len(batches[0].transactions) >= self.most
            or (self._weight > MOST_OCTETS and len(batches) > 1)
        ):
            oldest = batches.popleft()
            self._count -= len(oldest.transactions)
            self._weight -= oldest.weight

    def newest(self) -> Iterator[Transaction]:
        """The last ``most`` of them, the newest first."""
        left = self.most
        for batch in reversed(self._batches):
            for transaction in reversed(batch.transactions):
                if not left:
                    return
                left -= 1
                yield transaction

    def find(self, request_id: bytes) -> Transaction | None:
        """The newest with this id."""
        for transaction in self.newest():
            if transaction.request_id == request_id:
                return transaction
        return None

    def __len__(self) -> int:
        return min(self._count, self.most)


def weight(batch: Sequence[Transaction]) -> int:
    """About how many octets of memory transactions keep from being used again. Facts that several of one connection
    share count once. Of many heads only some are weighed: the sum over many batches is what has to be right."""
    octets = len(batch) * _OBJECT + sum([len(each.target) for each in batch])
    heads = list({each.facts for each in batch})
    share = _SAMPLED if len(heads) > _SAMPLED else 1
    for facts in heads[::share]:
        if facts is not None:
            lines = facts.fields.lines
            octets += share * (len(lines) * _LINE + _COPIES * sum([len(line[2]) for line in lines]))
    return octets
