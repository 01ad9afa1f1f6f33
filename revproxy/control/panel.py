"""What ``revproxy top`` shows, as lines: pure, so that any width and height can be tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs

from revproxy.control.paint import Column, Line, Look, Span, bars, flow, table
from revproxy.control.words import age, cache_word, clock, number, octets, share, taken, width_of

FEW_DAYS: Final = 14
"""Days that a certificate has left when it is spoken of."""
SILENT: Final = 5.0
"""Seconds without a beat after which a worker is said to be silent."""
SLOW: Final = 1.0
"""Seconds from which a request is marked."""
LEAST_REQUESTS: Final = 4
"""Lines that the requests get however much else there is."""
KEYS: Final = "q quit   p pause   s slowest   e failed ones   space now"

_KINDS: Final = {
    "serving": "good",
    "starting": "info",
    "draining": "warn",
    "upgrading": "info",
    "up": "good",
    "aside": "warn",
    "down": "bad",
}


@attrs.frozen
class Sample:
    """What the proxy said at one moment."""

    status: dict[str, Any]
    figures: dict[str, Any]
    requests: list[dict[str, Any]]
    cpu: dict[int, float] = attrs.Factory(dict)
    """Seconds of CPU per second, by pid; those that were seen twice."""


@attrs.define
class View:
    """What is looked at, and how."""

    sample: Sample | None = None
    trouble: str = ""
    """Why there is nothing newer; empty while all is well."""
    paused: bool = False
    slowest: bool = False
    failed: bool = False


def screen(view: View, look: Look, width: int, height: int | None = None) -> list[Line]:
    """The lines, no more than ``height``; without one, all that there is to say, and no keys."""
    sample = view.sample
    lines: list[Line] = []
    if view.trouble:
        lines.append([(look.text(view.trouble), "alarm")])
    if sample is None:
        return lines[:height]
    lines += header(sample, look, width)
    if height is None:
        parts = [workers(sample, look, width), servers(sample, look, width), requests(view, sample, look, width)]
        for part in parts:
            lines += [[], *part]
        return lines
    room = height - len(lines) - 1
    least = LEAST_REQUESTS + 1
    for part in (workers(sample, look, width), servers(sample, look, width)):
        part = shortened(part, min(room - least, max(5, (room - least) // 2)) - 1)
        if part:
            lines += [[], *part]
            room -= 1 + len(part)
    if room > 3:
        lines += [[], *requests(view, sample, look, width)[: room - 1]]
    lines = lines[: height - 1]
    lines += [[]] * (height - 1 - len(lines))
    return [*lines, foot(view)][-height:]


def foot(view: View) -> Line:
    """The last line."""
    return [("paused   ", "warn"), (KEYS, "quiet")] if view.paused else [(KEYS, "quiet")]


def shortened(lines: Sequence[Line], most: int) -> list[Line]:
    """The lines, or as many as have room and how many more there are."""
    if len(lines) <= most:
        return list(lines)
    if most < 3:
        return []
    return [*lines[: most - 1], [(f"{len(lines) - most + 1} more", "quiet")]]


# The parts.


def header(sample: Sample, look: Look, width: int) -> list[Line]:
    """State, rates, times, cache, connections, and what wants to be looked at."""
    status, now = sample.status, sample.figures.get("now") or {}
    config, totals = status.get("config") or {}, status.get("totals") or {}
    state = str(status.get("state", ""))
    if state == "serving" and not status.get("ready", True):
        state = "not ready"
    file = config.get("file")
    where = look.text(str(file).rpartition("/")[2]) if file else "from the command line"
    number_of = config.get("generation") or 0
    pieces: list[list[Span]] = [
        [(look.text(state), _KINDS.get(state, "warn"))],
        [(f"up {age(status.get('uptime'))}", "")],
        [(where + (f" no. {number_of}" if number_of > 1 else ""), "")],
        [(f"{look.text(status.get('version', ''))}, pid {status.get('pid', '')}", "quiet")],
        [(clock(now.get("at") or 0), "quiet")] if now.get("at") else [],
    ]
    lines: list[list[Span]] = flow("revproxy", filter(None, pieces), width)
    lines += rates(sample, look, width)
    times = [[(f"{name} ", "quiet"), (taken(now.get(name)), "")] for name in ("p50", "p90", "p99")]
    lines += flow("Times", times, width)
    asked = now.get("cache_requests")
    cache = status.get("cache")
    pieces = [[(f"{share(now.get('hits'), asked)} hits", ""), (f" of {number(asked)}/s", "quiet")]]
    if cache:
        pieces.append([(f"{counted_entries(cache)}, {octets(cache.get('octets'))}", "quiet")])
    lines += flow("Cache", pieces, width)
    pieces = [
        [(number(now.get("connections")), ""), (" open", "quiet")],
        [(number(now.get("in_flight")), ""), (" in flight", "quiet")],
        [(number(totals.get("tunnels")), ""), (" tunnels", "quiet")],
        [("sent ", "quiet"), (f"{octets(now.get('sent'))}/s", "")],
        [("received ", "quiet"), (f"{octets(now.get('received'))}/s", "")],
    ]
    lines += flow("Clients", pieces, width)
    return [*lines, *warnings(sample, look)]


def counted_entries(cache: dict[str, Any]) -> str:
    """``1 entry``, ``2 entries``."""
    entries = cache.get("entries") or 0
    return f"{number(entries)} {'entry' if entries == 1 else 'entries'}"


def rates(sample: Sample, look: Look, width: int) -> list[list[Span]]:
    """Requests a second, by class, and their course in bars."""
    now = sample.figures.get("now") or {}
    rate = now.get("rate")
    by_class = now.get("by_class") or {}
    pieces: list[list[Span]] = [[(f"{number(rate)}/s", "strong")]]
    for name, role in (("2xx", "good"), ("3xx", "info"), ("4xx", "warn"), ("5xx", "bad")):
        value = by_class.get(name)
        piece = [(f"{name} ", "quiet"), (number(value), role if value else "")]
        if name == "5xx" and value and rate:
            piece.append((f" ({share(value, rate)})", role))
        pieces.append(piece)
    lines = flow("Requests", pieces, width)
    room = width - sum(width_of(text) for text, _ in lines[-1]) - 2
    course = [point.get("rate") for point in sample.figures.get("history") or []]
    if len(lines) == 1 and room >= 10:
        lines[0] += [("  ", ""), (bars(course, min(60, room), look), "quiet")]
    return lines


def warnings(sample: Sample, look: Look) -> list[Line]:
    """Certificates that end soon, and a reload that failed."""
    lines: list[Line] = []
    for one in sample.status.get("certificates") or []:
        days = one.get("days_left")
        if days is None or days >= FEW_DAYS:
            continue
        names = look.text(", ".join(one.get("names") or ["?"]))
        if days < 0:
            text = f"certificate of {names}: over since {age(-days * 86_400)}"
        else:
            left = age(days * 86_400) if days < 2 else f"{math.floor(days)} days"
            text = f"certificate of {names}: {left} left"
        lines.append([(text, "bad" if days < FEW_DAYS / 4 else "warn")])
    reload = (sample.status.get("config") or {}).get("last_reload")
    if reload and not reload.get("ok"):
        reasons = look.text(str(reload.get("text")).replace("\n", "; "))
        lines.append([(f"the last reload failed at {clock(reload.get('at'))}: {reasons}", "bad")])
    return lines


def workers(sample: Sample, look: Look, width: int) -> list[Line]:
    """A line for each process."""
    status = sample.status
    now = (status.get("started") or 0) + (status.get("uptime") or 0)
    columns = (
        Column("WORKER", right=True),
        Column("PID", 5, right=True),
        Column("STATE"),
        Column("IN FLIGHT", 1, right=True),
        Column("CONNECTIONS", 2, right=True),
        Column("REQUESTS", 4, right=True),
        Column("MEMORY", 3, right=True),
        Column("CPU", 0, right=True),
        Column("RESTARTS", 7, right=True),
        Column("UP", 6, right=True),
    )
    rows: list[list[Span]] = []
    for one in status.get("workers") or []:
        state = str(one.get("state", ""))
        role = _KINDS.get(state, "")
        beat = one.get("beat_age") or 0
        if beat > SILENT:
            state, role = f"silent for {age(beat)}", "bad"
        cpu = sample.cpu.get(one.get("pid") or 0)
        # Seen once, there is no rate yet.
        used = taken(one.get("cpu")) if cpu is None else f"{100 * cpu:.0f} %"
        restarts = one.get("restarts") or 0
        rows.append(
            [
                (str(one.get("number", "")), "strong"),
                (str(one.get("pid", "")), "quiet"),
                (look.text(state), role),
                (number(one.get("in_flight")), ""),
                (number(one.get("connections")), ""),
                (number(one.get("requests")), ""),
                (octets(one.get("memory")), ""),
                (used, "warn" if (cpu or 0) > 0.9 else ""),
                (number(restarts), "warn" if restarts else "quiet"),
                (age(now - one.get("started", now)), "quiet"),
            ]
        )
    return [*table(columns, rows, width, look)] if rows else []


def servers(sample: Sample, look: Look, width: int) -> list[Line]:
    """A line for each server of each upstream; those that are not up come first, so that they are seen."""
    columns = (
        Column("UPSTREAM", 1, least=8, grows=True),
        Column("SERVER", least=30, grows=True),
        Column("STATE"),
        Column("OPEN", 2, right=True),
        Column("IDLE", 4, right=True),
        Column("FAILURES", 3, right=True),
        Column("WEIGHT", 6, right=True),
        Column("WAITING", 5, right=True),
    )
    rows: list[tuple[bool, list[Span]]] = []
    for upstream in status_upstreams(sample):
        queued = upstream.get("queued") or 0
        for server in upstream.get("servers") or []:
            state = str(server.get("state", ""))
            wait = server.get("aside_for") or 0
            failures = server.get("failures") or 0
            said = f"{state} for {age(wait + 0.99)}" if state == "aside" and wait > 0 else state
            row: list[Span] = [
                (look.text(upstream.get("name", "")), "strong"),
                (look.text(server.get("name", "")), ""),
                (look.text(said), _KINDS.get(state, "")),
                (number(server.get("open")), ""),
                (number(server.get("idle")), ""),
                (number(failures), "warn" if failures else "quiet"),
                (number(server.get("weight")), "quiet"),
                (number(queued), "warn" if queued else "quiet"),
            ]
            rows.append((state == "up", row))
    rows.sort(key=lambda one: one[0])
    return [*table(columns, [row for _, row in rows], width, look)] if rows else []


def status_upstreams(sample: Sample) -> list[dict[str, Any]]:
    """The upstreams of the status."""
    return list(sample.status.get("upstreams") or [])


def requests(view: View, sample: Sample, look: Look, width: int) -> list[Line]:
    """The newest requests, or those that took longest."""
    found = sample.requests
    if view.slowest:
        found = sorted(found, key=lambda one: one.get("total") or 0, reverse=True)
    what = ("slowest" if view.slowest else "newest") + (" failed" if view.failed else "")
    columns = (
        Column("TIME", 4),
        Column("STATUS"),
        Column("METHOD", 3, least=6, grows=True),
        Column(f"REQUEST ({what})", least=28, grows=True, fills=True),
        Column("TOOK", right=True, least=7),
        Column("SENT", 6, right=True, least=8),
        Column("CACHE", 5, least=9),
        Column("SERVER", 8, least=14),
        Column("CLIENT", 7, least=15),
    )
    if not found:
        return [[("No failed requests." if view.failed else "No requests yet.", "quiet")]]
    return [*table(columns, [request(one, look) for one in found], width, look)]


def request(one: dict[str, Any], look: Look) -> list[Span]:
    """One request's cells."""
    status = one.get("status") or 0
    total = one.get("total")
    target = f"{one.get('host') or ''}{one.get('target') or ''}" or f"({one.get('reason') or '-'})"
    return [
        (clock(one.get("time")), "quiet"),
        (str(status or "-"), status_role(status)),
        (look.text(str(one.get("method") or "-")[:40]), ""),
        (look.text(target[:400]), ""),
        (taken(total), "warn" if (total or 0) > SLOW else ""),
        (octets(one.get("sent")), ""),
        (look.text(cache_word(one.get("cache"))), "quiet"),
        (look.text(one.get("upstream") or "-"), "quiet"),
        (look.text(one.get("client") or "-"), "quiet"),
    ]


def status_role(status: int) -> str:
    """How a status is coloured; a request without one got no answer."""
    return {1: "quiet", 2: "good", 3: "info", 4: "warn"}.get(status // 100, "bad")
