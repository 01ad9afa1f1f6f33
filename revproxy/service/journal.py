"""journald's native protocol: an event as fields in one datagram, so that ``journalctl REVPROXY_NAME=a`` finds it.

Each field is ``NAME=value`` and a line end, or, where the value has line ends, the name, a line end, the value's length
as 64 bits in little endian, the value, and a line end. What is too large for a datagram is written to a sealed memory
file whose descriptor is sent instead. (systemd's documentation calls it the Native Journal Protocol.)
"""

from __future__ import annotations

import array
import errno
import fcntl
import json
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from revproxy.service.event_records import Record

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "revproxy"
PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""The levels as syslog's numbers."""
PATIENCE: Final = 0.05
"""Seconds that a full queue is waited for: its bursts are short, and a reactor that waits serves nobody."""


def is_connected(fd: int, environment: Mapping[str, str]) -> bool:
    """Whether a descriptor is the stream to the journal that the service manager opened: ``JOURNAL_STREAM`` has its
    device and inode. A child with another standard error inherits the variable all the same."""
    match = re.fullmatch(r"(\d+):(\d+)", environment.get("JOURNAL_STREAM", ""), re.ASCII)
    if match is None:
        return False
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == (int(match[1]), int(match[2]))


def is_there(path: str = SOCKET) -> bool:
    """Whether there is a journal to write to."""
    return os.path.exists(path)


class Journal:
    """Writes records to the journal. Each is addressed anew: journald may be started again."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        seconds, rest = divmod(PATIENCE, 1)
        self._socket.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(seconds), int(rest * 1_000_000))
        )
        self.note = ""

    def write(self, record: Record) -> None:
        """Raises OSError."""
        octets = datagram(record)
        try:
            self._socket.sendto(octets, self._path)
        except OSError as reason:
            if reason.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(octets)

    def _send_file(self, octets: bytes) -> None:
        fd = os.memfd_create("revproxy-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(octets)
            while view:
                view = view[os.write(fd, view) :]
            # journald takes a memory file only if nobody can change it any more.
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(fd)

    def reopen(self) -> None:
        """Nothing is rotated here by us."""

    def give_to(self, uid: int, gid: int) -> None:
        """It has no file."""

    def close(self) -> None:
        """Nothing more is written."""
        self._socket.close()


def datagram(record: Record) -> bytes:
    """All fields of a record."""
    return b"".join(_field(name, value) for name, value in _fields(record))


def _fields(record: Record) -> Iterator[tuple[str, str]]:
    yield "MESSAGE", record.message
    yield "PRIORITY", str(PRIORITIES[record.level])
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    yield "REVPROXY_PROCESS", record.process
    yield "REVPROXY_NAMESPACE", record.namespace
    for name, value in record.fields.items():
        # Names have at most 64 letters, digits and underscores.
        known = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:54]
        yield f"REVPROXY_{known}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if record.traceback:
        yield "REVPROXY_TRACEBACK", record.traceback
    if record.repeated:
        yield "REVPROXY_REPEATED", str(record.repeated)
    if record.place is not None:
        yield "CODE_FILE", record.place.file
        yield "CODE_LINE", str(record.place.line)
        yield "CODE_FUNC", record.place.function


def _field(name: str, value: str) -> bytes:
    octets = value.encode("utf-8", "backslashreplace")
    if b"\n" in octets:
        return b"%b\n%b%b\n" % (name.encode("ascii"), struct.pack("<Q", len(octets)), octets)
    return b"%b=%b\n" % (name.encode("ascii"), octets)
