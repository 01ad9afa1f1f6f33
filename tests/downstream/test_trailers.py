"""Trailers on their way through: what is taken from a head is taken from them as well."""

from __future__ import annotations

import pytest

from revproxy.http.forward import FieldChanges
from tests.support.dialogue import GET, OK, answer
from tests.support.fixtures import MakeProxy
from tests.support.reading import read_requests

CHANGES = FieldChanges(remove=frozenset({b"x-hidden"}), set=((b"X-Set", b"ours"),))
TRAILERS = b"X-Kept: 1\r\nX-Hidden: 2\r\nX-Set: 3\r\nX-Named: 4\r\n"


@pytest.mark.parametrize(
    ("changes", "option", "left"),
    [
        (FieldChanges(), b"", [b"x-kept", b"x-hidden", b"x-set", b"x-named"]),
        (FieldChanges(), b"Connection: X-Named\r\n", [b"x-kept", b"x-hidden", b"x-set"]),
        (CHANGES, b"", [b"x-kept", b"x-named"]),
        (CHANGES, b"Connection: keep-alive, x-named\r\n", [b"x-kept"]),
    ],
)
def test_what_is_taken_from_a_head_is_taken_from_its_trailers(
    make_proxy: MakeProxy, changes: FieldChanges, option: bytes, left: list[bytes]
) -> None:
    """By the operator, or by Connection (RFC 9110 §7.6.1)."""
    proxy = make_proxy(resource={"request_changes": changes, "response_changes": changes})
    client = proxy.client()
    chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n%b\r\n" % TRAILERS
    for _ in range(2):
        client.take_back()
        proxy.origin.connections and proxy.origin.last.take_back()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b%b" % (option, chunks))
        (asked,) = read_requests(proxy.origin.last.received)
        assert [name for name, _ in asked.trailers] == left
        proxy.origin.last.send(b"HTTP/1.1 200 OK\r\n%b%b" % (option, chunks))
        got = answer(client, b"POST")
        assert got.complete and [name for name, _ in got.trailers] == left


@pytest.mark.parametrize(("rewrite", "passed"), [(True, False), (False, True)])
def test_a_trailer_that_may_name_a_server_is_rewritten_or_dropped(
    make_proxy: MakeProxy, rewrite: bool, passed: bool
) -> None:
    proxy = make_proxy(resource={"rewrite": rewrite})
    client = proxy.client()
    client.send(GET)
    proxy.origin.last.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nLink: <http://10.0.0.1/x>; rel=next\r\nX-Sum: 1\r\n\r\n"
    )
    names = [name for name, _ in answer(client).trailers]
    assert names == ([b"link", b"x-sum"] if passed else [b"x-sum"])


@pytest.mark.parametrize("option", [b"Date", b"close, date"])
def test_an_answer_whose_date_belongs_to_its_connection_gets_ours(make_proxy: MakeProxy, option: bytes) -> None:
    """RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing."""
    proxy = make_proxy()
    for _ in range(2):
        client = proxy.client()
        client.send(GET)
        date = b"Date: Tue, 15 Nov 1994 08:12:31 GMT\r\n"
        proxy.origin.last.send(OK.replace(b"\r\n\r\n", b"\r\n%bConnection: %b\r\n\r\n" % (date, option)))
        assert answer(client).get(b"date") == b"Mon, 12 Jan 1970 13:46:40 GMT"
