"""Expect and 100 (Continue), Upgrade and 101 (Switching Protocols)."""

from __future__ import annotations

from tests.messages.case import (
    LAST,
    OK,
    PLAIN,
    STATUSES,
    Case,
    Reply,
    answer,
    answered,
    bad_answer,
    chunked,
    get,
    head,
    onward,
    onward_chunked,
    onward_post,
    page,
    passed,
    post,
    refused,
)

ABC = {"length": 3, "body": b"abc"}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CONTINUED = b"HTTP/1.1 100 Continue\r\nVia: 1.1 revproxy\r\n\r\n"

EXPECT = [
    passed(
        "expect-continue", "RFC 9110 §10.1.1", "the expectation goes on with its body",
        post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"), onward_post(b"Expect: 100-continue", **ABC),
    ),
    passed(
        "expect-continue-case", "RFC 9110 §10.1.1", "expectations have no case",
        post(b"Expect: 100-Continue", b"Content-Length: 3", body=b"abc"), onward_post(b"Expect: 100-Continue", **ABC),
    ),
    passed(
        "expect-continue-chunks", "RFC 9110 §10.1.1", "a chunked body may be waited with too",
        chunked(b"3\r\nabc\r\n0\r\n\r\n", b"Expect: 100-continue"), onward_chunked(b"abc", b"Expect: 100-continue"),
    ),
    passed(
        "expect-continued", "RFC 9110 §15.2.1", "the server's 100 is passed on",
        post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"), onward_post(b"Expect: 100-continue", **ABC),
        replies=(Reply(OK.octets, at_head=CONTINUE),), got=CONTINUED + PLAIN,
    ),
    passed(
        "expect-continue-no-body", "RFC 9110 §10.1.1", "without content to come it means nothing, and is not passed on",
        get(b"Expect: 100-continue"), onward(),
    ),
    passed(
        "expect-continue-empty-body", "RFC 9110 §10.1.1", "without content to come it means nothing, and is not passed on",
        post(b"Expect: 100-continue", b"Content-Length: 0"), onward_post(length=0),
    ),
    passed(
        "expect-1.0", "RFC 9110 §10.1.1", "in HTTP/1.0 it is ignored",
        head(b"POST / HTTP/1.0", b"Host: a.example", b"Expect: 100-continue", b"Content-Length: 3") + b"abc",
        onward_post(via=b"1.0 revproxy", **ABC), got=LAST, client="ended",
    ),
    passed(
        "expect-1.0-other", "RFC 9110 §10.1.1", "in HTTP/1.0 it is ignored, whatever it says",
        head(b"GET / HTTP/1.0", b"Host: a.example", b"Expect: miracle"), onward(via=b"1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "expect-1.0-no-100", "RFC 9110 §15.2", "HTTP/1.0 knows no 1xx",
        head(b"POST / HTTP/1.0", b"Host: a.example", b"Content-Length: 3") + b"abc",
        onward_post(via=b"1.0 revproxy", **ABC), got=LAST, client="ended", replies=(Reply(OK.octets, at_head=CONTINUE),),
    ),
    passed(
        "expect-417", "RFC 9110 §15.5.18", "the server may refuse by itself",
        post(b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"), onward_post(b"Expect: 100-continue", **ABC),
        replies=(Reply(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"),),
        got=answer(line=b"HTTP/1.1 417 Expectation Failed", length=0),
    ),
    *[
        refused(f"expect-{name}", "RFC 9110 §10.1.1", reason, post(*lines, b"Content-Length: 3", body=b"abc"), 417)
        for name, reason, lines in [
            ("other", "another expectation can't be met", [b"Expect: 200-ok"]),
            ("word", "another expectation can't be met", [b"Expect: continue"]),
            ("list", "another expectation beside it can't be met", [b"Expect: 100-continue, miracle"]),
            ("twice", "twice is not once", [b"Expect: 100-continue"] * 2),
            ("two-lines", "two lines are one list", [b"Expect: 100-continue", b"Expect: miracle"]),
            ("parameter", "this expectation has no parameters", [b"Expect: 100-continue;a=b"]),
            ("quoted", "an expectation is a token", [b'Expect: "100-continue"']),
        ]
    ],
]  # fmt: skip

ASK = (b"Connection: Upgrade", b"Upgrade: websocket")
ASKED = onward(hop=ASK)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nVia: 1.1 revproxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def no_upgrade(name: str, reason: str, *fields: bytes) -> Case:
    return passed(f"upgrade-{name}", "RFC 9110 §7.8", reason, get(*fields), onward())


def not_asked(name: str, reason: str, *fields: bytes) -> Case:
    """101 to a request that asks for nothing."""
    return bad_answer(f"switch-{name}", "RFC 9110 §7.8", reason, SWITCH, sent=get(*fields), asked=onward())


UPGRADE = [
    passed(
        "upgrade", "RFC 9110 §7.8", "an allowed upgrade is asked for, and becomes a tunnel",
        get(*ASK), ASKED, got=SWITCHED, client="tunnel", replies=(Reply(SWITCH),),
    ),
    passed(
        "upgrade-case", "RFC 9110 §7.8", "protocols have no case",
        get(b"connection: keep-alive, UPGRADE", b"upgrade: WebSocket"), ASKED, got=SWITCHED, client="tunnel", replies=(Reply(SWITCH),),
    ),
    passed(
        "upgrade-early-octets", "RFC 9110 §7.8", "what follows at once belongs to the new protocol",
        get(*ASK), ASKED, got=SWITCHED + b"\x81\x02hi", client="tunnel", replies=(Reply(SWITCH + b"\x81\x02hi"),),
    ),
    passed(
        "upgrade-of-several", "RFC 9110 §7.8", "one allowed protocol is asked for, never a list",
        get(b"Connection: Upgrade", b"Upgrade: h2c, websocket"), ASKED, got=SWITCHED, client="tunnel", replies=(Reply(SWITCH),),
    ),
    passed(
        "upgrade-two-lines", "RFC 9110 §5.3", "two lines are one list",
        get(b"Connection: Upgrade", b"Upgrade: h2c", b"Upgrade: websocket"), ASKED,
        got=SWITCHED, client="tunnel", replies=(Reply(SWITCH),),
    ),
    passed(
        "upgrade-refused", "RFC 9110 §7.8", "a server may ignore it, and the connection stays HTTP",
        get(*ASK), ASKED,
    ),
    passed(
        "upgrade-refused-status", "RFC 9110 §7.8", "a refusal is an answer like any",
        get(*ASK), ASKED, replies=(Reply(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),),
        got=answer(line=b"HTTP/1.1 403 Forbidden", length=0),
    ),
    passed(
        "upgrade-keeps-fields", "RFC 6455 §4.1", "the handshake's own fields go on",
        get(*ASK, b"Sec-WebSocket-Key: dGhl", b"Sec-WebSocket-Version: 13"),
        onward(b"Sec-WebSocket-Key: dGhl", b"Sec-WebSocket-Version: 13", hop=ASK),
    ),
    no_upgrade("no-option", "without its connection option it asks for nothing", b"Upgrade: websocket"),
    no_upgrade("no-protocol", "without a protocol it asks for nothing", b"Connection: Upgrade"),
    no_upgrade("empty", "without a protocol it asks for nothing", b"Connection: Upgrade", b"Upgrade:"),
    no_upgrade("h2c", "what no route allows is not asked for", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"),
    no_upgrade("h2c-smuggled", "nor where an option is left out", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAA"),
    no_upgrade("tls", "what no route allows is not asked for", b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
    no_upgrade("version", "another version is another protocol", b"Connection: Upgrade", b"Upgrade: websocket/13"),
    no_upgrade("longer-name", "a protocol is a whole token", b"Connection: Upgrade", b"Upgrade: websockets"),
    passed(
        "upgrade-1.0", "RFC 9110 §7.8", "in HTTP/1.0 it is ignored",
        head(b"GET / HTTP/1.0", b"Host: a.example", *ASK), onward(via=b"1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "upgrade-body", "RFC 9110 §7.8", "with a body whose octets both could claim it is ignored",
        post(*ASK, b"Content-Length: 3", body=b"abc"), onward_post(**ABC),
    ),
    passed(
        "upgrade-chunks", "RFC 9110 §7.8", "with a body whose octets both could claim it is ignored",
        chunked(b"3\r\nabc\r\n0\r\n\r\n", *ASK), onward_chunked(b"abc"),
    ),
    passed(
        "upgrade-post", "RFC 9110 §7.8", "any method may ask, if it has no body",
        post(*ASK), onward_post(hop=ASK), got=SWITCHED, client="tunnel", replies=(Reply(SWITCH),),
    ),
]  # fmt: skip

SWITCHES = [
    not_asked("not-asked", "a server switches only to what was asked for"),
    not_asked("not-asked-option", "nor because a field without its option was dropped", b"Upgrade: websocket"),
    not_asked("not-allowed", "nor because of a protocol that was not passed on", b"Connection: Upgrade", b"Upgrade: h2c"),
    *[
        bad_answer(f"switch-{name}", "RFC 9110 §7.8", reason, reply, sent=get(*ASK), asked=ASKED)
        for name, reason, reply in [
            ("other", "a server switches only to what was asked for", SWITCH.replace(b"websocket", b"h2c")),
            ("none", "101 names the protocol", SWITCH.replace(b"Upgrade: websocket\r\n", b"")),
            ("several", "101 names the one protocol that was asked for", SWITCH.replace(b"websocket", b"websocket, h2c")),
            ("empty", "101 names the protocol", SWITCH.replace(b": websocket", b":")),
        ]
    ],
    answered(
        "switch-1.0", "RFC 9110 §15.2", "HTTP/1.0 knows no 1xx, so it can't be switched", SWITCH,
        page(STATUSES[502]), sent=head(b"GET / HTTP/1.0", b"Host: a.example", *ASK), asked=onward(via=b"1.0 revproxy"),
        client="ended", backend="gone",
    ),
    answered(
        "switch-required", "RFC 9110 §15.5.22", "426 tells the protocol that is needed",
        b"HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\nVia: 1.1 revproxy\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Content-Length: 0\r\nDate: Mon, 12 Jan 1970 13:46:40 GMT\r\n\r\n",
    ),
    answered(
        "switch-offered", "RFC 9110 §7.6.1", "an offer that comes with another answer ends here",
        b"HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", PLAIN,
    ),
    answered(
        "switch-after-100", "RFC 9110 §7.8", "100 may come before 101",
        CONTINUE + SWITCH, CONTINUED + SWITCHED, sent=get(*ASK), asked=ASKED, client="tunnel",
    ),
]  # fmt: skip

CASES = [*EXPECT, *UPGRADE, *SWITCHES]
