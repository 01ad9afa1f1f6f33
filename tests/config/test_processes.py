"""How many processes serve, where tools find them, and a text that is read once for all of them."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import pytest

from revproxy.config.load import examine, examine_source, load
from revproxy.config.model import Config
from revproxy.config.schema import schema

SITE = '[[site]]\nhosts = ["a.example"]\n[[site.route]]\nproxy = "http://a"\n'


def configured(folder: Path, text: str) -> Config:
    file = folder / "site.toml"
    file.write_text(text + SITE)
    return load(file)


def told(folder: Path, text: str) -> list[str]:
    file = folder / "site.toml"
    file.write_text(text + SITE)
    return [str(mistake).partition("site.toml:")[2] for mistake in examine(file).mistakes]


def test_one_process_unless_it_says_otherwise(tmp_path: Path) -> None:
    config = configured(tmp_path, "")
    assert (config.workers, config.worker_count, config.drain_delay, config.control.socket) == (1, 1, 0.0, None)


def test_a_number_of_processes(tmp_path: Path) -> None:
    assert configured(tmp_path, "workers = 4\n").worker_count == 4


def test_auto_is_one_to_each_usable_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(tmp_path, 'workers = "auto"\n')
    assert config.workers == 0
    assert config == attrs.evolve(config, workers="auto")  # type: ignore[arg-type]  # what a converter takes
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert config.worker_count == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
        ("257", '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
        ("-1", '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
        ("true", '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
        ("2.0", '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
        ('"all"', '1:1: workers: a whole number from 1 to 256 is expected, or "auto"'),
    ],
)
def test_no_number_of_processes(tmp_path: Path, value: str, text: str) -> None:
    assert told(tmp_path, f"workers = {value}\n") == [text]


def test_the_schema_says_the_same() -> None:
    workers = schema()["properties"]["workers"]
    assert workers["anyOf"] == [{"type": "integer", "minimum": 1, "maximum": 256}, {"const": "auto"}]
    assert workers["default"] == 1


def test_the_control_socket_is_seen_from_the_file(tmp_path: Path) -> None:
    config = configured(tmp_path, '[control]\nsocket = "own.sock"\n')
    assert config.control.socket == str(tmp_path / "own.sock")
    assert configured(tmp_path, '[control]\nsocket = "off"\n').control.socket == "off"


@pytest.mark.parametrize(
    ("socket", "text"),
    [
        ("", '2:1: control.socket: no file is named: write a path, or "off"'),
        ("/" + "x" * 107, "2:1: control.socket: the name of a unix socket has 107 octets at most: choose a shorter one"),
        ("/", '2:1: control.socket: "/" is a folder: add the name of the socket'),
    ],
)
def test_no_place_for_the_control_socket(tmp_path: Path, socket: str, text: str) -> None:
    assert told(tmp_path, f'[control]\nsocket = "{socket}"\n') == [text]


def test_the_longest_name_is_taken(tmp_path: Path) -> None:
    assert configured(tmp_path, '[control]\nsocket = "/%s"\n' % ("x" * 106)).control.socket


def test_a_text_stands_for_the_file_whatever_that_has_by_now(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    source = ("workers = 3\n" + SITE).encode()
    file.write_text("something else")
    examined = examine_source(file, source)
    assert examined.config is not None
    assert examined.config.worker_count == 3
    # Places are those of the text, and files are seen from the file's folder.
    wrong = examine_source(file, b"\nworkres = 3\n" + SITE.encode())
    assert [str(mistake) for mistake in wrong.mistakes] == [
        f'{file}:2:1: workres: unknown key "workres"; did you mean "workers"?'
    ]
    assert examine(file).config is None


def test_a_python_file_s_text(tmp_path: Path) -> None:
    source = b"from revproxy.config import Config, Route, Site\nconfig = Config(workers=2, sites=(Site(hosts=('a',), routes=(Route(path='/', proxy='http://a'),)),))\n"
    examined = examine_source(tmp_path / "site.py", source)
    assert examined.mistakes == ()
    assert examined.config is not None and examined.config.workers == 2
