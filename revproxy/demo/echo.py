"""The WebSocket that says everything back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.task import LoopingCall
from twisted.web.websocket import WebSocketResource, WebSocketTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure
    from twisted.web.resource import Resource
    from twisted.web.server import Request

PING_INTERVAL = 20.0


class Echo:
    """Sends each message back as it came; pings, so that a quiet chat is not taken for a dead one."""

    def __init__(self, clock: IReactorTime) -> None:
        self._pings = LoopingCall(self._ping)
        self._pings.clock = clock

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        self._transport = transport

    def negotiationFinished(self) -> None:
        self._pings.start(PING_INTERVAL, now=False)

    def _ping(self) -> None:
        self._transport.ping()

    def pongReceived(self, payload: bytes) -> None:
        """The other side lives; that is all a ping asks."""

    def textMessageReceived(self, message: str) -> None:
        self._transport.sendTextMessage(message)

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        self._transport.sendBytesMessage(bytes(data))

    def connectionLost(self, reason: Failure) -> None:
        if self._pings.running:
            self._pings.stop()


class EchoFactory:
    """Makes an Echo for each connection."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def buildProtocol(self, request: Request) -> Echo:
        return Echo(self._clock)


def echo_resource(clock: IReactorTime) -> Resource:
    return WebSocketResource(EchoFactory(clock))
