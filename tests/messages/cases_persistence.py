"""When a connection goes on: the truth table of RFC 9112 §9.3 on the client's side, and pipelines."""

from __future__ import annotations

from revproxy.config.model import Limits
from tests.messages.case import (
    CLOSE,
    LAST,
    OK,
    PLAIN,
    Case,
    ClientEnd,
    Reply,
    answer,
    get,
    head,
    onward,
    onward_chunked,
    onward_post,
    passed,
    post,
)

KEPT = (b"Connection: keep-alive",)
CHUNKS = Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
UNTIL_CLOSE = Reply(b"HTTP/1.1 200 OK\r\n\r\nhi", then="ends")
UNFRAMED = answer(ending=CLOSE, body=b"hi")
"""What HTTP/1.0 gets of an answer of unknown length: it ends with the connection."""


def table(
    name: str, reason: str, version: bytes, options: tuple[bytes, ...], got: bytes, client: ClientEnd, reply: Reply = OK
) -> Case:
    via = b"1.0 revproxy" if version == b"1.0" else b"1.1 revproxy"
    lines = [b"Connection: " + option for option in options]
    return passed(
        f"persist-{name}", "RFC 9112 §9.3", reason, head(b"GET / HTTP/" + version, b"Host: a.example", *lines),
        onward(via=via), got=got, client=client, replies=(reply,), backend="gone" if reply is UNTIL_CLOSE else "kept",
    )  # fmt: skip


def next_of(number: int) -> tuple[bytes, bytes]:
    """A numbered request, and what the backend gets of it."""
    return get(target=b"/%d" % number), onward(line=b"GET /%d HTTP/1.1" % number)


ONE, TWO, THREE = (next_of(number) for number in (1, 2, 3))

TABLE = [
    table("1.1", "HTTP/1.1 goes on unless somebody says close", b"1.1", (), PLAIN, "open"),
    table("1.1-keep-alive", "what goes on anyway may be asked to", b"1.1", (b"keep-alive",), PLAIN, "open"),
    table("1.1-close", "close is answered with close", b"1.1", (b"close",), LAST, "ended"),
    table("1.1-close-case", "options have no case", b"1.1", (b"CLOSE",), LAST, "ended"),
    table("1.1-close-listed", "close counts wherever it stands", b"1.1", (b"keep-alive, close",), LAST, "ended"),
    table("1.1-close-first", "close counts wherever it stands", b"1.1", (b"close, keep-alive",), LAST, "ended"),
    table("1.1-close-tight", "a list needs no spaces", b"1.1", (b"foo,close",), LAST, "ended"),
    table("1.1-close-empty-members", "empty members of a list are ignored", b"1.1", (b", ,close,",), LAST, "ended"),
    table("1.1-close-second-line", "two lines are one list", b"1.1", (b"keep-alive", b"close"), LAST, "ended"),
    table("1.1-closed", "another token is not close", b"1.1", (b"closed",), PLAIN, "open"),
    table("1.1-empty", "no option says nothing", b"1.1", (b"",), PLAIN, "open"),
    table("1.1-quoted", "an option is a token, not a string", b"1.1", (b'"close"',), PLAIN, "open"),
    table("1.1-chunks", "chunks end by themselves", b"1.1", (), answer(chunks=b"hi"), "open", CHUNKS),
    table("1.1-chunks-close", "close is said with chunks too", b"1.1", (b"close",), answer(ending=CLOSE, chunks=b"hi"), "ended", CHUNKS),
    table("1.1-until-close", "an answer of unknown length is sent on in chunks", b"1.1", (), answer(chunks=b"hi"), "open", UNTIL_CLOSE),
    table("1.0", "HTTP/1.0 ends with its answer", b"1.0", (), LAST, "ended"),
    table("1.0-keep-alive", "unless it asks to go on, and is told so", b"1.0", (b"keep-alive",), answer(ending=KEPT, length=2, body=b"hi"), "open"),
    table("1.0-keep-alive-case", "options have no case", b"1.0", (b"Keep-Alive",), answer(ending=KEPT, length=2, body=b"hi"), "open"),
    table("1.0-keep-alive-close", "close wins", b"1.0", (b"keep-alive, close",), LAST, "ended"),
    table("1.0-close", "close is what it does anyway", b"1.0", (b"close",), LAST, "ended"),
    table("1.0-other", "another option is not keep-alive", b"1.0", (b"persist",), LAST, "ended"),
    table("1.0-chunks", "HTTP/1.0 reads no chunks: its answer ends with the connection", b"1.0", (), UNFRAMED, "ended", CHUNKS),
    table("1.0-keep-alive-chunks", "without a length nothing goes on", b"1.0", (b"keep-alive",), UNFRAMED, "ended", CHUNKS),
    table("1.0-until-close", "nor where the server's answer ends with its connection", b"1.0", (b"keep-alive",), UNFRAMED, "ended", UNTIL_CLOSE),
    table("1.2", "a later minor version is read as 1.1", b"1.2", (), PLAIN, "open"),
    table("1.2-close", "a later minor version is read as 1.1", b"1.2", (b"close",), LAST, "ended"),
    passed(
        "persist-1.1-proxy-connection", "RFC 9112 §9.3", "Proxy-Connection is no field of HTTP",
        get(b"Proxy-Connection: close"), onward(),
    ),
    passed(
        "persist-1.0-proxy-connection", "RFC 9112 §9.3", "Proxy-Connection is no field of HTTP",
        head(b"GET / HTTP/1.0", b"Host: a.example", b"Proxy-Connection: keep-alive"), onward(via=b"1.0 revproxy"),
        got=LAST, client="ended",
    ),
    passed(
        "persist-1.0-keep-alive-field", "RFC 9112 §9.3", "Keep-Alive without its option asks for nothing",
        head(b"GET / HTTP/1.0", b"Host: a.example", b"Keep-Alive: timeout=5"), onward(via=b"1.0 revproxy"),
        got=LAST, client="ended",
    ),
    passed(
        "persist-last", "RFC 9112 §9.3", "a server may say close whenever it likes",
        get(), onward(), got=LAST, client="ended", proxy={"limits": Limits(requests_per_connection=1)},
    ),
    passed(
        "persist-fin", "RFC 9112 §9.5", "who ends its octets behind a request still gets the answer",
        get(), onward(), fin=True,
    ),
]  # fmt: skip

