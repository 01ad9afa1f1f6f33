"""The reactor's turn without ``log.callWithLogger`` around each event.

Twisted wraps every event in a logging context; at tens of thousands of events a second that wrapper is a fifth of the
work. This turn calls the descriptor itself and still survives what it raises: the descriptor is disconnected, the
failure logged, everybody else served.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import Any, Final

from twisted.internet import error, main
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

MOST_EVENTS: Final = 512
"""Events taken in one turn: the kernel is asked again soon enough, and no array of the size of all sockets is made."""

if sys.platform == "linux":
    from twisted.internet.epollreactor import EPollReactor

    _HANGUP = select.EPOLLHUP | select.EPOLLERR
    _IN = select.EPOLLIN
    _OUT = select.EPOLLOUT

    class QuietEPollReactor(EPollReactor):
        """Twisted's epoll reactor with a lean turn."""

        def doPoll(self, timeout: float | None) -> None:
            """One turn: wait for events up to ``timeout`` seconds (None: for ever) and deal with them."""
            selectables: dict[int, Any] = self._selectables
            try:
                events = self._poller.poll(-1 if timeout is None else timeout, MOST_EVENTS)
            except InterruptedError:
                return
            for fd, event in events:
                selectable = selectables.get(fd)
                if selectable is None:
                    continue
                try:
                    if event & _IN:
                        why = selectable.doRead()
                        if why is None and event & _OUT and selectable.fileno() == fd:
                            why = selectable.doWrite()
                    elif event & _HANGUP:
                        # Nothing is left to read and the peer is gone. Whoever waits for input hears it as an end.
                        if fd in self._reads:
                            why = selectable.doRead()
                        else:
                            why = main.CONNECTION_LOST
                    else:
                        why = selectable.doWrite()
                except Exception:  # noqa: BLE001  # whatever a protocol raises must cost that protocol alone
                    why = sys.exc_info()[1]
                    _log.failure("unexpected error in {selectable!r}", failure=Failure(), selectable=selectable)
                if why is not None:
                    if selectable.fileno() == -1 and isinstance(why, error.ConnectionFdescWentAway):
                        continue
                    self._disconnectSelectable(selectable, why, bool(event & _IN))

        doIteration = doPoll


def install() -> None:
    """Makes the lean turn this process's reactor, unless one is installed already (then that one is used)."""
    if "twisted.internet.reactor" in sys.modules or sys.platform != "linux":
        return
    main.installReactor(QuietEPollReactor())


def renew(reactor: Any) -> None:
    """Makes the reactor as it was before it ran, for a process that was just forked inside of one of its turns.

    What the parent waits for (descriptors, timers, threads) is the parent's: an epoll set shared by both would wake
    either for the other's events. The object stays the same, so whoever was given it may keep it. ``run`` may be called
    then, and must not return into the turn that forked: end with ``os._exit``.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reactor._poller.close()
    for reader in list(reactor._internalReaders):
        for descriptor in (reader.i, getattr(reader, "o", -1)):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
    # Twisted keeps what ``run`` once set on the object: signals, the pool of threads, the resolver of names.
    reactor.__dict__.clear()
    reactor.__init__()
