"""``revproxy top`` and ``revproxy tail`` in a real terminal (tmux), on a real proxy with visitors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import RawClient
from tests.live.support_process import CHECKOUT, PATIENCE, until
from tests.live.support_proxy import REVPROXY
from tests.live.support_shop import API, Shop, Visitors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

TMUX = shutil.which("tmux")

pytestmark = pytest.mark.skipif(TMUX is None, reason="tmux is not installed")


class Screen:
    """A terminal of so many columns and lines with a shell in it; a context manager."""

    def __init__(self, folder: Path, variables: dict[str, str], columns: int = 100, lines: int = 30) -> None:
        assert TMUX is not None
        # A configuration of the one who runs the tests is none of ours.
        self._program = [TMUX, "-u", "-S", str(folder / "s"), "-f", "/dev/null"]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TMUX")}
        self._environment |= {**variables, "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8"}
        self._size = columns, lines

    def __enter__(self) -> Self:
        columns, lines = self._size
        self._tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), "/bin/sh")
        try:
            self.wait_for(str.strip, "a prompt")
        except BaseException:
            self._tmux("kill-server")
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [*self._program, *words], env=self._environment, capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def press(self, *keys: str) -> None:
        """Keys by their names: "Enter", "C-c", "q"."""
        self._tmux("send-keys", *keys)

    def say(self, command: str) -> None:
        """A line for the shell."""
        self._tmux("send-keys", "-l", command)
        self.press("Enter")

    def resize(self, columns: int, lines: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(lines))

    def shown(self, *, colours: bool = False) -> str:
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def title(self) -> str:
        """What programs have named it."""
        return self._tmux("display-message", "-p", "#{pane_title}")

    def is_as_found(self) -> bool:
        """Whether the shell's own screen is shown, with a cursor."""
        return self._tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "01"

    def wait_for(self, condition: Callable[[str], object], what: str) -> str:
        """The screen, once it is so."""
        found = ""

        def looked() -> object:
            nonlocal found
            found = self.shown()
            return condition(found)

        try:
            until(looked, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; on the screen:\n{found}") from None
        return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as one, Visitors(one.port, number=2) as some:
        until(lambda: some.answered > 40, "visits")
        yield one


@pytest.fixture
def screen(shop: Shop) -> Iterator[Screen]:
    with Screen(shop.runtime, shop.variables) as one:
        one.say("echo what was be''fore")
        yield one


def assert_left_well(screen: Screen, code: int = 0) -> None:
    """The shell goes on as if nothing had been."""
    screen.say(r"printf 'code=%d ' $?; stty -a | tr ' ;' '\n\n' | grep -xE -- '-?(icanon|echo|isig)' | tr '\n' '+'")
    shown = screen.wait_for(lambda shown: re.search(r"code=\d+ \S+\+", shown), "the settings of the terminal")
    assert f"code={code} isig+icanon+echo+" in shown
    assert screen.is_as_found()
    assert "what was before" in shown
    assert "Traceback" not in shown


def rate_of(shown: str) -> str:
    found = re.search(r"^Requests +(\S+)/s", shown, re.MULTILINE)
    return found[1] if found else ""


def test_top_moves_fits_and_leaves(screen: Screen, shop: Shop) -> None:
    screen.say(f"{REVPROXY} top --interval 0.2")
    shown = screen.wait_for(lambda shown: rate_of(shown) not in ("", "0"), "a rate")
    assert not screen.is_as_found()
    for pid in shop.proxy.workers():
        assert re.search(rf"^ +\d+ +{pid} +serving ", shown, re.MULTILINE)
    assert re.search(rf"^api +127\.0\.0\.1:{shop.dead} +aside", shown, re.MULTILINE)
    assert f"certificate of {API}: 11 days left" in shown
    assert shown.splitlines()[29].startswith("q quit")
    assert "\x1b[32m" in screen.shown(colours=True)
    screen.wait_for(lambda now: rate_of(now) not in ("", rate_of(shown)), "another rate")
    # Nothing goes over the edge, and what reaches it is whole.
    for columns, lines, edge in ((60, 20, r" TOOK$"), (160, 45, r" SERVER +CLIENT$"), (100, 30, r" SENT +CACHE$")):
        screen.resize(columns, lines)
        shown = screen.wait_for(partial(re.search, edge, flags=re.MULTILINE), f"{columns} columns")
        assert len(shown.splitlines()) == lines
        assert shown.splitlines()[-1].startswith("q quit")
        rows = re.findall(r"^(?:\d\d:\d\d:\d\d  )?\d{3} +[A-Z]+ .*$", shown, re.MULTILINE)
        assert len(rows) > 3
        assert columns != 60 or all(re.search(r"m?s$", row) for row in rows), rows
    screen.press("q")
    assert_left_well(screen)


def test_keys_of_top(screen: Screen) -> None:
    screen.say(f"NO_COLOR=1 {REVPROXY} top")
    screen.wait_for(lambda shown: "REQUEST (newest)" in shown, "requests")
    assert "\x1b[" not in screen.shown(colours=True)
    screen.press("s")
    screen.wait_for(lambda shown: "REQUEST (slowest)" in shown, "the slowest ones")
    screen.press("e")
    screen.wait_for(lambda shown: "(slowest failed)" in shown or "No failed requests" in shown, "failed ones")
    screen.press("p")
    screen.wait_for(lambda shown: "paused" in shown, "the pause")
    # Arrows are no keys of its own.
    screen.press("Up", "Down")
    screen.press("C-z")
    screen.wait_for(lambda shown: "what was before" in shown and screen.is_as_found(), "the shell")
    screen.say("fg")
    screen.wait_for(lambda shown: "q quit" in shown, "top again")
    screen.press("C-c")
    assert_left_well(screen)


def test_tail_prints_and_ends(screen: Screen, shop: Shop) -> None:
    screen.resize(200, 40)
    screen.say(f"{REVPROXY} tail --status 4xx")
    shown = screen.wait_for(lambda shown: shown.count(" 404 ") > 2, "a few lines")
    lines = [line for line in shown.splitlines() if re.match(r"\d\d:\d\d:\d\d ", line)]
    assert all(re.search(rf" 404 GET .* {API}/\S+ .*id=[0-9a-f]+$", line) for line in lines), lines
    for target in (b"/\x1b]2;hacked\x07\x1b[2J", b"/%1b[2J", b"/?\xe2\x80\xae"):
        with RawClient(shop.port) as client:
            client.send(b"GET " + target + b" HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
            assert client.read_answer().status in (400, 404)
    # What a client sends is shown, and not obeyed.
    shown = screen.wait_for(lambda shown: "/%1b[2J" in shown, "the hostile ones")
    screen.wait_for(lambda shown: re.search(r" 400 .* id=", shown), "the one that makes no request")
    assert r"/?\xe2\x80\xae" in screen.shown()
    assert "hacked" not in screen.title()
    screen.press("C-c")
    assert_left_well(screen)


def test_the_proxy_goes_and_comes_back(screen: Screen, shop: Shop) -> None:
    screen.say(f"{REVPROXY} top --interval 0.2")
    first = shop.proxy.process.pid
    screen.wait_for(lambda shown: f"pid {first}" in shown, "the figures")
    assert shop.proxy.end() == 0
    shown = screen.wait_for(lambda shown: "No answer" in shown, "the trouble to be told")
    # What was known stays to be read.
    assert f"pid {first}" in shown
    shop.start()
    screen.wait_for(lambda shown: f"pid {shop.proxy.process.pid}" in shown and "No answer" not in shown, "the next one")
    screen.press("q")
    assert_left_well(screen)
