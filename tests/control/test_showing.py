"""``top`` and ``tail``: what they draw and print of a played proxy, in any terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.cli import main
from revproxy.control.client import Admin
from revproxy.control.following import EventLines, StreamEnded
from revproxy.control.paint import Look, painted
from revproxy.control.panel import View, screen
from revproxy.control.tail import Printed, Tail
from revproxy.control.top import Sampler, turn
from revproxy.control.words import age, cut, fitted, number, octets, taken, visible, width_of
from tests.support.fake_admin import HOSTILE, FakeAdmin


def lines(view: View, width: int, height: int | None = None, look: Look | None = None) -> list[str]:
    look = look or Look()
    return [painted(line, look, width) for line in screen(view, look, width, height)]


def test_every_size(path: str) -> None:
    view = View(Sampler(lambda: Admin(path)).take())
    for width in (10, 20, 40, 80, 132, 250):
        for height in (1, 3, 10, 24, 60):
            drawn = lines(view, width, height)
            assert len(drawn) == height
            assert all(width_of(line) <= width for line in drawn)
    whole = lines(view, 132)
    assert whole[0].startswith("revproxy  serving")
    assert any(line.startswith("Times     p50 ") for line in whole)
    assert any("10.0.1.12:9000" in line and "aside" in line for line in whole)
    # What is not up is seen first.
    table = [line for line in whole if "http://10." in line]
    assert "aside" in table[0] or "down" in table[0]


def test_no_data_yet(folder: Path) -> None:
    with FakeAdmin(empty=True) as admin:
        admin.listen_unix(folder / "1.sock")
        view = View(Sampler(lambda: Admin(str(folder / "1.sock"))).take())
    assert "No requests yet." in lines(view, 80)


def test_keys(path: str) -> None:
    view = View(Sampler(lambda: Admin(path)).take())
    assert not turn(view, "s") and view.slowest
    assert turn(view, "e") and view.failed
    assert not turn(view, "p") and view.paused
    assert any(line.startswith("paused") for line in lines(view, 80, 24))
    assert turn(view, "p") and not view.paused
    assert turn(view, " ")


def test_what_is_old_is_said(path: str, fake: FakeAdmin) -> None:
    from revproxy.control.top import sample

    sampler = Sampler(lambda: Admin(path))
    view = View(sampler.take())
    fake.end()
    sample(sampler, view)
    assert lines(view, 132)[0].startswith("No answer: ")


def test_hostile_requests_are_drawn_as_text(folder: Path) -> None:
    with FakeAdmin(hostile=True) as admin:
        admin.listen_unix(folder / "1.sock")
        view = View(Sampler(lambda: Admin(str(folder / "1.sock"))).take())
    drawn = lines(view, 132)
    assert all(letter.isprintable() for line in drawn for letter in line)
    assert all(width_of(line) <= 132 for line in drawn)


def test_top_without_a_terminal_prints_once(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--socket", path]) == 0
    assert "Requests" in capsys.readouterr().out
    assert main(["top", "--json", "--socket", path]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"status", "figures", "requests"}
    assert main(["top", "--socket", "/nowhere/x.sock"]) == 1


class Reader(io.StringIO):
    """Has enough after so many lines."""

    def __init__(self, enough: int) -> None:
        super().__init__()
        self.enough = enough

    def flush(self) -> None:
        if self.getvalue().count("\n") >= self.enough:
            raise KeyboardInterrupt


def follow(path: str, enough: int, filters: dict[str, str] | None = None, *, as_json: bool = False, last: int = 10) -> str:
    out = Reader(enough)
    with pytest.raises(KeyboardInterrupt):
        Tail(lambda: Admin(path), filters or {}, last, Printed(out, io.StringIO(), Look(), as_json)).run()
    return out.getvalue()


def test_tail_begins_with_the_last_ones_and_goes_on(path: str) -> None:
    printed = follow(path, 14, last=10).splitlines()
    assert len(printed) >= 14
    assert all("id=" in line for line in printed)
    ids = [line.rpartition("id=")[2] for line in printed]
    assert len(ids) == len(set(ids))


def test_tail_as_json_and_filtered(path: str) -> None:
    records = [json.loads(line) for line in follow(path, 3, {"status": "4xx"}, as_json=True).splitlines()]
    assert {record["status"] for record in records} == {404}


def test_tail_finds_the_next_proxy(folder: Path) -> None:
    """The socket is another process's after an upgrade."""
    paths = [str(folder / "1.sock"), str(folder / "2.sock")]
    first, second = FakeAdmin(), FakeAdmin(seed=2)
    first.listen_unix(Path(paths[0]))
    out, notes = Reader(10**9), io.StringIO()
    current = [paths[0]]
    tail = Tail(lambda: Admin(current[0]), {}, 1, Printed(out, notes, Look(), False))

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            tail.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        until(lambda: out.getvalue().count("\n") >= 2)
        second.listen_unix(Path(paths[1]))
        current[0] = paths[1]
        first.end()
        until(lambda: "it is there again" in notes.getvalue())
        seen = out.getvalue().count("\n")
        until(lambda: out.getvalue().count("\n") > seen)
        out.enough = 0
    finally:
        thread.join(10)
        first.end()
        second.end()
    assert not thread.is_alive()
    assert "the proxy is gone" in notes.getvalue()


def until(condition: object, patience: float = 10.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reader_that_leaves_ends_it(path: str) -> None:
    command = f"{sys.executable} -m revproxy.cli tail --socket {path} | head -n 2"
    done = subprocess.run(["bash", "-c", f"{command}; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=30, env=os.environ)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_hostile_lines(folder: Path) -> None:
    with FakeAdmin(hostile=True) as admin:
        admin.listen_unix(folder / "1.sock")
        printed = follow(str(folder / "1.sock"), 12)
    assert all(letter.isprintable() or letter == "\n" for letter in printed)


# The words.


@pytest.mark.parametrize("text", HOSTILE)
def test_strangers_text_is_visible(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert "\u202e" not in shown and "\x1b" not in shown


@given(st.text(), st.integers(1, 40))
def test_text_fits(text: str, columns: int) -> None:
    shown = visible(text)
    assert all(letter.isprintable() for letter in shown)
    assert width_of(cut(shown, columns)) <= columns
    assert width_of(fitted(shown, columns)) == columns


def test_wide_letters_take_two_columns() -> None:
    assert width_of("漢字") == 4
    assert width_of(fitted("漢字漢字", 5)) == 5


def test_numbers() -> None:
    assert [number(value) for value in (None, 0, 3.25, 12_345)] == ["-", "0", "3.2", "12 345"] or number(None) == "-"
    assert taken(None) == "-" and taken(0.0041).endswith("ms") and taken(2.5).endswith("s")
    assert octets(0) and octets(10**9)
    assert age(90_000).startswith("1 d")


# The stream.

EVENTS = b'event: request\ndata: {"id": "1"}\n\n: a comment\n\nevent: figures\r\ndata: {"rate":\r\ndata: 2}\r\n\r\n'


def test_events_however_they_are_cut() -> None:
    expected = [("request", {"id": "1"}), ("figures", {"rate": 2})]
    assert EventLines().take(EVENTS) == expected
    for place in range(len(EVENTS)):
        reader = EventLines()
        assert reader.take(EVENTS[:place]) + reader.take(EVENTS[place:]) == expected
    reader = EventLines()
    assert [event for at in range(len(EVENTS)) for event in reader.take(EVENTS[at : at + 1])] == expected


def test_what_is_no_event() -> None:
    with pytest.raises(StreamEnded):
        EventLines().take(b"data: {\n\n")
