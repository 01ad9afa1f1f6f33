"""What the master and a worker say to each other: over a real pair of sockets, turned by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from revproxy.errors import ConfigError
from revproxy.service.link import Link, Refused
from tests.support.sockets import Turns


class End:
    """One end, and what it heard."""

    def __init__(self, sock: socket.socket, turns: Turns) -> None:
        self.orders: list[tuple[str, dict[str, Any], list[socket.socket]]] = []
        self.pushed: list[tuple[str, Any]] = []
        self.lost = 0
        self.result: Any = "done"
        self.link = Link(sock, turns, self._obey, lambda *told: self.pushed.append(told), self._lose)
        self.link.start()

    def _obey(self, order: str, arguments: dict[str, Any], sockets: Any) -> Any:
        self.orders.append((order, arguments, list(sockets)))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def _lose(self) -> None:
        self.lost += 1


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def ends(turns: Turns) -> Iterator[tuple[End, End]]:
    one, other = (End(sock, turns) for sock in socket.socketpair())
    yield one, other
    one.link.close()
    other.link.close()


def outcome(deferred: Deferred[Any]) -> Any:
    """What came of it: a value, or an exception; None for nothing yet."""
    found: list[Any] = []
    deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found[0] if found else None


def test_orders_and_answers_go_both_ways(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    worker.result = {"a": [1, None, "ü"]}
    asked = [master.link.ask("status"), master.link.ask("other", {"b": 2})]
    back = worker.link.ask("hello")
    turns.settle()
    assert [outcome(each) for each in asked] == [{"a": [1, None, "ü"]}] * 2
    assert [(order, arguments) for order, arguments, _ in worker.orders] == [("status", {}), ("other", {"b": 2})]
    assert outcome(back) == "done"


def test_answers_find_who_asked_whatever_their_order(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    slow: Deferred[str] = Deferred()
    worker.result = slow
    first = master.link.ask("slow")
    turns.settle()
    worker.result = "fast"
    second = master.link.ask("fast")
    turns.settle()
    assert outcome(second) == "fast"
    assert not first.called
    slow.callback("at last")
    turns.settle()
    assert outcome(first) == "at last"


@pytest.mark.parametrize("error", [ConfigError("no such file"), Refused("not now"), ValueError("what?")])
def test_a_refusal_says_why(ends: tuple[End, End], turns: Turns, error: Exception) -> None:
    master, worker = ends
    worker.result = error
    asked = master.link.ask("prepare")
    turns.settle()
    refused = outcome(asked)
    assert isinstance(refused, Refused)
    assert str(refused) == str(error)


def test_pushes_need_no_answer(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    worker.link.push("serving", None)
    worker.link.push("request", {"id": "x"})
    turns.settle()
    assert master.pushed == [("serving", None), ("request", {"id": "x"})]


def test_sockets_travel_with_their_message(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    names = [sock.getsockname() for sock in listening]
    master.link.ask("prepare", {"n": 2}, listening[:2])
    master.link.ask("status")
    master.link.ask("prepare", {"n": 1}, listening[2:])
    for sock in listening:
        sock.close()
    turns.settle()
    assert [arguments.get("n", 0) for _, arguments, _ in worker.orders] == [2, 0, 1]
    came = [[sock.getsockname() for sock in sockets] for _, _, sockets in worker.orders]
    assert came == [names[:2], [], names[2:]]
    for _, _, sockets in worker.orders:
        for sock in sockets:
            # Still listening: somebody can connect.
            socket.create_connection(sock.getsockname()).close()
            sock.close()


def test_a_message_larger_than_the_kernel_takes_arrives_whole(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    worker.result = ["x" * 1000] * 5000
    asked = master.link.ask("requests")
    turns.settle()
    assert outcome(asked) == ["x" * 1000] * 5000
    assert master.link.waiting == worker.link.waiting == 0


def test_messages_are_cut_anywhere(turns: Turns) -> None:
    ours, its = socket.socketpair()
    end = End(its, turns)
    octets = b""
    for number in (1, 2):
        body = b'{"push": "kind", "value": %d, "sockets": 0}' % number
        octets += struct.pack("!I", len(body)) + body
    for octet in octets:
        ours.send(bytes([octet]))
        turns.settle()
    assert end.pushed == [("kind", 1), ("kind", 2)]
    ours.close()
    turns.settle()
    assert end.lost == 1


def test_who_waits_for_a_process_that_goes_hears_of_it(ends: tuple[End, End], turns: Turns) -> None:
    master, worker = ends
    never: Deferred[None] = Deferred()
    worker.result = never
    asked = master.link.ask("status")
    turns.settle()
    worker.link.close()
    turns.settle()
    assert isinstance(outcome(asked), ConnectionLost)
    assert (master.lost, worker.lost) == (1, 1)
    assert isinstance(outcome(master.link.ask("more")), ConnectionLost)
    # What it would have answered goes nowhere, and hurts nobody.
    never.callback(None)
    assert turns.readers == set()


def test_sockets_that_nobody_took_are_closed(turns: Turns) -> None:
    ours, its = socket.socketpair()
    end = End(its, turns)
    listening = socket.create_server(("127.0.0.1", 0))
    # A message that never becomes complete.
    socket.send_fds(ours, [struct.pack("!I", 100) + b'{"ask"'], [listening.fileno()])
    name = listening.getsockname()
    listening.close()
    turns.settle()
    assert end.orders == []
    ours.close()
    turns.settle()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(name)
