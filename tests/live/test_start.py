"""What can't be started ends with exit code 2 and one clear message, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.support_process import PATIENCE, free_port
from tests.live.support_proxy import TWISTD

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[[listener]]
address = "127.0.0.1:{port}"

[[site]]
  [[site.route]]
  proxy = "http://127.0.0.1:{behind}"

[access_log]
path = "{log}"
"""


class Refused:
    """An attempt to start that must fail."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        done = subprocess.run(
            [TWISTD, "-n", "--pidfile=", "revproxy", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        self.error = done.stderr
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr
        # Nothing that twistd says of its own start or of its options comes between.
        assert done.stdout == ""
        assert "Usage:" not in done.stderr


class Place:
    """A folder with a configuration, and the port and the log that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.behind = free_port()
        self.log = folder / "access.log"
        self.file = folder / "revproxy.toml"
        self.good = GOOD.format(port=self.port, behind=self.behind, log=self.log)

    def refuse(self, text: str) -> str:
        """The message with which a configuration is refused; nothing else may have happened."""
        self.file.write_text(text)
        before = set(os.listdir(self.folder))
        error = Refused(self.folder, "--config", self.file).error
        assert set(os.listdir(self.folder)) == before
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0
        return error


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("[access_log]", "[acces_log]", ["acces_log", "access_log"]),
        ("proxy = ", "prxoy = ", ["prxoy", "proxy"]),
        ('path = "', 'path = 7 # "', ["access_log.path"]),
        ("[[listener]]", "trusted_proxies = 5\n[[listener]]", ["trusted_proxies"]),
        ('proxy = "http://127.0.0.1', 'proxy = "nobody"\n# "', ["nobody"]),
        ("[[site]]", '[[site]]\nhosts = ["a.example"]\nroute = [{files = "."}]\n[[site]]\nhosts = ["A.example"]', ["a.example"]),
        ("[[site]]", "[[site", [":5:"]),
    ],
    ids=["unknown table", "unknown key", "wrong type", "wrong type of a list", "unknown upstream", "overlap", "no TOML"],
)
def test_mistakes_in_the_file(place: Place, written: str, instead: str, told: list[str]) -> None:
    text = place.good.replace(written, instead, 1)
    assert text != place.good
    error = place.refuse(text)
    assert f"{place.file}" in error
    for word in told:
        assert word in error, error
    # The place: FILE:LINE, or in words.
    assert f"{place.file}:" in error


def test_all_mistakes_are_told_at_once(place: Place) -> None:
    error = place.refuse(place.good.replace("address", "adress").replace("proxy =", "prox ="))
    assert "adress" in error
    assert "prox" in error


def test_port_in_use(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", place.port))
        taken.listen()
        place.file.write_text(place.good)
        error = Refused(place.folder, "--config", place.file).error
    assert f"127.0.0.1:{place.port}" in error
    assert "another process" in error
    assert str(place.file) in error
    assert not place.log.exists()


def test_second_listener_in_use_frees_the_first(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = place.folder / "own.sock"
        more = f'[[listener]]\naddress = "unix:{path}"\n[[listener]]\naddress = "127.0.0.1:{port}"\n'
        error = place.refuse(place.good.replace("[[site]]", more + "[[site]]"))
    assert str(port) in error
    assert str(place.port) not in error
    assert not place.log.exists()
    assert not path.exists()


def test_unreadable_file(place: Place) -> None:
    missing = place.folder / "missing.toml"
    error = Refused(place.folder, "--config", missing).error
    assert str(missing) in error
    folder = Refused(place.folder, "--config", place.folder).error
    assert str(place.folder) in folder


def test_unwritable_access_log(place: Place) -> None:
    place.log.mkdir()
    error = place.refuse(place.good)
    assert str(place.log) in error
    gone = place.folder / "nowhere" / "access.log"
    error = place.refuse(place.good.replace(str(place.log), str(gone)))
    assert str(gone.parent) in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--to", "127.0.0.1:8000"], ["127.0.0.1:8000", "http://"]),
        (["--to", "ftp://127.0.0.1:8000"], ["ftp://127.0.0.1:8000"]),
        (["--to", "http://127.0.0.1:99999"], ["99999"]),
        (["--to", "http://127.0.0.1:8000", "--config", "a.toml"], ["--to", "--config"]),
        ([], ["--to", "--config"]),
        (["--to", "http://127.0.0.1:8000", "--listen", "8080"], ["8080"]),
        (["--to", "http://127.0.0.1:8000", "--listen", "127.0.0.1:notaport"], ["notaport"]),
        (["--to", "http://127.0.0.1:8000", "--log-format", "xml"], ["xml", "json"]),
        (["--too", "http://127.0.0.1:8000"], ["--too"]),
        (["--to", "http://127.0.0.1:8000", "stray"], ["stray"]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_mistakes_on_the_command_line(tmp_path: Path, arguments: list[str], told: list[str]) -> None:
    error = Refused(tmp_path, *arguments).error
    for word in told:
        assert word in error, error
    assert os.listdir(tmp_path) == []


def test_a_site_in_python_that_raises(place: Place) -> None:
    file = place.folder / "site.py"
    file.write_text("from revproxy.config import Config\n\nconfig = Config(site=1 / 0)\n")
    error = Refused(place.folder, "--config", file).error
    assert f"{file}:3" in error
    assert "division by zero" in error
