"""Which server gets the next request."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from revproxy.upstream.peer import PeerState


class RoundRobin:
    """Smooth weighted round robin: of weights 5, 1, 1 the heavy one is never chosen five times in a row.

    Servers that were set aside get nothing while another is there; when all are, the one whose time ends first is
    tried, since an attempt that may fail is better than a failure for certain.
    """

    def __init__(self, states: Sequence[PeerState]) -> None:
        self._states = tuple(states)
        self._only = self._states[0] if len(self._states) == 1 else None

    def choose(self, tried: Collection[PeerState]) -> PeerState | None:
        """The next server, none of ``tried``; None when all were tried."""
        only = self._only
        if only is not None:
            return only if only not in tried else None
        best: PeerState | None = None
        total = 0
        for state in self._states:
            if state.failures or state in tried:
                continue
            state.current_weight += state.weight
            total += state.weight
            if best is None or state.current_weight > best.current_weight:
                best = state
        if best is not None:
            best.current_weight -= total
            return best
        aside = [state for state in self._states if state not in tried]
        return min(aside, key=lambda state: state.aside_until) if aside else None

    def preview(self, tried: Collection[PeerState]) -> PeerState | None:
        """What ``choose`` would give. Nothing moves on by asking."""
        weights = [state.current_weight for state in self._states]
        chosen = self.choose(tried)
        for state, weight in zip(self._states, weights, strict=True):
            state.current_weight = weight
        return chosen
