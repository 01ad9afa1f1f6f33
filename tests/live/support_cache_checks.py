"""Requirements of a shared cache as dialogues: what a client asks, what the server would say, who has to answer."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import attrs

from tests.live.support_cache_origin import Reply, timed
from tests.live.support_client import Answer, RawClient, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.support_cache_origin import Asked, CacheOrigin

ASKED, HIT, VALIDATED = "asked", "hit", "validated"
BODYLESS = frozenset({204, 304})


@attrs.frozen
class Step:
    """One request, what the server says if it is asked, and what has to be so."""

    who: str
    """``asked``: the server, for the whole answer; ``validated``: the server, with a condition of the cache's;
    ``hit``: the server must not be asked."""
    reply: Reply | None = None
    to: tuple[str, ...] = ()
    """Field lines of the request."""
    method: str = "GET"
    at: str = ""
    """What is put behind the check's own target."""
    whole: str = ""
    """The target, where it is another one."""
    host: str = "example.com"
    content: bytes | None = None
    """The body of the reply; not given: one that tells the steps apart."""
    sends: bytes = b""
    """The body of the request."""
    code: int = 0
    """The answer's status; 0: the server's, or that of the answer that was stored."""
    body: bytes | int | None = None
    """The answer's body, or the number of the step whose reply has it; not given: as ``who`` says."""
    has: tuple[str, ...] = ()
    """Field lines that the answer must have, all of the name's lines in this order."""
    lacks: tuple[str, ...] = ()
    """Names of fields that the answer must not have."""
    sent: tuple[str, ...] = ()
    """Field lines that the server must have got."""
    unsent: tuple[str, ...] = ()
    """Names of fields that it must not have got."""
    interim: tuple[int, ...] = ()
    says: str = ""
    """What the last member of Cache-Status must have in it."""
    holds: Callable[[Answer], object] | None = None
    """Whatever else must be so."""


@attrs.frozen
class Check:
    """One requirement."""

    source: str
    """RFC and section."""
    why: str
    steps: tuple[Step, ...]


def check(source: str, why: str, *steps: Step) -> Check:
    return Check(source, why, steps)


def _reply(lines: tuple[str, ...], status: int, wants: dict[str, Any]) -> Reply:
    ending = wants.pop("ending", "none" if status in BODYLESS else "length")
    return Reply(
        status,
        lines,
        ending=str(ending),
        interim=wants.pop("early", ()),
        trailers=wants.pop("trailers", ()),
    )


def asked(*lines: str, status: int = 200, **wants: Any) -> Step:
    """The server is asked, and says this."""
    reply = _reply(lines, status, wants)
    return Step(ASKED, reply, **wants)


def validated(*lines: str, status: int = 304, **wants: Any) -> Step:
    """The server is asked whether what is stored is valid, and says this."""
    reply = _reply(lines, status, wants)
    return Step(VALIDATED, reply, **wants)


def hit(*to: str, **wants: Any) -> Step:
    """The stored response is the answer."""
    return Step(HIT, None, to, **wants)


_numbers = itertools.count(1)


def run(check: Check, origin: CacheOrigin, port: int) -> None:
    """Holds the dialogue of a check, on a target of its own."""
    base = f"/c{next(_numbers)}"
    known: dict[int, Reply] = {}
    stored = Reply()
    now = time.time()
    for number, step in enumerate(check.steps, 1):
        target = step.whole or base + step.at
        place = f"{check.source}, step {number}"
        reply = step.reply
        if reply is not None:
            body = b"" if reply.status in BODYLESS else f"body of step {number}".encode()
            lines = tuple(timed(line, now) for line in reply.lines)
            reply = attrs.evolve(reply, lines=lines, body=body if step.content is None else step.content)
            origin.says(target, reply)
            known[number] = reply
        before = len(origin.asked(target))
        answer, interim = _ask(port, step, target, now)
        came = origin.asked(target)[before:]
        seen = f"{place}: the answer was {answer.head!r} {answer.body[:80]!r}; the server got {came}"
        _compare_asked(step, reply, came, seen)
        assert interim == step.interim, seen
        if reply is not None and (reply.status != 304 or step.who == ASKED):
            stored = reply
        source = known[step.body] if isinstance(step.body, int) else stored
        assert answer.status == (step.code or source.status), seen
        wanted = step.body if isinstance(step.body, bytes) else None
        if wanted is None and answer.status == source.status:
            wanted = source.body
        if step.method == "HEAD" or answer.status in BODYLESS:
            wanted = b""
        assert wanted is None or answer.body == wanted, seen
        _compare_fields(step, answer, now, seen)


def _ask(port: int, step: Step, target: str, now: float) -> tuple[Answer, tuple[int, ...]]:
    lines = [timed(line, now) for line in step.to]
    with RawClient(port) as client:
        client.send(request(step.method, target, *lines, body=step.sends, host=step.host))
        interim = []
        while (answer := client.read_answer(step.method)).status < 200:
            interim.append(answer.status)
        return answer, tuple(interim)


def _compare_asked(step: Step, reply: Reply | None, came: list[Asked], seen: str) -> None:
    if step.who == HIT:
        assert not came, seen
        return
    assert came, seen
    # Where no answer comes, the proxy may try again.
    assert len(came) == 1 or (reply is not None and reply.ending == "nothing"), seen
    own = {line.partition(":")[0].lower() for line in step.to}
    conditions = {name for name, _ in came[0].fields if name in ("if-none-match", "if-modified-since")}
    assert bool(conditions - own if step.who == ASKED else conditions) == (step.who == VALIDATED), seen
    for line in step.sent:
        name, _, value = line.partition(": ")
        assert came[0].get(name) == value, f"{line}: {seen}"
    for name in step.unsent:
        assert not came[0].all(name), f"{name}: {seen}"


def _compare_fields(step: Step, answer: Answer, now: float, seen: str) -> None:
    wanted: dict[str, list[str]] = {}
    for line in step.has:
        name, _, value = timed(line, now).partition(": ")
        wanted.setdefault(name, []).append(value)
    for name, values in wanted.items():
        assert answer.all(name) == values, f"{name} is not {values}: {seen}"
    for name in step.lacks:
        assert name not in answer, f"{name} is there: {seen}"
    if step.says:
        assert step.says in answer.all("Cache-Status")[-1], f"{step.says}: {seen}"
    if step.who == HIT and answer.status != 504:
        # RFC 9111 §4: whatever is used without validation has one Age.
        assert len(answer.all("Age")) == 1, seen
        assert "hit" in answer.all("Cache-Status")[-1], seen
    assert step.holds is None or step.holds(answer), f"what must hold does not: {seen}"


def age_of(answer: Answer) -> int:
    """Its Age, seconds."""
    return int(answer.get("Age"))
