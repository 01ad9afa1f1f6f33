"""Under TLS a request may leave in several records: when some did, it is never taken for unsent."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet.task import Clock

from revproxy.wire.budget import OctetBudget
from revproxy.wire.tls import RECORD, TlsStream
from tests.support.network import Network


class Records:
    """An OpenSSL connection that takes a number of records, and then is broken."""

    def __init__(self, takes: int) -> None:
        self._takes = takes
        self._ssl = None

    def send(self, data: Any) -> int:
        if not self._takes:
            raise SSL.SysCallError(32, "EPIPE")
        self._takes -= 1
        return min(len(data), RECORD)


class Losses:
    """A stream's user."""

    def __init__(self) -> None:
        self.lost = 0

    def stream_lost(self, error: Exception) -> None:
        self.lost += 1

    def output_blocked(self) -> None:
        """Nothing follows."""


@pytest.mark.parametrize(("takes", "told_unsent"), [(0, True), (1, False), (2, False)])
def test_a_write_that_breaks_after_a_record_was_sent_is_not_unsent(
    monkeypatch: pytest.MonkeyPatch, takes: int, told_unsent: bool
) -> None:
    monkeypatch.setattr("revproxy.wire.tls.DIRECT", False)
    network = Network(Clock())
    ours, _ = network.pair()
    budget = OctetBudget(1 << 20)
    connection: Any = Records(takes)
    stream = TlsStream(ours, connection, network, budget)  # type: ignore[arg-type]  # a socket and a reactor by behaviour
    user = Losses()
    stream.user = user  # type: ignore[assignment]  # what else a user is told does not happen here
    said = stream.write_pieces([b"head", b"x" * (2 * RECORD - 4)])
    assert said == (not told_unsent)
    if takes < 2:
        for writer in network.getWriters():
            writer.doWrite()
        network.clock.advance(0)
        assert user.lost == 1
        assert stream.closed and budget.held == 0
