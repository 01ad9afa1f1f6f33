"""Runs one case through the whole proxy, and says what both sides got."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from tests.messages.case import OK, PLAIN, Case, Reply, get, onward
from tests.messages.normal import read_answers, read_requests
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.secured_end import secured_client

NEXT = get(b"Next: yes", target=b"/next", host=b"Host: next.example")
"""The request that trails a case's octets."""
NEXT_ASKED = onward(b"Next: yes", line=b"GET /next HTTP/1.1", host=b"next.example")


@attrs.frozen
class Feeding:
    """How octets arrive."""

    name: str
    one_by_one: bool = False
    """Whether both sides' octets come one by one. What follows the case comes afterwards, at once."""
    trailing: bool = False
    """Whether another request follows, in one piece with the case's octets."""


FEEDINGS = [
    Feeding("whole"),
    Feeding("octets", one_by_one=True),
    Feeding("trailing", trailing=True),
]


@attrs.frozen
class Transport:
    """A way in which a client reaches the proxy."""

    name: str
    open: Callable[[Proxy, Case], End]
    """Opens a client's connection: whatever is sent on the result reaches the proxy as a client's octets, and what it
    received are the proxy's. It knows whether the proxy ended its octets, or cut them."""
    scheme: bytes = b"http"
    port: bytes = b"80"
    feedings: Sequence[Feeding] = FEEDINGS

    def told(self, octets: bytes) -> bytes:
        """What a backend is told over this transport, where a case says it for clear text."""
        proto, port = b"\r\nX-Forwarded-Proto: http\r\n", b"\r\nX-Forwarded-Port: 80\r\n"
        octets = octets.replace(proto, b"\r\nX-Forwarded-Proto: %b\r\n" % self.scheme)
        return octets.replace(port, b"\r\nX-Forwarded-Port: %b\r\n" % self.port)

    def shown(self, octets: bytes) -> bytes:
        """What a client is shown over this transport, where a case says it for clear text."""
        return octets.replace(b"ocation: http://a.example/", b"ocation: %b://a.example/" % self.scheme)


def _open_clear(proxy: Proxy, case: Case) -> End:
    return proxy.client(trusted=case.trusted)


def _open_secured(proxy: Proxy, case: Case) -> End:
    return secured_client(proxy, trusted=case.trusted)


TRANSPORTS = [
    Transport("clear", _open_clear),
    # Through OpenSSL on both ends.
    Transport("TLS", _open_secured, b"https", b"443", FEEDINGS[:1]),
]
"""Every case runs over each of them."""


class Backend:
    """The server behind: it answers each whole request by the next reply, when it is asked to."""

    def __init__(self, proxy: Proxy, replies: tuple[Reply, ...], *, one_by_one: bool) -> None:
        self._origin = proxy.origin
        self._origin.answer = lambda end: setattr(end, "heard", self._hear)
        self._network = proxy.network
        self._replies = iter(replies)
        self._one_by_one = one_by_one
        self._heard = False
        self._current: Reply | None = None
        self._answered: dict[End, int] = {}

    def _hear(self) -> None:
        self._heard = True

    def work(self) -> None:
        """Answers what there is to answer."""
        while self._heard:
            self._heard = False
            for end in list(self._origin.connections):
                self._serve(end)

    def _serve(self, end: End) -> None:
        whole, rest = read_requests(end.received)
        served = self._answered.setdefault(end, 0)
        if len(whole) == served and b"\r\n\r\n" not in rest:
            return
        if self._current is None:
            self._current = next(self._replies, None)
            if self._current is None:
                return
            self._say(end, self._current.at_head)
        if len(whole) > served:
            self._answered[end] += 1
            reply, self._current = self._current, None
            self._say(end, reply.octets)
            if reply.then == "ends":
                end.fin()
            elif reply.then == "cuts":
                end.cut()
            self._heard = True

    def _say(self, end: End, octets: bytes) -> None:
        end.send(octets, cut=range(1, len(octets)) if self._one_by_one else ())


