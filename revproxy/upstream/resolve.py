"""Names of servers → addresses, asked again when their time to live is over.

The system's resolver says which addresses there are, since it alone knows the hosts file, search domains and whatever
else the machine was told. It does not say for how long: that is asked of DNS beside it, and where DNS does not answer,
a configured age is used. Old addresses serve on while new ones are looked up.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorPluggableNameResolver, IResolutionReceiver
from twisted.logger import Logger
from twisted.names import dns
from zope.interface import implementer

from revproxy.upstream.peer import Peer
from revproxy.wire.connect import SocketAddress

_log = Logger()

LookedUp = Callable[[Sequence[SocketAddress], str], None]
"""Called with the addresses, or with none and what is wrong."""
AskTTL = Callable[[str], "Deferred[float | None]"]
"""Asks DNS for the time to live (seconds) of a name's addresses."""

SHORTEST: Final = 1.0
LONGEST: Final = 3600.0


@implementer(IResolutionReceiver)
class _Gathering:
    """Gathers what the system's resolver finds for one name."""

    def __init__(self, done: Callable[[list[str]], None]) -> None:
        self._done = done
        self._found: list[str] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """It began."""

    def addressResolved(self, address: Any) -> None:
        """One more address."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self._found:
            self._found.append(address.host)

    def resolutionComplete(self) -> None:
        """That was all."""
        self._done(self._found)


class _Name:
    """What is known of one name."""

    __slots__ = ("addresses", "asking", "expires", "waiting")

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.expires = float("-inf")
        self.asking = False
        self.waiting: list[Callable[[], None]] = []


class Resolver:
    """Looks servers up, and remembers."""

    def __init__(
        self,
        reactor: IReactorPluggableNameResolver,
        now: Callable[[], float],
        *,
        every: float,
        ask_ttl: AskTTL | None = None,
    ) -> None:
        self._reactor = reactor
        self._now = now
        self._every = every
        self._ask_ttl = ask_ttl
        self._names: dict[str, _Name] = {}

    def take_over(self, other: Resolver, hosts: Iterable[str]) -> None:
        """Knows the addresses that another one knows of these names."""
        for host in hosts:
            theirs = other._names.get(host)
            if theirs is not None and theirs.addresses and host not in self._names:
                name = self._names[host] = _Name()
                name.addresses = theirs.addresses
                name.expires = min(theirs.expires, self._now() + self._every)

    def look_up(self, peer: Peer, looked_up: LookedUp) -> None:
        """Calls back with the server's addresses: at once for a literal address, a unix socket or a known name."""
        if peer.path:
            looked_up([(socket.AF_UNIX, peer.path)], "")
            return
        try:
            literal = ipaddress.ip_address(peer.host)
        except ValueError:
            self._look_up_name(peer, looked_up)
            return
        looked_up([_socket_address(str(literal), peer.port)], "")

    def _look_up_name(self, peer: Peer, looked_up: LookedUp) -> None:
        name = self._names.setdefault(peer.host, _Name())

        def tell() -> None:
            addresses = [_socket_address(address, peer.port) for address in name.addresses]
            looked_up(addresses, "" if addresses else "no such name")

        if self._now() < name.expires or (name.addresses and name.asking):
            tell()
            return
        if name.addresses:
            tell()
        else:
            name.waiting.append(tell)
        if not name.asking:
            name.asking = True
            self._ask(peer.host, name)

    def _ask(self, host: str, name: _Name) -> None:
        def found(addresses: list[str]) -> None:
            name.asking = False
            if addresses:
                if name.addresses and set(addresses) != set(name.addresses):
                    _log.info("{host} has new addresses: {addresses}", host=host, addresses=", ".join(addresses))
                name.addresses = addresses
                name.expires = self._now() + self._every
                self._learn_ttl(host, name)
            waiting, name.waiting = name.waiting, []
            for tell in waiting:
                tell()

        self._reactor.nameResolver.resolveHostName(_Gathering(found), host, 0)

    def _learn_ttl(self, host: str, name: _Name) -> None:
        if self._ask_ttl is None or "." not in host.rstrip("."):
            return
        asked_at = self._now()

        def learned(ttl: float | None) -> None:
            if ttl is not None:
                name.expires = asked_at + min(max(ttl, SHORTEST), LONGEST)

        self._ask_ttl(host).addCallbacks(learned, lambda failure: None)


def _socket_address(address: str, port: int) -> SocketAddress:
    if ":" in address:
        return socket.AF_INET6, (address, port, 0, 0)
    return socket.AF_INET, (address, port)


class DNSTimeToLive:
    """Asks the machine's DNS servers for the time to live of a name's addresses."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    async def _ask(self, host: str) -> float | None:
        times = []
        for look_up in (self._resolver.lookupAddress, self._resolver.lookupIPV6Address):
            try:
                answers, _, _ = await look_up(host, timeout=(1, 2))
            except Exception:  # noqa: BLE001  # whatever DNS can't say, the configured age says
                continue
            times += [answer.ttl for answer in answers if answer.type in (dns.A, dns.AAAA, dns.CNAME)]
        return float(min(times)) if times else None

    def __call__(self, host: str) -> Deferred[float | None]:
        """The smallest time to live among the answers; None where there is no answer."""
        return Deferred.fromCoroutine(self._ask(host))
