"""The tables of docs/framing.rst, each row run through the whole proxy: what the page says is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.dialogue import running
from tests.support.reading import read_answers

PAGE = (Path(__file__).parents[1] / "docs" / "framing.rst").read_text(encoding="utf-8")
ROW = re.compile(r"^   \* - ([RCHA]\d+)\n     - (.*(?:\n       .*)*)\n     - (.*(?:\n       .*)*)\n", re.MULTILINE)
ROWS = {name: done.split()[0].rstrip(".,;:") for name, _, done in ROW.findall(PAGE)}

HOST = b"Host: a.example\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def head(line: bytes, *fields: bytes, host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def get(*fields: bytes) -> bytes:
    return head(b"GET / HTTP/1.1", *fields)


def target(raw: bytes, method: bytes = b"GET", host: bytes = HOST) -> bytes:
    return head(b"%b %b HTTP/1.1" % (method, raw), host=host)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return head(b"POST / HTTP/1.1", *fields) + body


# Each is a way to fall under the row. All of a row's cases must end as the page says.
REQUESTS: dict[str, list[bytes]] = {
    "R1": [b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
    "R2": [b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    "R3": [b"\r\n" + get()],
    "R4": [b"\r\n\r\n" + get()],
    "R5": [b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", b" " + get()],
    "R6": [head(b"BREW / HTTP/1.1"), head(b"get / HTTP/1.1")],
    "R7": [head(b"G@T / HTTP/1.1"), head(b"M" * 65 + b" / HTTP/1.1")],
    "R8": [head(b"CONNECT a.example:443 HTTP/1.1"), head(b"TRACE / HTTP/1.1")],
    "R9": [head(b"GET / http/1.1"), head(b"GET / HTTP/1.10"), head(b"GET /"), head(b"GET / FTP/1.1")],
    "R10": [head(b"GET / HTTP/2.0"), head(b"GET / HTTP/0.9"), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    "R11": [head(b"GET / HTTP/1.7")],
    "R12": [get(b"X: a", b" folded"), get(b"X: a", b"\tfolded")],
    "R13": [get(b"X : a"), get(b"Content-Length : 5")],
    "R14": [get(b": a"), get(b"X"), get(b"X Y: a"), get(b"X\xe4: a")],
    "R15": [get(b"X: \x00"), get(b"X: a\x0bb"), get(b"X: \x7f")],
    "R16": [get(b"X: \xe4\xf6")],
    "R17": [get(*[b"X%d: y" % number for number in range(100)]), get(b"X: " + b"a" * 33_000)],
    "R18": [get(b"Expect: 200-ok"), get(b"Expect: 100-continue, 100-continue")],
    "R19": [head(b"POST / HTTP/1.0", b"Expect: anything", b"Content-Length: 0")],
    "R20": [target(b"/" + b"a" * 8192)],
    "R21": [target(b"/a\x01"), target(b"/a#b"), target(b"/a\x7f")],
    "R22": [target(b"/\xc3\xa4%C3%A4?\xe4%zz|\"^")],
    "R23": [target(b"*", b"OPTIONS")],
    "R24": [target(b"*"), target(b"a.example:80"), target(b"a/b"), target(b"ftp://a.example/"), target(b"http:///a")],
    "R25": [target(b"http://b.example/x"), target(b"http://b.example?x"), target(b"http://b.example:8443/")],
    "R40": [target(b"https://b.example/"), target(b"HTTPS://b.example:8443/x")],
    "R26": [target(b"http://me@b.example/x"), target(b"http://b.example:0/"), target(b"http://b.example:70000/")],
    "R39": [target(b"/a%00b"), target(b"/%zz"), target(b"/a%")],
    "H1": [target(b"/", host=b""), target(b"http://b.example/", host=b"")],
    "H2": [target(b"/", host=HOST + HOST), target(b"/", host=b"Host: a, b\r\n"), target(b"/", host=b"Host: a,b\r\n")],
    "H3": [
        target(b"/", host=b"Host: %b\r\n" % value)
        for value in (b"", b"a b", b"a/b", b"me@a", b"[::g]", b"[::1", b"a:x", b"a:65536", b"a:0", b"\xe4")
    ],
    "H4": [head(b"GET / HTTP/1.0", host=b"")],
    "H5": [target(b"/", host=b"Host: %b\r\n" % value) for value in (b"A.Example.", b"a:", b"[::1]:8080", b"a:8080")],
    "R27": [post()],
    "R28": [post(b"Content-Length: 3", body=b"abc"), post(b"Content-Length: 0003", body=b"abc")],
    "R29": [post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), post(b"Content-Length: 3, 3", body=b"abc")],
    "R30": [post(b"Content-Length: %b" % value) for value in (b"+3", b"-3", b"", b"3 3", b"0x3", b"1_0", b"3;a", b"\xb2")],
    "R31": [post(b"Content-Length: 9223372036854775808"), post(b"Content-Length: " + b"9" * 500)],
    "R32": [post(b"Content-Length: 9223372036854775807")],
    "R33": [post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")],
    "R34": [post(b"Transfer-Encoding: chunked", b"Content-Length: 3"), post(b"Content-Length: 3", b"Transfer-Encoding: x")],
    "R35": [head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked")],
    "R36": [post(b"Transfer-Encoding: gzip, chunked"), post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked")],
    "R37": [post(b"Transfer-Encoding: %b" % value) for value in (b"gzip", b"chunked, gzip", b"chunked;a=b", b"", b",chunked")],
    "R38": [post(b"Transfer-Encoding: chunked, chunked")],
    "C1": [CHUNKED + b"3;a=b\r\nabc\r\n0;c\r\n\r\n", CHUNKED + b"3 ;a\r\nabc\r\n0\r\n\r\n"],
    "C2": [CHUNKED + b"%b\r\n" % size for size in (b"x", b"-3", b"+3", b"0x3", b" 3", b"3 ", b";a", b"g", b"1_0", b"\xb2")],
    "C3": [CHUNKED + b"1" * 17 + b"\r\n", CHUNKED + b"F" * 16 + b"\r\n"],
    "C4": [CHUNKED + b"3;" + b"a" * 1100 + b"\r\n", CHUNKED + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 17],
    "C5": [CHUNKED + b"3;\x00\r\nabc\r\n0\r\n\r\n", CHUNKED + b"3\nabc\n0\n\n", CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n"],
    "C6": [CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", CHUNKED + b"3\r\nabc\n0\r\n\r\n"],
    "C7": [CHUNKED + b"0\r\nX-Sum: 1\r\n\r\n"],
    "C8": [CHUNKED + b"0\r\nContent-Length: 1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"],
    "C9": [CHUNKED + b"0\r\nX : 1\r\n\r\n", CHUNKED + b"0\r\nX: 1\nY: 2\r\n\r\n", CHUNKED + b"0\r\nX\r\n\r\n"],
    "C10": [CHUNKED + b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n", CHUNKED + b"0\r\nX: " + b"a" * 33_000],
}
"""Row → what a client sends."""

BODY = b"Content-Length: 2\r\n\r\nhi"
ANSWERS: dict[str, list[bytes]] = {
    "A1": [b"HTTP/1.1 200\r\n" + BODY, b"HTTP/1.7 200 Fine\r\n" + BODY, b"HTTP/1.0 200 \xe4\r\n" + BODY],
    "A2": [
        line + b"\r\n" + BODY
        for line in (b"HTTP/2 200 OK", b"http/1.1 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1  200 OK", b"hi")
    ],
    "A3": [b"HTTP/1.1 200 OK\n" + BODY, b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n" + BODY, b"\r\nHTTP/1.1 200 OK\r\n" + BODY],
    "A4": [
        b"HTTP/1.1 200 OK\r\n" + line + b"\r\n" + BODY
        for line in (b"X : a", b" X: a", b": a", b"X", b"X: \x00", b"X: a\rb")
    ],
    "A5": [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 257 + BODY, b"HTTP/1.1 200 OK\r\nX: " + b"a" * 66_000],
    "A6": [
        b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\nhi"
        for lines in (b"Content-Length: 2\r\nContent-Length: 2", b"Content-Length: 2, 2", b"Content-Length: +2")
    ],
    "A7": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "A8": [b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "A9": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n0\r\n\r\n" % coding
        for coding in (b"gzip, chunked", b"gzip", b"identity", b"chunked, chunked", b"")
    ],
    "A10": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"],
    "A11": [b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n"],
    "A12": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + b"HTTP/1.1 200 OK\r\n" + BODY],
    "A13": [b"HTTP/1.1 103 Early Hints\r\n\r\n" * 33 + OK],
    "A14": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
    "A15": [b"HTTP/1.1 200 OK\r\n" + BODY + b"more", OK + OK],
    "A16": [b"HTTP/1.1 200 OK\r\n\r\nhi"],
    "A17": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"],
    "A18": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"],
    "A19": [b"HTTP/1.1 200 OK\r\nContent-Le", b""],
    "A20": [
        b"HTTP/1.1 304 No\r\n" + lines + b"\r\n\r\n"
        for lines in (
            b"Content-Length: 2\r\nContent-Length: 3",
            b"Content-Length: 2, 2",
            b"Content-Length: -2",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked",
        )
    ],
}
"""Row → what a server answers a GET with, before it closes."""


def outcome_of_request(sent: bytes) -> str:
    """What a client got for these octets: a status, or ``waits``."""
    with running() as proxy:
        proxy.origin.answer = lambda end: setattr(end, "heard", lambda: None)
        client = proxy.client()
        client.send(sent)
        if not client.received and proxy.origin.connections:
            # It went on: whoever sent a whole request gets its answer.
            wanted = b"\r\n\r\n"
            if wanted in proxy.origin.received:
                proxy.origin.last.send(OK)
        method = sent.lstrip(b"\r\n").partition(b" ")[0]
        answers = read_answers(client.received, [method if method in (b"HEAD",) else b"GET"], ended=client.ended)
        return str(answers[0].status) if answers else "waits"


def outcome_of_answer(given: bytes) -> str:
    """What a client got for a GET that was answered so: a status, or ``cut`` where it is visibly incomplete."""
    with running() as proxy:
        client = proxy.client()
        client.send(get())
        server = proxy.origin.last
        server.send(given)
        server.close()
        proxy.network.settle()
        answers = read_answers(client.received, [b"GET"], ended=client.ended)
        assert answers, client.received
        return str(answers[0].status) if answers[0].complete else "cut"


def test_every_row_has_cases_and_every_case_a_row() -> None:
    assert sorted(ROWS) == sorted([*REQUESTS, *ANSWERS])


@pytest.mark.parametrize(("row", "sent"), [(row, sent) for row, cases in REQUESTS.items() for sent in cases])
def test_requests(row: str, sent: bytes) -> None:
    said = ROWS[row]
    assert outcome_of_request(sent) == ("200" if said == "passed" else said)


@pytest.mark.parametrize(("row", "given"), [(row, given) for row, cases in ANSWERS.items() for given in cases])
def test_answers(row: str, given: bytes) -> None:
    said = ROWS[row]
    got = outcome_of_answer(given)
    assert got in ("200", "204", "304") if said == "passed" else got == said
