"""Which server would be asked, and why the others not."""

from __future__ import annotations

from revproxy.config.mistakes import Path
from revproxy.config.model import Config
from revproxy.config.units import format_duration
from revproxy.explain.steps import Steps
from revproxy.upstream.group import UpstreamGroup
from revproxy.upstream.outlook import Outlook, PeerOutlook, outlook
from revproxy.upstream.peer import PeerState
from revproxy.upstream.pool import Pool

RouteNumbers = tuple[int, int]


def upstream_path(config: Config, numbers: RouteNumbers, name: str = "") -> Path:
    """A key of the upstream that a route's requests go to; the route's own line where it names a single server."""
    site, own = numbers
    proxy = config.sites[site].routes[own].proxy or ""
    if any(options.name == proxy for options in config.upstreams):
        return ("upstream", proxy, name) if name else ("upstream", proxy)
    return "site", site, "route", own, "proxy"


def explain_peers(steps: Steps, config: Config, numbers: RouteNumbers, group: UpstreamGroup, *, running: bool) -> None:
    """What the upstream would do with one more request. ``running``: its servers are as they are now; else nothing is
    known of them but what is written."""
    pool = group.pool
    look = outlook(pool)
    if not running:
        _explain_unknown(steps, config, numbers, pool, look)
        return
    for peer in sorted(look.peers, key=lambda peer: not peer.standing.startswith("chosen")):
        text, key = _standing(pool, peer, look)
        steps.add("peer", f"{_name(peer.state)}: {text}", _path(config, numbers, pool, peer.state, key))
    if look.is_queued:
        text = f"waits for a connection: {pool.waiting} wait already, up to {pool.options.queue} may"
        text += f", each for {format_duration(pool.options.queue_timeout)}"
        steps.add("peer", text, upstream_path(config, numbers, "queue"))
    elif look.is_refused:
        full = any("full" in peer.standing for peer in look.peers)
        text = (
            f"answered with 503: {pool.waiting} requests wait already" if full else "answered with 503: no server is up"
        )
        steps.add("peer", text, upstream_path(config, numbers, "queue" if full else "servers"), "RFC 9110 §15.6.4")


def _explain_unknown(steps: Steps, config: Config, numbers: RouteNumbers, pool: Pool, look: Outlook) -> None:
    total = sum(state.weight for state in pool.states)
    if len(pool.states) == 1:
        state = pool.states[0]
        steps.add("peer", f"{_name(state)}: the only server", _path(config, numbers, pool, state, "servers"))
        return
    for state in pool.states:
        first = "; the first request of all would go here" if state is look.chosen else ""
        text = f"{_name(state)}: gets {state.weight} of {total} requests while it is up{first}"
        steps.add("peer", text, _path(config, numbers, pool, state, "servers"))
    steps.add("peer", "how the servers fare now only the running proxy knows: leave --config out to ask it")


def _standing(pool: Pool, peer: PeerOutlook, look: Outlook) -> tuple[str, str]:
    """Why a server is asked or not, and the setting that this rests on."""
    state, standing = peer.state, peer.standing
    aside = ""
    if state.failures:
        seconds = max(0.0, state.aside_until - pool.now())
        aside = f"set aside for another {seconds:.1f} s: {_connects(state.failures)} failed"
    if standing == "chosen, kept":
        return f"is asked, on one of {len(state.idle)} kept-alive connections", "servers"
    if standing == "chosen, new":
        if aside:
            only = "it is the only server" if len(pool.states) == 1 else "no other is left"
            return f"is asked all the same, since {only}; {aside}", "set_aside"
        why = "the only server" if len(pool.states) == 1 else f"it is its turn (weight {state.weight})"
        return f"is asked, on a new connection: {why}", "servers"
    if standing == "down":
        return "not asked: an operator marked it down", "servers"
    if standing == "aside":
        return f"not asked: {aside}", "set_aside"
    if standing == "full":
        most = pool.options.connections_per_server
        return f"not asked: full, {state.open} of {most} connections", "connections_per_server"
    if standing == "all full":
        return f"not asked: {pool.open} of {pool.options.connections} connections of the upstream", "connections"
    return f"not asked: another server's turn (weight {state.weight})", "servers"


def _path(config: Config, numbers: RouteNumbers, pool: Pool, state: PeerState, key: str) -> Path:
    path = upstream_path(config, numbers, key)
    return (*path, pool.states.index(state)) if path[-1] == "servers" else path


def _connects(number: int) -> str:
    return "the last connect" if number == 1 else f"the last {number} connects"


def _name(state: PeerState) -> str:
    return state.name.decode("utf-8", "replace")
