"""What the master and a worker say to each other: orders and answers as JSON, and sockets with them.

Theory of operation. A pair of stream sockets, made before the fork. A message is its length in four octets, then JSON;
sockets travel with its first octets (SCM_RIGHTS), and the message says how many are its own. Either side asks and
either pushes; an answer carries the number of what was asked. The end of the stream means that the other process is
gone, however it went.
"""

from __future__ import annotations

import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from revproxy.errors import ConfigError

_log = Logger()

READ: Final = 1 << 18
MOST_SOCKETS: Final = 200
"""Sockets in one message; Linux takes 253."""
_LENGTH: Final = struct.Struct("!I")

Obey = Callable[[str, dict[str, Any], Sequence[socket.socket]], Any]
"""Does what is asked: order, arguments, sockets → a JSON value or a Deferred of one; raises ConfigError to refuse."""


class Refused(Exception):
    """The other process could not do it; the text says why."""


@implementer(IReadDescriptor, IWriteDescriptor)
class Link:
    """One end.

    :param obey: does what the other end asks.
    :param pushed: hears what the other end says without being asked: kind, value.
    :param lost: called once, when the other process is gone or the link was closed.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Any,
        obey: Obey,
        pushed: Callable[[str, Any], None],
        lost: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reactor = reactor
        self._obey = obey
        self._pushed = pushed
        self._lost = lost
        self._unread = bytearray()
        self._came: deque[socket.socket] = deque()
        self._unsent: deque[tuple[memoryview, tuple[socket.socket, ...]]] = deque()
        self._asked: dict[int, Deferred[Any]] = {}
        self._count = 0
        self.closed = False

    def start(self) -> None:
        """Begins to listen."""
        self._reactor.addReader(self)

    def ask(
        self, order: str, arguments: dict[str, Any] | None = None, sockets: Sequence[socket.socket] = ()
    ) -> Deferred[Any]:
        """Asks the other process to do something. Fails with Refused, or ConnectionLost when it goes first."""
        answered: Deferred[Any] = Deferred()
        if self.closed:
            answered.errback(Failure(ConnectionLost("the process is gone")))
            return answered
        self._count += 1
        self._asked[self._count] = answered
        self._send({"ask": self._count, "order": order, "arguments": arguments or {}}, sockets)
        return answered

    def push(self, kind: str, value: Any) -> None:
        """Tells something that needs no answer."""
        if not self.closed:
            self._send({"push": kind, "value": value})

    @property
    def waiting(self) -> int:
        """Messages that the kernel has not taken yet."""
        return len(self._unsent)

    def close(self) -> None:
        """Ends; what was asked fails."""
        if self.closed:
            return
        self.closed = True
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._socket.close()
        for sock in self._came:
            sock.close()
        self._unsent.clear()
        asked, self._asked = self._asked, {}
        for answered in asked.values():
            answered.errback(Failure(ConnectionLost("the process is gone")))
        self._lost()

    def close_copy(self) -> None:
        """Closes the descriptor alone: the copy of a link that is another process's."""
        self.closed = True
        self._socket.close()

    # Out.

    def _send(self, message: dict[str, Any], sockets: Sequence[socket.socket] = ()) -> None:
        if len(sockets) > MOST_SOCKETS:
            raise ValueError(f"{len(sockets)} sockets are too many for one message")
        message["sockets"] = len(sockets)
        octets = json.dumps(message).encode("ascii")
        # Whoever gave them may close its own at once.
        held = tuple(sock.dup() for sock in sockets)
        self._unsent.append((memoryview(_LENGTH.pack(len(octets)) + octets), held))
        if len(self._unsent) == 1:
            self.doWrite()

    def doWrite(self) -> None:
        """The kernel takes more."""
        while self._unsent:
            octets, sockets = self._unsent[0]
            try:
                if sockets:
                    sent = socket.send_fds(self._socket, [octets], [sock.fileno() for sock in sockets])
                else:
                    sent = self._socket.send(octets)
            except (BlockingIOError, InterruptedError):
                self._reactor.addWriter(self)
                return
            except OSError:
                # Its end is read as well, and that is where it is dealt with.
                self._unsent.clear()
                break
            for sock in sockets:
                sock.close()
            if sent < len(octets):
                self._unsent[0] = (octets[sent:], ())
            else:
                self._unsent.popleft()
        self._reactor.removeWriter(self)

    # In.

    def doRead(self) -> None:
        """Something came."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, READ, MOST_SOCKETS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            came = socket.socket(fileno=descriptor)
            # Python takes it for one that blocks, and would make it so, for all processes that share it.
            came.setblocking(False)
            came.set_inheritable(False)
            self._came.append(came)
        if not data:
            self.close()
            return
        self._unread += data
        while len(self._unread) >= _LENGTH.size and not self.closed:
            (length,) = _LENGTH.unpack_from(self._unread)
            end = _LENGTH.size + length
            if len(self._unread) < end:
                return
            message = json.loads(self._unread[_LENGTH.size : end])
            del self._unread[:end]
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        sockets = [self._came.popleft() for _ in range(message["sockets"])]
        if "order" in message:
            number = message["ask"]
            done = maybeDeferred(self._obey, message["order"], message["arguments"], sockets)
            done.addCallback(lambda value: self._answer({"answer": number, "value": value}))
            done.addErrback(self._failed, number)
            done.addErrback(lambda failure: _log.failure("a message could not be sent", failure))
        elif "push" in message:
            self._pushed(message["push"], message["value"])
        else:
            answered = self._asked.pop(message["answer"], None)
            if answered is None:
                return
            if "error" in message:
                answered.errback(Failure(Refused(message["error"])))
            else:
                answered.callback(message["value"])

    def _failed(self, failure: Failure, number: int) -> None:
        if not failure.check(ConfigError, Refused):
            _log.failure("an order failed", failure)
        self._answer({"answer": number, "error": failure.getErrorMessage() or type(failure.value).__name__})

    def _answer(self, message: dict[str, Any]) -> None:
        if not self.closed:
            self._send(message)

    # What the reactor asks.

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "revproxy link"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""
        self.close()


