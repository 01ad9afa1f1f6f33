"""Asks the running proxy through its control socket."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Final

PATIENCE: Final = 10.0
"""Seconds for the connection, and for answers that need no work."""
LONG_PATIENCE: Final = 130.0
"""Seconds for a reload or an upgrade, which wait for every worker."""
_LONG: Final = frozenset({"/reload", "/rollback", "/upgrade"})


class Unreachable(Exception):
    """There is no proxy to be asked; the text says why."""


class Refused(Exception):
    """It answered with an error.

    :param status: of the answer.
    :param mistakes: of a configuration, each with file and line.
    """

    def __init__(self, text: str, status: int, mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.mistakes = mistakes


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Admin:
    """The admin interface of one proxy.

    :param path: of its control socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The JSON that it answers with. Raises Unreachable and Refused."""
        status, octets = self.fetch(method, target, body)
        try:
            value = json.loads(octets)
        except ValueError:
            raise Unreachable(f"{self.path}: it does not answer as revproxy does") from None
        if status < 400:
            return value
        if not isinstance(value, dict) or "error" not in value:
            raise Refused(f"it answered {status}", status)
        raise Refused(str(value["error"]), status, tuple(map(str, value.get("mistakes") or ())))

    def fetch(self, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
        """Status and content of an answer, whatever they are. Raises Unreachable."""
        patience = LONG_PATIENCE if target.partition("?")[0] in _LONG else PATIENCE
        connection = _Connection(self.path, patience)
        try:
            content = None if body is None else json.dumps(body).encode("ascii")
            fields = {"Content-Type": "application/json"} if content is not None else {}
            connection.request(method, target, content, fields)
            response = connection.getresponse()
            return response.status, response.read()
        except TimeoutError:
            raise Unreachable(f"{self.path}: no answer within {patience:g} s") from None
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from None
        except http.client.HTTPException as error:
            raise Unreachable(f"{self.path}: it does not answer as revproxy does ({error!r})") from None
        finally:
            connection.close()
