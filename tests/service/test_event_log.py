"""The observer: levels, repeats, names of processes, what can't be written; and where it writes to."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from revproxy.config.model import Log
from revproxy.errors import ConfigError
from revproxy.service import event_log, journal
from revproxy.service.event_lines import coloured_line, human_line, json_line
from revproxy.service.event_log import EventLog, open_event_log, sink_for
from revproxy.service.event_sinks import Descriptor, LogFile, Syslog
from tests.service.events import Kept, failure_of, logger

FOREGROUND: dict[str, Any] = {"nodaemon": 1, "logfile": None, "syslog": 0, "logger": None, "prefix": "twisted"}


class FakeReactor(Clock):
    """A clock that is called from threads, and ends."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers: list[Any] = []

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        call(*arguments)

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        assert (phase, event) == ("after", "shutdown")
        self.triggers.append(call)


@pytest.fixture
def sink() -> Kept:
    return Kept()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        ("error", ["error", "critical"]),
    ],
)
def test_levels(sink: Kept, level: str, expected: list[str]) -> None:
    log = logger(EventLog(sink, level))
    for name in ("debug", "info", "warn", "error", "critical"):
        getattr(log, name)(name)
    assert [record.level for record in sink.records] == expected


def test_a_traceback_of_a_peers_fault_is_for_debugging(sink: Kept) -> None:
    for level in ("info", "debug"):
        logger(EventLog(sink, level)).failure("lost", failure=failure_of(ConnectionResetError()))
    assert [bool(record.traceback) for record in sink.records] == [False, True]


def test_repeats_are_told_in_time(sink: Kept) -> None:
    reactor = FakeReactor()
    log = logger(EventLog(sink, later=reactor.callLater, now=reactor.seconds))
    for _ in range(129):
        log.warn("server {name} is set aside", name="a")
    log.warn("server {name} is set aside", name="b")
    assert len(sink.records) == 6
    reactor.advance(9.5)
    for _ in range(6):
        log.info("another")
    assert len(sink.records) == 11
    reactor.advance(1)
    assert sink.messages[11:] == [
        "\N{HORIZONTAL ELLIPSIS} 124 more of these in 10 s, the last: server a is set aside"
    ]
    reactor.advance(10)
    assert sink.messages[12:] == ["\N{HORIZONTAL ELLIPSIS} 1 more of these in 11 s, the last: another"]
    assert reactor.getDelayedCalls() == []


def test_what_cannot_be_written_is_counted_and_said(sink: Kept, capfd: pytest.CaptureFixture[str]) -> None:
    log = logger(EventLog(sink))
    sink.fault = OSError(28, "No space left on device")
    for number in range(3):
        log.info("{text}", text=str(number))
    assert capfd.readouterr().err == (
        "revproxy: the log can't be written: No space left on device; its lines are lost until it can\n"
    )
    sink.fault = None
    log.info("again")
    assert sink.messages == ["again", "3 lines of this log could not be written"]
    sink.fault = OSError(5, "Input/output error")
    log.info("x")
    assert "Input/output error" in capfd.readouterr().err


def test_what_the_sink_has_to_say(sink: Kept) -> None:
    observer = EventLog(sink)
    sink.note = "the old file is\nwritten on"
    observer.reopen()
    assert (sink.messages, sink.reopened, sink.note) == (["the old file is\\nwritten on"], 1, "")


def test_formatting_that_logs_does_not_wait_for_itself(sink: Kept) -> None:
    log = logger(EventLog(sink))

    class Talker:
        def __str__(self) -> str:
            log.info("I am formatted")
            return "talker"

    log.info("{who}", who=Talker())
    assert sink.messages[-1] == "talker"
    assert "I am formatted" in sink.messages


