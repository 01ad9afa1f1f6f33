"""The state folder: who may read it, who writes, what is not believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from revproxy.certificates.acme.renewal import Progress, Window
from revproxy.certificates.acme.store import MOST_REQUESTS, Store
from revproxy.errors import ConfigError

DIRECTORY = "https://acme.example/directory"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "state"), DIRECTORY)
    made.open()
    return made


def modes(folder: Path) -> set[tuple[str, int]]:
    return {("folder" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}


def test_everything_is_for_its_owner_alone(store: Store, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store.lock()
        store.write_json("account.json", {})
        store.write_progress("a.example", Progress(("a.example",)))
        store.write_certificate("a.example", b"x")
        store.publish("token", b"x")
        store.request("b.example", 0.0)
    finally:
        os.umask(before)
    assert modes(tmp_path) == {("folder", 0o700), ("file", 0o600)}


def test_a_careless_copy_is_put_right(store: Store) -> None:
    os.chmod(store.certificates, 0o755)
    store.open()
    assert stat.S_IMODE(os.stat(store.certificates).st_mode) == 0o700


def test_what_root_makes_belongs_to_whom_the_state_folder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.update({path: (uid, gid)}))
    made = Store(str(tmp_path), DIRECTORY)
    made.open()
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert set(given.values()) == {owner}
    assert set(given) == {str(path) for path in tmp_path.rglob("*")}
    given.clear()
    made.open()
    assert given == {}


def test_a_folder_that_can_not_be_had(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(ConfigError, match=r"tls\.state"):
        Store(str(tmp_path / "state"), DIRECTORY).open()


def test_each_server_has_a_folder_of_its_own(tmp_path: Path) -> None:
    urls = [DIRECTORY, "https://acme.example/other", "https://acme.example:444/directory", "https://b.example/../x"]
    folders = {Store(str(tmp_path), url).folder for url in urls}
    assert len(folders) == 4
    assert {os.path.dirname(folder) for folder in folders} == {str(tmp_path / "acme")}


def test_one_holds_the_lock(store: Store, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "state"), DIRECTORY)
    assert store.lock()
    assert store.lock()
    assert not other.lock()
    store.unlock()
    assert not store.is_locked
    assert other.lock()
    other.unlock()


def test_whoever_dies_gives_it_up(store: Store) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if store.lock() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.lock()
    store.unlock()


def test_progress_comes_back(store: Store) -> None:
    progress = Progress(
        ("a.example", "b.example"), True, 3, 12.5, 'a "problem"\nof ümlauts', 99.0, Window(1.0, 2.0, "https://x"), 7.0
    )
    store.write_progress("a.example", progress)
    assert store.read_progress("a.example") == progress
    assert store.names() == ["a.example"]
    store.forget("a.example")
    assert store.names() == []


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"names": 1}', '{"names": ["a"], "window": 5}'])
def test_a_progress_that_is_none(store: Store, text: str) -> None:
    store.write_certificate("a.example", b"")
    (Path(store.certificates) / "a.example" / "progress.json").write_text(text)
    assert store.read_progress("a.example") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a", "../a.example", "a.example/b", "A.example", "a..b", "a.example\n"])
def test_names_are_no_paths(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        store.write_certificate(name, b"")
    store.request(name, 0.0)
    assert store.requested() == []
    assert store.answer_of_name(name) is None


@pytest.mark.parametrize("token", ["", "short", "../account.json", "a" * 300, "a/b" * 10, "a.example.pem-------", "a" * 20 + "\n"])
def test_tokens_are_no_paths(store: Store, token: str) -> None:
    store.write_json("account.json", {})
    assert store.answer_of_token(token) is None


def test_challenges(store: Store) -> None:
    token = "t" * 43
    assert store.answer_of_token(token) is None
    store.publish(token, b"answer")
    store.publish("a.example.pem", b"proof")
    assert store.answer_of_token(token) == b"answer"
    assert store.answer_of_name("a.example") == b"proof"
    store.withdraw(token)
    store.withdraw(token)
    assert store.answer_of_token(token) is None
    store.withdraw_all()
    assert store.answer_of_name("a.example") is None


def test_requests_are_bounded_and_in_order(store: Store) -> None:
    for number in range(3):
        store.request(f"{number}.example.com", 100.0 - number)
    assert store.requested() == [(98.0, "2.example.com"), (99.0, "1.example.com"), (100.0, "0.example.com")]
    store.fulfil("1.example.com")
    store.fulfil("1.example.com")
    assert len(store.requested()) == 2
    for number in range(MOST_REQUESTS + 10):
        store.request(f"more{number}.example.com", 0.0)
    assert len(store.requested()) == MOST_REQUESTS
