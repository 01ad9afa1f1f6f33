"""Both parsers, the framing and the decoders of bodies, fed with any octets in any pieces.

The first octet of an input says how it is cut and what it is for; the rest is what a peer sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
import h11

from fuzz.strict import Message, Reading, Short, WrongChunks, read_answers, read_chunks, read_requests
from revproxy.errors import ClientError, Malformed
from revproxy.http.facts import request_facts
from revproxy.http.fields import Fields, may_trail
from revproxy.http.framing import ChunkedDecoder, Decoder, FramingError, decoder_for, last_chunk, response_framing
from revproxy.http.parse import RequestHead, RequestParser, ResponseHead, ResponseParser
from revproxy.http.render import REASONS, field_lines, status_line
from revproxy.http.target import parse_target
from tests.http import test_chunked_reference as reference

HEAD_SIZE: Final = 16 * 1024
HEAD_COUNT: Final = 100
TARGET_LENGTH: Final = 8 * 1024
MOST_PIECES: Final = 300
REFERENCE_LENGTH: Final = 1000
"""The reference knows no limits: longer lines are refused by the decoder alone."""
REFERENCE_LINES: Final = 20


@attrs.frozen
class Outcome:
    """What came of some octets: messages, and then an end, an error or something incomplete."""

    messages: tuple[object, ...]
    error: str = ""
    rest: bytes = b""


def cut(octets: bytes, choice: int) -> list[bytes]:
    """Octets in pieces, as ``choice`` says: at each octet, at every so many, or in two."""
    if choice % 3 == 0:
        size = max(1, len(octets) // MOST_PIECES)
    elif choice % 3 == 1:
        size = 2 + choice // 3
    else:
        size = max(1, len(octets) * (choice // 3 + 1) // 87)
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def _read(
    pieces: list[bytes], new_parser: Callable[[], Any], judge: Callable[[Any], Decoder], *, keeps_parser: bool
) -> Outcome:
    """Messages, one after another, as a connection takes them. Errors other than documented ones are not caught."""
    parser = new_parser()
    decoder: Decoder | None = None
    messages: list[object] = []
    head: object = None
    body = pending = b""
    for piece in pieces:
        pending += piece
        try:
            while pending:
                if decoder is None:
                    head = parser.parse(pending)
                    if head is None:
                        break
                    pending = pending[parser.consumed :]
                    decoder = judge(head)
                    body = b""
                if not decoder.done:
                    data, pending = decoder.feed(pending)
                    body += data
                if not decoder.done:
                    assert pending == b"", "a decoder gave octets back before its end"
                    break
                messages.append(_value(head, body, decoder.trailers))
                decoder = None
                if not keeps_parser:
                    parser = new_parser()
        except (ClientError, Malformed, FramingError) as error:
            return Outcome(tuple(messages), type(error).__name__)
    if decoder is not None:
        return Outcome((*messages, (_value(head, body, Fields()), "incomplete")))
    return Outcome(tuple(messages), rest=pending)


def _value(head: object, body: bytes, trailers: Fields) -> tuple[object, ...]:
    if isinstance(head, RequestHead):
        return (head.method, head.target, head.version, head.fields, body, trailers)
    assert isinstance(head, ResponseHead)
    return (head.status, head.reason, head.version, head.fields, body, trailers)


def _read_in_many_ways(
    octets: bytes, choice: int, new_parser: Callable[[], Any], judge: Callable[[Any], Decoder]
) -> Outcome:
    """The outcome, which depends neither on how octets are cut nor on what a parser remembers."""
    outcome = _read([octets], new_parser, judge, keeps_parser=True)
    forgetful = _read([octets], new_parser, judge, keeps_parser=False)
    assert outcome == forgetful, f"a parser that remembers reads {outcome}, a new one {forgetful}"
    in_pieces = _read(cut(octets, choice), new_parser, judge, keeps_parser=True)
    assert outcome == in_pieces, f"whole: {outcome}; in pieces: {in_pieces}"
    return outcome


def check_request(octets: bytes) -> None:
    """Requests, one after another. Raises AssertionError where something is wrong."""
    choice, octets = (octets[0], octets[1:]) if octets else (0, b"")

    def new_parser() -> RequestParser:
        return RequestParser(HEAD_SIZE, HEAD_COUNT, TARGET_LENGTH)

    def judge(head: RequestHead) -> Decoder:
        facts = request_facts(head)
        parse_target(head.method, head.target)
        _check_rendering(head, new_parser(), b"%b %b HTTP/1.%d\r\n" % (head.method, head.target, head.version - 10))
        return decoder_for(facts.framing, HEAD_SIZE, HEAD_COUNT)

    outcome = _read_in_many_ways(octets, choice, new_parser, judge)
    _compare(outcome, read_requests(octets))
    _ask_h11(octets, outcome)
    check_chunks(octets, choice)


def check_response(octets: bytes) -> None:
    """Answers, one after another, to one method. Raises AssertionError where something is wrong."""
    choice, octets = (octets[0], octets[1:]) if octets else (0, b"")
    method = b"HEAD" if choice >= 128 else b"GET"

    def new_parser() -> ResponseParser:
        return ResponseParser(HEAD_SIZE, HEAD_COUNT)

    def judge(head: ResponseHead) -> Decoder:
        _check_rendering(head, new_parser(), status_line(head.status, head.reason))
        framing = response_framing(method, head.status, head.version, head.fields)
        return decoder_for(framing, HEAD_SIZE, HEAD_COUNT)

    outcome = _read_in_many_ways(octets, choice, new_parser, judge)
    # Here each interim answer is a message; the reader counts them as part of the final one, and stops at a tunnel.
    if not any(isinstance(found, tuple) and 100 <= _status(found) < 200 for found in outcome.messages):
        methods = [method] * (len(outcome.messages) + 1)
        _compare(outcome, read_answers(octets, methods, ended=False))


def _status(found: tuple[Any, ...]) -> int:
    status = found[0][0] if isinstance(found[0], tuple) else found[0]
    assert isinstance(status, int)
    return status


def _check_rendering(head: RequestHead | ResponseHead, parser: Any, line: bytes) -> None:
    """What is parsed, rendered and parsed again is the same; an answer gets our version, and a reason if need be."""
    octets = line + field_lines(head.fields) + b"\r\n"
    if len(octets) > HEAD_SIZE:
        return
    again = parser.parse(octets)
    assert again is not None and parser.consumed == len(octets), f"{octets!r} is no head any more"
    assert again.fields == head.fields, f"{octets!r} is read as {again}, not {head}"
    if isinstance(head, RequestHead):
        same = (again.method, again.target, again.version) == (head.method, head.target, head.version)
    else:
        same = again.status == head.status and again.reason == (head.reason or REASONS.get(head.status, b""))
    assert same, f"{octets!r} is read as {again}, not {head}"


def _compare(outcome: Outcome, reading: Reading) -> None:
    """Ours against the strict reader's: it may read more than we take, and nothing else than we do."""
    ours = list(outcome.messages)
    assert len(ours) <= len(reading.messages), f"we read {ours}, the strict reader {reading}"
    for found, other in zip(ours, reading.messages, strict=False):
        assert isinstance(found, tuple)
        if isinstance(found[-1], str):
            value = found[0]
            # What is wrong in a trailer section shows to us at its end.
            assert not other.complete, f"we read {found}, the strict reader {other}"
            assert other.body.startswith(value[4]) and _heads_agree(value, other), f"{found}, {other}"
        else:
            assert other.complete and other.body == found[4] and _heads_agree(found, other), f"{found}, {other}"
            trailers = tuple(line for line in other.trailers if may_trail(line[0]))
            assert _plain(found[5]) == trailers, f"{found}, {other}"


