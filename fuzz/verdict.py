"""What must hold between the octets that a client sent and got, and those that backends saw and answered.

The one sentence: what the backends saw is read, by the strict reader, as exactly the requests that the client was
answered for. The proxy's X-Request-ID says, at the backend, which request of which connection it takes something for,
so that nothing has to be guessed: whether that is true is what is judged. A mistake here is text; none means all is
well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from fuzz.strict import Lines, Message, Reading, origin_form, read_answers, read_requests

CANARY: Final = b"/canary"
"""The target of requests that stand in bodies, and the name (without its slash) of a field of answers that do."""

MOST_TRIES: Final = 3
"""A request with an idempotent method is put on a second connection if the first was dead, and on a second server."""
IDEMPOTENT: Final = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE")

# What does not reach the backend as the client wrote it (docs/forwarding.rst), written down here a second time.
_OWN: Final = frozenset(
    (
        b"host via expect content-length transfer-encoding connection keep-alive te upgrade proxy-connection "
        b"proxy-authenticate proxy-authentication-info proxy-authorization close http2-settings forwarded client-cert "
        b"client-cert-chain x-request-id x-real-ip x-client-ip x-cluster-client-ip x-original-url x-original-host "
        b"x-original-forwarded-for x-rewrite-url true-client-ip x-ssl-client-cert x-ssl-client-verify x-remote-user "
        b"remote-user x-scheme front-end-https proxy"
    ).split()
)


@attrs.frozen
class Wire:
    """One connection to a backend."""

    received: bytes
    """What the backend read."""
    sent: bytes = b""
    ended: bool = False
    """Whether the backend ended its octets, and did not cut them."""
    was_cut: bool = False
    """Whether one of the two sides cut the connection, so that octets may have been lost."""


@attrs.frozen
class Client:
    """One connection of a client, after it is over."""

    sent: bytes
    received: bytes
    ended: bool = True
    """Whether the proxy ended its octets; else they were cut."""
    left: bool = False
    """Whether the client cut the connection."""
    ids: Sequence[bytes] = (b"id1", b"id2", b"id3")
    """What the proxy called its requests, in their order."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing on its way to the client can have been lost: a reset destroys what was not read yet."""
        return self.ended and not self.left

    def id(self, number: int) -> bytes:
        """Of the request of that number, counted from 1; empty where the proxy knows none."""
        return self.ids[number - 1] if number <= len(self.ids) else b""


@attrs.frozen
class Transcript:
    """All that was sent and got."""

    clients: Sequence[Client]
    wires: Sequence[Wire] = ()
    has_canaries: bool = False
    """Whether CANARY stands in bodies alone."""


@attrs.frozen
class _Seen:
    """A request as a backend saw it."""

    request: Message
    was_answered: bool
    answer: Message | None
    tunnel: bytes
    """What came behind it, if it was answered with 101."""


_Seens = dict[bytes, list[_Seen]]
"""By the proxy's id."""


def mistakes(transcript: Transcript) -> Iterator[str]:
    """Everything that is wrong."""
    seen: _Seens = {}
    for wire in transcript.wires:
        yield from _read_wire(wire, seen)
    known = {request_id for client in transcript.clients for request_id in client.ids}
    for request_id in sorted(seen.keys() - known):
        yield f"a backend saw a request of nobody: {seen[request_id]}"
    for client in transcript.clients:
        yield from _judge_client(client, seen, has_canaries=transcript.has_canaries)
    if transcript.has_canaries:
        # The second look, which needs no reader of what the client sent.
        for found in (found for tries in seen.values() for found in tries):
            if found.request.target.startswith(CANARY):
                yield f"a request came out of a body: {found.request}"


def _judge_client(client: Client, seen: _Seens, *, has_canaries: bool) -> Iterator[str]:
    asked = read_requests(client.sent)
    answers = _answers(client, asked)
    if answers.messages and answers.messages[-1].status == 101:
        asked = read_requests(client.sent, most=len(answers.messages))
    if answers.mistake:
        yield f"the client got what is no answer: {answers.mistake}, in {answers.rest!r}"
    elif answers.rest and client.is_whole:
        yield f"the client got octets behind its last answer: {answers.rest!r}"
    for number, answer in enumerate(answers.messages, 1):
        request = asked.messages[number - 1] if number <= len(asked.messages) else None
        if request is None and not asked.rest:
            yield f"nobody asked for answer {number}: {answer}"
        tries = seen.get(client.id(number), [])
        if not _is_own(client.id(number), answer):
            yield from _judge_answer(number, answer, request, tries)
        if answer.status == 101:
            yield from _judge_tunnel(number, answer, request, asked.rest, tries)
        if has_canaries and answer.all(CANARY[1:]):
            yield f"an answer came out of a body: {answer}"
    for number, request_id in enumerate(client.ids, 1):
        tries = seen.get(request_id, [])
        if not tries:
            continue
        if number > len(asked.messages):
            yield f"a backend saw request {number}; the client sent {len(asked.messages)}: {tries[0].request}"
            continue
        yield from _judge_request(number, asked.messages[number - 1], tries)
        if number > len(answers.messages) and client.is_whole:
            yield f"a backend saw request {number}; the client got {len(answers.messages)} answers and a clean end"


