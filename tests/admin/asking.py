"""An operator that does as it is told to, and a client that asks the admin interface in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web.resource import IResource

from revproxy.admin.root import admin_site
from revproxy.config.model import Config
from revproxy.observe.counters import Counters

STATUS: dict[str, Any] = {
    "version": "1",
    "pid": 7,
    "state": "serving",
    "ready": True,
    "started": 0.0,
    "uptime": 5.0,
    "config": {"file": None, "generation": 1, "loaded": 0.0, "previous": 0, "last_reload": None},
    "workers": [],
    "listeners": [],
    "upstreams": [],
    "certificates": [],
    "cache": None,
    "totals": {"connections": 0, "in_flight": 0, "tunnels": 0, "requests": 0, "handshakes_failed": 0, "refused": 0},
}


class ScriptedOperator:
    """Remembers what it was ordered, and answers or fails as the test says."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config if config is not None else Config()
        self.status_value = STATUS
        self.ordered: list[tuple[str, Any]] = []
        self.failure: Exception | None = None
        self.answers: dict[str, Callable[[dict[str, Any]], list[tuple[int, Any]]]] = {}
        self.counters = Counters()
        self.history: list[dict[str, Any]] = []
        self.told: dict[str, list[Callable[[int, Any], None]]] = {}

    def _do(self, name: str, value: Any = None) -> dict[str, Any]:
        self.ordered.append((name, value))
        if self.failure is not None:
            raise self.failure
        return {"text": f"{name} done"}

    async def status(self) -> dict[str, Any]:
        if self.failure is not None:
            raise self.failure
        return self.status_value

    async def reload(self, plan: bool) -> dict[str, Any]:
        return self._do("reload", plan)

    async def rollback(self) -> dict[str, Any]:
        return self._do("rollback")

    async def drain(self) -> dict[str, Any]:
        return self._do("drain")

    async def upgrade(self) -> dict[str, Any]:
        return self._do("upgrade")

    async def ask(self, order: str, arguments: dict[str, Any]) -> list[tuple[int, Any]]:
        self._do(order, arguments)
        found = self.answers.get(order)
        return found(arguments) if found is not None else []

    async def counted(self) -> Counters:
        return self.counters

    def points(self) -> list[dict[str, Any]]:
        return self.history

    def subscribe(self, kind: str, told: Callable[[int, Any], None]) -> Callable[[], None]:
        self.told.setdefault(kind, []).append(told)
        return lambda: self.told[kind].remove(told)

    def push(self, number: int, kind: str, value: Any) -> None:
        for told in list(self.told.get(kind, ())):
            told(number, value)


class Wire(StringTransport):
    """The connection of one admin client."""

    def __init__(self) -> None:
        super().__init__(peerAddress=IPv4Address("TCP", "127.0.0.1", 50000))
        self.aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing ends here."""


@attrs.define
class Said:
    """An answer."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asking:
    """Asks a tree."""

    def __init__(self, root: IResource) -> None:
        self.clock = Clock()
        self.site = admin_site(root, self.clock)

    def connect(self) -> tuple[Any, Wire]:
        protocol = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 50000))
        assert protocol is not None
        wire = Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def raw(self, octets: bytes) -> bytes:
        protocol, wire = self.connect()
        protocol.dataReceived(octets)
        answer: bytes = wire.value()
        return answer

    def ask(self, method: str, path: str, body: Any = None, **fields: str) -> Said:
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"Host": "localhost", **{name.replace("_", "-"): value for name, value in fields.items()}}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
            named["Content-Length"] = str(len(content))
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return said(self.raw(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content), method)

    def get(self, path: str, **fields: str) -> Said:
        return self.ask("GET", path, **fields)

    def post(self, path: str, body: Any = None, **fields: str) -> Said:
        return self.ask("POST", path, {} if body is None else body, **fields)


def said(octets: bytes, method: str = "GET") -> Said:
    """Reads one answer."""
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    fields = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip()
    return Said(int(first.split(b" ")[1]), fields, body)
