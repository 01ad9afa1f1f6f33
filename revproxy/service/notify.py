"""What a supervisor is told of this process (sd_notify(3)): that it serves, how much, that it lives, that it ends.

Theory of operation. Every message is one datagram of ``NAME=value`` lines to the address in ``NOTIFY_SOCKET``. Sending
never waits: what can't be sent now is kept, the newest value of each name, and goes with the next tick. The ticks come
from the sweep, which runs in the reactor's turn: a reactor that hangs sends no ``WATCHDOG=1``, and that is the point.
Without a supervisor nothing is open and nothing is done.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, MutableMapping
from typing import Final, Protocol

import attrs
from twisted.logger import Logger

_log = Logger()

VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
STATUS_EVERY: Final = 5.0
"""Seconds between two looks at the figures."""
TICK: Final = 1.0
"""Seconds from one tick to the next: what would be due before then is done now."""
END_MARGIN: Final = 5.0
"""Seconds that a supervisor gives after the time to drain, for what is closed then."""


class Supervisor(Protocol):
    """Who is told."""

    def send(self, message: bytes) -> None:
        """Sends one message without waiting, or raises OSError."""

    def close(self) -> None:
        """Nothing more is sent."""


@attrs.frozen
class Figures:
    """What the status line shows."""

    connections: int
    """Open now."""
    requests: int
    """Answered since the start."""


class Notifications:
    """Tells a supervisor what state the process is in.

    :param supervisor: None where nobody listens.
    :param watchdog: seconds within which the next sign of life must come; None where nobody waits for one.
    """

    def __init__(self, supervisor: Supervisor | None = None, watchdog: float | None = None) -> None:
        self._supervisor = supervisor
        self._half = watchdog / 2 if watchdog is not None else None
        self._figures: Callable[[], Figures] | None = None
        self._pending: dict[str, str] = {}
        self._complained = False
        self._said = ""
        self._requests = 0
        self._looked = 0.0
        self._beaten = float("-inf")
        self._ending: float | None = None
        self._alive: Callable[[], bool] = lambda: True

    def ready(self, now: float, figures: Callable[[], Figures], alive: Callable[[], bool] = lambda: True) -> None:
        """Every listener accepts; from now on ``tick`` shows the figures. ``now`` is seconds of the sweep's clock.

        ``alive`` tells whether all that serves does: only then is a sign of life given.
        """
        if self._supervisor is None or self._ending is not None:
            return
        if self._half is not None and self._half < TICK:
            _log.warn("WatchdogSec= is below 2 s: signs of life are sent once a second, which may be too late for it")
        self._figures = figures
        self._alive = alive
        self._requests = figures().requests
        self._looked = now
        self._pending["READY"] = "1"
        self._say("serving")
        self.tick(now)

    def tick(self, now: float) -> None:
        """Called once a second, in the reactor's turn."""
        if self._supervisor is None or self._figures is None:
            return
        if self._half is not None and now + TICK > self._beaten + self._half and self._alive():
            self._beaten = now
            self._pending["WATCHDOG"] = "1"
        if now + TICK / 2 >= self._looked + STATUS_EVERY:
            self._look(now, self._figures())
        self._flush()

    def reloading(self, now: float) -> None:
        """A new configuration is being read. ``now`` is seconds of the monotonic clock, which the supervisor compares
        with the time at which it asked for that."""
        self._pending["RELOADING"] = "1"
        self._pending["MONOTONIC_USEC"] = str(int(now * 1_000_000))
        self._flush()

    def reloaded(self, now: float) -> None:
        """All is served again, with the new one or the old one."""
        self._pending["READY"] = "1"
        self._flush()

    def succeeded(self, pid: int) -> None:
        """Another process takes over: the supervisor is to watch that one. From here on nothing is told."""
        self._pending["MAINPID"] = str(pid)
        self._flush()
        self.close()

    def stopping(self, now: float, drain: float) -> None:
        """The process ends: exchanges in flight have ``drain`` seconds for it."""
        if self._supervisor is None:
            return
        self._ending = now + drain
        self._pending["STOPPING"] = "1"
        # Where the drain may take longer than the unit's TimeoutStopSec=, the supervisor must wait for it.
        self._pending["EXTEND_TIMEOUT_USEC"] = str(round((drain + END_MARGIN) * 1_000_000))
        if self._figures is None:
            self._say("ending")
        else:
            self._look(now, self._figures())
        self._flush()

    def _look(self, now: float, figures: Figures) -> None:
        seconds = now - self._looked
        rate = (figures.requests - self._requests) / seconds if seconds > 0 else 0.0
        self._requests = figures.requests
        self._looked = now
        self._say(status(figures, rate, None if self._ending is None else self._ending - now))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._pending["STATUS"] = text

    def _flush(self) -> None:
        if not self._pending or self._supervisor is None:
            return
        message = "\n".join(f"{name}={value}" for name, value in self._pending.items())
        try:
            self._supervisor.send(message.encode("ascii"))
        except OSError as reason:
            if not self._complained:
                self._complained = True
                _log.warn(
                    "the supervisor can't be told what state this is in: {reason}; it is tried again every second",
                    reason=reason.strerror or str(reason),
                )
            return
        self._complained = False
        self._pending.clear()

    def close(self) -> None:
        """The process ends now; what could not be sent until here is not sent."""
        if self._supervisor is not None:
            self._supervisor.close()
            self._supervisor = None


def status(figures: Figures, rate: float, left: float | None) -> str:
    """The line that ``systemctl status`` shows; ``left`` is seconds until the end, None while all is served."""
    connections = f"{figures.connections} connection{'' if figures.connections == 1 else 's'}"
    if left is not None:
        return f"ending: {connections} left, cut in {max(left, 0):.0f} s" if figures.connections else "ending"
    return f"serving: {connections}, {rate:.{1 if 0 < rate < 10 else 0}f} requests/s"


def listen_to(environment: MutableMapping[str, str], pid: int) -> Notifications:
    """Notifications for the supervisor that the environment names, if any. The variables are removed: they are not
    meant for our children."""
    address, interval, watched = (environment.pop(variable, None) for variable in VARIABLES)
    if not address:
        return Notifications()
    try:
        supervisor = Datagrams(address)
    except (OSError, ValueError) as reason:
        _log.warn("NOTIFY_SOCKET={address} can't be used: {reason}", address=address, reason=reason)
        return Notifications()
    return Notifications(supervisor, _watchdog(interval, watched, pid))


def _watchdog(interval: str | None, watched: str | None, pid: int) -> float | None:
    if not interval or (watched and watched != str(pid)):
        return None
    if not (interval.isascii() and interval.isdecimal()) or int(interval) == 0:
        _log.warn("WATCHDOG_USEC={interval} is no time: no sign of life is sent", interval=interval)
        return None
    return int(interval) / 1_000_000


class Datagrams:
    """A supervisor that is told through a unix socket: an absolute path, or ``@name`` in the abstract namespace.

    Raises ValueError for other kinds of addresses, OSError where there is no socket to be had.
    """

    def __init__(self, address: str) -> None:
        if not address.startswith(("/", "@")) or len(address) < 2:
            raise ValueError("it is neither an absolute path nor @name")
        name = os.fsencode(address)
        self._target = b"\0" + name[1:] if address.startswith("@") else name
        # Opened once: when descriptors run out, the signs of life must go on.
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def send(self, message: bytes) -> None:
        """Addressed each time: whoever listens may have been started anew."""
        self._socket.sendto(message, self._target)

    def close(self) -> None:
        """Nothing more is sent."""
        self._socket.close()
