"""The whole proxy in memory, driven by a script: some clients, one or two backends, and a clock."""

from __future__ import annotations

from typing import Final

import attrs

from fuzz.choices import Choices
from fuzz.grammar import answer, request
from fuzz.script import Script, Step, decoded
from fuzz.strict import read_answers, read_requests
from fuzz.verdict import Client, Transcript, Wire, mistakes
from revproxy.config.model import Limits
from tests.support.network import ROOM, End
from tests.support.proxy import Proxy

MODES: Final = ("accept", "accept at once", "refuse", "refuse later", "silent", "accept late")
SECONDS: Final = (1, 2, 7, 30)
PATIENCE: Final = 120
"""Seconds after which a connection must be over, once nobody does anything: all deadlines, one after another."""
SLACK: Final = 700_000
MOST_CLIENTS: Final = 3


@attrs.define
class Caller:
    """A client's end of a connection."""

    address: bytes
    end: End
    sent: bytes = b""
    left: bool = False

    def send(self, octets: bytes, choice: int) -> None:
        for piece in pieces(octets, choice):
            if self.end.sock.closed or self.end.sock.shut:
                # A message that is cut may be a message all the same, for all that was promised of its body.
                return
            taken = self.end.offer(piece)
            self.sent += piece[:taken]
            if taken < len(piece):
                self.end.fin()

    def disturb(self, what: str) -> None:
        if what == "reads":
            self.end.reads = not self.end.reads
            self.end.network.settle()
        elif what == "fin":
            self.end.fin()
        elif not self.left:
            self.left = True
            getattr(self.end, what)()


@attrs.define
class Backend:
    """A backend's end of a connection."""

    end: End
    came: bytes
    """What the proxy wrote to it, though a reset may have destroyed it on its way: not every kernel is so quick."""
    sent: bytes = b""
    ended: bool = False
    was_cut: bool = False

    @property
    def is_open(self) -> bool:
        sock = self.end.sock
        return not (sock.closed or sock.shut or sock.reset or sock.peer.closed)

    def send(self, octets: bytes, choice: int) -> None:
        for piece in pieces(octets, choice):
            while piece and self.is_open:
                # It reads before it writes, so that what it answers is what it was asked.
                self.end.take_in()
                taken = self.end.offer(piece)
                self.sent += piece[:taken]
                piece = piece[taken:]
                if not taken:
                    return

    def finish(self) -> None:
        if self.is_open:
            self.ended = True
            self.end.fin()


