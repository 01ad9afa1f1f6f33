"""The stream of events: what it tells, to whom, how it ends, and what a slow follower hears."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from revproxy.admin.events import MOST_FOLLOWERS, Events
from revproxy.admin.root import Root
from revproxy.observe.shown import shown
from tests.admin.asking import STATUS, Asking, ScriptedOperator, Wire, said
from tests.observe.making import over


class Stream:
    """A follower's side."""

    def __init__(self, query: str = "", operator: ScriptedOperator | None = None) -> None:
        self.operator = operator or ScriptedOperator()
        root = Root()
        self.events = Events(self.operator)
        root.putChild(b"events", self.events)
        self.asking = Asking(root)
        self.protocol, self.wire = self.open(query)

    def open(self, query: str = "") -> tuple[Any, Wire]:
        protocol, wire = self.asking.connect()
        protocol.dataReceived(f"GET /events{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return protocol, wire

    @property
    def told(self) -> list[tuple[str, Any]]:
        """The events until now."""
        body = unchunked(self.wire.value().partition(b"\r\n\r\n")[2])
        found = []
        for block in body.split(b"\n\n"):
            lines = block.split(b"\n")
            if lines[0].startswith(b"event: "):
                assert len(lines) == 2, lines
                found.append((lines[0][7:].decode(), json.loads(lines[1].removeprefix(b"data: "))))
        return found

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]

    def tail(self, *numbers: int, dropped: int = 0, follower: str = "f1", worker: int = 0) -> None:
        requests = [shown(over(number), worker) for number in numbers]
        self.operator.push(worker, "tail", {"follower": follower, "requests": requests, "dropped": dropped})


def unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        body, data = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def test_the_state_comes_first_then_what_happens() -> None:
    stream = Stream()
    stream.operator.push(-1, "point", {"at": 1.0})
    stream.tail(1, 2)
    assert stream.kinds() == ["status", "figures", "request", "request"]
    assert stream.told[0][1] == STATUS
    assert [value["id"] for kind, value in stream.told if kind == "request"] == ["id-1", "id-2"]
    answer = said(stream.wire.value())
    assert (answer.status, answer.fields[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")


def test_the_state_comes_again_every_five_seconds() -> None:
    stream = Stream()
    stream.asking.clock.pump([1.0] * 10)
    assert stream.kinds() == ["status"] * 3


def test_workers_are_told_again_and_again_for_those_that_are_new() -> None:
    stream = Stream("?status=5xx&worker=1")
    stream.asking.clock.pump([1.0] * 4)
    wanted = {"follower": "f1", "filters": {"status": "5xx", "worker": "1"}}
    assert stream.operator.ordered == [("tail", wanted)] * 3


def test_only_its_own_requests() -> None:
    stream = Stream("?worker=1")
    stream.tail(1, follower="f2", worker=1)
    stream.tail(2, worker=0)
    stream.tail(3, worker=1)
    assert [value["id"] for kind, value in stream.told if kind == "request"] == ["id-3"]


def test_who_leaves_is_forgotten() -> None:
    stream = Stream()
    stream.protocol.connectionLost(Failure(ConnectionDone()))
    assert stream.operator.ordered[-1] == ("tail", {"follower": "f1", "end": True})
    assert stream.events.followers == set()
    assert all(not told for told in stream.operator.told.values())
    assert stream.asking.clock.getDelayedCalls() == []
    stream.asking.clock.advance(60)


def test_who_is_slow_hears_how_much_it_missed() -> None:
    stream = Stream()
    (follower,) = stream.events.followers
    follower.pauseProducing()
    stream.tail(1, 2, 3)
    stream.tail(4, dropped=5)
    stream.operator.push(-1, "point", {"at": 1.0})
    assert stream.kinds() == ["status"]
    follower.resumeProducing()
    stream.tail(6)
    assert stream.told[1:] == [("dropped", {"requests": 9}), ("request", shown(over(6), 0))]


def test_what_a_worker_dropped_is_told() -> None:
    stream = Stream()
    stream.tail(1, dropped=7)
    assert stream.kinds() == ["status", "request", "dropped"]
    assert stream.told[-1][1] == {"requests": 7}


def test_hostile_octets_make_no_event() -> None:
    stream = Stream()
    stream.operator.push(
        0, "tail", {"follower": "f1", "requests": [shown(over(target=b"/\n\nevent: status\ndata: {}\n\n"), 0)], "dropped": 0}
    )
    assert stream.kinds() == ["status", "request"]


@pytest.mark.parametrize(("query", "status"), [("?status=x", 400), ("?nothing=1", 400), ("/x", 404)])
def test_what_is_not_understood(query: str, status: int) -> None:
    stream = Stream(query)
    assert said(stream.wire.value()).status == status
    assert stream.events.followers == set()


def test_followers_are_bounded() -> None:
    stream = Stream()
    for _ in range(MOST_FOLLOWERS - 1):
        stream.open()
    _, wire = stream.open()
    assert said(wire.value()).status == 503


def test_a_proxy_that_can_not_say_how_it_is() -> None:
    operator = ScriptedOperator()
    operator.failure = None
    stream = Stream(operator=operator)

    async def refuse() -> dict[str, Any]:
        from revproxy.admin.operator import Refusal

        raise Refusal("not now")

    operator.status = refuse  # type: ignore[method-assign]
    stream.asking.clock.pump([1.0] * 6)
    assert stream.kinds() == ["status"]
    assert stream.events.followers
