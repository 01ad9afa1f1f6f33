"""A reader of HTTP/1.1 that shares no code with the proxy: small, slow, and meant to be right at a glance.

It reads what a client sent, what a backend saw, what a backend answered and what a client got. It knows no limits: the
proxy may refuse what is read here, but what the proxy takes must be read here, and must mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import attrs

Lines = tuple[tuple[bytes, bytes], ...]
"""Names in lower case, and values without white space around them."""

_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_TEXT: Final = rb"[\t\x20-\x7e\x80-\xff]*"
_REQUEST_LINE: Final = re.compile(rb"(%b) ([\x21\x22\x24-\x7e\x80-\xff]+) HTTP/1\.([0-9])" % _TOKEN)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: %b)?" % _TEXT)
_FIELD_LINE: Final = re.compile(rb"(%b):(%b)" % (_TOKEN, _TEXT))
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;%b)?" % _TEXT)
_LARGEST: Final = 2**63 - 1


class Wrong(Exception):
    """The octets are no message."""


class Short(Exception):
    """The octets end before the message does. ``body`` is as much of its content as is there."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__()
        self.body = body


@attrs.frozen
class Message:
    """A request or an answer."""

    method: bytes
    """Of a request, or of the request that was answered."""
    fields: Lines
    minor: int
    """The version's second digit."""
    target: bytes = b""
    status: int = 0
    interim: tuple[int, ...] = ()
    """The statuses of the interim answers before the final one."""
    body: bytes = b""
    trailers: Lines = ()
    complete: bool = False

    def all(self, name: bytes) -> list[bytes]:
        """The values under a lower-case name."""
        return [value for known, value in self.fields if known == name]

    def members(self, name: bytes) -> list[bytes]:
        """The members of a list, in lower case."""
        return [part.strip(b" \t").lower() for value in self.all(name) for part in value.split(b",")]


@attrs.frozen
class Reading:
    """What some octets say."""

    messages: list[Message]
    """All but the last are complete."""
    rest: bytes = b""
    """Octets behind them that are no complete head."""
    mistake: str = ""
    """What is wrong behind the messages, or in the last one's body; empty where nothing is."""


def read_requests(octets: bytes, *, empty_line: bool = True, most: int | None = None) -> Reading:
    """The requests in ``octets``, ``most`` of them at most, since what is behind one may be a tunnel's.

    ``empty_line``: one empty line before a request is ignored (RFC 9112 §2.2).
    """
    requests: list[Message] = []
    while octets and len(requests) != most:
        start = 2 if empty_line and octets.startswith(b"\r\n") else 0
        head, end, rest = octets[start:].partition(b"\r\n\r\n")
        if not end:
            return Reading(requests, octets)
        try:
            line, fields = _read_head(head)
            match = _REQUEST_LINE.fullmatch(line)
            if match is None:
                raise Wrong("no request line")
            request = Message(match[1], fields, int(match[3]), target=match[2])
            length = _request_length(request)
        except Wrong as mistake:
            return Reading(requests, octets, str(mistake))
        request, octets, broken = _with_body(request, rest, length)
        requests.append(request)
        if not request.complete:
            return Reading(requests, b"", broken)
    return Reading(requests, octets)


def read_answers(octets: bytes, methods: Sequence[bytes], *, ended: bool) -> Reading:
    """The answers in ``octets`` to requests of these methods. ``ended``: the sender ended its octets, and was not cut.

    What is behind a 101 (Switching Protocols) is a tunnel's: it is given as the body of that answer, which never is
    complete.
    """
    answers: list[Message] = []
    for method in methods:
        if not octets:
            break
        before = octets
        interim: tuple[int, ...] = ()
        while True:
            head, end, rest = octets.partition(b"\r\n\r\n")
            if not end:
                return Reading(answers, before)
            try:
                line, fields = _read_head(head)
                match = _STATUS_LINE.fullmatch(line)
                if match is None:
                    raise Wrong("no status line")
                status = int(match[2])
                if status < 200 and status != 101:
                    interim += (status,)
                    octets = rest
                    continue
                answer = Message(method, fields, int(match[1]), status=status, interim=interim)
                length = _answer_length(answer)
            except Wrong as mistake:
                return Reading(answers, before, str(mistake))
            break
        if status == 101:
            answers.append(attrs.evolve(answer, body=rest))
            return Reading(answers)
        if length == "until close":
            answers.append(attrs.evolve(answer, body=rest, complete=ended))
            return Reading(answers)
        answer, octets, broken = _with_body(answer, rest, length)
        answers.append(answer)
        if not answer.complete:
            return Reading(answers, b"", broken)
    return Reading(answers, octets)


