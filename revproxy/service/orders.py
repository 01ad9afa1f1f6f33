"""What the master asks of each worker: its state, its requests, a server marked up or down.

Each is called with the worker and the order's arguments, and gives a JSON value. Other floors plug more of them in
(``Worker.orders``).
"""

from __future__ import annotations

import os
import resource
from typing import Any, Final

import attrs

from revproxy.observe.shown import filter_of, shown
from revproxy.service import event_log
from revproxy.service.tail import Tail
from revproxy.service.worker import Worker

MOST_REQUESTS: Final = 1000


def plug(worker: Worker) -> None:
    """Has a worker know all of these."""
    tail = Tail(worker.number, worker.sweep.now, lambda kind, value: worker.push(kind, value))
    worker.recorder.on_batch.append(tail.look)
    worker.orders.update(
        status=_status,
        touched=_touched,
        reopen=_reopen,
        aside=_aside,
        report=_report,
        requests=_requests,
        request=_request,
        peers=_peers,
        tail=lambda worker, arguments: tail.obey(arguments),
    )


def _status(worker: Worker, arguments: dict[str, Any]) -> dict[str, Any]:
    """What this worker knows of the state of things."""
    generation = worker.generation
    used = os.times()
    return {
        "pid": os.getpid(),
        "sums": attrs.asdict(worker.sums()),
        "memory": _resident(),
        "descriptors": _descriptors(),
        "most_descriptors": _most_descriptors(),
        "cpu": round(used.user + used.system, 2),
        "listeners": [
            {"address": acceptor.shown, "tls": acceptor.options.tls, "connections": acceptor.frontend.admission.count}
            for acceptor in worker.acceptors
        ],
        "upstreams": [group.snapshot() for group in generation.upstreams.values()] if generation is not None else [],
        "certificates": [
            {"names": list(each.names), "source": each.source, "not_after": each.not_after}
            for each in (worker.certificates.all if worker.certificates is not None else ())
        ],
        "cache": worker.store.figures(),
    }


def _touched(worker: Worker, arguments: dict[str, Any]) -> dict[str, Any]:
    """How many connections belong to what: listeners by address, upstreams by name, routes by host and path."""
    routes: dict[str, int] = {}
    for channel in worker.channels:
        if channel.request is not None:
            labels = channel.request.transaction.labels
            name = f"{labels.site}{labels.route}"
            routes[name] = routes.get(name, 0) + 1
    generation = worker.generation
    upstreams = {name: group.pool.open for name, group in generation.upstreams.items()} if generation else {}
    listeners = {acceptor.options.address: len(acceptor.frontend.channels) for acceptor in worker.acceptors}
    return {"listeners": listeners, "upstreams": upstreams, "routes": routes}


def _reopen(worker: Worker, arguments: dict[str, Any]) -> None:
    event_log.reopen()
    worker.reopen_log()


def _aside(worker: Worker, arguments: dict[str, Any]) -> None:
    """Another worker found that a server can't be reached, or that it can be again."""
    group = worker.generation.upstreams.get(arguments["upstream"]) if worker.generation is not None else None
    if group is not None:
        group.told_aside(arguments["server"].encode("latin-1"), arguments["until"])


def _report(worker: Worker, arguments: dict[str, Any]) -> None:
    """Tells what was counted, now."""
    worker.recorder.report(worker.sweep.now())


def _requests(worker: Worker, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The last requests that a filter takes, the newest first."""
    worker.recorder.flush(worker.sweep.now())
    wanted = filter_of(arguments.get("filters") or {})
    if wanted.worker is not None and wanted.worker != worker.number:
        return []
    most = min(int(arguments.get("limit", 100)), MOST_REQUESTS)
    found: list[dict[str, Any]] = []
    for transaction in worker.recorder.ring.newest():
        if len(found) >= most:
            break
        if wanted.takes(transaction):
            found.append(shown(transaction, worker.number))
    return found


def _request(worker: Worker, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """One request, by its id."""
    worker.recorder.flush(worker.sweep.now())
    transaction = worker.recorder.ring.find(str(arguments["id"]).encode("utf-8", "replace"))
    return shown(transaction, worker.number) if transaction is not None else None


def _peers(worker: Worker, arguments: dict[str, Any]) -> bool:
    """Marks a server down, or no longer; whether there is such a server."""
    group = worker.generation.upstreams.get(arguments["upstream"]) if worker.generation is not None else None
    if group is None:
        return False
    try:
        group.mark(arguments["server"], arguments["state"] == "down")
    except KeyError:
        return False
    return True


def _descriptors() -> int:
    """How many descriptors the process has open; 0 where the system does not tell."""
    try:
        # Newer kernels tell by the size, which costs the same however many there are.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def _most_descriptors() -> int:
    """How many it may have open; 0 where there is no end."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 0


def _resident() -> int:
    """The octets of memory that the process has in use; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
