"""What a request's fields decide beside the framing: whether the connection goes on, and what the client understands."""

from __future__ import annotations

import pytest

from revproxy.http.facts import RequestFacts, request_facts
from revproxy.http.fields import NO_FIELDS, Fields
from revproxy.http.parse import RequestHead, RequestParser


def facts(lines: bytes, version: int = 11) -> RequestFacts:
    head = RequestParser(4096, 100, 256).parse(b"GET / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (version - 10, lines))
    assert head is not None
    return request_facts(head)


@pytest.mark.parametrize(
    ("lines", "in_11", "in_10"),
    [
        (b"", True, False),
        (b"Connection: close\r\n", False, False),
        (b"Connection: Close\r\n", False, False),
        (b"Connection: keep-alive\r\n", True, True),
        (b"Connection: Keep-Alive\r\n", True, True),
        (b"Connection: keep-alive, close\r\n", False, False),
        (b"Connection: close, keep-alive\r\n", False, False),
        (b"Connection: keep-alive\r\nConnection: close\r\n", False, False),
        (b"Connection: ,x,, close ,\r\n", False, False),
        (b"Connection: x-close\r\n", True, False),
        (b"Connection: close x\r\n", True, False),
        (b"Connection:\r\n", True, False),
        (b"Proxy-Connection: keep-alive\r\n", True, False),
        (b"Keep-Alive: timeout=5\r\n", True, False),
        (b"Close: 1\r\n", True, False),
    ],
)
def test_persistence(lines: bytes, in_11: bool, in_10: bool) -> None:
    # The truth table of RFC 9112 §9.3.
    assert facts(lines).persistent is in_11
    assert facts(lines, 10).persistent is in_10


@pytest.mark.parametrize(
    ("lines", "version", "expected"),
    [
        (b"Content-Length: 1\r\nExpect: 100-continue\r\n", 11, True),
        (b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", 11, True),
        (b"Content-Length: 0\r\nExpect: 100-continue\r\n", 11, False),
        (b"Expect: 100-continue\r\n", 11, False),
        (b"Content-Length: 1\r\nExpect: 100-continue\r\n", 10, False),
        (b"Content-Length: 1\r\n", 11, False),
    ],
)
def test_who_waits_for_100(lines: bytes, version: int, expected: bool) -> None:
    # RFC 9110 §10.1.1.
    assert facts(lines, version).expects_continue is expected


def test_facts_are_worked_out_once_for_each_version() -> None:
    fields = Fields.of([(b"Host", b"a")])
    modern = RequestHead(b"GET", b"/", 11, fields)
    old = RequestHead(b"GET", b"/", 10, fields)
    first = request_facts(modern)
    assert request_facts(modern) is first
    assert request_facts(old).persistent is False
    assert request_facts(modern).persistent is True


def test_requests_without_fields_share_nothing() -> None:
    head = RequestHead(b"GET", b"/", 10, NO_FIELDS)
    assert request_facts(head) is not request_facts(head)
    assert NO_FIELDS.memo is None
