"""A steady load: clients that ask again and again, and count."""

from __future__ import annotations

import threading

from tests.live.support_client import RawClient
from tests.live.support_process import until


class Load:
    """Asks, each time on a connection of its own or always on the same, and counts."""

    def __init__(self, port: int, threads: int = 4, target: str = "/hello.txt") -> None:
        self.statuses: list[int] = []
        self.failures: list[str] = []
        self._port = port
        self._target = target
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,)) for number in range(threads)]

    def _run(self, keep: bool) -> None:
        client: RawClient | None = None
        while not self._enough.is_set():
            try:
                if client is None:
                    client = RawClient(self._port)
                answer = client.ask("GET", self._target)
                self.statuses.append(answer.status)
                # Who is told so opens another one.
                if not keep or answer.get("Connection") == "close":
                    client.close()
                    client = None
            except (OSError, AssertionError, EOFError) as error:
                self.failures.append(f"{'kept' if keep else 'new'} connection: {error!r}")
                if client is not None:
                    client.close()
                client = None
        if client is not None:
            client.close()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, requests: int = 50) -> None:
        """Until so many more were answered."""
        wanted = len(self.statuses) + requests
        until(lambda: len(self.statuses) >= wanted, f"{requests} more answers; failures: {self.failures[:3]}")
