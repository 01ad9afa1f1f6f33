"""Where records go: standard output, a file, syslog. (The journal has a file of its own.)

A sink writes one record at a time and never waits for whoever reads: what it can't write raises OSError, and its caller
counts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import select
import stat
import syslog
from collections.abc import Callable
from typing import Final, Protocol

from revproxy.errors import ConfigError
from revproxy.service.event_records import Record
from revproxy.service.journal import PRIORITIES

Render = Callable[[Record], bytes]
PIPE: Final = 4096
"""Octets that a pipe which polls as writable takes without waiting (POSIX PIPE_BUF on Linux)."""
TWISTD_ROTATES_AT: Final = 1_000_000
"""Octets at which ``twistd --logfile`` begins a new file (``twisted.python.logfile.LogFile``)."""


class Sink(Protocol):
    """Writes records."""

    note: str
    """What the operator should know of the sink itself; whoever says it empties it."""

    def write(self, record: Record) -> None:
        """Raises OSError; then the record is lost."""

    def reopen(self) -> None:
        """Somebody moved the file away, or wants it rotated."""

    def give_to(self, uid: int, gid: int) -> None:
        """Makes them the owner of a file of root's, so that they can open it again."""

    def close(self) -> None:
        """Nothing more is written."""


class Descriptor:
    """Standard output: a terminal, a pipe, or whatever the starter made of it."""

    def __init__(self, fd: int, render: Render) -> None:
        self._fd = fd
        self._render = render
        self._rest = b""
        self.note = ""
        try:
            self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError:
            self._is_file = True

    def write(self, record: Record) -> None:
        """See ``Sink``."""
        octets = self._render(record)
        if self._is_file:
            _write_all(self._fd, octets)
            return
        self._rest = self._rest[self._push(self._rest) :]
        if self._rest or not self._is_ready():
            raise BlockingIOError(errno.EAGAIN, "nobody reads it")
        # What a reader has begun to get, it gets to the end.
        self._rest = octets[self._push(octets) :]

    def _push(self, octets: bytes) -> int:
        """How many octets the reader took now."""
        at = 0
        while at < len(octets) and self._is_ready():
            try:
                at += os.write(self._fd, octets[at : at + PIPE])
            except BlockingIOError:
                break
        return at

    def _is_ready(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(0))

    def reopen(self) -> None:
        """See ``Sink``."""

    def give_to(self, uid: int, gid: int) -> None:
        """See ``Sink``."""

    def close(self) -> None:
        """It is not ours."""


class LogFile:
    """A file that is appended to, by any number of processes.

    Each line leaves in one call, so that those of several processes don't mix. If another file (or none) has its name
    by now, that one is opened: whoever moves a log away need not tell each process.

    :param rotate_at: octets at which the file becomes ``.1``, an older one ``.2`` and so on; None: it only grows.

    Raises ConfigError.
    """

    def __init__(self, path: str, render: Render, *, setting: str = "log.file", rotate_at: int | None = None) -> None:
        self.path = os.path.abspath(path)
        self._render = render
        self._rotate_at = rotate_at
        self._fd = -1
        self._identity = (0, 0)
        self.note = ""
        self._noted = False
        try:
            self._open()
        except OSError as reason:
            raise ConfigError(f"{setting}: can't write {path}: {reason.strerror}") from None

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        fd = os.open(self.path, flags, 0o640)
        status = os.fstat(fd)
        old, self._fd = self._fd, fd
        self._identity = (status.st_dev, status.st_ino)
        if old >= 0:
            os.close(old)

    def write(self, record: Record) -> None:
        """See ``Sink``."""
        self._follow()
        _write_all(self._fd, self._render(record))
        if self._rotate_at is not None and os.fstat(self._fd).st_size >= self._rotate_at:
            self._rotate()

    def _is_current(self) -> bool:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            # The folder can't be entered any more; nothing can be opened there either.
            return True
        return (status.st_dev, status.st_ino) == self._identity

    def _follow(self) -> None:
        if self._is_current():
            return
        try:
            self._open()
            self._noted = False
        except OSError as reason:
            if not self._noted:
                self._noted = True
                self.note = f"{self.path} can't be opened again: {reason.strerror}; the old file is written on"

    def reopen(self) -> None:
        """See ``Sink``: a file that is rotated here is rotated now, unless it was moved away."""
        if self._rotate_at is not None and self._is_current() and os.fstat(self._fd).st_size:
            self._rotate()
        else:
            self._follow()

    def _rotate(self) -> None:
        try:
            # Of the record locks of POSIX each process has its own, even on a descriptor that was inherited.
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            # Somebody else does it, and this process follows.
            return
        try:
            if self._is_current():
                folder, name = os.path.split(self.path)
                pattern = re.compile(re.escape(name) + r"\.(\d+)")
                numbers = [int(match[1]) for match in map(pattern.fullmatch, os.listdir(folder)) if match]
                for number in sorted(numbers, reverse=True):
                    os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")
                os.rename(self.path, f"{self.path}.1")
                self._open()
        except OSError as reason:
            # Root has made the folder, and root is given up: the file grows on.
            self._rotate_at = None
            self.note = f"{self.path} can't be rotated: {reason.strerror}"

    def give_to(self, uid: int, gid: int) -> None:
        """See ``Sink``."""
        status = os.fstat(self._fd)
        if status.st_uid == 0 and stat.S_ISREG(status.st_mode):
            os.fchown(self._fd, uid, gid)

    def close(self) -> None:
        """See ``Sink``."""
        os.close(self._fd)


class Syslog:
    """The system's log, as ``twistd --syslog`` has it: a line each, with its level."""

    def __init__(self, prefix: str, text: Callable[[Record], str]) -> None:
        self._text = text
        self.note = ""
        syslog.openlog(prefix, 0, syslog.LOG_USER)

    def write(self, record: Record) -> None:
        """See ``Sink``."""
        for line in [self._text(record), *(f"\t{line}" for line in record.traceback.splitlines())]:
            syslog.syslog(PRIORITIES[record.level] | syslog.LOG_USER, line)

    def reopen(self) -> None:
        """See ``Sink``."""

    def give_to(self, uid: int, gid: int) -> None:
        """See ``Sink``."""

    def close(self) -> None:
        """See ``Sink``."""
        syslog.closelog()


def _write_all(fd: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(fd, view) :]
