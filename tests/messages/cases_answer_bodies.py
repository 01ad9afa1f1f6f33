"""How answers end: lengths, chunks, the connection's end, and no body at all."""

from __future__ import annotations

from typing import Any

from tests.messages.case import (
    CLOSE,
    PLAIN,
    Case,
    ClientEnd,
    Reply,
    answer,
    answered,
    bad_answer,
    get,
    head,
    onward,
    passed,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"
CHUNKED_HEAD = answer(chunks=b"").removesuffix(b"0\r\n\r\n")
HEAD: dict[str, Any] = {"sent": head(b"HEAD / HTTP/1.1", b"Host: a.example"), "asked": onward(line=b"HEAD / HTTP/1.1")}
OLD: dict[str, Any] = {"sent": head(b"GET / HTTP/1.0", b"Host: a.example"), "asked": onward(via=b"1.0 revproxy")}


def cut(name: str, section: str, reason: str, reply: bytes | Reply, got: bytes, client: ClientEnd = "ended", **more: Any) -> Case:
    """An answer that breaks when its head is out: the client sees that it is incomplete."""
    return answered(f"cut-{name}", section, reason, reply, got, client=client, backend="gone", cut=True, **more)


def broken(name: str, section: str, reason: str, chunks: bytes, data: bytes = b"") -> Case:
    return cut(name, section, reason, CHUNKED + chunks, CHUNKED_HEAD + data)


LENGTHS = [
    answered("body-length", "RFC 9112 §6.2", "a length says where the body ends", OK + b"Content-Length: 2\r\n\r\nhi", PLAIN),
    answered("body-length-zero", "RFC 9112 §6.2", "zero is a length", OK + b"Content-Length: 0\r\n\r\n", answer(length=0)),
    answered("body-length-zeros", "RFC 9110 §8.6", "it is rendered anew", OK + b"Content-Length: 0002\r\n\r\nhi", PLAIN),
    answered("body-any-octets", "RFC 9110 §6.4", "content is any octets", OK + b"Content-Length: 6\r\n\r\n\x00\r\n\r\n\xff", answer(length=6, body=b"\x00\r\n\r\n\xff")),
    answered("body-answer-inside", "RFC 9112 §11.1", "what lies within the length is content", OK + b"Content-Length: 38\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", answer(length=38, body=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
    *[
        bad_answer(f"body-length-{name}", "RFC 9110 §8.6", reason, OK + b"Content-Length: " + value + b"\r\n\r\nhi")
        for name, reason, value in [
            ("plus", "there is no sign in 1*DIGIT", b"+2"),
            ("minus", "there is no sign in 1*DIGIT", b"-2"),
            ("empty", "at least one digit is needed", b""),
            ("hexadecimal", "the number is decimal", b"0x2"),
            ("word", "a word is no number", b"two"),
            ("list", "a list is more than one", b"2, 2"),
            ("space", "two numbers are not one", b"2 2"),
            ("superscript", "DIGIT is ASCII", b"\xb2"),
            ("2-63", "a number that may overflow is refused", b"9223372036854775808"),
            ("2-64-plus-2", "modulo 2^64 this is 2", b"18446744073709551618"),
        ]
    ],
    *[
        answered(f"behind-{name}", "RFC 9112 §9.2", reason, reply, got, backend="gone")
        for name, reason, reply, got in [
            ("length", "octets behind an answer end its connection", OK + b"Content-Length: 2\r\n\r\nhi!", PLAIN),
            ("answer", "an answer to no request ends its connection", OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 0\r\n\r\n", PLAIN),
            ("crlf", "even an empty line", OK + b"Content-Length: 2\r\n\r\nhi\r\n", PLAIN),
            ("zero", "octets behind an answer end its connection", OK + b"Content-Length: 0\r\n\r\nhi", answer(length=0)),
            ("chunks", "octets behind an answer end its connection", CHUNKED + CHUNKS + b"HTTP/1.1", answer(chunks=b"hi")),
            ("204", "204 has no content: this is behind it", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", answer(line=b"HTTP/1.1 204 No Content")),
            ("304", "304 has no content: this is behind it", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nhi", answer(b"Content-Length: 2", line=b"HTTP/1.1 304 Not Modified")),
        ]
    ],
    answered("behind-head", "RFC 9112 §6.3", "the answer to HEAD has no content: this is behind it", OK + b"Content-Length: 2\r\n\r\nhi", answer(b"Content-Length: 2"), backend="gone", **HEAD),
]  # fmt: skip

NONE = [
    answered("none-204", "RFC 9112 §6.3", "204 has no content", b"HTTP/1.1 204 No Content\r\n\r\n", answer(line=b"HTTP/1.1 204 No Content")),
    answered("none-204-length", "RFC 9110 §8.6", "nor a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", answer(line=b"HTTP/1.1 204 No Content")),
    answered("none-204-chunked", "RFC 9112 §6.1", "nor chunks", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", answer(line=b"HTTP/1.1 204 No Content")),
    answered("none-304", "RFC 9112 §6.3", "304 has no content", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', answer(b'ETag: "a"', line=b"HTTP/1.1 304 Not Modified")),
    answered("none-304-length", "RFC 9110 §8.6", "a 304 may tell what the length would be", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", answer(b"Content-Length: 5", line=b"HTTP/1.1 304 Not Modified")),
    answered("none-304-bad-length", "RFC 9110 §8.6", "but nothing that is no number", b"HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n", answer(line=b"HTTP/1.1 304 Not Modified")),
    answered("none-304-chunked", "RFC 9112 §6.1", "a coding of what is not there is dropped", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", answer(line=b"HTTP/1.1 304 Not Modified")),
    answered("none-head", "RFC 9110 §9.3.2", "the answer to HEAD has no content", OK + b"\r\n", answer(), **HEAD),
    answered("none-head-length", "RFC 9110 §8.6", "it may tell the length that there would be", OK + b"Content-Length: 5\r\n\r\n", answer(b"Content-Length: 5"), **HEAD),
    answered("none-head-chunked", "RFC 9112 §6.1", "a coding of what is not there is dropped", OK + b"Transfer-Encoding: chunked\r\n\r\n", answer(), **HEAD),
    answered("none-head-two-lengths", "RFC 9110 §8.6", "a length in doubt is not passed on", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", answer(), **HEAD),
    answered("none-head-404", "RFC 9110 §9.3.2", "an error's answer to HEAD has no content either", b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", answer(b"Content-Length: 5", line=b"HTTP/1.1 404 Not Found"), **HEAD),
    passed(
        "none-head-pipeline", "RFC 9112 §6.3", "what follows the answer to HEAD is the next answer",
        head(b"HEAD / HTTP/1.1", b"Host: a.example") + get(), onward(line=b"HEAD / HTTP/1.1") + onward(),
        got=answer(b"Content-Length: 2") + PLAIN,
        replies=(Reply(OK + b"Content-Length: 2\r\n\r\n"), Reply(OK + b"Content-Length: 2\r\n\r\nhi")),
    ),
]  # fmt: skip

CHUNK = [
    answered("chunks", "RFC 9112 §7.1", "chunks go on in chunks", CHUNKED + CHUNKS, answer(chunks=b"hi")),
    answered("chunks-empty", "RFC 9112 §7.1", "a body of no octets is a body", CHUNKED + b"0\r\n\r\n", answer(chunks=b"")),
    answered("chunks-several", "RFC 9112 §7.1", "chunks are joined", CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", answer(chunks=b"abc")),
    answered("chunks-case", "RFC 9112 §7", "coding names have no case", OK + b"transfer-encoding: CHUNKED\r\n\r\n" + CHUNKS, answer(chunks=b"hi")),
    answered("chunks-extensions", "RFC 9112 §7.1.1", "extensions end here", CHUNKED + b"2;a=b\r\nhi\r\n0;c\r\n\r\n", answer(chunks=b"hi")),
    answered("chunks-data-like-an-end", "RFC 9112 §7.1", "data is data", CHUNKED + b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", answer(chunks=b"0\r\n\r\n")),
    answered("chunks-1.0", "RFC 9112 §6.1", "HTTP/1.0 gets no chunks", CHUNKED + CHUNKS, answer(ending=CLOSE, body=b"hi"), client="ended", **OLD),
    *[
        bad_answer(f"coding-answer-{name}", section, reason, line + coding + b"\r\n\r\n" + CHUNKS)
        for name, section, reason, line, coding in [
            ("gzip", "RFC 9112 §6.1", "nobody asked for another coding", OK, b"Transfer-Encoding: gzip"),
            ("gzip-chunked", "RFC 9112 §6.1", "nobody asked for another coding", OK, b"Transfer-Encoding: gzip, chunked"),
            ("identity", "RFC 9112 §7", "identity is no transfer coding any more", OK, b"Transfer-Encoding: identity"),
            ("chunked-identity", "RFC 9112 §6.3", "chunked has to be last", OK, b"Transfer-Encoding: chunked, identity"),
            ("twice", "RFC 9112 §6.1", "chunked must not be applied twice", OK, b"Transfer-Encoding: chunked, chunked"),
            ("two-lines", "RFC 9112 §6.1", "chunked must not be applied twice", OK, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            ("empty", "RFC 9112 §6.1", "no coding is not chunked", OK, b"Transfer-Encoding:"),
            ("parameter", "RFC 9112 §7.1", "chunked has no parameters", OK, b"Transfer-Encoding: chunked;a=b"),
            ("quoted", "RFC 9112 §7", "a coding is a token, not a string", OK, b'Transfer-Encoding: "chunked"'),
            ("vertical-tab", "RFC 9110 §5.5", "a control octet is no white space", OK, b"Transfer-Encoding: \x0bchunked"),
            ("1.0", "RFC 9112 §6.1", "HTTP/1.0 has no chunks", b"HTTP/1.0 200 OK\r\n", b"Transfer-Encoding: chunked"),
            ("and-length", "RFC 9112 §6.3", "with both fields the end is in doubt", OK, b"Transfer-Encoding: chunked\r\nContent-Length: 12"),
        ]
    ],
    broken("chunk-size", "RFC 9112 §7.1", "a size is hexadecimal", b"2\r\nhi\r\nx\r\n", b"hi"),
    broken("chunk-size-first", "RFC 9112 §7.1", "a size is hexadecimal", b"x\r\n"),
    broken("chunk-size-minus", "RFC 9112 §7.1", "a size has no sign", b"2\r\nhi\r\n-1\r\n", b"hi"),
    broken("chunk-size-large", "RFC 9112 §7.1", "a number that may overflow is refused", b"8000000000000002\r\nhi\r\n0\r\n\r\n"),
    broken("chunk-size-lf", "RFC 9112 §2.2", "LF alone ends no line in a body", b"2\nhi\r\n0\r\n\r\n"),
    broken("chunk-size-space", "RFC 9112 §7.1", "white space stands before a semicolon only", b"2 \r\nhi\r\n0\r\n\r\n"),
    broken("chunk-data-longer", "RFC 9112 §7.1", "CRLF follows the data", b"2\r\nhi!\r\n0\r\n\r\n", b"hi"),
    broken("chunk-data-lf", "RFC 9112 §7.1", "CRLF follows the data, not LF", b"2\r\nhi\n0\r\n\r\n", b"hi"),
    broken("chunk-extension", "RFC 9112 §7.1.1", "no token has control octets", b"2;\x01\r\nhi\r\n0\r\n\r\n"),
    broken("trailer", "RFC 9112 §5.1", "trailers are read as strictly as a head", b"2\r\nhi\r\n0\r\nX : y\r\n\r\n", b"hi"),
    broken("trailer-lf", "RFC 9112 §2.2", "recipients differ on what an LF is", b"2\r\nhi\r\n0\r\nX: y\n\n", b"hi"),
    cut("chunks-end", "RFC 9112 §8", "without its last chunk a body is incomplete", Reply(CHUNKED + b"2\r\nhi\r\n", then="ends"), CHUNKED_HEAD + b"hi"),
    cut("chunks-end-in-data", "RFC 9112 §8", "an incomplete chunk makes an incomplete body", Reply(CHUNKED + b"5\r\nhi", then="ends"), CHUNKED_HEAD + b"hi"),
    cut("chunks-end-before-last-line", "RFC 9112 §8", "the empty line behind the last chunk is missing", Reply(CHUNKED + b"2\r\nhi\r\n0\r\n", then="ends"), CHUNKED_HEAD + b"hi"),
    cut("chunks-reset", "RFC 9112 §8", "without its last chunk a body is incomplete", Reply(CHUNKED + b"2\r\nhi\r\n", then="cuts"), CHUNKED_HEAD + b"hi"),
    cut("length-end", "RFC 9112 §8", "fewer octets than the length are not the body", Reply(OK + b"Content-Length: 9\r\n\r\nhi", then="ends"), answer(length=9, body=b"hi")),
    cut("length-reset", "RFC 9112 §8", "fewer octets than the length are not the body", Reply(OK + b"Content-Length: 9\r\n\r\nhi", then="cuts"), answer(length=9, body=b"hi")),
    cut(
        "chunks-1.0", "RFC 9112 §8", "what ends with the connection is cut by a reset", CHUNKED + b"2\r\nhi\r\nx\r\n",
        answer(ending=CLOSE, body=b"hi"), client="reset", **OLD,
    ),
]  # fmt: skip

UNTIL_CLOSE = [
    answered("until-close", "RFC 9112 §6.3", "without either field a body ends with its connection", Reply(OK + b"\r\nhi", then="ends"), answer(chunks=b"hi"), backend="gone"),
    answered("until-close-empty", "RFC 9112 §6.3", "which may be at once", Reply(OK + b"\r\n", then="ends"), answer(chunks=b""), backend="gone"),
    answered("until-close-1.0", "RFC 9112 §6.3", "as HTTP/1.0 did", Reply(b"HTTP/1.0 200 OK\r\n\r\nhi", then="ends"), answer(via=b"1.0 revproxy", chunks=b"hi"), backend="gone"),
    answered("until-close-keep-alive", "RFC 9112 §9.3", "who says keep-alive without a length ends all the same", Reply(OK + b"Connection: keep-alive\r\n\r\nhi", then="ends"), answer(chunks=b"hi"), backend="gone"),
    answered("until-close-answer-inside", "RFC 9112 §11.1", "what looks like another answer is content", Reply(OK + b"\r\nhi" + OK + b"Content-Length: 0\r\n\r\n", then="ends"), answer(chunks=b"hi" + OK + b"Content-Length: 0\r\n\r\n"), backend="gone"),
    answered("until-close-to-1.0", "RFC 9112 §6.3", "to HTTP/1.0 it ends as it came", Reply(OK + b"\r\nhi", then="ends"), answer(ending=CLOSE, body=b"hi"), client="ended", backend="gone", **OLD),
    cut("until-close-reset", "RFC 9112 §8", "a reset is no end", Reply(OK + b"\r\nhi", then="cuts"), CHUNKED_HEAD + b"hi"),
    cut("until-close-reset-1.0", "RFC 9112 §8", "a reset goes on as a reset", Reply(OK + b"\r\nhi", then="cuts"), answer(ending=CLOSE, body=b"hi"), client="reset", **OLD),
]  # fmt: skip

CASES = [*LENGTHS, *NONE, *CHUNK, *UNTIL_CLOSE]
