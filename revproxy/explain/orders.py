"""What a worker explains of itself: a request that somebody asks about, one that happened, and what a purge removes."""

from __future__ import annotations

import time
from typing import Any

from revproxy.explain.purge import group_of, octets_of, url_of
from revproxy.explain.question import asked
from revproxy.explain.recorded import explain_recorded
from revproxy.explain.steps import Places
from revproxy.explain.walk import Running, Walk, url_in
from revproxy.interfaces import Selection
from revproxy.service.link import Refused
from revproxy.service.origin import Origin
from revproxy.service.worker import Worker


class Explaining:
    """The orders ``explain``, ``retrace`` and ``purge``.

    :param origin: where the configuration comes from; the lines are those of the text that is in force.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def plug(self, worker: Worker) -> None:
        """Has a worker know them."""
        worker.orders.update(explain=self._explain, retrace=self._retrace, purge=_purge)

    def _places(self, worker: Worker) -> Places:
        file, source = self._origin.file, worker.source
        if file is None:
            return Places()
        text = source.decode("utf-8-sig", "replace") if source is not None and not file.endswith(".py") else None
        return Places(file, text)

    def _explain(self, worker: Worker, arguments: dict[str, Any]) -> dict[str, Any]:
        """{"method", "url", "headers", "client"} → the way that such a request would take now."""
        running = _running(worker)
        try:
            question = asked(
                str(arguments.get("method") or "GET"),
                str(arguments["url"]),
                tuple(map(str, arguments.get("headers") or ())),
                str(arguments.get("client") or "192.0.2.1"),
            )
        except ValueError as mistake:
            raise Refused(str(mistake)) from None
        walk = Walk(running.generation.config, self._places(worker), question, time.time(), running=running)
        return walk.explain().json

    def _retrace(self, worker: Worker, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """{"id"} → what happened to a request; null where it is not known here."""
        worker.recorder.flush(worker.sweep.now())
        transaction = worker.recorder.ring.find(str(arguments["id"]).encode("utf-8", "replace"))
        if transaction is None:
            return None
        running = _running(worker)
        return explain_recorded(transaction, running.generation.config, self._places(worker), running).json


def _running(worker: Worker) -> Running:
    if worker.generation is None:
        raise Refused("it has not begun to serve")
    admissions = {acceptor.options.address: acceptor.frontend.admission for acceptor in worker.acceptors}
    return Running(worker.generation, worker.store.store, worker.certificates, admissions)


def _purge(worker: Worker, arguments: dict[str, Any]) -> Any:
    """One of {"url", "prefix", "host", "tag", "group", "everything"} → how many responses were removed; null where
    nothing is stored."""
    store = worker.store.store
    if store is None:
        return None
    try:
        selection = _selected(worker, arguments)
    except ValueError as mistake:
        raise Refused(str(mistake)) from None
    return store.purge(selection)


def _selected(worker: Worker, arguments: dict[str, Any]) -> Selection:
    if arguments.get("everything"):
        return Selection(everything=True)
    for name in ("tag", "host", "prefix", "group", "url"):
        text = arguments.get(name)
        if not text:
            continue
        if name == "tag":
            return Selection(tag=octets_of(text))
        if name == "host":
            return Selection(host=octets_of(text).lower().rstrip(b"."))
        if name == "prefix":
            return Selection(prefix=url_of(text))
        if name == "group":
            return Selection(group=group_of(*text.partition(" ")[::2]))
        url = url_of(text)
        assert worker.generation is not None
        return Selection(url=url_in(worker.generation, text) or url)
    raise ValueError("nothing is named")
