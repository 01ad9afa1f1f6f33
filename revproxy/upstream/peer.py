"""A server behind: the exact facts that make two connections to it interchangeable, and how it fares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from revproxy.wire.connect_tls import ClientContext

if TYPE_CHECKING:
    from revproxy.upstream.connection import UpstreamConnection

LONGEST_ASIDE = 16


@attrs.frozen
class Peer:
    """Where a server is. Two connections may stand for each other only if their peers are equal."""

    scheme: str
    host: str
    """A name or an address without brackets; empty for a unix socket."""
    port: int
    path: str = ""
    """The unix socket's path; empty for TCP."""

    @property
    def name(self) -> bytes:
        """The server as logs show it."""
        if self.path:
            return b"unix:" + self.path.encode()
        return self.authority

    @property
    def authority(self) -> bytes:
        """The server as Host would name it."""
        if self.path:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.encode("ascii") + (b"" if self.port == self.default_port else b":%d" % self.port)

    @property
    def default_port(self) -> int:
        """The port that the scheme itself means (RFC 9110 §4.2)."""
        return 443 if self.scheme == "https" else 80

    @property
    def authorities(self) -> frozenset[bytes]:
        """Every way to write the server's authority, in lower case, for finding it in what a backend says."""
        if self.path:
            return frozenset()
        host = (f"[{self.host}]" if ":" in self.host else self.host).lower().encode("ascii")
        names = {b"%b:%d" % (host, self.port)}
        if self.port == self.default_port:
            names.add(host)
        return frozenset(names)


class PeerState:
    """How a server fares: its connections and its failures."""

    __slots__ = (
        "aside_until",
        "current_weight",
        "down",
        "failures",
        "idle",
        "name",
        "open",
        "peer",
        "probing",
        "secure",
        "speaks_http10",
        "weight",
    )

    def __init__(self, peer: Peer, weight: int, secure: ClientContext | None = None) -> None:
        self.peer = peer
        self.secure = secure
        """How TLS is spoken with it; None for a server that speaks none."""
        self.name = peer.name
        self.weight = weight
        self.current_weight = 0
        self.idle: list[UpstreamConnection] = []
        """Kept-alive connections that are free, the newest last."""
        self.open = 0
        """Connections that are open or being opened."""
        self.failures = 0
        """Connects that failed in a row."""
        self.aside_until = 0.0
        self.probing = False
        self.down = False
        """Whether an operator wants it to get no requests."""
        self.speaks_http10 = False
        """Whether its last answer was HTTP/1.0: then it can't read chunks (RFC 9112 §6.1)."""

    def connect_failed(self, now: float, set_aside: float) -> bool:
        """Counts a failure and sets the server aside, each time for twice as long. True the first time in a row."""
        self.failures += 1
        self.aside_until = now + set_aside * min(2 ** (self.failures - 1), LONGEST_ASIDE)
        return self.failures == 1

    def connected(self) -> bool:
        """A connect succeeded. True if the server had been set aside."""
        if not self.failures:
            return False
        self.failures = 0
        self.aside_until = 0.0
        return True

    def told_aside(self, until: float) -> None:
        """Another process found that it can't be reached, and tries it again at ``until``; 0.0: that it can."""
        if until <= 0.0:
            self.connected()
        else:
            self.failures = max(self.failures, 1)
            self.aside_until = max(self.aside_until, until)

    def take_over(self, other: PeerState) -> None:
        """Knows of the server what is known of it elsewhere."""
        self.failures = other.failures
        self.aside_until = other.aside_until
        self.speaks_http10 = other.speaks_http10
        self.down = other.down

    @property
    def condition(self) -> str:
        """How it fares, in a word: up, aside (it could not be reached) or down (an operator wants it so)."""
        return "down" if self.down else "aside" if self.failures else "up"

    def __repr__(self) -> str:
        return f"<PeerState {self.name!r} open={self.open} idle={len(self.idle)} failures={self.failures}>"
