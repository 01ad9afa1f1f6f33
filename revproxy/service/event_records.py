"""Events of ``twisted.logger`` → records that can be written anywhere: one line of text, plain values, and the level.

Nothing that a client or a server sent can break a line or move a terminal's cursor: every character that is not
printable is escaped, and what is long is cut. A traceback is kept for faults of ours alone; what a peer did is told in
the line.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import attrs
from OpenSSL import SSL
from twisted.internet import error as network_error
from twisted.logger import formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import safe_str

from revproxy.errors import ProxyError

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
"""What a line can be, the least important first."""
LONGEST_MESSAGE: Final = 4096
LONGEST_VALUE: Final = 16384
LONGEST_TRACEBACK: Final = 262144
"""Characters that are kept."""
MOST_ITEMS: Final = 100
"""Of a list or a table that is a value."""

PEERS_FAULTS: Final = (
    ProxyError,
    ConnectionError,
    network_error.ConnectError,
    network_error.ConnectionClosed,
    network_error.DNSLookupError,
    network_error.TimeoutError,
    SSL.Error,
)
"""What is raised because of what somebody at the other end of a connection did."""

_OF_TWISTED: Final = {"warn": "warning"}
_BOOKKEEPING: Final = frozenset(
    # What twisted.python.log puts into an event for its own old observers.
    ("time", "system", "message", "isError", "format", "failure", "why", "eventSource", "eventType", "printed")
)
_TAKEN: Final = frozenset(("time", "level", "message", "process", "pid", "namespace", "traceback", "repeated"))
_NOISE: Final = frozenset(
    (
        "twistd {version} ({exe} {pyVersion}) starting up.",
        "reactor class: {reactor}.",
        "Starting factory {factory!r}",
        "Stopping factory {factory!r}",
        "Main loop terminated.",
    )
)
"""Formats of Twisted's that tell an operator nothing: they are for debugging."""
_OLD_NOISE: Final = re.compile(r"\S+ starting on .*|\(.*Port .* Closed\)", re.DOTALL)
_ONE_VALUE: Final = re.compile(r"\{\w+\}")
_REWORDED: Final = {"Server Shut Down.": "stopped"}


@attrs.frozen
class Place:
    """Where in the code an event was logged."""

    file: str
    line: int
    function: str


