"""Listeners: bound while the configuration is read, accepting once the service starts."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any, Protocol

from revproxy.config.addresses import SystemdAddress, UnixAddress, parse_listener
from revproxy.config.model import Listener
from revproxy.downstream.channel import Channel
from revproxy.downstream.frontend import Frontend
from revproxy.http.forward import Client, is_within, plain_address
from revproxy.service.inherited import InheritedSockets
from revproxy.wire.budget import OctetBudget
from revproxy.wire.handshake import ContextChoice
from revproxy.wire.listen import ListeningPort, bind_tcp, bind_unix
from revproxy.wire.stream import SocketStream


class Handed(Protocol):
    """Sockets that somebody bound before, by the addresses of their listeners."""

    def take(self, address: str) -> list[socket.socket]:
        """The sockets of an address; none where there are none."""

    def close_rest(self) -> None:
        """Nobody wants what is left."""


def bind(
    listeners: Sequence[Listener], inherited: InheritedSockets | None = None, handed: Handed | None = None
) -> list[tuple[Listener, socket.socket]]:
    """Listening sockets for all of them, or for none; several for a name under which systemd gave several.

    Raises ConfigError for the first that can't be had.
    """
    inherited = inherited or InheritedSockets()
    bound: list[tuple[Listener, socket.socket]] = []
    try:
        for listener in listeners:
            given = handed.take(listener.address) if handed is not None else []
            if given:
                for sock in given:
                    sock.listen(listener.backlog)
                bound += [(listener, sock) for sock in given]
                continue
            address = parse_listener(listener.address)
            if isinstance(address, SystemdAddress):
                bound += [(listener, sock) for sock in inherited.take(address.name)]
                continue
            if isinstance(address, UnixAddress):
                sock = bind_unix(address.path, listener.backlog)
            else:
                sock = bind_tcp(address.host, address.port, listener.backlog)
            bound.append((listener, sock))
    except BaseException:
        release(bound)
        raise
    inherited.close_rest()
    if handed is not None:
        handed.close_rest()
    return bound


def release(bound: Sequence[tuple[Listener, socket.socket]]) -> None:
    """Gives up what ``bind`` gave, before anything was accepted; the files of our own unix sockets go as well."""
    for options, sock in bound:
        name = sock.getsockname() if sock.family == socket.AF_UNIX and not is_inherited(options) else None
        sock.close()
        if name:
            try:
                os.unlink(name)
            except OSError:
                pass


def is_inherited(options: Listener) -> bool:
    """Whether systemd bound the listener's sockets: it keeps them open, and their files are its own."""
    return isinstance(parse_listener(options.address), SystemdAddress)


class Acceptor:
    """Makes a channel of each connection that a listener accepts."""

    def __init__(self, options: Listener, sock: socket.socket, frontend: Frontend, reactor: Any) -> None:
        self.options = options
        self.frontend = frontend
        self._reactor = reactor
        self._budget: OctetBudget = frontend.budget
        self._trusted = frontend.trusted
        self._proxies = options.proxy_protocol_from
        # Whoever bound the socket listens on, and has a say over its file.
        self.port = ListeningPort(sock, reactor, frontend.sweep, self._accepted, inherited=True)
        name = sock.getsockname()
        self._port_number = 0 if self.port.is_unix else name[1]

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        if self.port.is_unix:
            # Only local processes that may open the socket's file come this way: a proxy in front, usually.
            client = Client(b"unix:", trusted=True, scheme=self.frontend.scheme, port=0)
        else:
            client = self.client(plain_address(address[0]).encode("ascii"), self._port_number)
        expected = bool(self._proxies) and (self.port.is_unix or is_within(client.peer, self._proxies))
        self._serve(sock, client, awaits_proxy_header=expected)

    def client(self, peer: bytes, port: int) -> Client:
        """The client of an address, that came to a port of ours (0: as far as is known, the listener's)."""
        trusted = bool(self._trusted) and is_within(peer, self._trusted)
        return Client(peer, trusted=trusted, scheme=self.frontend.scheme, port=port or self._port_number)

    def _serve(self, sock: socket.socket, client: Client, *, awaits_proxy_header: bool) -> None:
        stream = SocketStream(sock, self._reactor, self._budget)
        Channel(self.frontend, stream, client, awaits_proxy_header=awaits_proxy_header).begin()

    def adopt(self, options: Listener, choice: ContextChoice | None) -> None:
        """Takes the options of a reload: for connections that come from now on. The frontend has its own already."""
        self.options = options
        self._trusted = self.frontend.trusted
        self._proxies = options.proxy_protocol_from

    def stop(self) -> None:
        """Accepts nothing more; what was accepted goes on."""
        self.port.stop()
        self.frontend.draining = True

    @property
    def is_busy(self) -> bool:
        """Whether connections are on their way from accepted to served."""
        return False

    def cut(self) -> None:
        """Gives those up."""

    @property
    def shown(self) -> str:
        """The address, as a person would type it."""
        return _shown(self.port.is_unix, self.port.address, self.options)


def shown(options: Listener, sock: socket.socket) -> str:
    """The address of a listening socket, as a person would type it."""
    return _shown(sock.family == socket.AF_UNIX, sock.getsockname(), options)


def _shown(is_unix: bool, name: Any, options: Listener) -> str:
    if is_unix:
        # A name in the abstract namespace has no file.
        return f"unix:{'@' + os.fsdecode(name[1:]) if isinstance(name, bytes) else name}"
    host, port = name[:2]
    scheme = "https" if options.tls else "http"
    if host in ("::", "0.0.0.0"):
        return f"{scheme}://localhost:{port}/ (every address)"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