def test_threads(sink: Kept) -> None:
    log = logger(EventLog(sink))

    def work(name: str) -> None:
        for number in range(200):
            log.info("{text}", text=f"{name}{number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sink.messages) == sorted(f"{name}{number}" for name in "abc" for number in range(200))


def test_a_worker_says_who_it_is_and_nothing_of_the_masters(tmp_path: Path) -> None:
    file = tmp_path / "log"
    reactor = FakeReactor()
    observer = open_event_log(Log(file=str(file), format="json"), reactor, twistd=FOREGROUND, process="master")
    assert observer is not None
    log = logger(observer)
    for _ in range(9):
        log.info("again and again")
    event_log.set_process("worker 2")
    log.info("again and again")
    reactor.triggers[-1]()
    said = [json.loads(line) for line in file.read_text().splitlines()]
    assert [each["process"] for each in said] == ["master"] * 5 + ["worker 2"]
    assert {each["pid"] for each in said} == {os.getpid()}
    file.rename(tmp_path / "old")
    event_log.reopen()
    assert file.read_text() == ""
    observer.close()
    event_log._current.log = None
    event_log.set_process("nobody")
    event_log.reopen()


# Where it writes to.


def test_standard_output() -> None:
    sink = sink_for(Log(), FOREGROUND, {})
    assert isinstance(sink, Descriptor)
    assert (sink._fd, sink._render) == (1, human_line)
    assert sink_for(Log(format="json"), FOREGROUND | {"logfile": "-"}, {})._render is json_line  # type: ignore[union-attr]


def test_colours_are_for_terminals() -> None:
    master, terminal = os.openpty()
    saved = os.dup(1)
    try:
        os.dup2(terminal, 1)
        renders = [
            sink_for(Log(format=form), FOREGROUND, environment)._render  # type: ignore[union-attr]
            for form, environment in [
                ("auto", {"TERM": "xterm"}), ("human", {"TERM": "xterm", "NO_COLOR": ""}),
                ("auto", {"TERM": "xterm", "NO_COLOR": "1"}), ("auto", {"TERM": "dumb"}), ("auto", {}),
                ("json", {"TERM": "xterm"}),
            ]
        ]  # fmt: skip
    finally:
        os.dup2(saved, 1)
        for fd in (saved, master, terminal):
            os.close(fd)
    assert renders == [coloured_line, coloured_line, human_line, human_line, human_line, json_line]


def test_twistds_own_options_count_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = Log(file=str(tmp_path / "ours.log"), format="json")
    assert sink_for(options, {**FOREGROUND, "logger": object()}, {}) is None
    # twistd refuses this itself.
    assert sink_for(options, FOREGROUND | {"logfile": "-", "nodaemon": 0}, {}) is None
    assert isinstance(sink_for(options, FOREGROUND | {"syslog": 1}, {}), Syslog)
    cases: list[tuple[dict[str, object], str]] = [
        ({"logfile": "theirs.log"}, "theirs.log"),
        ({}, "ours.log"),
        ({"logfile": "-"}, "ours.log"),
        ({"nodaemon": 0}, "ours.log"),
    ]
    for given, name in cases:
        sink = sink_for(options, FOREGROUND | given, {})
        assert isinstance(sink, LogFile)
        assert (sink.path, sink._render) == (str(tmp_path / name), json_line)
        sink.close()
    sink = sink_for(Log(), FOREGROUND | {"nodaemon": 0}, {})
    assert isinstance(sink, LogFile)
    assert sink.path == str(tmp_path / "twistd.log")
    sink.close()


def test_the_journal_is_found_by_what_standard_error_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there = tmp_path / "socket"
    there.touch()
    monkeypatch.setattr(journal, "SOCKET", str(there))
    status = os.fstat(2)
    environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    sinks = [
        sink_for(Log(format=form), FOREGROUND | given, variables)
        for form, given, variables in [
            ("auto", {}, environment), ("auto", {"logfile": "-"}, environment), ("journal", {}, {}),
            ("auto", {}, {}), ("human", {}, environment), ("json", {}, environment),
        ]
    ]  # fmt: skip
    assert [type(sink) for sink in sinks] == [journal.Journal] * 3 + [Descriptor] * 3
    for sink in sinks:
        assert sink is not None
        sink.close()
    there.unlink()
    # Nobody asked for it in words.
    assert isinstance(sink_for(Log(), FOREGROUND, environment), Descriptor)
    with pytest.raises(ConfigError, match=r'log\.format: "journal", but there is no'):
        sink_for(Log(format="journal"), FOREGROUND, environment)


def test_syslog(monkeypatch: pytest.MonkeyPatch) -> None:
    import syslog

    said: list[Any] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: said.append(given))
    monkeypatch.setattr(syslog, "syslog", lambda *given: said.append(given))
    sink = sink_for(Log(), FOREGROUND | {"syslog": 1, "prefix": "web"}, {})
    assert sink is not None
    observer = EventLog(sink, process="worker 1")
    logger(observer).warn("a\nb {c}", c="\x1b")
    logger(observer).failure("oh", failure=failure_of(ValueError()))
    assert said[:2] == [
        ("web", 0, syslog.LOG_USER),
        (syslog.LOG_WARNING | syslog.LOG_USER, "[worker 1] warning: a; b \\x1b"),
    ]
    assert said[2] == (syslog.LOG_CRIT | syslog.LOG_USER, "[worker 1] critical: oh: ValueError")
    assert len(said) > 4
    assert all(line.startswith("\t") for _, line in said[3:])
