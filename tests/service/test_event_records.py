"""Events → records: one harmless line each, whatever a client sent, and a traceback only for faults of ours."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python import log as old_log

from revproxy.errors import BadRequest
from revproxy.service.event_lines import coloured_line, human_line, json_line
from revproxy.service.event_records import LONGEST_MESSAGE, LONGEST_VALUE, harmless, plain, record_of
from tests.service.events import event_of, failure_of, record

HOSTILE = (
    "\n2026-11-24 09:00:01 error: forged",
    "a\r\nb",
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\u202eevil\u2066",
    "\u2028\u2029\x85\x0b\x0c\x1c",
    "\x00\x08\x7f",
    "\udcff",
    "\u200b\ufeff",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("render", [human_line, coloured_line, json_line])
def test_hostile_text_stays_in_its_line(text: str, render: Any) -> None:
    made = record("warn", "server {name} said {said}", name="a", said=text, octets=text.encode("utf-8", "surrogatepass"))
    octets = render(made)
    assert octets.endswith(b"\n")
    shown = octets[:-1].decode("utf-8")
    for code in ("\x1b[2m", "\x1b[33m", "\x1b[0m"):
        shown = shown.replace(code, "") if render is coloured_line else shown
    assert shown.isprintable()


@given(st.text(st.characters()), st.binary())
def test_nothing_makes_a_second_line(text: str, octets: bytes) -> None:
    made = record("info", "{text} and {octets}", text=text, octets=octets, where={text: [octets, {text}]})
    for line in (human_line(made), json_line(made)):
        shown = line[:-1].decode("utf-8")
        assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert json.loads(json_line(made))["message"] == made.message


def test_what_is_readable_stays_as_it_is() -> None:
    assert harmless("größer \N{HORIZONTAL ELLIPSIS} 日本 a\\b") == "größer \N{HORIZONTAL ELLIPSIS} 日本 a\\b"
    assert harmless("a\nb\x1b\x85\u202e\udcff") == "a\\nb\\x1b\\x85\\u202e\\udcff"


def test_what_is_long_is_cut() -> None:
    made = record("info", "{a}", a="x" * 100_000)
    assert made.message == "x" * LONGEST_MESSAGE + f"... (and {100_000 - LONGEST_MESSAGE} more)"
    assert made.fields["a"] == "x" * LONGEST_VALUE + f"... (and {100_000 - LONGEST_VALUE} more)"
    assert len(plain(list(range(1000)))) == 100
    assert len(plain(dict.fromkeys(range(1000), 1))) == 100


def test_values() -> None:
    class Rude:
        def __str__(self) -> str:
            raise ValueError("no")

    values = plain([None, True, 3, 2.5, float("nan"), 10**5000, b"\xff\n", (1, {"a": {"b": {"c": [1]}}}), Rude()])
    assert values[:5] == [None, True, 3, 2.5, "nan"]
    assert isinstance(values[5], str)
    assert values[6:8] == ["\\xff\\n", [1, {"a": "{'b': {'c': [1]}}"}]]
    assert "Rude" in values[8]
    json.dumps(values, allow_nan=False)


def test_fields_of_the_event_do_not_hide_ours() -> None:
    made = record("error", "{time} {process}", time="noon", process="mine", level_=1)
    said = json.loads(json_line(made))
    assert (said["message"], said["process"], said["process_"], said["level"]) == ("noon mine", "proxy", "mine", "error")


def test_an_event_that_can_not_be_formatted() -> None:
    assert "Unable to format event" in record("info", "{missing} {also[0]}").message


def test_lines_of_our_own_are_joined() -> None:
    assert record("error", "refused: {mistake}", mistake="a.toml:3: x\n  a.toml:5: y\n").message == (
        "refused: a.toml:3: x; a.toml:5: y"
    )


# Failures.


def test_a_fault_of_ours_has_its_traceback() -> None:
    made = record("failure", "a resource failed", failure=failure_of(ZeroDivisionError("by\nnothing")))
    assert made.level == "critical"
    assert made.message == "a resource failed: ZeroDivisionError: by; nothing"
    assert "in failure_of" in made.traceback
    assert made.place is not None
    assert made.place.function == "failure_of"
    line = json_line(made)
    assert line.count(b"\n") == 1
    assert json.loads(line)["traceback"] == made.traceback
    first, *rest = human_line(made).decode().splitlines()
    assert first.endswith("critical: a resource failed: ZeroDivisionError: by; nothing")
    assert rest
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("a\x1bb"), ConnectionResetError(104, "reset"), ConnectionLost(), ConnectTimeout(),
        DNSLookupError("no"), SSL.Error([("ssl", "", "bad\nrecord")]), SSL.ZeroReturnError(),
    ],
)  # fmt: skip
def test_what_a_peer_did_is_told_in_the_line(error: Exception) -> None:
    event = event_of("failure", "a connection failed", failure=failure_of(error))
    made = record_of(event, "proxy")
    assert made is not None
    assert (made.level, made.traceback) == ("warning", "")
    assert made.message.startswith(f"a connection failed: {type(error).__name__}")
    assert human_line(made).count(b"\n") == 1
    # Whoever looks for the cause may have it all the same.
    wanted = record_of(event, "proxy", tracebacks=True)
    assert wanted is not None
    assert wanted.traceback


# What Twisted says.


@pytest.mark.parametrize(
    ("namespace", "template", "values"),
    [
        ("twisted.scripts._twistd_unix.UnixAppLogger", "reactor class: {reactor}.", {"reactor": "r"}),
        ("twisted.internet.base", "Main loop terminated.", {}),
        ("twisted.web.server.Site", "Starting factory {factory!r}", {"factory": object()}),
        ("log_legacy", "{log_text}", {"log_text": "Site starting on 8080"}),
        ("log_legacy", "{log_text}", {"log_text": "(UNIX Port '/run/revproxy/1.sock' Closed)"}),
        ("log_legacy", "{log_text}", {"log_text": "(TCP Port 80 Closed)"}),
    ],
)
def test_noise_is_for_debugging(namespace: str, template: str, values: dict[str, Any]) -> None:
    assert record("info", template, namespace, **values).level == "debug"


def test_what_is_no_noise() -> None:
    assert record("info", "{log_text}", "log_legacy", log_text="set uid/gid 1/1").level == "info"
    assert record("info", "Main loop terminated.", "mine").level == "info"
    assert record("warn", "Main loop terminated.", "twisted.internet.base").level == "warning"
    end = record("info", "Server Shut Down.", "twisted.scripts._twistd_unix.UnixAppLogger")
    assert (end.level, end.message) == ("info", "stopped")


def test_the_old_way_to_log() -> None:
    events: list[dict[str, Any]] = []
    observer = cast("ILogObserver", events.append)
    globalLogPublisher.addObserver(observer)
    try:
        old_log.msg("a", "b", system="mine", answer=42)
    finally:
        globalLogPublisher.removeObserver(observer)
    (event,) = events
    made = record_of(event, "worker 2")
    assert made is not None
    assert (made.message, made.process, made.fields, made.level) == ("a b", "worker 2", {"answer": 42}, "info")
    assert record_of({"log_level": None}, "proxy") is None


def test_the_place() -> None:
    place = record("info", "here").place
    assert place is not None
    assert (place.function, place.file.endswith("events.py")) == ("event_of", True) or place.function == "record"
