"""The tools as their users run them, on real processes: found, asked, obeyed or refused, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.live.support_client import RawClient, ask
from tests.live.support_process import CHECKOUT, PATIENCE, until
from tests.live.support_proxy import REVPROXY, Proxy
from tests.live.support_scripted import Accepted, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Proxy]

both = pytest.mark.parametrize("workers", [1, 2])


@attrs.frozen
class Ran:
    """What a tool did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def tool(proxy: Proxy | None, *words: str, runtime: Path | None = None) -> Ran:
    """Runs a tool for a proxy: its folder is in the environment, and its socket is named unless words say which."""
    chosen: list[str] = []
    if proxy is not None:
        runtime = proxy.runtime
        if not {"--socket", "--config"} & set(words):
            chosen = ["--socket", str(runtime / f"{proxy.process.pid}.sock")]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "RUNTIME_DIRECTORY": str(runtime), "COLUMNS": "120"}
    done = subprocess.run(
        [REVPROXY, *words, *chosen], env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


SITE = """\
[[site]]
hosts = ["*"]
[[site.route]]
path = "/held"
proxy = "held"
[[site.route]]
path = "/"
files = "public"
[upstream.held]
servers = ["{held}"]
"""


@pytest.fixture
def held() -> Iterator[Scripted]:
    """A server that answers when the test says so."""
    with Scripted(Accepted.await_end) as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, held: Scripted) -> Iterator[Start]:
    """Starts proxies."""
    proxies: list[Proxy] = []

    def start_proxy(workers: int = 1, rest: str = "", name: str = "revproxy.toml") -> Proxy:
        for folder, text in (("public", "first\n"), ("other", "second\n")):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "hello.txt").write_text(text)
        text = f"workers = {workers}\n" + SITE.format(held=held.url) + rest
        proxies.append(Proxy.configured(tmp_path, text, name=name))
        until(lambda: re.search(r"listens on", proxies[-1].output), "it to serve")
        if "[control]" not in rest:
            until(lambda: proxies[-1].order("GET", "/readyz")[0] == 200, "all workers to serve")
        return proxies[-1]

    yield start_proxy
    for proxy in proxies:
        if proxy.is_running:
            proxy.signal(signal.SIGTERM)
            proxy.wait()
        proxy.__exit__(None, None, None)


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def served(proxy: Proxy) -> str:
    answer = ask(proxy.port, "GET", "/hello.txt")
    assert answer.status == 200
    return answer.body.decode().strip()


@both
def test_status(start: Start, tmp_path: Path, workers: int) -> None:
    proxy = start(workers)
    with RawClient(proxy.port) as client:
        assert client.ask("GET", "/hello.txt").status == 200
        ran = tool(proxy, "status")
        assert (ran.code, ran.err) == (0, "")
        told = tool(proxy, "status", "--json").json
    lines = ran.out.splitlines()
    assert re.fullmatch(rf"revproxy  serving  up \d+ s  version \S+, process {proxy.process.pid}", lines[0])
    assert lines[1].startswith(f"Config    {tmp_path}/revproxy.toml  generation 1, loaded at ")
    for row in (
        *(rf" +\d  +{worker['pid']}  serving +.*" for worker in told["workers"]),
        rf"http://127\.0\.0\.1:{proxy.port}/ +no +1",
        r"held +127\.0\.0\.1:\d+ +up +0 +0 +0 +1 +0",
    ):
        assert re.search(f"^{row}$", ran.out, re.MULTILINE), (row, ran.out)
    assert (told["pid"], told["state"], told["ready"]) == (proxy.process.pid, "serving", True)
    assert len(told["workers"]) == workers
    assert told["totals"]["requests"] == 1


