"""What the processes say of themselves, through ``twisted.logger``: start, stop, servers that fail, mistakes.

Theory of operation. ``twistd`` asks the application for an observer before it chooses one of its own; ``EventLog`` is
that observer, and every event of the process comes here: ours, Twisted's, and what any resource prints. Each becomes a
record (``event_records``); unimportant ones go no further; repeated ones are counted (``repeats``); the rest is written
to one sink. Nothing here raises and nothing waits. What can't be written is counted, which is said once on standard
error and again in the log as soon as it can be written.

A worker inherits the observer and its sink from the master by fork, and only changes its name (``set_process``).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs
from twisted.logger import ILogObserver
from zope.interface import implementer

from revproxy.config.model import Log
from revproxy.errors import ConfigError
from revproxy.service import journal
from revproxy.service.event_lines import (
    coloured_line,
    human_line,
    json_line,
    json_text,
    message_text,
    wants_colours,
)
from revproxy.service.event_records import Record, harmless, record_of
from revproxy.service.event_sinks import TWISTD_ROTATES_AT, Descriptor, LogFile, Sink, Syslog
from revproxy.service.repeats import Repeats

OUTPUT: Final = 1
"""Standard output's descriptor."""
COMPLAINTS: Final = 2
"""Standard error's."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls something in so many seconds; may be called from any thread."""


@implementer(ILogObserver)
class EventLog:
    """Observes all events of a process.

    :param level: the least important level that is written.
    :param later: how the count of what was repeated is said in time; None: with the next event.
    """

    def __init__(
        self,
        sink: Sink,
        level: str = "info",
        *,
        process: str = "proxy",
        later: Later | None = None,
        now: Callable[[], float] = time.monotonic,
        repeats: Repeats | None = None,
    ) -> None:
        self.level = level
        self.process = process
        self.lost = 0
        """Records that could not be written and were not yet told of."""
        self._sink = sink
        self._later = later
        self._now = now
        self._repeats = repeats if repeats is not None else Repeats()
        self._is_due = False
        self._has_complained = False
        # Threads log as well.
        self._lock = threading.RLock()

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes an event."""
        # Formatting runs anybody's code, which may log.
        record = record_of(event, self.process, tracebacks=self.level == "debug")
        if record is None or not record.is_at_least(self.level):
            return
        with self._lock:
            self._write_all(self._repeats.take(record, self._now()))
            self._have_counts_said()

    def _have_counts_said(self) -> None:
        due = self._repeats.next_due()
        if due is not None and self._later is not None and not self._is_due:
            self._is_due = True
            self._later(max(due - self._now(), 0.0), self._say_counts)

    def _say_counts(self) -> None:
        with self._lock:
            self._is_due = False
            self._write_all(self._repeats.due(self._now()))
            self._have_counts_said()

    def flush(self) -> None:
        """Says what was held back: the process ends."""
        with self._lock:
            self._write_all(self._repeats.rest(self._now()))

    def reopen(self) -> None:
        """The file was moved away: begins a new one."""
        with self._lock:
            try:
                self._sink.reopen()
            except OSError as reason:
                self._complain(reason)
            self._say_note()

    def give_to(self, uid: int, gid: int) -> None:
        """Makes them the owner of the log's file."""
        self._sink.give_to(uid, gid)

    def become(self, process: str, later: Later | None) -> None:
        """Another process has inherited this."""
        self._lock = threading.RLock()
        self.process = process
        self.lost = 0
        self._later = later
        self._is_due = False
        # What was held back before is the other process's to say.
        self._repeats.forget()

    def _write_all(self, records: Iterable[Record]) -> None:
        for record in records:
            try:
                self._sink.write(record)
            except OSError as reason:
                self._complain(reason)
                continue
            self._say_lost()
            self._say_note()

    def _complain(self, reason: OSError) -> None:
        self.lost += 1
        if self._has_complained:
            return
        self._has_complained = True
        text = f"revproxy: the log can't be written: {reason.strerror or reason}; its lines are lost until it can\n"
        try:
            sink = Descriptor(COMPLAINTS, lambda record: text.encode("utf-8", "backslashreplace"))
            sink.write(self._own("error", ""))
        except OSError:
            # Then there is nobody to tell.
            return

    def _say_lost(self) -> None:
        lost, self.lost = self.lost, 0
        if not lost:
            return
        try:
            self._sink.write(self._own("error", f"{lost} lines of this log could not be written"))
            self._has_complained = False
        except OSError:
            self.lost = lost + 1

    def _say_note(self) -> None:
        note, self._sink.note = self._sink.note, ""
        if note:
            try:
                self._sink.write(self._own("error", harmless(note)))
            except OSError as reason:
                self._complain(reason)

    def _own(self, level: str, message: str) -> Record:
        return Record(time=time.time(), level=level, message=message, process=self.process, namespace=__name__)

    def close(self) -> None:
        """Writes the rest."""
        self.flush()
        self._sink.close()


