"""A whole proxy in memory with a cache in it, and an origin whose answers a test writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from revproxy.caching.key import KeyOptions
from revproxy.caching.options import CacheOptions
from revproxy.caching.stored import StoredResponse
from revproxy.http.target import parse_authority
from revproxy.resources.base import Route, Routes
from revproxy.resources.caching import CachingResource
from revproxy.resources.vhost import VirtualHosts
from revproxy.stores.memory import MemoryStore
from tests.support.dialogue import answer
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.reading import Answer, Asked, read_request

MIB = 1024 * 1024


class Cached:
    """A proxy whose one route is cached."""

    cache: CachingResource
    store: Any

    def __init__(
        self,
        options: CacheOptions | None = None,
        *,
        keys: KeyOptions | None = None,
        store: Any = None,
        largest: int = 2 * MIB,
        resource: dict[str, Any] | None = None,
        **proxy_options: Any,
    ) -> None:
        self.options = options or CacheOptions()
        self.asked: list[tuple[Asked, End]] = []
        self.script: Callable[[Asked], bytes | None] | None = None

        def root(proxy: Proxy) -> Any:
            self.store = store(proxy) if store is not None else MemoryStore(64 * MIB, largest, proxy.clock)
            self.cache = CachingResource(
                proxy.resource,
                self.store,
                proxy.sweep,
                options=self.options,
                keys=keys,
                wall=lambda: 1_000_000.0 + proxy.clock.seconds(),
                **(resource or {}),
            )
            hosts = VirtualHosts()
            hosts.addHost(b"*", Routes([Route(b"/", self.cache)]))
            return hosts

        self.proxy = Proxy(root=root, **proxy_options)
        self.proxy.origin.answer = self._accepted

    @property
    def now(self) -> float:
        return 1_000_000.0 + self.proxy.clock.seconds()

    def _accepted(self, end: End) -> None:
        seen = 0
        unread = b""

        def heard() -> None:
            nonlocal seen, unread
            unread += end.received[seen:]
            seen = len(end.received)
            while unread:
                request, rest = read_request(unread)
                if request is None or not request.complete:
                    return
                unread = rest
                self.asked.append((request, end))
                octets = self.script(request) if self.script is not None else None
                if octets is not None:
                    end.send(octets)

        end.heard = heard

    @property
    def requests(self) -> list[Asked]:
        """What the server was asked."""
        return [request for request, _ in self.asked]

    def answers_with(self, *lines: bytes, status: bytes = b"200 OK", body: bytes = b"hello") -> None:
        """From now on the server answers every request so."""
        octets = response(*lines, status=status, body=body)
        head = response(*lines, status=status, body=body, only_head=True)
        self.script = lambda asked: head if asked.method == b"HEAD" else octets

    def get(self, path: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> Answer:
        """A request on a connection of its own, and its answer."""
        client = self.ask(path, *lines, method=method, body=body)
        return answer(client, method)

    def ask(self, path: bytes = b"/", *lines: bytes, method: bytes = b"GET", body: bytes = b"") -> End:
        """A request on a connection of its own; whatever comes is in its ``received``."""
        client = self.proxy.client()
        fields = [b"Host: a.example", *lines]
        if body:
            fields.append(b"Content-Length: %d" % len(body))
        client.send(b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (method, path, b"\r\n".join(fields), body))
        return client

    def advance(self, seconds: float) -> None:
        self.proxy.advance(seconds)

    def reply(self, octets: bytes, at: int = -1) -> End:
        """The server sends octets where it got its ``at``-th request (the last one unless told)."""
        end = self.asked[at][1]
        end.send(octets)
        return end

    @property
    def told(self) -> list[bytes]:
        """What the log says of the cache, for each request that ended."""
        return [transaction.cache_status.removeprefix(b"revproxy; ") for transaction in self.proxy.transactions]

    def stored(self, path: bytes = b"/") -> tuple[StoredResponse, ...]:
        """What is stored for a path of ``a.example``."""
        key = self.cache.keys.of(b"http", parse_authority(b"a.example"), path)
        found = self.store.find(key)
        assert isinstance(found, tuple)
        return found


def told(answer: Answer) -> bytes:
    """Cache-Status without the cache's name."""
    return (answer.get(b"cache-status") or b"").removeprefix(b"revproxy; ")


def response(*lines: bytes, status: bytes = b"200 OK", body: bytes = b"hello", only_head: bool = False) -> bytes:
    """A response with a Content-Length, unless a line says otherwise."""
    fields = list(lines)
    code = status[:3]
    framed = any(line.lower().startswith((b"content-length:", b"transfer-encoding:")) for line in fields)
    if not framed and code not in (b"204", b"304"):
        fields.append(b"Content-Length: %d" % len(body))
    content = b"" if only_head or code in (b"204", b"304") else body
    return b"HTTP/1.1 %b\r\n%b\r\n\r\n%b" % (status, b"\r\n".join(fields), content)


@contextmanager
def caching(options: CacheOptions | None = None, **more: Any) -> Iterator[Cached]:
    """A cached route; nothing may be left behind where the block ends well."""
    cached = Cached(options, **more)
    yield cached
    cached.proxy.assert_at_rest()
    assert len(cached.cache.flights) == 0
