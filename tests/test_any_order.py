"""The whole proxy under any order of events: octets in any pieces, FINs, resets, refused writes, slow peers, time.

What must hold whatever happens: nothing is logged as a mistake; in the end nothing is left and every counter is back;
an independent parser reads, in what servers got, exactly requests that clients sent; what may not be repeated arrives
once at most; and an answer is complete for a client only if it was complete at its server.
"""

from __future__ import annotations

import attrs
import h11
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from revproxy.config.model import Limits
from tests.support.network import End, Origin
from tests.support.proxy import Proxy
from tests.support.reading import Answer, Asked, read_answers, read_requests

SLACK = 700_000
PIECES = st.one_of(st.integers(1, 12), st.integers(1, 400), st.just(1 << 20))
MODES = ("accept", "accept", "accept at once", "refuse", "refuse later", "silent")


@attrs.define
class Planned:
    """A request that a client sends."""

    method: bytes
    target: bytes
    body: bytes
    octets: bytes


@attrs.define
class ClientScript:
    """A client, what it is to send, and what of that is still to be sent."""

    end: End
    planned: list[Planned] = attrs.field(factory=list)
    rest: bytes = b""
    left: bool = False

    def methods(self) -> list[bytes]:
        """The methods of what was asked."""
        return [planned.method for planned in self.planned] or [b"GET"]


@attrs.define
class Given:
    """An answer that a server gives."""

    body: bytes
    octets: bytes
    needs_fin: bool
    sent: int = 0
    ended: bool = False

    @property
    def complete(self) -> bool:
        return self.sent == len(self.octets) and (self.ended or not self.needs_fin)


@attrs.define
class ServerScript:
    """A server's end of a connection and the answers it gave there."""

    end: End
    given: list[Given] = attrs.field(factory=list)


