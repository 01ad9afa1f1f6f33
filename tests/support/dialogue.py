"""Dialogues: what a client sends, in every way that a network may cut it, and an origin that answers by a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.support.network import End, Origin
from tests.support.proxy import Proxy
from tests.support.reading import Answer, Asked, read_answers, read_request

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def ways(data: bytes, *, step: int = 1) -> Iterator[Sequence[int]]:
    """Where octets may be cut: nowhere, everywhere, once at every place (or at every ``step``-th)."""
    yield ()
    yield range(1, len(data))
    for at in range(1, len(data), step):
        yield (at,)


@contextmanager
def running(**options: Any) -> Iterator[Proxy]:
    """A proxy that must come to rest, with nothing left behind, where the block ends well."""
    proxy = Proxy(**options)
    yield proxy
    proxy.assert_at_rest()


def answering(origin: Origin, script: Callable[[Asked], bytes]) -> list[Asked]:
    """Lets an origin answer every complete request by a script; the requests are gathered in the result."""
    asked: list[Asked] = []

    def accepted(end: End) -> None:
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
                asked.append(request)
                end.send(script(request))

        end.heard = heard

    origin.answer = accepted
    return asked


def answers(client: End, *methods: bytes) -> list[Answer]:
    """What a client got for requests of these methods (GET where none is named)."""
    return read_answers(client.received, list(methods) or [b"GET"], ended=client.ended)


def answer(client: End, method: bytes = b"GET") -> Answer:
    """The one answer that a client got."""
    (only,) = answers(client, method)
    return only
