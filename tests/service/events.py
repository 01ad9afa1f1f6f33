"""Events as loggers make them, and a sink that keeps what it is given."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure

from revproxy.service.event_records import Record, record_of


class Kept:
    """A sink in memory; ``fault`` is raised instead of writing."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.fault: OSError | None = None
        self.note = ""
        self.reopened = 0

    @property
    def messages(self) -> list[str]:
        return [record.message for record in self.records]

    def write(self, record: Record) -> None:
        if self.fault is not None:
            raise self.fault
        self.records.append(record)

    def reopen(self) -> None:
        self.reopened += 1

    def give_to(self, uid: int, gid: int) -> None: ...

    def close(self) -> None: ...


def logger(observer: Any, namespace: str = "revproxy.upstream.pool") -> Logger:
    """A logger whose events go to one observer."""
    publisher = LogPublisher()
    publisher.addObserver(observer)
    return Logger(namespace, observer=publisher)


def event_of(level: str, template: str, namespace: str = "revproxy.upstream.pool", **values: Any) -> dict[str, Any]:
    """What a logger makes of its arguments."""
    events: list[dict[str, Any]] = []
    getattr(logger(events.append, namespace), level)(template, **values)
    (event,) = events
    return event


def record(level: str, template: str, namespace: str = "revproxy.upstream.pool", **values: Any) -> Record:
    """The record of such an event."""
    made = record_of(event_of(level, template, namespace, **values), "proxy")
    assert made is not None
    return made


def failure_of(error: Exception) -> Failure:
    """A failure with a traceback."""
    try:
        raise error
    except Exception:  # noqa: BLE001  # whatever the test gives
        return Failure()
