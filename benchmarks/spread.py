"""``python -m benchmarks.spread``: how evenly connections spread over processes that accept from one address.

Three arrangements: all wait on one socket that they inherited; the same, with the turns of ``service/board.py``; and
a socket for each with SO_REUSEPORT, where the kernel chooses by a hash of both addresses. Clients come from one
address or from many, with connections that last or with short ones. What is printed is the share of the process that
got the most: of two processes, 50 % is even.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from benchmarks.table import plain
from revproxy.service.board import Board, Sums, Turn
from revproxy.wire.listen import ListeningPort
from revproxy.wire.reactor import QuietEPollReactor
from revproxy.wire.sweep import Sweep

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LASTING: Final = 64
SHORT: Final = 2000
PERIOD: Final = 1.5
"""Seconds for which lasting connections are used."""
ARRANGEMENTS: Final = ("one socket", "one socket, in turns", "SO_REUSEPORT")


@implementer(IReadDescriptor)
class Connection:
    """Answers every read."""

    def __init__(self, sock: socket.socket, process: Process) -> None:
        self._socket = sock
        self._process = process
        process.reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor."""
        return self._socket.fileno()

    def doRead(self) -> None:
        """A request came, or the end."""
        try:
            came = self._socket.recv(4096)
        except OSError:
            came = b""
        if came:
            self._socket.send(ANSWER)
            self._process.answered()
        else:
            self._process.reactor.removeReader(self)
            self._process.open -= 1
            self._socket.close()

    def logPrefix(self) -> str:
        """Twisted's log shows this."""
        return "spread"

    def connectionLost(self, reason: Any) -> None:
        """The reactor ends."""


class Process:
    """One that serves; what it did stands in its slot of the board: connections as requests, requests as refused."""

    def __init__(self, number: int, sock: socket.socket, board: Board, tally: Board, *, in_turns: bool) -> None:
        self.reactor: Any = QuietEPollReactor()
        self.open = 0
        self._number = number
        self._board = board
        self._tally = tally
        self._accepted = 0
        self._answered = 0
        sweep = Sweep(self.reactor)
        port = ListeningPort(sock, self.reactor, sweep, self._accept)
        if in_turns:
            port.is_its_turn = Turn(board, number, lambda: self.open, sweep.now).take
        sweep.on_tick.append(self._beat)
        sweep.start()
        self._beat(sweep.now())
        port.start()

    def _accept(self, sock: socket.socket, address: Any) -> None:
        self.open += 1
        self._accepted += 1
        self._show()
        Connection(sock, self)

    def answered(self) -> None:
        """One more."""
        self._answered += 1
        self._show()

    def _show(self) -> None:
        self._tally.write(self._number, 1.0, Sums(self._accepted, self._answered))

    def _beat(self, now: float) -> None:
        self._board.write(self._number, now, Sums(self.open))


def listening(port: int, *, reuse: bool) -> socket.socket:
    """A socket of 127.0.0.1."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(1024)
    sock.setblocking(False)
    return sock


def serve(arrangement: str, count: int, tally: Board) -> tuple[list[int], int, list[socket.socket]]:
    """Starts processes: their ids, the port, and the sockets, which are the caller's."""
    reuse = arrangement == "SO_REUSEPORT"
    first = listening(0, reuse=reuse)
    port = first.getsockname()[1]
    sockets = [first, *(listening(port, reuse=True) for _ in range(count - 1 if reuse else 0))]
    board = Board(count)
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            status = 1
            try:
                sock = sockets[number if reuse else 0].dup()
                process = Process(number, sock, board, tally, in_turns=arrangement == "one socket, in turns")
                process.reactor.run(installSignalHandlers=False)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    time.sleep(0.3)
    return children, port, sockets


def lasting(port: int, addresses: list[str]) -> None:
    """Connections that are opened one after the other, and all used from then on."""
    socks = []
    for number in range(LASTING):
        source = (addresses[number % len(addresses)], 0)
        sock = socket.create_connection(("127.0.0.1", port), source_address=source)
        sock.sendall(REQUEST)
        sock.recv(4096)
        socks.append(sock)
    enough = time.monotonic() + PERIOD

    def use(mine: list[socket.socket]) -> None:
        while time.monotonic() < enough:
            for sock in mine:
                sock.sendall(REQUEST)
            for sock in mine:
                sock.recv(4096)

    threads = [threading.Thread(target=use, args=(socks[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sock in socks:
        sock.close()


def short(port: int, addresses: list[str]) -> None:
    """Connections of one request each, from four clients at once."""

    def use(part: int) -> None:
        for number in range(part, SHORT, 4):
            source = (addresses[number % len(addresses)], 0)
            with socket.create_connection(("127.0.0.1", port), source_address=source) as sock:
                sock.sendall(REQUEST)
                sock.recv(4096)

    threads = [threading.Thread(target=use, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def share(figures: list[int]) -> str:
    """Of the one with the most."""
    return f"{100 * max(figures) / max(sum(figures), 1):.0f} %"


Clients = Callable[[int, list[str]], None]


def measured(arrangement: str, count: int, clients: Clients, addresses: list[str]) -> list[str]:
    """A row of the table."""
    tally = Board(count)
    children, port, sockets = serve(arrangement, count, tally)
    try:
        clients(port, addresses)
        found = [tally.read(number) for number in range(count)]
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        for sock in sockets:
            sock.close()
    return [share([sums.connections for sums in found]), share([sums.in_flight for sums in found])]


def main() -> int:
    """Prints the table."""
    count = 2
    rows: list[tuple[str, ...]] = [("arrangement", "clients", "addresses", "busiest: connections", "requests")]
    many = [f"127.0.0.{number}" for number in range(2, 66)]
    for arrangement in ARRANGEMENTS:
        for name, clients in (("64 that last", lasting), ("2,000 short", short)):
            for addresses in (many, ["127.0.0.1"]):
                row = measured(arrangement, count, clients, addresses)
                rows.append((arrangement, name, str(len(addresses)), *row))
    print(plain(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
