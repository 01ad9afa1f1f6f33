"""Messages built piece by piece, most of them right and some wrong in one of the ways that have fooled proxies.

What stands in a body looks like a message itself (``verdict.CANARY``). The rule that makes it a proof: beside whatever
is wrong, a message with a body also has one right framing line, so no reader that refuses what is ambiguous can take
the body for anything else.
"""

from __future__ import annotations

from typing import Final

import attrs

from fuzz.choices import Choices
from fuzz.verdict import CANARY

CANARY_REQUEST: Final = b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % CANARY
CANARY_ANSWER: Final = b"HTTP/1.1 200 OK\r\n%b: 1\r\nContent-Length: 0\r\n\r\n" % CANARY[1:]

METHODS: Final = (b"GET", b"POST", b"PUT", b"HEAD", b"BREW", b"DELETE", b"OPTIONS", b"get")
TARGETS: Final = (
    b"/", b"/a/b?c=d", b"http://a.example/x", b"/%61/../b", b"http://a.example", b"//x//y;z=1", b"/\xff|",
    b"http://b.example:81?q",
)  # fmt: skip
VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.7")
HOSTS: Final = (b"Host: a.example", b"Host: a.example", b"hOST:\ta.example:8080 ", b"Host: [::1]")
FIELDS: Final = (
    b"X-A: 1",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: x-a, content-length",
    b"Expect: 100-continue",
    b"TE: trailers",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"X-Forwarded-For: 10.0.0.1",
    b"X-Request-ID: id1",
    b"Via: 1.1 revproxy",
    b"Content_Length: 7",
    b"X-Empty:",
    b"X-A: \xe9 \t",
    b"Trailer: X-B",
)
REQUEST_LINE_NOISE: Final = (
    b"TRACE / HTTP/1.1", b"GET * HTTP/1.1", b"GET /# HTTP/1.1", b"GET /a% HTTP/1.1", b"GET  / HTTP/1.1", b"GET /",
    b"GET / HTTP/2.0", b"PRI * HTTP/2.0", b"GET /\t HTTP/1.1", b"GET / HTTP/1.1 ", b" GET / HTTP/1.1",
    b"G\xc9T / HTTP/1.1", b"GET http://a@b/ HTTP/1.1", b"GET a HTTP/1.1", b"CONNECT a:80 HTTP/1.1", b"\nGET / HTTP/1.1",
    b"\r\nGET / HTTP/1.1", b"\r\n\r\nGET / HTTP/1.1", b"\rGET / HTTP/1.1", b"OPTIONS * HTTP/1.1",
)  # fmt: skip
FIELD_NOISE: Final = (
    b"Host: a, b", b"Host: b", b"Expect: 200-maybe", b"X : 1", b" fold", b"no colon", b": empty", b"X: \x00", b"X: \r1",
    b"X: \n1", b"Connection: close\r\nConnection: x-a", b"Upgrade: websocket, h2c", b"Connection: \x0bclose",
)  # fmt: skip
# Beside a right framing line: a second opinion on where the body ends, or a way to hide one.
FRAMING_NOISE: Final = (
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:",
    b" Transfer-Encoding: chunked",
    b"Content-Length\t: 3",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length:",
    b"Content-Length: 99999999999999999999",
    b"X: y\nContent-Length: 0",
    b"X: y\rContent-Length: 0",
    b"X: y\r\r\nContent-Length: 0",
    b"X: y\x00Content-Length: 0",
    b"\tfolded",
    b": empty",
    b"no colon",
)
SIZES: Final = (
    b"%x\r\n", b"%x\r\n", b"%X\r\n", b"00%x\r\n", b"%x;a=b\r\n", b'%x \t; d="e;f"\r\n', b"%x;\n\r\n", b"%x\n", b"%x\r",
    b" %x\r\n", b"0x%x\r\n", b"%x \r\n", b"+%x\r\n", b"%x;\x00\r\n", b"%x_0\r\n", b"\r\n%x\r\n",
)  # fmt: skip
CHUNK_ENDS: Final = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b"x\r\n", b"\nx")
TRAILERS: Final = (b"", b"X-B: 2\r\n", b"Content-Length: 5\r\n", b"Host: b\r\n", b"X : 1\r\n", b"X: 1\n", b" fold\r\n")
PADDING: Final = (b"", b"0\r\n\r\n", b"\r\n", b"\r\n\r\n", b"x", b"x" * 70, b"5\r\n", b"\xff" * 300)
STATUSES: Final = (
    b"200 OK", b"204 No Content", b"304 Not Modified", b"404", b"500 \xe9", b"301 ", b"205 Reset Content", b"999 X",
    b"099 No", b"200OK",
)  # fmt: skip
ANSWER_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.9", b"HTTP/2.0", b"http/1.1")
ANSWER_FIELDS: Final = (
    b"X-A: 1",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Server: hidden",
    b"Location: http://10.0.0.1/x",
    b"Set-Cookie: a=b; Domain=10.0.0.1",
    b"Upgrade: websocket",
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
    b"Trailer: X-B",
)
INTERIM: Final = (
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
)


