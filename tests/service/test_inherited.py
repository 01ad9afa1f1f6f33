"""Sockets from systemd: what the environment says against the descriptors that are there, and whose the files are."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import capturedLogs

from revproxy.config.model import AccessLog, Config, Listener, Route, Site
from revproxy.errors import ConfigError
from revproxy.service.inherited import InheritedSockets, inherit, restored
from revproxy.service.listeners import bind, release
from revproxy.service.proxy import ProxyService
from tests.service.secured import Page
from tests.support.sockets import Turns

PID = 4711


@attrs.define
class Given:
    """Descriptors in a row, as after exec."""

    first: int
    count: int = 0

    def add(self, sock: socket.socket | int) -> None:
        fd = sock if isinstance(sock, int) else sock.fileno()
        os.dup2(fd, self.first + self.count, inheritable=True)
        self.count += 1

    def environment(self, names: str | None, **more: str) -> dict[str, str]:
        said = {"LISTEN_PID": str(PID), "LISTEN_FDS": str(self.count), "PATH": "/bin"}
        return said | ({"LISTEN_FDNAMES": names} if names is not None else {}) | more

    def inherit(self, names: str | None, **more: str) -> InheritedSockets:
        return inherit(self.environment(names, **more), PID, self.first)

    def is_open(self, number: int = 0) -> bool:
        try:
            os.fstat(self.first + number)
        except OSError:
            return False
        return True


@pytest.fixture
def given() -> Iterator[Given]:
    given = Given(900)
    yield given
    for number in range(given.count):
        if given.is_open(number):
            os.close(given.first + number)


def tcp(*, listens: bool = True) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0)) if listens else socket.socket()


def closed(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def test_sockets_are_taken_by_their_name(given: Given, tmp_path: Path) -> None:
    with tcp() as web, tcp() as other, socket.socket(socket.AF_UNIX) as local:
        local.bind(str(tmp_path / "x.sock"))
        local.listen()
        for sock in (web, other, local):
            given.add(sock)
        environment = given.environment("web:local:web")
        # The names are in the order of the descriptors.
        inherited = inherit(environment, PID, given.first)
        assert environment == {"PATH": "/bin"}
        taken = inherited.take("web")
        assert [sock.getsockname() for sock in taken] == [web.getsockname(), str(tmp_path / "x.sock")]
        [second] = inherited.take("local")
        assert second.getsockname() == other.getsockname()
        for sock in (*taken, second):
            assert not sock.getblocking()
            assert not sock.get_inheritable()
            if sock.family == socket.AF_INET:
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        closed([*taken, second])
        with pytest.raises(ConfigError, match='no socket named "web"'):
            inherited.take("web")


def test_without_names_they_are_called_unknown(given: Given) -> None:
    with tcp() as web:
        given.add(web)
        closed(given.inherit(None).take("unknown"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"LISTEN_FDS": "many"}, "LISTEN_FDS='many' is no number"),
        ({"LISTEN_FDS": "-1"}, "is no number"),
        ({"LISTEN_FDS": "²"}, "is no number"),
        ({"LISTEN_FDS": "2"}, "names 1 sockets, and LISTEN_FDS says 2"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b"}, "descriptor 901 is not open"),
    ],
)
def test_an_environment_that_contradicts_itself(given: Given, more: dict[str, str], message: str) -> None:
    with tcp() as web:
        given.add(web)
        with pytest.raises(ConfigError, match=message):
            given.inherit("web", **more)


@pytest.mark.parametrize("pid", ["4712", "", "x"])
def test_what_is_meant_for_another_process_is_left_alone(given: Given, pid: str) -> None:
    with tcp() as web:
        given.add(web)
        inherited = given.inherit("web", LISTEN_PID=pid)
        with pytest.raises(ConfigError, match=r"meant for process .* and this is 4711.*must use exec"):
            inherited.take("web")
        inherited.close_rest()
        assert given.is_open()


def test_no_systemd_at_all() -> None:
    with pytest.raises(ConfigError, match='gave no socket named "web": this process was not started by a socket unit'):
        inherit({}, PID).take("web")


def test_no_such_name(given: Given) -> None:
    with tcp() as web:
        given.add(web)
        inherited = given.inherit("revproxy.socket")
        with pytest.raises(ConfigError, match=r'no socket named "web": it gave "revproxy.socket" \(see FileDescriptor'):
            inherited.take("web")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("not listening", "does not listen"),
        ("connection", "Accept=no"),
        ("datagrams", "no stream socket"),
        ("packets", "no stream socket"),
        ("pipe", "is no socket"),
    ],
)
def test_what_cannot_be_accepted_from(given: Given, kind: str, message: str) -> None:
    left, right = socket.socketpair()
    with left, right, tcp(listens=False) as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        packets = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends = os.pipe()
        with packets, open(ends[0], "rb") as reading, open(ends[1], "wb"):
            kinds: dict[str, Any] = {"not listening": idle, "connection": left, "datagrams": datagrams}
            with tcp() as good:
                given.add(good)
            given.add((kinds | {"packets": packets, "pipe": reading})[kind])
        with pytest.raises(ConfigError, match=f'"web" from systemd.*{message}'):
            given.inherit("web:web").take("web")
        # Those that were good are let go.
        assert not given.is_open(0)


def test_what_nobody_listens_to_is_closed_and_said(given: Given) -> None:
    with tcp() as one, tcp() as other:
        given.add(one)
        given.add(other)
        with capturedLogs() as logs:
            bound = bind([Listener(address="systemd:web")], given.inherit("web:old"))
        closed([sock for _, sock in bound])
        assert not given.is_open(1)
        [event] = logs
        assert (event["name"], event["log_level"].name) == ("old", "warn")


def test_several_sockets_of_one_name_are_one_listener(given: Given) -> None:
    with tcp() as one, tcp() as other:
        given.add(one)
        given.add(other)
        listener = Listener(address="systemd:web")
        bound = bind([listener], given.inherit("web:web"))
        assert [options for options, _ in bound] == [listener, listener]
        release(bound)


def test_a_socket_that_is_missing_gives_up_the_others(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    with tcp() as web:
        given.add(web)
        listeners = [Listener(address=f"unix:{path}"), Listener(address="systemd:web"), Listener(address="systemd:no")]
        with pytest.raises(ConfigError, match='no socket named "no"'):
            bind(listeners, given.inherit("web"))
    assert not path.exists()


@pytest.mark.parametrize("started", [False, True])
def test_the_file_of_an_inherited_socket_stays(
    given: Given, tmp_path: Path, started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "systemd.sock"
    own = tmp_path / "own.sock"
    with closing(socket.socket(socket.AF_UNIX)) as held:
        held.bind(str(path))
        held.listen()
        given.add(held)
        config = Config(
            listeners=(Listener(address="systemd:web"), Listener(address=f"unix:{own}")),
            sites=(Site(hosts=("*",), routes=(Route(resource=Page()),)),),
            access_log=AccessLog(path="off"),
        )
        turns = Turns()
        monkeypatch.setattr(inherit, "__defaults__", (given.first,))
        environment = given.environment("web", LISTEN_PID=str(os.getpid()))
        service = ProxyService(config, turns, environment)
        assert environment == {"PATH": "/bin"}
        if started:
            service.startService()
            assert [acceptor.shown for acceptor in service.acceptors] == [f"unix:{path}", f"unix:{own}"]
        service.stopService()
        assert path.exists()
        assert not own.exists()
        # Whoever comes between two runs waits for the next one.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_an_abstract_socket_is_shown_as_systemd_writes_it(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(b"\0revproxy-test-%d" % os.getpid())
        held.listen()
        given.add(held)
        monkeypatch.setattr(inherit, "__defaults__", (given.first,))
        config = Config(
            listeners=(Listener(address="systemd:web"),),
            sites=(Site(hosts=("*",), routes=(Route(resource=Page()),)),),
            access_log=AccessLog(path="off"),
        )
        service = ProxyService(config, Turns(), given.environment("web", LISTEN_PID=str(os.getpid())))
        service.startService()
        assert service.acceptors[0].shown == f"unix:@revproxy-test-{os.getpid()}"
        service.stopService()


# What Twisted takes away.


def test_what_the_process_was_started_with_is_put_back(tmp_path: Path) -> None:
    original = tmp_path / "environ"
    original.write_bytes(b"A=b\0LISTEN_PID=4711\0LISTEN_FDS=1\0LISTEN_FDNAMES=web\0NOTIFY_SOCKET=/x\0odd\0")
    assert restored({"LISTEN_FDNAMES": "mine"}, str(original)) == {
        "LISTEN_FDNAMES": "mine",
        "LISTEN_PID": "4711",
        "LISTEN_FDS": "1",
    }
    assert restored({"A": "c"}, str(tmp_path / "missing")) == {"A": "c"}
