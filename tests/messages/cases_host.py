"""Host: once, valid, and what it becomes for the server behind."""

from __future__ import annotations

from tests.messages.case import LAST, Case, get, head, onward, passed, refused

BARE = head(b"GET / HTTP/1.1", b"X: y")


def named(name: str, section: str, reason: str, host: bytes, port: bytes = b"80") -> Case:
    return passed(f"host-{name}", section, reason, get(host=b"Host: " + host), onward(host=host, port=port))


PASSED = [
    named("plain", "RFC 9112 §3.2", "Host is passed on as the client sent it", b"a.example"),
    named("case", "RFC 9110 §4.2.3", "hosts are compared without case, and passed with it", b"A.eXaMpLe"),
    named("dot", "RFC 9110 §4.2.3", "a name may be fully qualified", b"a.example."),
    named("port", "RFC 9110 §7.2", "the port is part of it", b"a.example:8080", b"8080"),
    named("port-empty", "RFC 3986 §3.2.3", "a port may be empty", b"a.example:"),
    named("ipv4", "RFC 3986 §3.2.2", "an address is a host", b"192.0.2.7"),
    named("ipv6", "RFC 3986 §3.2.2", "an IPv6 address stands in brackets", b"[2001:db8::7]"),
    named("ipv6-port", "RFC 3986 §3.2.2", "its port stands behind the brackets", b"[::1]:8080", b"8080"),
    named("ipv6-ipv4", "RFC 3986 §3.2.2", "an IPv6 address may end in an IPv4 address", b"[::ffff:192.0.2.7]"),
    named("label", "RFC 3986 §3.2.2", "a name may be one label", b"localhost"),
    named("underscore", "RFC 3986 §3.2.2", "a registered name is more than a DNS name", b"a_b.example"),
    named("escape", "RFC 3986 §3.2.2", "a registered name may have escapes", b"%61.example"),
    passed(
        "host-name-case", "RFC 9110 §5.1", "names have no case",
        get(host=b"hOsT: a.example"), onward(),
    ),
    passed(
        "host-spaces", "RFC 9112 §5.1", "white space around a value is not its part",
        get(host=b"Host: \t a.example \t"), onward(),
    ),
    passed(
        "host-last", "RFC 9110 §7.2", "Host may stand anywhere, and is sent first",
        head(b"GET / HTTP/1.1", b"X: y", b"Host: a.example"), onward(b"X: y"),
    ),
    passed(
        "host-1.0", "RFC 9112 §3.2", "HTTP/1.0 may come without; the server's own name is sent",
        head(b"GET / HTTP/1.0"), onward(host=b"10.0.0.1", told=b"", via=b"1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "host-1.0-named", "RFC 9112 §3.2", "HTTP/1.0 may come with it",
        head(b"GET / HTTP/1.0", b"Host: a.example"), onward(via=b"1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "host-listed-in-connection", "RFC 9110 §7.6.1", "Host is not a connection's to take away",
        get(b"Connection: Host"), onward(),
    ),
    passed(
        "host-x-host", "RFC 9110 §7.2", "X-Host is not Host",
        get(b"X-Host: b.example"), onward(b"X-Host: b.example"),
    ),
]  # fmt: skip

REFUSED = [
    refused(f"host-{name}", section, reason, get(host=b"\r\n".join(lines)))
    for name, section, reason, lines in [
        ("twice", "RFC 9112 §3.2", "more than one Host is answered 400", [b"Host: a.example", b"Host: b.example"]),
        ("twice-equal", "RFC 9112 §3.2", "more than one Host is answered 400", [b"Host: a.example"] * 2),
        ("twice-case", "RFC 9110 §5.1", "names have no case", [b"Host: a.example", b"host: b.example"]),
        ("twice-apart", "RFC 9112 §3.2", "lines need not be neighbours", [b"Host: a.example", b"X: y", b"Host: b.example"]),
        ("twice-empty", "RFC 9112 §3.2", "an empty Host counts", [b"Host:", b"Host: a.example"]),
        ("empty", "RFC 9112 §3.2", "every http URL has a host", [b"Host:"]),
        ("blank", "RFC 9112 §3.2", "white space is no host", [b"Host: \t "]),
        ("list", "RFC 9112 §3.2", "a list is more than one", [b"Host: a.example, b.example"]),
        ("list-tight", "RFC 9112 §3.2", "no space is needed to be a list", [b"Host: a.example,b.example"]),
        ("space", "RFC 3986 §3.2.2", "no host has a space", [b"Host: a.example b.example"]),
        ("tab", "RFC 3986 §3.2.2", "no host has a tab", [b"Host: a\t.example"]),
        ("path", "RFC 9110 §7.2", "a path is no part of it", [b"Host: a.example/b"]),
        ("backslash", "RFC 3986 §3.2.2", "some take a backslash for a slash", [b"Host: a.example\\b"]),
        ("query", "RFC 9110 §7.2", "a query is no part of it", [b"Host: a.example?b"]),
        ("fragment", "RFC 9110 §7.2", "a fragment is no part of it", [b"Host: a.example#b"]),
        ("user", "RFC 9110 §4.2.4", "user information is no part of it", [b"Host: me@a.example"]),
        ("url", "RFC 9110 §7.2", "a URL is no host", [b"Host: http://a.example"]),
        ("port-word", "RFC 3986 §3.2.3", "a port is digits", [b"Host: a.example:http"]),
        ("port-large", "RFC 9110 §4.2.1", "a TCP port has 16 bits", [b"Host: a.example:65536"]),
        ("port-huge", "RFC 9110 §4.2.1", "a TCP port has 16 bits", [b"Host: a.example:" + b"9" * 400]),
        ("port-zero", "RFC 9110 §4.2.1", "nobody listens on port 0", [b"Host: a.example:0"]),
        ("port-minus", "RFC 3986 §3.2.3", "a port is digits", [b"Host: a.example:-80"]),
        ("ports", "RFC 3986 §3.2.3", "there is one port", [b"Host: a.example:80:80"]),
        ("port-alone", "RFC 9110 §4.2.1", "an empty host is invalid", [b"Host: :80"]),
        ("ipv6-bare", "RFC 3986 §3.2.2", "an IPv6 address stands in brackets", [b"Host: ::1"]),
        ("ipv6-open", "RFC 3986 §3.2.2", "brackets are closed", [b"Host: [::1"]),
        ("ipv6-bad", "RFC 3986 §3.2.2", "brackets hold an IPv6 address", [b"Host: [::g]"]),
        ("ipv6-long", "RFC 3986 §3.2.2", "an IPv6 address has eight groups", [b"Host: [1:2:3:4:5:6:7:8:9]"]),
        ("ipv6-zone", "RFC 3986 §3.2.2", "a zone means nothing to another host", [b"Host: [fe80::1%25eth0]"]),
        ("ipv6-behind", "RFC 3986 §3.2.2", "nothing but a port follows the brackets", [b"Host: [::1]x"]),
        ("ipv6-name", "RFC 3986 §3.2.2", "a name has no brackets", [b"Host: [a.example]"]),
        ("utf-8", "RFC 3986 §3.2.2", "a name outside ASCII is sent encoded", [b"Host: \xc3\xa4.example"]),
        ("latin-1", "RFC 3986 §3.2.2", "a name outside ASCII is sent encoded", [b"Host: \xe4.example"]),
        ("escape-bad", "RFC 3986 §2.1", "an escape has hexadecimal digits", [b"Host: %zz.example"]),
        ("quoted", "RFC 3986 §3.2.2", "no host has quotes", [b'Host: "a.example"']),
        ("script", "RFC 3986 §3.2.2", "no host has angle brackets", [b"Host: <script>"]),
        ("nul", "RFC 9110 §5.5", "what ends a string in C ends nothing here", [b"Host: a.example\x00.b"]),
        ("space-before-colon", "RFC 9112 §5.1", "recipients differ on whose name that is", [b"Host : a.example"]),
        ("folded", "RFC 9112 §5.2", "recipients differ on whether a line goes on", [b"Host: a.example", b" .b"]),
        ("space-before-name", "RFC 9112 §2.2", "recipients differ on what this line is", [b" Host: a.example"]),
    ]
] + [
    refused("host-missing", "RFC 9112 §3.2", "HTTP/1.1 without Host is answered 400", BARE),
    refused(
        "host-missing-absolute", "RFC 9112 §3.2", "the absolute-form is no substitute",
        head(b"GET http://a.example/ HTTP/1.1", b"X: y"),
    ),
    refused(
        "host-bad-absolute", "RFC 9112 §3.2", "a Host that is overridden has to be valid",
        head(b"GET http://a.example/ HTTP/1.1", b"Host: a b"),
    ),
    refused(
        "host-twice-absolute", "RFC 9112 §3.2", "more than one Host is answered 400",
        head(b"GET http://a.example/ HTTP/1.1", b"Host: a.example", b"Host: a.example"),
    ),
    refused("host-missing-1.9", "RFC 9110 §6.2", "a later minor version is read as 1.1", head(b"GET / HTTP/1.9", b"X: y")),
    refused("host-twice-1.0", "RFC 9112 §3.2", "HTTP/1.0 may leave it out, not say it twice", head(b"GET / HTTP/1.0", b"Host: a", b"Host: b")),
    refused("host-bad-1.0", "RFC 9112 §3.2", "HTTP/1.0 may leave it out, not say nonsense", head(b"GET / HTTP/1.0", b"Host: a b")),
    refused("host-http-host", "RFC 9112 §3.2", "X_Host, HTTP_HOST and the like are not Host", head(b"GET / HTTP/1.1", b"HTTP_HOST: a.example")),
]  # fmt: skip

CASES = [*PASSED, *REFUSED]