def request(choices: Choices) -> bytes:
    """A request, perhaps with a body, perhaps wrong; what is in the body stays there for every careful reader."""
    line = b"%b %b %b" % (choices.pick(METHODS), choices.pick(TARGETS), choices.pick(VERSIONS))
    lines = [choices.pick(HOSTS)]
    lines += [choices.pick(FIELDS) for _ in range(choices.number(3))]
    body = _frame(choices, lines, CANARY_REQUEST, choices.pick(("none", "length", "chunked")))
    if choices.happens(8):
        line = choices.pick(REQUEST_LINE_NOISE)
    if choices.happens(8):
        lines.insert(choices.number(len(lines)), choices.pick(FIELD_NOISE))
    return b"\r\n".join([line, *lines]) + b"\r\n\r\n" + body


@attrs.frozen
class Answer:
    """An answer as it is sent."""

    octets: bytes
    surplus: bytes
    """Another one behind it, which nobody asked for."""
    must_end: bool
    """Whether the connection's end is its end."""


def answer(choices: Choices, method: bytes = b"GET") -> Answer:
    """An answer to ``method``, perhaps wrong."""
    interim = choices.pick(INTERIM) * choices.pick((1, 1, 2, 40)) if choices.happens(4) else b""
    status = choices.pick(STATUSES) if choices.happens(3) else STATUSES[0]
    lines = [choices.pick(ANSWER_FIELDS) for _ in range(choices.number(3))]
    kind = choices.pick(("length", "chunked", "until close", "length"))
    if method == b"HEAD" or status[:3] in (b"204", b"304"):
        _frame(choices, lines, b"", kind)
        body = b""
    else:
        body = _frame(choices, lines, CANARY_ANSWER, kind)
    version = choices.pick(ANSWER_VERSIONS) if choices.happens(4) else b"HTTP/1.1"
    if choices.happens(8):
        lines.insert(choices.number(len(lines) + 1), choices.pick(FIELD_NOISE))
    octets = interim + b"\r\n".join([b"%b %b" % (version, status), *lines]) + b"\r\n\r\n" + body
    return Answer(octets, CANARY_ANSWER if choices.happens(8) else b"", kind == "until close")


def _frame(choices: Choices, lines: list[bytes], canary: bytes, kind: str) -> bytes:
    """Puts the framing among the lines of a head; gives the body as it is sent."""
    if kind == "none":
        return b""
    content = choices.pick(PADDING) + choices.pick((canary, canary, b"")) + choices.pick(PADDING)
    if kind == "until close":
        return content
    if kind == "length":
        lines.append(choices.pick((b"Content-Length: %d", b"CONTENT-length:\t0%d")) % len(content))
        body = content
    else:
        lines.append(choices.pick((b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED ")))
        body = _chunks(choices, content)
    if choices.happens(6):
        lines.insert(choices.pick((len(lines), len(lines) - 1)), choices.pick(FRAMING_NOISE))
    return body


def _chunks(choices: Choices, content: bytes) -> bytes:
    is_noisy = choices.happens(6)
    octets = b""
    while content:
        size = choices.pick((len(content), 1, 7, 40))
        data, content = content[:size], content[size:]
        octets += (choices.pick(SIZES) if is_noisy else SIZES[0]) % len(data) + data
        octets += choices.pick(CHUNK_ENDS) if is_noisy else b"\r\n"
    octets += choices.pick((b"0\r\n", b"000\r\n", b"0;x\r\n", b"-0\r\n", b"0\n")) if is_noisy else b"0\r\n"
    return octets + choices.pick(TRAILERS) + b"\r\n"


def dictionary() -> list[bytes]:
    """The pieces, for a mutator of octets."""
    pieces = {
        *METHODS, *TARGETS, *VERSIONS, *HOSTS, *FIELDS, *REQUEST_LINE_NOISE, *FIELD_NOISE, *FRAMING_NOISE,
        *CHUNK_ENDS, *TRAILERS, *PADDING, *STATUSES,
        *ANSWER_VERSIONS, *ANSWER_FIELDS, *INTERIM, CANARY_REQUEST, CANARY_ANSWER, b"Content-Length: ", b"0\r\n\r\n",
        b"\r\n\r\n", b"Transfer-Encoding: ", b"chunked", b"1\r\nx\r\n", b"ffffffffffffffff", b"7fffffffffffffff",
        *(size % 7 for size in SIZES), b";", b":", b",", b"\x00", b"\x7f", b"\xff", b" ", b"\t",
    }  # fmt: skip
    return sorted(piece for piece in pieces if piece)
