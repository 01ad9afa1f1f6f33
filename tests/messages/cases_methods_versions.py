"""Methods and versions, and what is no HTTP/1 at all."""

from __future__ import annotations

from tests.messages.case import LAST, STATUSES, Case, Reply, answer, get, head, onward, page, passed, refused

ALLOW = b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"
REST = b"Host: a.example\r\n\r\n"
LENGTH_ONLY = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")


def method(name: str, section: str, reason: str, token: bytes) -> Case:
    line = b"%b / HTTP/1.1" % token
    return passed(f"method-{name}", section, reason, head(line, b"Host: a.example"), onward(line=line))


METHODS = [
    method("put", "RFC 9110 §9.3.4", "a PUT without content goes on as it is", b"PUT"),
    method("patch", "RFC 5789 §2", "PATCH is a method like any", b"PATCH"),
    method("unknown", "RFC 9110 §9.1", "whether a method is known is the server's to say", b"BREW"),
    method("webdav", "RFC 4918 §9.1", "other standards have methods too", b"PROPFIND"),
    method("lower-case", "RFC 9110 §9.1", "methods have a case: this is not GET", b"get"),
    method("lower-case-trace", "RFC 9110 §9.1", "methods have a case: this is not TRACE", b"trace"),
    method("lower-case-connect", "RFC 9110 §9.1", "methods have a case: this is not CONNECT", b"connect"),
    method("hyphen", "RFC 9110 §9.1", "a method is any token", b"M-SEARCH"),
    method("token", "RFC 9110 §5.6.2", "all of these make a token", b"!#$%&'*+-.^_`|~09azAZ"),
    method("one-letter", "RFC 9110 §9.1", "a method is any token", b"X"),
    method("64", "RFC 9112 §3", "long methods are taken up to a bound", b"M" * 64),
    passed(
        "method-head", "RFC 9110 §9.3.2", "the answer to HEAD has no content, whatever length it tells",
        head(b"HEAD / HTTP/1.1", b"Host: a.example"), onward(line=b"HEAD / HTTP/1.1"),
        replies=(LENGTH_ONLY,), got=answer(b"Content-Length: 2"),
    ),
    Case(
        "method-connect", "RFC 9110 §9.3.6", "a reverse proxy is no tunnel to anywhere",
        head(b"CONNECT b.example:443 HTTP/1.1", b"Host: b.example:443"),
        page(STATUSES[405], ALLOW), "ended", b"", "none",
    ),
    Case(
        "method-connect-path", "RFC 9110 §9.3.6", "nor with a path as its target",
        head(b"CONNECT / HTTP/1.1", b"Host: a.example"),
        page(STATUSES[405], ALLOW), "ended", b"", "none",
    ),
    Case(
        "method-trace", "RFC 9110 §9.3.8", "TRACE would show what proxies added",
        head(b"TRACE / HTTP/1.1", b"Host: a.example"), page(STATUSES[405], ALLOW, closing=False), "open", b"", "none",
    ),
    Case(
        "method-trace-max-forwards", "RFC 9110 §9.3.8", "nor is it answered here",
        head(b"TRACE / HTTP/1.1", b"Host: a.example", b"Max-Forwards: 0"),
        page(STATUSES[405], ALLOW, closing=False), "open", b"", "none",
    ),
    refused("method-65", "RFC 9112 §3", "a method over the bound is none", b"M" * 65 + b" / HTTP/1.1\r\n" + REST),
    refused("method-empty", "RFC 9112 §3", "a request line begins with its method", b" / HTTP/1.1\r\n" + REST),
    refused("method-quoted", "RFC 9112 §3.1", "a method is a token", b'"GET" / HTTP/1.1\r\n' + REST),
    refused("method-at", "RFC 9112 §3.1", "a method is a token", b"G@T / HTTP/1.1\r\n" + REST),
    refused("method-slash", "RFC 9112 §3.1", "a method is a token", b"GET/ / HTTP/1.1\r\n" + REST),
    refused("method-brackets", "RFC 9112 §3.1", "a method is a token", b"GET() / HTTP/1.1\r\n" + REST),
    refused("method-colon", "RFC 9112 §3.1", "a field line is no request line", b"GET: / HTTP/1.1\r\n" + REST),
    refused("method-nul", "RFC 9112 §3.1", "what ends a string in C ends nothing here", b"GET\x00 / HTTP/1.1\r\n" + REST),
    refused("method-utf-8", "RFC 9112 §3.1", "a token is ASCII", b"G\xc3\x8bT / HTTP/1.1\r\n" + REST),
    refused("method-tab", "RFC 9112 §3", "a space follows the method", b"GET\t/ HTTP/1.1\r\n" + REST),
]  # fmt: skip

