"""The proxy under test: ``twistd -n revproxy`` as a process, and our resources in a stock Twisted Site as another."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.live.support_process import PATIENCE, Child, python, until

TWISTD = Path(sys.executable).with_name("twistd")
REVPROXY = Path(sys.executable).with_name("revproxy")
_numbers = itertools.count(1)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType


class Front(Child):
    """Something that listens on a port of 127.0.0.1 and passes requests on."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Proxy(Front):
    """``twistd -n revproxy`` with arguments; listens on a free port unless they name listeners."""

    def __init__(
        self,
        folder: Path,
        *arguments: str | Path,
        listen: bool = True,
        log_format: str = "json",
        runtime: Path | None = None,
    ) -> None:
        number = next(_numbers)
        folder = folder / f"proxy{number}"
        self.log = folder / "access.log"
        chosen: list[str | Path] = ["--listen", "127.0.0.1:0"] if listen else []
        # Its control socket's folder; the name of a socket has to be short.
        self.runtime = runtime or Path(tempfile.mkdtemp(prefix="rp"))
        super().__init__(
            f"proxy{number}",
            [
                *(TWISTD, "-n", "--pidfile=", "revproxy", *arguments, *chosen),
                *("--access-log", self.log, "--log-format", log_format),
            ],
            folder,
            variables={"RUNTIME_DIRECTORY": str(self.runtime)},
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self.runtime, ignore_errors=True)

    def order(self, method: str, path: str, body: object = None, *, pid: int | None = None) -> tuple[int, Any]:
        """Says something at the control socket: the status and the JSON that comes back."""
        connection = _UnixConnection(self.runtime / f"{pid or self.process.pid}.sock")
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def fetch(self, path: str, **fields: str) -> bytes:
        """The content of what the control socket answers."""
        connection = _UnixConnection(self.runtime / f"{self.process.pid}.sock")
        try:
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            assert response.status == 200
            return response.read()
        finally:
            connection.close()

    @contextlib.contextmanager
    def events(self, path: str) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of a stream, as they come."""
        connection = _UnixConnection(self.runtime / f"{self.process.pid}.sock")
        connection.request("GET", path)
        response = connection.getresponse()

        def read() -> Iterator[tuple[str, Any]]:
            kind = ""
            while line := response.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    yield kind, json.loads(value)

        try:
            yield read()
        finally:
            connection.close()

    def status(self, *, pid: int | None = None) -> dict[str, Any]:
        """What ``revproxy status`` shows."""
        code, told = self.order("GET", "/status", pid=pid)
        assert code == 200, told
        found: dict[str, Any] = told
        return found

    def workers(self) -> list[int]:
        """The process ids of its workers, in their order."""
        return [worker["pid"] for worker in self.status()["workers"]]

    @classmethod
    def to(cls, folder: Path, *servers: str, log_format: str = "json") -> Proxy:
        """In front of servers, ready to be asked."""
        proxy = cls(folder, *(word for server in servers for word in ("--to", server)), log_format=log_format)
        proxy.await_start()
        return proxy

    @classmethod
    def configured(
        cls,
        folder: Path,
        text: str,
        *,
        listen: bool = True,
        name: str = "revproxy.toml",
        runtime: Path | None = None,
    ) -> Proxy:
        """With a configuration file of this text, ready to be asked; ``runtime`` is the folder of its control socket."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / name
        file.write_text(text, "utf-8")
        proxy = cls(folder, "--config", file, listen=listen, runtime=runtime)
        proxy.await_start()
        return proxy

    def await_start(self) -> None:
        """Waits until it serves."""
        match = self.wait_for(r"listens on (?:https?://\S+?:(\d+)/|unix:)")
        self.port = int(match[1] or 0)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Asks it to end, and gives its exit status."""
        self.signal(number)
        return self.wait()

    def _flush(self) -> None:
        """Has it write its lines now (it opens its log again), rather than with the next batch within a second."""
        if self.is_running:
            self.signal(signal.SIGUSR1)

    def lines(self, count: int) -> list[str]:
        """The lines of the access log, of which there must be ``count`` (they leave in batches)."""

        def found() -> list[str]:
            return self.log.read_text("ascii").splitlines() if self.log.exists() else []

        self._flush()
        until(lambda: len(found()) >= count, f"{count} lines in the access log, of {found()}")
        lines = found()
        assert len(lines) == count, lines
        return lines

    def records(self, count: int) -> list[dict[str, Any]]:
        """The same lines, read as JSON."""
        return [json.loads(line) for line in self.lines(count)]

    def record_with(self, key: str, value: str) -> dict[str, Any]:
        """The one line of which something is so (the id, the target)."""

        def found() -> list[dict[str, Any]]:
            lines = self.log.read_text("ascii").splitlines() if self.log.exists() else []
            return [record for record in map(json.loads, lines) if record[key] == value]

        self._flush()
        until(found, f"a line with {key} {value} in the access log")
        records = found()
        assert len(records) == 1, records
        return records[0]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


class StockSite(Front):
    """``ProxyResource`` inside a plain ``twisted.web.server.Site``."""

    def __init__(self, folder: Path, *servers: str) -> None:
        number = next(_numbers)
        super().__init__(
            f"site{number}", python("-m", "tests.live.support_stock_site", *servers), folder / f"site{number}"
        )
        self.port = int(self.wait_for(r"^listening on (\d+)$")[1])
