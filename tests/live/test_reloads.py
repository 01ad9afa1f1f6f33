"""Reloads under load, one after the other: nobody is cut off, nothing is lost, nothing is left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from tests.live.support_client import RawClient, ask
from tests.live.support_load import Load
from tests.live.support_process import free_port, until
from tests.live.support_proxy import TWISTD, Proxy
from tests.live.support_scripted import Accepted, Scripted

if TYPE_CHECKING:
    from tests.live.conftest import Started

RELOADS = 100
"""In each arrangement."""
PIECE = 8192


class Streams:
    """A backend with one slow upload and one slow download, each a piece at a time."""

    def __init__(self) -> None:
        self.uploaded = hashlib.sha256()
        self.pieces: queue.Queue[bytes | None] = queue.Queue()

    def __call__(self, accepted: Accepted) -> None:
        head = accepted.read_head()
        if head.startswith(b"POST /up "):
            for _ in range(RELOADS):
                self.uploaded.update(accepted.read_exactly(PIECE))
            accepted.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        else:
            accepted.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while (piece := self.pieces.get()) is not None:
                accepted.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            accepted.send(b"0\r\n\r\n")
        accepted.await_end()


class Site:
    """The configuration, in its versions."""

    def __init__(self, file: Path, workers: int, files: str, sockets: str, streams: str, extra_port: int) -> None:
        self.file = file
        self._workers = workers
        self._files = files
        self._sockets = sockets
        self._streams = streams
        self._extra = extra_port

    def write(self, version: int) -> None:
        """Every version changes routes, an upstream, the cache; every other one has another listener."""
        extra = f'[[listener]]\naddress = "127.0.0.1:{self._extra}"\n' if version % 2 else ""
        extra_route = '[[site.route]]\npath = "/only-odd/"\nproxy = "files"\n' if version % 2 else ""
        self.file.write_text(
            f"""
workers = {self._workers}
[[listener]]
address = "127.0.0.1:{self.port}"
{extra}
[[site]]
hosts = ["*"]
[[site.route]]
path = "/"
proxy = "files"
response_headers = {{ set = {{ X-Version = "{version}" }} }}
cache = {{ ttl = "{1 + version % 3}s" }}
{extra_route}
[[site.route]]
path = "/ws"
proxy = "{self._sockets}"
[[site.route]]
path = "/up"
proxy = "{self._streams}"
[[site.route]]
path = "/down"
proxy = "{self._streams}"
[upstream.files]
servers = ["{self._files}"]
connections = {500 + version % 2}
[cache]
memory = "{8 + version % 4}MiB"
[limits]
idle_timeout = "{60 + version % 5}s"
[access_log]
path = "off"
"""
        )

    port = 0


@pytest.fixture
def arranged(started: Started, tmp_path: Path, workers: int) -> Iterator[tuple[Proxy, Site, Streams]]:
    streams = Streams()
    with Scripted(streams) as backend:
        files, sockets = started.backend("nginx").url, started.backend("websockets").url
        site = Site(tmp_path / "site.toml", workers, files, sockets, backend.url, free_port())
        site.port = free_port()
        site.write(0)
        proxy = Proxy(tmp_path, "--config", site.file, listen=False)
        proxy.await_start()
        until(lambda: proxy.order("GET", "/readyz")[0] == 200, "all to serve")
        try:
            yield proxy, site, streams
        finally:
            streams.pieces.put(None)
            proxy.end()
            proxy.__exit__(None, None, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_cut_nothing(arranged: tuple[Proxy, Site, Streams]) -> None:
    proxy, site, streams = arranged
    sent, received = hashlib.sha256(), hashlib.sha256()
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(Load(proxy.port))
        tunnels = [
            stack.enter_context(connect(f"ws://127.0.0.1:{proxy.port}/ws", proxy=None)) for _ in range(6)
        ]
        upload, download = stack.enter_context(RawClient(proxy.port)), stack.enter_context(RawClient(proxy.port))
        upload.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (RELOADS * PIECE))
        download.send(b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        download.read_until(b"\r\n\r\n")
        for version in range(1, RELOADS + 1):
            if version % 5 == 0:
                _refused(proxy, site)
            site.write(version)
            code, told = proxy.order("POST", "/reload", {})
            assert code == 200, told
            assert told["changed"]
            piece = os.urandom(PIECE)
            sent.update(piece)
            upload.send(piece)
            streams.pieces.put(piece)
            read = download.read_until(b"\r\n") and download.read_exactly(PIECE)
            download.read_exactly(2)
            received.update(read)
            for number, tunnel in enumerate(tunnels):
                tunnel.send(f"{version} {number}")
                assert tunnel.recv(timeout=10) == f"{version} {number}"
        streams.pieces.put(None)
        assert upload.read_answer("POST").body == b"ok"
        assert download.read_all().endswith(b"0\r\n\r\n")
        load.go_on()
    assert streams.uploaded.digest() == received.digest() == sent.digest()
    assert load.failures == []
    assert set(load.statuses) == {200}
    status = proxy.status()
    assert status["config"]["generation"] == RELOADS + 1
    assert all(worker["restarts"] == 0 for worker in status["workers"])
    assert "Traceback" not in proxy.output


def _refused(proxy: Proxy, site: Site) -> None:
    """A reload of what can't be used changes nothing, and says where it is wrong."""
    with site.file.open("a") as file:
        file.write("[nonsense]\n")
    before = proxy.status()["config"]["generation"]
    code, told = proxy.order("POST", "/reload", {})
    assert code == 422
    line = len(site.file.read_text().splitlines())
    assert told["mistakes"] == [f'{site.file}:{line}:2: nonsense: unknown key "nonsense"']
    assert proxy.status()["config"]["generation"] == before


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_leave_nothing_behind(arranged: tuple[Proxy, Site, Streams], workers: int) -> None:
    proxy, site, _ = arranged

    def turn(count: int, first: int) -> None:
        for version in range(first, first + count):
            site.write(version)
            code, told = proxy.order("POST", "/reload", {})
            assert code == 200, told
            for _ in range(4):
                assert ask(proxy.port, "GET", "/hello.txt").status == 200

    def held() -> list[tuple[int, int]]:
        pids = {proxy.process.pid, *proxy.workers()}
        return [(len(os.listdir(f"/proc/{pid}/fd")), _resident(pid)) for pid in sorted(pids)]

    turn(20, 0)
    before = held()
    turn(60, 20)
    # Stores and connections that were replaced go in their time, not at once; these are the same in both.
    after = held()
    for (descriptors, memory), (descriptors_after, memory_after) in zip(before, after, strict=True):
        assert descriptors_after <= descriptors + 4
        assert memory_after - memory < 12 * 2**20


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_kept_connection_gets_the_new_tree(arranged: tuple[Proxy, Site, Streams]) -> None:
    proxy, site, _ = arranged
    clients = [RawClient(proxy.port) for _ in range(4)]
    try:
        for client in clients:
            assert client.ask("GET", "/hello.txt?a").get("X-Version") == "0"
        site.write(1)
        assert proxy.order("POST", "/reload", {})[0] == 200
        for number, client in enumerate(clients):
            assert client.ask("GET", f"/hello.txt?b{number}").get("X-Version") == "1"
        assert proxy.order("POST", "/rollback", {})[0] == 200
        for number, client in enumerate(clients):
            assert client.ask("GET", f"/hello.txt?c{number}").get("X-Version") == "0"
        code, told = proxy.order("POST", "/rollback", {})
        assert code == 409
        assert "no earlier configuration" in told["error"]
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_listeners_come_and_go(arranged: tuple[Proxy, Site, Streams]) -> None:
    proxy, site, _ = arranged
    extra = site._extra

    def accepts() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", extra)) == 0

    assert not accepts()
    site.write(1)
    _, told = proxy.order("POST", "/reload", {"plan": True})
    assert {"kind": "listener", "change": "added"}.items() <= told["plan"][0].items()
    assert not accepts()
    assert proxy.order("POST", "/reload", {})[0] == 200
    with RawClient(extra) as kept:
        assert kept.ask("GET", "/hello.txt").status == 200
        site.write(2)
        _, told = proxy.order("POST", "/reload", {"plan": True})
        (gone,) = [change for change in told["plan"] if change["kind"] == "listener"]
        assert (gone["change"], gone["touches"]) == ("removed", 1)
        assert proxy.order("POST", "/reload", {})[0] == 200
        until(lambda: not accepts(), "the listener to be gone")
        # Whoever was there gets the answer to what is on its way, and then leaves.
        until(lambda: kept.is_ended(), "the connection to end")
    assert ask(proxy.port, "GET", "/hello.txt").status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives root up")
