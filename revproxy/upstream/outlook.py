"""What would become of a request that asked a pool for a connection now, and why each server would or would not get it.

Nothing changes by looking: ``Pool.place`` does it, and a test holds the two together.
"""

from __future__ import annotations

from typing import Literal

import attrs

from revproxy.upstream.peer import PeerState
from revproxy.upstream.pool import Pool

Standing = Literal["chosen, kept", "chosen, new", "down", "aside", "full", "all full", "later"]


@attrs.frozen
class PeerOutlook:
    """How one server stands."""

    state: PeerState
    standing: Standing
    """Chosen with a kept-alive connection or a new one; marked down; set aside; full; the whole upstream is full; or a
    later turn's."""


@attrs.frozen
class Outlook:
    """All servers, and what happens where none has room."""

    peers: tuple[PeerOutlook, ...]
    is_queued: bool = False
    """Whether the request would wait."""
    is_refused: bool = False
    """Whether it would be refused, as the queue is full or there is no server."""

    @property
    def chosen(self) -> PeerState | None:
        """The server that would be asked."""
        for peer in self.peers:
            if peer.standing.startswith("chosen"):
                return peer.state
        return None


def outlook(pool: Pool) -> Outlook:
    """For the next request, whatever it is."""
    full: dict[PeerState, Standing] = {}
    standing: dict[PeerState, Standing] = {}
    chosen = pool.balance.preview(())
    while chosen is not None:
        if chosen.idle:
            standing[chosen] = "chosen, kept"
            break
        shortage = _shortage(pool, chosen)
        if shortage is None:
            standing[chosen] = "chosen, new"
            break
        full[chosen] = shortage
        chosen = pool.balance.preview(list(full))
    peers = []
    for state in pool.states:
        if state in standing:
            how = standing[state]
        elif state.down:
            how = "down"
        elif state in full:
            how = full[state]
        else:
            how = "aside" if state.failures else "later"
        peers.append(PeerOutlook(state, how))
    waits = chosen is None and bool(full)
    is_queue_full = pool.waiting >= pool.options.queue
    return Outlook(tuple(peers), waits and not is_queue_full, chosen is None and (not full or is_queue_full))


def _shortage(pool: Pool, state: PeerState) -> Standing | None:
    """Why no connection may be opened to a server; None where one may."""
    if state.open >= pool.options.connections_per_server:
        return "full"
    if pool.open < pool.options.connections or any(other.idle for other in pool.states if other is not state):
        return None
    return "all full"
