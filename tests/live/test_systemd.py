"""systemd's protocols, spoken for real: LISTEN_FDS over exec, datagrams to NOTIFY_SOCKET; and root given up."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.live.support_client import RawClient, ask
from tests.live.support_process import until
from tests.live.support_systemd import HELLO, Supervised, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.live.conftest import Started

SITE = """
[[site]]
  [[site.route]]
  path = "/held"
  proxy = "{held}"

  [[site.route]]
  files = "public"

[access_log]
path = "access.log"
"""


@pytest.fixture
def for_all() -> Iterator[Path]:
    """The same, in a place where every user may go."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "public").mkdir()
        (place / "public" / "hello.txt").write_bytes(HELLO)
        yield place


def site(*listeners: str, held: str = "http://127.0.0.1:9") -> str:
    tables = "".join(f"[[listener]]\n{lines}\n" for lines in listeners)
    return tables + SITE.format(held=held)


def over_tls(port: int) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 20) as raw,
        context.wrap_socket(raw, server_hostname="a.example") as client,
    ):
        client.sendall(b"GET /hello.txt HTTP/1.0\r\nHost: a.example\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_sockets_outlive_the_process(service_folder: Path, supervisor: Supervisor) -> None:
    """TCP, two of one name; TLS; a unix path. The same ones serve twice, and who comes in between only waits."""
    path = str(service_folder / "front.sock")
    text = site('address = "systemd:web"', 'address = "systemd:secure"\ntls = true', 'address = "systemd:local"')
    text = text.replace("[[site]]", '[tls]\ninternal = true\nstate = "state"\n[[site]]\nhosts = ["a.example", "*"]')
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_server(("127.0.0.1", 0)) as secure,
        socket.socket(socket.AF_UNIX) as local,
    ):
        local.bind(path)
        local.listen()
        sockets = [("web", one), ("secure", secure), ("local", local), ("web", other)]
        ports = [sock.getsockname()[1] for sock in (one, other)]
        early: list[RawClient] = []
        for _ in range(2):
            with Supervised(service_folder, text, sockets, {"NOTIFY_SOCKET": supervisor.address}) as proxy:
                until(lambda: supervisor.values("READY"), f"READY, of {proxy.output}")
                supervisor.heard.clear()
                for client in early:
                    assert client.read_answer().body == HELLO
                    client.close()
                for port in ports:
                    assert ask(port, "GET", "/hello.txt").body == HELLO
                assert over_tls(secure.getsockname()[1]).endswith(HELLO)
                with RawClient(0, path=path) as client:
                    assert client.ask("GET", "/hello.txt").body == HELLO
                # Nobody else is to take them for its own.
                children = Path(f"/proc/{proxy.process.pid}/fdinfo")
                for number in range(3, 7):
                    flags = int(re.search(r"flags:\s+(\d+)", (children / str(number)).read_text())[1], 8)  # type: ignore[index]
                    assert flags & os.O_CLOEXEC
                proxy.signal(signal.SIGTERM)
                assert proxy.wait() == 0
                assert "Traceback" not in proxy.output
            assert os.path.exists(path)
            early = [RawClient(ports[0]), RawClient(0, path=path)]
            for client in early:
                client.send(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in early:
            client.close()


def test_what_twisted_took_out_of_the_environment_is_found(service_folder: Path) -> None:
    """Here also: a supervisor with a name in the abstract namespace, no watchdog, and root is warned of."""
    supervisor = Supervisor(service_folder, abstract=True)
    text = (
        "import twisted.internet.endpoints, os\n"
        "assert 'LISTEN_FDS' not in os.environ\n"
        "from revproxy.config import *\n"
        "config = Config(listeners=(Listener(address='systemd:web'),), sites=(Site(routes=(Route(files='public'),)),))\n"
    )
    variables = {"NOTIFY_SOCKET": supervisor.address}
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        Supervised(service_folder, text, [("web", web)], variables, file="site.py") as proxy,
    ):
        supervisor.wait_for("READY")
        assert ask(web.getsockname()[1], "GET", "/hello.txt").body == HELLO
        proxy.signal(signal.SIGTERM)
        supervisor.wait_for("STOPPING")
        assert proxy.wait() == 0
        assert ("running as root, which nothing here needs" in proxy.output) is (os.geteuid() == 0)
    assert supervisor.values("WATCHDOG") == []
    supervisor.close()


