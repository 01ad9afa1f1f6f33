"""What can be fuzzed: a function of octets that raises where something is wrong, its first inputs, its mutations.

Importing this imports the proxy: the fuzzer instruments it on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

import attrs

from fuzz.mutate import Havoc, mutated_octets, mutated_script, random_answer, random_request
from fuzz.parsers import check_request, check_response
from fuzz.script import random_script
from fuzz.world import check_world


@attrs.frozen
class Target:
    """Something that takes octets."""

    check: Callable[[bytes], None]
    make: Callable[[Random], bytes]
    """Makes an input of the grammar."""
    mutate: Callable[[bytes, int, Random, Havoc], bytes]
    """Changes an input; gives at most so many octets."""


def _peer(make: Callable[[Random], bytes], random: Random) -> bytes:
    return random.randbytes(1) + b"".join(make(random) for _ in range(random.choice((1, 1, 2))))


def _script(random: Random) -> bytes:
    return random_script(random).encoded()


def _mutate_peer(make: Callable[[Random], bytes], octets: bytes, most: int, random: Random, havoc: Havoc) -> bytes:
    if not octets or random.randrange(20) == 0:
        return (random.randbytes(1) + octets[1:])[:most]
    return (octets[:1] + mutated_octets(octets[1:], most - 1, random, havoc, make))[:most]


TARGETS: Final = {
    "request": Target(check_request, partial(_peer, random_request), partial(_mutate_peer, random_request)),
    "response": Target(check_response, partial(_peer, random_answer), partial(_mutate_peer, random_answer)),
    "proxy": Target(check_world, _script, mutated_script),
}
