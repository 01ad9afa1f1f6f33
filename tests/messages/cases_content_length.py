"""Content-Length in requests: one line of digits, or nothing."""

from __future__ import annotations

from tests.messages.case import LAST, head, onward, onward_post, passed, post, refused

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a.example\r\n\r\n"
THREE = onward_post(length=3, body=b"abc")


def of(*fields: bytes) -> bytes:
    return post(*fields, body=b"abc")


LENGTH = [
    passed("length-none", "RFC 9112 §6.3", "without either field there is no body", post(), onward_post()),
    passed("length-zero", "RFC 9110 §8.6", "zero is a length", post(b"Content-Length: 0"), onward_post(length=0)),
    passed("length-three", "RFC 9112 §6.2", "a length says where the body ends", of(b"Content-Length: 3"), THREE),
    passed("length-zeros", "RFC 9110 §8.6", "1*DIGIT may begin with zeros", of(b"Content-Length: 0003"), THREE),
    passed("length-many-zeros", "RFC 9110 §8.6", "only the value counts", of(b"Content-Length: " + b"0" * 40 + b"3"), THREE),
    passed("length-spaces", "RFC 9112 §5.1", "white space around a value is not its part", of(b"Content-Length: \t 3 \t"), THREE),
    passed("length-no-space", "RFC 9112 §5", "the space behind the colon is optional", of(b"Content-Length:3"), THREE),
    passed("length-case", "RFC 9110 §5.1", "names have no case", of(b"cOnTeNt-LeNgTh: 3"), THREE),
    passed(
        "length-get", "RFC 9110 §9.3.1", "a GET may have content, which is framed like any other",
        head(b"GET / HTTP/1.1", b"Host: a.example", b"Content-Length: 3") + b"abc", onward(length=3, body=b"abc"),
    ),
    passed(
        "length-get-request-inside", "RFC 9112 §11.2", "what lies within the length is content, whatever it looks like",
        head(b"GET / HTTP/1.1", b"Host: a.example", b"Content-Length: %d" % len(HIDDEN)) + HIDDEN,
        onward(length=len(HIDDEN), body=HIDDEN),
    ),
    passed(
        "length-delete", "RFC 9110 §9.3.5", "a DELETE may have content",
        head(b"DELETE / HTTP/1.1", b"Host: a.example", b"Content-Length: 3") + b"abc",
        onward(line=b"DELETE / HTTP/1.1", length=3, body=b"abc"),
    ),
    passed(
        "length-options", "RFC 9110 §9.3.7", "OPTIONS may have content",
        head(b"OPTIONS / HTTP/1.1", b"Host: a.example", b"Content-Length: 3") + b"abc",
        onward(line=b"OPTIONS / HTTP/1.1", length=3, body=b"abc"),
    ),
    passed(
        "length-unknown-method", "RFC 9112 §6.3", "framing does not depend on a request's method",
        head(b"BREW / HTTP/1.1", b"Host: a.example", b"Content-Length: 3") + b"abc",
        onward(line=b"BREW / HTTP/1.1", length=3, body=b"abc"),
    ),
    passed(
        "length-http-1.0", "RFC 9112 §6.3", "HTTP/1.0 frames by length too",
        head(b"POST / HTTP/1.0", b"Host: a.example", b"Content-Length: 3") + b"abc",
        onward_post(via=b"1.0 revproxy", length=3, body=b"abc"), got=LAST, client="ended",
    ),
    passed(
        "length-request-inside", "RFC 9112 §11.2", "what lies within the length is content, whatever it looks like",
        post(b"Content-Length: %d" % len(HIDDEN), body=HIDDEN), onward_post(length=len(HIDDEN), body=HIDDEN),
    ),
    passed(
        "length-any-octets", "RFC 9110 §6.4", "content is any octets",
        post(b"Content-Length: 8", body=b"\x00\r\n\r\n\n\xff\x80"), onward_post(length=8, body=b"\x00\r\n\r\n\n\xff\x80"),
    ),
    passed(
        "length-chunks-inside", "RFC 9112 §6.2", "without Transfer-Encoding chunks are content",
        post(b"Content-Length: 5", body=b"0\r\n\r\n"), onward_post(length=5, body=b"0\r\n\r\n"),
    ),
    passed(
        "length-listed-in-connection", "RFC 9110 §7.6.1", "an option that names the framing does not undo it",
        of(b"Connection: Content-Length", b"Content-Length: 3"), THREE,
    ),
    passed(
        "length-underscore", "RFC 9112 §11.2", "a twin that CGI takes for the real one is dropped",
        post(b"Content_Length: 3"), onward_post(),
    ),
    passed(
        "length-underscore-beside", "RFC 9112 §11.2", "a twin that CGI takes for the real one is dropped",
        of(b"Content_Length: 50", b"Content-Length: 3"), THREE,
    ),
    passed(
        "length-x-prefix", "RFC 9110 §5.1", "another name is another field",
        post(b"X-Content-Length: 3"), onward_post(b"X-Content-Length: 3"),
    ),
]  # fmt: skip

