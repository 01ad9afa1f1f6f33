"""A new configuration: everywhere or nowhere, with played workers and real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from revproxy.config.model import Config
from revproxy.errors import ConfigError
from revproxy.service.link import Refused
from revproxy.service.listeners import bind, release
from revproxy.service.members import Member, Proposal
from revproxy.service.notify import Notifications
from revproxy.service.opened import Opened
from revproxy.service.origin import Origin
from revproxy.service.reload import REMEMBERED, STEP_TIME, Reloads

Answer = Callable[[], Deferred[Any]]


class PlayedMember:
    """Notes what it is told, and answers as the test wants."""

    began = 0.0

    def __init__(self, number: int, told: list[tuple[int, str]]) -> None:
        self.number = number
        self.pid = 0
        self.draining = False
        self.proposals: list[Proposal] = []
        self.answers: dict[str, Answer] = {}
        self._told = told

    def _answer(self, order: str) -> Deferred[Any]:
        self._told.append((self.number, order))
        return self.answers.get(order, lambda: succeed(None))()

    def prepare(self, proposal: Proposal) -> Deferred[Any]:
        self.proposals.append(proposal)
        return self._answer("prepare")

    def switch(self) -> Deferred[Any]:
        return self._answer("switch")

    def abandon(self) -> Deferred[Any]:
        return self._answer("abandon")

    def drain(self, seconds: float) -> Deferred[int]:
        return self._answer("drain")

    def ask(self, order: str, arguments: dict[str, Any]) -> Deferred[Any]:
        return self._answer(order)


class PlayedMaster:
    """What ``Reloads`` needs of a master."""

    def __init__(self, file: Path, workers: int) -> None:
        self.clock_ = Clock()
        self.notifications = Notifications()
        self.origin = Origin(file=str(file))
        config = self.origin.config(self.origin.source())
        self.opened = Opened(config, bind(config.listeners), None, None, None)
        self.state = "serving"
        self.workers = workers
        self.told: list[tuple[int, str]] = []
        self.played = [PlayedMember(number, self.told) for number in range(workers)]
        self.members: dict[int, Member] = {member.number: member for member in self.played}
        self.sizes: list[int] = []
        self.reloads = Reloads(self, self.clock_, self.clock_.seconds)

    def clock(self) -> float:
        return self.clock_.seconds()

    def resize(self, workers: int) -> None:
        self.sizes.append(workers)

    def orders(self) -> list[tuple[int, str]]:
        told = self.told[:]
        self.told.clear()
        return told


class File:
    """The configuration that the test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listeners = ["127.0.0.1:0"]
        self.workers = 2
        self.write("http://127.0.0.1:8000")

    def write(self, proxy: str, rest: str = "") -> None:
        lines = [f"workers = {self.workers}"]
        for address in self.listeners:
            lines += ["[[listener]]", f'address = "{address}"']
        lines += ["[[site]]", 'hosts = ["a.example"]', "[[site.route]]", 'path = "/"', f'proxy = "{proxy}"', rest]
        self.path.write_text("\n".join(lines))


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "site.toml")


@pytest.fixture
def master(file: File) -> Iterator[PlayedMaster]:
    made = PlayedMaster(file.path, 2)
    yield made
    made.opened.release()


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "no result yet"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


def proxied(config: Config) -> str | None:
    return config.sites[0].routes[0].proxy


def test_all_prepare_before_any_switches(master: PlayedMaster, file: File) -> None:
    file.write("http://127.0.0.1:9000")
    assert result(master.reloads.reload()).changes
    assert master.orders() == [(0, "prepare"), (1, "prepare"), (0, "switch"), (1, "switch")]
    assert proxied(master.opened.config) == "http://127.0.0.1:9000"
    assert proxied(master.played[1].proposals[0].config) == "http://127.0.0.1:9000"
    assert master.played[1].proposals[0].source == file.path.read_bytes()
    assert master.reloads.source == file.path.read_bytes()
    assert (master.reloads.generation, master.reloads.rollbacks, master.sizes) == (2, 1, [2])
    assert master.reloads.last is not None and master.reloads.last.ok


