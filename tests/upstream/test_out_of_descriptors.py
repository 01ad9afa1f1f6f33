"""When the proxy itself has no descriptor for a connection to a server, no server is blamed for it."""

from __future__ import annotations

import errno
import os

import pytest
from twisted.logger import capturedLogs

from revproxy.wire.connect import SocketAddress
from tests.support.dialogue import GET, OK, answer, answering
from tests.support.fixtures import MakeProxy
from tests.support.network import MemoryAttempt

TWO = ["http://10.0.0.1", "http://10.0.0.2"]


class Want:
    """Whether there is a want of something, and of what (an errno)."""

    number = 0


@pytest.fixture
def want(monkeypatch: pytest.MonkeyPatch) -> Want:
    want = Want()
    start = MemoryAttempt.start

    def start_if_possible(attempt: MemoryAttempt, address: SocketAddress, timeout: float) -> None:
        if want.number:
            attempt._fail(OSError(want.number, os.strerror(want.number)))
        else:
            start(attempt, address, timeout)

    monkeypatch.setattr(MemoryAttempt, "start", start_if_possible)
    return want


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_it_is_our_overload_and_no_server_is_set_aside(make_proxy: MakeProxy, want: Want, number: int) -> None:
    proxy = make_proxy(servers=TWO)
    for origin in proxy.origins.values():
        answering(origin, lambda request: OK)
    client = proxy.client()
    want.number = number
    with capturedLogs() as events:
        client.send(GET)
        assert answer(client).status == 503
    assert (proxy.transaction.reason, os.strerror(number) in proxy.transaction.detail) == ("overloaded", True)
    assert events == []
    # It is over, and both servers get their share at once.
    want.number = 0
    for _ in range(4):
        client = proxy.client()
        client.send(GET)
        assert answer(client).status == 200
    assert [origin.attempts > 0 for origin in proxy.origins.values()] == [True, True]


def test_a_connection_that_is_open_still_serves(make_proxy: MakeProxy, want: Want) -> None:
    proxy = make_proxy(servers=TWO)
    for origin in proxy.origins.values():
        answering(origin, lambda request: OK)
    first = proxy.client()
    first.send(GET)
    assert answer(first).status == 200
    want.number = errno.EMFILE
    # Whichever server's turn it is, the one with an open connection answers.
    for _ in range(4):
        first.take_back()
        first.send(GET)
        assert answer(first).status == 200


def test_another_failure_is_the_servers(make_proxy: MakeProxy, want: Want) -> None:
    proxy = make_proxy(servers=TWO)
    client = proxy.client()
    want.number = errno.ENETUNREACH
    with capturedLogs() as events:
        client.send(GET)
        assert answer(client).status == 502
    assert len(events) == 2
