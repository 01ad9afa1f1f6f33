"""The admin interface's events, read by a tool that waits for other things too.

The socket is read when ``poll`` says that it can be: nothing here waits, but for the connection. The request is one of
HTTP/1.0, so that the answer has no framing but its end.
"""

from __future__ import annotations

import json
import socket
from typing import Any, Final

PATIENCE: Final = 5.0
"""Seconds for the connection, and for an answer that is a refusal to be complete."""
LONGEST_HEAD: Final = 64 * 1024
LONGEST_EVENT: Final = 16 * 1024 * 1024
"""Octets after which an answer is no answer of ours."""

Event = tuple[str, Any]
"""Its kind, and its value."""


class StreamEnded(Exception):
    """The other side is gone, or it speaks another language; the text says which."""


class StreamRefused(Exception):
    """It was answered, by an error; the text is the answer's."""


class EventLines:
    """Octets of text/event-stream (HTML Standard §9.2.6) → events, however the octets are cut. Fields other than event
    and data are passed over."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, octets: bytes) -> list[Event]:
        """The events that are complete now. Raises StreamEnded for what is no event of ours."""
        events: list[Event] = []
        *complete, self._rest = (self._rest + octets).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > LONGEST_EVENT:
            raise StreamEnded("an event is too large")
        for event in complete:
            kind, data = "message", []
            for line in event.split(b"\n"):
                name, _, value = line.partition(b":")
                if name == b"event":
                    kind = value.strip().decode("utf-8", "replace")
                elif name == b"data":
                    data.append(value.removeprefix(b" "))
            if data:
                try:
                    events.append((kind, json.loads(b"\n".join(data))))
                except ValueError:
                    raise StreamEnded("an event could not be read") from None
        return events


class EventStream:
    """One open stream over a unix socket."""

    def __init__(self, path: str, target: str) -> None:
        """Connects and asks for ``target`` (``/events?status=5xx``). Raises OSError."""
        self._lines = EventLines()
        self._head: bytes | None = b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(path)
            self._socket.sendall(
                f"GET {target} HTTP/1.0\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode("ascii")
            )
            self._socket.setblocking(False)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Lets go of it; again is fine."""
        self._socket.close()

    def read(self) -> list[Event]:
        """What has come, perhaps nothing. Raises StreamEnded, StreamRefused."""
        try:
            octets = self._socket.recv(1 << 18)
        except BlockingIOError:
            return []
        except OSError as error:
            raise StreamEnded(error.strerror or "the connection failed") from None
        if not octets:
            raise StreamEnded("the connection was closed")
        if self._head is not None:
            self._head += octets
            head, found, octets = self._head.partition(b"\r\n\r\n")
            if not found:
                if len(head) > LONGEST_HEAD:
                    raise StreamEnded("it does not speak HTTP")
                return []
            self._head = None
            status = head.split(b" ", 2)[1:2]
            if not head.startswith(b"HTTP/1.") or not status:
                raise StreamEnded("it does not speak HTTP")
            if status[0] != b"200":
                raise StreamRefused(self._refusal(status[0], octets))
        return self._lines.take(octets)

    def _refusal(self, status: bytes, octets: bytes) -> str:
        self._socket.settimeout(PATIENCE)
        try:
            while len(octets) < LONGEST_HEAD and (more := self._socket.recv(1 << 16)):
                octets += more
        except OSError:
            pass
        try:
            return str(json.loads(octets)["error"])
        except (ValueError, KeyError, TypeError):
            return f"the proxy answered {status.decode('ascii', 'replace')}"
