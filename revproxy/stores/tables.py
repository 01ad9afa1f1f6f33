"""The tables of the disk store, and what is done in them within one transaction.

``heads``    id → record (``encoding.py``). Ids only grow, so this is also the order in which responses came.
``bodies``   id → content of up to 64 KiB; larger is in a file.
``keys``     hash of a primary key → ids, the newest first.
``urls``     the beginning of a URL, 0, id → nothing: in order, so that a prefix or a host is a range.
``labels``   hash of a tag's or a group's label, id → nothing.
``visited``  id → nothing: asked for since the hand came by. Written in batches; a hit writes nothing.
``changes``  number → who changed, what: for the memory of other workers; the last few thousand.
``orders``   number → which purge: for fillings that began before it; the last thousand.
``cutoffs``  part of a key's hash → number of the last invalidation of such a key: the same for one key.
``meta``     the counts, and the hand.

The eviction is SIEVE: a hand goes from the oldest id to the newest, over and over, takes back the visits it meets, and
evicts who has none. Unlike S3-FIFO nothing ever moves, which would be a write. Both are far better than LRU
(``python -m benchmarks.eviction``).
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

import lmdb

from revproxy.caching.stored import StoredHead
from revproxy.interfaces import Selection
from revproxy.stores.changes import Change, decode_change
from revproxy.stores.encoding import DamagedRecord, Record, decode_record, encode_record
from revproxy.stores.labels import host_of, label_of, names_of

ID: Final = struct.Struct(">Q")
_COUNTS: Final = struct.Struct(">QQQQQQQ")
LARGEST_BODY: Final = 64 * 1024
"""Content beyond this has a file of its own: a large write transaction would keep the other workers waiting."""
MOST_VARIANTS: Final = 32
MOST_CHANGES: Final = 4096
MOST_ORDERS: Final = 1024
TOKEN_SIZE: Final = 8
_URL_SIZE: Final = 480
_RESPONSE_COST: Final = 500
"""Octets that a response's places in the tables take, as measured, besides its record and its content."""
_PAGE: Final = 4096
_LONGEST_SEARCH: Final = 256
"""Steps of the hand in one search; then the next has to go."""


def key_hash(key: bytes) -> bytes:
    return blake2b(key, digest_size=16).digest()


