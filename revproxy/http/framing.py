"""How a body ends: the one place that decides it, and the one place that cuts it.

Theory of operation. A message on a connection is a head and then a body whose end is told by the head alone. Whoever
sees another end than the peer sees another *next* message: that is request smuggling (RFC 9112 §11.2). So the rules
here are stricter than RFC 9112 §6.3 has to be: whatever two recipients could read in two ways is refused, not repaired.
``request_framing`` and ``response_framing`` decide from the fields; ``LengthDecoder``, ``ChunkedDecoder`` and
``RawDecoder`` cut the octets, and each of them tells ``done`` at the last octet of the body and gives back what lies
behind it.
"""

from __future__ import annotations

from typing import Final

from revproxy.errors import BadRequest, Malformed, NotImplementedCoding
from revproxy.http.fields import NO_FIELDS, VALUE_OCTETS, FieldError, Fields, may_trail, parse_fields

LARGEST: Final = 2**63 - 1


class Framing:
    """How a body ends: at once (``none``), after a number of octets, by chunks, with the connection, never (tunnel)."""

    __slots__ = ("kind", "length")

    def __init__(self, kind: str, length: int = 0) -> None:
        self.kind = kind
        self.length = length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Framing) and self.kind == other.kind and self.length == other.length

    def __hash__(self) -> int:
        return hash((self.kind, self.length))

    def __repr__(self) -> str:
        return f"<Framing {self.kind}{f' {self.length}' if self.kind == 'length' else ''}>"


NO_BODY: Final = Framing("none")
CHUNKED: Final = Framing("chunked")
UNTIL_CLOSE: Final = Framing("until close")
TUNNEL: Final = Framing("tunnel")
EMPTY: Final = Framing("length", 0)


def content_length(fields: Fields) -> int | None:
    """The value of Content-Length (RFC 9110 §8.6), or None where there is none. Raises ValueError.

    RFC 9112 §6.3 lets a recipient accept a list of equal values; a proxy that does so hides a disagreement from one of
    its neighbours, so one line with digits is all that is taken.
    """
    value = fields.get(b"content-length")
    if value is None:
        return None
    if fields.is_repeated(b"content-length"):
        raise ValueError("more than one Content-Length")
    if not value.isdigit():
        raise ValueError("Content-Length is not a number")
    if len(value) > 19:
        value = value.lstrip(b"0") or b"0"
        if len(value) > 19:
            raise ValueError("Content-Length is too large")
    length = int(value)
    if length > LARGEST:
        raise ValueError("Content-Length is too large")
    return length


def request_framing(version: int, fields: Fields) -> Framing:
    """How a request's body ends (RFC 9112 §6.1, §6.3). Raises BadRequest or NotImplementedCoding."""
    coding = fields.get(b"transfer-encoding")
    try:
        length = content_length(fields)
    except ValueError as mistake:
        raise BadRequest(str(mistake)) from None
    if coding is None:
        if length is None:
            return NO_BODY
        return Framing("length", length)
    if version < 11:
        raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
    if length is not None:
        raise BadRequest("both Transfer-Encoding and Content-Length")
    if coding.lower() == b"chunked":
        return CHUNKED
    codings = [part.strip(b" \t").lower() for part in coding.split(b",")]
    if codings[-1] != b"chunked" or b"" in codings:
        raise BadRequest("chunked is not the last transfer coding")
    if codings.count(b"chunked") > 1:
        raise BadRequest("chunked is applied more than once")
    raise NotImplementedCoding("a transfer coding other than chunked")


def response_framing(method: bytes, status: int, version: int, fields: Fields) -> Framing:
    """How a response's body ends (RFC 9112 §6.3). Raises Malformed where it can't be told for sure."""
    coding = fields.get(b"transfer-encoding")
    if method == b"HEAD" or status < 200 or status == 204 or status == 304:
        return NO_BODY
    try:
        length = content_length(fields)
    except ValueError as mistake:
        raise Malformed(str(mistake)) from None
    if coding is None:
        if length is None:
            return UNTIL_CLOSE
        return Framing("length", length)
    if version < 11:
        raise Malformed("Transfer-Encoding in an HTTP/1.0 response")
    if length is not None:
        raise Malformed("both Transfer-Encoding and Content-Length")
    if coding.lower() != b"chunked":
        raise Malformed("a transfer coding other than chunked")
    return CHUNKED


class FramingError(ValueError):
    """A body's framing is broken. The text says how."""


