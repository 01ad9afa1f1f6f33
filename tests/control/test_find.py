"""Which proxy a tool speaks with."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from revproxy.control.client import Admin, Refused, Unreachable
from revproxy.control.find import candidates, find, places
from tests.support.fake_admin import FakeAdmin


def look(*folders: Path, config: str | None = None) -> Admin:
    return find(config=config, among=lambda: [str(folder) for folder in folders])


def dead(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()


@pytest.fixture
def other(folder: Path) -> Iterator[FakeAdmin]:
    with FakeAdmin(empty=True) as admin:
        (folder / "b").mkdir()
        admin.listen_unix(folder / "b" / "2.sock")
        yield admin


def test_the_only_one_is_meant(folder: Path, path: str) -> None:
    assert look(folder, folder / "missing").path == path


def test_dead_sockets_and_other_files_are_passed_over(folder: Path, path: str) -> None:
    dead(folder / "77.sock")
    (folder / "notes.txt").touch()
    (folder / "plain.sock").touch()
    assert look(folder).path == path


def test_none_is_running(folder: Path) -> None:
    dead(folder / "77.sock")
    with pytest.raises(Unreachable, match=f"no running proxy was found \\(looked in {folder}\\)"):
        look(folder)


def test_several_are_listed(folder: Path, path: str, other: FakeAdmin) -> None:
    with pytest.raises(Unreachable) as caught:
        look(folder, folder / "b")
    lines = str(caught.value).splitlines()
    assert lines == [
        "several are running; say which, by --socket or --config:",
        f"  --socket {path}  (process 41199, /etc/revproxy/revproxy.toml)",
        f"  --socket {folder / 'b' / '2.sock'}  (process 41199, started with --to)",
    ]


def test_the_one_with_a_configuration(folder: Path, path: str, other: FakeAdmin) -> None:
    assert look(folder / "b", folder, config="/etc/revproxy/revproxy.toml").path == path
    with pytest.raises(Unreachable, match=r"no running proxy has the configuration /etc/x\.toml"):
        look(folder, config="/etc/x.toml")


def test_a_configuration_that_names_the_socket(folder: Path) -> None:
    file = folder / "site.toml"
    text = '[control]\nsocket = "{}"\n[[site]]\n[[site.route]]\nproxy = "http://127.0.0.1:1"\n'
    file.write_text(text.format("own.sock"))
    assert find(config=str(file)).path == str(folder / "own.sock")
    file.write_text(text.format("off"))
    with pytest.raises(Unreachable, match=r'control\.socket is "off"'):
        find(config=str(file))


def test_a_socket_that_is_said_is_not_looked_for(folder: Path) -> None:
    assert find(str(folder / "x.sock")).path == str(folder / "x.sock")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_what_somebody_else_put_there_is_not_believed(folder: Path, path: str) -> None:
    os.chown(folder, 4711, -1)
    assert list(candidates([str(folder)])) == []


def test_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glob.glob", lambda pattern: ["/run/revproxy-b", "/run/revproxy-a"])
    environment = {"XDG_RUNTIME_DIR": "/run/user/7"}
    expected = ["/run/user/7/revproxy", "/run/revproxy", "/run/revproxy-a", "/run/revproxy-b", "/tmp/revproxy-7"]
    assert places(environment, 7) == expected
    assert places({}, 0)[0] == "/run/revproxy"


def test_answers(path: str, fake: FakeAdmin) -> None:
    admin = Admin(path)
    assert admin.ask("GET", "/status")["pid"] == 41_199
    with pytest.raises(Refused) as caught:
        admin.ask("POST", "/peers", {"upstream": "x", "server": "y", "state": "up"})
    assert (str(caught.value), caught.value.status) == ("there is no such server", 404)


def test_nobody_answers(folder: Path) -> None:
    dead(folder / "1.sock")
    with pytest.raises(Unreachable, match=r"1\.sock: Connection refused"):
        Admin(str(folder / "1.sock")).ask("GET", "/status")
    with pytest.raises(Unreachable, match="No such file"):
        Admin(str(folder / "2.sock")).ask("GET", "/status")
