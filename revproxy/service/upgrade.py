"""A new process of new code takes the sockets over, and the old one drains (nginx calls it an upgrade on the fly).

Theory of operation. The old process starts its own command line again and hands over every listening socket, and one
end of a pipe, as descriptors; ``REVPROXY_SUCCESSOR`` says which are which. The new one binds what it can from these,
starts, and writes ``ready`` and its process id into the pipe once all of its workers serve; or, if it can't, why not.
Until then both accept, from the same queues of the kernel, so nobody is refused. Only then the old one begins to
drain. A pipe that ends without a word is a process that failed, and the old one goes on.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from zope.interface import implementer

from revproxy.service.link import Refused
from revproxy.service.opened import Bound

_log = Logger()

VARIABLE: Final = "REVPROXY_SUCCESSOR"
PATIENCE: Final = 60.0
"""Seconds that the new process has to begin to serve."""


class Predecessor:
    """What a process was handed by the one whose place it takes."""

    def __init__(self, ready: int, sockets: dict[str, list[socket.socket]]) -> None:
        self._ready = ready
        self.sockets = sockets
        """By the address of their listener."""

    def take(self, address: str) -> list[socket.socket]:
        """The sockets of a listener; none where it is a new one."""
        return self.sockets.pop(address, [])

    def close_rest(self) -> None:
        """Closes what no listener wants any more."""
        for sockets in self.sockets.values():
            for sock in sockets:
                sock.close()
        self.sockets.clear()

    def ready(self) -> None:
        """All is served from here: the other one may go."""
        self._tell(f"ready {os.getpid()}\n")

    def failed(self, text: str) -> None:
        """There will be no serving."""
        self._tell(f"failed {text}\n")

    def _tell(self, text: str) -> None:
        if self._ready < 0:
            return
        try:
            os.write(self._ready, text.encode("utf-8", "backslashreplace"))
            os.close(self._ready)
        except OSError:
            _log.warn("the process that was to be replaced is gone already")
        self._ready = -1

    def drop(self) -> None:
        """In a child: the pipe is its parent's."""
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1


def predecessor(environment: MutableMapping[str, str]) -> Predecessor | None:
    """What was handed over, if this process is to take another's place. The variable is removed."""
    told = environment.pop(VARIABLE, None)
    if told is None:
        return None
    try:
        known = json.loads(told)
        sockets: dict[str, list[socket.socket]] = {}
        for address, descriptor in known["sockets"]:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            sockets.setdefault(address, []).append(sock)
        os.set_inheritable(known["ready"], False)
        return Predecessor(known["ready"], sockets)
    except (ValueError, KeyError, TypeError, OSError) as reason:
        _log.warn("{name} can't be used: {reason}", name=VARIABLE, reason=reason)
        return None


def report_failure(environment: MutableMapping[str, str], text: str) -> None:
    """Tells the process whose place this one was to take that it won't, before anything was taken over."""
    handed = predecessor(environment)
    if handed is not None:
        handed.failed(text)


class PidFile:
    """The file in which twistd keeps the process id, whose place the new process needs.

    :param twistd: twistd's own options, by which it knows at its end what to remove.
    """

    def __init__(self, twistd: MutableMapping[str, Any] | None) -> None:
        self._twistd = twistd if twistd is not None else {}
        name = self._twistd.get("pidfile") or ""
        self._path = os.path.abspath(name) if name else ""

    def move_aside(self) -> None:
        """twistd would not start while it is there."""
        if self._path and os.path.exists(self._path):
            os.replace(self._path, self._path + ".old")

    def put_back(self) -> None:
        """There is no new process."""
        if self._path and os.path.exists(self._path + ".old"):
            os.replace(self._path + ".old", self._path)

    def remove(self) -> None:
        """There is no process any more."""
        if self._path:
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def leave(self) -> None:
        """It is the new process's from now on."""
        if self._path:
            self._twistd["pidfile"] = ""
            try:
                os.unlink(self._path + ".old")
            except OSError:
                pass


@implementer(IReadDescriptor)
class _Pipe:
    """Hears what the new process says."""

    def __init__(self, descriptor: int, reactor: Any) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._reactor = reactor
        self._text = b""
        self.ended: Deferred[str] = Deferred()
        reactor.addReader(self)

    def doRead(self) -> None:
        """Something came, or all did."""
        try:
            data = os.read(self._descriptor, 65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._text += data
        if not data:
            self.close()

    def close(self) -> None:
        """It is over."""
        if self._descriptor < 0:
            return
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        self.ended.callback(self._text.decode("utf-8", "replace").strip())

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy upgrade"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""
        self.close()


def command() -> list[str]:
    """How this process was started."""
    return [sys.executable, *sys.orig_argv[1:]]


def _start(sockets: Sequence[Bound], variables: dict[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the new process: what it will say can be read from the descriptor."""
    reading, writing = os.pipe()
    handed = [(options.address, sock.fileno()) for options, sock in sockets]
    environment = {**os.environ, **variables, VARIABLE: json.dumps({"ready": writing, "sockets": handed})}
    passed = [writing, *(descriptor for _, descriptor in handed)]
    try:
        return subprocess.Popen(command(), env=environment, pass_fds=passed), reading
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)


async def succeed(
    sockets: Sequence[Bound], reactor: Any, variables: dict[str, str], pid_file: PidFile
) -> int:
    """Starts the new process and waits until it serves: its process id. Raises Refused, and then it is gone."""
    pid_file.move_aside()
    try:
        process, reading = _start(sockets, variables)
    except OSError as reason:
        pid_file.put_back()
        raise Refused(f"the new process can't be started: {reason}") from None
    pipe = _Pipe(reading, reactor)
    patience = reactor.callLater(PATIENCE, pipe.close)
    said = await pipe.ended
    if patience.active():
        patience.cancel()
    word, _, rest = said.partition(" ")
    if word == "ready" and rest.isdecimal():
        pid_file.leave()
        # A daemon's first process is over by now; the other one is nobody's zombie once this process is gone.
        process.poll()
        return int(rest)
    process.kill()
    process.wait()
    pid_file.put_back()
    why = rest if word == "failed" else f"it did not serve (see its log){': ' + said if said else ''}"
    raise Refused(f"the new process was given up, and this one goes on: {why}")
