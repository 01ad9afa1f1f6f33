"""Heads of answers: what a backend may say, and what is no answer."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.messages.case import (
    CLOSE,
    Case,
    Reply,
    answer,
    answered,
    bad_answer,
    get,
    head,
    onward,
    onward_post,
    page,
    passed,
    post,
)

BODY = b"Content-Length: 2\r\n\r\nhi"


def line(name: str, section: str, reason: str, given: bytes, got: bytes, via: bytes = b"1.1 revproxy") -> Case:
    reply = given + b"\r\nConnection: keep-alive\r\n" + BODY
    return answered(f"status-{name}", section, reason, reply, answer(line=got, via=via, length=2, body=b"hi"))


def bad_line(name: str, section: str, reason: str, given: bytes) -> Case:
    return bad_answer(f"status-{name}", section, reason, given + b"\r\n" + BODY)


STATUS_LINES = [
    line("plain", "RFC 9112 §4", "version, status and reason", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK"),
    line("reason", "RFC 9112 §4", "any reason phrase is passed on", b"HTTP/1.1 200 Fine  by me", b"HTTP/1.1 200 Fine  by me"),
    line("reason-empty", "RFC 9112 §4", "a reason phrase may be empty", b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK"),
    line("reason-none", "RFC 9112 §4", "servers that leave out the last space are harmless", b"HTTP/1.1 200", b"HTTP/1.1 200 OK"),
    line("reason-obs-text", "RFC 9112 §4", "a reason phrase may have octets above 127", b"HTTP/1.1 200 \xe4", b"HTTP/1.1 200 \xe4"),
    line("reason-tab", "RFC 9112 §4", "a reason phrase may have tabs", b"HTTP/1.1 200 a\tb", b"HTTP/1.1 200 a\tb"),
    line("1.0", "RFC 9112 §2.3", "the answer goes on with our version", b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK", b"1.0 revproxy"),
    line("1.7", "RFC 9110 §6.2", "a later minor version is read as 1.1", b"HTTP/1.7 200 OK", b"HTTP/1.1 200 OK"),
    line("404", "RFC 9110 §15.5.5", "an error of the server's is its own", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 404 Not Found"),
    line("500", "RFC 9110 §15.6.1", "an error of the server's is its own", b"HTTP/1.1 500 Oops", b"HTTP/1.1 500 Oops"),
    line("unknown", "RFC 9110 §15", "an unknown status is as its class", b"HTTP/1.1 299 Odd", b"HTTP/1.1 299 Odd"),
    line("unknown-no-reason", "RFC 9112 §4", "an unknown status has no usual reason", b"HTTP/1.1 299", b"HTTP/1.1 299 "),
    line("600", "RFC 9110 §15", "a status beyond 599 is odd, and its client's to judge", b"HTTP/1.1 600 Odd", b"HTTP/1.1 600 Odd"),
    line("205", "RFC 9110 §15.3.6", "205 is framed like any answer", b"HTTP/1.1 205 Reset Content", b"HTTP/1.1 205 Reset Content"),
    bad_line("none", "RFC 9112 §4", "an answer begins with a status line", b"hello"),
    bad_line("empty", "RFC 9112 §2.2", "no empty line comes before an answer", b""),
    bad_line("space", "RFC 9112 §4", "nothing stands before the version", b" HTTP/1.1 200 OK"),
    bad_line("0.9", "RFC 9112 §4", "another major version is another protocol", b"HTTP/0.9 200 OK"),
    bad_line("2.0", "RFC 9112 §4", "another major version is another protocol", b"HTTP/2.0 200 OK"),
    bad_line("2", "RFC 9112 §4", "HTTP/2 has no such line", b"HTTP/2 200 OK"),
    bad_line("lower-case", "RFC 9112 §2.3", "the name has a case", b"http/1.1 200 OK"),
    bad_line("two-digits", "RFC 9112 §2.3", "each number is one digit", b"HTTP/1.10 200 OK"),
    bad_line("no-minor", "RFC 9112 §2.3", "each number is one digit", b"HTTP/1. 200 OK"),
    bad_line("no-status", "RFC 9112 §4", "a status is three digits", b"HTTP/1.1 OK"),
    bad_line("99", "RFC 9112 §4", "a status is three digits", b"HTTP/1.1 99 OK"),
    bad_line("099", "RFC 9110 §15", "the first digit is a class", b"HTTP/1.1 099 OK"),
    bad_line("000", "RFC 9110 §15", "the first digit is a class", b"HTTP/1.1 000 OK"),
    bad_line("1000", "RFC 9112 §4", "a status is three digits", b"HTTP/1.1 1000 OK"),
    bad_line("20x", "RFC 9112 §4", "a status is three digits", b"HTTP/1.1 20x OK"),
    bad_line("minus", "RFC 9112 §4", "a status has no sign", b"HTTP/1.1 -20 OK"),
    bad_line("superscript", "RFC 9112 §4", "DIGIT is ASCII", b"HTTP/1.1 2\xb2\xb3 OK"),
    bad_line("two-spaces", "RFC 9112 §4", "single spaces separate", b"HTTP/1.1  200 OK"),
    bad_line("tab", "RFC 9112 §4", "a tab separates nothing", b"HTTP/1.1\t200 OK"),
    bad_line("tab-behind", "RFC 9112 §4", "a tab separates nothing", b"HTTP/1.1 200\tOK"),
    bad_line("reason-nul", "RFC 9112 §4", "control octets are dangerous", b"HTTP/1.1 200 O\x00K"),
    bad_line("reason-cr", "RFC 9112 §2.2", "a bare CR is invalid", b"HTTP/1.1 200 OK\rSet-Cookie: a=b"),
    bad_line("reason-lf", "RFC 9112 §2.2", "a line hidden here is a line to clients", b"HTTP/1.1 200 OK\nSet-Cookie: a=b"),
    bad_line("icy", "RFC 9112 §4", "another name is another protocol", b"ICY 200 OK"),
    bad_answer("status-html", "RFC 9112 §4", "an answer without a head is HTTP/0.9", b"<html><body>hi</body></html>"),
    bad_answer("status-request", "RFC 9112 §4", "a server sends no requests", get()),
]  # fmt: skip

FIELDS = [
    bad_answer(f"answer-{name}", section, reason, b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + BODY)
    for name, section, reason, lines in [
        ("space-before-colon", "RFC 9112 §5.1", "we refuse what a proxy might repair", b"X : y"),
        ("space-before-length-colon", "RFC 9112 §5.1", "this hides framing", b"Content-Length : 5"),
        ("folded", "RFC 9112 §5.2", "we refuse what a proxy might repair", b"X: y\r\n z"),
        ("folded-first", "RFC 9112 §5.2", "there is no line to go on with", b" X: y"),
        ("no-colon", "RFC 9112 §5", "a line without a colon is no field", b"X"),
        ("no-name", "RFC 9110 §5.1", "a name has at least one octet", b": y"),
        ("bad-name", "RFC 9110 §5.1", "a name is a token", b"X Y: z"),
        ("name-utf-8", "RFC 9110 §5.1", "a token is ASCII", b"X\xc3\xa4: y"),
        ("nul", "RFC 9110 §5.5", "control octets are dangerous", b"X: a\x00b"),
        ("escape", "RFC 9110 §5.5", "control octets are dangerous", b"X: \x1b[2J"),
        ("delete", "RFC 9110 §5.5", "control octets are dangerous", b"X: \x7f"),
        ("bare-cr", "RFC 9112 §2.2", "a line hidden here is a line to clients", b"X: y\rSet-Cookie: a=b"),
        ("bare-lf", "RFC 9112 §2.2", "a line hidden here is a line to clients", b"X: y\nSet-Cookie: a=b"),
        ("split", "RFC 9112 §11.1", "an answer hidden here is an answer to clients", b"X: y\n\nHTTP/1.1 200 OK\nContent-Length: 0\n"),
        ("split-cr", "RFC 9112 §11.1", "an answer hidden here is an answer to clients", b"X: y\r\rHTTP/1.1 200 OK\rContent-Length: 0\r"),
        ("cr-cr-lf", "RFC 9112 §2.2", "a CR before CRLF is bare", b"X: y\r"),
        ("length-twice", "RFC 9112 §6.3", "two lengths are two ends", b"Content-Length: 2"),
        ("length-list", "RFC 9112 §6.3", "a list is more than one", b"content-length: 2, 2"),
        ("length-unequal", "RFC 9112 §6.3", "two lengths are two ends", b"Content-Length: 0"),
        ("coding-and-length", "RFC 9112 §6.3", "with both fields the end is in doubt", b"Transfer-Encoding: chunked"),
        ("gzip-and-length", "RFC 9112 §6.3", "with both fields the end is in doubt", b"Transfer-Encoding: gzip"),
        ("identity-and-length", "RFC 9112 §6.3", "with both fields the end is in doubt", b"Transfer-Encoding: identity"),
    ]
] + [
    bad_answer(
        "answer-lf-everywhere", "RFC 9112 §2.2", "we refuse what a recipient may take",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    ),
    bad_answer(
        "answer-many", "RFC 9110 §5.4", "fields are bounded in number",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5 + b"\r\n", proxy={"limits": Limits(response_head_count=4)},
    ),
    bad_answer(
        "answer-large", "RFC 9110 §5.4", "a head is bounded in size",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200 + b"\r\n\r\n", proxy={"limits": Limits(response_head_size=128)},
    ),
    bad_answer("answer-none", "RFC 9112 §8", "a server that leaves without an answer gave none", Reply(b"", then="ends")),
    bad_answer("answer-reset", "RFC 9112 §8", "a server that is lost gave no answer", Reply(b"", then="cuts")),
    bad_answer("answer-half", "RFC 9112 §8", "half a head is no answer", Reply(b"HTTP/1.1 200 OK\r\nContent-Le", then="ends")),
    bad_answer("answer-half-reset", "RFC 9112 §8", "half a head is no answer", Reply(b"HTTP/1.1 200 OK\r\nContent-Le", then="cuts")),
    bad_answer(
        "answer-post-none", "RFC 9110 §9.2.2", "a POST is not sent again", Reply(b"", then="ends"),
        sent=post(b"Content-Length: 3", body=b"abc"), asked=onward_post(length=3, body=b"abc"),
    ),
]  # fmt: skip

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
HINTED = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nVia: 1.1 revproxy\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + BODY
PLAIN = answer(length=2, body=b"hi")

INTERIM = [
    answered("interim", "RFC 9110 §15.2", "interim answers are passed on", HINTS + OK, HINTED + PLAIN),
    answered("interim-several", "RFC 9110 §15.2", "each of them", HINTS * 3 + OK, HINTED * 3 + PLAIN),
    answered(
        "interim-unasked-100", "RFC 9110 §15.2", "a 100 that nobody waits for is passed on too",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 100 Continue\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    answered(
        "interim-102", "RFC 9110 §15.2", "an unknown one is passed on too",
        b"HTTP/1.1 199 Odd\r\n\r\n" + OK, b"HTTP/1.1 199 Odd\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    answered(
        "interim-1.0", "RFC 9110 §15.2", "HTTP/1.0 knows no 1xx", HINTS + OK, answer(ending=CLOSE, length=2, body=b"hi"),
        sent=head(b"GET / HTTP/1.0", b"Host: a.example"), asked=onward(via=b"1.0 revproxy"), client="ended",
    ),
    answered(
        "interim-length", "RFC 9112 §6.3", "an interim answer has no content, whatever it says",
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    answered(
        "interim-chunked", "RFC 9112 §6.1", "nor chunks",
        b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    answered(
        "interim-hop", "RFC 9110 §7.6.1", "an interim answer's connection fields end here too",
        b"HTTP/1.1 103 Early Hints\r\nConnection: X-Hop\r\nX-Hop: y\r\nServer: secret\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    answered(
        "interim-close", "RFC 9110 §7.6.1", "an interim answer ends no connection",
        b"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nVia: 1.1 revproxy\r\n\r\n" + PLAIN,
    ),
    *[
        answered(
            f"interim-then-{name}", section, reason, reply, HINTED + page(b"502 Bad Gateway", closing=False), backend="gone",
        )
        for name, section, reason, reply in [
            ("nonsense", "RFC 9112 §4", "what follows is read as strictly", Reply(HINTS + b"nonsense\r\n\r\n")),
            ("end", "RFC 9112 §8", "an interim answer is no answer", Reply(HINTS, then="ends")),
            ("reset", "RFC 9112 §8", "an interim answer is no answer", Reply(HINTS, then="cuts")),
        ]
    ],
    answered(
        "interim-endless", "RFC 9110 §15.2", "a server that never comes to an end is broken",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 33 + OK,
        b"HTTP/1.1 103 Early Hints\r\nVia: 1.1 revproxy\r\n\r\n" * 32 + page(b"502 Bad Gateway", closing=False), backend="gone",
    ),
    passed(
        "interim-pipeline", "RFC 9112 §9.3.2", "interim answers belong to their request",
        get() * 2, onward() * 2, got=HINTED + PLAIN + PLAIN, replies=(Reply(HINTS + OK), Reply(OK)),
    ),
]  # fmt: skip

CASES = [*STATUS_LINES, *FIELDS, *INTERIM]