def _plain(fields: Fields) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((lower, value) for lower, _, value in fields.lines)


def _heads_agree(value: tuple[Any, ...], other: Message) -> bool:
    first = (other.method, other.target) if other.target else (other.status,)
    return value[: len(first)] == first and _plain(value[3]) == other.fields and value[2] == min(other.minor, 1) + 10


def _ask_h11(octets: bytes, outcome: Outcome) -> None:
    """A second opinion on the first request, where h11 takes it as well: it is laxer in what it refuses."""
    if not outcome.messages:
        return
    ours = outcome.messages[0]
    assert isinstance(ours, tuple)
    if isinstance(ours[-1], str):
        return
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(octets)
    body = b""
    try:
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            return
        request = event
        while not isinstance(event, h11.EndOfMessage):
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif not isinstance(event, h11.EndOfMessage):
                return
    except h11.RemoteProtocolError:
        return
    assert (request.method, request.target, body) == (ours[0], ours[1], ours[4]), f"h11 reads {request} {body!r}"


def check_chunks(octets: bytes, choice: int) -> None:
    """A chunked body. Raises AssertionError where something is wrong."""
    decoder = ChunkedDecoder(HEAD_SIZE, HEAD_COUNT)
    body = rest = b""
    is_refused = False
    try:
        for piece in cut(octets, choice):
            if decoder.done:
                rest += piece
            else:
                data, rest = decoder.feed(piece)
                body += data
    except FramingError:
        is_refused = True
    try:
        strict, trailers, behind = read_chunks(octets)
    except (Short, WrongChunks) as short:
        assert not decoder.done, f"{body!r} is complete, but {short!r}"
        assert is_refused or short.body.startswith(body), f"{body!r} is not {short.body!r}"
        strict = None
    _ask_reference(octets, strict)
    if strict is None:
        return
    if is_refused:
        assert not _is_small(octets), f"{octets!r} is refused"
        return
    assert decoder.done and (body, rest) == (strict, behind), f"{body!r} is not {strict!r}"
    assert _plain(decoder.trailers) == tuple(line for line in trailers if may_trail(line[0]))
    again = ChunkedDecoder(HEAD_SIZE, HEAD_COUNT)
    again.feed((b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + last_chunk(decoder.trailers))
    assert again.done and again.trailers == decoder.trailers


def _is_small(octets: bytes) -> bool:
    """Whether no limit can be hit."""
    return len(octets) <= REFERENCE_LENGTH and octets.count(b"\r\n") <= REFERENCE_LINES


def _ask_reference(octets: bytes, strict: bytes | None) -> None:
    """The tests' own decoder, which takes one octet after the other, against the strict reader."""
    if not _is_small(octets):
        return
    try:
        content: bytes | None = reference.slow_decode(octets)[0]
    except (reference.Wrong, reference.Short):
        content = None
    assert content == strict, f"the reference reads {content!r}, the strict reader {strict!r}"
