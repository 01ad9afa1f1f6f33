"""Which proxy is meant, where none, one or several run."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from revproxy.control import find as module
from revproxy.control.client import Admin, Unreachable
from revproxy.control.find import SeveralRunning, find, places
from tests.control.conftest import Play
from tests.control.playing import leave_dead, short_folder


def found(*folders: Path, config: Path | str | None = None) -> Admin:
    return find(None, None if config is None else str(config), among=lambda: list(map(str, folders)))


def test_the_folders_are_those_of_the_server_and_of_the_instances(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glob.glob", lambda pattern: ["/run/revproxy-shop", "/run/revproxy-api"])
    system = ["/run/revproxy", "/run/revproxy-api", "/run/revproxy-shop"]
    assert places({}, 0) == [*system, "/tmp/revproxy-0"]
    environment = {"RUNTIME_DIRECTORY": "/run/revproxy-api", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert places(environment, 7) == [
        "/run/revproxy-api",
        "/run/user/7/revproxy",
        "/run/revproxy",
        "/run/revproxy-shop",
        "/tmp/revproxy-7",
    ]


def test_a_single_one_is_meant(play: Play, folder: Path) -> None:
    play(31)
    assert found(folder / "missing", folder).path == str(folder / "31.sock")


def test_the_folders_of_the_environment_are_looked_in(play: Play, folder: Path) -> None:
    play(31)
    admin = find(environment={"RUNTIME_DIRECTORY": str(folder)})
    assert admin.path == str(folder / "31.sock")


def test_a_path_that_was_said_is_taken_as_it_is() -> None:
    assert find("/nowhere/x.sock").path == "/nowhere/x.sock"


def test_none_at_all(folder: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        found(folder, folder / "missing")
    assert str(caught.value) == f"no running proxy was found (looked in {folder}, {folder}/missing)"


def test_the_dead_and_what_is_no_socket_are_passed_over(play: Play, folder: Path) -> None:
    leave_dead(folder / "30.sock")
    (folder / "32.sock").write_text("text")
    (folder / "33.sock").symlink_to(folder / "30.sock")
    leave_dead(folder / "notes.txt")
    play(31)
    assert found(folder).path == str(folder / "31.sock")


def test_only_the_dead(folder: Path) -> None:
    leave_dead(folder / "30.sock")
    with pytest.raises(Unreachable, match="no running proxy was found"):
        found(folder)


def test_of_several_one_must_be_chosen(play: Play, folder: Path) -> None:
    play(31, "/etc/revproxy/a.toml")
    play(32, None)
    with pytest.raises(SeveralRunning) as caught:
        found(folder)
    assert str(caught.value).splitlines() == [
        "several are running; say which, by --socket or --config:",
        f"  --socket {folder}/31.sock  (process 31, /etc/revproxy/a.toml, serving)",
        f"  --socket {folder}/32.sock  (process 32, started without a file, serving)",
    ]


@pytest.mark.parametrize("state", ["draining", "starting"])
def test_one_that_ends_or_is_not_there_yet_is_not_meant_beside_another(play: Play, folder: Path, state: str) -> None:
    play(31).state = state
    play(32)
    assert found(folder).path == str(folder / "32.sock")
    assert found(folder, config="/etc/revproxy/revproxy.toml").path == str(folder / "32.sock")


def test_one_that_ends_is_meant_where_it_is_alone(play: Play, folder: Path) -> None:
    play(31).state = "draining"
    assert found(folder).path == str(folder / "31.sock")


def test_two_that_end_are_two(play: Play, folder: Path) -> None:
    play(31).state = "draining"
    play(32).state = "draining"
    with pytest.raises(SeveralRunning, match=r"31, .*draining"):
        found(folder)


def test_the_file_tells_them_apart(play: Play, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, link = tmp_path / "a.toml", tmp_path / "b.toml", tmp_path / "c.toml"
    # What is written in it does not matter: it may have become wrong.
    one.write_text("nonsense")
    link.symlink_to(two)
    play(31, str(one))
    play(32, str(two))
    assert found(folder, config=one).path == str(folder / "31.sock")
    assert found(folder, config=link).path == str(folder / "32.sock")
    monkeypatch.chdir(tmp_path)
    assert found(folder, config="b.toml").path == str(folder / "32.sock")


def test_two_with_the_same_file(play: Play, folder: Path) -> None:
    play(31)
    play(32)
    play(33, "/etc/other.toml")
    with pytest.raises(SeveralRunning) as caught:
        found(folder, config="/etc/revproxy/revproxy.toml")
    assert "33.sock" not in str(caught.value)


GOOD = '[[site]]\nhosts = ["*"]\n[[site.route]]\nproxy = "http://127.0.0.1:1"\n'


def test_the_file_may_name_a_socket_elsewhere(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(GOOD + '[control]\nsocket = "/srv/own.sock"\n')
    assert found(folder, config=file).path == "/srv/own.sock"


def test_the_file_may_say_that_there_is_none(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(GOOD + '[control]\nsocket = "off"\n')
    with pytest.raises(Unreachable, match=r'a\.toml: control\.socket is "off"'):
        found(folder, config=file)


def test_nobody_has_the_file(play: Play, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(GOOD)
    with pytest.raises(Unreachable) as caught:
        found(folder, config=file)
    assert str(caught.value) == f"no running proxy was started with {file} (looked in {folder})"
    play(31, "/etc/other.toml")
    with pytest.raises(Unreachable) as caught:
        found(folder, config=file)
    assert str(caught.value).splitlines() == [
        f"no running proxy was started with {file}; there are:",
        f"  --socket {folder}/31.sock  (process 31, /etc/other.toml, serving)",
    ]


def test_nobody_has_the_file_and_it_can_not_be_read(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text("nonsense = 1\n")
    with pytest.raises(Unreachable) as caught:
        found(folder, config=file)
    assert f"\n  {file}:1:1: nonsense: " in str(caught.value)


# What may be believed.


def test_a_folder_that_others_may_write_to_is_not_believed(play: Play, folder: Path) -> None:
    play(31)
    folder.chmod(0o777)
    with pytest.raises(Unreachable) as caught:
        found(folder)
    assert str(caught.value).splitlines()[1] == f"  {folder}: others may write to it: what is in it is not believed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_folder_of_somebody_else_is_not_believed(play: Play, folder: Path) -> None:
    play(31)
    os.chown(folder, 4711, -1)
    with pytest.raises(Unreachable, match="it belongs to user id 4711: what is in it is not believed"):
        found(folder)


@pytest.fixture
def system_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that counts as one of the system's."""
    made = short_folder()
    monkeypatch.setattr(module, "SYSTEM", f"{made}/")
    yield made
    shutil.rmtree(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_service_s_own_user_has_its_folder_below_run(play: Play, system_folder: Path) -> None:
    own = system_folder / "revproxy"
    own.mkdir(0o755)
    play(31, path=own / "31.sock")
    os.chown(own, 4711, -1)
    assert found(own).path == str(own / "31.sock")
    own.chmod(0o775)
    with pytest.raises(Unreachable, match="others may write to it"):
        found(own)


def test_a_link_is_no_folder(play: Play, folder: Path, tmp_path: Path) -> None:
    play(31)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(Unreachable, match="it is no folder"):
        found(link)


def test_a_socket_that_may_not_be_used_is_told_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_dead(folder / "31.sock")

    def refuse(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Root may use everything, so it is played.
    monkeypatch.setattr("socket.socket.connect", refuse)
    with pytest.raises(Unreachable) as caught:
        found(folder)
    assert str(caught.value).splitlines()[1] == f"  {folder}/31.sock: it is another user's (root may use it)"


def test_one_that_listens_and_does_not_answer_is_told_of(
    play: Play, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_TIME", 0.05)
    play(31)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "32.sock"))
        silent.listen()
        with pytest.raises(SeveralRunning) as caught:
            found(folder)
        assert str(caught.value).splitlines()[2] == f"  {folder}/32.sock: it gives no answer"


def test_one_whose_queue_is_full_lives(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy:
        path = str(folder / "31.sock")
        busy.bind(path)
        busy.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(path)
            assert found(folder).path == path


@pytest.mark.parametrize("octets", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", b"\0\0\0\0\r\n\r\n", b""])
def test_strangers_do_no_harm(play: Play, folder: Path, octets: bytes) -> None:
    play(31)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(folder / "32.sock"))
        stranger.listen()

        def answer() -> None:
            for _ in range(2):
                peer, _ = stranger.accept()
                with peer:
                    # The first only looks whether somebody listens.
                    if peer.recv(4096):
                        peer.sendall(octets)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SeveralRunning, match=r"32.sock: it gives no answer"):
            found(folder)
        thread.join()


def test_what_they_say_can_not_disturb_the_terminal(play: Play, folder: Path) -> None:
    play(31, "/etc/\x1b[2Jx\n.toml")
    play(32)
    with pytest.raises(SeveralRunning) as caught:
        found(folder)
    assert "/etc/\\u{1b}[2Jx\\u{a}.toml" in str(caught.value)