class AnyOrder(RuleBasedStateMachine):
    """Clients, servers and a clock, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.proxy = Proxy(
            servers=["http://10.0.0.1", "unix:/run/app.sock"],
            limits=Limits(
                head_timeout=5, body_timeout=5, idle_timeout=6, send_timeout=5, half_close_grace=3, body_rate=1,
                requests_per_connection=6, connections_per_address=4,
            ),
            connect_timeout=2.0, answer_timeout=5.0, idle_timeout=4.0, keep_alive=8.0, connections_per_server=2,
            queue=2, queue_timeout=4.0, replay_size=60, set_aside=2.0,
        )  # fmt: skip
        self.clients: list[ClientScript] = []
        self.servers: dict[int, ServerScript] = {}
        self.requests: dict[bytes, Planned] = {}
        self.answers: dict[bytes, Given] = {}

    # The clients.

    @precondition(lambda self: sum(not client.left for client in self.clients) < 5)
    @rule(room=st.sampled_from([50, 1000, 1 << 20]))
    def connect(self, room: int) -> None:
        self.clients.append(ClientScript(self.proxy.client(room=room)))

    @precondition(lambda self: self.clients)
    @rule(
        data=st.data(),
        method=st.sampled_from([b"GET", b"GET", b"HEAD", b"POST", b"PUT", b"BREW"]),
        framing=st.sampled_from(["none", "length", "chunked"]),
        size=st.sampled_from([0, 1, 30, 61, 5000]),
        extra=st.sampled_from([b"", b"", b"", b"Connection: close\r\n", b"Expect: 100-continue\r\n"]),
        version=st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]),
        at_once=st.booleans(),
    )
    def plan(
        self, data: st.DataObject, method: bytes, framing: str, size: int, extra: bytes, version: bytes, at_once: bool
    ) -> None:
        client = data.draw(st.sampled_from(self.clients))
        target = b"/%d" % len(self.requests)
        body = (b"%b " % target * size)[:size] if framing != "none" else b""
        head = b"%b %b HTTP/%b\r\nHost: a\r\n%b" % (method, target, version, extra)
        if framing == "length" or (framing == "chunked" and version == b"1.0"):
            octets = b"%bContent-Length: %d\r\n\r\n%b" % (head, size, body)
        elif framing == "chunked":
            cut = size // 3
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
            octets = b"%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (head, chunks)
        else:
            octets = head + b"\r\n"
        planned = Planned(method, target, body, octets)
        self.requests[target] = planned
        client.planned.append(planned)
        client.rest += octets
        if at_once:
            self.send_to(client, 1 << 20)

    @precondition(lambda self: any(client.rest for client in self.clients))
    @rule(data=st.data(), size=PIECES)
    def send(self, data: st.DataObject, size: int) -> None:
        self.send_to(data.draw(st.sampled_from([client for client in self.clients if client.rest])), size)

    def send_to(self, client: ClientScript, size: int) -> None:
        if not client.left and not client.end.sock.shut:
            client.rest = client.rest[client.end.offer(client.rest[:size]) :]

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), how=st.sampled_from(["reads", "reads", "fin", "cut", "close"]))
    def behave(self, data: st.DataObject, how: str) -> None:
        client = data.draw(st.sampled_from(self.clients))
        if how == "reads":
            client.end.reads = not client.end.reads
            self.proxy.network.settle()
        elif how == "fin":
            client.end.fin()
        elif not client.left:
            client.left = True
            getattr(client.end, how)()

    # The servers.

    def connections(self) -> list[ServerScript]:
        ends = [end for origin in self.proxy.origins.values() for end in origin.connections]
        for end in ends:
            self.servers.setdefault(id(end), ServerScript(end))
        return [script for script in self.servers.values() if not script.end.sock.closed]

    @precondition(lambda self: self.connections())
    @rule(
        data=st.data(),
        kind=st.sampled_from(["length", "chunked", "until close", "204", "HTTP/1.0", "close", "garbage"]),
        size=st.sampled_from([0, 1, 40, 3000, 100_000]),
        interim=st.booleans(),
        at_once=st.booleans(),
    )
    def answer(self, data: st.DataObject, kind: str, size: int, interim: bool, at_once: bool) -> None:
        script = data.draw(st.sampled_from(self.connections()))
        asked = read_requests(script.end.received)
        if len(asked) <= len(script.given):
            return
        if script.given and not script.given[-1].complete:
            return
        tag = b"%d" % len(self.answers)
        head_only = asked[len(script.given)].method == b"HEAD"
        body = (b"%b," % tag * size)[:size]
        fields = b"X-Tag: %b\r\n" % tag
        until_close = False
        if kind == "chunked":
            fields += b"Transfer-Encoding: chunked\r\n"
            sent = (b"%x\r\n%b\r\n" % (size, body) if size else b"") + b"0\r\nX-End: 1\r\n\r\n"
        elif kind == "until close":
            sent, until_close = body, not head_only
        elif kind == "204":
            sent = body = b""
        else:
            fields += b"Content-Length: %d\r\n" % size + (b"Connection: close\r\n" if kind == "close" else b"")
            sent = body
        if head_only:
            sent = body = b""
        status = b"204 No Content" if kind == "204" else b"200 OK"
        version = b"1.0" if kind == "HTTP/1.0" else b"1.1"
        octets = b"HTTP/%b %b\r\n%b\r\n%b" % (version, status, fields, sent)
        if interim:
            octets = b"HTTP/1.1 100 Continue\r\n\r\n" + octets
        if kind == "garbage":
            octets = b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n" + octets
        given = Given(body, octets, until_close)
        self.answers[tag] = given
        script.given.append(given)
        if at_once and not script.end.sock.shut:
            given.sent = script.end.offer(octets)

    @precondition(lambda self: any(s.given and s.given[-1].sent < len(s.given[-1].octets) for s in self.connections()))
    @rule(data=st.data(), size=PIECES)
    def answer_on(self, data: st.DataObject, size: int) -> None:
        scripts = [s for s in self.connections() if s.given and s.given[-1].sent < len(s.given[-1].octets)]
        script = data.draw(st.sampled_from(scripts))
        given = script.given[-1]
        if not script.end.sock.shut:
            given.sent += script.end.offer(given.octets[given.sent : given.sent + size])

    @precondition(lambda self: self.connections())
    @rule(data=st.data(), how=st.sampled_from(["reads", "reads", "fin", "close", "cut", "refuse", "noise"]))
    def misbehave(self, data: st.DataObject, how: str) -> None:
        script = data.draw(st.sampled_from(self.connections()))
        end = script.end
        if how == "reads":
            end.reads = not end.reads
            self.proxy.network.settle()
        elif how == "refuse":
            end.sock.peer.refuses = True
        elif how == "noise":
            if not script.given and not end.received and not end.sock.shut:
                end.send(b"noise")
        else:
            # A close with octets unread is a reset.
            if script.given and (how == "fin" or (how == "close" and not end.sock.waiting)):
                script.given[-1].ended = True
            getattr(end, how)()

    @rule(data=st.data(), mode=st.sampled_from(MODES))
    def change(self, data: st.DataObject, mode: str) -> None:
        origin: Origin = data.draw(st.sampled_from(list(self.proxy.origins.values())))
        origin.mode = mode

    @rule(seconds=st.sampled_from([1, 1, 2, 7]))
    def time_passes(self, seconds: int) -> None:
        self.proxy.advance(seconds)

    # What must hold.

    @invariant()
    def memory_is_bounded(self) -> None:
        proxy = self.proxy
        assert 0 <= proxy.budget.held <= SLACK * max(1, len(self.clients))
        pool = proxy.group.pool
        assert pool._open == sum(state.open for state in pool.states)
        assert all(len(state.idle) <= state.open <= 3 for state in pool.states)
        assert len(proxy.frontend.channels) <= len(self.clients)

    def teardown(self) -> None:
        self.connections()
        self.proxy.assert_at_rest()
        seen: dict[bytes, int] = {}
        for script in self.servers.values():
            for asked in read_requests(script.end.received):
                self.check_request(asked)
                seen[asked.target] = seen.get(asked.target, 0) + 1
        for target, times in seen.items():
            if self.requests[target].method in (b"POST", b"BREW"):
                assert times == 1, f"{self.requests[target]} was sent {times} times"
        for client in self.clients:
            methods = client.methods()
            for got in self.read(client.end, methods):
                self.check_answer(got)
        assert len(self.proxy.transactions) == len({t.request_id for t in self.proxy.transactions})

    def read(self, end: End, methods: list[bytes]) -> list[Answer]:
        """The answers. One to a HEAD whose head was late or broken has a body: its method was never understood."""
        try:
            return read_answers(end.received, methods, ended=end.ended)
        except h11.RemoteProtocolError:
            for at, method in enumerate(methods):
                if method == b"HEAD":
                    try:
                        return read_answers(end.received, [*methods[:at], b"GET"], ended=end.ended)
                    except h11.RemoteProtocolError:
                        continue
            raise

    def check_request(self, asked: Asked) -> None:
        planned = self.requests[asked.target]
        assert asked.method == planned.method
        if asked.complete:
            assert asked.body == planned.body
        else:
            assert planned.body.startswith(asked.body)

    def check_answer(self, got: Answer) -> None:
        tag = got.get(b"x-tag")
        if tag is None:
            assert got.status >= 400
            return
        given = self.answers[tag]
        assert given.body.startswith(got.body)
        if got.complete:
            assert got.body == given.body
            assert given.complete or not given.body


AnyOrder.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyOrder = AnyOrder.TestCase
