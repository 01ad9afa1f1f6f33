"""What clients and origins got, read by an independent parser (h11)."""

from __future__ import annotations

import attrs
import h11

Lines = tuple[tuple[bytes, bytes], ...]


@attrs.frozen
class Answer:
    """An answer as a client reads it."""

    status: int
    fields: Lines
    body: bytes = b""
    complete: bool = False
    trailers: Lines = ()
    interim: tuple[int, ...] = ()

    def get(self, name: bytes) -> bytes | None:
        """The value under a lower-case name."""
        values = [value for field, value in self.fields if field == name]
        return b", ".join(values) if values else None


@attrs.frozen
class Asked:
    """A request as an origin reads it."""

    method: bytes
    target: bytes
    fields: Lines
    body: bytes = b""
    complete: bool = False
    trailers: Lines = ()

    def get(self, name: bytes) -> bytes | None:
        """The value under a lower-case name."""
        values = [value for field, value in self.fields if field == name]
        return b", ".join(values) if values else None


def read_answers(data: bytes, methods: list[bytes], *, ended: bool = False) -> list[Answer]:
    """The answers in ``data`` to requests of these methods. Raises h11.RemoteProtocolError where they are none."""
    answers = []
    for method in methods:
        if not data:
            break
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(data)
        if ended:
            parser.receive_data(b"")
        answer, data = _read_answer(parser)
        if answer is None:
            break
        answers.append(answer)
        if not answer.complete:
            break
    return answers


def _read_answer(parser: h11.Connection) -> tuple[Answer | None, bytes]:
    interim: tuple[int, ...] = ()
    answer: Answer | None = None
    pieces: list[bytes] = []
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            if answer is None:
                raise
            return attrs.evolve(answer, body=b"".join(pieces)), b""
        if isinstance(event, h11.InformationalResponse):
            interim += (event.status_code,)
        elif isinstance(event, h11.Response):
            answer = Answer(event.status_code, tuple(event.headers), interim=interim)
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert answer is not None
            done = attrs.evolve(answer, body=b"".join(pieces), complete=True, trailers=tuple(event.headers))
            return done, parser.trailing_data[0]
        else:
            if answer is not None:
                answer = attrs.evolve(answer, body=b"".join(pieces))
            return answer, b""


def read_requests(data: bytes) -> list[Asked]:
    """The requests in ``data``, the last one perhaps incomplete. Raises h11.RemoteProtocolError where they are none."""
    requests = []
    while data:
        asked, data = read_request(data)
        if asked is None:
            break
        requests.append(asked)
    return requests


def read_request(data: bytes) -> tuple[Asked | None, bytes]:
    """The first request, and the octets behind it."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    asked: Asked | None = None
    pieces: list[bytes] = []
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Request):
            asked = Asked(event.method, event.target, tuple(event.headers))
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            assert asked is not None
            done = attrs.evolve(asked, body=b"".join(pieces), complete=True, trailers=tuple(event.headers))
            return done, parser.trailing_data[0]
        else:
            if asked is not None:
                asked = attrs.evolve(asked, body=b"".join(pieces))
            return asked, b""
