"""What a real process says of itself: lines on a terminal, JSON, the journal's fields, a daemon's file; and nothing that
a client or a server did makes more than a line of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.support_client import RawClient
from tests.live.support_process import Child, free_port, python, until
from tests.live.support_proxy import TWISTD
from tests.service.test_journal import FakeJournald

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?P<level>(?:warning|error|critical|debug): )?(?P<text>.+)")
SITE = """
[[listener]]
address = "127.0.0.1:0"

[[site]]
  [[site.route]]
  proxy = "{server}"

[access_log]
path = "off"
"""
HOSTILE = (
    b"GET /%0a%1b[2J HTTP/1.1\r\nHost: a\r\nUser-Agent: \xe2\x80\xae\xc2\x9b\xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[2J\xe2\x80\xae\r\n\r\n",
    b"GET /\n2026-11-24 09:00:01 error: forged HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"G\x00T / HTTP/1.1\r\n\r\n",
)


class Talking(Child):
    """``twistd -n revproxy`` with a configuration; its access log is off."""

    def __init__(
        self, folder: Path, text: str, *twistd: str, variables: dict[str, str] | None = None, prepared: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "revproxy.toml").write_text(text, "utf-8")
        start: list[str | Path] = [TWISTD]
        if prepared:
            start = [*python("-c"), f"{prepared}\nfrom twisted.scripts.twistd import run\nrun()"]
        super().__init__(
            "talking",
            [*start, "-n", "--pidfile=", *twistd, "revproxy", "--config", "revproxy.toml"],
            folder,
            variables=variables,
        )


def attack(port: int, *, reset: bool = True) -> None:
    """Whatever a client can send or do."""
    for octets in HOSTILE:
        with RawClient(port) as client:
            client.send(octets)
            client.read_answer()
    if reset:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def port_of(text: str) -> int:
    match = re.search(r"listens on https?://\S+?:(\d+)/", text)
    assert match, text
    return int(match[1])


def lines(child: Child) -> list[str]:
    return child.output.splitlines()


@contextlib.contextmanager
def on_a_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[tuple[Any, Any]]:
    """A process on a terminal, and a function that gives what the screen has shown."""
    master, terminal = os.openpty()
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, cwd=folder, env={**os.environ, **environment}
    )
    os.close(terminal)
    shown = b""

    def screen() -> str:
        nonlocal shown
        os.set_blocking(master, False)
        with contextlib.suppress(OSError):
            while octets := os.read(master, 65536):
                shown += octets
        return shown.decode("utf-8")

    try:
        yield process, screen
    finally:
        process.kill()
        process.wait()
        os.close(master)


@pytest.mark.parametrize("plain", [False, True])
def test_lines_on_a_terminal(tmp_path: Path, plain: bool) -> None:
    """Start, a server that is down, hostile clients, the end: a few lines, in colours unless NO_COLOR is set."""
    (tmp_path / "revproxy.toml").write_text(SITE.format(server=f"http://127.0.0.1:{free_port()}"))
    command = [str(TWISTD), "-n", "--pidfile=", "revproxy", "--config", "revproxy.toml"]
    environment = {"TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[2]), "NO_COLOR": "1" if plain else ""}
    with on_a_terminal(command, tmp_path, environment) as (process, screen):
        until(lambda: "listens on" in screen(), "the start")
        attack(port_of(screen()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        text = screen()
    assert ("\x1b[33mwarning:\x1b[0m server" in text) is not plain
    text = re.sub(r"\x1b\[[\d;]*m", "", text).replace("\r\n", "\n")
    assert re.sub(r"[^\x20-\x7e\n]", "?", text) == text
    matches = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(matches), text
    said = [match["text"] for match in matches if match and "root" not in match["text"]]
    assert [re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line).partition(";")[0] for line in said] == [
        "revproxy 0.1.0 listens on http://ADDRESS/",
        "server ADDRESS can't be reached, and is tried for each request, since there is no other: ADDRESS: Connection refused",
        "stopping: nothing is accepted any more",
        "stopped",
    ]


def test_json(tmp_path: Path) -> None:
    text = SITE.format(server=f"http://127.0.0.1:{free_port()}") + '[log]\nformat = "json"\nlevel = "debug"\n'
    with Talking(tmp_path, text) as proxy:
        proxy.wait_for("listens on")
        attack(port_of(proxy.output))
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        events = [json.loads(line) for line in lines(proxy)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"]) for event in events)
    assert all({"level", "message", "process", "namespace", "pid"} <= set(event) for event in events)
    assert {event["pid"] for event in events} == {proxy.process.pid}
    assert [event for event in events if "traceback" in event] == []
    warned = [event for event in events if event["namespace"] == "revproxy.upstream.pool"]
    assert [(event["level"], event["name"].split(":")[0]) for event in warned] == [("warning", "127.0.0.1")]
    # Twisted's own are there for whoever looks for them.
    assert [event["level"] for event in events if "reactor class" in event["message"]] == ["debug"]
    assert events[-1]["message"] == "stopped"


def test_a_fault_of_ours_is_one_line_too(tmp_path: Path) -> None:
    """And what a resource prints is a line for each of its own."""
    (tmp_path / "faulty.py").write_text(
        "from twisted.web.resource import Resource\n"
        "class Faulty(Resource):\n"
        "    isLeaf = True\n"
        "    def render_GET(self, request):\n"
        "        print('one\\ntwo', request.uri)\n"
        "        raise ValueError(request.uri.decode())\n"
        "root = Faulty()\n"
    )
    text = SITE.replace('proxy = "{server}"', 'resource = "faulty:root"') + '[log]\nformat = "json"\n'
    folder = tmp_path
    with Talking(folder, text, variables={"PYTHONPATH": f"{Path(__file__).parents[2]}:{folder}"}) as proxy:
        proxy.wait_for("listens on")
        with RawClient(port_of(proxy.output)) as client:
            assert client.ask("GET", "/%0a?x=%1b[2J").status == 500
        proxy.wait_for("faulty.py")
        events = [json.loads(line) for line in lines(proxy)]
    (fault,) = (event for event in events if "traceback" in event)
    assert fault["level"] == "critical"
    assert fault["error"] == "ValueError"
    assert "render_GET" in fault["traceback"]
    printed = [event for event in events if event["namespace"] == "stdout"]
    assert [event["message"] for event in printed] == ["one", "two b'/%0a?x=%1b[2J'"]


def test_the_journal(tmp_path: Path) -> None:
    """As under systemd: standard error is the journal's stream, and JOURNAL_STREAM says so."""
    journald = FakeJournald(tmp_path / "journal")
    output = tmp_path / "work" / "talking.output"
    output.parent.mkdir()
    output.touch()
    status = output.stat()
    with Talking(
        tmp_path / "work",
        SITE.format(server=f"http://127.0.0.1:{free_port()}"),
        variables={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"},
        prepared=f"import revproxy.service.journal as journal; journal.SOCKET = {str(journald.path)!r}",
    ) as proxy:
        fields = journald.receive()
        assert re.fullmatch(r"revproxy \S+ listens on http://127\.0\.0\.1:\d+/", fields["MESSAGE"])
        assert (fields["PRIORITY"], fields["SYSLOG_IDENTIFIER"]) == ("6", "revproxy")
        assert fields["REVPROXY_ADDRESS"] in fields["MESSAGE"]
        assert fields["CODE_FILE"].endswith(".py")
        attack(port_of(fields["MESSAGE"]))
        heard = []
        while "can't be reached" not in fields["MESSAGE"]:
            fields = journald.receive()
            heard.append(fields["MESSAGE"])
        assert fields["PRIORITY"] == "4"
        assert fields["REVPROXY_NAME"].startswith("127.0.0.1:")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        while heard[-1] != "stopped":
            heard.append(journald.receive()["MESSAGE"])
        assert proxy.output == ""
    journald.socket.close()


def test_a_file_that_logrotate_moves(tmp_path: Path) -> None:
    text = SITE.format(server="http://127.0.0.1:9") + '[log]\nfile = "revproxy.log"\n'
    log = tmp_path / "revproxy.log"
    with Talking(tmp_path, text) as proxy:
        until(lambda: log.exists() and "listens on" in log.read_text(), "the start")
        log.rename(tmp_path / "revproxy.log.1")
        proxy.signal(signal.SIGUSR1)
        until(log.exists, "the new file")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert proxy.output == ""
    assert all(LINE.fullmatch(line) for line in log.read_text().splitlines())
    assert log.read_text().splitlines()[-1].endswith(" stopped")
    assert "listens on" not in log.read_text()


def test_a_file_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with Talking(tmp_path, SITE.format(server="http://127.0.0.1:9"), "--logfile", "folder") as proxy:
        assert proxy.wait() == 2
        assert proxy.output == "revproxy.toml: --logfile: can't write folder: Is a directory\n"


def test_a_full_disk_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    text = SITE.replace('proxy = "{server}"', 'files = "public"')
    text = text.replace("127.0.0.1:0", f"127.0.0.1:{(port := free_port())}") + '[log]\nfile = "/dev/full"\n'
    with Talking(tmp_path, text) as proxy:
        proxy.wait_for("the log can't be written: No space left on device; its lines are lost until it can")
        with RawClient(port) as client:
            assert client.ask("GET", "/nothing").status == 404
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert len(lines(proxy)) == 1


def daemon(folder: Path, text: str, *twistd: str) -> int:
    """Starts a daemon, and gives its process id."""
    (folder / "revproxy.toml").write_text(text)
    subprocess.run(
        [str(TWISTD), "--pidfile=pid", *twistd, "revproxy", "--config", "revproxy.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        timeout=20,
        stdout=subprocess.DEVNULL,
    )
    return int((folder / "pid").read_text())


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(("given", "name"), [((), "twistd.log"), (("--logfile", "events.log"), "events.log")])
def test_a_daemon(tmp_path: Path, given: tuple[str, ...], name: str) -> None:
    """twistd's own file, in our form; SIGUSR1 rotates it, as it does with twistd."""
    log = tmp_path / name
    pid = daemon(tmp_path, SITE.format(server="http://127.0.0.1:9"), *given)
    try:
        until(lambda: "listens on" in log.read_text(), "the start")
        attack(port_of(log.read_text()))
        os.kill(pid, signal.SIGUSR1)
        rotated = tmp_path / f"{name}.1"
        until(lambda: rotated.exists() and log.exists(), "the rotation")
        os.kill(pid, signal.SIGTERM)
        until(lambda: gone(pid), "the end")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert "listens on" in rotated.read_text()
    assert log.read_text().splitlines()[-1].endswith(" stopped")
    assert all(LINE.fullmatch(line) for line in (rotated.read_text() + log.read_text()).splitlines())


def test_the_logger_that_twistd_is_given(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from twisted.logger import textFileLogObserver\n"
        "def make():\n"
        "    return textFileLogObserver(open('theirs.log', 'a', buffering=1))\n"
    )
    variables = {"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}
    text = SITE.format(server="http://127.0.0.1:9")
    with Talking(tmp_path, text, "--logger", "theirs.make", variables=variables) as proxy:
        log = tmp_path / "theirs.log"
        until(lambda: log.exists() and "listens on" in log.read_text(), "the start")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert "Server Shut Down." in log.read_text()
        assert proxy.output == ""


def test_repeats_are_counted(tmp_path: Path) -> None:
    """A resource that fails for each request says so five times; the rest is a number, at the end at the latest."""
    (tmp_path / "faulty.py").write_text(
        "from twisted.web.resource import Resource\n"
        "class Faulty(Resource):\n"
        "    isLeaf = True\n"
        "    def render_GET(self, request):\n"
        "        raise ValueError(request.uri.decode())\n"
        "root = Faulty()\n"
    )
    text = SITE.replace('proxy = "{server}"', 'resource = "faulty:root"')
    with Talking(tmp_path, text, variables={"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"}) as proxy:
        proxy.wait_for("listens on")
        for number in range(40):
            with RawClient(port_of(proxy.output)) as client:
                assert client.ask("GET", f"/{number}").status == 500
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        failed = [line for line in lines(proxy) if "a resource failed" in line]
    assert len(failed) <= 6 * (1 + int(any("more of these" in line for line in failed[:-1])))
    counted = sum(int(number) for number in re.findall(r"… (\d+) more of these", proxy.output))
    assert counted + len([line for line in failed if "more of these" not in line]) == 40
