"""Octets in every way that a network may cut them: whole, one by one, in two pieces at every place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import attrs

from revproxy.errors import ProxyError
from revproxy.http.facts import request_facts
from revproxy.http.fields import Fields
from revproxy.http.framing import ChunkedDecoder, Framing, FramingError, response_framing
from revproxy.http.parse import RequestHead, RequestParser, ResponseHead, ResponseParser
from revproxy.http.target import parse_target

HEAD_SIZE, HEAD_COUNT, TARGET_LENGTH = 4096, 20, 256


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """All the ways."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


class _Parser(Protocol):
    consumed: int

    def parse(self, data: bytes) -> Any: ...


@attrs.frozen
class Outcome:
    """What came of some octets: an error's class, or a result and the octets behind it; both None while incomplete."""

    error: type[Exception] | None
    result: object
    rest: bytes = b""


def _head_outcome(parser: _Parser, pieces: list[bytes], judge: Callable[[Any], object]) -> Outcome:
    data = b""
    for at, piece in enumerate(pieces):
        data += piece
        try:
            head = parser.parse(data)
            if head is not None:
                return Outcome(None, judge(head), data[parser.consumed :] + b"".join(pieces[at + 1 :]))
        except (ProxyError, FramingError) as error:
            return Outcome(type(error), None)
    return Outcome(None, None)


def _same(outcomes: Iterator[tuple[list[bytes], Outcome]]) -> Outcome:
    _, first = next(outcomes)
    for pieces, outcome in outcomes:
        assert outcome == first, f"cut as {pieces!r}"
    return first


@attrs.frozen
class Accepted:
    """A request that is served: all that its head decides."""

    method: bytes = b"GET"
    target: bytes = b"/"
    version: int = 11
    host: bytes = b"a"
    framing: Framing = attrs.field(factory=lambda: Framing("none"))
    fields: tuple[tuple[bytes, bytes], ...] | None = attrs.field(default=None, eq=False)


def judge_request(head: RequestHead) -> Accepted:
    """The channel's steps between a head and the tree."""
    facts = request_facts(head)
    target = parse_target(head.method, head.target)
    host = (target.authority or facts.authority).host
    fields = tuple((name, value) for _, name, value in head.fields.lines)
    return Accepted(head.method, target.raw, head.version, host, facts.framing, fields)


def request_outcome(
    raw: bytes, head_size: int = HEAD_SIZE, head_count: int = HEAD_COUNT, target_length: int = TARGET_LENGTH
) -> Outcome:
    """What a request becomes, the same in whatever pieces it comes."""
    return _same(
        (pieces, _head_outcome(RequestParser(head_size, head_count, target_length), pieces, judge_request))
        for pieces in cuts(raw)
    )


@attrs.frozen
class Answer:
    """A response that is passed on."""

    status: int = 200
    reason: bytes = b"OK"
    version: int = 11
    framing: Framing = attrs.field(factory=lambda: Framing("until close"))


def response_outcome(
    raw: bytes, method: bytes = b"GET", head_size: int = HEAD_SIZE, head_count: int = HEAD_COUNT
) -> Outcome:
    """What a response to ``method`` becomes, the same in whatever pieces it comes."""

    def judge(head: ResponseHead) -> Answer:
        framing = response_framing(method, head.status, head.version, head.fields)
        return Answer(head.status, head.reason, head.version, framing)

    return _same(
        (pieces, _head_outcome(ResponseParser(head_size, head_count), pieces, judge)) for pieces in cuts(raw)
    )


@attrs.frozen
class Body:
    """A chunked body, decoded."""

    octets: bytes
    trailers: Fields = attrs.field(factory=Fields)


def decode_chunked(pieces: list[bytes], head_size: int = HEAD_SIZE, head_count: int = HEAD_COUNT) -> Outcome:
    """What a chunked body in these pieces becomes."""
    decoder = ChunkedDecoder(head_size, head_count)
    body = b""
    for at, piece in enumerate(pieces):
        try:
            octets, rest = decoder.feed(piece)
        except (ProxyError, FramingError) as error:
            return Outcome(type(error), None)
        body += octets
        if decoder.done:
            return Outcome(None, Body(body, decoder.trailers), rest + b"".join(pieces[at + 1 :]))
        assert rest == b""
    return Outcome(None, None)


def chunked_outcome(raw: bytes, head_size: int = HEAD_SIZE, head_count: int = HEAD_COUNT) -> Outcome:
    """What a chunked body becomes, the same in whatever pieces it comes."""
    return _same((pieces, decode_chunked(pieces, head_size, head_count)) for pieces in cuts(raw))
