"""What must hold between the octets that a client sent and got, and those that backends saw and answered.

The one sentence: what the backends saw is read, by the strict reader, as exactly the requests that the client was
answered for. A request that the client sent has a number, its place on the connection; the proxy's X-Request-ID
carries that number to the backend, so that nothing has to be guessed. A mistake here is text; none means all is well.
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
class Transcript:
    """A client's connection and all that happened behind it, after it is over."""

    sent: bytes
    received: bytes
    ended: bool = True
    """Whether the proxy ended its octets; else they were cut."""
    left: bool = False
    """Whether the client cut the connection."""
    wires: Sequence[Wire] = ()
    has_canaries: bool = False
    """Whether CANARY stands in bodies alone."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing on its way to the client can have been lost: a reset destroys what was not read yet."""
        return self.ended and not self.left


@attrs.frozen
class _Seen:
    """A request as a backend saw it."""

    request: Message
    was_answered: bool
    answer: Message | None
    tunnel: bytes
    """What came behind it, if it was answered with 101."""


def mistakes(transcript: Transcript) -> Iterator[str]:
    """Everything that is wrong."""
    asked = read_requests(transcript.sent)
    seen: dict[int, list[_Seen]] = {}
    for wire in transcript.wires:
        yield from _read_wire(wire, seen)
    answers = _answers(transcript, asked)
    if answers.messages and answers.messages[-1].status == 101:
        asked = read_requests(transcript.sent, most=len(answers.messages))
    if answers.mistake:
        yield f"the client got what is no answer: {answers.mistake}, in {answers.rest!r}"
    elif answers.rest and transcript.is_whole:
        yield f"the client got octets behind its last answer: {answers.rest!r}"
    for number, answer in enumerate(answers.messages, 1):
        request = asked.messages[number - 1] if number <= len(asked.messages) else None
        if request is None and not asked.rest:
            yield f"nobody asked for answer {number}: {answer}"
        yield from _judge_answer(number, answer, request, seen.get(number, []))
        if answer.status == 101:
            yield from _judge_tunnel(number, answer, request, asked.rest, seen.get(number, []))
    for number, tries in sorted(seen.items()):
        if number > len(asked.messages):
            yield f"a backend saw request {number}; the client sent {len(asked.messages)}: {tries[0].request}"
            continue
        yield from _judge_request(number, asked.messages[number - 1], tries)
        if number > len(answers.messages) and transcript.is_whole:
            yield f"a backend saw request {number}; the client got {len(answers.messages)} answers and a clean end"
    yield from _judge_canaries(transcript, answers.messages, seen)


def _read_wire(wire: Wire, seen: dict[int, list[_Seen]]) -> Iterator[str]:
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
        if len(ids) != 1 or not ids[0].startswith(b"id") or not ids[0][2:].isdigit():
            yield f"a backend saw a request without the proxy's number: {request}"
            continue
        answer = given.messages[at] if at < len(given.messages) else None
        was_answered = answer is not None or (at == len(given.messages) and bool(given.rest))
        seen.setdefault(int(ids[0][2:]), []).append(
            _Seen(request, was_answered, answer, tunnel if at == len(got.messages) - 1 else b"")
        )


def _answers(transcript: Transcript, asked: Reading) -> Reading:
    """The client's answers: one a request, and perhaps one to octets that never became one."""
    methods = [request.method for request in asked.messages] + [b"GET"]
    ended = transcript.is_whole
    reading = read_answers(transcript.received, methods, ended=ended)
    if reading.rest or reading.mistake:
        # A request to HEAD whose head the proxy refused is answered with a page: its method was never understood.
        for at in range(len(reading.messages) - 1, -1, -1):
            if methods[at] == b"HEAD" and _is_own(at + 1, reading.messages[at]):
                methods[at] = b"GET"
                return read_answers(transcript.received, methods[: at + 1], ended=ended)
    return reading


def _is_own(number: int, answer: Message) -> bool:
    """Whether an answer is an error page of the proxy."""
    return answer.all(b"x-request-id") == [b"id%d" % number] and answer.all(b"cache-control") == [b"no-store"]


def _judge_answer(number: int, answer: Message, request: Message | None, tries: list[_Seen]) -> Iterator[str]:
    if answer.minor != 1:
        yield f"answer {number} is of another version than the proxy's"
    if request is not None and request.minor == 0 and (answer.interim or answer.all(b"transfer-encoding")):
        yield f"answer {number} has what an HTTP/1.0 client can't read: {answer}"
    if _is_own(number, answer):
        return
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


def _judge_canaries(transcript: Transcript, answers: list[Message], seen: dict[int, list[_Seen]]) -> Iterator[str]:
    """The second look, which needs no reader of what the client sent."""
    if not transcript.has_canaries:
        return
    for tries in seen.values():
        for found in tries:
            if found.request.target.startswith(CANARY):
                yield f"a request came out of a body: {found.request}"
    for answer in answers:
        if answer.all(CANARY[1:]):
            yield f"an answer came out of a body: {answer}"
