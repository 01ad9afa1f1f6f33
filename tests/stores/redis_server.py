"""A real Redis server for the tests, on a free port of 127.0.0.1."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from typing import Any

import pytest
from twisted.internet.task import deferLater

from revproxy.stores.shared import RedisStore
from tests.demo.process import free_port

PATIENCE = 20.0


class RedisServer:
    """A server without anything on disk."""

    def __init__(self, port: int = 0, *options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed (Debian: redis-server)")
        self.port = port or free_port()
        self.popen = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                assert self.popen.poll() is None, "redis-server ended"
                assert time.monotonic() < end, "redis-server does not listen"
                time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self, *words: str) -> bytes:
        """Says something to it as any client does."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            client.sendall(b"*%d\r\n" % len(words))
            for word in words:
                client.sendall(b"$%d\r\n%b\r\n" % (len(word), word.encode()))
            return client.recv(65536)

    def freeze(self) -> None:
        """Lets it answer nothing until ``thaw``."""
        self.popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.popen.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.popen.kill()
        self.popen.wait()


async def until(reactor: Any, true: Any) -> None:
    """Waits for something to become true."""
    end = reactor.seconds() + PATIENCE
    while not true():
        assert reactor.seconds() < end, "it does not come true"
        await deferLater(reactor, 0.005)


async def ready(reactor: Any, store: RedisStore) -> RedisStore:
    """Waits until a store is connected."""
    await until(reactor, lambda: not store.is_failing and store.is_listening)
    return store
