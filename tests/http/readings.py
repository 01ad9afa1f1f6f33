"""One request read in full by our parser and by h11: two readings of the same octets that can be compared."""

from __future__ import annotations

from typing import Final

import attrs
import h11

from revproxy.errors import ProxyError
from revproxy.http.facts import request_facts
from revproxy.http.framing import FramingError, decoder_for
from revproxy.http.parse import RequestParser
from revproxy.http.target import parse_target

FRAMING_NAMES: Final = (b"content-length", b"transfer-encoding")


@attrs.frozen
class Reading:
    """A complete request and what is left behind it. Framing fields are left out: the body shows what they meant."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    trailers: tuple[tuple[bytes, bytes], ...]
    rest: bytes


REFUSED: Final = "refused"
INCOMPLETE: Final = "incomplete"


def read_ours(raw: bytes) -> Reading | str:
    parser = RequestParser(16 * 1024, 100, 8 * 1024)
    try:
        head = parser.parse(raw)
        if head is None:
            return INCOMPLETE
        facts = request_facts(head)
        parse_target(head.method, head.target)
        decoder = decoder_for(facts.framing, 16 * 1024, 100)
        body, rest = decoder.feed(raw[parser.consumed :])
    except (ProxyError, FramingError):
        return REFUSED
    if not decoder.done:
        return INCOMPLETE
    return Reading(
        head.method,
        head.target,
        tuple((lower, value) for lower, _, value in head.fields.lines if lower not in FRAMING_NAMES),
        body,
        tuple((lower, value) for lower, _, value in decoder.trailers.lines),
        rest,
    )


def read_h11(raw: bytes) -> Reading | str:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return INCOMPLETE
        body = b""
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return INCOMPLETE
    except h11.RemoteProtocolError:
        return REFUSED
    return Reading(
        request.method,
        request.target,
        tuple((name, value) for name, value in request.headers if name not in FRAMING_NAMES),
        body,
        tuple(event.headers),
        connection.trailing_data[0],
    )
