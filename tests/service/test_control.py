"""Where the control socket is, and who may use it."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import unix
from twisted.web.pages import notFound
from twisted.web.server import Site

from revproxy.admin.place import flaw_of, folders
from revproxy.errors import ConfigError
from revproxy.service.control import RETRY_TIME, Control, choose
from revproxy.service.privileges import Identity
from tests.support.sockets import Turns


def test_the_list_begins_with_the_best() -> None:
    environment = {"RUNTIME_DIRECTORY": "/run/a:/run/b", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert folders(environment, 7) == ["/run/a", "/run/user/7/revproxy", "/tmp/revproxy-7"]
    assert folders({}, 0) == ["/run/revproxy", "/tmp/revproxy-0"]
    assert folders({"XDG_RUNTIME_DIR": "relative"}, 7) == ["/tmp/revproxy-7"]


def test_a_folder_must_be_safe(tmp_path: Path) -> None:
    uid = os.geteuid()
    assert flaw_of(str(tmp_path), uid) == ""
    assert "No such file" in flaw_of(str(tmp_path / "missing"), uid)
    file = tmp_path / "file"
    file.touch()
    assert flaw_of(str(file), uid) == "it is no folder"
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert flaw_of(str(link), uid) == "it is no folder"
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o777)
    assert flaw_of(str(wide), uid) == "others may write to it"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 4711, -1)
    assert flaw_of(str(theirs), os.geteuid()) == "it belongs to user id 4711"


def test_the_next_folder_is_taken_where_one_is_unsafe(tmp_path: Path) -> None:
    wide, own = tmp_path / "wide", tmp_path / "own"
    wide.mkdir()
    wide.chmod(0o777)
    environment = {"RUNTIME_DIRECTORY": str(wide), "XDG_RUNTIME_DIR": str(own)}
    # Not root's id: its own folder would come before the last.
    if os.geteuid():
        assert choose(environment, os.geteuid()) == str(own / "revproxy")
        assert stat.S_IMODE((own / "revproxy").stat().st_mode) == 0o700
    else:
        assert choose({**environment, "RUNTIME_DIRECTORY": str(own)}, 0) == str(own)


class Adopting(Turns):
    """Takes connections that somebody else accepted, as every reactor of POSIX does."""

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        assert family == socket.AF_UNIX
        unix.Server._fromConnectedSocket(descriptor, factory, self)


Make = Callable[..., Control]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Control] = []

    def open_control(path: str | None = None, **options: Any) -> Control:
        options.setdefault("environment", {"RUNTIME_DIRECTORY": str(tmp_path / "run")})
        reactor = Adopting()
        control = Control(path, lambda: Site(notFound(), reactor=reactor), reactor, **options)
        made.append(control)
        return control

    yield open_control
    for control in made:
        control.stop()


def test_it_is_named_for_the_process_and_its_owner_s_alone(make: Make, tmp_path: Path) -> None:
    control = make()
    assert control.path == str(tmp_path / "run" / f"{os.getpid()}.sock")
    status = os.lstat(control.path)
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    control.stop()
    assert not os.path.lexists(control.path)


def ask(path: str) -> socket.socket:
    """A client that has asked for something that is not there."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.settimeout(0)
    client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    return client


def answered(client: socket.socket, reactor: Turns) -> bytes:
    octets = b""
    while b"\r\n\r\n" not in octets:
        try:
            more = client.recv(4096)
        except BlockingIOError:
            assert reactor.turn(2000), "nothing comes any more"
            continue
        assert more, "it ended without an answer"
        octets += more
    client.close()
    reactor.until(lambda: not any(isinstance(reader, unix.Server) for reader in reactor.readers | reactor.writers))
    return octets


def test_it_answers_and_is_still_its_owner_s_alone(make: Make, tmp_path: Path) -> None:
    control = make(str(tmp_path / "own.sock"))
    reactor = control.reactor
    control.start()
    assert stat.S_IMODE(os.lstat(control.path).st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as looking:
        # Who only looks whether somebody listens does no harm.
        looking.connect(control.path)
    assert answered(ask(control.path), reactor).startswith(b"HTTP/1.1 404 ")
    control.stop()
    assert reactor.readers == set()
    assert not os.path.lexists(control.path)


def test_without_descriptors_they_wait(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = make(str(tmp_path / "own.sock"))
    reactor = control.reactor
    control.start()
    client = ask(control.path)
    with monkeypatch.context() as patch:
        patch.setattr("socket.socket.accept", refuse)
        assert reactor.turn()
        assert not reactor.turn(), "it would turn for ever"
    reactor.advance(RETRY_TIME)
    assert answered(client, reactor).startswith(b"HTTP/1.1 404 ")


def refuse(sock: socket.socket) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


def test_the_end_comes_while_they_wait(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control = make(str(tmp_path / "own.sock"))
    control.start()
    client = ask(control.path)
    with monkeypatch.context() as patch:
        patch.setattr("socket.socket.accept", refuse)
        control.reactor.turn()
    control.stop()
    control.reactor.advance(RETRY_TIME)
    assert control.reactor.readers == set()
    client.close()


def test_the_configured_place_is_used(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "own.sock")
    assert make(path).path == path


def test_off_is_off(make: Make) -> None:
    control = make("off")
    control.start()
    assert control.path == ""


def test_what_the_dead_left_goes_and_what_lives_stays(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"{gone.pid}.sock", f"{os.getppid()}.sock", "other.sock", "notes.txt"]
    for name in names:
        (folder / name).touch()
    make()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names[1:], f"{os.getpid()}.sock"])


def test_no_place_at_all_is_no_reason_not_to_serve(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "makedirs", refuse)
    assert make().path == ""


def test_a_configured_place_that_can_not_be_had_is_a_mistake(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"control\.socket: .*missing"):
        make(str(tmp_path / "missing" / "own.sock"))
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(ConfigError, match=r"control\.socket"):
        make(str(file))
    assert file.read_text() == "precious"


def test_a_successor_has_the_place_and_keeps_it(make: Make, tmp_path: Path) -> None:
    path = str(tmp_path / "own.sock")
    first = make(path)
    first.start()
    second = make(path)
    second.start()
    first.stop()
    first.reactor.settle()
    assert os.path.lexists(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    second.stop()
    assert not os.path.lexists(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a socket away")
def test_it_belongs_to_whom_root_becomes(make: Make) -> None:
    control = make(identity=Identity(4711, 4712))
    status = os.lstat(control.path)
    assert (status.st_uid, status.st_gid) == (4711, 4712)
