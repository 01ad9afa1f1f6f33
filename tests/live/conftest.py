"""Backends that last for the whole run, proxies in front of them, and their output where a test fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.live.support_backends import Backend, HttpServer, Nginx, aiohttp_app, flask_app, unix_app, websockets_echo
from tests.live.support_process import RUNNING
from tests.live.support_proxy import Front, Proxy, StockSite
from tests.live.support_scripted import Accepted, Scripted
from tests.live.support_systemd import HELLO, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

FRONTS = ("listener", "stock site")
BACKENDS = ("flask", "aiohttp", "http.server", "nginx", "unix")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for child in list(RUNNING):
        text = child.fresh_output() if report.failed else ""
        if text:
            report.sections.append((f"output of {child.name}", text[-4000:]))
        if call.when == "teardown":
            child.pass_over()
            if not child.is_running:
                RUNNING.remove(child)
    return report


class Started:
    """Starts each process once and keeps it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._backends: dict[str, Backend] = {}
        self._stage: Scripted | None = None
        self._fronts: dict[tuple[str, str], Front] = {}
        self._makers: dict[str, Callable[[Path], Backend]] = {
            "flask": flask_app,
            "aiohttp": aiohttp_app,
            "http.server": HttpServer,
            "nginx": Nginx,
            "unix": unix_app,
            "websockets": websockets_echo,
        }

    def backend(self, name: str) -> Backend:
        if name not in self._backends:
            self._backends[name] = self._makers[name](self.folder / name)
        return self._backends[name]

    def front(self, kind: str, backend: str) -> Front:
        """Our listener, or a stock Site, in front of a backend."""
        key = kind, backend
        if key not in self._fronts:
            url = self.stage.url if backend == "stage" else self.backend(backend).url
            folder = self.folder / "fronts"
            self._fronts[key] = Proxy.to(folder, url) if kind == "listener" else StockSite(folder, url)
        return self._fronts[key]

    def proxy(self, backend: str) -> Proxy:
        front = self.front("listener", backend)
        assert isinstance(front, Proxy)
        return front

    @property
    def stage(self) -> Scripted:
        """A server that does what a test says, with fronts that last: ``front("listener", "stage")``."""
        if self._stage is None:
            self._stage = Scripted(Accepted.await_end)
        return self._stage

    def end(self) -> None:
        if self._stage is not None:
            self._stage.close()
        for child in [*self._fronts.values(), *self._backends.values()]:
            child.__exit__(None, None, None)


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """Processes that many tests share."""
    processes = Started(tmp_path_factory.mktemp("live"))
    try:
        yield processes
    finally:
        processes.end()


@pytest.fixture
def stage(started: Started) -> Scripted:
    """A server that plays what the test says."""
    return started.stage


@pytest.fixture
def stage_proxy(started: Started) -> Proxy:
    """Our listener in front of the stage."""
    return started.proxy("stage")


@pytest.fixture
def stage_front(started: Started, front_kind: str) -> Front:
    """Either kind of front of the stage."""
    return started.front(front_kind, "stage")


@pytest.fixture(params=FRONTS)
def front_kind(request: pytest.FixtureRequest) -> str:
    """The two ways to serve: our own listener, and a stock Twisted Site."""
    kind: str = request.param
    return kind


@pytest.fixture
def proxy_to(tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies in front of given servers, and ends them with the test."""
    proxies: list[Proxy] = []

    def start(*servers: str, log_format: str = "json") -> Proxy:
        proxies.append(Proxy.to(tmp_path, *servers, log_format=log_format))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.__exit__(None, None, None)


@pytest.fixture
def front_to(front_kind: str, tmp_path: Path) -> Iterator[Callable[..., Front]]:
    """Starts a listener or a stock Site in front of given servers, and ends it with the test."""
    fronts: list[Front] = []

    def start(*servers: str) -> Front:
        fronts.append(Proxy.to(tmp_path, *servers) if front_kind == "listener" else StockSite(tmp_path, *servers))
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__(None, None, None)


@pytest.fixture
def service_folder(tmp_path: Path) -> Path:
    """Where a service has a page to show."""
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "hello.txt").write_bytes(HELLO)
    return tmp_path


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """Somebody who listens to a service, as systemd does."""
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.close()