class LengthDecoder:
    """Cuts a body of a known number of octets."""

    __slots__ = ("done", "left")
    trailers: Fields = NO_FIELDS

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = not length

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The octets of the body in ``data``, and those behind it."""
        left = self.left - len(data)
        if left > 0:
            self.left = left
            return data, b""
        self.done = True
        cut = self.left
        self.left = 0
        if left == 0:
            return data, b""
        return data[:cut], data[cut:]


class RawDecoder:
    """Octets until the connection ends: a close-delimited body or a tunnel."""

    __slots__ = ("done",)
    trailers: Fields = NO_FIELDS

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """All of it."""
        return data, b""


_HEX: Final = b"0123456789abcdefABCDEF"
_SIZE_LINE, _DATA, _DATA_END, _TRAILERS = range(4)


class ChunkedDecoder:
    """Cuts a chunked body (RFC 9112 §7.1), strictly: CRLF alone ends a line, and everything is bounded.

    A chunk's extensions are parsed no further than to see that they can't hide a line break, and are dropped; one
    line may have ``LINE`` octets, all extensions of a body ``EXTENSIONS`` together. Trailers are bounded as heads are.
    """

    __slots__ = ("_buffer", "_extensions", "_head_count", "_head_size", "_left", "_state", "done", "trailers")

    LINE: Final = 1024
    EXTENSIONS: Final = 16 * 1024

    def __init__(self, head_size: int, head_count: int) -> None:
        self.done = False
        self.trailers = NO_FIELDS
        self._state = _SIZE_LINE
        self._left = 0
        self._buffer = b""
        self._extensions = 0
        self._head_size = head_size
        self._head_count = head_count

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The octets of the body in ``data``, and those behind its end. Raises FramingError."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        pieces: list[bytes] = []
        at = 0
        end = len(data)
        while at < end:
            state = self._state
            if state == _DATA:
                stop = at + self._left
                if stop > end:
                    pieces.append(data[at:end] if at else data)
                    self._left = stop - end
                    at = end
                    break
                pieces.append(data[at:stop])
                at = stop
                self._left = 0
                self._state = _DATA_END
            elif state == _DATA_END:
                if end - at < 2:
                    if data[at : at + 1] != b"\r":
                        raise FramingError("a chunk is longer than its size says")
                    break
                if data[at : at + 2] != b"\r\n":
                    raise FramingError("a chunk is longer than its size says")
                at += 2
                self._state = _SIZE_LINE
            elif state == _SIZE_LINE:
                line_end = data.find(b"\r\n", at, at + self.LINE + 2)
                if line_end < 0:
                    self._check_unfinished_line(data[at : at + self.LINE + 2])
                    break
                size = self._size(data[at:line_end])
                at = line_end + 2
                self._left = size
                self._state = _DATA if size else _TRAILERS
            else:
                at = self._read_trailers(data, at)
                if at < 0:
                    return b"".join(pieces), b""
                return b"".join(pieces), data[at:]
        self._buffer = data[at:end]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces), b""

    def _check_unfinished_line(self, line: bytes) -> None:
        if line[-1:] == b"\r":
            line = line[:-1]
        if len(line) > self.LINE:
            raise FramingError("a chunk's size line is too long")
        digits = len(line) - len(line.lstrip(_HEX))
        if digits > 16 or not digits and line:
            raise FramingError("a chunk's size is not a number")
        if line.translate(None, VALUE_OCTETS):
            raise FramingError("a control octet stands in a chunk's size line")

    def _size(self, line: bytes) -> int:
        digits, semicolon, extension = line.partition(b";")
        if semicolon:
            # RFC 9112 §7.1.1: white space before the semicolon is bad but to be parsed.
            digits = digits.rstrip(b" \t")
            self._extensions += len(extension) + 1
            if self._extensions > self.EXTENSIONS:
                raise FramingError("too many chunk extensions")
            if extension.translate(None, VALUE_OCTETS):
                raise FramingError("a control octet stands in a chunk's extension")
        if not digits or digits.translate(None, _HEX):
            raise FramingError("a chunk's size is not a number")
        if len(digits) > 16:
            raise FramingError("a chunk's size is too large")
        size = int(digits, 16)
        if size > LARGEST:
            raise FramingError("a chunk's size is too large")
        return size

    def _read_trailers(self, data: bytes, at: int) -> int:
        """Where the trailer section ends, or -1 while it doesn't."""
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        stop = data.find(b"\r\n\r\n", at, at + self._head_size + 4)
        if stop < 0:
            if len(data) - at > self._head_size + 3:
                raise FramingError("the trailer section is too long")
            self._buffer = data[at:]
            if b"\n" in self._buffer.replace(b"\r\n", b""):
                raise FramingError("a bare LF stands in the trailer section")
            return -1
        try:
            fields = parse_fields(data[at:stop], self._head_count)
        except FieldError as mistake:
            raise FramingError(f"trailers: {mistake}") from None
        except OverflowError:
            raise FramingError("too many trailers") from None
        self.trailers = Fields([line for line in fields.lines if may_trail(line[0])])
        self.done = True
        return stop + 4


Decoder = LengthDecoder | RawDecoder | ChunkedDecoder


def decoder_for(framing: Framing, head_size: int, head_count: int) -> Decoder:
    """What cuts a body of this framing; ``head_size`` octets and ``head_count`` lines bound its trailers."""
    kind = framing.kind
    if kind == "length":
        return LengthDecoder(framing.length)
    if kind == "chunked":
        return ChunkedDecoder(head_size, head_count)
    if kind == "none":
        return LengthDecoder(0)
    return RawDecoder()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; ``data`` is not empty (an empty chunk would end the body)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    """The end of a chunked body."""
    if not trailers.lines:
        return b"0\r\n\r\n"
    return b"0\r\n%b\r\n" % b"".join([b"%b: %b\r\n" % (raw, value) for _, raw, value in trailers.lines])
