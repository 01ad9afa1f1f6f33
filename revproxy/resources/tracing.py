"""Steps in traces, as one process takes them."""

from __future__ import annotations

import os

from revproxy.http.facts import RequestFacts
from revproxy.http.trace_context import RANDOM, TraceParent, next_step, share_below


class TraceContext:
    """How traces go on from here.

    :param one_in: of the traces that begin here, and of those that an untrusted client wants recorded, one in so many
        is; 0 for none.
    """

    __slots__ = ("_below",)

    def __init__(self, one_in: int) -> None:
        self._below = share_below(one_in)

    def next(self, facts: RequestFacts, *, trusted: bool) -> TraceParent:
        """What the server behind is told about a request with these facts."""
        return next_step(facts, os.urandom(RANDOM), self._below, trusted=trusted)
