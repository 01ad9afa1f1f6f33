"""systemd and several workers: when all is ready, reloads, another process in place of this one, signs of life."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from revproxy.service.master import HANGS
from tests.certificates.making import make_root, pem_of
from tests.live.support_client import ask
from tests.live.support_load import Load
from tests.live.support_process import until
from tests.live.support_systemd import HELLO, Supervised, Supervisor
from tests.live.support_tls import SecureClient, trusting

TEXT = """
workers = {workers}
[[listener]]
address = "systemd:web"
{more}
[[site]]
hosts = ["*"]
[[site.route]]
files = "public"
[access_log]
path = "access.log"
[control]
socket = "c.sock"
"""
both = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture
def web() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def port_of(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def supervised(
    folder: Path, supervisor: Supervisor, web: socket.socket, workers: int, *, watchdog: str = "", more: str = ""
) -> Supervised:
    said = {"NOTIFY_SOCKET": supervisor.address} | ({"WATCHDOG_USEC": watchdog} if watchdog else {})
    return Supervised(folder, TEXT.format(workers=workers, more=more), [("web", web)], said)


@both
def test_reloads_are_told_good_or_bad(service_folder: Path, supervisor: Supervisor, web: socket.socket, workers: int) -> None:
    with supervised(service_folder, supervisor, web, workers) as proxy:
        supervisor.wait_for("READY")
        file = service_folder / "revproxy.toml"
        good = file.read_text()
        for number, text in enumerate((good + "# the same\n", good + "[nonsense]\n", good), 1):
            file.write_text(text)
            began = time.monotonic()
            proxy.signal(signal.SIGHUP)
            supervisor.wait_for("RELOADING", count=number)
            supervisor.wait_for("READY", count=number + 1)
            told = int(supervisor.values("MONOTONIC_USEC")[-1]) / 1_000_000
            assert began <= told <= time.monotonic()
            assert ask(port_of(web), "GET", "/hello.txt").body == HELLO
        # systemd wants both at once, and READY after it.
        told_together = [message for message in supervisor.heard if "RELOADING" in message]
        assert all("MONOTONIC_USEC" in message for message in told_together)
        order = [name for message in supervisor.heard for name in message if name in ("RELOADING", "READY")]
        assert order == ["READY", *["RELOADING", "READY"] * 3]
        assert f"{file}:{len(good.splitlines()) + 1}:2: nonsense: unknown key" in proxy.output
        proxy.signal(signal.SIGTERM)
        supervisor.wait_for("STOPPING")
        assert proxy.wait() == 0


@both
def test_another_process_takes_over(service_folder: Path, supervisor: Supervisor, web: socket.socket, workers: int) -> None:
    with supervised(service_folder, supervisor, web, workers, watchdog="2000000") as proxy:
        supervisor.wait_for("READY")
        with Load(port_of(web), threads=2) as load:
            load.go_on()
            proxy.signal(signal.SIGUSR2)
            (main,) = supervisor.wait_for("MAINPID")
            load.go_on()
            assert proxy.wait() == 0
            load.go_on()
        assert load.failures == []
        assert set(load.statuses) == {200}
        assert int(main) != proxy.process.pid
        # Whom systemd follows goes on to show that it lives; nobody said that the service ends.
        seen = len(supervisor.values("WATCHDOG"))
        supervisor.wait_for("WATCHDOG", count=seen + 2)
        assert supervisor.values("STOPPING") == []
        os.kill(int(main), signal.SIGTERM)
        supervisor.wait_for("STOPPING")
        until(lambda: not lives(int(main)), "the new process to end")


def test_a_killed_worker_refuses_nobody(service_folder: Path, supervisor: Supervisor, web: socket.socket) -> None:
    with supervised(service_folder, supervisor, web, 2) as proxy:
        supervisor.wait_for("READY")
        before = children(proxy.process.pid)
        with Load(port_of(web), threads=2) as load:
            load.go_on()
            os.kill(before[0], signal.SIGKILL)
            until(lambda: len(set(children(proxy.process.pid)) - set(before)) == 1, "a worker in its place")
            load.go_on()
        assert not any("refused" in failure for failure in load.failures)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


def test_figures_of_all_and_no_sign_of_life_while_one_hangs(
    service_folder: Path, supervisor: Supervisor, web: socket.socket
) -> None:
    with supervised(service_folder, supervisor, web, 3, watchdog="2000000") as proxy:
        supervisor.wait_for("READY")
        before = children(proxy.process.pid)
        assert len(before) == 3
        with Load(port_of(web), threads=2) as load:
            load.go_on(200)
            told = supervisor.wait_for("STATUS", "serving: ", count=2)[-1]
        assert float(told.rpartition(", ")[2].split()[0]) > 1, told
        seen = len(supervisor.wait_for("WATCHDOG", count=2))
        beaten = time.monotonic()
        os.kill(before[1], signal.SIGSTOP)

        def silent() -> bool:
            nonlocal seen, beaten
            if len(supervisor.values("WATCHDOG")) > seen:
                seen, beaten = len(supervisor.values("WATCHDOG")), time.monotonic()
            return time.monotonic() - beaten > 3

        until(silent, "no sign of life")
        assert time.monotonic() - beaten < HANGS
        os.kill(before[1], signal.SIGCONT)
        supervisor.wait_for("WATCHDOG", count=seen + 2)
        # It turned again before it was given up.
        assert children(proxy.process.pid) == before
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


def test_sockets_that_do_not_fit(service_folder: Path, web: socket.socket) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as spare,
        Supervised(service_folder, TEXT.format(workers=2, more=""), [("web", web), ("spare", spare)]) as proxy,
    ):
        proxy.wait_for("listens on")
        proxy.wait_for('warning: .*"spare"')
        until(lambda: len(children(proxy.process.pid)) == 2, "both workers")
        assert ask(port_of(web), "GET", "/hello.txt").body == HELLO
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    with Supervised(service_folder, TEXT.format(workers=2, more=""), [("other", web)]) as proxy:
        assert proxy.wait() == 2
        assert 'systemd gave no socket named "web": it gave "other"' in proxy.output


def test_credentials(service_folder: Path, supervisor: Supervisor, web: socket.socket) -> None:
    """systemd's copies: in a service_folder of the service alone, read-only."""
    root = make_root("somebody")
    credentials = service_folder / "credentials"
    credentials.mkdir(mode=0o700)
    more = f'[[listener]]\naddress = "systemd:secure"\ntls = true\n[tls]\ncertificates = "{credentials}"\n'
    text = TEXT.format(workers=2, more=more).replace('hosts = ["*"]', 'hosts = ["a.localhost"]')
    variables = {"NOTIFY_SOCKET": supervisor.address, "CREDENTIALS_DIRECTORY": str(credentials)}
    with socket.create_server(("127.0.0.1", 0)) as secure:
        sockets = [("web", web), ("secure", secure)]
        with Supervised(service_folder, text, sockets, variables) as proxy:
            assert proxy.wait() == 2
            assert f"{service_folder}/revproxy.toml:9:1: tls.certificates: there is no certificate at all" in proxy.output
            assert "Traceback" not in proxy.output
        leaf = root.issue("a.localhost").pem
        at = leaf.index(b"-----BEGIN PRIVATE KEY")
        for name, octets in (("a.pem", leaf[:at] + pem_of(root.certificate)), ("a.key", leaf[at:])):
            (credentials / name).write_bytes(octets)
            (credentials / name).chmod(0o400)
        credentials.chmod(0o500)
        with Supervised(service_folder, text, sockets, variables) as proxy:
            supervisor.wait_for("READY")
            context = trusting(roots=root)
            with SecureClient(port_of(secure), name="a.localhost", context=context) as client:
                assert client.ask("GET", "/hello.txt", host="a.localhost").body == HELLO
            proxy.signal(signal.SIGTERM)
            assert proxy.wait() == 0
        credentials.chmod(0o700)