def test_what_root_could_do_is_refused_afterwards(started: Started, tmp_path: Path) -> None:
    folder = Path(subprocess.run(["mktemp", "-d"], check=True, capture_output=True, text=True).stdout.strip())
    folder.chmod(0o755)
    file = folder / "site.toml"
    port = free_port()
    body = f'[[site]]\n[[site.route]]\nproxy = "{started.backend("nginx").url}"\n[access_log]\npath = "off"\n'
    listener = f'[[listener]]\naddress = "127.0.0.1:{port}"\n'
    file.write_text(listener + body)
    file.chmod(0o644)
    from tests.live.support_process import Child

    runtime = folder / "run"
    runtime.mkdir()
    os.chown(runtime, 65534, 65534)
    command: list[str | Path] = [TWISTD, "-n", "--pidfile=", "--uid=65534", "--gid=65534", "revproxy", "--config", file]
    with Child("dropped", command, folder, variables={"RUNTIME_DIRECTORY": str(runtime)}) as child:
        child.wait_for("listens on")
        until(lambda: ask(port, "GET", "/hello.txt").status == 200, "it to serve")
        path = str(runtime / f"{child.process.pid}.sock")
        until(lambda: os.path.exists(path), "the control socket")

        def reload() -> tuple[int, str]:
            done = subprocess.run(
                [TWISTD.with_name("python"), "-m", "revproxy.cli", "reload", "--socket", path],
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
            return done.returncode, done.stderr

        file.write_text(listener + '[[listener]]\naddress = "127.0.0.1:81"\n' + body)
        code, text = reload()
        assert code == 2
        assert "127.0.0.1:81" in text and "given that up" in text
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-keyout", str(key), "-out", str(key), "-subj", "/CN=a.example", "-addext", "subjectAltName=DNS:a.example"],
            check=True,
            capture_output=True,
        )
        key.chmod(0o600)
        tls = f'[[listener]]\naddress = "127.0.0.1:{free_port()}"\ntls = true\n[tls]\ncertificates = "{key}"\n'
        file.write_text(listener + tls + body)
        code, text = reload()
        assert code == 2
        assert "key.pem" in text and "ermission" in text
        assert ask(port, "GET", "/hello.txt").status == 200
        file.write_text(listener + body)
        assert reload()[0] == 0


