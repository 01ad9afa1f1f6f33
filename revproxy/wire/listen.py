"""Listening sockets: bound before anything else happens, accepted from in bounded batches.

When the process runs out of descriptors, accepting stops until the next sweep: no busy loop, a line in the log per
minute at most, and the service comes back by itself (the kernel keeps the waiting connections meanwhile).
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from revproxy.errors import ConfigError
from revproxy.wire.connect import OUT_OF_RESOURCES
from revproxy.wire.sweep import Sweep

_log = Logger()

BATCH: Final = 64
"""Connections accepted in one turn, so that a flood of new ones can't starve the others."""
REST: Final = 4096
"""Connections accepted at the end: as many as Linux lets wait by default."""
_PASSING: Final = frozenset(
    {errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
    | {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH}
    | {getattr(errno, "ENONET", errno.EHOSTUNREACH)}
)
"""What is wrong with the one connection that waited, and not with us: Linux' accept(2) hands on the network errors of
a connection that was lost before it was accepted."""
_COMPLAIN_EVERY: Final = 60.0


def bind_tcp(host: str, port: int, backlog: int) -> socket.socket:
    """A listening TCP socket; an empty host means every address, IPv4 and IPv6. Raises ConfigError."""
    if host:
        hosts = [host]
    else:
        hosts = ["::", "0.0.0.0"] if socket.has_ipv6 else ["0.0.0.0"]
    failure: OSError | None = None
    for candidate in hosts:
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                candidate, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            sock = socket.socket(family, kind)
        except OSError as reason:
            failure = reason
            continue
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Inherited by every accepted connection: one system call saved for each.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if host else 0)
            sock.bind(address)
            sock.listen(backlog)
            sock.setblocking(False)
            return sock
        except OSError as reason:
            sock.close()
            failure = reason
            if reason.errno in (errno.EADDRINUSE, errno.EACCES):
                break
    shown = f"[{host}]" if ":" in host else host
    raise ConfigError(f"can't listen on {shown}:{port}: {explain_bind_failure(failure)}") from None


def bind_unix(path: str, backlog: int) -> socket.socket:
    """A listening unix socket; one that nobody listens on any more is replaced. Raises ConfigError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            # A connection to a plain file is refused as well, and nobody wants that deleted.
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FileExistsError(errno.EEXIST, "something that is no socket is there already")
            if _is_stale(path):
                os.unlink(path)
        sock.bind(path)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as reason:
        sock.close()
        raise ConfigError(f"can't listen on unix:{path}: {explain_bind_failure(reason)}") from None
    return sock


def _is_stale(path: str) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    finally:
        probe.close()
    return False


def explain_bind_failure(reason: OSError | None) -> str:
    """What a person can do about a failed bind."""
    if reason is None:
        return "no address"
    if reason.errno == errno.EADDRINUSE:
        return "another process listens there already"
    if reason.errno == errno.EACCES:
        return "no permission (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
    if reason.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return reason.strerror or str(reason)


@implementer(IReadDescriptor)
class ListeningPort:
    """Accepts connections from a bound socket and hands each to ``accepted(socket, address)``."""

    def __init__(
        self,
        sock: socket.socket,
        reactor: IReactorFDSet,
        sweep: Sweep,
        accepted: Callable[[socket.socket, Any], None],
        *,
        inherited: bool = False,
    ) -> None:
        # A copy of a socket that came from another process: Python makes it block, and every other copy with it.
        sock.setblocking(False)
        self._socket = sock
        self._reactor = reactor
        self._sweep = sweep
        self._accepted = accepted
        self._inherited = inherited
        """Whether somebody else bound the socket, listens on after us, and has a say over its file."""
        self.is_its_turn: Callable[[], bool] | None = None
        """Asked before anything is accepted, where other processes accept from the same socket."""
        self._accepting = False
        self._complained = float("-inf")
        self.address: Any = sock.getsockname()
        self.is_unix = sock.family == getattr(socket, "AF_UNIX", None)

    def start(self) -> None:
        """Begins to accept."""
        self._accepting = True
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Stops accepting and closes the socket; a unix socket's file goes as well, if it is ours. Connections that
        wait already are accepted before: closing the socket would reset them."""
        if self._accepting:
            self._accept(REST)
        self._close()

    def _close(self) -> None:
        if self._socket.fileno() == -1:
            return
        self._pause()
        self._sweep.discard(self)
        self._socket.close()
        if self.is_unix and not self._inherited:
            try:
                os.unlink(self.address)
            except OSError:
                pass

    def copy(self) -> socket.socket:
        """The socket once more, for another port."""
        return self._socket.dup()

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self._reactor.removeReader(self)

    def sweep(self, now: float) -> None:
        """Descriptors may be free again."""
        self._sweep.discard(self)
        if self._socket.fileno() != -1 and not self._accepting:
            self.start()

    def fileno(self) -> int:
        """The listening descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy listener"

    def doRead(self) -> None:
        """Connections wait."""
        if self.is_its_turn is None or self.is_its_turn():
            self._accept(BATCH)

    def _accept(self, most: int) -> None:
        accept = self._socket.accept
        for _ in range(most):
            try:
                sock, address = accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as reason:
                if reason.errno not in _PASSING:
                    self._give_up(reason)
                return
            sock.setblocking(False)
            try:
                self._accepted(sock, address)
            except Exception:  # noqa: BLE001  # whatever goes wrong with one connection, the others are served
                # If somebody holds the socket by now, a deadline ends it; if nobody does, it goes with its last name.
                _log.failure("a connection that was accepted on {address} failed", address=self.address)

    def _give_up(self, reason: OSError) -> None:
        """Accepts no more until the next sweep."""
        self._pause()
        self._sweep.add(self)
        now = self._sweep.now()
        if now - self._complained >= _COMPLAIN_EVERY:
            self._complained = now
            advice = " (raise the limit of open files, or lower limits.connections)"
            _log.error(
                "can't accept on {address}: {reason}; new connections wait, and it is tried again every second{advice}",
                address=self.address,
                reason=reason.strerror or str(reason),
                advice=advice if reason.errno in OUT_OF_RESOURCES else "",
            )

    def connectionLost(self, failure: Any) -> None:
        """The reactor ends."""
        self._close()
