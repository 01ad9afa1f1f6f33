"""Octets → heads. Strict: what RFC 9112 lets a recipient repair is refused here, because a proxy that repairs hides a
disagreement from one of its neighbours.

A parser belongs to one connection and remembers the last block of field lines it saw: when the next head carries the
same octets (a browser's next request, a backend's next answer within the same second), the parsed ``Fields`` are used
again, and with them all that was derived from them.
"""

from __future__ import annotations

from typing import Final

from revproxy.errors import BadRequest, HeadTooLarge, Malformed, TargetTooLong, VersionNotSupported
from revproxy.http.fields import NO_FIELDS, TOKEN_OCTETS, VALUE_OCTETS, FieldError, Fields, parse_fields

# RFC 9112 §3.2: no white space, and no control octets, in a target. Octets above 127 and the few printable ones that
# RFC 3986 leaves out travel unchanged, since clients send them and backends read them; "#" never belongs in a request.
TARGET_OCTETS: Final = bytes([33, 34, *range(36, 127), *range(128, 256)])

USUAL_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"})
LONGEST_METHOD: Final = 64


class RequestHead:
    """What a request's head says. Never changed: a parser may give the same one again."""

    __slots__ = ("fields", "method", "path", "target", "version")

    def __init__(self, method: bytes, target: bytes, version: int, fields: Fields) -> None:
        self.method = method
        self.target = target
        self.version = version
        """10 for HTTP/1.0, 11 for HTTP/1.1 and any later minor version (RFC 9110 §6.2)."""
        self.fields = fields
        self.path = target.partition(b"?")[0]
        """The target without its query: the raw path, where the target is in origin-form."""

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r} {self.version} {self.fields!r}>"


class ResponseHead:
    """What a response's head says. Never changed: a parser may give the same one again."""

    __slots__ = ("fields", "reason", "status", "version")

    def __init__(self, status: int, fields: Fields, reason: bytes = b"", version: int = 11) -> None:
        self.status = status
        self.fields = fields
        self.reason = reason
        self.version = version

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} {self.reason!r} {self.version} {self.fields!r}>"


_COOKIE: Final = b"\r\nCookie: "


class RequestParser:
    """Cuts request heads from a connection's octets."""

    __slots__ = (
        "_base",
        "_base_at",
        "_base_block",
        "_base_line",
        "_block",
        "_fields",
        "_head",
        "consumed",
        "head_count",
        "head_size",
        "octets",
        "target_length",
    )

    def __init__(self, head_size: int, head_count: int, target_length: int) -> None:
        self.head_size = head_size
        self.head_count = head_count
        self.target_length = target_length
        self._block = b""
        self._fields = NO_FIELDS
        self._head: RequestHead | None = None
        self.octets = b""
        """Those of the head returned last."""
        # The block parsed last without its Cookie, and where that stood: a browser's next head often differs in nothing
        # else.
        self._base: Fields | None = None
        self._base_block = b""
        self._base_at = 0
        self._base_line = 0
        self.consumed = 0
        """Octets that the head returned last took from the front."""

    def adopt(self, head_size: int, head_count: int, target_length: int) -> None:
        """Goes on under other limits, and forgets what it remembered, with all that was derived from that."""
        self.head_size = head_size
        self.head_count = head_count
        self.target_length = target_length
        self._block = self._base_block = b""
        self._fields = NO_FIELDS
        self._head = self._base = None

    def parse(self, data: bytes) -> RequestHead | None:
        """The head at the front of ``data``, or None while it is incomplete.

        Raises BadRequest, HeadTooLarge, TargetTooLong or VersionNotSupported as soon as no continuation could be right.
        """
        head = self._head
        if head is not None and data.startswith(self.octets):
            self.consumed = len(self.octets)
            return head
        start = 0
        if data[:1] == b"\r":
            # RFC 9112 §2.2: one empty line before a request is ignored.
            if len(data) == 1:
                return None
            if data[:2] != b"\r\n":
                raise BadRequest("a bare CR stands before the request")
            start = 2
        end = data.find(b"\r\n\r\n", start)
        if end < 0 or end - start > self.head_size:
            self._check_unfinished(data[start:])
            return None
        line_end = data.find(b"\r\n", start)
        line = data[start:line_end]
        parts = line.split(b" ")
        if (
            len(parts) != 3
            or parts[0] not in USUAL_METHODS
            or not parts[1]
            or len(parts[1]) > self.target_length
            or parts[1].translate(None, TARGET_OCTETS)
        ):
            self._check_line(line, complete=True)
        method, target, raw_version = parts
        version = 11 if raw_version == b"HTTP/1.1" else self._version(raw_version)
        block = data[line_end + 2 : end]
        if block != self._block:
            try:
                self._fields = self._parse_block(block)
            except FieldError as mistake:
                self._block = b""
                self._fields = NO_FIELDS
                raise BadRequest(str(mistake)) from None
            except OverflowError:
                raise HeadTooLarge("too many fields") from None
            self._block = block
        self.consumed = end + 4
        self.octets = data[start : end + 4]
        self._head = head = RequestHead(method, target, version, self._fields)
        return head

    def _parse_block(self, block: bytes) -> Fields:
        """Reads field lines; where all but Cookie is as before, only that. Raises as ``parse_fields``."""
        at = block.find(_COOKIE)
        if at < 0:
            return parse_fields(block, self.head_count)
        end = block.find(b"\r\n", at + 2)
        if end < 0:
            end = len(block)
        value = block[at + len(_COOKIE) : end]
        rest = block[:at] + block[end:]
        base = self._base
        if base is not None and at == self._base_at and rest == self._base_block:
            if value.translate(None, VALUE_OCTETS):
                return parse_fields(block, self.head_count)
            return base.with_cookie((b"cookie", b"Cookie", value.strip(b" \t")), self._base_line)
        fields = parse_fields(block, self.head_count)
        self._base = None
        if not fields.is_repeated(b"cookie"):
            number = block.count(b"\r\n", 0, at) + 1
            lines = fields.lines
            self._base = Fields((*lines[:number], *lines[number + 1 :]))
            self._base_block = rest
            self._base_at = at
            self._base_line = number
        return fields

    def _version(self, raw: bytes) -> int:
        if len(raw) == 8 and raw.startswith(b"HTTP/") and raw[6:7] == b"." and raw[5:6].isdigit() and raw[7:].isdigit():
            if raw[5:6] != b"1":
                raise VersionNotSupported(raw.decode("ascii"))
            return 11 if raw[7:] >= b"1" else 10
        raise BadRequest("the version is not HTTP/1.1")

    def _check_line(self, line: bytes, *, complete: bool) -> None:
        """Refuses a request line, or the beginning of one, for its leftmost mistake: the answer does not depend on how
        the octets arrived."""
        method, space, rest = line.partition(b" ")
        if method.translate(None, TOKEN_OCTETS) or ((space or complete) and not method):
            raise BadRequest("the request line does not begin with a method")
        if len(method) > LONGEST_METHOD:
            raise BadRequest("the method is too long")
        target, space, raw_version = rest.partition(b" ")
        if target[: self.target_length].translate(None, TARGET_OCTETS) or ((space or complete) and not target):
            raise BadRequest("the target has octets that no target may have")
        if len(target) > self.target_length:
            raise TargetTooLong(f"more than {self.target_length} octets")
        if complete:
            if method == b"PRI" and raw_version == b"HTTP/2.0":
                raise VersionNotSupported("HTTP/2 with prior knowledge")
            self._version(raw_version)
        elif len(raw_version) > 8 or not b"HTTP/".startswith(raw_version[:5]):
            raise BadRequest("the version is not HTTP/1.1")

    def _check_unfinished(self, data: bytes) -> None:
        """Refuses a beginning that can't become a request, or that has grown over a limit."""
        data = data[: self.head_size + 4]
        line_end = data.find(b"\r\n")
        if line_end < 0:
            self._check_line(data[:-1] if data[-1:] == b"\r" else data, complete=False)
        elif line_end == 0:
            raise BadRequest("empty lines instead of a request")
        else:
            self._check_line(data[:line_end], complete=True)
            tail = data[line_end:]
            if tail.count(b"\n") != tail.count(b"\r\n"):
                raise BadRequest("a bare LF stands in the head")
        # The empty line that ends a head of the largest size may still be three octets short of its end.
        if len(data) > self.head_size + 3:
            raise HeadTooLarge(f"more than {self.head_size} octets")