def _read_wire(wire: Wire, seen: _Seens) -> Iterator[str]:
    got = read_requests(wire.received, empty_line=False)
    given = read_answers(wire.sent, [request.method for request in got.messages], ended=wire.ended)
    tunnel = b""
    if given.messages and given.messages[-1].status == 101:
        got = read_requests(wire.received, empty_line=False, most=len(given.messages))
        got, tunnel = attrs.evolve(got, rest=b""), got.rest
    if got.mistake:
        yield f"a backend saw what is no request: {got.mistake}, in {wire.received!r}"
    elif got.rest and not wire.was_cut:
        yield f"a backend saw octets that never became a request: {got.rest!r}"
    for at, request in enumerate(got.messages):
        ids = request.all(b"x-request-id")
        if len(ids) != 1:
            yield f"a backend saw a request without the proxy's id: {request}"
            continue
        answer = given.messages[at] if at < len(given.messages) else None
        was_answered = answer is not None or (at == len(given.messages) and bool(given.rest))
        seen.setdefault(ids[0], []).append(
            _Seen(request, was_answered, answer, tunnel if at == len(got.messages) - 1 else b"")
        )


def _answers(client: Client, asked: Reading) -> Reading:
    """The client's answers: one a request, and perhaps one to octets that never became one."""
    methods = [request.method for request in asked.messages] + [b"GET"]
    ended = client.is_whole
    reading = read_answers(client.received, methods, ended=ended)
    if reading.rest or reading.mistake:
        # A request to HEAD whose head the proxy refused is answered with a page: its method was never understood.
        for at in range(len(reading.messages) - 1, -1, -1):
            if methods[at] == b"HEAD" and _is_own(client.id(at + 1), reading.messages[at]):
                methods[at] = b"GET"
                return read_answers(client.received, methods[: at + 1], ended=ended)
    return reading


def _is_own(request_id: bytes, answer: Message) -> bool:
    """Whether an answer is an error page of the proxy."""
    return answer.all(b"x-request-id") == [request_id] and answer.all(b"cache-control") == [b"no-store"]


def _judge_answer(number: int, answer: Message, request: Message | None, tries: list[_Seen]) -> Iterator[str]:
    if answer.minor != 1:
        yield f"answer {number} is of another version than the proxy's"
    if request is not None and request.minor == 0 and (answer.interim or answer.all(b"transfer-encoding")):
        yield f"answer {number} has what an HTTP/1.0 client can't read: {answer}"
    given = [found.answer for found in tries if found.answer is not None and found.answer.status == answer.status]
    if answer.complete and not any(found.complete and found.body == answer.body for found in given):
        yield f"answer {number} is complete and no backend gave it to that request: {answer}, but {tries}"
    elif not any(found.body.startswith(answer.body) for found in given):
        yield f"no backend gave answer {number} to that request: {answer}, but {tries}"


def _judge_request(number: int, sent: Message, tries: list[_Seen]) -> Iterator[str]:
    for found in tries:
        got = found.request
        if got.method != sent.method or got.target != origin_form(sent.method, sent.target):
            yield f"a backend saw request {number} as {got}; the client sent {sent}"
        if got.complete and not (sent.complete and got.body == sent.body):
            yield f"a backend saw request {number} complete as {got}; the client sent {sent}"
        if not sent.body.startswith(got.body):
            yield f"a backend saw another body of request {number}: {got.body!r}, not {sent.body!r}"
        if _end_to_end(got, ()) != _end_to_end(sent, sent.members(b"connection")):
            yield f"a backend saw other fields of request {number}: {got.fields}, not {sent.fields}"
        if not set(got.trailers) <= set(sent.trailers):
            yield f"a backend saw other trailers of request {number}: {got.trailers}, not {sent.trailers}"
    if len(tries) > (MOST_TRIES if sent.method in IDEMPOTENT else 1):
        yield f"backends saw request {number} {len(tries)} times: {sent}"
    if sum(found.was_answered for found in tries) > 1:
        yield f"request {number} was sent again after it was answered: {tries}"


def _judge_tunnel(
    number: int, answer: Message, request: Message | None, behind: bytes, tries: list[_Seen]
) -> Iterator[str]:
    """RFC 9110 §7.8: a switch is to what was asked for; behind it, octets pass as they are."""
    if (
        request is None
        or request.minor == 0
        or b"upgrade" not in request.members(b"connection")
        or answer.all(b"upgrade") not in [[protocol] for protocol in request.members(b"upgrade")]
        or request.all(b"content-length") not in ([], [b"0"])
        or request.all(b"transfer-encoding")
    ):
        yield f"request {number} did not ask for its 101: {answer}, {request}"
    for found in tries:
        if not behind.startswith(found.tunnel):
            yield f"a backend saw in the tunnel {found.tunnel!r}, and the client sent {behind!r}"


def _end_to_end(request: Message, gone: Sequence[bytes]) -> Lines:
    """The fields that a proxy has no business with."""
    return tuple(
        (name, value)
        for name, value in request.fields
        if not (name in gone or (plain := name.replace(b"_", b"-")) in _OWN or plain.startswith(b"x-forwarded-"))
    )
