"""A terminal as a screen that is drawn again and again: its size, its keys, and how it is left as it was found."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

SHOW: Final = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
"""The other screen, without cursor; a line that is too long is cut and not wrapped."""
LEAVE: Final = b"\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN: Final = b"\x1b[?2026h\x1b[H"
"""From the upper left; terminals that know it show the whole at once."""
END: Final = b"\x1b[?2026l"


class Terminal:
    """A context manager. Ctrl-C is a KeyboardInterrupt, and so are a SIGTERM and a SIGHUP; Ctrl-Z stops and goes on."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._output = sys.stdout.fileno()
        self._encoding = sys.stdout.encoding or "ascii"
        self._settings: Any = None
        self._signals: dict[int, Any] = {}
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)

    def __enter__(self) -> Terminal:
        for number, told in (
            (signal.SIGWINCH, self._resized),
            (signal.SIGTSTP, self._stop),
            (signal.SIGTERM, self._end),
            (signal.SIGHUP, self._end),
        ):
            self._signals[number] = signal.signal(number, told)
        self._show()
        return self

    def __exit__(self, *error: object) -> None:
        self._leave()
        for number, told in self._signals.items():
            signal.signal(number, told)
        os.close(self._woken)
        os.close(self._waker)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines; a terminal that doesn't know has the classic size."""
        size = os.get_terminal_size(self._output)
        return size.columns or 80, size.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """These lines, and nothing else."""
        # What was there is erased before a line and not behind it: one that fills the width leaves the cursor upon its
        # last letter, and that would go as well.
        *others, last = lines or [""]
        text = "".join(f"\x1b[K{line}\r\n" for line in others) + f"\x1b[J{last}"
        self._write(BEGIN + text.encode(self._encoding, "backslashreplace") + END)

    def keys(self, seconds: float) -> str:
        """The keys that were pressed, as soon as some are; none after that many seconds, or when the size changed."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._input is not None:
            poll.register(self._input, select.POLLIN)
        ready = {number for number, _ in poll.poll(max(0, round(seconds * 1000)))}
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 1024)
        if self._input is None or self._input not in ready:
            return ""
        octets = os.read(self._input, 1024)
        if not octets:
            # The terminal is gone.
            raise KeyboardInterrupt
        # Arrows and the like come as an escape and letters, which are none of ours.
        return "" if octets.startswith(b"\x1b") else octets.decode("ascii", "ignore")

    def _show(self) -> None:
        if self._input is not None:
            self._settings = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        self._write(SHOW)

    def _leave(self) -> None:
        with contextlib.suppress(OSError):
            self._write(LEAVE)
        if self._settings is not None and self._input is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._settings)

    def _write(self, octets: bytes) -> None:
        while octets:
            octets = octets[os.write(self._output, octets) :]

    def _resized(self, number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b".")

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        # Here it goes on after the shell's "fg".
        signal.signal(signal.SIGTSTP, self._stop)
        self._show()
        self._resized(number, frame)

    def _end(self, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt
