"""Fields that end here, fields that the proxy adds, and what clients claim about themselves."""

from __future__ import annotations

from tests.messages.case import (
    DATE,
    LAST,
    PLAIN,
    Case,
    Reply,
    answer,
    answered,
    chunked,
    get,
    head,
    onward,
    onward_chunked,
    passed,
)

TE = (b"Connection: TE", b"TE: trailers")


def dropped(name: str, section: str, reason: str, *fields: bytes) -> Case:
    """Fields of which nothing goes on."""
    return passed(f"hop-{name}", section, reason, get(*fields, b"Y: z"), onward(b"Y: z"))


def claimed(*fields: bytes, reason: str = "a client's claim about itself is dropped", section: str = "RFC 7239 §8.1") -> Case:
    name = fields[0].partition(b":")[0].lower().decode()
    return passed(f"claim-{name}", section, reason, get(*fields, b"Y: z"), onward(b"Y: z"))


def believed(name: str, section: str, reason: str, sent: bytes, asked: bytes) -> Case:
    return passed(f"trusted-{name}", section, reason, sent, asked, trusted=True)


HOPS = [
    dropped("connection", "RFC 9110 §7.6.1", "Connection speaks of this connection alone", b"Connection: keep-alive"),
    dropped("listed", "RFC 9110 §7.6.1", "what Connection lists ends here", b"Connection: X-Hop", b"X-Hop: y"),
    dropped("listed-before", "RFC 9110 §7.6.1", "the order of the lines does not matter", b"X-Hop: y", b"Connection: X-Hop"),
    dropped("listed-case", "RFC 9110 §7.6.1", "options have no case", b"Connection: x-HOP", b"X-hop: y"),
    dropped("listed-several", "RFC 9110 §7.6.1", "all that is listed ends here", b"Connection: A, keep-alive ,B", b"A: 1", b"B: 2"),
    dropped("listed-lines", "RFC 9110 §5.3", "two lines are one list", b"Connection: A", b"Connection: B", b"A: 1", b"B: 2"),
    dropped("listed-repeated", "RFC 9110 §7.6.1", "every line of a listed field ends here", b"Connection: A", b"A: 1", b"A: 2"),
    dropped("listed-empty-members", "RFC 9110 §5.6.1", "empty members of a list are ignored", b"Connection: ,, A ,", b"A: 1"),
    dropped("listed-absent", "RFC 9110 §7.6.1", "a listed field need not be there", b"Connection: A"),
    dropped("listed-authorization", "RFC 9110 §7.6.1", "even fields that never should be listed", b"Connection: Authorization", b"Authorization: x"),
    dropped("listed-cookie", "RFC 9110 §7.6.1", "even fields that never should be listed", b"Connection: Cookie", b"Cookie: x"),
    dropped("listed-expect", "RFC 9110 §7.6.1", "even fields that never should be listed", b"Connection: Expect", b"Expect: 100-continue"),
    dropped("keep-alive", "RFC 9110 §7.6.1", "known connection fields end here, listed or not", b"Keep-Alive: timeout=5"),
    dropped("proxy-connection", "RFC 9110 §7.6.1", "known connection fields end here, listed or not", b"Proxy-Connection: keep-alive"),
    dropped("te", "RFC 9110 §10.1.4", "codings that a client takes are not what we take", b"TE: gzip, deflate;q=0.5"),
    dropped("te-empty", "RFC 9110 §10.1.4", "TE speaks of this connection alone", b"TE:"),
    dropped("te-longer-name", "RFC 9110 §10.1.4", "trailers is a whole token", b"TE: trailersx"),
    dropped("upgrade", "RFC 9110 §7.8", "Upgrade ends here, listed or not", b"Upgrade: x/1"),
    dropped("http2-settings", "RFC 9113 §3.1", "what was an upgrade's ends with it", b"HTTP2-Settings: AAA"),
    dropped("close", "RFC 9110 §7.6.1", "close is an option: no field of its name goes on", b"Close: 1"),
    dropped("proxy-authorization", "RFC 9110 §11.7.2", "credentials for a proxy are not for a server", b"Proxy-Authorization: Basic eDp5"),
    dropped("proxy-authenticate", "RFC 9110 §11.7.1", "a challenge of a proxy is no request's", b"Proxy-Authenticate: Basic"),
    dropped("underscore", "RFC 9110 §7.6.1", "a twin that CGI takes for the real one is dropped", b"Proxy_Connection: x", b"KEEP_ALIVE: x", b"Proxy_Authorization: x"),
    passed("hop-te-trailers", "RFC 9110 §10.1.4", "who takes trailers is told so with a connection of our own", get(b"Connection: TE", b"TE: trailers"), onward(hop=TE)),
    passed("hop-te-trailers-of-several", "RFC 9110 §10.1.4", "of what a client takes we can promise trailers", get(b"TE: gzip, Trailers"), onward(hop=TE)),
    passed("hop-te-lines", "RFC 9110 §5.3", "two lines are one list", get(b"TE: gzip", b"TE: trailers"), onward(hop=TE)),
    passed("hop-trailer", "RFC 9110 §6.6.2", "what announces trailers goes on with them", get(b"Trailer: X"), onward(b"Trailer: X")),
    passed("hop-listed-host", "RFC 9110 §7.6.1", "Host is not a connection's to take away", get(b"Connection: host, X", b"X: y"), onward()),
    passed("hop-listed-via", "RFC 9110 §7.6.3", "ours is said whatever the client lists", get(b"Connection: Via", b"Via: 1.0 a"), onward()),
    passed("hop-listed-ours", "RFC 9110 §7.6.1", "what we add is not a client's to take away", get(b"Connection: X-Forwarded-For, X-Forwarded-Proto, X-Request-ID"), onward()),
    passed("hop-listed-te", "RFC 9110 §10.1.4", "TE is listed by whoever sends it", get(b"Connection: close, TE", b"TE: trailers"), onward(hop=TE), got=LAST, client="ended"),
]  # fmt: skip

