"""A script of what happens to a proxy, and its octets: any octets are some script, so that a fuzzer can't miss."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import attrs

from fuzz.choices import Choices
from fuzz.grammar import answer, request

STEPS: Final = (
    "request",  # the client sends a request of the grammar
    "answer",  # a backend answers what it was asked, by the grammar
    "octets",  # the client sends any octets
    "answer octets",  # a backend answers any octets to what it was asked
    "noise",  # a backend sends any octets
    "client fin",
    "client cut",
    "client close",
    "client reads",  # begins to read, or stops
    "backend fin",
    "backend cut",
    "backend close",
    "backend reads",
    "backend refuses",  # the next write to it fails
    "mode",  # how a backend takes connections
    "time",
)
WITH_OCTETS: Final = frozenset({"request", "answer", "octets", "answer octets", "noise"})
USUAL: Final = ("request", "request", "request", "answer", "answer", "answer", "octets", "answer octets", "time")
LONGEST: Final = 40
"""Steps of a script."""


@attrs.frozen
class Step:
    """One event. ``choice`` says which client or backend, how long, in what pieces."""

    kind: str
    choice: int = 0
    octets: bytes = b""


@attrs.frozen
class Script:
    """How a proxy is set up, and what happens to it."""

    setup: int
    steps: Sequence[Step]

    def encoded(self) -> bytes:
        """Its octets: the setup; then for each step its kind, its choice, and, where it has any, its octets."""
        pieces = [bytes([self.setup & 255])]
        for step in self.steps:
            pieces.append(bytes([STEPS.index(step.kind), step.choice & 255]))
            if step.kind in WITH_OCTETS:
                pieces.append(len(step.octets).to_bytes(2, "big") + step.octets)
        return b"".join(pieces)


def decoded(octets: bytes) -> Script:
    """The script that some octets are; what is too short or too long is cut."""
    setup = octets[0] if octets else 0
    steps: list[Step] = []
    at = 1
    while at + 1 < len(octets) and len(steps) < LONGEST:
        kind, choice = STEPS[octets[at] % len(STEPS)], octets[at + 1]
        at += 2
        data = b""
        if kind in WITH_OCTETS:
            size = int.from_bytes(octets[at : at + 2], "big")
            data = octets[at + 2 : at + 2 + size]
            at += 2 + size
        steps.append(Step(kind, choice, data))
    return Script(setup, tuple(steps))


def random_step(random: Random, kinds: Sequence[str] = STEPS) -> Step:
    """Any step of these kinds."""
    kind = random.choice(kinds)
    octets = b""
    if kind in ("request", "answer"):
        octets = random_choices(random)
    elif kind == "octets":
        octets = _part(random, request(Choices(random_choices(random))))
    elif kind in WITH_OCTETS:
        octets = _part(random, answer(Choices(random_choices(random))).octets)
    return Step(kind, random.choice((0, 0, 1, 2, 64, random.randrange(256))), octets)


def random_choices(random: Random) -> bytes:
    """Few octets: a generator that finds none left takes what is usual."""
    return random.randbytes(random.choice((0, 8, 20, 40)))


def _part(random: Random, message: bytes) -> bytes:
    """The beginning of a message, or its end, or all of it."""
    at = random.randrange(len(message))
    return random.choice((message[:at], message[:at], message[at:], message))


def random_script(random: Random) -> Script:
    """A client that asks and backends that answer, now and then disturbed."""
    steps = [Step("request", 0, random_choices(random))]
    for _ in range(random.randrange(12)):
        steps.append(random_step(random, USUAL if random.random() < 0.8 else STEPS))
        if random.random() < 0.2:
            # One message in two parts, and whatever happens between them.
            choices = Choices(random_choices(random))
            kind = random.choice(("octets", "answer octets"))
            octets = request(choices) if kind == "octets" else answer(choices).octets
            at = random.randrange(len(octets))
            steps += [Step(kind, 0, octets[:at]), random_step(random), Step(kind, 0, octets[at:])]
    return Script(random.choice((0, 0, random.randrange(256))), tuple(steps[:LONGEST]))
