"""What one case of the table says, and the words in which cases are written.

An expectation is written as whole messages, octet for octet, in a normal form (see ``normal.py``): the request id is
``id``, a page of ours is ``PAGE``, and a chunked body is one chunk, since where the proxy cuts its chunks depends on
how the octets arrived.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

DATE = b"Date: Mon, 12 Jan 1970 13:46:40 GMT"
"""Ours, by the clock that tests inject."""
PAGE = b"(page)"

ClientEnd = Literal["open", "ended", "reset", "tunnel"]
BackendEnd = Literal["kept", "gone", "none"]


@attrs.frozen
class Reply:
    """What the backend sends for one request."""

    octets: bytes
    """Sent when the request is complete."""
    at_head: bytes = b""
    """Sent before, as soon as the request's head is there."""
    then: Literal["stays", "ends", "cuts"] = "stays"
    """What it does to its connection behind that."""


@attrs.frozen
class Case:
    """Octets, and what becomes of them on both sides of the proxy."""

    id: str
    section: str
    """The section that says so, as ``RFC 9112 §6.3``."""
    reason: str
    sent: bytes
    """What the client sends."""
    got: bytes
    """All that the client gets."""
    client: ClientEnd
    """Its connection afterwards; a tunnel passes on whatever follows."""
    asked: bytes
    """All that the backend gets as whole messages; empty where nothing may reach it."""
    backend: BackendEnd
    """The backend's connection afterwards; none where nothing may reach it."""
    replies: tuple[Reply, ...] = ()
    begun: bytes = b""
    """The most that the backend may get of a message which is never completed: its head and its decoded body. Then its
    connection is reset, so that it can't take the message for complete."""
    cut: bool = False
    """Whether ``got`` is an answer that is visibly incomplete: its head and decoded body, of which the client may miss
    the end."""
    fin: bool = False
    """Whether the client ends its octets behind them."""
    stands_alone: bool = False
    """Whether nothing can follow: it would be a part of what is incomplete, or race with a server that leaves."""
    trusted: bool = False
    """Whether the client is a trusted proxy."""
    clear_only: bool = False
    """Whether it is about connections in clear text."""
    proxy: dict[str, Any] = attrs.Factory(dict)
    """Options of the proxy: limits."""


# What clients send.


def head(line: bytes, *fields: bytes) -> bytes:
    """A head of these lines."""
    return b"".join([piece + b"\r\n" for piece in (line, *fields)]) + b"\r\n"


def get(*fields: bytes, target: bytes = b"/", host: bytes = b"Host: a.example") -> bytes:
    """A GET request."""
    return head(b"GET %b HTTP/1.1" % target, host, *fields)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST request."""
    return head(b"POST / HTTP/1.1", b"Host: a.example", *fields) + body


def chunked(raw: bytes, *fields: bytes) -> bytes:
    """A POST request with a chunked body, whose octets are ``raw``."""
    return post(*fields, b"Transfer-Encoding: chunked", body=raw)


# What the backend gets.


def onward(
    *fields: bytes,
    line: bytes = b"GET / HTTP/1.1",
    host: bytes = b"a.example",
    told: bytes | None = None,
    port: bytes = b"80",
    chain: bytes = b"192.0.2.1",
    via: bytes = b"1.1 revproxy",
    hop: tuple[bytes, ...] = (),
    length: int | None = None,
    chunks: bytes | None = None,
    trailers: tuple[bytes, ...] = (),
    body: bytes = b"",
) -> bytes:
    """A request as the proxy sends it: the client's fields between what the proxy says itself.

    ``told`` is X-Forwarded-Host where it is not Host; ``hop`` are connection fields of the proxy's own. The body is one
    of ``length`` octets, or the decoded ``chunks``, or (with neither) none.
    """
    told = host if told is None else told
    lines = [line, b"Host: " + host, *fields, b"X-Forwarded-For: " + chain, b"X-Forwarded-Proto: http"]
    if told:
        lines.append(b"X-Forwarded-Host: " + told)
    lines += [b"X-Forwarded-Port: " + port, b"Via: " + via, *hop, b"X-Request-ID: id"]
    return _framed(lines, (), length, chunks, trailers, body)


def onward_post(*fields: bytes, **more: Any) -> bytes:
    """A POST request as the proxy sends it."""
    return onward(*fields, line=b"POST / HTTP/1.1", **more)


def onward_chunked(data: bytes, *fields: bytes, **more: Any) -> bytes:
    """A POST request with a chunked body as the proxy sends it."""
    return onward_post(*fields, chunks=data, **more)


def begun(data: bytes, *fields: bytes, **more: Any) -> bytes:
    """The beginning of a chunked POST request: its head, and the data that came before the mistake."""
    return onward_chunked(b"", *fields, **more).removesuffix(b"0\r\n\r\n") + data


# What clients get.


def answer(
    *fields: bytes,
    line: bytes = b"HTTP/1.1 200 OK",
    via: bytes = b"1.1 revproxy",
    ending: tuple[bytes, ...] = (),
    date: bool = True,
    length: int | None = None,
    chunks: bytes | None = None,
    trailers: tuple[bytes, ...] = (),
    body: bytes = b"",
) -> bytes:
    """An answer as the proxy sends it. ``ending`` are its connection fields; ``date`` is whether Date is ours."""
    lines = [line, *fields, b"Via: " + via]
    return _framed(lines, (*ending, *((DATE,) if date else ())), length, chunks, trailers, body)


def page(status: bytes, *fields: bytes, closing: bool = True) -> bytes:
    """A page of the proxy's own."""
    lines = [b"HTTP/1.1 " + status, b"Content-Type: text/html; charset=utf-8", b"Cache-Control: no-store"]
    lines += [b"X-Request-ID: id", *fields, b"Content-Length: " + PAGE]
    return head(*lines, *((b"Connection: close",) if closing else ()), DATE) + PAGE


