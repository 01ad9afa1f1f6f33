"""The echo server and the proxy in front of it, as processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.live.support_process import Child, python
from tests.live.support_proxy import Proxy

# Some cases send a message in more pieces than the server takes by itself.
FRAGMENTS = {"WEBSOCKETS_MAX_FRAGMENTS": "10000000"}


@contextlib.contextmanager
def echo_and_proxy(folder: Path) -> Iterator[tuple[str, str, Proxy]]:
    """The server's URL, the proxy's, and the proxy."""
    with mock.patch.dict(os.environ, FRAGMENTS):
        echo = Child("echo", python("-m", "tests.websocket_suite.echo"), folder / "echo")
    with echo:
        port = int(echo.wait_for(r"^listening on (\d+)$")[1])
        with Proxy.to(folder, f"http://127.0.0.1:{port}") as proxy:
            yield f"ws://127.0.0.1:{port}", f"ws://127.0.0.1:{proxy.port}", proxy
