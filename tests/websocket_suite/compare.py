"""The conformance cases against a server, directly and through the proxy, compared case by case.

kosoku plays the client of each case and judges the server. What matters here is not its judgement but that the proxy
changes nothing of it: the server fails some cases by itself.

In some cases a bad frame follows a good message, and the case allows both that the message is answered (OK) and that it
is not (NON-STRICT): the server decides by whether it reads them in one piece, which TCP promises to nobody, with or
without a proxy. There either counts as the same. A case that still differs is asked again before it counts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import attrs
from kosoku import FailureError, run_fuzzingclient

REPEATS = 5
"""Times that a case is asked again on both ways when its outcomes differ."""


@attrs.frozen
class Outcome:
    """What one case came to."""

    behavior: str = attrs.field(eq=False)
    """kosoku's verdict on the messages: OK, NON-STRICT, INFORMATIONAL, UNIMPLEMENTED, FAILED or ERROR."""
    behavior_close: str
    """Its verdict on the closing handshake."""
    close_code: int | None
    """What the server closed with."""
    close_reason: str | None
    was_clean: bool
    """Whether the closing handshake was complete and the server dropped the connection."""
    extensions: str
    """What was negotiated."""
    received: str = attrs.field(eq=False)
    """A digest of all messages, pings and pongs that came back."""
    allowed: tuple[str, ...]
    """The verdicts that the case has a place for, where there are several and this is one of them."""
    exchanged: tuple[str, ...] = attrs.field(init=False)
    """What is compared of the messages."""
    explanation: str = attrs.field(eq=False)

    @exchanged.default
    def _exchanged(self) -> tuple[str, ...]:
        return self.allowed or (self.behavior, self.received)

    @property
    def ran(self) -> bool:
        """Whether there was a conversation at all."""
        return self.behavior not in ("ERROR", "UNIMPLEMENTED")

    def __str__(self) -> str:
        close = f"{self.behavior_close} {self.close_code} {self.close_reason or ''}".strip()
        return f"{self.behavior} | {close} | clean: {self.was_clean} | received: {self.received} | {self.explanation}"


@attrs.frozen
class Difference:
    """A case whose outcomes have nothing in common."""

    case: str
    direct: frozenset[Outcome]
    proxied: frozenset[Outcome]


def _allowed(expected: dict[str, object] | None, behavior: str) -> tuple[str, ...]:
    verdicts = tuple(sorted(expected or {}))
    return verdicts if len(verdicts) > 1 and behavior in verdicts else ()


def _extensions(response: str) -> str:
    match = re.search(r"^sec-websocket-extensions:\s*(.*?)\s*$", response, re.IGNORECASE | re.MULTILINE)
    return match[1] if match else ""


async def outcomes(url: str, cases: Sequence[str], *, without: Sequence[str] = (), at_once: int = 1) -> dict[str, Outcome]:
    """What the cases (ids, or globs; none: all of them) come to at a ``ws://`` URL, by their ids."""
    try:
        results = await run_fuzzingclient(url, list(cases) or None, list(without) or None, concurrency=at_once)
    except FailureError as failure:
        results = failure.results
    return {
        result.case_id: Outcome(
            behavior=result.behavior.value,
            behavior_close=result.behavior_close.value,
            close_code=result.remote_close_code,
            close_reason=result.remote_close_reason,
            was_clean=result.was_clean,
            extensions=_extensions(result.http_response),
            received=hashlib.sha256(repr(result.received).encode("utf-8", "backslashreplace")).hexdigest()[:12],
            allowed=_allowed(result.expected, result.behavior.value),
            explanation=result.result,
        )
        for result in results
    }


async def differences(
    direct_url: str, proxied_url: str, direct: dict[str, Outcome], proxied: dict[str, Outcome]
) -> tuple[list[Difference], list[str]]:
    """The cases that differ, and those that differed at first, by chance of the server's own."""
    found: list[Difference] = []
    wavering: list[str] = []
    for case in sorted(direct.keys() | proxied.keys(), key=lambda case: [int(part) for part in case.split(".")]):
        one = {direct[case]} if case in direct else set()
        other = {proxied[case]} if case in proxied else set()
        if one == other:
            continue
        for _ in range(REPEATS):
            if other <= one:
                break
            one |= set((await outcomes(direct_url, [case])).values())
            other |= set((await outcomes(proxied_url, [case])).values())
        # Something that only the proxy brings about is a difference, even where it does not always.
        if other <= one:
            wavering.append(case)
        else:
            found.append(Difference(case, frozenset(one), frozenset(other)))
    return found, wavering
