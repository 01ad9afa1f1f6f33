"""The normal form of what the proxy sent, read strictly: only what the proxy may vary is made one.

That is the request id, the text of its own pages, and where it cuts chunks. Everything else stays as it came, and what
breaks the grammar of RFC 9112 fails the test that reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.messages.case import PAGE

_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: ?[^\x00-\x08\x0a-\x1f\x7f]*")
_SIZE = re.compile(rb"0|[1-9a-f][0-9a-f]*")
_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n")
_ID = re.compile(rb"\r\nX-Request-ID: id[0-9]+\r\n")
_OUR_PAGE = b"\r\nCache-Control: no-store\r\nX-Request-ID: id\r\n"


class Broken(AssertionError):
    """The proxy sent what is no HTTP."""


def read_requests(octets: bytes) -> tuple[list[bytes], bytes]:
    """The whole requests in what the backend got, and what it got of one that is incomplete."""
    messages: list[bytes] = []
    while octets:
        message, rest = _read(octets, has_body=True, until_close=False)
        if rest is None:
            return messages, message
        messages.append(message)
        octets = rest
    return messages, b""


def read_answers(octets: bytes, methods: Iterable[bytes], *, ended: bool) -> tuple[list[bytes], bytes]:
    """The whole answers in what the client got, and what it got of one that is incomplete."""
    messages: list[bytes] = []
    asked = iter(methods)
    method = next(asked, b"GET")
    while octets:
        status = octets[9:12]
        bodiless = method == b"HEAD" or status[:1] == b"1" or status in (b"204", b"304")
        message, rest = _read(octets, has_body=not bodiless, until_close=True)
        if rest is None:
            if ended and _ends_with_connection(message):
                return [*messages, message], b""
            return messages, message
        messages.append(message)
        octets = rest
        if status[:1] != b"1":
            method = next(asked, b"GET")
        elif status == b"101":
            return [*messages, octets], b""
    return messages, b""


def _ends_with_connection(message: bytes) -> bool:
    head, end, _ = message.partition(b"\r\n\r\n")
    return bool(end) and _LENGTH.search(head + b"\r\n") is None and b"\r\nTransfer-Encoding:" not in head


def _read(octets: bytes, *, has_body: bool, until_close: bool) -> tuple[bytes, bytes | None]:
    """The first message and what lies behind it; None in its place where the message is incomplete, which is then a
    head and a decoded body. ``until_close`` says what a head without framing fields means."""
    block, end, rest = octets.partition(b"\r\n\r\n")
    if not end:
        return octets, None
    for line in block.split(b"\r\n")[1:]:
        if not _LINE.fullmatch(line):
            raise Broken(f"the proxy sent {line!r} as a field line")
    head = _ID.sub(b"\r\nX-Request-ID: id\r\n", block + b"\r\n") + b"\r\n"
    if not has_body:
        return head, rest
    if b"\r\nTransfer-Encoding: chunked\r\n" in head:
        data, trailers, behind = _read_chunks(rest)
        if behind is None:
            return head + data, None
        return head + (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n" + trailers + b"\r\n", behind
    match = _LENGTH.search(head)
    if match is None:
        return (head + rest, None) if until_close else (head, rest)
    length = int(match.group(1))
    if len(rest) < length:
        return head + rest, None
    body = rest[:length]
    if _OUR_PAGE in head and b"text/html" in head:
        status = head[9:12]
        if b"<h1>" + status not in body or b"<code>id" not in body:
            raise Broken(f"the proxy's page says nothing of {status!r}")
        return head.replace(b": %d\r\n" % length, b": " + PAGE + b"\r\n") + PAGE, rest[length:]
    return head + body, rest[length:]


def _read_chunks(octets: bytes) -> tuple[bytes, bytes, bytes | None]:
    """The data, the trailer lines, and what lies behind; None in its place where there is no end."""
    data = b""
    while True:
        digits, end, octets = octets.partition(b"\r\n")
        if not end:
            return data, b"", None
        if not _SIZE.fullmatch(digits):
            raise Broken(f"the proxy sent {digits!r} as a chunk's size")
        size = int(digits, 16)
        if not size:
            break
        data += octets[:size]
        if len(octets) < size + 2:
            return data, b"", None
        if octets[size : size + 2] != b"\r\n":
            raise Broken("the proxy sent a chunk that is longer than its size")
        octets = octets[size + 2 :]
    if octets.startswith(b"\r\n"):
        return data, b"", octets[2:]
    trailers, end, octets = octets.partition(b"\r\n\r\n")
    return (data, trailers + b"\r\n", octets) if end else (data, b"", None)
