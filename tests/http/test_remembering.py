"""Parsers and forwardings remember what they worked out: nobody may notice, whatever came before."""

from __future__ import annotations

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.errors import ProxyError
from revproxy.http.facts import request_facts
from revproxy.http.forward import Client, FieldChanges, RequestForwarding, ResponseForwarding
from revproxy.http.framing import response_framing
from revproxy.http.parse import RequestParser, ResponseParser
from tests.support.feeding import judge_request

REQUESTS: Final = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: A\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept : b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\nX: c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\nX: c\r\nX: d\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    b"PUT / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: w\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a",
    # Only the Cookie differs, is missing, is none, is somewhere else, or is written otherwise.
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: b=22; c\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie:  x \t\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\nb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nAccept: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=2\r\nAccept: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: b\r\nCookie: a=1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: a=2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\ncookie: a=2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=3\r\ncookie: a=2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\nCookie: a=1\r\n\r\n",
    b"GET / HTTP/1.1\r\nCookie: a=1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: c\r\nX: d\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nConnection: cookie\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=2\r\nConnection: cookie\r\n\r\n",
]
FORWARDINGS: Final = [
    RequestForwarding(),
    RequestForwarding(host=b"in", forwarded=True),
    RequestForwarding(upgrades=frozenset({b"w"}), changes=FieldChanges(set=((b"X", b"y"),))),
]


def _request(parser: RequestParser, raw: bytes, forwarding: RequestForwarding, *, trusted: bool) -> object:
    try:
        head = parser.parse(raw)
        if head is None:
            return None
        judged = judge_request(head)
        facts = request_facts(head)
    except ProxyError as error:
        return type(error)
    client = Client(b"192.0.2.9", trusted=trusted, scheme=b"http", port=80)
    block = forwarding.block(head.fields, facts, client, judged.host)
    described = (judged, judged.fields, facts.persistent, facts.expects_continue, facts.upgrades, facts.accepts_trailers)
    return described, block, parser.consumed, head.path


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(REQUESTS), st.sampled_from(FORWARDINGS), st.booleans()), min_size=2, max_size=8
    )
)
def test_a_request_is_read_and_forwarded_as_if_it_were_the_first(
    requests: list[tuple[bytes, RequestForwarding, bool]],
) -> None:
    parser = RequestParser(4096, 3, 256)
    for raw, forwarding, trusted in requests:
        fresh = RequestParser(4096, 3, 256)
        assert _request(parser, raw, forwarding, trusted=trusted) == _request(fresh, raw, forwarding, trusted=trusted)


ANSWERS: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 404 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 304 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://be:8000/x\r\n\r\n",
    b"HTTP/1.1 426 Up\r\nUpgrade: w\r\n\r\n",
    b"HTTP/1.1 403 No\r\nUpgrade: w\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nServer : s\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
]
ROUTES: Final = [
    ResponseForwarding(),
    ResponseForwarding(backends=frozenset({b"be:8000"}), prefix=b"/app"),
    ResponseForwarding(backends=frozenset({b"be:8000"}), rewrite=False, keep_traces=True),
    ResponseForwarding(changes=FieldChanges(remove=frozenset({b"date"}), add=((b"X-Add", b"1"),))),
]

Answered = tuple[bytes, bytes, ResponseForwarding, bytes, bytes]


def _answer(parser: ResponseParser, answered: Answered) -> object:
    raw, method, forwarding, scheme, authority = answered
    try:
        head = parser.parse(raw)
        assert head is not None
        framing = response_framing(method, head.status, head.version, head.fields)
    except ProxyError as error:
        return type(error)
    out = forwarding.head(head, framing.kind != "none", scheme, authority)
    return framing, out.status, out.reason, out.block, out.has_date, out.fields, parser.consumed


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ANSWERS),
            st.sampled_from([b"GET", b"HEAD"]),
            st.sampled_from(ROUTES),
            st.sampled_from([b"http", b"https"]),
            st.sampled_from([b"a", b"b:81", b""]),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_an_answer_is_read_and_passed_on_as_if_it_were_the_first(answers: list[Answered]) -> None:
    parser = ResponseParser(4096, 3)
    for answered in answers:
        assert _answer(parser, answered) == _answer(ResponseParser(4096, 3), answered)