class ResponseParser:
    """Cuts response heads from a connection's octets."""

    __slots__ = ("_block", "_fields", "_head", "_octets", "consumed", "head_count", "head_size")

    def __init__(self, head_size: int, head_count: int) -> None:
        self.head_size = head_size
        self.head_count = head_count
        self._block = b""
        self._fields = NO_FIELDS
        self._head: ResponseHead | None = None
        self._octets = b""
        self.consumed = 0
        """Octets that the head returned last took from the front."""

    def parse(self, data: bytes) -> ResponseHead | None:
        """The head at the front of ``data``, or None while it is incomplete. Raises Malformed."""
        head = self._head
        if head is not None and data.startswith(self._octets):
            self.consumed = len(self._octets)
            return head
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > self.head_size:
            self._check_unfinished(data)
            return None
        line_end = data.find(b"\r\n")
        line = data[:line_end]
        # RFC 9112 §4: HTTP-version SP 3DIGIT SP [reason]; servers that leave the last SP out are many and harmless.
        code = line[9:12]
        if line.startswith(b"HTTP/1.") and line[8:9] == b" " and code.isdigit() and len(code) == 3:
            minor = line[7:8]
            if not minor.isdigit() or (len(line) > 12 and line[12:13] != b" "):
                raise Malformed("the status line is malformed")
        else:
            raise Malformed("the status line is malformed")
        status = int(code)
        if status < 100:
            raise Malformed("the status is below 100")
        reason = line[13:]
        if reason and reason.translate(None, VALUE_OCTETS):
            raise Malformed("the reason phrase has control octets")
        block = data[line_end + 2 : end]
        if block != self._block:
            try:
                self._fields = parse_fields(block, self.head_count)
            except FieldError as mistake:
                self._block = b""
                self._fields = NO_FIELDS
                raise Malformed(str(mistake)) from None
            except OverflowError:
                raise Malformed("too many fields") from None
            self._block = block
        self.consumed = end + 4
        self._octets = data[: end + 4]
        self._head = head = ResponseHead(status, self._fields, reason, 10 if minor == b"0" else 11)
        return head

    def _check_unfinished(self, data: bytes) -> None:
        if not b"HTTP/1.".startswith(data[:7]):
            raise Malformed("the answer does not begin with HTTP/1")
        if len(data) > self.head_size + 3:
            raise Malformed(f"the answer's head has more than {self.head_size} octets")
        if data.count(b"\n") != data.count(b"\r\n"):
            raise Malformed("a bare LF stands in the answer's head")


