"""What all connections of one listener share."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Protocol

from revproxy.config.model import Limits
from revproxy.http.forward import Network
from revproxy.interfaces import Request
from revproxy.observe.transaction import Transaction
from revproxy.wire.budget import OctetBudget
from revproxy.wire.sweep import Sweep


class RequestIds:
    """Request ids: unique over processes and restarts by their random beginning, cheap by their counted end."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, randomness: bytes) -> None:
        self._prefix = randomness.hex().encode("ascii")
        self._count = itertools.count(1)

    def next(self) -> bytes:
        """A new one: 32 hexadecimal digits for 11 octets of randomness."""
        return b"%b%010x" % (self._prefix, next(self._count))


class Dates:
    """The line ``Date: ...``, rendered once per second (RFC 9110 §6.6.1)."""

    __slots__ = ("_line", "_second", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        """The line for now, with its CRLF."""
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._line = b"Date: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


class Admission:
    """Counts connections, in all and by client address."""

    __slots__ = ("_by_address", "_most", "_most_per_address", "count", "refused", "turning_away")

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._by_address: dict[bytes, int] = {}
        self.count = 0
        self.refused = 0
        self.turning_away = 0
        """Connections that were not let in and are being told so."""

    def adopt(self, most: int, most_per_address: int) -> None:
        """Counts on against other bounds; who is in stays in."""
        self._most = most
        self._most_per_address = most_per_address

    def enter(self, address: bytes, *, counted: bool) -> bool:
        """Asks for one more connection; ``counted`` is whether the address has a limit of its own."""
        if self.shortage(address, counted=counted):
            self.refused += 1
            return False
        if counted:
            self._by_address[address] = self._by_address.get(address, 0) + 1
        self.count += 1
        return True

    def shortage(self, address: bytes, *, counted: bool) -> str:
        """The limit that keeps one more connection out, by its name in the configuration; empty where none does."""
        if self.count >= self._most:
            return "connections"
        if counted and self._by_address.get(address, 0) >= self._most_per_address:
            return "connections_per_address"
        return ""

    def enter_address(self, address: bytes) -> bool:
        """Asks for one more connection of an address, or, behind a trusted proxy, for one more request of its."""
        number = self._by_address.get(address, 0)
        if number >= self._most_per_address:
            self.refused += 1
            return False
        self._by_address[address] = number + 1
        return True

    def of_address(self, address: bytes) -> int:
        """What counts for an address now."""
        return self._by_address.get(address, 0)

    def leave(self, address: bytes, *, counted: bool) -> None:
        """Tells that a connection that was let in is gone."""
        self.count -= 1
        if counted:
            self.leave_address(address)

    def leave_address(self, address: bytes) -> None:
        """Tells that it is over."""
        number = self._by_address[address] - 1
        if number:
            self._by_address[address] = number
        else:
            del self._by_address[address]


class Connected(Protocol):
    """A connection, as its frontend sees it."""

    def frontend_changed(self, old: Limits, *, is_trust_other: bool) -> None:
        """Another configuration is in force. ``old`` are the limits until now, under which a request in flight ends."""


class Frontend:
    """The limits, the tree and the instruments that a listener's channels use."""

    __slots__ = (
        "admission",
        "budget",
        "channels",
        "dates",
        "dispatch",
        "draining",
        "limits",
        "name",
        "new_request_id",
        "now",
        "record",
        "scheme",
        "sweep",
        "trusted",
        "wall",
    )

    def __init__(
        self,
        *,
        limits: Limits,
        dispatch: Callable[[Request], None],
        record: Callable[[Transaction], None],
        sweep: Sweep,
        budget: OctetBudget,
        new_request_id: Callable[[], bytes],
        trusted: Sequence[Network] = (),
        scheme: bytes = b"http",
        wall: Callable[[], float] = time.time,
        name: str = "",
    ) -> None:
        self.name = name
        """The listener's address, as the configuration writes it."""
        self.limits = limits
        self.dispatch = dispatch
        """Gives a request to the tree; may raise ProxyError."""
        self.record = record
        """Takes a transaction that is over."""
        self.sweep = sweep
        self.now = sweep.now
        self.wall = wall
        self.budget = budget
        self.new_request_id = new_request_id
        self.trusted = tuple(trusted)
        self.scheme = scheme
        self.dates = Dates(wall)
        self.admission = Admission(limits.connections, limits.connections_per_address)
        self.draining = False
        self.channels: set[Connected] = set()

    def adopt(
        self,
        *,
        limits: Limits,
        dispatch: Callable[[Request], None],
        record: Callable[[Transaction], None],
        trusted: Sequence[Network],
    ) -> None:
        """Changes it under the connections that use it: requests that come from now on see the new values, those in
        flight end under the old ones, but for where they are recorded."""
        old = self.limits
        networks = tuple(trusted)
        is_trust_other = networks != self.trusted
        self.limits = limits
        self.dispatch = dispatch
        self.record = record
        self.trusted = networks
        self.admission.adopt(limits.connections, limits.connections_per_address)
        for channel in list(self.channels):
            channel.frontend_changed(old, is_trust_other=is_trust_other)


