"""Where fuzzing begins: one input for each thing that is worth reaching. ``fuzz/corpus/`` is made of these."""

from __future__ import annotations

from typing import Final

from fuzz.grammar import (
    CANARY_REQUEST,
    CHUNK_ENDS,
    FIELD_NOISE,
    FRAMING_NOISE,
    REQUEST_LINE_NOISE,
    SIZES,
    TRAILERS,
)
from fuzz.script import Script, Step

GET: Final = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"

REQUESTS: Final = (
    GET,
    GET * 2,
    b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + GET,
    b"\r\nPOST http://a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n" + GET,
    b"PUT /c HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 02\r\n\r\nhi",
    b"OPTIONS * HTTP/1.7\r\nHost: [::1]:80\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    b"GET /d HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + CANARY_REQUEST,
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"GET /e HTTP/1.1\nHost: a\n\n",
    b"GET /f HTTP/1.1\r\nHost: a\r\n folded\r\nX : y\r\n\r\n",
    b"5\r\nhello\r\n00A ;x\r\n0123456789\r\n0\r\nA: b\r\n\r\n",
    b"1\r\nx\r\n7fffffffffffffff\r\n",
)  # fmt: skip
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n\r\n"
NOISE: Final = (
    *(b"%b\r\nHost: a\r\n\r\n" % line for line in REQUEST_LINE_NOISE),
    *(b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % line for line in FIELD_NOISE),
    *(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n0\r\n\r\n" % line for line in FRAMING_NOISE),
    *(b"POST / HTTP/1.1\r\nHost: a\r\n%b%bhi\r\n0\r\n\r\n" % (_CHUNKED, size % 2) for size in SIZES),
    *(b"POST / HTTP/1.1\r\nHost: a\r\n%b2\r\nhi%b0\r\n\r\n" % (_CHUNKED, end) for end in CHUNK_ENDS),
    *(b"POST / HTTP/1.1\r\nHost: a\r\n%b0\r\n%b\r\n" % (_CHUNKED, trailer) for trailer in TRAILERS),
)
"""Requests with each of the mistakes that the grammar has, and no other."""
RESPONSES: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\nHTTP/1.1 204\r\n\r\n",
    b"HTTP/1.0 404 \r\nServer: x\r\n\r\nuntil close",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\ntunnel",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
)

# Octets of the grammar's choices: method, target, version, host, how many fields, ...
_POST_LENGTH: Final = b"\x01\x00\x00\x00\x00\x01\x00\x01"
_POST_CHUNKED: Final = b"\x01\x00\x00\x00\x00\x02\x01\x01\x00\x00\x00\x00\x02"
_ASK: Final = Step("request", 0, b"")
_UPLOAD: Final = Step("request", 1, _POST_CHUNKED)
_ANSWER: Final = Step("answer", 0, b"")
_PART: Final = Step("octets", 0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n")
_LONG: Final = Step("octets", 0, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999\r\n\r\n" + b"x" * 999)
_LONG_ANSWER: Final = Step("answer", 0, b"\x00\x00\x00\x00\x07\x00\x07")
_WAIT: Final = Step("time", 3)

SCRIPTS: Final = (
    Script(0, (_ASK, _ANSWER)),
    Script(0, (_ASK, _ANSWER, _ASK, _ANSWER, _UPLOAD, _ANSWER)),
    Script(0, (_ASK, _ASK, Step("request", 2, _POST_LENGTH), _ANSWER, _ANSWER, _ANSWER)),
    Script(0, (_UPLOAD, Step("answer", 1, b"\x00\x00\x00\x01\x00\x02"))),
    Script(0, (_ASK, Step("answer", 0, b"\x03\x01\x00\x00\x00\x02\x02\x01"))),
    Script(1, (_ASK, _ANSWER, _ASK, Step("backend close"), _ANSWER)),
    Script(1, (Step("mode", 2), _ASK, _ANSWER)),
    Script(5, (Step("request", 0, _POST_LENGTH), Step("backend cut"), _ANSWER)),
    Script(2, (_ASK, _ANSWER) * 5),
    Script(0, (_ASK, Step("request", 64), _ANSWER, _ANSWER, Step("request", 128), _ANSWER)),
    Script(32, (_ASK, Step("request", 64), Step("request", 128), _ANSWER, _ANSWER, _WAIT)),
    Script(0, (_PART, _ANSWER, Step("request", 64), _ANSWER)),
    Script(8, (_UPLOAD, Step("backend reads"), _LONG,
               Step("backend reads"), _ANSWER, _ANSWER)),
    Script(16, (Step("client reads"), _ASK, _LONG_ANSWER, _WAIT, Step("client reads"))),
    Script(0, (_ASK, Step("client fin"), _ANSWER)),
    Script(0, (_UPLOAD, Step("client cut"), _ANSWER)),
    Script(0, (_ASK, Step("octets", 0, b"GET / HT"), _ANSWER, _WAIT)),
    Script(0, (_ASK, _WAIT, _ANSWER)),
    Script(0, (Step("octets", 0, REQUESTS[6]), Step("answer octets", 0, RESPONSES[4]), Step("octets", 0, GET),
               Step("noise", 0, b"tunnelled"), Step("backend fin"), Step("client fin"))),
    *(Script(0, (Step("octets", at, octets), _ANSWER, _ANSWER)) for at, octets in enumerate(REQUESTS)),
    *(Script(0, (Step("octets", 0, octets), _ANSWER, _ASK, _ANSWER)) for octets in NOISE),
    *(Script(0, (_ASK, Step("answer octets", at, octets), Step("backend fin"))) for at, octets in enumerate(RESPONSES)),
)  # fmt: skip


def seeds(target: str) -> list[bytes]:
    """The inputs that a target begins with."""
    if target == "proxy":
        return [script.encoded() for script in SCRIPTS]
    if target == "request":
        return [way + octets for octets in REQUESTS for way in (b"\x00", b"\x04", b"\x29")] + [
            b"\xfd" + octets for octets in NOISE
        ]
    return [way + octets for octets in RESPONSES for way in (b"\x00", b"\x04", b"\x29", b"\x80")]
