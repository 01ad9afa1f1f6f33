"""Field lines and line ends in the heads of requests."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.messages.case import Case, get, head, onward, onward_post, passed, post, refused

LINE, HOST = b"GET / HTTP/1.1\r\n", b"Host: a.example\r\n"


def stays(name: str, section: str, reason: str, line: bytes, sent_on: bytes | None = None) -> Case:
    return passed(f"field-{name}", section, reason, get(line), onward(line if sent_on is None else sent_on))


ENDS = [
    refused(f"line-{name}", section, reason, raw)
    for name, section, reason, raw in [
        ("lf-everywhere", "RFC 9112 §2.2", "a recipient may take LF for a line's end; it need not", b"GET / HTTP/1.1\nHost: a.example\n\n"),
        ("lf-behind-request-line", "RFC 9112 §2.2", "recipients differ on what an LF is", b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
        ("lf-behind-field", "RFC 9112 §2.2", "recipients differ on what an LF is", LINE + b"Host: a.example\n\r\n"),
        ("lf-between-fields", "RFC 9112 §2.2", "recipients differ on what an LF is", LINE + b"X: y\n" + HOST + b"\r\n"),
        ("lf-in-value", "RFC 9110 §5.5", "a line hidden here is a line to others", LINE + HOST + b"X: y\nX-Hidden: z\r\n\r\n"),
        ("lf-ends-head", "RFC 9112 §2.2", "recipients differ on where the head ends", LINE + HOST + b"\n"),
        ("lf-lf-in-head", "RFC 9112 §11.2", "a request hidden here is a request to others", LINE + HOST + b"X: y\n\nGET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"),
        ("lf-in-target", "RFC 9112 §3.2", "no target has an LF", b"GET /\nX HTTP/1.1\r\n" + HOST + b"\r\n"),
        ("cr-everywhere", "RFC 9112 §2.2", "a CR ends no line", b"GET / HTTP/1.1\rHost: a.example\r\r"),
        ("cr-behind-request-line", "RFC 9112 §2.2", "a bare CR is invalid", b"GET / HTTP/1.1\rX\r\n" + HOST + b"\r\n"),
        ("cr-in-value", "RFC 9112 §2.2", "a bare CR is invalid, or becomes a space", LINE + HOST + b"X: y\rz\r\n\r\n"),
        ("cr-in-name", "RFC 9112 §2.2", "a bare CR is invalid", LINE + HOST + b"X\rY: z\r\n\r\n"),
        ("cr-before-colon", "RFC 9112 §2.2", "a bare CR is invalid", LINE + HOST + b"X\r: z\r\n\r\n"),
        ("cr-cr-lf", "RFC 9112 §2.2", "a CR before CRLF is bare", LINE + HOST + b"X: y\r\r\n\r\n"),
        ("cr-cr-lf-request-line", "RFC 9112 §2.2", "a CR before CRLF is bare", b"GET / HTTP/1.1\r\r\n" + HOST + b"\r\n"),
        ("cr-hides-field", "RFC 9112 §2.2", "a line hidden here is a line to others", LINE + HOST + b"X: y\rContent-Length: 5\r\n\r\n"),
        ("lf-cr", "RFC 9112 §2.2", "the order matters", b"GET / HTTP/1.1\n\rHost: a.example\n\r\n\r"),
        ("leading-two", "RFC 9112 §2.2", "one empty line before a request is robust; more are an attack", b"\r\n\r\n" + get()),
        ("leading-lf", "RFC 9112 §2.2", "LF alone is no empty line", b"\n" + get()),
        ("leading-cr", "RFC 9112 §2.2", "CR alone is no empty line", b"\r" + get()),
        ("leading-cr-cr-lf", "RFC 9112 §2.2", "CR alone is no empty line", b"\r\r\n" + get()),
        ("leading-space", "RFC 9112 §3", "a request line begins with its method", b" " + get()),
        ("leading-nul", "RFC 9112 §3", "a request line begins with its method", b"\x00" + get()),
        ("leading-space-line", "RFC 9112 §2.2", "a line of white space is not empty", b" \r\n" + get()),
        ("leading-bom", "RFC 9112 §2.1", "a message is octets, not text", b"\xef\xbb\xbf" + get()),
    ]
]  # fmt: skip

LINES = [
    refused(f"field-{name}", section, reason, get(*lines))
    for name, section, reason, lines in [
        ("folded", "RFC 9112 §5.2", "a server refuses obs-fold or replaces it: we refuse", [b"X: y", b" z"]),
        ("folded-tab", "RFC 9112 §5.2", "a server refuses obs-fold or replaces it: we refuse", [b"X: y", b"\tz"]),
        ("folded-empty", "RFC 9112 §5.2", "a fold of nothing is a fold", [b"X: y", b" "]),
        ("folded-colon", "RFC 9112 §5.2", "recipients differ on whether this is a field", [b"X: y", b" Z: a"]),
        ("folded-host", "RFC 9112 §5.2", "the line before is Host's", [b" b.example"]),
        ("space-before-colon", "RFC 9112 §5.1", "this is answered 400", [b"X : y"]),
        ("tab-before-colon", "RFC 9112 §5.1", "this is answered 400", [b"X\t: y"]),
        ("spaces-before-colon", "RFC 9112 §5.1", "this is answered 400", [b"X   : y"]),
        ("no-name", "RFC 9110 §5.1", "a name has at least one octet", [b": y"]),
        ("only-colon", "RFC 9110 §5.1", "a name has at least one octet", [b":"]),
        ("space-as-name", "RFC 9110 §5.1", "a name is a token", [b" : y"]),
        ("no-colon", "RFC 9112 §5", "a line without a colon is no field", [b"X"]),
        ("no-colon-request", "RFC 9112 §5", "a line without a colon is no field", [b"GET /hidden HTTP/1.1"]),
        *[
            (f"name-{octet:02x}", "RFC 9110 §5.6.2", "this octet belongs to no token", [b"X%cY: z" % octet])
            for octet in (*b' "(),/;<=>?@[\\]{}', 0x00, 0x01, 0x09, 0x0B, 0x1F, 0x7F, 0x80, 0xE4, 0xFF)
        ],
        ("name-utf-8", "RFC 9110 §5.6.2", "a token is ASCII", [b"X-\xc3\xa4: y"]),
        *[
            (f"value-{octet:02x}", "RFC 9110 §5.5", "control octets are invalid and dangerous", [b"X: a%cb" % octet])
            for octet in (0x00, 0x01, 0x07, 0x08, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F)
        ],
        ("value-nul-alone", "RFC 9110 §5.5", "NUL is invalid and dangerous", [b"X: \x00"]),
    ]
]  # fmt: skip

FIRST = [
    refused(
        "field-first-folded", "RFC 9112 §2.2", "white space between the request line and the first field is refused",
        LINE + b" " + HOST + b"\r\n",
    ),
    refused(
        "field-first-space-line", "RFC 9112 §2.2", "white space between the request line and the first field is refused",
        LINE + b" \r\n" + HOST + b"\r\n",
    ),
]  # fmt: skip

STAY = [
    stays("plain", "RFC 9110 §5.2", "a field that means nothing to a proxy is passed on", b"X-Any: y"),
    stays("name-case", "RFC 9110 §5.1", "the spelling is kept, though it means nothing", b"x-ANY: y"),
    stays("name-token", "RFC 9110 §5.6.2", "all of these make a token", b"!#$%&'*+-.^`|~09azAZ: y"),
    stays("name-underscore", "RFC 9110 §5.6.2", "an underscore makes no name suspect by itself", b"X_Any: y"),
    stays("name-number", "RFC 9110 §5.6.2", "a token may be a number", b"1: y"),
    stays("value-empty", "RFC 9110 §5.5", "a value may be empty", b"X:", b"X: "),
    stays("value-spaces", "RFC 9112 §5.1", "white space around a value is not its part", b"X: \t y \t", b"X: y"),
    stays("value-no-space", "RFC 9112 §5", "the space behind the colon is optional", b"X:y", b"X: y"),
    stays("value-tab", "RFC 9110 §5.5", "HTAB may stand inside a value", b"X: a\tb"),
    stays("value-spaces-inside", "RFC 9110 §5.5", "spaces inside a value are its own", b"X: a  b"),
    stays("value-colons", "RFC 9112 §5", "the first colon ends the name", b"X: :a: b:"),
    stays("value-obs-text", "RFC 9110 §5.5", "octets above 127 are opaque", b"X: \xe4\x80\xff"),
    stays("value-visible", "RFC 9110 §5.5", "every visible octet may stand in a value", b"X: " + bytes(range(33, 127))),
    stays("value-quotes", "RFC 9110 §5.6.4", "an unclosed quote means nothing to a proxy", b'X: "a'),
    stays("value-encoded-line-end", "RFC 9110 §5.5", "escapes are not decoded", b"X: a%0d%0aX-Hidden: b"),
    passed(
        "field-order", "RFC 9110 §5.3", "the order of lines of one name is kept, and nothing is joined",
        get(b"X: 1", b"Y: 2", b"X: 3", b"x: 4"), onward(b"X: 1", b"Y: 2", b"X: 3", b"x: 4"),
    ),
    passed(
        "field-cookies", "RFC 9110 §5.3", "several Cookie lines are left as they are",
        get(b"Cookie: a=b", b"Cookie: c=d"), onward(b"Cookie: a=b", b"Cookie: c=d"),
    ),
    passed(
        "field-conditional", "RFC 9110 §13.1", "conditions are the server's to judge",
        get(b'If-None-Match: "a"', b"If-Modified-Since: never"), onward(b'If-None-Match: "a"', b"If-Modified-Since: never"),
    ),
    passed(
        "line-leading-one", "RFC 9112 §2.2", "one empty line before a request is ignored",
        b"\r\n" + get(), onward(),
    ),
    passed(
        "line-behind-body", "RFC 9112 §2.2", "old clients send CRLF behind a body: it is ignored",
        post(b"Content-Length: 3", body=b"abc") + b"\r\n", onward_post(length=3, body=b"abc"),
    ),
    passed(
        "field-count-at-limit", "RFC 6585 §5", "as many fields as the limit are taken",
        get(b"A: 1", b"B: 2", b"C: 3"), onward(b"A: 1", b"B: 2", b"C: 3"), proxy={"limits": Limits(head_count=4)},
    ),
]  # fmt: skip

LIMITS = [
    refused(
        "field-count", "RFC 6585 §5", "more fields than the limit are not parsed",
        get(b"A: 1", b"B: 2", b"C: 3", b"D: 4"), 431, proxy={"limits": Limits(head_count=4)},
    ),
    refused(
        "field-size", "RFC 6585 §5", "a head that is larger than the limit is not kept",
        get(b"X: " + b"y" * 200), 431, proxy={"limits": Limits(head_size=128)},
    ),
    refused(
        "field-name-size", "RFC 6585 §5", "a name is bounded with its head",
        get(b"X" * 200 + b": y"), 431, proxy={"limits": Limits(head_size=128)},
    ),
    refused(
        "field-size-no-end", "RFC 6585 §5", "the limit does not wait for the head's end",
        head(b"GET / HTTP/1.1", b"X: " + b"y" * 300)[:-4], 431, proxy={"limits": Limits(head_size=128)},
    ),
]  # fmt: skip

CASES = [*ENDS, *LINES, *FIRST, *STAY, *LIMITS]
