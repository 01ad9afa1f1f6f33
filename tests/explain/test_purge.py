"""``revproxy purge``: what is removed from the folder that processes share, and what is said where nothing can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from revproxy.caching.key import KeyOptions, PrimaryKeys
from revproxy.caching.stored import StoredHead
from revproxy.cli import main
from revproxy.http.fields import NO_FIELDS
from revproxy.http.target import parse_authority
from revproxy.stores.disk import DiskStore

CONFIG = """\
[[site]]
[[site.route]]
proxy = "http://127.0.0.1:9"
cache.key = { query = "except", parameters = ["utm_*"] }
[cache]
folder = "kept"
"""
KEYS = PrimaryKeys(KeyOptions(query="except", parameters=frozenset({b"utm_*"})))
STORED = {
    b"/a": (frozenset({b"news"}), frozenset[bytes]()),
    b"/a?b": (frozenset[bytes](), frozenset({b"g"})),
    b"/c": (frozenset({b"news"}), frozenset({b"g"})),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskStore]:
    """A store with three responses, open as in a running proxy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(CONFIG)
    store = DiskStore(str(tmp_path / "kept"), 1 << 30, 1 << 26, Clock())
    for target, (tags, groups) in STORED.items():
        filling = store.begin(key(target), 5)
        filling.write(b"hello")
        url = b"http://a.example" + target
        head = StoredHead(
            key(target), 200, NO_FIELDS, request_time=0.0, response_time=0.0, url=url, tags=tags, groups=groups
        )
        assert filling.commit(head) is not None
    yield store
    store.stop()


def key(target: bytes) -> bytes:
    return KEYS.of(b"http", parse_authority(b"a.example"), target)


def left(store: DiskStore) -> list[bytes]:
    return [target for target in STORED if store.find(key(target))]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["http://a.example/a"], [b"/a?b", b"/c"]),
        (["HTTP://A.example:80/a"], [b"/a?b", b"/c"]),
        (["http://a.example/a?b&utm_source=x"], [b"/a", b"/c"]),
        (["http://a.example/"], [b"/a", b"/a?b", b"/c"]),
        (["--prefix", "http://a.example/a"], [b"/c"]),
        (["--host", "A.example"], []),
        (["--host", "b.example"], [b"/a", b"/a?b", b"/c"]),
        (["--tag", "news"], [b"/a?b"]),
        (["--group", "http://a.example", "g"], [b"/a"]),
        (["--group", "http://b.example", "g"], [b"/a", b"/a?b", b"/c"]),
        (["--all"], []),
    ],
)
def test_purge(arguments: list[str], kept: list[bytes], store: DiskStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["purge", *arguments, "--config", "a.toml"]) == 0
    count = len(STORED) - len(kept)
    assert capsys.readouterr().out == ("1 response removed\n" if count == 1 else f"{count} responses removed\n")
    assert left(store) == kept


def test_many(store: DiskStore, capsys: pytest.CaptureFixture[str]) -> None:
    """More than one transaction takes."""
    for number in range(600):
        target = b"/many/%d" % number
        filling = store.begin(key(target), 1)
        filling.write(b"x")
        url = b"http://a.example" + target
        filling.commit(StoredHead(key(target), 200, NO_FIELDS, request_time=0.0, response_time=0.0, url=url))
    assert main(["purge", "--prefix", "http://a.example/many/", "--config", "a.toml"]) == 0
    assert capsys.readouterr().out == "600 responses removed\n"
    assert left(store) == list(STORED)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.example"], '"a.example" is no URL'),
        (["--prefix", "/a"], '"/a" is no URL'),
        (["--group", "http://a.example/a", "g"], "is no origin"),
        (["--tag", "ü"], "nothing that is ever stored"),
        (["http://a.example/a b"], "write other characters as escapes"),
    ],
)
def test_what_can_not_be_purged(
    arguments: list[str], words: str, store: DiskStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["purge", *arguments, "--config", "a.toml"]) == 2
    assert words in capsys.readouterr().err
    assert left(store) == list(STORED)


@pytest.mark.parametrize("arguments", [[], ["http://a.example/", "--all"], ["--tag", "a", "--host", "b"]])
def test_exactly_one_thing_is_named(arguments: list[str], store: DiskStore) -> None:
    assert main(["purge", *arguments, "--config", "a.toml"]) == 2
    assert left(store) == list(STORED)


def test_a_folder_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(CONFIG)
    assert main(["purge", "--all", "--config", "a.toml"]) == 0
    assert capsys.readouterr().out == "0 responses removed\n"
    assert not (tmp_path / "kept").exists()
    (tmp_path / "a.toml").write_text(CONFIG.partition("[cache]")[0])
    assert main(["purge", "--all", "--config", "a.toml"]) == 2
    assert "cache.folder is not set" in capsys.readouterr().err


def test_explain_looks_into_the_folder(store: DiskStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "http://a.example/a", "--config", "a.toml"]) == 0
    printed = capsys.readouterr().out
    assert "kept: 1 response under this key" in printed
    assert "request   sent on" in printed or "request   answered" in printed
    assert "nothing is stored" not in printed