REFUSED = [
    refused(f"length-{name}", section, reason, of(*fields))
    for name, section, reason, fields in [
        ("twice", "RFC 9112 §6.3", "equal or not, repairing would hide a disagreement", [b"Content-Length: 3"] * 2),
        ("twice-unequal", "RFC 9112 §6.3", "two lengths are two ends", [b"Content-Length: 3", b"Content-Length: 0"]),
        ("thrice", "RFC 9112 §6.3", "more of the same is no better", [b"Content-Length: 3"] * 3),
        ("twice-in-case", "RFC 9110 §5.1", "names have no case", [b"Content-Length: 3", b"content-length: 0"]),
        ("twice-apart", "RFC 9110 §5.3", "lines need not be neighbours", [b"Content-Length: 0", b"X: y", b"Content-Length: 3"]),
        ("list", "RFC 9112 §6.3", "a list of equal values is refused as two lines are", [b"Content-Length: 3, 3"]),
        ("list-unequal", "RFC 9112 §6.3", "a list of unequal values has two ends", [b"Content-Length: 3, 0"]),
        ("list-tight", "RFC 9112 §6.3", "no space is needed to be a list", [b"Content-Length: 3,3"]),
        ("comma-behind", "RFC 9110 §8.6", "a comma is no digit", [b"Content-Length: 3,"]),
        ("comma-before", "RFC 9110 §8.6", "a comma is no digit", [b"Content-Length: ,3"]),
        ("plus", "RFC 9110 §8.6", "there is no sign in 1*DIGIT", [b"Content-Length: +3"]),
        ("minus", "RFC 9110 §8.6", "there is no sign in 1*DIGIT", [b"Content-Length: -3"]),
        ("minus-zero", "RFC 9110 §8.6", "there is no sign in 1*DIGIT", [b"Content-Length: -0"]),
        ("empty", "RFC 9110 §8.6", "at least one digit is needed", [b"Content-Length:"]),
        ("blank", "RFC 9110 §8.6", "white space is no digit", [b"Content-Length: \t "]),
        ("empty-then-good", "RFC 9112 §6.3", "one good value does not heal another", [b"Content-Length:", b"Content-Length: 3"]),
        ("space-inside", "RFC 9110 §8.6", "two numbers are not one", [b"Content-Length: 3 3"]),
        ("tab-inside", "RFC 9110 §8.6", "two numbers are not one", [b"Content-Length: 0\t3"]),
        ("hexadecimal", "RFC 9110 §8.6", "the number is decimal", [b"Content-Length: 0x3"]),
        ("letter", "RFC 9110 §8.6", "the number is decimal", [b"Content-Length: 3a"]),
        ("underscore-inside", "RFC 9110 §8.6", "programming languages read more than HTTP", [b"Content-Length: 0_3"]),
        ("parameter", "RFC 9110 §8.6", "the field has no parameters", [b"Content-Length: 3;a=b"]),
        ("quoted", "RFC 9110 §8.6", "a quoted number is none", [b'Content-Length: "3"']),
        ("fraction", "RFC 9110 §8.6", "octets are whole", [b"Content-Length: 3.0"]),
        ("exponent", "RFC 9110 §8.6", "1*DIGIT has no exponent", [b"Content-Length: 3e0"]),
        ("superscript", "RFC 9110 §8.6", "DIGIT is ASCII", [b"Content-Length: \xb3"]),
        ("arabic", "RFC 9110 §8.6", "DIGIT is ASCII", [b"Content-Length: \xd9\xa3"]),
        ("full-width", "RFC 9110 §8.6", "DIGIT is ASCII", [b"Content-Length: \xef\xbc\x93"]),
        ("no-break-space", "RFC 9110 §5.6.3", "only SP and HTAB are white space", [b"Content-Length: \xa03"]),
        ("word", "RFC 9110 §8.6", "a word is no number", [b"Content-Length: three"]),
        ("2-63", "RFC 9110 §8.6", "a number that may overflow is refused", [b"Content-Length: 9223372036854775808"]),
        ("2-64-plus-3", "RFC 9110 §8.6", "modulo 2^64 this is 3", [b"Content-Length: 18446744073709551619"]),
        ("2-32-plus-3-twice", "RFC 9112 §6.3", "modulo 2^32 both are 3", [b"Content-Length: 3", b"Content-Length: 4294967299"]),
        ("endless", "RFC 9110 §8.6", "any number of digits must be foreseen", [b"Content-Length: " + b"9" * 500]),
        ("space-before-colon", "RFC 9112 §5.1", "recipients differ on whose name that is", [b"Content-Length : 3"]),
        ("tab-before-colon", "RFC 9112 §5.1", "recipients differ on whose name that is", [b"Content-Length\t: 3"]),
        ("folded", "RFC 9112 §5.2", "recipients differ on whether a line goes on", [b"Content-Length:", b" 3"]),
        ("folded-on", "RFC 9112 §5.2", "recipients differ on whether a line goes on", [b"Content-Length: 3", b" 3"]),
        ("nul", "RFC 9110 §5.5", "what ends a string in C ends nothing here", [b"Content-Length: 3\x00"]),
        ("bare-cr", "RFC 9112 §2.2", "recipients differ on what a CR is", [b"Content-Length: 3\r"]),
        ("bare-lf", "RFC 9112 §2.2", "recipients differ on what an LF is", [b"X: y\nContent-Length: 3"]),
    ]
]  # fmt: skip

OTHERS = [
    refused(
        "length-list-1.0", "RFC 9112 §6.3", "HTTP/1.0 gets no other rules",
        head(b"POST / HTTP/1.0", b"Content-Length: 3, 3") + b"abc",
    ),
    refused(
        "length-bad-get", "RFC 9112 §6.3", "a bad length is not ignored where no content is expected",
        head(b"GET / HTTP/1.1", b"Host: a.example", b"Content-Length: x"),
    ),
    refused(
        "length-bad-head", "RFC 9112 §6.3", "a HEAD request is framed as any request",
        head(b"DELETE / HTTP/1.1", b"Host: a.example", b"Content-Length: -1"),
    ),
    refused(
        "length-over-limit", "RFC 9110 §15.5.14", "too much is refused before anything goes on",
        post(b"Content-Length: 9223372036854775807", body=b"abc"), 413,
    ),
    refused(
        "length-fin", "RFC 9112 §8", "a body that ends too early makes its request incomplete",
        post(b"Content-Length: 5", body=b"abc"), begun=onward_post(length=5, body=b"abc"), fin=True, stands_alone=True,
    ),
]  # fmt: skip

CASES = [*LENGTH, *REFUSED, *OTHERS]