@attrs.frozen
class Side:
    """What one side of the proxy got on one connection, in normal form."""

    octets: bytes
    incomplete: bytes
    """What came of a message that is not complete."""
    end: str


def _end_of(end: End) -> str:
    if end.sock.closed:
        return "left"
    # Who goes on sending after it saw the end gets a reset.
    return "ended" if end.ended else "reset" if end.was_reset else "open"


def run(case: Case, feeding: Feeding, transport: Transport) -> None:
    """Runs a case. Raises AssertionError where anything is not as the case says, on either side."""
    proxy = Proxy(**case.proxy)
    # A reply for the request that trails; if the case's own requests are refused as they should, it is the only one.
    backend = Backend(proxy, (*case.replies, OK), one_by_one=feeding.one_by_one)
    client = transport.open(proxy, case)
    octets = case.sent + NEXT if feeding.trailing else case.sent
    for piece in [octets[at : at + 1] for at in range(len(octets))] if feeding.one_by_one else [octets]:
        client.send(piece)
        backend.work()
    if case.fin:
        client.fin()
        backend.work()
    _check(case, feeding, transport, proxy, client)
    if feeding.one_by_one and not case.fin and not case.stands_alone:
        client.send(NEXT)
        backend.work()
        _check(case, attrs.evolve(feeding, trailing=True), transport, proxy, client)
    proxy.assert_at_rest()


def _check(case: Case, feeding: Feeding, transport: Transport, proxy: Proxy, client: End) -> None:
    _check_client(case, feeding, transport, client)
    _check_backend(case, feeding, transport, proxy)


def _check_client(case: Case, feeding: Feeding, transport: Transport, client: End) -> None:
    method = case.sent.lstrip(b"\r\n").partition(b" ")[0]
    messages, incomplete = read_answers(client.received, [method], ended=client.ended)
    goes_on = feeding.trailing and case.client == "open"
    end = {"tunnel": "open", "open": "ended" if case.fin else "open"}.get(case.client, case.client)
    if case.cut:
        got = b"".join(messages) + incomplete
        # What the proxy decodes in one go with the mistake is lost with it.
        assert case.got == got if feeding.one_by_one else case.got.startswith(got)
        assert case.client == "reset" or incomplete, "an answer that was cut looks complete"
    else:
        then = PLAIN if goes_on else OK.octets if feeding.trailing and case.client == "tunnel" else b""
        assert (b"".join(messages), incomplete) == (transport.shown(case.got) + then, b"")
    assert _end_of(client) == end


def _check_backend(case: Case, feeding: Feeding, transport: Transport, proxy: Proxy) -> None:
    sides = []
    for connection in proxy.origin.connections:
        messages, incomplete = read_requests(connection.received)
        sides.append(Side(b"".join(messages), incomplete, _end_of(connection)))
    if case.begun:
        # What came at once with the mistake, or behind an early answer, need not have been sent on.
        is_exact = feeding.one_by_one and not case.replies
        assert len(sides) <= 1
        for side in sides:
            assert side.octets == b""
            begun = transport.told(case.begun)
            assert begun == side.incomplete if is_exact else begun.startswith(side.incomplete)
            assert side.end == "reset"
        assert sides or not is_exact
        return
    expected = []
    asked, after = transport.told(case.asked), transport.told(NEXT_ASKED)
    if not feeding.trailing or case.client in ("ended", "reset"):
        expected = [asked] if case.backend != "none" else []
    elif case.client == "tunnel":
        expected = [asked + NEXT]
    elif case.backend == "kept":
        expected = [asked + after]
    else:
        expected = [asked, after] if case.backend == "gone" else [after]
    assert [side.octets + side.incomplete for side in sides] == expected
    assert not any(side.incomplete for side in sides), "the backend waits for the rest of a message"
    if sides and case.backend == "gone":
        assert sides[0].end != "open"
        assert proxy.origin.connections[0].sock.peer.closed
        sides = sides[1:]
    assert all(side.end == "open" for side in sides)