def origin_form(method: bytes, target: bytes) -> bytes:
    """A request's target as a gateway sends it on (RFC 9112 §3.2.1, §3.2.4)."""
    match = re.fullmatch(rb"(?i:https?)://[^/?]*(.*)", target, re.DOTALL)
    if match is None:
        return target
    if not match[1]:
        return b"*" if method == b"OPTIONS" else b"/"
    return match[1] if match[1].startswith(b"/") else b"/" + match[1]


def _read_head(head: bytes) -> tuple[bytes, Lines]:
    first, *lines = head.split(b"\r\n")
    return first, _read_fields(lines)


def _read_fields(lines: Sequence[bytes]) -> Lines:
    fields = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise Wrong(f"no field line: {line!r}")
        fields.append((match[1].lower(), match[2].strip(b" \t")))
    return tuple(fields)


def _length_or_chunked(message: Message) -> int | str | None:
    """What RFC 9112 §6.3 leaves once everything that two readers may read in two ways is wrong."""
    codings = message.all(b"transfer-encoding")
    lengths = message.all(b"content-length")
    if codings and lengths:
        raise Wrong("both Transfer-Encoding and Content-Length")
    if codings:
        if message.minor == 0:
            raise Wrong("Transfer-Encoding in HTTP/1.0")
        if [coding.lower() for coding in codings] != [b"chunked"]:
            raise Wrong("Transfer-Encoding is not chunked")
        return "chunked"
    if lengths:
        if len(lengths) > 1 or re.fullmatch(rb"[0-9]+", lengths[0]) is None:
            raise Wrong("Content-Length is not one number")
        # Python refuses to read numbers of thousands of digits.
        digits = lengths[0].lstrip(b"0") or b"0"
        if len(digits) > 19 or int(digits) > _LARGEST:
            raise Wrong("Content-Length is too large")
        return int(digits)
    return None


def _request_length(request: Message) -> int | str:
    length = _length_or_chunked(request)
    return 0 if length is None else length


def _answer_length(answer: Message) -> int | str:
    if answer.method == b"HEAD" or answer.status in (101, 204, 304):
        return 0
    length = _length_or_chunked(answer)
    return "until close" if length is None else length


def _with_body(message: Message, octets: bytes, length: int | str) -> tuple[Message, bytes, str]:
    """The message with its body, the octets behind it, and what is wrong with the body."""
    if isinstance(length, int):
        body, rest = octets[:length], octets[length:]
        return attrs.evolve(message, body=body, complete=len(body) == length), rest, ""
    try:
        body, trailers, rest = read_chunks(octets)
    except Short as short:
        return attrs.evolve(message, body=short.body), b"", ""
    except WrongChunks as wrong:
        return attrs.evolve(message, body=wrong.body), b"", str(wrong)
    return attrs.evolve(message, body=body, trailers=trailers, complete=True), rest, ""


class WrongChunks(Wrong):
    """A chunked body is broken. ``body`` is what is right before the mistake."""

    def __init__(self, mistake: str, body: bytes) -> None:
        super().__init__(mistake)
        self.body = body


def read_chunks(octets: bytes) -> tuple[bytes, Lines, bytes]:
    """The content of a chunked body (RFC 9112 §7.1), its trailers, and the octets behind it. Raises Wrong or Short."""
    body = b""
    while True:
        line, end, octets = octets.partition(b"\r\n")
        if not end:
            raise Short(body)
        match = _SIZE_LINE.fullmatch(line)
        if match is None or int(match[1], 16) > _LARGEST:
            raise WrongChunks(f"no chunk size: {line!r}", body)
        size = int(match[1], 16)
        if size == 0:
            break
        data, octets = octets[:size], octets[size:]
        body += data
        if len(octets) < 2:
            raise Short(body)
        if not octets.startswith(b"\r\n"):
            raise WrongChunks("a chunk is longer than it says", body)
        octets = octets[2:]
    lines = []
    while True:
        line, end, octets = octets.partition(b"\r\n")
        if not end:
            raise Short(body)
        if not line:
            break
        lines.append(line)
    try:
        return body, _read_fields(lines), octets
    except Wrong as mistake:
        raise WrongChunks(str(mistake), body) from None
