"""What a supervisor is told, second by second, and what happens when it does not listen."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.logger import capturedLogs

from revproxy.config.model import AccessLog, Config, Limits, Listener, Route, Site
from revproxy.service.notify import Datagrams, Figures, Notifications, listen_to, status
from revproxy.service.proxy import ProxyService
from tests.service.secured import Page
from tests.support.sockets import Turns

PID = 4711


class Told:
    """A supervisor, and what it heard."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.failure: OSError | None = None
        self.closed = False

    def send(self, message: bytes) -> None:
        assert not self.closed
        if self.failure is not None:
            raise self.failure
        self.messages.append(dict(line.split("=", 1) for line in message.decode("ascii").split("\n")))

    def close(self) -> None:
        self.closed = True

    def fresh(self) -> list[dict[str, str]]:
        messages, self.messages = self.messages, []
        return messages


class Running:
    """A service with figures that a test names."""

    def __init__(self, watchdog: float | None = None) -> None:
        self.told = Told()
        self.notifications = Notifications(self.told, watchdog)
        self.now = 100.0
        self.figures = Figures(0, 0)

    def ready(self) -> None:
        self.notifications.ready(self.now, lambda: self.figures)

    def tick(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1
            self.notifications.tick(self.now)


def test_nothing_is_said_before_it_is_ready() -> None:
    running = Running(watchdog=2.0)
    running.tick(10)
    assert running.told.messages == []
    running.ready()
    assert running.told.messages == [{"READY": "1", "STATUS": "serving", "WATCHDOG": "1"}]


def test_figures_every_five_seconds_and_only_if_they_changed() -> None:
    running = Running()
    running.figures = Figures(0, 1000)
    running.ready()
    running.told.fresh()
    running.figures = Figures(1, 1012)
    running.tick(4)
    assert running.told.fresh() == []
    running.tick()
    assert running.told.fresh() == [{"STATUS": "serving: 1 connection, 2.4 requests/s"}]
    running.figures = Figures(3, 2012)
    running.tick(5)
    assert running.told.fresh() == [{"STATUS": "serving: 3 connections, 200 requests/s"}]
    running.figures = Figures(3, 3012)
    running.tick(10)
    assert running.told.fresh() == [{"STATUS": "serving: 3 connections, 0 requests/s"}]
    running.tick(100)
    assert running.told.fresh() == []


@pytest.mark.parametrize(("watchdog", "beats"), [(30.0, 4), (10.0, 12), (3.0, 60), (2.0, 60), (1.0, 60)])
def test_signs_of_life_at_half_the_interval(watchdog: float, beats: int) -> None:
    running = Running(watchdog)
    running.ready()
    at = []
    running.told.fresh()
    for _ in range(60):
        running.tick()
        if any("WATCHDOG" in message for message in running.told.fresh()):
            at.append(running.now)
    assert len(at) == beats
    assert all(later - earlier <= max(watchdog / 2, 1) for earlier, later in itertools.pairwise(at))


@pytest.mark.parametrize(("watchdog", "warns"), [(2.0, False), (1.9, True)])
def test_an_interval_that_is_too_short_is_said(watchdog: float, warns: bool) -> None:
    with capturedLogs() as logs:
        Running(watchdog).ready()
    assert bool(logs) is warns


def test_the_end() -> None:
    running = Running(watchdog=4.0)
    running.ready()
    running.told.fresh()
    running.figures = Figures(2, 10)
    running.tick()
    running.told.fresh()
    running.notifications.stopping(running.now, 600.0)
    assert running.told.fresh() == [
        {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "605000000", "STATUS": "ending: 2 connections left, cut in 600 s"}
    ]
    # It lives on while it drains.
    running.tick(5)
    beats = running.told.fresh()
    assert {"WATCHDOG": "1"} in beats
    assert any(message.get("STATUS") == "ending: 2 connections left, cut in 595 s" for message in beats)
    # A turn that comes late makes nothing ready again.
    running.ready()
    assert all("READY" not in message for message in running.told.fresh())
    running.notifications.close()
    running.notifications.close()
    assert running.told.closed
    running.tick()


def test_an_end_before_it_was_ready() -> None:
    running = Running(watchdog=4.0)
    running.notifications.stopping(running.now, 0.0)
    running.ready()
    assert running.told.fresh() == [{"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "5000000", "STATUS": "ending"}]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ECONNREFUSED, errno.ENOENT, errno.EACCES])
def test_what_cannot_be_sent_is_sent_later_and_said_once(number: int) -> None:
    running = Running()
    running.told.failure = OSError(number, os.strerror(number))
    with capturedLogs() as logs:
        running.ready()
        running.figures = Figures(1, 0)
        running.tick(10)
        assert len(logs) == 1
        running.told.failure = None
        running.tick()
        # The newest of each.
        assert running.told.fresh() == [{"READY": "1", "STATUS": "serving: 1 connection, 0 requests/s"}]
        running.told.failure = OSError(number, os.strerror(number))
        running.figures = Figures(2, 0)
        running.tick(5)
    assert len(logs) == 2


@pytest.mark.parametrize(
    ("figures", "rate", "left", "text"),
    [
        (Figures(0, 0), 0.0, None, "serving: 0 connections, 0 requests/s"),
        (Figures(1, 9), 0.24, None, "serving: 1 connection, 0.2 requests/s"),
        (Figures(1, 9), 9.94, None, "serving: 1 connection, 9.9 requests/s"),
        (Figures(12, 9), 2345.6, None, "serving: 12 connections, 2346 requests/s"),
        (Figures(1, 9), 2345.6, 3.2, "ending: 1 connection left, cut in 3 s"),
        (Figures(1, 9), 0.0, -1.0, "ending: 1 connection left, cut in 0 s"),
        (Figures(0, 9), 0.0, 3.0, "ending"),
    ],
)
def test_status(figures: Figures, rate: float, left: float | None, text: str) -> None:
    assert status(figures, rate, left) == text


# The environment, and real sockets.


@contextmanager
def hearing(address: str | bytes) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.setblocking(False)
        yield ear


def heard(ear: socket.socket) -> list[bytes]:
    messages = []
    try:
        while True:
            messages.append(ear.recv(4096))
    except BlockingIOError:
        return messages


def test_a_path_and_the_abstract_namespace(tmp_path: Path) -> None:
    name = f"revproxy-notify-{os.getpid()}"
    for bound, address in ((str(tmp_path / "n.sock"),) * 2, (b"\0" + name.encode(), f"@{name}")):
        with hearing(bound) as ear:
            environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": str(PID), "A": "b"}
            notifications = listen_to(environment, PID)
            assert environment == {"A": "b"}
            notifications.ready(0.0, lambda: Figures(0, 0))
            assert heard(ear) == [b"READY=1\nSTATUS=serving\nWATCHDOG=1"]
            notifications.close()


@pytest.mark.parametrize(
    ("interval", "watched", "beats"),
    [
        ("4000000", None, True),
        ("4000000", "4712", False),
        ("0", None, False),
        ("soon", None, False),
        (None, None, False),
    ],
)
def test_the_watchdog_of_the_environment(
    tmp_path: Path, interval: str | None, watched: str | None, beats: bool
) -> None:
    said = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": interval, "WATCHDOG_PID": watched}
    with hearing(str(tmp_path / "n")) as ear:
        notifications = listen_to({name: value for name, value in said.items() if value is not None}, PID)
        notifications.ready(0.0, lambda: Figures(0, 0))
        assert [b"WATCHDOG" in message for message in heard(ear)] == [beats]
        notifications.close()


@pytest.mark.parametrize("address", ["vsock:2:1234", "relative", "@", "/"])
def test_an_address_that_is_none_of_ours(address: str) -> None:
    with pytest.raises(ValueError, match="neither an absolute path nor @name"):
        Datagrams(address)
    with capturedLogs() as logs:
        notifications = listen_to({"NOTIFY_SOCKET": address}, PID)
        notifications.ready(0.0, lambda: Figures(0, 0))
    [event] = logs
    assert event["address"] == address


def test_nobody_listens() -> None:
    with capturedLogs() as logs:
        notifications = listen_to({"WATCHDOG_USEC": "1"}, PID)
        notifications.ready(0.0, lambda: Figures(0, 0))
        notifications.tick(1.0)
        notifications.stopping(1.0, 1.0)
        notifications.close()
    assert logs == []


@pytest.mark.parametrize("log", ["off", "access.log"])
def test_a_whole_service(tmp_path: Path, log: str) -> None:
    path = tmp_path / "front.sock"
    config = Config(
        listeners=(Listener(address=f"unix:{path}"),),
        sites=(Site(hosts=("*",), routes=(Route(resource=Page()),)),),
        access_log=AccessLog(path=None if log == "off" else str(tmp_path / log)),
        limits=Limits(drain_timeout=7.0),
    )
    turns = Turns()
    with hearing(str(tmp_path / "n")) as ear:
        environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "10000000"}
        service = ProxyService(config, turns, environment)
        service.sweep.now = turns.seconds
        service.startService()
        # Not before the reactor's first turn.
        assert heard(ear) == []
        turns.advance(0)
        assert heard(ear) == [b"READY=1\nSTATUS=serving\nWATCHDOG=1"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.setblocking(False)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
            turns.settle()
            for _ in range(5):
                turns.advance(1)
            assert heard(ear) == [b"WATCHDOG=1\nSTATUS=serving: 1 connection, 1.0 requests/s"]
            service.stopService()
            [message] = heard(ear)
            assert message.startswith(b"STOPPING=1\nEXTEND_TIMEOUT_USEC=12000000\nSTATUS=ending")
            turns.settle()
            turns.advance(1)
        assert service.notifications._supervisor is None