BACKEND = [
    passed(
        "persist-backend-close", "RFC 9110 §7.6.1", "the server's connection is not the client's",
        get(), onward(), backend="gone",
        replies=(Reply(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),),
    ),
    passed(
        "persist-backend-close-listed", "RFC 9112 §9.3", "close counts wherever it stands",
        get(), onward(), backend="gone",
        replies=(Reply(b"HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nhi"),),
    ),
    passed(
        "persist-backend-1.0", "RFC 9112 §9.3", "a server of HTTP/1.0 ends with its answer",
        get(), onward(), backend="gone", got=answer(via=b"1.0 revproxy", length=2, body=b"hi"),
        replies=(Reply(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"),),
    ),
    passed(
        "persist-backend-1.0-keep-alive", "RFC 9112 §9.3", "unless it says that it goes on",
        get(), onward(), got=answer(via=b"1.0 revproxy", length=2, body=b"hi"),
        replies=(Reply(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi"),),
    ),
    passed(
        "persist-backend-keep-alive", "RFC 9112 §9.3", "what goes on anyway may say so",
        get(), onward(), replies=(Reply(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),),
    ),
    passed(
        "persist-backend-fin", "RFC 9112 §9.5", "a server may leave behind a complete answer",
        get(), onward(), backend="gone", replies=(Reply(OK.octets, then="ends"),), stands_alone=True,
    ),
    passed(
        "persist-backend-reset", "RFC 9112 §9.5", "a server may be lost behind a complete answer",
        get(), onward(), backend="gone", replies=(Reply(OK.octets, then="cuts"),), stands_alone=True,
    ),
]  # fmt: skip

PIPELINES = [
    passed(
        "pipeline-two", "RFC 9112 §9.3.2", "answers leave in the order of the requests",
        ONE[0] + TWO[0], ONE[1] + TWO[1], got=PLAIN * 2, replies=(OK, OK),
    ),
    passed(
        "pipeline-three", "RFC 9112 §9.3.2", "answers leave in the order of the requests",
        ONE[0] + TWO[0] + THREE[0], ONE[1] + TWO[1] + THREE[1], got=PLAIN * 2 + answer(chunks=b"hi"), replies=(OK, OK, CHUNKS),
    ),
    passed(
        "pipeline-behind-body", "RFC 9112 §9.3.2", "the next request begins where the body ends",
        post(b"Content-Length: 3", body=b"abc") + TWO[0], onward_post(length=3, body=b"abc") + TWO[1],
        got=PLAIN * 2, replies=(OK, OK),
    ),
    passed(
        "pipeline-behind-chunks", "RFC 9112 §9.3.2", "the next request begins where the chunks end",
        post(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nX: y\r\n\r\n") + TWO[0],
        onward_chunked(b"abc", trailers=(b"X: y",)) + TWO[1], got=PLAIN * 2, replies=(OK, OK),
    ),
    passed(
        "pipeline-empty-line", "RFC 9112 §2.2", "one empty line between requests is ignored",
        ONE[0] + b"\r\n" + TWO[0], ONE[1] + TWO[1], got=PLAIN * 2, replies=(OK, OK),
    ),
    passed(
        "pipeline-behind-close", "RFC 9112 §9.6", "nothing behind a request that says close is served",
        get(b"Connection: close") + TWO[0], onward(), got=LAST, client="ended",
    ),
    passed(
        "pipeline-behind-1.0", "RFC 9112 §9.3", "nothing behind a request that ends the connection is served",
        head(b"GET / HTTP/1.0", b"Host: a.example") + TWO[0], onward(via=b"1.0 revproxy"), got=LAST, client="ended",
    ),
    passed(
        "pipeline-two-backends", "RFC 9112 §9.3.2", "the server's close ends no pipeline",
        get(), onward(), backend="gone", replies=(UNTIL_CLOSE,), got=answer(chunks=b"hi"),
    ),
    Case(
        "pipeline-bad-second", "RFC 9112 §9.3.2", "a request is served before the nonsense behind it is refused",
        ONE[0] + b"nonsense\r\n\r\n",
        PLAIN + b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"
        b"X-Request-ID: id\r\nContent-Length: (page)\r\nConnection: close\r\nDate: Mon, 12 Jan 1970 13:46:40 GMT\r\n\r\n(page)",
        "ended", ONE[1], "kept", (OK,),
    ),
    passed(
        "pipeline-same-octets", "RFC 9112 §9.3.2", "the same octets are another request each time",
        ONE[0] * 3, ONE[1] * 3, got=PLAIN * 3, replies=(OK, OK, OK),
    ),
]  # fmt: skip

EARLY = [
    passed(
        "early-answer", "RFC 9112 §9.3", "an answer before the body's end ends the connection: the rest is nobody's",
        post(b"Content-Length: 5", body=b"ab"), b"", begun=onward_post(length=5, body=b"ab"), got=LAST, client="ended",
        backend="gone", replies=(Reply(b"", at_head=OK.octets),), stands_alone=True,
    ),
]  # fmt: skip

CASES = [*TABLE, *BACKEND, *PIPELINES, *EARLY]
