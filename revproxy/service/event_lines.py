"""Records → lines: for people, or as JSON."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Final

from revproxy.service.event_records import Record

_PAINT: Final = {"debug": "\x1b[2m", "warning": "\x1b[33m", "error": "\x1b[1;31m", "critical": "\x1b[1;31m"}
_FAINT: Final = "\x1b[2m"
_END: Final = "\x1b[0m"


def wants_colours(fd: int, environment: Mapping[str, str]) -> bool:
    """Whether a person with a screen that has colours reads this, and did not say NO_COLOR."""
    return not environment.get("NO_COLOR") and environment.get("TERM", "dumb") != "dumb" and os.isatty(fd)


def human_line(record: Record) -> bytes:
    """``2026-11-24 09:00:01 [worker 2] warning: ...`` in local time; a traceback follows, indented."""
    return _human(record, "", "", "")


def coloured_line(record: Record) -> bytes:
    """The same for a terminal."""
    return _human(record, _FAINT, _PAINT.get(record.level, ""), _END)


def _human(record: Record, faint: str, paint: str, end: str) -> bytes:
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.time))
    text = f"{faint}{stamp}{end} {_plain_text(record, paint, end if paint else '')}\n"
    if record.traceback:
        text += "".join(f"    {line}\n" for line in record.traceback.split("\n"))
    return text.encode("utf-8")


def message_text(record: Record) -> str:
    """What it says, without the time, for whoever adds it."""
    return _plain_text(record, "", "")


def _plain_text(record: Record, paint: str, end: str) -> str:
    process = "" if record.process == "proxy" else f"[{record.process}] "
    level = "" if record.level == "info" else f"{paint}{record.level}:{end} "
    return f"{process}{level}{record.message}"


def json_line(record: Record) -> bytes:
    """An object in one line, ASCII: ``time`` (RFC 3339), ``level``, ``message``, ``process``, ``pid``, ``namespace``,
    then the event's own fields, ``traceback`` and ``repeated`` where there is one."""
    return json_text(record).encode("ascii") + b"\n"


def json_text(record: Record) -> str:
    """The same without the line's end."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.time))
    said: dict[str, object] = {
        "time": f"{stamp}.{int(record.time % 1 * 1000):03d}Z",
        "level": record.level,
        "message": record.message,
        "process": record.process,
        "pid": os.getpid(),
        "namespace": record.namespace,
        **record.fields,
    }
    if record.traceback:
        said["traceback"] = record.traceback
    if record.repeated:
        said["repeated"] = record.repeated
    return json.dumps(said)
