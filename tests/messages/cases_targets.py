"""Targets in their four forms, and the octets that they may have."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.messages.case import STATUSES, Case, get, head, onward, page, passed, refused


def kept(name: str, section: str, reason: str, target: bytes) -> Case:
    return passed(f"target-{name}", section, reason, get(target=target), onward(line=b"GET %b HTTP/1.1" % target))


def absolute(name: str, section: str, reason: str, target: bytes, sent_on: bytes, host: bytes, port: bytes = b"80") -> Case:
    asked = onward(line=b"GET %b HTTP/1.1" % sent_on, host=host, port=port)
    return passed(f"target-absolute-{name}", section, reason, get(target=target), asked)


ORIGIN = [
    kept(name, section, reason, target)
    for name, section, reason, target in [
        ("root", "RFC 9112 §3.2.1", "the shortest origin-form", b"/"),
        ("query", "RFC 9112 §3.2.1", "a query is passed as it is", b"/a?b=c&d"),
        ("query-empty", "RFC 9112 §3.2.1", "an empty query differs from none", b"/a?"),
        ("query-marks", "RFC 3986 §3.4", "a query may have question marks and slashes", b"/a?b?c/../d"),
        ("query-url", "RFC 3986 §3.4", "a URL in a query is no absolute-form", b"/?u=http://b.example/"),
        ("query-percent", "RFC 3986 §2.1", "what a query means is its server's affair", b"/?a=100%&b=%zz"),
        ("double-slash", "RFC 9110 §4.2.3", "empty segments are segments", b"/a//b"),
        ("double-slash-first", "RFC 9112 §3.2.1", "an absolute path may begin with an empty segment", b"//b.example/x"),
        ("double-slash-alone", "RFC 9112 §3.2.1", "an absolute path may be empty segments", b"//"),
        ("dots", "RFC 3986 §6.2.2.3", "dot segments are matched resolved, and passed as they are", b"/a/../b/./c"),
        ("dots-above-root", "RFC 3986 §5.2.4", "dot segments are passed as they are", b"/../../a"),
        ("dots-encoded", "RFC 3986 §6.2.2.2", "escapes are matched decoded, and passed as they are", b"/a/%2e%2E/b"),
        ("slash-encoded", "RFC 3986 §2.2", "%2F is not a slash", b"/a%2Fb%2f..%2Fc"),
        ("unreserved-encoded", "RFC 3986 §2.3", "escapes are passed as they are", b"/%61%7e%7E"),
        ("percent-encoded", "RFC 3986 §2.4", "nothing is decoded twice", b"/%2561%252e"),
        ("utf-8-encoded", "RFC 3986 §2.5", "escapes are passed as they are", b"/%C3%A4%c3%a4"),
        ("line-end-encoded", "RFC 3986 §2.1", "an encoded line end stays encoded", b"/a%0d%0aX-Hidden:%20b"),
        ("space-encoded", "RFC 3986 §2.1", "an encoded space stays encoded", b"/a%20HTTP/1.1"),
        ("utf-8", "RFC 9112 §3.2", "clients send octets above 127, servers read them", b"/\xc3\xa4?\xc3\xa4"),
        ("latin-1", "RFC 9112 §3.2", "no character encoding is assumed", b"/\xe4\xff\x80"),
        ("excluded", "RFC 9112 §3.2", "these are no URI's, and harmless", b"/a\"<>[\\]^`{|}"),
        ("backslash", "RFC 9112 §3.2", "a backslash is passed as it is", b"/a\\..\\b"),
        ("parameters", "RFC 3986 §3.3", "parameters belong to a path", b"/a;b=c/d,e;f"),
        ("sub-delims", "RFC 3986 §3.3", "all of these stand in a path", b"/!$&'()*+,;=:@-._~"),
        ("asterisk", "RFC 9112 §3.2.4", "a path of an asterisk is no asterisk-form", b"/*"),
        ("colon", "RFC 9112 §3.2.1", "a path with a colon is no authority", b"/a:80"),
        ("url", "RFC 9112 §3.2.1", "a path may look like a URL", b"/http://b.example/"),
    ]
]  # fmt: skip

ABSOLUTE = [
    absolute("plain", "RFC 9112 §3.2.2", "its host overrides Host; origin-form goes on", b"http://b.example/x", b"/x", b"b.example"),
    absolute("same-host", "RFC 9112 §3.2.2", "a server accepts the absolute-form", b"http://a.example/x?y", b"/x?y", b"a.example"),
    absolute("no-path", "RFC 9112 §3.2.1", "an empty path is sent as /", b"http://b.example", b"/", b"b.example"),
    absolute("query", "RFC 9112 §3.2.1", "an empty path is sent as / before a query", b"http://b.example?x", b"/?x", b"b.example"),
    absolute("query-with-slash", "RFC 3986 §3.2", "a question mark ends an authority", b"http://b.example?x/y", b"/?x/y", b"b.example"),
    absolute("port", "RFC 9110 §7.2", "its port belongs to Host", b"http://b.example:8080/", b"/", b"b.example:8080", b"8080"),
    absolute("empty-port", "RFC 3986 §3.2.3", "a port may be empty", b"http://b.example:/", b"/", b"b.example:"),
    absolute("scheme-case", "RFC 9110 §4.2.3", "schemes have no case", b"HtTp://b.example/", b"/", b"b.example"),
    Case(
        "target-absolute-https", "RFC 9110 §7.4", "what is to be secured is not served in clear text",
        get(target=b"https://b.example/"), page(STATUSES[421], closing=False), "open", b"", "none", clear_only=True,
    ),
    passed(
        "target-absolute-https-trusted", "RFC 9110 §7.4", "a trusted gateway may have secured it",
        get(target=b"https://b.example/"), onward(host=b"b.example"), trusted=True,
    ),
    absolute("ipv6", "RFC 3986 §3.2.2", "an IPv6 address stands in brackets", b"http://[2001:db8::1]:81/", b"/", b"[2001:db8::1]:81", b"81"),
    absolute("double-slash", "RFC 9112 §3.2.2", "its path is passed as it is", b"http://b.example//c", b"//c", b"b.example"),
    absolute("url-inside", "RFC 9112 §3.2.2", "its path is passed as it is", b"http://b.example/http://c", b"/http://c", b"b.example"),
    passed(
        "target-absolute-1.0", "RFC 9112 §3.2.2", "it needs no Host in HTTP/1.0",
        head(b"GET http://b.example/ HTTP/1.0", b"Connection: keep-alive"), onward(host=b"b.example", via=b"1.0 revproxy"),
        got=b"HTTP/1.1 200 OK\r\nVia: 1.1 revproxy\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
        b"Date: Mon, 12 Jan 1970 13:46:40 GMT\r\n\r\nhi",
    ),
    passed(
        "target-absolute-options", "RFC 9112 §3.2.4", "the last proxy makes an asterisk of OPTIONS for a bare authority",
        head(b"OPTIONS http://b.example HTTP/1.1", b"Host: b.example"), onward(line=b"OPTIONS * HTTP/1.1", host=b"b.example"),
    ),
    passed(
        "target-absolute-options-slash", "RFC 9112 §3.2.4", "a path of / is not empty",
        head(b"OPTIONS http://b.example/ HTTP/1.1", b"Host: b.example"), onward(line=b"OPTIONS / HTTP/1.1", host=b"b.example"),
    ),
    passed(
        "target-asterisk-options", "RFC 9112 §3.2.4", "OPTIONS for the server as a whole",
        head(b"OPTIONS * HTTP/1.1", b"Host: a.example"), onward(line=b"OPTIONS * HTTP/1.1"),
    ),
]  # fmt: skip

LINES = [
    refused(f"target-{name}", section, reason, get(target=target))
    for name, section, reason, target in [
        *[
            (f"octet-{octet:02x}", "RFC 9112 §3.2", "no target has control octets", b"/a%cb" % octet)
            for octet in (0x00, 0x01, 0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x1B, 0x1F, 0x7F)
        ],
        ("fragment", "RFC 9112 §3.2.1", "a fragment is never sent", b"/a#b"),
        ("fragment-alone", "RFC 9112 §3.2.1", "a fragment is never sent", b"#"),
        ("space", "RFC 9112 §3.2", "a target has no white space; it is not repaired", b"/a b"),
        ("space-hides", "RFC 9112 §3.2", "recipients differ on which version counts", b"/ HTTP/1.1 /b"),
        ("double-space", "RFC 9112 §3", "single spaces separate", b" /"),
        ("space-behind", "RFC 9112 §3", "single spaces separate", b"/ "),
        ("tab-before", "RFC 9112 §3", "a tab separates nothing", b"\t/"),
        ("empty", "RFC 9112 §3.2", "a target is not empty", b""),
    ]
] + [
    refused(f"target-{name}", section, reason, head(b"GET %b HTTP/1.1" % target, b"Host: a.example"))
    for name, section, reason, target in [
        ("no-slash", "RFC 9112 §3.2.1", "an origin-form begins with a slash", b"a/b"),
        ("dot", "RFC 9112 §3.2.1", "an origin-form begins with a slash", b"./a"),
        ("query-alone", "RFC 9112 §3.2.1", "an origin-form begins with a slash", b"?a"),
        ("backslash-first", "RFC 9112 §3.2.1", "an origin-form begins with a slash", b"\\a"),
        ("encoded-slash-first", "RFC 9112 §3.2.1", "an origin-form begins with a slash", b"%2fa"),
        ("asterisk-get", "RFC 9112 §3.2.4", "the asterisk-form is for OPTIONS alone", b"*"),
        ("asterisk-path", "RFC 9112 §3.2.4", "an asterisk has no path", b"*/a"),
        ("authority", "RFC 9112 §3.2.3", "the authority-form is for CONNECT alone", b"b.example:80"),
        ("host", "RFC 9112 §3.2.1", "a host is no path", b"b.example"),
        ("ftp", "RFC 9110 §4.2", "only http and https have servers here", b"ftp://b.example/"),
        ("file", "RFC 9110 §4.2", "only http and https have servers here", b"file:///etc/passwd"),
        ("javascript", "RFC 9110 §4.2", "only http and https have servers here", b"javascript:alert(1)"),
        ("one-slash", "RFC 9110 §4.2.1", "an http URL has an authority", b"http:/a"),
        ("no-slashes", "RFC 9110 §4.2.1", "an http URL has an authority", b"http:b.example"),
        ("no-authority", "RFC 9110 §4.2.1", "an empty host is invalid", b"http:///a"),
        ("only-port", "RFC 9110 §4.2.1", "an empty host is invalid", b"http://:80/"),
        ("user", "RFC 9110 §4.2.4", "user information hides the host", b"http://a.example@b.example/"),
        ("password", "RFC 9110 §4.2.4", "user information hides the host", b"http://me:pass@b.example/"),
        ("host-backslash", "RFC 3986 §3.2.2", "some take a backslash for a slash", b"http://a.example\\@b.example/"),
        ("host-brackets", "RFC 3986 §3.2.2", "brackets hold an IPv6 address", b"http://[::g]/"),
        ("host-open-bracket", "RFC 3986 §3.2.2", "brackets are closed", b"http://[::1/"),
        ("port-word", "RFC 3986 §3.2.3", "a port is digits", b"http://b.example:http/"),
        ("port-large", "RFC 9110 §4.2.1", "a TCP port has 16 bits", b"http://b.example:65536/"),
        ("port-zero", "RFC 9110 §4.2.1", "nobody listens on port 0", b"http://b.example:0/"),
        ("nul-encoded", "RFC 3986 §7.3", "an encoded NUL ends a string in C", b"/a%00b"),
        ("percent-alone", "RFC 3986 §2.1", "a percent sign begins an escape", b"/100%"),
        ("percent-short", "RFC 3986 §2.1", "an escape has two digits", b"/a%2"),
        ("percent-word", "RFC 3986 §2.1", "an escape has hexadecimal digits", b"/%zz"),
        ("percent-unicode", "RFC 3986 §2.1", "this is some servers' own escape", b"/%u0041"),
        ("percent-nested", "RFC 3986 §2.4", "decoding this twice makes another path", b"/%%34%31"),
    ]
] + [
    refused(
        "target-asterisk-post", "RFC 9112 §3.2.4", "the asterisk-form is for OPTIONS alone",
        head(b"POST * HTTP/1.1", b"Host: a.example"),
    ),
    refused(
        "target-authority-options", "RFC 9112 §3.2.3", "the authority-form is for CONNECT alone",
        head(b"OPTIONS b.example:80 HTTP/1.1", b"Host: a.example"),
    ),
    refused("target-missing", "RFC 9112 §3", "without a version and a target this is HTTP/0.9", b"GET\r\nHost: a.example\r\n\r\n"),
    refused("target-missing-version", "RFC 9112 §3", "a method and a version are not enough", b"GET HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    refused(
        "target-long", "RFC 9110 §15.5.15", "a target that is longer than the limit is not kept",
        get(target=b"/" + b"a" * 64), 414, proxy={"limits": Limits(target_length=64)},
    ),
    passed(
        "target-at-limit", "RFC 9110 §15.5.15", "a target as long as the limit is taken",
        get(target=b"/" + b"a" * 63), onward(line=b"GET /%b HTTP/1.1" % (b"a" * 63)), proxy={"limits": Limits(target_length=64)},
    ),
]  # fmt: skip

CASES = [*ORIGIN, *ABSOLUTE, *LINES]