VERSIONS = [
    passed("version-1.0", "RFC 9112 §2.3", "HTTP/1.0 is served, and sent on as 1.1", head(b"GET / HTTP/1.0", b"Host: a.example"), onward(via=b"1.0 revproxy"), got=LAST, client="ended"),
    passed("version-1.2", "RFC 9110 §6.2", "a later minor version is read as 1.1", head(b"GET / HTTP/1.2", b"Host: a.example"), onward()),
    passed("version-1.9", "RFC 9110 §6.2", "a later minor version is read as 1.1", head(b"GET / HTTP/1.9", b"Host: a.example"), onward()),
    *[
        refused(f"version-{name}", section, reason, b"GET / %b\r\n" % version + REST, status)
        for name, section, reason, status, version in [
            ("2.0", "RFC 9110 §15.6.6", "another major version is another protocol", 505, b"HTTP/2.0"),
            ("3.0", "RFC 9110 §15.6.6", "another major version is another protocol", 505, b"HTTP/3.0"),
            ("0.9", "RFC 9110 §15.6.6", "another major version is another protocol", 505, b"HTTP/0.9"),
            ("0.0", "RFC 9110 §15.6.6", "another major version is another protocol", 505, b"HTTP/0.0"),
            ("9.9", "RFC 9110 §15.6.6", "another major version is another protocol", 505, b"HTTP/9.9"),
            ("lower-case", "RFC 9112 §2.3", "the name has a case", 400, b"http/1.1"),
            ("mixed-case", "RFC 9112 §2.3", "the name has a case", 400, b"Http/1.1"),
            ("two-digits", "RFC 9112 §2.3", "each number is one digit", 400, b"HTTP/1.10"),
            ("two-digits-major", "RFC 9112 §2.3", "each number is one digit", 400, b"HTTP/11.1"),
            ("zero", "RFC 9112 §2.3", "each number is one digit", 400, b"HTTP/01.1"),
            ("no-minor", "RFC 9112 §2.3", "each number is one digit", 400, b"HTTP/1."),
            ("no-dot", "RFC 9112 §2.3", "a dot separates the numbers", 400, b"HTTP/11"),
            ("only-major", "RFC 9112 §2.3", "a minor version is told", 400, b"HTTP/1"),
            ("two", "RFC 9112 §2.3", "HTTP/2 has no such line", 400, b"HTTP/2"),
            ("comma", "RFC 9112 §2.3", "a dot separates the numbers", 400, b"HTTP/1,1"),
            ("letters", "RFC 9112 §2.3", "the numbers are digits", 400, b"HTTP/a.b"),
            ("sign", "RFC 9112 §2.3", "the numbers are digits", 400, b"HTTP/+1.1"),
            ("superscript", "RFC 9112 §2.3", "DIGIT is ASCII", 400, b"HTTP/1.\xb9"),
            ("behind", "RFC 9112 §3", "nothing follows the version", 400, b"HTTP/1.1x"),
            ("tab-behind", "RFC 9112 §3", "nothing follows the version", 400, b"HTTP/1.1\t"),
            ("space-behind", "RFC 9112 §3", "nothing follows the version", 400, b"HTTP/1.1 "),
            ("space-inside", "RFC 9112 §2.3", "a version has no white space", 400, b"HTTP/ 1.1"),
            ("other-name", "RFC 9112 §2.3", "another name is another protocol", 400, b"HTTPS/1.1"),
            ("short-name", "RFC 9112 §2.3", "another name is another protocol", 400, b"HTP/1.1"),
            ("other-protocol", "RFC 9112 §2.3", "another name is another protocol", 400, b"RTSP/1.0"),
            ("icy", "RFC 9112 §2.3", "another name is another protocol", 400, b"ICY/1.1"),
            ("nul", "RFC 9112 §2.3", "what ends a string in C ends nothing here", 400, b"HTTP/1.1\x00"),
            ("twice", "RFC 9112 §3", "nothing follows the version", 400, b"HTTP/1.1 HTTP/1.1"),
        ]
    ],
    refused("version-none", "RFC 9112 §3", "HTTP/0.9 is not served", b"GET /\r\n" + REST),
    refused("version-none-alone", "RFC 9112 §3", "HTTP/0.9 is not served", b"GET /\r\n\r\n"),
    refused("version-empty", "RFC 9112 §3", "a version is not empty", b"GET / \r\n" + REST),
]  # fmt: skip

OTHERS = [
    refused("other-http-2", "RFC 9113 §3.4", "the preface of HTTP/2 is answered as far as HTTP/1 can", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    *[
        refused(f"other-{name}", "RFC 9112 §3", "this begins another protocol", octets)
        for name, octets in [
            ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ("nul", b"\x00\x00\x00\x00"),
            ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            ("smtp", b"EHLO a.example\r\n\r\n"),
            ("proxy", b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 80\r\n" + get()),
            ("answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("fields", REST),
            ("fcgi", b"\x01\x01\x00\x01\x00\x08\x00\x00"),
            ("json", b'{"a": 1}\r\n\r\n'),
        ]
    ],
]  # fmt: skip

CASES = [*METHODS, *VERSIONS, *OTHERS]