@both
def test_plan_reload_and_rollback(start: Start, held: Scripted, tmp_path: Path, workers: int) -> None:
    proxy = start(workers)
    file = tmp_path / "revproxy.toml"
    with RawClient(proxy.port) as client, RawClient(proxy.port) as busy:
        assert client.ask("GET", "/hello.txt").body == b"first\n"
        busy.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: held.accepted, "the request")
        changed(file, '"public"', '"other"')
        changed(file, "[upstream.held]", '[upstream.held]\nconnect_timeout = "7s"')
        plan = (
            f"~ route */  {file}:7\n"
            f"    files: {tmp_path}/public -> {tmp_path}/other\n"
            f"~ upstream held  touches 1 connection  {file}:10\n"
            "    connect_timeout: 3s -> 7s\n"
            "\n"
        )
        ran = tool(proxy, "reload", "--plan")
        assert (ran.code, ran.out, ran.err) == (0, f"{plan}this is what a reload would change\n", "")
        assert proxy.status()["config"]["generation"] == 1
        assert client.ask("GET", "/hello.txt").body == b"first\n"

        ran = tool(proxy, "reload")
        assert (ran.code, ran.out, ran.err) == (0, f"{plan}reloaded: 2 changes\n", "")
        assert client.ask("GET", "/hello.txt").body == b"second\n"
        held.accepted[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld")
        assert busy.read_answer().body == b"held"
        ran = tool(proxy, "reload", "--json")
        assert (ran.code, ran.json) == (0, {"changed": False, "plan": [], "text": "reloaded: nothing changed"})

        ran = tool(proxy, "rollback")
        assert (ran.code, ran.out.splitlines()[-1]) == (0, "rolled back: 2 changes")
        assert f"    files: {tmp_path}/other -> {tmp_path}/public\n" in ran.out
        assert client.ask("GET", "/hello.txt").body == b"first\n"
    ran = tool(proxy, "rollback")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == ("revproxy: there is no earlier configuration to go back to: none was replaced since the start\n")


@both
def test_a_wrong_configuration_changes_nothing(start: Start, tmp_path: Path, workers: int) -> None:
    proxy = start(workers)
    file = tmp_path / "revproxy.toml"
    changed(file, '"public"', '"missing"')
    changed(file, 'proxy = "held"', 'proxy = "heldd"')
    for words in (["reload", "--plan"], ["reload"]):
        ran = tool(proxy, *words)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.splitlines() == [
            f'{file}:6:1: site[0].route[0].proxy: there is no upstream "heldd"; did you mean "held"?',
            f'{file}:9:1: site[0].route[1].files: the folder "{tmp_path}/missing" does not exist',
            "revproxy: the configuration has 2 mistakes; nothing has changed",
        ]
        assert served(proxy) == "first"
    ran = tool(proxy, "reload", "--json")
    assert (ran.code, ran.err) == (2, "")
    assert ran.json["mistakes"][0].startswith(f"{file}:6:1: ")
    file.write_text("[[site]\n")
    ran = tool(proxy, "reload")
    assert ran.code == 2
    assert ran.err.startswith(f"{file}:1:7: this is no TOML: ")
    file.unlink()
    ran = tool(proxy, "reload", "--config", str(file))
    assert (ran.code, ran.err) == (2, f"{file}: the file can't be read: No such file or directory\n")
    status = proxy.status()
    assert status["config"]["generation"] == 1
    assert status["config"]["last_reload"]["ok"] is False
    assert "the last reload failed at " in tool(proxy, "status").out


def test_what_only_a_new_process_can_do_is_refused(start: Start, tmp_path: Path) -> None:
    proxy = start(2)
    changed(tmp_path / "revproxy.toml", "workers = 2", "workers = 1")
    for words in (["reload", "--plan"], ["reload"]):
        ran = tool(proxy, *words)
        assert ran.code == 1
        assert "revproxy upgrade" in ran.err
    assert len(proxy.workers()) == 2


def test_without_a_file_there_is_nothing_to_reload(held: Scripted, tmp_path: Path) -> None:
    with Proxy.to(tmp_path, held.url) as proxy:
        ran = tool(proxy, "reload")
        assert (ran.code, ran.err) == (1, "revproxy: there is no file to read again: it was started with --to\n")
        assert "from the command line" in tool(proxy, "status").out
        assert proxy.end() == 0


@both
def test_drain(start: Start, held: Scripted, workers: int) -> None:
    proxy = start(workers)
    with RawClient(proxy.port) as busy:
        busy.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: held.accepted, "the request")
        ran = tool(proxy, "drain")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == "draining: 1 connection, at most 10 s; then the process ends\n"
        assert "draining" in tool(proxy, "status").out.splitlines()[0]
        ran = tool(proxy, "reload")
        assert (ran.code, ran.err) == (1, "revproxy: nothing is reloaded while the state is 'draining'\n")
        held.accepted[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")
        assert busy.read_answer().body == b"last"
    assert proxy.wait() == 0
    assert list(proxy.runtime.iterdir()) == []
    ran = tool(proxy, "status")
    assert (ran.code, ran.out) == (1, "")
    assert "nobody listens there" in ran.err


@both
def test_upgrade_and_who_is_meant_meanwhile(start: Start, held: Scripted, tmp_path: Path, workers: int) -> None:
    proxy = start(workers)
    config = ("--config", str(tmp_path / "revproxy.toml"))
    successor = 0
    try:
        with RawClient(proxy.port) as busy:
            busy.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: held.accepted, "the request")
            ran = tool(proxy, "upgrade", *config)
            match = re.fullmatch(rf"process (\d+) has taken over; {proxy.process.pid} drains and ends\n", ran.out)
            assert match, ran
            assert ran.code == 0
            successor = int(match[1])
            # The old one still has a request; the new one is meant all the same.
            assert f"process {successor}" in tool(proxy, "status", *config).out
            assert tool(proxy, "status", "--json").json["state"] == "draining"
            held.accepted[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast")
            assert busy.read_answer().body == b"last"
        assert proxy.wait() == 0
        assert tool(proxy, "status", "--json", *config).json["pid"] == successor
        (tmp_path / "revproxy.toml").write_text("nonsense = 1\n")
        ran = tool(proxy, "upgrade", *config)
        assert ran.code == 1
        assert "the new process was given up, and this one goes on: " in ran.err
        assert "nonsense" in ran.err
        assert served(proxy) == "first"
    finally:
        if successor:
            os.kill(successor, signal.SIGTERM)
            until(lambda: not os.path.exists(f"/proc/{successor}") or _is_zombie(successor), "the new one to end")


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_two_at_once(start: Start, tmp_path: Path) -> None:
    one, two = start(name="one.toml"), start(name="two.toml")
    # As if both had been given the same folder.
    for path in two.runtime.iterdir():
        (one.runtime / path.name).symlink_to(path)
    shared = one.runtime / f"{two.process.pid}.sock"
    shared.unlink()
    os.link(two.runtime / shared.name, shared)
    ran = tool(None, "status", runtime=one.runtime)
    assert (ran.code, ran.out) == (2, "")
    lines = ran.err.splitlines()
    assert lines[0] == "revproxy: several are running; say which, by --socket or --config:"
    for proxy, name in ((one, "one"), (two, "two")):
        path = one.runtime / f"{proxy.process.pid}.sock"
        assert f"  --socket {path}  (process {proxy.process.pid}, {tmp_path}/{name}.toml, serving)" in lines
        by_file = tool(one, "status", "--json", "--config", str(tmp_path / f"{name}.toml"))
        assert by_file.json["pid"] == proxy.process.pid
        assert tool(one, "status", "--json", "--socket", str(path)).json["pid"] == proxy.process.pid
    changed(tmp_path / "two.toml", '"public"', '"other"')
    assert tool(one, "reload", "--config", str(tmp_path / "two.toml")).code == 0
    assert (served(one), served(two)) == ("first", "second")


def test_the_dead_are_passed_over(start: Start, tmp_path: Path) -> None:
    dead, proxy = start(name="dead.toml"), start()
    dead.kill()
    [left] = dead.runtime.iterdir()
    os.link(left, proxy.runtime / left.name)
    ran = tool(None, "status", runtime=proxy.runtime)
    # Others of this machine, if there are any, make it a choice; the dead one is no part of it.
    assert f"process {proxy.process.pid}" in ran.out + ran.err
    assert str(dead.process.pid) not in ran.out + ran.err
    ran = tool(proxy, "status", "--config", str(tmp_path / "dead.toml"))
    assert ran.code == 1
    assert ran.err.startswith(f"revproxy: no running proxy was started with {tmp_path}/dead.toml; there are:\n")
    ran = tool(proxy, "reload", "--socket", str(left))
    assert (ran.code, ran.err) == (1, f"revproxy: {left}: nobody listens there (Connection refused)\n")


def test_a_socket_of_ones_own(start: Start, tmp_path: Path) -> None:
    proxy = start(rest=f'[control]\nsocket = "{tmp_path.name}.sock"\n')
    path = tmp_path / f"{tmp_path.name}.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(proxy.runtime.iterdir()) == []
    file = str(tmp_path / "revproxy.toml")
    assert tool(proxy, "status", "--json", "--config", file).json["pid"] == proxy.process.pid
    assert tool(proxy, "reload", "--config", file).code == 0
    proxy.end()
    assert not path.exists()


def test_none_at_all(start: Start, tmp_path: Path) -> None:
    proxy = start(rest='[control]\nsocket = "off"\n')
    ran = tool(proxy, "reload", "--config", str(tmp_path / "revproxy.toml"))
    assert ran.code == 1
    assert ran.err == (
        f'revproxy: {tmp_path}/revproxy.toml: control.socket is "off": that proxy listens to signals alone\n'
    )


def test_a_process_that_hangs_is_not_waited_for_without_end(start: Start, tmp_path: Path) -> None:
    proxy = start()
    proxy.signal(signal.SIGSTOP)
    try:
        ran = tool(proxy, "status", "--config", str(tmp_path / "revproxy.toml"))
    finally:
        proxy.signal(signal.SIGCONT)
    assert ran.code == 1
    assert f"{proxy.runtime}/{proxy.process.pid}.sock: it gives no answer" in ran.err


def test_a_stranger_is_no_proxy(tmp_path: Path) -> None:
    path = os.path.relpath(tmp_path / "x.sock")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    ran = tool(None, "drain", "--socket", path, runtime=tmp_path)
    assert (ran.code, ran.out) == (1, "")


@pytest.mark.parametrize("words", [["reload", "now"], ["status", "--plan"], ["rollback", "--socket"], ["upgrde"]])
def test_wrong_use(tmp_path: Path, words: list[str]) -> None:
    ran = tool(None, *words, runtime=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("usage: revproxy")
