"""Responses in Redis, shared by several machines; purges and invalidations reach all of them.

Everything is asked and written without waiting: ``find`` gives a Deferred, and what is stored is on its way when
``commit`` returns. Commands go over one connection, so what this process asks later sees what it wrote earlier. What
must be one piece is a script (``redis_scripts.py``).

Where Redis is gone, refuses or is slower than ``timeout``, nothing is found and nothing is stored, the log says so once
a minute, and the connection is tried again. Content comes whole before ``find`` answers: reading never waits.

Whoever keeps copies in memory hears of changes by pub/sub, within a round trip; messages that were lost are noticed by
the number of the last change, which is asked for once a second. So another machine's purge is seen by the memory of
this one after a round trip, or after two looks (2 s) where the message was lost.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

import attrs
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from revproxy.caching.stored import Content, Selecting, StoredHead, StoredResponse
from revproxy.interfaces import IStore, Selection, Usage
from revproxy.stores.changes import Change, RecentChanges, decode_change
from revproxy.stores.complaints import Complaints
from revproxy.stores.encoding import DamagedRecord, Record, decode_record, encode_record
from revproxy.stores.filling import MemoryFilling
from revproxy.stores.labels import HOST, host_of, label_of, labels_of, matches
from revproxy.stores.pieces import octets_of
from revproxy.stores.redis_link import RedisAddress, RedisLink
from revproxy.stores.redis_scripts import ACT, ORDER, REMOVE, STORE

SMALL: Final = 64 * 1024
"""Content up to this size stands beside its head; larger is in chunks."""
CHUNK: Final = 256 * 1024
MOST_VARIANTS: Final = 16
MOST_FILLING: Final = 64 << 20
"""Octets of responses that are not complete yet; they are in memory."""
MOST_ORDERS: Final = 1024
MOST_CHANGES: Final = 4096
POLL: Final = 1.0
"""Seconds between looks at the number of the last change."""
STEP: Final = 500
"""Responses that one script looks at, about."""


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).hexdigest().encode("ascii")


def _selecting_hash(selecting: Selecting) -> bytes:
    return _hash(repr(selecting).encode("ascii"))


@attrs.frozen
class Beginning:
    """What a store knew of orders when a filling began."""

    count: int
    """Those that it heard of, or gave."""
    last: int
    """The number of the last that it heard of."""
    gaps: int
    """How often it may have missed some."""


class _Page:
    """Grows with every change that is heard of."""

    def __init__(self) -> None:
        self.page = [1]


@implementer(IStore)
class RedisStore:
    """Keeps responses in a Redis server."""

    name = "redis"
    answers_at_once = False

    def __init__(
        self,
        url: str,
        largest: int,
        reactor: Any,
        *,
        prefix: str = "revproxy:",
        timeout: float = 0.5,
        lifetime: float = 86_400.0,
    ) -> None:
        """``lifetime`` is for how many seconds Redis keeps what nobody stores or validates again. Raises ValueError for
        a URL that is none, ImportError without ``txredisapi``."""
        self.largest = largest
        self.recent = RecentChanges()
        self.pages = _Page()
        self._prefix = prefix.encode("utf-8") + b"1:"
        self._lifetime = max(1, int(lifetime))
        self._token = secrets.token_hex(8).encode("ascii")
        self._reactor = reactor
        self._complaints = Complaints("redis", reactor)
        self._filling = 0
        self._last: int | None = None
        """The number up to which every change was heard of; None while that isn't known."""
        self._gaps = 0
        self._heard: deque[tuple[int, Change]] = deque(maxlen=MOST_CHANGES)
        self._forgot = 1
        self._behind = 0
        self._usage = Usage(0, 0, 0, 0)
        self._stopped = False
        self.stopped: Deferred[Any] | None = None
        """Fires when all connections are closed, once it was stopped."""
        address = RedisAddress.parse(url)
        self._link = RedisLink(address, reactor, timeout, self._complaints.say, self._connected)
        self._news = RedisLink(
            address, reactor, timeout, self._complaints.say, self._listening, self._told, self._prefix + b"changes"
        )
        self._polling: IDelayedCall = reactor.callLater(POLL, self._poll)

    # Finding.

    def find(self, key: bytes) -> tuple[StoredResponse, ...] | Deferred[tuple[StoredResponse, ...]]:
        if not self._link.is_connected:
            self._complaints.say("nothing was found", "there is no connection to Redis")
            return ()
        digest = _hash(key)
        answer = self._link.ask("HGETALL", self._prefix + b"k:" + digest)
        return answer.addCallback(self._found, key, digest).addErrback(self._failed, "nothing was found", ())

    def _found(self, answer: list[bytes], key: bytes, digest: bytes) -> Any:
        if not answer:
            return ()
        fields = dict(zip(answer[::2], answer[1::2], strict=True))
        order = fields.get(b"o", b"")
        found: list[tuple[bytes, Record, bytes | None]] = []
        chunks: list[bytes] = []
        for at in range(0, len(order), 16):
            mark = order[at : at + 16]
            try:
                record = decode_record(fields.get(b"r" + mark, b""))
            except DamagedRecord:
                self._drop_damaged(digest, mark)
                continue
            if record.head.key != key:
                continue
            if b"i" + mark in fields:
                record = Record(record.head.as_invalidated(), record.size, record.checksum)
            if record.size <= SMALL:
                found.append((mark, record, fields.get(b"b" + mark, b"")))
            else:
                found.append((mark, record, None))
                chunks += [self._chunk(mark, place) for place in range(-(-record.size // CHUNK))]
        if chunks:
            return self._link.ask("MGET", *chunks).addCallback(self._complete, found, digest)
        return self._complete([], found, digest)

    def _complete(
        self, chunks: list[bytes | None], found: list[tuple[bytes, Record, bytes | None]], digest: bytes
    ) -> tuple[StoredResponse, ...]:
        responses = []
        place = 0
        for mark, record, body in found:
            if body is None:
                count = -(-record.size // CHUNK)
                body = b"".join([chunk or b"" for chunk in chunks[place : place + count]])
                place += count
            if len(body) != record.size or crc32(body) != record.checksum:
                self._drop_damaged(digest, mark)
                continue
            responses.append(StoredResponse(record.head, Content(body, record.size), mark))
        return tuple(responses)

    def _chunk(self, mark: bytes, place: int) -> bytes:
        return b"%bb:%b:%d" % (self._prefix, mark, place)

    def _drop_damaged(self, digest: bytes, mark: bytes) -> None:
        # Redis throws chunks away when it needs room, so this is nothing to speak of.
        self._run("what is left of a response was not dropped", ACT, b"drop", digest + mark)

    # Storing.

    def begin(self, key: bytes, expected: int) -> MemoryFilling:
        return MemoryFilling(self, expected, Beginning(self.recent.count, self._last or 0, self._gaps))

    def reserve(self, octets: int) -> bool:
        """Asks for room for a part of a response that isn't complete; whether there is any."""
        if self._filling + octets > MOST_FILLING:
            return False
        self._filling += octets
        return True

    def release(self, octets: int) -> None:
        """Gives room back."""
        self._filling -= octets

    def store(self, head: StoredHead, content: Content, began: Beginning) -> StoredResponse | None:
        """Sends what is complete."""
        if not self._link.is_connected or self._stopped or self.recent.forbid(head, began.count):
            return None
        body = octets_of(content)
        # Orders that were heard of are checked; where some were missed since it began, the script has to tell.
        last = began.last if began.gaps != self._gaps or self._last is None else self._last
        try:
            record = encode_record(Record(head, len(body), crc32(body)))
        except OverflowError as error:
            self._complaints.say("a response was not stored", error)
            return None
        mark = secrets.token_hex(8).encode("ascii")
        chunks = 0
        if len(body) > SMALL:
            chunks = -(-len(body) // CHUNK)
            for place in range(chunks):
                chunk = body[place * CHUNK : (place + 1) * CHUNK]
                self._send("a response was not stored", "SET", self._chunk(mark, place), chunk, "EX", self._lifetime)
        ensureDeferred(self._store(head, mark, record, b"" if chunks else body, chunks, last))
        return StoredResponse(head, Content(body, len(body)), mark)

    async def _store(self, head: StoredHead, mark: bytes, record: bytes, body: bytes, chunks: int, last: int) -> None:
        for _ in range(3):
            answer = await self._run(
                "a response was not stored", STORE, *self._stored(head, mark, b"", last, record, body, chunks)
            )
            if not isinstance(answer, list) or not answer:
                return
            # Orders that came since it began, the newest first; where all that are kept are new, some may be lost.
            numbers = [int(order.partition(b" ")[0]) for order in answer]
            changes = [decode_change(order.partition(b" ")[2][len(self._token) :]) for order in answer]
            if len(answer) >= MOST_ORDERS or any(change.concerns(head) for change in changes):
                break
            last = max(numbers)
        for place in range(chunks):
            self._send("a response was not dropped", "UNLINK", self._chunk(mark, place))

    def _stored(
        self, head: StoredHead, mark: bytes, fresh: bytes, last: int, record: bytes, body: bytes, chunks: int
    ) -> list[bytes | int]:
        """The arguments of ``STORE``."""
        names = b"".join([_hash(label) for label in labels_of(head)])
        change = self._token + Change(head.key).encoded()
        return [
            _hash(head.key), mark, fresh, last, MOST_VARIANTS, self._lifetime, record,
            _selecting_hash(head.selecting), body, chunks, names, change,
        ]  # fmt: skip

    # Changing.

    def freshen(self, stored: StoredResponse, head: StoredHead) -> StoredResponse:
        if isinstance(stored.mark, bytes) and self._link.is_connected:
            size = stored.content.size
            octets = stored.content.octets
            record = encode_record(Record(head, size, crc32(octets if octets is not None else b"")))
            # A validation that began before an invalidation doesn't undo it.
            fresh = b"validated" if stored.head.invalidated else b"fresh"
            arguments = self._stored(head, stored.mark, fresh, 0, record, b"", 0)
            self._run("a response was not freshened", STORE, *arguments)
        return StoredResponse(head, stored.content, stored.mark)

    def remove(self, stored: StoredResponse) -> None:
        if isinstance(stored.mark, bytes):
            key = stored.head.key
            change = self._token + Change(key).encoded()
            self._run("a response was not removed", REMOVE, _hash(key), stored.mark, change)

    def invalidate(self, key: bytes) -> int | Deferred[int]:
        change = Change(key)
        self.recent.add(change)
        answer = self._order(change, _hash(key))
        return answer.addCallback(lambda count: count if isinstance(count, int) else 0)

    def invalidate_groups(self, origin: bytes, groups: frozenset[bytes]) -> int | Deferred[int]:
        return ensureDeferred(self._act_on([Selection(group=(origin, group)) for group in sorted(groups)], b"mark"))

    def purge(self, selection: Selection) -> int | Deferred[int]:
        return ensureDeferred(self._act_on([selection], b"drop"))

    async def _act_on(self, selections: list[Selection], act: bytes) -> int:
        for selection in selections:
            self.recent.add(Change(selection=selection))
        count = 0
        for selection in selections:
            change = Change(selection=selection)
            await self._order(change, b"")
            count += await self._walk(selection, act)
            # Whoever keeps copies dropped them at the beginning, and may have found some of them here again since.
            await self._order(change, b"")
        return count

    async def _walk(self, selection: Selection, act: bytes) -> int:
        count = 0
        label = label_of(selection)
        if label is None and selection.prefix.count(b"/") > 2:
            label = HOST + host_of(selection.prefix)
        cursor = b"0"
        while True:
            if label is not None:
                command: tuple[bytes | str | int, ...] = ("SSCAN", self._prefix + b"l:" + _hash(label), cursor)
            else:
                command = ("SCAN", cursor, "MATCH", self._prefix + b"k:*")
            answer = await self._asked("a purge was not done", *command, "COUNT", STEP)
            if not answer:
                return count
            cursor, members = answer
            if label is None:
                members = [name[-32:] for name in members]
            if selection.prefix:
                members = await self._with_prefix(selection, members)
            if members:
                done = await self._run("a purge was not done", ACT, act, *members)
                count += done if isinstance(done, int) else 0
            if cursor == b"0":
                return count

    async def _with_prefix(self, selection: Selection, members: list[bytes]) -> list[bytes]:
        """Of keys, or of keys and ids, those whose URL begins so."""
        found = []
        for member in members:
            name = self._prefix + b"k:" + member[:32]
            marks = [member[32:]] if member[32:] else None
            if marks is None:
                order = await self._asked("a purge was not done", "HGET", name, "o") or b""
                marks = [order[at : at + 16] for at in range(0, len(order), 16)]
            records = (
                await self._asked("a purge was not done", "HMGET", name, *[b"r" + mark for mark in marks])
                if marks
                else []
            )
            for mark, data in zip(marks, records or [], strict=False):
                try:
                    if matches(selection, decode_record(data or b"").head):
                        found.append(member[:32] + mark)
                except DamagedRecord:
                    found.append(member[:32] + mark)
        return found

    def _order(self, change: Change, digest: bytes) -> Deferred[Any]:
        return self._run("a purge was not done", ORDER, self._token + change.encoded(), MOST_ORDERS, digest)

    # For those who keep copies.

    @property
    def is_listening(self) -> bool:
        """Whether it hears what others change."""
        return self._news.is_connected

    @property
    def is_failing(self) -> bool:
        """Whether it can neither find nor store at the moment."""
        return not self._link.is_connected

    def changes(self, after: int) -> tuple[int, list[Change] | None]:
        """The number of the last change, and what others changed since ``after``; None if that isn't known any more."""
        last = self.pages.page[0]
        if after < self._forgot:
            return last, None
        return last, [change for number, change in self._heard if number > after]

    def visit(self, marks: Iterable[Any]) -> None:
        """Nothing: what Redis throws away is not chosen by visits."""

    def _told(self, message: bytes) -> None:
        number, _, rest = message.partition(b" ")
        if not number.isdigit():
            return
        if self._last is not None and int(number) != self._last + 1:
            self._forget()
        self._last = int(number)
        self._behind = 0
        if rest[: len(self._token)] == self._token:
            return
        change = decode_change(rest[len(self._token) :])
        self.recent.add(change)
        page = self.pages.page
        page[0] += 1
        if len(self._heard) == MOST_CHANGES:
            self._forgot = self._heard[0][0]
        self._heard.append((page[0], change))

    def _forget(self) -> None:
        """What others changed isn't known from here back."""
        self._gaps += 1
        self.pages.page[0] += 1
        self._forgot = self.pages.page[0]
        self._heard.clear()

    def _listening(self, there: bool) -> None:
        self._last = None
        self._behind = 0
        self._forget()
        self._look()

    def _connected(self, there: bool) -> None:
        if there:
            self._look()
        else:
            self._forget()

    def _poll(self) -> None:
        self._polling = self._reactor.callLater(POLL, self._poll)
        self._look()

    def _look(self) -> None:
        if self._link.is_connected:
            self._asked("the last change is not known", "GET", self._prefix + b"last").addCallback(self._polled)

    def _polled(self, answer: bytes | None) -> None:
        last = int(answer) if answer is not None and answer.isdigit() else 0
        if self._last is None:
            # The first look; nothing is in anybody's memory that was found before.
            self._forget()
            self._last = last
        elif last < self._last:
            # The server forgot.
            self._forget()
            self._last = last
        elif last > self._last:
            # Its messages may be on their way, but not until the next look.
            if self._behind and self._last < self._behind:
                self._last = last
                self._forget()
                self._behind = 0
            else:
                self._behind = last

    # The rest.

    def usage(self) -> Usage:
        """What Redis says of itself, as of the last time that it was asked; it counts no responses."""
        if self._link.is_connected:
            self._asked("its usage is not known", "INFO").addCallback(self._told_usage)
        return self._usage

    def _told_usage(self, answer: bytes | None) -> None:
        figures = dict(line.split(b":", 1) for line in (answer or b"").splitlines() if b":" in line)

        def figure(name: bytes) -> int:
            value = figures.get(name, b"")
            return int(value) if value.isdigit() else 0

        self._usage = Usage(0, figure(b"used_memory"), figure(b"maxmemory"), figure(b"evicted_keys"))

    def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._polling.active():
            self._polling.cancel()
        self.stopped = gatherResults([self._link.stop(), self._news.stop()])

    def _run(self, what: str, script: str, *arguments: bytes | str | int) -> Deferred[Any]:
        return self._link.run(script, self._prefix, *arguments).addErrback(self._failed, what, None)

    def _asked(self, what: str, *command: bytes | str | int) -> Deferred[Any]:
        return self._link.ask(*command).addErrback(self._failed, what, None)

    def _send(self, what: str, *command: bytes | str | int) -> None:
        self._asked(what, *command)

    def _failed(self, failure: Any, what: str, default: Any) -> Any:
        if not self._stopped:
            self._complaints.say(what, failure.value)
        return default