def cost_of(record_size: int, content_size: int) -> int:
    """Octets that a response takes on disk. Content is laid on whole pages."""
    return _RESPONSE_COST + record_size + -(-content_size // _PAGE) * _PAGE


def _url_key(url: bytes, number: bytes) -> bytes:
    return url[:_URL_SIZE] + b"\0" + number


def _label_hash(label: bytes) -> bytes:
    return blake2b(label, digest_size=16).digest()


class Counts:
    """The numbers of ``meta``."""

    __slots__ = ("evicted", "floor", "hand", "last_change", "next_id", "octets", "responses")

    def __init__(self, data: bytes | None) -> None:
        if data is None or len(data) != _COUNTS.size:
            # Ids and changes begin anywhere: an environment that was made anew shares none with its predecessor.
            beginning = int.from_bytes(secrets.token_bytes(4), "big") << 28 | 1
            numbers: tuple[int, ...] = (0, 0, 0, beginning, 0, beginning, 0)
        else:
            numbers = _COUNTS.unpack(data)
        self.responses, self.octets, self.evicted, self.next_id, self.hand, self.last_change, self.floor = numbers

    def encoded(self) -> bytes:
        return _COUNTS.pack(
            self.responses, self.octets, self.evicted, self.next_id, self.hand, self.last_change, self.floor
        )


class Writing:
    """What is done in one write transaction: the counts are read at its beginning and written at its end."""

    __slots__ = ("_bodies", "_changes", "_cutoffs", "_heads", "_keys", "_labels", "_meta", "_orders", "_token", "_urls",
                 "_visited", "counts", "files", "txn")  # fmt: skip

    def __init__(self, txn: lmdb.Transaction[bytes], tables: dict[str, lmdb._Database], token: bytes) -> None:
        self.txn = txn
        self._meta = tables["meta"]
        self._keys = tables["keys"]
        self._heads = tables["heads"]
        self._bodies = tables["bodies"]
        self._visited = tables["visited"]
        self._urls = tables["urls"]
        self._labels = tables["labels"]
        self._changes = tables["changes"]
        self._orders = tables["orders"]
        self._cutoffs = tables["cutoffs"]
        self._token = token
        self.counts = Counts(txn.get(b"counts", db=self._meta))
        self.files: list[int] = []
        """Ids whose files have to go once this is committed."""

    def finish(self) -> None:
        """Writes the counts; the last thing before the commit."""
        self.txn.put(b"counts", self.counts.encoded(), db=self._meta)

    # Responses.

    def ids(self, key: bytes) -> list[bytes]:
        """The ids under a key, the newest first."""
        data = self.txn.get(key_hash(key), db=self._keys) or b""
        return [data[at : at + ID.size] for at in range(0, len(data), ID.size)]

    def record(self, number: bytes) -> Record | None:
        """A response's record; None if it is gone or damaged."""
        data = self.txn.get(number, db=self._heads)
        if data is None:
            return None
        try:
            return decode_record(data)
        except DamagedRecord:
            return None

    def add(self, head: StoredHead, size: int, checksum: int, body: bytes | None) -> int:
        """Stores a response in place of what has its selecting fields; ``body`` is None where it is in a file."""
        counts = self.counts
        counts.next_id += 1
        number = ID.pack(counts.next_id)
        data = encode_record(Record(head, size, checksum))
        visited = self._enter_key(head, number)
        txn = self.txn
        txn.put(number, data, append=True, db=self._heads)
        if body is not None and size:
            txn.put(number, body, append=True, db=self._bodies)
        if visited:
            # Somebody asked for what it replaces, or it would not have been fetched again.
            txn.put(number, b"", db=self._visited)
        self._enter_labels(head, number)
        counts.responses += 1
        counts.octets += cost_of(len(data), size)
        return counts.next_id

    def _enter_key(self, head: StoredHead, number: bytes) -> bool:
        """Puts an id first under its key; others with the same selecting fields, or too many, leave. Whether there was
        anything before."""
        before = self.ids(head.key)
        kept = [number]
        for other in before:
            if other == number:
                continue
            record = self.record(other)
            same = record is None or (record.head.key == head.key and record.head.selecting == head.selecting)
            if same or len(kept) >= MOST_VARIANTS:
                self._drop_response(other)
            else:
                kept.append(other)
        self.txn.put(key_hash(head.key), b"".join(kept), db=self._keys)
        if before:
            self.note_change(Change(head.key))
        return bool(before)

    def _enter_labels(self, head: StoredHead, number: bytes) -> None:
        txn = self.txn
        txn.put(_url_key(head.url, number), b"", db=self._urls)
        for label in names_of(head):
            txn.put(_label_hash(label) + number, b"", db=self._labels)

    def _leave_labels(self, head: StoredHead, number: bytes) -> None:
        txn = self.txn
        txn.delete(_url_key(head.url, number), db=self._urls)
        for label in names_of(head):
            txn.delete(_label_hash(label) + number, db=self._labels)

    def reenter(self, number: bytes, before: Record, head: StoredHead) -> None:
        """Gives a response another head."""
        data = encode_record(Record(head, before.size, before.checksum))
        old_size = len(self.txn.get(number, b"", db=self._heads))
        self.counts.octets += len(data) - old_size
        self.txn.put(number, data, db=self._heads)
        if (before.head.url, before.head.tags, before.head.groups) != (head.url, head.tags, head.groups):
            self._leave_labels(before.head, number)
            self._enter_labels(head, number)

    def put_first(self, head: StoredHead, number: bytes) -> None:
        """Makes a response the newest under its key."""
        self._enter_key(head, number)

    def drop(self, number: bytes) -> Record | None:
        """Removes a response; None if it was gone."""
        record = self.record(number)
        if record is not None:
            digest = key_hash(record.head.key)
            data = self.txn.get(digest, db=self._keys) or b""
            kept = b"".join(
                other for at in range(0, len(data), ID.size) if (other := data[at : at + ID.size]) != number
            )
            if kept:
                self.txn.put(digest, kept, db=self._keys)
            else:
                self.txn.delete(digest, db=self._keys)
        return record if self._drop_response(number) else None

    def _drop_response(self, number: bytes) -> bool:
        """Removes everything but its place under its key. What is damaged leaves labels behind; they name nothing."""
        data = self.txn.pop(number, db=self._heads)
        if data is None:
            return False
        body = self.txn.pop(number, db=self._bodies)
        size = len(body) if body is not None else 0
        try:
            record = decode_record(data)
        except DamagedRecord:
            self.files.append(ID.unpack(number)[0])
        else:
            size = record.size
            self._leave_labels(record.head, number)
            if size > LARGEST_BODY:
                self.files.append(ID.unpack(number)[0])
        self.txn.delete(number, db=self._visited)
        counts = self.counts
        counts.responses = max(counts.responses - 1, 0)
        counts.octets = max(counts.octets - cost_of(len(data), size), 0) if counts.responses else 0
        return True

    def drop_damaged(self, number: bytes) -> None:
        """Removes a response, or what is left of it."""
        if self.drop(number) is None:
            self._drop_response(number)

    def has(self, number: bytes) -> bool:
        """Whether there is a response with this id."""
        return self.txn.get(number, db=self._heads) is not None

    def count_between(self, after: int, place: bytes, last: int) -> int:
        """How many responses have an id from ``place`` to ``last``, and beyond ``after``."""
        count = 0
        with self.txn.cursor(db=self._heads) as cursor:
            if cursor.set_range(max(place, ID.pack(after + 1))):
                for number in cursor.iternext(values=False):
                    if number > ID.pack(last):
                        break
                    count += 1
        return count

    # Eviction.

    def visit(self, numbers: Iterable[int]) -> bool:
        """Notes who was asked for; whether that is anything new."""
        txn = self.txn
        new = False
        for visited in numbers:
            number = ID.pack(visited)
            if txn.get(number, db=self._visited) is None and txn.get(number, db=self._heads) is not None:
                txn.put(number, b"", db=self._visited)
                new = True
        return new

    def evict(self, octets: int, most: int) -> None:
        """Evicts up to ``most`` responses, or until ``octets`` are free of what was there."""
        counts = self.counts
        target = counts.octets - octets
        steps = 0
        while most and counts.responses and counts.octets > target:
            with self.txn.cursor(db=self._heads) as cursor:
                if not cursor.set_range(ID.pack(counts.hand)) and not cursor.first():
                    counts.responses = counts.octets = 0
                    return
                number = cursor.key()
            counts.hand = ID.unpack(number)[0] + 1
            steps += 1
            if steps < _LONGEST_SEARCH and self.txn.delete(number, db=self._visited):
                continue
            if self.record(number) is None:
                self._drop_response(number)
            else:
                self.drop(number)
            counts.evicted += 1
            most -= 1

    # Changes and orders.

    def note_change(self, change: Change) -> int:
        """Tells the memory of other workers; the change's number."""
        counts = self.counts
        counts.last_change += 1
        number = counts.last_change
        self.txn.put(ID.pack(number), self._token + change.encoded(), db=self._changes)
        self.txn.delete(ID.pack(number - MOST_CHANGES), db=self._changes)
        return number

    def order(self, change: Change) -> None:
        """Notes a purge or an invalidation, also for what isn't stored yet."""
        number = ID.pack(self.note_change(change))
        if change.selection is None:
            self.txn.put(key_hash(change.key)[:2], number, db=self._cutoffs)
            return
        self.txn.put(number, change.encoded(), db=self._orders)
        if self.txn.stat(self._orders)["entries"] > MOST_ORDERS:
            with self.txn.cursor(db=self._orders) as cursor:
                if cursor.first():
                    cursor.delete()

    def forbid(self, head: StoredHead, began: int) -> bool:
        """Whether what began after the change ``began`` may not be stored any more."""
        txn = self.txn
        if began >= self.counts.last_change:
            return False
        cutoff = txn.get(key_hash(head.key)[:2], db=self._cutoffs)
        if cutoff is not None and ID.unpack(cutoff)[0] > began:
            return True
        with txn.cursor(db=self._orders) as cursor:
            full = txn.stat(self._orders)["entries"] >= MOST_ORDERS
            if full and cursor.first() and ID.unpack(cursor.key())[0] > began + 1:
                return True
            if not cursor.set_range(ID.pack(began + 1)):
                return False
            return any(decode_change(data).concerns(head) for data in cursor.iternext(keys=False))

    # Who is selected.

    def candidates(self, selection: Selection, after: bytes, most: int) -> tuple[list[bytes], bytes]:
        """Ids of which some are selected, and where to go on; nothing there means that this is the end."""
        found: list[bytes] = []
        label = label_of(selection)
        if selection.everything:
            table, beginnings = self._heads, [b""]
        elif selection.tag or selection.group is not None:
            assert label is not None
            table, beginnings = self._labels, [_label_hash(label)]
        elif selection.host:
            host = host_of(b"x://" + selection.host + b"/")
            table, beginnings = self._urls, [scheme + b"://" + host for scheme in (b"http", b"https")]
        else:
            beginning = selection.prefix[:_URL_SIZE] if selection.prefix else selection.url[:_URL_SIZE] + b"\0"
            table, beginnings = self._urls, [beginning]
        for beginning in beginnings:
            if after and after[: len(beginning)] > beginning:
                continue
            for place in self._range(table, beginning, after):
                if len(found) >= most:
                    return found, place
                found.append(place[-ID.size :])
        return found, b""

    def _range(self, table: lmdb._Database, beginning: bytes, start: bytes) -> Iterator[bytes]:
        with self.txn.cursor(db=table) as cursor:
            first = max(beginning, start)
            if not (cursor.set_range(first) if first else cursor.first()):
                return
            for place in cursor.iternext(values=False):
                if not place.startswith(beginning):
                    return
                yield place
