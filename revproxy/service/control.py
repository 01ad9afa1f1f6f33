"""The socket over which tools speak with the running proxy: where it is, who may, and what answers there.

It is a unix socket of the user that the proxy runs as, in a folder that nobody else may write to: whoever can open it
may do anything with the proxy. Where it is, unless the configuration says so, both sides work out from the same list.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Mapping
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.web.server import Site
from zope.interface import implementer

from revproxy.admin.place import SUFFIX, SYSTEM_FOLDER, flaw_of, folders
from revproxy.errors import ConfigError
from revproxy.service.privileges import Identity
from revproxy.wire.listen import bind_unix

_log = Logger()

BACKLOG: Final = 64
RETRY_TIME: Final = 1.0
"""Seconds until it is tried again, where nothing could be accepted."""


def choose(environment: Mapping[str, str], uid: int, later: int | None = None) -> str:
    """The first folder that can be used; made where it is not there. ``later`` is the user id that the process will
    have, where that is another one. Raises ConfigError, which says why none can."""
    reasons = []
    for folder in folders(environment, uid):
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if folder == SYSTEM_FOLDER and uid == 0:
                # Root may become somebody else, who has to get at its own socket there.
                os.chmod(folder, 0o755)
        except OSError as reason:
            reasons.append(f"{folder}: {reason.strerror or reason}")
            continue
        flaw = flaw_of(folder, uid)
        if flaw and later is not None:
            flaw = flaw_of(folder, later)
        if not flaw and os.access(folder, os.W_OK | os.X_OK):
            return folder
        reasons.append(f"{folder}: {flaw or 'it can not be written'}")
    raise ConfigError("there is no place for the control socket: " + "; ".join(reasons))


class Control:
    """Listens there. Bound when it is made, since that may take rights that are given up later.

    :param path: what the configuration says: a path, ``off``, or None to choose one.
    :param site: makes what answers.
    :param identity: whom the socket will belong to; None for whoever makes it.
    """

    def __init__(
        self,
        path: str | None,
        site: Callable[[], Site],
        reactor: Any,
        *,
        environment: Mapping[str, str] = os.environ,
        identity: Identity | None = None,
    ) -> None:
        self.reactor = reactor
        self._site = site
        self._port: ControlPort | None = None
        self.path = ""
        """Where it is; empty where there is none."""
        self._inode = 0
        self._socket: socket.socket | None = None
        if path == "off":
            return
        if path is None:
            try:
                later = identity.uid if identity is not None else None
                path = os.path.join(choose(environment, os.geteuid(), later), f"{os.getpid()}{SUFFIX}")
            except ConfigError as mistake:
                # The proxy is worth more than its tools.
                _log.warn("{mistake}; revproxy reload, status and the like won't find this process", mistake=mistake)
                return
            _remove_dead(os.path.dirname(path))
            _remove(path)
        elif os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
            # Whose place this process takes has it; a second one that is no successor fails at its listeners.
            _remove(path)
        before = os.umask(0o177)
        try:
            self._socket = bind_unix(path, BACKLOG)
        except ConfigError as mistake:
            raise ConfigError(f"control.socket: {mistake}") from None
        finally:
            os.umask(before)
        if identity is not None and os.geteuid() == 0:
            os.chown(path, identity.uid, identity.gid)
        self.path = path
        self._inode = os.lstat(path).st_ino

    def start(self) -> None:
        """Begins to answer."""
        if self._socket is not None:
            site = self._site()
            # What operators do is said where it is done.
            site.noisy = False
            site.log = _say_nothing  # type: ignore[method-assign]
            self._port = ControlPort(self._socket, site, self.reactor)
            self._port.start()
            _log.debug("tools find this process at {path}", path=self.path)

    def drop(self) -> None:
        """In a child: closes copies, and nothing else."""
        if self._socket is not None:
            self._socket.close()

    def stop(self) -> None:
        """Answers no more; the file goes, unless it is another process's by now."""
        if self._port is not None:
            self._port.stop()
            self._port = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            try:
                if os.lstat(self.path).st_ino == self._inode:
                    os.unlink(self.path)
            except OSError:
                pass


@implementer(IReadDescriptor)
class ControlPort:
    """Accepts what asks. Twisted's own port for a unix socket would let everybody use the file when it starts, and
    remove it when it ends, whosever it is by then."""

    def __init__(self, sock: socket.socket, site: Site, reactor: Any) -> None:
        self._socket = sock
        self._site = site
        self._reactor = reactor

    def start(self) -> None:
        """Begins to accept."""
        self._site.doStart()
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Accepts nothing more."""
        self._reactor.removeReader(self)
        self._site.doStop()

    def doRead(self) -> None:
        """Connections wait."""
        for _ in range(BACKLOG):
            try:
                sock, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as reason:
                # No descriptors, most likely. Those that wait are not forgotten.
                _log.warn("nobody can ask anything just now: {reason}", reason=reason)
                self._reactor.removeReader(self)
                self._reactor.callLater(RETRY_TIME, self._again)
                return
            with sock:
                sock.setblocking(False)
                # It makes a copy.
                self._reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, self._site)

    def _again(self) -> None:
        if self._socket.fileno() != -1:
            self._reactor.addReader(self)

    def fileno(self) -> int:
        """The listening descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy control"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""


def _say_nothing(request: Any) -> None:
    """No line."""


def _remove_dead(folder: str) -> None:
    """Takes away what processes left behind that could not, or were killed."""
    for name in os.listdir(folder):
        pid = name.removesuffix(SUFFIX)
        if name.endswith(SUFFIX) and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            _remove(os.path.join(folder, name))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
