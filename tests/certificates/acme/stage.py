"""All of ACME but the network: a played authority, a folder, and a clock that only a test moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock, deferLater
from twisted.logger import LogLevel, capturedLogs, formatEvent

from revproxy.certificates.acme.fetching import TIMEOUT, Answer, FetchError
from revproxy.certificates.acme.issuance import EVERY, Issuance, Means
from revproxy.certificates.acme.store import Store
from revproxy.certificates.collection import Certificates, at_once
from revproxy.config.acme_tables import AcmeOptions
from revproxy.config.model import Config, Listener, Site, TLSOptions
from tests.certificates.acme.authority import DIRECTORY, PlayedAuthority

BEGIN = 1_800_000_000.0
DAY = 86400.0


class Questions:
    """An ``ask`` URL. Implements ``Fetch``."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.failure: FetchError | None = None

    async def __call__(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "", timeout: float = TIMEOUT
    ) -> Answer:
        self.asked.append(url)
        if self.failure is not None:
            raise self.failure
        return Answer(self.status, {}, b"")


class Process:
    """One process that serves, and orders if it has the lock."""

    def __init__(self, stage: Stage, config: Config) -> None:
        self.stage = stage
        self.certificates = Certificates(config, wall=stage.wall)
        self.store = Store(str(stage.state), DIRECTORY)
        options = config.tls.acme
        assert options is not None

        async def sleep(seconds: float) -> None:
            await deferLater(stage.clock, seconds)

        means = Means(
            fetch=stage.authority, ask=stage.questions, wall=stage.wall, random=lambda: 0.5, in_thread=at_once,
            sleep=sleep,
        )  # fmt: skip
        self.issuance = Issuance(config, options, self.certificates, self.store, means)

    def tick(self) -> None:
        self.issuance.tick(self.stage.clock.seconds())

    def stop(self) -> None:
        self.issuance.stop()


class Stage:
    """Where processes come and go."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.clock = Clock()
        self.authority = PlayedAuthority(self.wall)
        self.questions = Questions()
        self.processes: list[Process] = []
        self.said: list[tuple[str, str]] = []

    def wall(self) -> float:
        return BEGIN + self.clock.seconds()

    def config(self, *hosts: str, tls: Any = None, listeners: Any = None, **options: Any) -> Config:
        """One site with these hosts."""
        options.setdefault("agree", True)
        options.setdefault("directory", DIRECTORY)
        return Config(
            listeners=listeners or (Listener(address=":80"), Listener(address=":443", tls=True)),
            sites=(Site(hosts=hosts or ("a.example", "b.example")),),
            tls=TLSOptions(state=str(self.state), acme=AcmeOptions(**options), **(tls or {})),
        )

    def start(self, *hosts: str, **options: Any) -> Process:
        """Another process."""
        with capturedLogs() as logs:
            process = Process(self, self.config(*hosts, **options))
        self._hear(logs)
        self.processes.append(process)
        return process

    def end(self, process: Process) -> None:
        process.stop()
        self.processes.remove(process)

    def run(self, seconds: float = 2 * EVERY, step: float = EVERY) -> list[str]:
        """Lets time pass; the warnings and errors that were said."""
        with capturedLogs() as logs:
            end = self.clock.seconds() + seconds
            while self.clock.seconds() < end:
                self.clock.advance(min(step, end - self.clock.seconds()))
                for process in self.processes:
                    process.tick()
        return self._hear(logs)

    def _hear(self, logs: Any) -> list[str]:
        bad = []
        for event in logs:
            assert "log_failure" not in event, event["log_failure"].getTraceback()
            text = formatEvent(event)
            self.said.append((event["log_level"].name, text))
            if event["log_level"] in (LogLevel.warn, LogLevel.error):
                bad.append(text)
        return bad

    def progress(self, name: str = "a.example") -> dict[str, Any]:
        """What is kept of a certificate."""
        (file,) = self.state.glob(f"acme/*/certificates/{name}/progress.json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def close(self) -> None:
        for process in list(self.processes):
            self.end(process)
