"""Chunked bodies of requests: sizes, extensions, data and trailers."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.messages.case import Case, begun, chunked, onward_chunked, passed, refused

END = b"0\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"


def reads(name: str, section: str, reason: str, raw: bytes, data: bytes, *trailers: bytes) -> Case:
    return passed(f"chunk-{name}", section, reason, chunked(raw), onward_chunked(data, trailers=trailers))


def breaks(name: str, section: str, reason: str, raw: bytes, data: bytes = b"") -> Case:
    return refused(f"chunk-{name}", section, reason, chunked(raw), begun=begun(data))


SIZES = [
    reads("one", "RFC 9112 §7.1", "a size, its data, and the last chunk", b"3\r\nabc\r\n" + END, b"abc"),
    reads("several", "RFC 9112 §7.1", "chunks are joined", b"3\r\nabc\r\n1\r\nd\r\n2\r\nef\r\n" + END, b"abcdef"),
    reads("capital", "RFC 9112 §7.1", "HEXDIG has no case", b"A\r\n0123456789\r\n" + END, b"0123456789"),
    reads("small", "RFC 9112 §7.1", "HEXDIG has no case", b"a\r\n0123456789\r\n" + END, b"0123456789"),
    reads("two-digits", "RFC 9112 §7.1", "sizes are hexadecimal", b"10\r\n0123456789abcdef\r\n" + END, b"0123456789abcdef"),
    reads("zeros", "RFC 9112 §7.1", "1*HEXDIG may begin with zeros", b"0000000000000003\r\nabc\r\n" + END, b"abc"),
    reads("last-zeros", "RFC 9112 §7.1", 'the last chunk is 1*"0"', b"3\r\nabc\r\n000\r\n\r\n", b"abc"),
    reads("data-like-an-end", "RFC 9112 §7.1", "data is data, whatever it looks like", b"5\r\n0\r\n\r\n\r\n" + END, END),
    reads("data-like-a-request", "RFC 9112 §11.2", "data is data, whatever it looks like", b"%x\r\n%b\r\n" % (len(HIDDEN), HIDDEN) + END, HIDDEN),
    breaks("empty-size", "RFC 9112 §7.1", "at least one digit is needed", b"\r\nabc\r\n" + END),
    breaks("letter", "RFC 9112 §7.1", "g is no hexadecimal digit", b"g\r\nabc\r\n" + END),
    breaks("letter-behind", "RFC 9112 §7.1", "what follows the digits is neither an extension nor the end", b"3g\r\nabc\r\n" + END),
    breaks("minus", "RFC 9112 §7.1", "a size has no sign", b"-3\r\nabc\r\n" + END),
    breaks("plus", "RFC 9112 §7.1", "a size has no sign", b"+3\r\nabc\r\n" + END),
    breaks("0x", "RFC 9112 §7.1", "programming languages read more than HTTP", b"0x3\r\nabc\r\n" + END),
    breaks("underscore", "RFC 9112 §7.1", "programming languages read more than HTTP", b"0_3\r\nabc\r\n" + END),
    breaks("space-before", "RFC 9112 §7.1", "nothing stands before a size", b" 3\r\nabc\r\n" + END),
    breaks("space-behind", "RFC 9112 §7.1", "white space stands before a semicolon only", b"3 \r\nabc\r\n" + END),
    breaks("tab-behind", "RFC 9112 §7.1", "white space stands before a semicolon only", b"3\t\r\nabc\r\n" + END),
    breaks("comma", "RFC 9112 §7.1", "a comma begins no extension", b"3,a\r\nabc\r\n" + END),
    breaks("superscript", "RFC 9112 §7.1", "HEXDIG is ASCII", b"\xb3\r\nabc\r\n" + END),
    breaks("full-width", "RFC 9112 §7.1", "HEXDIG is ASCII", b"\xef\xbc\x93\r\nabc\r\n" + END),
    breaks("17-digits", "RFC 9112 §7.1", "very large sizes must be foreseen", b"00000000000000003\r\nabc\r\n" + END),
    breaks("2-64-plus-3", "RFC 9112 §7.1", "modulo 2^64 this is 3", b"10000000000000003\r\nabc\r\n" + END),
    breaks("2-63", "RFC 9112 §7.1", "a number that may overflow is refused", b"8000000000000003\r\nabc\r\n" + END),
    breaks("2-64-less-1", "RFC 9112 §7.1", "read with a sign this is -1", b"ffffffffffffffff\r\nabc\r\n" + END),
    breaks("size-lf", "RFC 9112 §2.2", "LF alone ends no line in a body", b"3\nabc\r\n" + END),
    breaks("size-cr", "RFC 9112 §2.2", "CR alone ends no line", b"3\rabc\r\n" + END),
    breaks("size-cr-cr-lf", "RFC 9112 §2.2", "recipients differ on what a CR is", b"3\r\r\nabc\r\n" + END),
    breaks("size-nul", "RFC 9112 §7.1", "what ends a string in C ends nothing here", b"3\x00\r\nabc\r\n" + END),
    breaks("second-bad", "RFC 9112 §7.1", "a mistake behind good chunks is a mistake", b"3\r\nabc\r\nx\r\n" + END, b"abc"),
    breaks("last-minus", "RFC 9112 §7.1", "minus zero is not the last chunk", b"3\r\nabc\r\n-0\r\n\r\n", b"abc"),
    breaks("last-lf", "RFC 9112 §2.2", "LF alone ends no line in a body", b"3\r\nabc\r\n0\n\n", b"abc"),
]  # fmt: skip

DATA = [
    breaks("data-longer", "RFC 9112 §7.1", "CRLF follows the data", b"3\r\nabcd\r\n" + END, b"abc"),
    breaks("data-shorter", "RFC 9112 §7.1", "CRLF follows the data", b"5\r\nabc\r\n" + END, b"abc\r\n"),
    breaks("data-lf", "RFC 9112 §7.1", "CRLF follows the data, not LF", b"3\r\nabc\n" + END, b"abc"),
    breaks("data-cr", "RFC 9112 §7.1", "CRLF follows the data, not CR", b"3\r\nabc\r" + END, b"abc"),
    breaks("data-nothing", "RFC 9112 §7.1", "CRLF follows the data", b"3\r\nabc" + END, b"abc"),
    breaks("data-lf-cr", "RFC 9112 §7.1", "CRLF follows the data, not LFCR", b"3\r\nabc\n\r" + END, b"abc"),
    breaks("data-space", "RFC 9112 §7.1", "CRLF follows the data at once", b"3\r\nabc \r\n" + END, b"abc"),
    refused(
        "chunk-over-limit", "RFC 9110 §15.5.14", "chunks are counted as they come",
        chunked(b"3\r\nabc\r\n3\r\ndef\r\n" + END), 413, begun=begun(b"abc"), proxy={"limits": Limits(body_size=3)},
    ),
    refused(
        "chunk-fin", "RFC 9112 §8", "without its last chunk a body is incomplete",
        chunked(b"3\r\nabc\r\n"), begun=begun(b"abc"), fin=True, stands_alone=True,
    ),
    refused(
        "chunk-fin-in-data", "RFC 9112 §8", "an incomplete chunk makes an incomplete body",
        chunked(b"5\r\nabc"), begun=begun(b"abc"), fin=True, stands_alone=True,
    ),
    refused(
        "chunk-fin-before-end", "RFC 9112 §8", "the empty line behind the last chunk is missing",
        chunked(b"3\r\nabc\r\n0\r\n"), begun=begun(b"abc"), fin=True, stands_alone=True,
    ),
]  # fmt: skip

EXTENSIONS = [
    reads("extension", "RFC 9112 §7.1.1", "unrecognized extensions are ignored, and not passed on", b"3;a\r\nabc\r\n" + END, b"abc"),
    reads("extension-value", "RFC 9112 §7.1.1", "unrecognized extensions are ignored", b"3;a=b;c=d\r\nabc\r\n" + END, b"abc"),
    reads("extension-quoted", "RFC 9112 §7.1.1", "a value may be a quoted string", b'3;a="b;c\\"d"\r\nabc\r\n' + END, b"abc"),
    reads("extension-spaces", "RFC 9112 §7.1.1", "bad white space is to be parsed", b"3 \t; a = b\r\nabc\r\n" + END, b"abc"),
    reads("extension-empty", "RFC 9112 §7.1.1", "what is ignored may be empty", b"3;\r\nabc\r\n" + END, b"abc"),
    reads("extension-last", "RFC 9112 §7.1", "the last chunk may have extensions", b"3\r\nabc\r\n0;a=b\r\n\r\n", b"abc"),
    reads("extension-open-quote", "RFC 9112 §7.1.1", "no quoted string holds a line's end", b'3;a="\r\nabc\r\n' + END, b"abc"),
    breaks("extension-no-size", "RFC 9112 §7.1", "an extension has a size before it", b";a\r\nabc\r\n" + END),
    breaks("extension-space-before-size", "RFC 9112 §7.1", "nothing stands before a size", b" 3;a\r\nabc\r\n" + END),
    breaks("extension-nul", "RFC 9112 §7.1.1", "no token has control octets", b"3;a\x00\r\nabc\r\n" + END),
    breaks("extension-lf", "RFC 9112 §2.2", "an LF hidden here is a line's end to others", b"3;a\nabc\r\n" + END),
    breaks("extension-lf-chunk", "RFC 9112 §11.2", "a chunk hidden here is a chunk to others", b"3;\n30\r\nabc\r\n" + END),
    breaks("extension-cr", "RFC 9112 §2.2", "a CR hidden here is a line's end to others", b"3;a\rb\r\nabc\r\n" + END),
    breaks("extension-cr-cr-lf", "RFC 9112 §2.2", "recipients differ on what a CR is", b"3;a\r\r\nabc\r\n" + END),
    breaks("extension-long", "RFC 9112 §7.1.1", "extensions are bounded", b"3;" + b"a" * 1023 + b"\r\nabc\r\n" + END),
    breaks("extensions-many", "RFC 9112 §7.1.1", "all of a body's extensions are bounded together", (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 17 + END, b"x" * 16),
]  # fmt: skip

TRAILERS = [
    reads("trailer", "RFC 9112 §7.1.2", "trailers are passed as trailers, never merged into the head", b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", b"abc", b"X-Sum: 1"),
    reads("trailers", "RFC 9110 §6.5", "their order is kept", b"3\r\nabc\r\n0\r\nX: 1\r\nY: 2\r\nX: 3\r\n\r\n", b"abc", b"X: 1", b"Y: 2", b"X: 3"),
    reads("trailer-empty", "RFC 9110 §5.5", "a value may be empty", b"0\r\nX-Sum:\r\n\r\n", b"", b"X-Sum: "),
    reads("trailer-obs-text", "RFC 9110 §5.5", "octets above 127 are opaque", b"0\r\nX-Sum: \xe4\r\n\r\n", b"", b"X-Sum: \xe4"),
    *[
        reads(f"trailer-{line.partition(b':')[0].lower().decode()}", section, reason, b"0\r\n" + line + b"\r\nX-Sum: 1\r\n\r\n", b"", b"X-Sum: 1")
        for section, reason, line in [
            ("RFC 9110 §6.5.1", "framing comes too late behind the content", b"Content-Length: 5"),
            ("RFC 9110 §6.5.1", "framing comes too late behind the content", b"Transfer-Encoding: chunked"),
            ("RFC 9112 §11.2", "a twin that CGI takes for the real one", b"Content_Length: 5"),
            ("RFC 9110 §6.5.1", "routing comes too late behind the content", b"Host: b.example"),
            ("RFC 9110 §6.5.1", "authentication comes too late behind the content", b"Authorization: Basic eDp5"),
            ("RFC 9110 §6.5.1", "what describes the content comes before it", b"Content-Type: text/html"),
            ("RFC 9110 §6.5.1", "a request modifier comes too late", b"Expect: 100-continue"),
            ("RFC 9110 §6.5.1", "a request modifier comes too late", b"Range: bytes=0-0"),
            ("RFC 9110 §6.5.1", "authentication comes too late behind the content", b"Cookie: a=b"),
            ("RFC 9110 §7.6.1", "connection options belong to a head", b"Connection: close"),
            ("RFC 9110 §7.8", "an upgrade is asked for in a head", b"Upgrade: websocket"),
            ("RFC 7239 §8.1", "a client's claim is dropped wherever it stands", b"X-Forwarded-For: 127.0.0.1"),
            ("RFC 7239 §8.1", "a client's claim is dropped wherever it stands", b"Forwarded: for=127.0.0.1"),
            ("RFC 9110 §7.6.3", "Via is told in a head", b"Via: 1.1 spoof"),
        ]
    ],
    *[
        breaks(f"trailer-{name}", section, reason, b"3\r\nabc\r\n0\r\n" + raw, b"abc")
        for name, section, reason, raw in [
            ("space-before-colon", "RFC 9112 §5.1", "trailers are read as strictly as a head", b"X : y\r\n\r\n"),
            ("no-colon", "RFC 9112 §5", "a line without a colon is no field", b"GET / HTTP/1.1\r\n\r\n"),
            ("no-name", "RFC 9110 §5.1", "a name is not empty", b": y\r\n\r\n"),
            ("bad-name", "RFC 9110 §5.1", "a name is a token", b"X@: y\r\n\r\n"),
            ("folded", "RFC 9112 §5.2", "recipients differ on whether a line goes on", b"X: y\r\n z\r\n\r\n"),
            ("lf", "RFC 9112 §2.2", "recipients differ on what an LF is", b"X: y\nZ: a\r\n\r\n"),
            ("lf-lf", "RFC 9112 §2.2", "recipients differ on what an LF is", b"X: y\n\n"),
            ("cr", "RFC 9112 §2.2", "recipients differ on what a CR is", b"X: y\rZ: a\r\n\r\n"),
            ("nul", "RFC 9110 §5.5", "control octets are dangerous", b"X: \x00\r\n\r\n"),
        ]
    ],
    refused(
        "chunk-trailers-many", "RFC 9112 §7.1.2", "trailers are bounded as a head is",
        chunked(b"0\r\n" + b"X: y\r\n" * 5 + b"\r\n"), begun=begun(b""), proxy={"limits": Limits(head_count=4)},
    ),
    refused(
        "chunk-trailers-large", "RFC 9112 §7.1.2", "trailers are bounded as a head is",
        chunked(b"0\r\nX: " + b"y" * 200 + b"\r\n\r\n"), begun=begun(b""), proxy={"limits": Limits(head_size=128)},
    ),
    passed(
        "chunk-trailer-announced", "RFC 9110 §6.6.2", "the announcement is passed with what it announces",
        chunked(b"0\r\nX-Sum: 1\r\n\r\n", b"Trailer: X-Sum"), onward_chunked(b"", b"Trailer: X-Sum", trailers=(b"X-Sum: 1",)),
    ),
]  # fmt: skip

CASES = [*SIZES, *DATA, *EXTENSIONS, *TRAILERS]
