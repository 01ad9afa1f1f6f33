"""Changes to inputs that know what inputs are made of: pieces of the grammar, lines, numbers, and steps of a script.

``havoc`` is the fuzzer's own way to change octets, which knows what comparisons failed. It has its turn every other
time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Final

import attrs

from fuzz.choices import Choices
from fuzz.grammar import answer, dictionary, request
from fuzz.script import LONGEST, STEPS, USUAL, WITH_OCTETS, Step, decoded, random_choices, random_step

Havoc = Callable[[bytes, int], bytes]
Make = Callable[[Random], bytes]

PIECES: Final = dictionary()
_NUMBER: Final = re.compile(rb"[0-9A-Fa-f]+")


def flip(random: Random) -> Havoc:
    """A way to change octets for where no fuzzer is."""

    def change(octets: bytes, most: int) -> bytes:
        changed = bytearray(octets)
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.randrange(len(changed) + 1)
            changed[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        return bytes(changed[:most])

    return change


def random_request(random: Random) -> bytes:
    """A request of the grammar."""
    return request(Choices(random_choices(random)))


def random_answer(random: Random) -> bytes:
    """An answer of the grammar."""
    made = answer(Choices(random_choices(random)))
    return made.octets + made.surplus


def mutated_octets(octets: bytes, most: int, random: Random, havoc: Havoc, make: Make) -> bytes:
    """Octets of a peer, a little changed."""
    way = random.randrange(14)
    if way < 5:
        return havoc(octets, most)
    if way == 5:
        at = random.randrange(len(octets) + 1)
        return (octets[:at] + make(random) + octets[at:])[:most]
    if way in (6, 7):
        at = random.randrange(len(octets) + 1)
        return (octets[:at] + random.choice(PIECES) + octets[at + random.choice((0, 0, 1, 2, 9)) :])[:most]
    if way == 8 and (numbers := list(_NUMBER.finditer(octets))):
        found = random.choice(numbers)
        number = random.choice((b"0", b"00", b"%x" % (int(found[0][:8], 16) + random.choice((-1, 1)) & 0xFFFFFFFF)))
        return (octets[: found.start()] + number + octets[found.end() :])[:most]
    lines = octets.split(b"\r\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    if way == 9:
        lines.insert(at, lines[other])
    elif way == 10:
        del lines[at]
    elif way in (11, 12):
        lines[at] = random.choice(PIECES)
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"\r\n".join(lines)[:most]


def mutated_script(octets: bytes, most: int, random: Random, havoc: Havoc) -> bytes:
    """A script, a little changed."""
    script = decoded(octets)
    steps = list(script.steps)
    setup = script.setup
    way = random.randrange(10)
    at = random.randrange(len(steps)) if steps else 0
    if way == 0:
        setup = random.randrange(256)
    elif way in (1, 2) or not steps:
        steps.insert(random.randrange(len(steps) + 1), random_step(random, random.choice((USUAL, STEPS))))
    elif way == 3:
        del steps[at]
    elif way == 4:
        steps.insert(at, random.choice(steps))
    elif way == 5:
        other = random.randrange(len(steps))
        steps[at], steps[other] = steps[other], steps[at]
    elif way == 6:
        steps[at] = attrs.evolve(steps[at], choice=random.randrange(256))
    else:
        steps[at] = _changed(steps[at], random, havoc)
    encoded = attrs.evolve(script, setup=setup, steps=tuple(steps[:LONGEST])).encoded()
    return encoded if len(encoded) <= most else havoc(octets, most)


def _changed(step: Step, random: Random, havoc: Havoc) -> Step:
    """A step with other octets, or, where it has none, of another kind."""
    if step.kind not in WITH_OCTETS:
        return random_step(random)
    if step.kind in ("request", "answer"):
        if random.randrange(6) == 0:
            # From here on it can become what the grammar does not have.
            if step.kind == "request":
                return Step("octets", step.choice, request(Choices(step.octets)))
            return Step("answer octets", step.choice, answer(Choices(step.octets)).octets)
        return attrs.evolve(step, octets=havoc(step.octets, 60))
    make = random_request if step.kind == "octets" else random_answer
    return attrs.evolve(step, octets=mutated_octets(step.octets, 1000, random, havoc, make))