def test_a_name_that_systemd_does_not_know(service_folder: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        Supervised(service_folder, site('address = "systemd:web"'), [("http", web)]) as proxy,
    ):
        assert proxy.wait() == 2
        assert proxy.output.strip() == (
            f'{service_folder}/revproxy.toml: systemd gave no socket named "web": it gave "http" (see FileDescriptorName= of the'
            " socket unit)"
        )


def test_the_life_of_a_service(service_folder: Path, started: Started, supervisor: Supervisor) -> None:
    """READY, figures, signs of life, and an end that takes longer than it seems."""
    backend = started.backend("aiohttp")
    text = site('address = "systemd:web"', held=backend.url) + '[limits]\ndrain_timeout = "300s"\n'
    said = {"NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "4000000"}
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        Supervised(service_folder, text, [("web", web)], said) as proxy,
        RawClient(web.getsockname()[1]) as client,
    ):
        assert supervisor.wait_for("READY") == ["1"]
        assert client.ask("GET", "/hello.txt").body == HELLO
        client.send(b"GET /held/chunked/systemd HTTP/1.1\r\nHost: a\r\n\r\n")
        client.read_until(b"data: 1")
        supervisor.wait_for("STATUS", "serving: 1 connection, 0.")
        supervisor.wait_for("WATCHDOG", count=3)
        assert supervisor.values("STOPPING") == []
        proxy.signal(signal.SIGTERM)
        assert supervisor.wait_for("STOPPING") == ["1"]
        assert supervisor.values("EXTEND_TIMEOUT_USEC") == ["305000000"]
        assert supervisor.wait_for("STATUS", "ending") == ["ending: 1 connection left, cut in 300 s"]
        # It lives while it drains.
        supervisor.wait_for("WATCHDOG", count=len(supervisor.values("WATCHDOG")) + 1)
        assert ask(backend.port, "POST", "/open/systemd").status == 200
        client.read_until(b"0\r\n\r\n")
        assert proxy.wait() == 0
    assert supervisor.values("READY") == ["1"]
    assert supervisor.listen()[0]["READY"] == "1"


# Root.


def identities(pid: int) -> dict[str, set[str]]:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return {name: set(words.split()) for name, words in re.findall(r"^(Uid|Gid|Groups):(.*)$", status, re.MULTILINE)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give root up")
def test_root_is_given_up(for_all: Path) -> None:
    """Bound, read and opened as root; served, and the log opened again, as nobody."""
    folder, nobody = for_all, pwd.getpwnam("nobody")
    supervisor = Supervisor(folder)
    Path(supervisor.address).chmod(0o777)
    # Rotation as logrotate does it: the folder is root's, and the new file is made for the user.
    logs = folder / "logs"
    logs.mkdir()
    text = site('address = "127.0.0.1:0"').replace('"access.log"', f'"{logs}/access.log"')
    variables = {"NOTIFY_SOCKET": supervisor.address}
    with Supervised(folder, text, variables=variables, twistd=["--uid", "nobody"]) as proxy:
        supervisor.wait_for("READY")
        port = int(proxy.wait_for(r"listens on http://127\.0\.0\.1:(\d+)/")[1])
        user, group = {str(nobody.pw_uid)}, {str(nobody.pw_gid)}
        assert identities(proxy.process.pid) == {"Uid": user, "Gid": group, "Groups": group}
        assert "running as root" not in proxy.output
        assert ask(port, "GET", "/hello.txt").body == HELLO
        old = logs / "access.log"
        old.rename(logs / "access.log.1")
        assert (logs / "access.log.1").stat().st_uid == nobody.pw_uid
        old.touch(0o640)
        os.chown(old, nobody.pw_uid, nobody.pw_gid)
        proxy.signal(signal.SIGUSR1)
        assert ask(port, "GET", "/hello.txt?again").body == HELLO

        def rotated() -> bool:
            proxy.signal(signal.SIGUSR1)
            return "again" in old.read_text("ascii")

        until(rotated, "a line in the new log")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert "can't" not in proxy.output
    supervisor.close()
