"""Sockets that systemd bound and hands over (sd_listen_fds(3)): descriptors from 3 on, their number and names in the
environment.

Twisted's own reader forgets all but the last of several sockets of one name, which is what a socket unit with two
``ListenStream=`` lines gives, and takes a count that is wrong for no sockets at all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from typing import Final

from twisted.logger import Logger

from revproxy.errors import ConfigError

_log = Logger()

FIRST: Final = 3
"""The first descriptor (SD_LISTEN_FDS_START)."""
UNNAMED: Final = "unknown"
"""The name of sockets that came without names, as sd_listen_fds_with_names(3) calls them."""
VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class InheritedSockets:
    """Descriptors that were handed over, by their names, until a listener takes them."""

    def __init__(self, descriptors: dict[str, list[int]] | None = None, absence: str = "") -> None:
        self._descriptors = descriptors or {}
        self._absence = absence or "this process was not started by a socket unit (there is no LISTEN_FDS)"

    def take(self, name: str) -> list[socket.socket]:
        """All listening sockets of a name, ready to be accepted from. Raises ConfigError.

        There are several where one socket unit names several addresses.
        """
        if name not in self._descriptors:
            there = ", ".join(f'"{known}"' for known in sorted(self._descriptors))
            why = f"it gave {there} (see FileDescriptorName= of the socket unit)" if there else self._absence
            raise ConfigError(f'systemd gave no socket named "{name}": {why}')
        taken: list[socket.socket] = []
        try:
            for descriptor in self._descriptors.pop(name):
                taken.append(_listening(name, descriptor))
        except BaseException:
            for sock in taken:
                sock.close()
            raise
        return taken

    def close_rest(self) -> None:
        """Closes what no listener took, and says so: whoever connects there would wait for ever."""
        while self._descriptors:
            name, descriptors = self._descriptors.popitem()
            for descriptor in descriptors:
                os.close(descriptor)
            _log.warn('the socket "{name}" from systemd is used by no listener: nobody answers there', name=name)


def restored(environment: MutableMapping[str, str], original: str = "/proc/self/environ") -> MutableMapping[str, str]:
    """The environment, with what Twisted took out of it: whoever imports its endpoints, and ``twistd`` does so whenever
    it looks for plugins anew, loses LISTEN_PID and LISTEN_FDS. The kernel still has what the process was started with.
    """
    try:
        with open(original, "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return environment
    for word in words:
        name, _, value = os.fsdecode(word).partition("=")
        if name in VARIABLES:
            environment.setdefault(name, value)
    return environment


def inherit(environment: MutableMapping[str, str], pid: int, first: int = FIRST) -> InheritedSockets:
    """What was handed over to the process ``pid``. The variables are removed: they are not meant for its children.

    Raises ConfigError where they contradict each other or the descriptors that are there.
    """
    told_pid, count, names = (environment.pop(variable, None) for variable in VARIABLES)
    if count is None:
        return InheritedSockets()
    if told_pid != str(pid):
        return InheritedSockets(
            absence=f"the sockets are meant for process {told_pid or '?'} (LISTEN_PID), and this is {pid}: "
            "whatever stands between systemd and twistd must use exec"
        )
    if not (count.isascii() and count.isdecimal()):
        raise ConfigError(f"LISTEN_FDS={count!r} is no number of sockets")
    number = int(count)
    listed = names.split(":") if names else [UNNAMED] * number
    if len(listed) != number:
        raise ConfigError(f"LISTEN_FDNAMES names {len(listed)} sockets, and LISTEN_FDS says {number}")
    descriptors: dict[str, list[int]] = {}
    for descriptor, name in enumerate(listed, first):
        try:
            os.set_inheritable(descriptor, False)
        except OSError:
            raise ConfigError(f"LISTEN_FDS says {number}, but descriptor {descriptor} is not open") from None
        descriptors.setdefault(name, []).append(descriptor)
    return InheritedSockets(descriptors)


def _listening(name: str, descriptor: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        raise ConfigError(f'"{name}" from systemd is no socket: the unit needs ListenStream=') from None
    kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    if kind != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        wrong = "is no stream socket of TCP or of a unix path: the unit needs ListenStream="
    elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        wrong = "does not listen: it is a connection (the unit needs Accept=no), or nobody called listen()"
    else:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock.close()
    raise ConfigError(f'the socket "{name}" from systemd {wrong}')
