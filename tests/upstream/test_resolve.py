"""Names of servers: looked up, remembered for their time, served stale while they are looked up again."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from revproxy.upstream.peer import Peer
from revproxy.upstream.resolve import Resolver
from revproxy.wire.connect import SocketAddress


class System:
    """The system's resolver: what it says, and when."""

    def __init__(self) -> None:
        self.nameResolver = self
        self.asked: list[str] = []
        self.answers: list[str] | None = []
        self.waiting: list[Any] = []

    def resolveHostName(self, receiver: Any, name: str, port: int = 0, *_: Any) -> None:
        self.asked.append(name)
        receiver.resolutionBegan(None)
        self.waiting.append(receiver)

    def answer(self, *addresses: str) -> None:
        receiver = self.waiting.pop(0)
        for address in addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, 0))
        receiver.resolutionComplete()


class Asker:
    """A fixture of one resolver under a clock."""

    def __init__(self, ttl: Any = None) -> None:
        self.clock = Clock()
        self.system = System()
        self.resolver = Resolver(self.system, self.clock.seconds, every=30.0, ask_ttl=ttl)  # type: ignore[arg-type]
        self.told: list[tuple[Sequence[SocketAddress], str]] = []

    def ask(self, host: str = "app.example") -> None:
        self.resolver.look_up(Peer("http", host, 8000), lambda found, mistake: self.told.append((found, mistake)))

    def hosts(self) -> list[list[str]]:
        return [[address[1][0] for address in found] for found, _ in self.told]


def test_addresses_and_sockets_are_not_looked_up() -> None:
    asker = Asker()
    asker.ask("10.0.0.1")
    asker.ask("::1")
    asker.resolver.look_up(Peer("http", "", 0, "/run/x"), lambda found, mistake: asker.told.append((found, mistake)))
    assert asker.told == [
        ([(socket.AF_INET, ("10.0.0.1", 8000))], ""),
        ([(socket.AF_INET6, ("::1", 8000, 0, 0))], ""),
        ([(socket.AF_UNIX, "/run/x")], ""),
    ]
    assert asker.system.asked == []


def test_all_addresses_of_both_families_each_once() -> None:
    asker = Asker()
    asker.ask()
    asker.system.answer("10.0.0.1", "::1", "10.0.0.1")
    assert asker.hosts() == [["10.0.0.1", "::1"]]


def test_those_who_ask_at_once_share_one_look_up() -> None:
    asker = Asker()
    asker.ask()
    asker.ask()
    assert asker.told == []
    asker.system.answer("10.0.0.1")
    assert asker.hosts() == [["10.0.0.1"]] * 2
    assert len(asker.system.asked) == 1


def test_old_addresses_serve_while_new_ones_are_looked_up() -> None:
    asker = Asker()
    asker.ask()
    asker.system.answer("10.0.0.1")
    asker.clock.advance(29)
    asker.ask()
    assert len(asker.system.asked) == 1
    asker.clock.advance(2)
    asker.ask()
    asker.ask()
    assert asker.hosts() == [["10.0.0.1"]] * 4
    assert len(asker.system.asked) == 2
    asker.system.answer("10.0.0.2")
    asker.ask()
    assert asker.hosts()[-1] == ["10.0.0.2"]


def test_a_name_that_vanished_keeps_its_addresses() -> None:
    asker = Asker()
    asker.ask()
    asker.system.answer("10.0.0.1")
    asker.clock.advance(31)
    asker.ask()
    asker.system.answer()
    asker.ask()
    assert asker.hosts()[-1] == ["10.0.0.1"]


def test_no_such_name() -> None:
    asker = Asker()
    asker.ask()
    asker.system.answer()
    assert asker.told == [([], "no such name")]
    asker.ask()
    asker.system.answer("10.0.0.1")
    assert asker.hosts()[-1] == ["10.0.0.1"]


def test_the_time_to_live_is_kept_within_bounds() -> None:
    for ttl, kept in ((5.0, 5.0), (0.0, 1.0), (1e9, 3600.0), (None, 30.0)):
        asker = Asker(lambda host, ttl=ttl: succeed(ttl))
        asker.ask()
        asker.system.answer("10.0.0.1")
        asker.clock.advance(kept - 0.5)
        asker.ask()
        assert len(asker.system.asked) == 1
        asker.clock.advance(1)
        asker.ask()
        assert len(asker.system.asked) == 2


def test_a_dns_that_fails_leaves_the_configured_age() -> None:
    waiting: Deferred[float | None] = Deferred()
    asker = Asker(lambda host: waiting)
    asker.ask()
    asker.system.answer("10.0.0.1")
    waiting.errback(OSError("no DNS"))
    asker.clock.advance(29)
    asker.ask()
    assert len(asker.system.asked) == 1
