"""Asks the running proxy through its control socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Generator
from typing import Any, Final

PATIENCE: Final = 10.0
"""Seconds for the connection, and for answers that need no work."""
LONG_PATIENCE: Final = 130.0
"""Seconds for a reload or an upgrade, which wait for every worker."""
_LONG: Final = frozenset({"/reload", "/rollback", "/upgrade"})

OK: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2


class Unreachable(Exception):
    """There is no proxy to be asked; the text says why."""

    code = FAILED
    """With which a tool ends for it."""


class Refused(Exception):
    """It answered with an error.

    :param status: of the answer.
    :param mistakes: of a configuration, each with file and line.
    """

    def __init__(self, text: str, status: int, mistakes: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.mistakes = mistakes

    @property
    def code(self) -> int:
        """With which a tool ends for it."""
        return UNUSABLE if self.status in (400, 422) else FAILED


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
    :param patience: seconds for each answer; None for what is usual.
    """

    def __init__(self, path: str, patience: float | None = None) -> None:
        self.path = path
        self._patience = patience

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        """The JSON that it answers with. Raises Unreachable and Refused."""
        status, octets = self.fetch(method, target, body)
        if status >= 400:
            raise _refused(status, octets)
        try:
            return json.loads(octets)
        except (ValueError, RecursionError):
            raise self._stranger("no JSON came") from None

    def fetch(self, method: str, target: str, body: Any = None) -> tuple[int, bytes]:
        """Status and content of an answer, whatever they are. Raises Unreachable."""
        usual = LONG_PATIENCE if target.partition("?")[0] in _LONG else PATIENCE
        with self._asked(method, target, body, usual) as response:
            return response.status, response.read()

    @contextlib.contextmanager
    def _asked(
        self, method: str, target: str, body: Any, usual: float
    ) -> Generator[http.client.HTTPResponse, None, None]:
        patience = usual if self._patience is None else self._patience
        connection = _Connection(self.path, patience)
        try:
            content = None if body is None else json.dumps(body).encode("ascii")
            fields = {"Content-Type": "application/json"} if content is not None else {}
            connection.request(method, target, content, fields)
            with connection.getresponse() as response:
                yield response
        except TimeoutError:
            raise Unreachable(f"{self.path}: no answer within {patience:g} s") from None
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise Unreachable(f"{self.path}: nobody listens there ({error.strerror})") from None
        except OSError as error:
            raise Unreachable(f"{self.path}: {error.strerror or error}") from None
        except http.client.HTTPException as error:
            raise self._stranger(str(error) or type(error).__name__) from None
        finally:
            connection.close()

    def _stranger(self, reason: str) -> Unreachable:
        return Unreachable(f"{self.path}: what answers there is not revproxy: {reason}")


def _refused(status: int, octets: bytes) -> Refused:
    try:
        value = json.loads(octets)
        text, mistakes = str(value["error"]), value.get("mistakes")
    except (ValueError, RecursionError, LookupError, TypeError):
        return Refused(f"the proxy answered {status}", status)
    return Refused(text, status, tuple(map(str, mistakes)) if isinstance(mistakes, list) else ())