def _framed(
    lines: list[bytes],
    behind: tuple[bytes, ...],
    length: int | None,
    chunks: bytes | None,
    trailers: tuple[bytes, ...],
    body: bytes,
) -> bytes:
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    elif chunks is not None:
        lines.append(b"Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n" % (len(chunks), chunks) if chunks else b""
        body += b"0\r\n" + b"".join([trailer + b"\r\n" for trailer in trailers]) + b"\r\n"
    return head(*lines, *behind) + body


OK = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
PLAIN = answer(length=2, body=b"hi")
"""The answer that OK becomes."""
CLOSE = (b"Connection: close",)
LAST = answer(ending=CLOSE, length=2, body=b"hi")
"""The same, with the end of the connection."""

STATUSES = {
    400: b"400 Bad Request",
    405: b"405 Method Not Allowed",
    413: b"413 Content Too Large",
    414: b"414 URI Too Long",
    417: b"417 Expectation Failed",
    421: b"421 Misdirected Request",
    431: b"431 Request Header Fields Too Large",
    501: b"501 Not Implemented",
    502: b"502 Bad Gateway",
    505: b"505 HTTP Version Not Supported",
}


# Cases.


def passed(
    id: str,
    section: str,
    reason: str,
    sent: bytes,
    asked: bytes,
    *,
    got: bytes = PLAIN,
    client: ClientEnd = "open",
    backend: BackendEnd = "kept",
    replies: tuple[Reply, ...] = (OK,),
    **more: Any,
) -> Case:
    """A request that the backend gets and answers."""
    return Case(id, section, reason, sent, got, client, asked, backend, replies, **more)


def refused(
    id: str, section: str, reason: str, sent: bytes, status: int = 400, *, begun: bytes = b"", **more: Any
) -> Case:
    """A request that the proxy answers with a page of its own; then it closes, and nothing whole reaches the backend."""
    got = page(STATUSES[status])
    return Case(id, section, reason, sent, got, "ended", b"", "gone" if begun else "none", begun=begun, **more)


def answered(
    id: str,
    section: str,
    reason: str,
    reply: bytes | Reply,
    got: bytes,
    *,
    sent: bytes | None = None,
    asked: bytes | None = None,
    client: ClientEnd = "open",
    backend: BackendEnd = "kept",
    **more: Any,
) -> Case:
    """What becomes of the backend's answer to a plain GET, or to another request."""
    given = reply if isinstance(reply, Reply) else Reply(reply)
    sent = get() if sent is None else sent
    asked = onward() if asked is None else asked
    return Case(id, section, reason, sent, got, client, asked, backend, (given,), **more)


def bad_answer(id: str, section: str, reason: str, reply: bytes | Reply, **more: Any) -> Case:
    """An answer in whose place the client gets 502; the backend's connection is never used again."""
    return answered(id, section, reason, reply, page(STATUSES[502], closing=False), backend="gone", **more)