@attrs.define
class _Current:
    log: EventLog | None = None
    reactor: Any = None


_current: Final = _Current()


def open_event_log(
    options: Log,
    reactor: Any,
    *,
    twistd: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    process: str = "proxy",
) -> EventLog | None:
    """The observer that options and ``twistd``'s own options ask for; None where the choice is left to ``twistd``.

    ``twistd``'s options count for more: ``--logger`` is its own business, ``--syslog`` and ``--logfile`` say where
    lines go. Raises ConfigError where a file can't be written.
    """
    sink = sink_for(options, twistd or {}, os.environ if environment is None else environment)
    if sink is None:
        return None
    log = EventLog(sink, options.level, process=process)
    _current.log, _current.reactor = log, reactor
    set_process(process)
    return log


def sink_for(options: Log, twistd: Mapping[str, Any], environment: Mapping[str, str]) -> Sink | None:
    """Where records are to go."""
    is_daemon = not twistd.get("nodaemon")
    file = twistd.get("logfile")
    render = json_line if options.format == "json" else human_line
    if twistd.get("logger") or (file == "-" and is_daemon and not twistd.get("syslog")):
        # The second is refused by twistd.
        return None
    if twistd.get("syslog"):
        text = json_text if options.format == "json" else message_text
        return Syslog(str(twistd.get("prefix") or "twisted"), text)
    if file and file != "-":
        return LogFile(str(file), render, setting="--logfile", rotate_at=TWISTD_ROTATES_AT)
    if options.file is not None:
        return LogFile(options.file, render)
    if is_daemon:
        return LogFile("twistd.log", render, setting="--logfile", rotate_at=TWISTD_ROTATES_AT)
    is_wanted = options.format == "auto" and journal.is_connected(COMPLAINTS, environment)
    if options.format == "journal" or is_wanted:
        if journal.is_there(journal.SOCKET):
            return journal.Journal(journal.SOCKET)
        if not is_wanted:
            raise ConfigError(f'log.format: "journal", but there is no {journal.SOCKET}')
    if options.format != "json" and wants_colours(OUTPUT, environment):
        render = coloured_line
    return Descriptor(OUTPUT, render)


def set_process(name: str) -> None:
    """Says who writes from now on: in a process that was just forked, and whose reactor is as new."""
    log, reactor = _current.log, _current.reactor
    if log is not None:
        log.become(name, _later(reactor))
        reactor.addSystemEventTrigger("after", "shutdown", log.flush)


def reopen() -> None:
    """Opens the log's file again, if it has one and is ours."""
    if _current.log is not None:
        _current.log.reopen()


def _later(reactor: Any) -> Later:
    def later(seconds: float, call: Callable[[], None]) -> None:
        # Whoever logs may be in any thread.
        reactor.callFromThread(reactor.callLater, seconds, call)

    return later
