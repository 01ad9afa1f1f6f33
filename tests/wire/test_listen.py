"""Listening: what can't be bound is said so that a person can act; no failure to accept ends the service or spins."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from revproxy.errors import ConfigError
from revproxy.wire.listen import BATCH, ListeningPort, bind_tcp, bind_unix
from revproxy.wire.sweep import Sweep

# Binding.


def bound(sock: socket.socket) -> Any:
    """The address of a socket that listens without blocking."""
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    assert sock.gettimeout() == 0
    return sock.getsockname()


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_an_address_is_bound(host: str, family: int) -> None:
    with closing(bind_tcp(host, 0, 10)) as sock:
        assert bound(sock)[0] == host
        assert sock.family == family
        # Every accepted connection inherits it.
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_no_host_is_every_address() -> None:
    with closing(bind_tcp("", 0, 10)) as sock:
        port = bound(sock)[1]
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), timeout=5):
                pass


def test_no_host_where_ipv6_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    monkeypatch.setattr("revproxy.wire.listen.socket.socket", without_ipv6)
    sock = bind_tcp("", 0, 10)
    with closing(sock):
        assert bound(sock)[0] == "0.0.0.0"


def test_only_ipv6_is_bound_where_it_is_named() -> None:
    with closing(bind_tcp("::", 0, 10)) as six:
        port = bound(six)[1]
        with closing(bind_tcp("0.0.0.0", port, 10)) as four:
            assert bound(four)[1] == port


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", ""])
def test_a_port_that_is_taken(host: str) -> None:
    with closing(bind_tcp(host, 0, 10)) as first:
        port = bound(first)[1]
        with pytest.raises(ConfigError) as mistake:
            bind_tcp(host, port, 10)
    shown = "[::1]" if host == "::1" else host
    assert str(mistake.value) == f"can't listen on {shown}:{port}: another process listens there already"


def test_an_address_that_is_not_here() -> None:
    # TEST-NET-1 of RFC 5737 §3 belongs to no machine.
    with pytest.raises(ConfigError, match=r"can't listen on 192\.0\.2\.1:0: this machine does not have that address"):
        bind_tcp("192.0.2.1", 0, 10)


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("revproxy.wire.listen.socket.getaddrinfo", unknown)
    with pytest.raises(ConfigError, match=r"can't listen on front\.invalid:80: Name or service not known"):
        bind_tcp("front.invalid", 80, 10)


def test_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    # Tests may run as root, who may bind anything.
    forbidding = type("forbidding", (socket.socket,), {"bind": refuse})
    monkeypatch.setattr("revproxy.wire.listen.socket.socket", forbidding)
    with pytest.raises(ConfigError, match=r"no permission \(ports below 1024 need root or CAP_NET_BIND_SERVICE\)"):
        bind_tcp("127.0.0.1", 80, 10)


def test_no_descriptor_to_bind_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("revproxy.wire.listen.socket.socket", exhausted)
    with pytest.raises(ConfigError, match=r"can't listen on 127\.0\.0\.1:0: Too many open files"):
        bind_tcp("127.0.0.1", 0, 10)


# Unix sockets.


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "front.sock")


def test_a_unix_socket_that_was_left_behind_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
        left.listen()
    with closing(bind_unix(path, 10)) as sock:
        assert bound(sock) == path
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_a_unix_socket_that_lives_is_left_alone(path: str) -> None:
    with closing(bind_unix(path, 10)):
        with pytest.raises(ConfigError) as mistake:
            bind_unix(path, 10)
        assert str(mistake.value) == f"can't listen on unix:{path}: another process listens there already"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


@pytest.mark.parametrize("kind", ["file", "folder", "link to a file", "link to nothing"])
def test_what_is_no_socket_is_never_deleted(tmp_path: Path, path: str, kind: str) -> None:
    there = Path(path)
    if kind == "file":
        there.write_text("precious")
    elif kind == "folder":
        there.mkdir()
    else:
        (tmp_path / "target").write_text("precious")
        there.symlink_to(tmp_path / ("target" if kind == "link to a file" else "nothing"))
    before = os.lstat(path)
    with pytest.raises(ConfigError) as mistake:
        bind_unix(path, 10)
    assert str(mistake.value) == f"can't listen on unix:{path}: something that is no socket is there already"
    assert os.lstat(path) == before


def test_a_unix_socket_in_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file or directory"):
        bind_unix(str(tmp_path / "nowhere" / "front.sock"), 10)


def test_a_unix_socket_whose_path_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="path too long"):
        bind_unix(str(tmp_path / ("x" * 120)), 10)


# Accepting.


class PlayedSocket:
    """A listening socket whose waiting connections and failures a test names."""

    family = socket.AF_INET

    def __init__(self) -> None:
        self.waiting: deque[OSError | str] = deque()
        self.accepts = 0
        self.closed = False
        self.blocks = True

    def setblocking(self, blocks: bool) -> None:
        self.blocks = blocks

    def accept(self) -> tuple[PlayedConnection, tuple[str, int]]:
        assert not self.closed
        assert not self.blocks
        self.accepts += 1
        if not self.waiting:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        if isinstance(self.waiting[0], OSError) and self.waiting[0].errno == errno.EMFILE:
            # As long as there is no descriptor, nothing changes.
            raise self.waiting[0]
        first = self.waiting.popleft()
        if isinstance(first, OSError):
            raise first
        return PlayedConnection(), (first, 1)

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8080

    def fileno(self) -> int:
        return -1 if self.closed else 7

    def close(self) -> None:
        self.closed = True


class PlayedConnection:
    """An accepted connection."""

    blocking = True

    def setblocking(self, on: bool) -> None:
        self.blocking = on


class PlayedReactor:
    """Gives a turn to whoever reads, as long as it is readable."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        assert reader not in self.readers
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Bench:
    """A listening port, the connections it gave away, and what it logged."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sweep = Sweep(self.clock, now=self.clock.seconds)
        self.sweep.start()
        self.reactor = PlayedReactor()
        self.socket = PlayedSocket()
        self.accepted: list[str] = []
        self.logged: list[str] = []
        self.port = ListeningPort(
            self.socket,  # type: ignore[arg-type]  # a socket by its behaviour
            self.reactor,  # type: ignore[arg-type]  # the calls that are needed
            self.sweep,
            self._accept,
        )
        self.port.start()

    def _accept(self, sock: Any, address: tuple[str, int]) -> None:
        assert sock.blocking is False
        if address[0] == "broken":
            raise ValueError("not this one")
        self.accepted.append(address[0])

    def observe(self, event: LogEvent) -> None:
        self.logged.append(formatEvent(event))

    def turn(self) -> None:
        """The reactor finds the socket readable, where anybody asks."""
        for reader in list(self.reactor.readers):
            reader.doRead()


@contextmanager
def observed(bench: Bench) -> Iterator[None]:
    globalLogPublisher.addObserver(bench.observe)  # type: ignore[arg-type]  # a function observes as well
    try:
        yield
    finally:
        globalLogPublisher.removeObserver(bench.observe)  # type: ignore[arg-type]  # as above


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with observed(bench):
        yield bench


OUT_OF_DESCRIPTORS = OSError(errno.EMFILE, "Too many open files")


def test_all_that_wait_are_accepted(bench: Bench) -> None:
    bench.socket.waiting.extend(["a", "b", "c"])
    bench.turn()
    assert bench.accepted == ["a", "b", "c"]
    assert bench.socket.accepts == 4


def test_a_flood_is_accepted_in_batches(bench: Bench) -> None:
    bench.socket.waiting.extend(str(number) for number in range(2 * BATCH + 1))
    taken = []
    for _ in range(4):
        bench.turn()
        taken.append(len(bench.accepted))
    assert taken == [BATCH, 2 * BATCH, 2 * BATCH + 1, 2 * BATCH + 1]


def test_without_descriptors_accepting_pauses_until_the_sweep(bench: Bench) -> None:
    bench.socket.waiting.extend(["a", OUT_OF_DESCRIPTORS, "b"])
    bench.turn()
    assert bench.accepted == ["a"]
    # The socket stays readable, and nobody asks it: no busy loop.
    assert bench.reactor.readers == []
    bench.clock.advance(1)
    assert bench.reactor.readers == [bench.port]
    bench.turn()
    assert bench.reactor.readers == []
    # One attempt before it was noticed and one for each second.
    assert bench.socket.accepts == 3
    # Descriptors are free again.
    bench.socket.waiting.popleft()
    bench.clock.advance(1)
    bench.turn()
    assert bench.accepted == ["a", "b"]
    assert bench.reactor.readers == [bench.port]
    assert len(bench.sweep) == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL])
def test_every_failure_of_our_own_pauses(bench: Bench, number: int) -> None:
    bench.socket.waiting.extend([OSError(number, os.strerror(number)), "a"])
    bench.turn()
    assert (bench.accepted, bench.reactor.readers) == ([], [])
    (line,) = bench.logged
    assert os.strerror(number) in line
    # The advice helps where something ran out.
    assert ("limit of open files" in line) == (number != errno.EINVAL)


def test_one_line_a_minute_at_most(bench: Bench) -> None:
    bench.socket.waiting.append(OUT_OF_DESCRIPTORS)
    lines = []
    for _ in range(150):
        bench.turn()
        bench.clock.advance(1)
        lines.append(len(bench.logged))
    assert bench.socket.accepts == 150
    assert (lines[0], lines[59], lines[60], lines[119], lines[120], lines[149]) == (1, 1, 2, 2, 3, 3)
    assert "can't accept on ('127.0.0.1', 8080): Too many open files" in bench.logged[0]


@pytest.mark.parametrize(
    "number",
    [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EINTR, errno.EAGAIN],
)
def test_a_connection_that_was_lost_while_it_waited_is_nothing(bench: Bench, number: int) -> None:
    bench.socket.waiting.extend([OSError(number, os.strerror(number)), "a"])
    bench.turn()
    assert bench.reactor.readers == [bench.port]
    bench.turn()
    assert bench.accepted == ["a"]
    assert bench.logged == []


def test_a_connection_that_breaks_what_takes_it_costs_no_other(bench: Bench) -> None:
    bench.socket.waiting.extend(["a", "broken", "b"])
    bench.turn()
    assert bench.accepted == ["a", "b"]
    assert len(bench.logged) == 1
    assert "failed" in bench.logged[0]


def test_a_stop_is_for_good(bench: Bench) -> None:
    bench.socket.waiting.append(OUT_OF_DESCRIPTORS)
    bench.turn()
    bench.port.stop()
    bench.port.stop()
    bench.clock.advance(2)
    assert bench.socket.closed
    assert bench.reactor.readers == []
    assert (bench.port.fileno(), len(bench.sweep)) == (-1, 0)


def test_a_stop_takes_the_unix_sockets_file_along(bench: Bench, path: str) -> None:
    sock = bind_unix(path, 10)
    port = ListeningPort(sock, bench.reactor, bench.sweep, lambda sock, address: None)  # type: ignore[arg-type]
    port.start()
    assert port.is_unix
    assert os.path.exists(path)
    port.connectionLost(None)
    assert not os.path.exists(path)
    # Or somebody took it away before.
    other = ListeningPort(bind_unix(path, 10), bench.reactor, bench.sweep, lambda sock, address: None)  # type: ignore[arg-type]
    os.unlink(path)
    other.stop()
    assert other.fileno() == -1