@attrs.frozen(kw_only=True)
class Record:
    """One event, ready to be written."""

    time: float
    """Seconds since the epoch."""
    level: str
    message: str
    """One line."""
    process: str = "proxy"
    namespace: str = ""
    fields: dict[str, Any] = attrs.Factory(dict)
    """Values that JSON knows, by name."""
    traceback: str = ""
    """Lines; empty for whatever is no fault of ours."""
    place: Place | None = None
    repeated: int = 0
    """How many more of these there were that were not written."""
    key: tuple[Any, ...] = ()
    """Two records with the same key say the same of the same thing."""

    def is_at_least(self, level: str) -> bool:
        """Whether it is as important as that."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


KEYS: Final = (
    "name", "names", "host", "server", "upstream", "site", "route", "store", "address", "path", "file", "source",
    "responder", "number", "setting", "finding", "text", "mistake", "warning",
)  # fmt: skip
"""Fields that say what an event is about. Events that differ in one of them are different events, however alike they
sound. None of them holds what a client can choose freely: a client could make as many different events as it likes."""


def record_of(event: dict[str, Any], process: str, *, tracebacks: bool = False) -> Record | None:
    """The record of an event; None for one that says nothing. Raises nothing.

    :param process: who says it.
    :param tracebacks: keep them for faults of peers as well.
    """
    failure = event.get("log_failure")
    message = _message(event, failure)
    if not message:
        return None
    level = getattr(event.get("log_level"), "name", "info")
    level = _OF_TWISTED.get(level, level)
    level = level if level in LEVELS else "info"
    is_peers = isinstance(failure, Failure) and isinstance(failure.value, PEERS_FAULTS)
    if is_peers and LEVELS.index(level) > LEVELS.index("warning"):
        level = "warning"
    template = event.get("log_format")
    namespace = str(event.get("log_namespace") or "")
    if level == "info" and _is_noise(namespace, template, message):
        level = "debug"
    message = _REWORDED.get(message, message) if namespace.startswith("twisted.") else message
    fields = {
        f"{name}_" if name in _TAKEN else name: plain(value)
        for name, value in event.items()
        if not name.startswith("log_") and name not in _BOOKKEEPING
    }
    traceback = ""
    place = _place()
    if isinstance(failure, Failure):
        fields["error"] = failure.type.__name__ if failure.type is not None else ""
        if failure.frames:
            place = Place(str(failure.frames[-1][1]), int(failure.frames[-1][2]), str(failure.frames[-1][0]))
        if tracebacks or not is_peers:
            traceback = _traceback(failure)
    # A format that is one value alone (what a resource prints, say) tells nothing of what is said.
    what = template if isinstance(template, str) and _ONE_VALUE.fullmatch(template) is None else message
    about = tuple(repr(fields[name]) for name in KEYS if name in fields)
    return Record(
        time=float(event.get("log_time") or 0.0),
        level=level,
        message=message,
        process=process,
        namespace=harmless(namespace),
        fields=fields,
        traceback=traceback,
        place=place,
        key=(namespace, what, about, place if traceback else fields.get("error")),
    )


def harmless(text: str, longest: int = LONGEST_VALUE) -> str:
    """Text as a piece of one line: what is not printable (control characters, line ends, marks that turn the direction
    of writing, halves of surrogate pairs) is escaped, and the rest beyond ``longest`` is counted instead of shown."""
    cut = len(text) - longest
    if cut > 0:
        text = text[:longest]
    if not text.isprintable():
        text = "".join([char if char.isprintable() else _escape(char) for char in text])
    return f"{text}... (and {cut} more)" if cut > 0 else text


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON knows it, with harmless texts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else harmless(safe_str(value))
    if isinstance(value, float):
        return float(value) if abs(value) < float("inf") else str(value)
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return harmless(bytes(value[: LONGEST_VALUE + 1]).decode("utf-8", "backslashreplace"))
    if depth < 3:
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(item, depth + 1) for item in list(value)[:MOST_ITEMS]]
        if isinstance(value, dict):
            items = list(value.items())[:MOST_ITEMS]
            return {harmless(safe_str(name)): plain(item, depth + 1) for name, item in items}
    return harmless(safe_str(value))


def _message(event: dict[str, Any], failure: object) -> str:
    # It never raises: what can't be formatted is described.
    text = formatEvent(event).strip()
    if isinstance(failure, Failure):
        kind = failure.type.__name__ if failure.type is not None else "an error"
        said = safe_str(failure.value).strip()
        cause = f"{kind}: {said}" if said else kind
        text = f"{text.removesuffix(':')}: {cause}" if text else cause
    # Several mistakes of a configuration come as lines.
    return harmless("; ".join([line.strip() for line in text.split("\n") if line.strip()]), LONGEST_MESSAGE)


def _traceback(failure: Failure) -> str:
    try:
        text = failure.getTraceback()
    except Exception as error:  # noqa: BLE001  # it formats what anybody's objects say of themselves
        text = f"(the traceback can't be formatted: {safe_str(error)})"
    lines = text[-LONGEST_TRACEBACK:].splitlines()
    return "\n".join(harmless(line) for line in lines)


def _is_noise(namespace: str, template: object, message: str) -> bool:
    if namespace.startswith("twisted."):
        return template in _NOISE
    return namespace == "log_legacy" and _OLD_NOISE.fullmatch(message) is not None


_PASSED_BY: Final = ("twisted.logger", "twisted.python.log", __name__, "revproxy.service.event_log")


def _place() -> Place | None:
    """Who called the logger; None for an event that is told later than it happened."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_PASSED_BY):
            return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if frame.f_code.co_name == "replayTo":
            return None
        frame = frame.f_back  # type: ignore[assignment]
    return None