def test_none_switches_where_one_refuses(master: PlayedMaster, file: File) -> None:
    before = master.opened.config, master.reloads.source
    file.listeners.append("127.0.0.1:0")
    master.played[1].answers["prepare"] = lambda: fail(Refused("that key can't be read"))
    file.listeners = ["127.0.0.1:0", "[::1]:0"]
    file.write("http://127.0.0.1:9000")
    with pytest.raises(ConfigError, match="that key can't be read"):
        result(master.reloads.reload())
    assert master.orders() == [(0, "prepare"), (1, "prepare"), (0, "abandon"), (1, "abandon")]
    assert (master.opened.config, master.reloads.source) == before
    assert (master.reloads.generation, master.reloads.rollbacks, master.reloads.refused) == (1, 0, 1)
    assert master.reloads.last is not None
    assert (master.reloads.last.ok, master.reloads.last.text) == (False, "that key can't be read")
    # The socket that was bound for it is closed.
    ((_, sock),) = master.played[0].proposals[0].added
    assert sock.fileno() == -1


def test_the_same_refusal_of_all_is_said_once(master: PlayedMaster, file: File) -> None:
    for member in master.played:
        member.answers["prepare"] = lambda: fail(ConfigError("no such file"))
    with pytest.raises(ConfigError) as caught:
        result(master.reloads.reload())
    assert str(caught.value) == "no such file"


def test_a_file_with_mistakes_reaches_no_worker(master: PlayedMaster, file: File) -> None:
    file.path.write_text("workers = 2\n[[listner]]\n")
    with pytest.raises(ConfigError, match=r"site\.toml:2:3: listner"):
        result(master.reloads.reload())
    assert master.orders() == []
    file.path.unlink()
    with pytest.raises(ConfigError, match="can't be read"):
        result(master.reloads.reload())
    assert master.orders() == []


def test_a_worker_that_dies_has_no_say(master: PlayedMaster, file: File) -> None:
    file.write("http://127.0.0.1:9000")
    master.played[0].answers["prepare"] = lambda: fail(ConnectionLost("gone"))
    master.played[1].answers["switch"] = lambda: fail(ConnectionLost("gone"))
    result(master.reloads.reload())
    assert proxied(master.opened.config) == "http://127.0.0.1:9000"


def test_a_worker_that_hangs_refuses(master: PlayedMaster) -> None:
    master.played[0].answers["prepare"] = Deferred
    reloading = master.reloads.reload()
    master.clock_.advance(STEP_TIME + 1)
    with pytest.raises(ConfigError):
        result(reloading)
    assert (1, "abandon") in master.orders()


def test_a_worker_that_drains_is_not_asked(master: PlayedMaster) -> None:
    master.played[1].draining = True
    result(master.reloads.reload())
    assert master.orders() == [(0, "prepare"), (0, "switch")]


def test_one_reload_at_a_time(master: PlayedMaster, file: File) -> None:
    slow: Deferred[Any] = Deferred()
    master.played[0].answers["prepare"] = lambda: slow
    first = master.reloads.reload()
    file.write("http://127.0.0.1:9000")
    second = master.reloads.reload()
    assert master.orders() == [(0, "prepare"), (1, "prepare")]
    del master.played[0].answers["prepare"]
    slow.callback(None)
    result(first)
    assert result(second).changes
    assert proxied(master.opened.config) == "http://127.0.0.1:9000"


def test_going_back_twice_and_no_further(master: PlayedMaster, file: File) -> None:
    with pytest.raises(Refused, match="no earlier"):
        result(master.reloads.roll_back())
    for port in (9000, 9001):
        file.write(f"http://127.0.0.1:{port}")
        result(master.reloads.reload())
    texts = []
    for _ in range(2):
        assert result(master.reloads.roll_back()).changes
        texts.append(proxied(master.opened.config))
    assert texts == ["http://127.0.0.1:9000", "http://127.0.0.1:8000"]
    assert master.reloads.rollbacks == 0
    with pytest.raises(Refused):
        result(master.reloads.roll_back())


def test_the_text_goes_back_too(master: PlayedMaster, file: File) -> None:
    first = file.path.read_bytes()
    file.write("http://127.0.0.1:9000")
    result(master.reloads.reload())
    result(master.reloads.roll_back())
    assert master.reloads.source == first
    assert master.played[0].proposals[-1].source == first


def test_a_way_back_that_fails_stays_open(master: PlayedMaster, file: File) -> None:
    file.write("http://127.0.0.1:9000")
    result(master.reloads.reload())
    master.played[0].answers["prepare"] = lambda: fail(ConfigError("the key is gone"))
    with pytest.raises(ConfigError):
        result(master.reloads.roll_back())
    assert master.reloads.rollbacks == 1
    assert proxied(master.opened.config) == "http://127.0.0.1:9000"


def test_what_changes_nothing_is_no_step_back(master: PlayedMaster) -> None:
    assert result(master.reloads.reload()).changes == ()
    assert master.reloads.rollbacks == 0