def pieces(octets: bytes, choice: int) -> list[bytes]:
    """Octets cut as ``choice`` says: not at all, in so many octets, or in two."""
    if choice % 4 in (0, 3) or len(octets) < 2:
        return [octets] if octets else []
    if choice % 4 == 1:
        size = max(choice // 4, len(octets) // 200, 1)
        return [octets[at : at + size] for at in range(0, len(octets), size)]
    at = 1 + choice // 4 * 7 % (len(octets) - 1)
    return [octets[:at], octets[at:]]


class World:
    """A proxy and what was done to it."""

    def __init__(self, setup: int) -> None:
        servers = ["http://10.0.0.1", "http://10.0.0.2"] if setup & 1 else ["http://10.0.0.1"]
        self.proxy = Proxy(
            servers=servers,
            limits=Limits(
                head_timeout=5, body_timeout=5, idle_timeout=6, send_timeout=5, half_close_grace=3, body_rate=1,
                requests_per_connection=4 if setup & 2 else 100,
            ),
            connect_timeout=2.0, answer_timeout=5.0, idle_timeout=4.0, keep_alive=8.0, set_aside=2.0,
            tunnel_timeout=4.0,
            replay_size=60 if setup & 4 else 60_000, connections_per_server=1 if setup & 32 else 64, queue=1,
            queue_timeout=4.0,
        )  # fmt: skip
        self.has_room = not setup & 8
        for origin in self.proxy.origins.values():
            origin.answer = self.accepted
            if not self.has_room:
                origin.room = 90
        self.client_room = 90 if setup & 16 else ROOM
        self.callers: list[Caller] = []
        self.backends: list[Backend] = []
        self.has_canaries = True

    def accepted(self, end: End) -> None:
        """Listens to what the proxy writes to a backend. The first octets were written already."""
        backend = Backend(end, end.sock.waiting)
        self.backends.append(backend)
        send = end.sock.peer.send

        def tapped(data: bytes | memoryview) -> int:
            is_open = not end.sock.closed
            taken = send(data)
            backend.came += bytes(data[:taken]) if is_open else b""
            return taken

        end.sock.peer.send = tapped  # type: ignore[method-assign]

    def open_backends(self) -> list[Backend]:
        """The connections to backends that are open, in the order in which they were opened."""
        return [backend for backend in self.backends if backend.is_open]

    def caller(self, choice: int) -> Caller:
        """The client that a step is about; a new one, where it is the first to speak of it."""
        number = min(choice // 64, MOST_CLIENTS - 1, len(self.callers))
        if number == len(self.callers):
            address = b"192.0.2.%d" % (number + 1)
            self.callers.append(Caller(address, self.proxy.client(address, room=self.client_room)))
        return self.callers[number]

    def do(self, step: Step) -> None:
        """Makes one thing happen; what can't happen now does not."""
        side, _, what = step.kind.partition(" ")
        if step.kind in ("request", "octets"):
            is_request = step.kind == "request"
            self.has_canaries &= is_request
            octets = request(Choices(step.octets)) if is_request else step.octets
            self.caller(step.choice).send(octets, step.choice % 64)
        elif side in ("answer", "noise"):
            self.answer(step)
        elif side == "client":
            self.caller(step.choice).disturb(what)
        elif side == "backend":
            self.disturb_backend(what, step.choice)
        elif side == "mode":
            origins = list(self.proxy.origins.values())
            origins[step.choice // 8 % len(origins)].mode = MODES[step.choice % len(MODES)]
        else:
            self.proxy.advance(SECONDS[step.choice % len(SECONDS)])

    def answer(self, step: Step) -> None:
        """The first backend that was asked and has not answered does; noise comes from any."""
        if step.kind == "noise":
            if backends := self.open_backends():
                self.has_canaries = False
                backends[step.choice // 4 % len(backends)].send(step.octets, step.choice)
            return
        for backend in self.open_backends():
            methods = [asked.method for asked in read_requests(backend.end.received).messages]
            given = read_answers(backend.sent, methods, ended=False)
            is_behind = len(given.messages) < len(methods) and not given.rest
            if is_behind and all(message.complete for message in given.messages):
                if step.kind == "answer octets":
                    self.has_canaries = False
                    backend.send(step.octets, step.choice)
                    return
                made = answer(Choices(step.octets), methods[len(given.messages)])
                # What comes a moment later than the answer before it can't be told from the next one.
                is_at_once = self.has_room and len(pieces(made.octets, step.choice)) == 1
                backend.send(made.octets + (made.surplus if is_at_once else b""), step.choice)
                if made.must_end:
                    backend.finish()
                return

    def disturb_backend(self, what: str, choice: int) -> None:
        backends = self.open_backends()
        if not backends:
            return
        backend = backends[choice % len(backends)]
        end = backend.end
        if what == "reads":
            end.reads = not end.reads
            self.proxy.network.settle()
        elif what == "refuses":
            end.sock.peer.refuses = True
            backend.was_cut = True
        elif what == "fin":
            backend.finish()
        else:
            # A close with octets unread is a reset.
            backend.ended = what == "close" and not end.sock.waiting
            backend.was_cut = True
            getattr(end, what)()

    def finish(self) -> Transcript:
        """Everybody reads, and time passes until every client's connection is over."""
        for end in self.proxy.network.ends:
            end.reads = True
        self.proxy.network.settle()
        for _ in range(PATIENCE):
            if not self.proxy.frontend.channels and all(c.left or c.end.is_over for c in self.callers):
                break
            self.proxy.advance(1)
            for end in self.proxy.network.ends:
                end.reads = True
        else:
            raise AssertionError("a client's connection does not end")
        wires = [
            Wire(backend.came, backend.sent, backend.ended, backend.was_cut or backend.end.was_reset)
            for backend in self.backends
        ]
        return Transcript([self.client(caller) for caller in self.callers], wires, self.has_canaries)

    def client(self, caller: Caller) -> Client:
        """What is to be judged of a client. Every request that the proxy began is in its records by now."""
        ids = [each.request_id for each in self.proxy.transactions if each.client == caller.address]
        ids.sort(key=lambda request_id: int(request_id[2:]))
        return Client(caller.sent, caller.end.received, caller.end.ended, caller.left, ids)


def run(script: Script) -> Transcript:
    """What happens by this script. Raises AssertionError where the proxy does not come to rest."""
    world = World(script.setup)
    for step in script.steps:
        world.do(step)
        held, log = world.proxy.budget.held, world.proxy.watch.mistakes
        assert 0 <= held <= SLACK, f"the proxy holds {held} octets"
        assert not log, f"the proxy logged {log}"
    transcript = world.finish()
    world.proxy.assert_at_rest()
    return transcript


def check_world(octets: bytes) -> None:
    """Runs the script that ``octets`` are. Raises AssertionError where something is wrong."""
    transcript = run(decoded(octets))
    found = list(mistakes(transcript))
    assert not found, "\n".join([*found, repr(transcript)])
