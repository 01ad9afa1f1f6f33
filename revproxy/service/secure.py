"""Listeners that speak TLS: the handshake between accepting and serving, bounded, counted, and quiet about failures."""

from __future__ import annotations

import copy
import socket
from typing import Any, Final

from twisted.logger import Logger

from revproxy.certificates.choice import ChosenContext
from revproxy.certificates.clients import client_tls
from revproxy.config.model import Listener
from revproxy.downstream.channel import Channel
from revproxy.downstream.frontend import Frontend
from revproxy.http.forward import Client
from revproxy.resources.site_guard import answer_clear_text
from revproxy.service.listeners import Acceptor
from revproxy.service.proxy_header import ProxyHeaderRead
from revproxy.wire.handshake import ContextChoice, HandshakeFailed, ServerHandshake
from revproxy.wire.stream import SocketStream
from revproxy.wire.tls import TlsStream

_log = Logger()

SAID_AGAIN: Final = 60.0
"""Seconds for which failures of one address are counted and not said."""
REMEMBERED: Final = 4096
"""Addresses that are told apart; those that come when there are more are counted together."""


class HandshakeFailures:
    """Counts handshakes that failed, and says so once per address and minute: scanners never tire."""

    __slots__ = ("_said", "_since", "_unsaid", "count")

    def __init__(self) -> None:
        self.count = 0
        self._said: set[bytes] = set()
        self._unsaid = 0
        self._since = float("-inf")

    def failed(self, peer: bytes, reason: str, now: float) -> None:
        """Another one. ``now`` is seconds of any steady clock."""
        self.count += 1
        if now - self._since >= SAID_AGAIN:
            if self._unsaid:
                _log.info("{count} more TLS handshakes failed in the last minute", count=self._unsaid)
            self._since = now
            self._unsaid = 0
            self._said.clear()
        if peer in self._said or len(self._said) >= REMEMBERED:
            self._unsaid += 1
            return
        self._said.add(peer)
        _log.info(
            "TLS handshake with {peer} failed: {reason}", peer=peer.decode("ascii", "backslashreplace"), reason=reason
        )


class SecureAcceptor(Acceptor):
    """Makes a channel of each connection whose TLS handshake is complete.

    A handshake counts as a connection, in all and for its address, from the moment it is accepted: a thousand that
    stall keep nobody else out for longer than ``limits.handshake_timeout``, and can't be more than ``limits`` allow.
    """

    def __init__(
        self, options: Listener, sock: socket.socket, frontend: Frontend, reactor: Any, choice: ContextChoice
    ) -> None:
        super().__init__(options, sock, frontend, reactor)
        self._choice = choice
        self.failures = HandshakeFailures()
        self._under_way: set[_Securing] = set()
        # What comes in clear text is counted, drained and logged as everything else here, but answered in its own way.
        self._clear = copy.copy(frontend)
        self._clear.dispatch = answer_clear_text
        self._clear.scheme = b"http"

    def _serve(self, sock: socket.socket, client: Client, *, awaits_proxy_header: bool) -> None:
        # A balancer in front is not counted for the connections that it brings.
        securing = _Securing(self, client, counted=not client.trusted and not awaits_proxy_header)
        if not securing.enter():
            # There is no way to say it before the handshake, and the handshake is what there is no room for.
            sock.close()
            return
        self._under_way.add(securing)
        if awaits_proxy_header:
            reading = ProxyHeaderRead(sock, self._reactor, self.frontend.sweep, securing)
            securing.step = reading
            reading.start(self.frontend.limits.handshake_timeout)
        else:
            securing.shake(sock)

    def adopt(self, options: Listener, choice: ContextChoice | None) -> None:
        """See ``Acceptor``."""
        super().adopt(options, choice)
        if choice is not None:
            self._choice = choice
        clear, own = self._clear, self.frontend
        clear.adopt(limits=own.limits, dispatch=answer_clear_text, record=own.record, trusted=own.trusted)

    def stop(self) -> None:
        """Accepts nothing more; handshakes under way go on until ``cut``."""
        super().stop()
        self._clear.draining = True

    @property
    def is_busy(self) -> bool:
        """See ``Acceptor``."""
        return bool(self._under_way)

    def cut(self) -> None:
        """See ``Acceptor``."""
        for securing in list(self._under_way):
            securing.cancel()


class _Securing:
    """One connection on its way from accepted to secured. Implements ``ServerHandshakeUser``."""

    __slots__ = ("_acceptor", "_counted", "client", "step")

    def __init__(self, acceptor: SecureAcceptor, client: Client, *, counted: bool) -> None:
        self._acceptor = acceptor
        self._counted = counted
        self.client = client
        self.step: Any = None
        """What is under way, to be cancelled."""

    def enter(self) -> bool:
        """Asks for room."""
        return self._acceptor.frontend.admission.enter(self.client.peer, counted=self._counted)

    def _leave(self) -> None:
        self._acceptor.frontend.admission.leave(self.client.peer, counted=self._counted)
        self._acceptor._under_way.discard(self)
        # It knows us too: without this, both would wait for the collector.
        self.step = None

    def cancel(self) -> None:
        """The listener stops."""
        step = self.step
        self._leave()
        step.cancel()

    def shake(self, sock: socket.socket) -> None:
        """Begins the handshake."""
        acceptor = self._acceptor
        frontend = acceptor.frontend
        handshake = ServerHandshake(
            sock, acceptor._reactor, frontend.sweep, frontend.budget, choice=acceptor._choice, user=self
        )
        self.step = handshake
        handshake.start(frontend.limits.handshake_timeout)

    # What the PROXY protocol header tells.

    def proxy_header_came(self, sock: socket.socket, peer: bytes | None, port: int) -> None:
        """The balancer in front said whose connection it is; None where it speaks for itself."""
        if peer is not None:
            self._leave()
            self.client = self._acceptor.client(peer, port)
            self._counted = not self.client.trusted
            if not self.enter():
                sock.close()
                return
            self._acceptor._under_way.add(self)
        self.shake(sock)

    def proxy_header_failed(self, reason: str) -> None:
        """There was none; the socket is closed."""
        self.handshake_failed(HandshakeFailed(reason))

    # What the handshake tells.

    def secured(self, stream: TlsStream, chosen: ChosenContext) -> None:
        """The handshake is complete."""
        self._leave()
        if chosen.is_challenge:
            stream.close()
            return
        try:
            self.client.tls = client_tls(stream.connection, chosen)
        except (ValueError, TypeError) as reason:
            # OpenSSL is content with names that nobody can spell, such as Latin-1 in a T61String.
            stream.abort()
            text = f"the client's certificate can't be read: {reason}"
            self._acceptor.failures.failed(self.client.peer, text, self._acceptor.frontend.now())
            return
        self._begin(Channel(self._acceptor.frontend, stream, self.client))

    def _begin(self, channel: Channel) -> None:
        channel.begin()
        if self._acceptor.frontend.draining:
            channel.drain()

    def clear_text_came(self, stream: SocketStream) -> None:
        """The client speaks HTTP in clear text."""
        self._leave()
        self.client.scheme = b"http"
        self._begin(Channel(self._acceptor._clear, stream, self.client))

    def handshake_failed(self, error: HandshakeFailed) -> None:
        """It is over."""
        self._leave()
        acceptor = self._acceptor
        acceptor.failures.failed(self.client.peer, str(error), acceptor.frontend.now())