def test_the_history_is_bounded(master: PlayedMaster, file: File) -> None:
    for port in range(9000, 9000 + REMEMBERED + 5):
        file.write(f"http://127.0.0.1:{port}")
        result(master.reloads.reload())
    assert master.reloads.rollbacks == REMEMBERED


def test_a_plan_does_nothing(master: PlayedMaster, file: File) -> None:
    assert result(master.reloads.plan()).changes == ()
    file.write("http://127.0.0.1:9000")
    assert result(master.reloads.plan()).changes
    assert master.orders() == []
    file.path.write_text("nonsense")
    with pytest.raises(ConfigError):
        result(master.reloads.plan())
    assert master.reloads.last is None


@pytest.mark.parametrize("state", ["starting", "draining", "upgrading"])
def test_only_while_serving(master: PlayedMaster, state: str) -> None:
    master.state = state
    with pytest.raises(Refused, match=state):
        result(master.reloads.reload())


def test_from_several_processes_to_one_is_another_process(master: PlayedMaster, file: File) -> None:
    file.workers = 1
    file.write("http://127.0.0.1:8000")
    with pytest.raises(Refused, match="revproxy upgrade"):
        result(master.reloads.reload())
    file.workers = 3
    file.write("http://127.0.0.1:8000")
    result(master.reloads.reload())
    assert master.sizes == [3]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_listeners_come_and_go(master: PlayedMaster, file: File) -> None:
    port = free_port()
    file.listeners = [f"127.0.0.1:{port}"]
    file.write("http://127.0.0.1:8000")
    result(master.reloads.reload())
    ((_, sock),) = master.opened.sockets
    assert sock.getsockname()[1] == port
    assert accepts(port)
    file.listeners = ["127.0.0.1:0"]
    file.write("http://127.0.0.1:8000")
    result(master.reloads.reload())
    assert not accepts(port)


def test_an_address_in_use_refuses_the_reload(master: PlayedMaster, file: File) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        file.listeners.append("127.0.0.1:%d" % other.getsockname()[1])
        file.write("http://127.0.0.1:9000")
        with pytest.raises(ConfigError, match="another process listens there"):
            result(master.reloads.reload())
    assert master.orders() == []
    assert proxied(master.opened.config) == "http://127.0.0.1:8000"


def test_sockets_of_systemd_come_at_the_start_alone(master: PlayedMaster, file: File) -> None:
    file.listeners.append("systemd:web")
    file.write("http://127.0.0.1:9000")
    with pytest.raises(ConfigError, match=r"systemd:web: .*restart"):
        result(master.reloads.reload())


def test_a_log_that_can_not_be_opened_refuses_the_reload(master: PlayedMaster, file: File, tmp_path: Path) -> None:
    file.write("http://127.0.0.1:9000", f'[access_log]\npath = "{tmp_path}/missing/access.log"')
    with pytest.raises(ConfigError, match="missing"):
        result(master.reloads.reload())
    assert proxied(master.opened.config) == "http://127.0.0.1:8000"


def test_the_log_of_workers_to_come_is_the_new_one(master: PlayedMaster, file: File, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    file.write("http://127.0.0.1:9000", f'[access_log]\npath = "{path}"')
    result(master.reloads.reload())
    assert master.opened.access_log is not None
    assert path.exists()


def test_no_descriptor_is_left(master: PlayedMaster, file: File) -> None:
    result(master.reloads.reload())
    before = len(os.listdir("/proc/self/fd"))
    for turn in range(20):
        file.listeners = ["127.0.0.1:0"] if turn % 2 else ["127.0.0.1:0", "[::1]:0"]
        file.write(f"http://127.0.0.1:{9000 + turn}")
        if turn % 3:
            result(master.reloads.reload())
        else:
            master.played[1].answers["prepare"] = lambda: fail(Refused("no"))
            with pytest.raises(ConfigError):
                result(master.reloads.reload())
            del master.played[1].answers["prepare"]
    file.listeners = ["127.0.0.1:0"]
    file.write("http://127.0.0.1:8000")
    result(master.reloads.reload())
    assert len(os.listdir("/proc/self/fd")) == before


def test_release_is_for_added_ones_alone(master: PlayedMaster) -> None:
    """The sockets of what goes on are the same objects."""
    (before,) = (sock for _, sock in master.opened.sockets)
    result(master.reloads.reload())
    ((_, after),) = master.opened.sockets
    assert after is before
    release([])