CLAIMS = [
    *[
        claimed(line)
        for line in [
            b"X-Forwarded-For: 127.0.0.1",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: b.example",
            b"X-Forwarded-Port: 443",
            b"X-Forwarded-Prefix: /b",
            b"X-Forwarded-Server: b",
            b"X-Forwarded-User: root",
            b"X-Forwarded-Client-Cert: Hash=1",
            b"X-Forwarded-: x",
            b"x-forwarded-SSL: on",
            b"Forwarded: for=127.0.0.1;proto=https",
            b"X-Request-ID: mine",
            b"X-Real-IP: 127.0.0.1",
            b"X-Client-IP: 127.0.0.1",
            b"X-Cluster-Client-IP: 127.0.0.1",
            b"True-Client-IP: 127.0.0.1",
            b"X-Original-URL: /admin",
            b"X-Original-Host: b.example",
            b"X-Rewrite-URL: /admin",
            b"X-Remote-User: root",
            b"Remote-User: root",
            b"X-SSL-Client-Verify: SUCCESS",
            b"X-Scheme: https",
            b"Front-End-Https: on",
            b"X_Forwarded_For: 127.0.0.1",
            b"X-Forwarded_For: 127.0.0.1",
            b"X_Real_IP: 127.0.0.1",
            b"REMOTE_USER: root",
        ]
    ],
    claimed(b"Client-Cert: :AAAA:", section="RFC 9440 §2.4", reason="a certificate is told by whoever verified it"),
    claimed(b"Client-Cert-Chain: :AAAA:", section="RFC 9440 §2.4", reason="a certificate is told by whoever verified it"),
    claimed(b"Proxy: http://evil.example", section="RFC 3875 §4.1.18", reason="CGI makes HTTP_PROXY of it"),
    passed(
        "claim-several", "RFC 7239 §8.1", "every line of a claim is dropped",
        get(b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-For: 127.0.0.2", b"x-forwarded-for: 127.0.0.3"), onward(),
    ),
    passed(
        "claim-host", "RFC 9110 §7.2", "X-Forwarded-Host tells the host that was asked for",
        head(b"GET http://b.example:8080/ HTTP/1.1", b"Host: a.example", b"X-Forwarded-Host: c.example"),
        onward(host=b"b.example:8080", port=b"8080"),
    ),
]  # fmt: skip

TRUSTED = [
    believed(
        "for", "RFC 7239 §5.2", "a trusted proxy's list goes on, with its address behind",
        get(b"X-Forwarded-For: 198.51.100.7"), onward(chain=b"198.51.100.7, 192.0.2.1"),
    ),
    believed(
        "for-lines", "RFC 9110 §5.3", "two lines are one list",
        get(b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-For: 198.51.100.8"), onward(chain=b"198.51.100.7, 198.51.100.8, 192.0.2.1"),
    ),
    believed(
        "request-id", "RFC 9110 §7.6", "an id that is none is not passed on",
        get(b"X-Request-ID: a b"), onward(),
    ),
    believed(
        "underscore", "RFC 7239 §8.1", "an underscored twin is nobody's claim",
        get(b"X_Forwarded_For: 127.0.0.1"), onward(),
    ),
    believed(
        "hop", "RFC 9110 §7.6.1", "its connection ends here too",
        get(b"Connection: X-Hop", b"X-Hop: y", b"Keep-Alive: 5"), onward(),
    ),
]  # fmt: skip

VIA = [
    passed("via-one", "RFC 9110 §7.6.3", "ours is added behind", get(b"Via: 1.0 a, 1.1 b (x)"), onward(via=b"1.0 a, 1.1 b (x), 1.1 revproxy")),
    passed("via-lines", "RFC 9110 §5.3", "two lines are one list", get(b"Via: 1.0 a", b"X: y", b"Via: 1.1 b"), onward(b"X: y", via=b"1.0 a, 1.1 b, 1.1 revproxy")),
    passed("via-loop", "RFC 9110 §7.6.3", "one of our name came by before: another proxy may bear it", get(b"Via: 1.1 revproxy"), onward(via=b"1.1 revproxy, 1.1 revproxy")),
    passed(
        "via-1.0", "RFC 9110 §7.6.3", "it tells the version that was received",
        head(b"GET / HTTP/1.0", b"Host: a.example", b"Via: 1.1 a"), onward(via=b"1.1 a, 1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "max-forwards-options", "RFC 9110 §7.6.2", "OPTIONS counts down",
        head(b"OPTIONS / HTTP/1.1", b"Host: a.example", b"Max-Forwards: 5"), onward(b"Max-Forwards: 4", line=b"OPTIONS / HTTP/1.1"),
    ),
    Case(
        "max-forwards-options-0", "RFC 9110 §7.6.2", "at zero the request is answered here",
        head(b"OPTIONS / HTTP/1.1", b"Host: a.example", b"Max-Forwards: 0"),
        head(b"HTTP/1.1 200 OK", b"Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH", b"Content-Length: 0", DATE),
        "open", b"", "none",
    ),
    passed(
        "max-forwards-options-bad", "RFC 9110 §7.6.2", "what can't be counted does not go on",
        head(b"OPTIONS / HTTP/1.1", b"Host: a.example", b"Max-Forwards: -1"), onward(line=b"OPTIONS / HTTP/1.1"),
    ),
    passed(
        "max-forwards-get", "RFC 9110 §7.6.2", "other methods' is ignored and goes on",
        get(b"Max-Forwards: 0"), onward(b"Max-Forwards: 0"),
    ),
]  # fmt: skip


def ends_here(name: str, section: str, reason: str, *fields: bytes) -> Case:
    """Fields of an answer of which nothing reaches the client."""
    lines = b"".join([field + b"\r\n" for field in (*fields, b"Y: z")])
    reply = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nhi"
    return answered(f"answer-hop-{name}", section, reason, reply, answer(b"Y: z", length=2, body=b"hi"))


def shown(name: str, section: str, reason: str, *fields: bytes, as_: tuple[bytes, ...] | None = None) -> Case:
    """Fields of an answer that the client sees."""
    lines = b"".join([field + b"\r\n" for field in fields])
    reply = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\nhi"
    date = not any(field.startswith(b"Date:") for field in fields)
    got = answer(*(fields if as_ is None else as_), length=2, body=b"hi", date=date)
    return answered(f"answer-shown-{name}", section, reason, reply, got)


ANSWERS = [
    ends_here("listed", "RFC 9110 §7.6.1", "what Connection lists ends here", b"Connection: X-Hop", b"X-Hop: y"),
    ends_here("listed-case", "RFC 9110 §7.6.1", "options have no case", b"X-HOP: y", b"connection: x-hop"),
    ends_here("listed-several", "RFC 9110 §7.6.1", "all that is listed ends here", b"Connection: A,keep-alive, B", b"A: 1", b"B: 2", b"A: 3"),
    ends_here("listed-lines", "RFC 9110 §5.3", "two lines are one list", b"Connection: A", b"Connection: B", b"A: 1", b"B: 2"),
    ends_here("listed-date", "RFC 9110 §6.6.1", "without the server's Date ours is told", b"Connection: Date", b"Date: Thu, 01 Jan 1970 00:00:00 GMT"),
    ends_here("keep-alive", "RFC 9110 §7.6.1", "known connection fields end here, listed or not", b"Keep-Alive: timeout=5"),
    ends_here("proxy-connection", "RFC 9110 §7.6.1", "known connection fields end here, listed or not", b"Proxy-Connection: close"),
    ends_here("te", "RFC 9110 §10.1.4", "TE is no answer's", b"TE: gzip"),
    ends_here("upgrade", "RFC 9110 §7.8", "an offer of another protocol ends here", b"Upgrade: h2c"),
    ends_here("proxy-authenticate", "RFC 9110 §11.7.1", "we are no proxy to our clients", b"Proxy-Authenticate: Basic"),
    ends_here("proxy-authentication-info", "RFC 9110 §11.7.3", "we are no proxy to our clients", b"Proxy-Authentication-Info: x"),
    ends_here("server", "RFC 9110 §10.2.4", "the server's software stays hidden", b"Server: secret/1.0"),
    ends_here("powered-by", "RFC 9110 §17.12", "the server's software stays hidden", b"X-Powered-By: secret/1.0"),
    ends_here("via", "RFC 9110 §7.6.3", "a gateway may hide what lies behind it", b"Via: 1.1 secret.internal"),
    ends_here("alt-svc", "RFC 7838 §3", "an alternative would lead around us", b'Alt-Svc: h2="secret.internal:443"'),
    shown("any", "RFC 9110 §5.2", "a field that means nothing to a proxy is passed on", b"X-Any: y"),
    shown("repeated", "RFC 9110 §5.3", "the order of lines of one name is kept, and nothing is joined", b"X: 1", b"Y: 2", b"x: 3"),
    shown("cookies", "RFC 6265 §3", "Set-Cookie lines are never joined", b"Set-Cookie: a=b; Path=/", b"Set-Cookie: c=d; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    shown("date", "RFC 9110 §6.6.1", "the server's Date is kept", b"Date: Thu, 01 Jan 1970 00:00:00 GMT"),
    shown("empty", "RFC 9110 §5.5", "a value may be empty", b"X:", as_=(b"X: ",)),
    shown("obs-text", "RFC 9110 §5.5", "octets above 127 are opaque", b"X: \xe4"),
    shown("spaces", "RFC 9112 §5.1", "white space around a value is not its part", b"X: \t y\t", as_=(b"X: y",)),
    shown("trailer", "RFC 9110 §6.6.2", "what announces trailers goes on", b"Trailer: X-Sum"),
    shown("location", "RFC 9110 §10.2.2", "a Location that names the server names us", b"Location: http://10.0.0.1/a", as_=(b"Location: http://a.example/a",)),
    shown("location-other", "RFC 9110 §10.2.2", "a Location elsewhere is left alone", b"Location: http://c.example/a"),
    shown("location-relative", "RFC 9110 §10.2.2", "a relative Location is left alone", b"Location: /a?b#c"),
    shown("content-location", "RFC 9110 §8.7", "a Content-Location that names the server names us", b"Content-Location: http://10.0.0.1:80/a", as_=(b"Content-Location: http://a.example/a",)),
    answered(
        "answer-hop-framing", "RFC 9110 §7.6.1", "framing is rendered anew, listed or not",
        b"HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 002\r\n\r\nhi", PLAIN,
    ),
    answered(
        "answer-trailers", "RFC 9110 §6.5", "trailers are passed as trailers",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
        answer(chunks=b"hi", trailers=(b"X-Sum: 1",)),
    ),
    answered(
        "answer-trailers-forbidden", "RFC 9110 §6.5.1", "trailers that come too late are dropped",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSet-Cookie: a=b\r\nContent-Length: 9\r\n"
        b"Location: /\r\nCache-Control: public\r\nServer: secret\r\nConnection: close\r\nX-Sum: 1\r\n\r\n",
        answer(chunks=b"hi", trailers=(b"X-Sum: 1",)),
    ),
    answered(
        "answer-trailers-1.0", "RFC 9112 §7.1.2", "without chunks there is no place for them",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
        answer(ending=(b"Connection: close",), body=b"hi"), sent=head(b"GET / HTTP/1.0", b"Host: a.example"),
        asked=onward(via=b"1.0 revproxy"), client="ended",
    ),
    passed(
        "hop-trailers-both-ways", "RFC 9110 §6.5", "trailers pass in both directions",
        chunked(b"0\r\nX-Sum: 2\r\n\r\n", b"TE: trailers"), onward_chunked(b"", hop=TE, trailers=(b"X-Sum: 2",)),
        got=answer(chunks=b"hi", trailers=(b"X-Sum: 1",)),
        replies=(Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"),),
    ),
]  # fmt: skip

CASES = [*HOPS, *CLAIMS, *TRUSTED, *VIA, *ANSWERS]
