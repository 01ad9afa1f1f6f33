"""Where lines go: files that are moved away, rotated and full; pipes that nobody reads."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from revproxy.errors import ConfigError
from revproxy.service.event_records import Record
from revproxy.service.event_sinks import Descriptor, LogFile
from tests.service.events import record


def render(made: Record) -> bytes:
    return made.message.encode() + b"\n"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revproxy.log"


def test_a_file_is_added_to(path: Path) -> None:
    path.write_text("before\n")
    sink = LogFile(str(path), render)
    sink.write(record("info", "one"))
    sink.write(record("info", "two"))
    sink.close()
    assert lines(path) == ["before", "one", "two"]


def test_a_new_file_is_not_for_everybody(path: Path) -> None:
    LogFile(str(path), render).close()
    assert path.stat().st_mode & 0o027 == 0


def test_who_moves_it_away_need_tell_nobody(path: Path) -> None:
    """Nor the other processes that write to it."""
    sinks = [LogFile(str(path), render), LogFile(str(path), render)]
    for sink in sinks:
        sink.write(record("info", "old"))
    path.rename(path.with_suffix(".1"))
    for sink in sinks:
        sink.write(record("info", "new"))
        sink.reopen()
        sink.close()
    assert lines(path.with_suffix(".1")) == ["old", "old"]
    assert lines(path) == ["new", "new"]


def test_an_empty_file_is_there_at_once(path: Path) -> None:
    sink = LogFile(str(path), render)
    path.rename(path.with_suffix(".1"))
    sink.reopen()
    assert lines(path) == []
    sink.close()


def test_one_that_can_not_be_opened(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^log\.file: can't write .*: Is a directory$"):
        LogFile(str(path.parent), render)
    with pytest.raises(ConfigError, match=r"^--logfile: can't write .*: No such file or directory$"):
        LogFile(str(path / "x"), render, setting="--logfile")


def test_one_that_can_not_be_opened_again(path: Path) -> None:
    sink = LogFile(str(path), render)
    moved = path.with_suffix(".1")
    path.rename(moved)
    path.mkdir()
    sink.write(record("info", "one"))
    assert sink.note == f"{path} can't be opened again: Is a directory; the old file is written on"
    sink.note = ""
    sink.write(record("info", "two"))
    # Said once.
    assert sink.note == ""
    assert lines(moved) == ["one", "two"]
    path.rmdir()
    sink.write(record("info", "three"))
    assert lines(path) == ["three"]
    sink.close()


# Rotated as twistd rotates its own.


def test_rotation(path: Path) -> None:
    sink = LogFile(str(path), render, rotate_at=10)
    path.with_suffix(".log.3").write_text("old\n")
    for text in ("one", "two", "three", "four"):
        sink.write(record("info", text))
    assert {each.name: lines(each) for each in path.parent.iterdir()} == {
        "revproxy.log": ["four"],
        "revproxy.log.1": ["one", "two", "three"],
        "revproxy.log.4": ["old"],
    }
    sink.reopen()
    assert (lines(path), lines(path.with_suffix(".log.1"))) == ([], ["four"])
    # Nothing to rotate.
    sink.reopen()
    assert lines(path.with_suffix(".log.1")) == ["four"]
    sink.close()


def test_it_is_rotated_by_one_process(path: Path) -> None:
    """The others, which inherited the file, find another one in its place."""
    sink = LogFile(str(path), render, rotate_at=4)
    go, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(go, 1)
        sink.write(record("info", "two"))
        sink.write(record("info", "three"))
        os._exit(0)
    sink.write(record("info", "one"))
    os.write(told, b"x")
    assert os.waitpid(pid, 0)[1] == 0
    sink.write(record("info", "four"))
    files = [path, *(path.with_suffix(f".log.{number}") for number in range(1, 5))]
    assert [lines(file) for file in files if file.exists()] == [[], ["four"], ["three"], ["two"], ["one"]]
    sink.close()
    os.close(go)
    os.close(told)


def test_who_can_not_rotate_writes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LogFile(str(path), render, rotate_at=4)

    def refused(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refused)
    sink.write(record("info", "one"))
    assert sink.note == f"{path} can't be rotated: Permission denied"
    sink.note = ""
    sink.write(record("info", "two"))
    assert sink.note == ""
    assert lines(path) == ["one", "two"]
    sink.close()


# Standard output.


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 8192)  # F_SETPIPE_SZ
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Descriptor(writer, render)
    sink.write(record("info", "first"))
    # It has a place for the beginning of this one.
    long = "x" * 4500
    with pytest.raises(BlockingIOError):
        for _ in range(3):
            sink.write(Record(time=0.0, level="info", message=long))
    with pytest.raises(BlockingIOError):
        sink.write(record("info", "lost"))
    got = b""
    while got.count(b"\n") < 2:
        got += os.read(reader, 65536)
        try:
            sink.write(record("info", "last"))
        except BlockingIOError:
            continue
    # A line that was begun was also ended.
    assert set(got.decode().split("\n")) <= {"first", long, "last", ""}
    assert long in got.decode().split("\n")


def test_a_pipe_whose_reader_is_gone(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    sink = Descriptor(writer, render)
    with pytest.raises(BrokenPipeError):
        sink.write(record("info", "x"))


def test_standard_output_may_be_a_full_disk() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space left"):
        Descriptor(full.fileno(), render).write(record("info", "x"))
