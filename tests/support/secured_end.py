"""A client's connection to a proxy in memory whose records are real: OpenSSL on both ends of a socket pair.

A pair of unix sockets hands octets over at once, so the network's turns find them as they do in memory, and nothing waits.
"""

from __future__ import annotations

import errno
import select
import socket
from contextlib import suppress
from functools import cache
from typing import Any

from OpenSSL import SSL

from revproxy.downstream.channel import Channel
from revproxy.http.forward import Client, ClientTLS
from revproxy.wire.tls import TlsStream
from tests.support.network import End
from tests.support.proxy import Proxy
from tests.support.sockets import client_context, server_context

MOST = 1 << 16
"""Octets that are read at once."""


@cache
def contexts() -> tuple[SSL.Context, SSL.Context]:
    """The server's and the client's."""
    return server_context("a.example"), client_context()


class _Watched:
    """What the network asks of the proxy's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def _has(self, event: int) -> bool:
        poller = select.poll()
        poller.register(self._socket, event)
        return bool(poller.poll(0))

    @property
    def is_readable(self) -> bool:
        return self._has(select.POLLIN)

    @property
    def is_writable(self) -> bool:
        return self._has(select.POLLOUT)


class _SecuredStream(TlsStream):
    """The real one; the network finds its socket by this name."""

    __slots__ = ("sock",)

    sock: _Watched


class _ClientSocket:
    """The client's end, with the calls of ``MemorySocket``: close_notify is its FIN, an end without it a reset."""

    def __init__(self, sock: socket.socket, tls: SSL.Connection) -> None:
        self._socket = sock
        self._tls = tls
        self.closed = False
        self.shut = False
        self.reset = False

    @property
    def is_readable(self) -> bool:
        return not self.closed and (bool(self._tls.pending()) or _Watched(self._socket).is_readable)

    def recv(self, size: int) -> bytes:
        try:
            return self._tls.recv(min(size, MOST))
        except SSL.WantReadError:
            raise BlockingIOError(errno.EAGAIN, "nothing there") from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error:
            self.reset = True
            raise ConnectionResetError(errno.ECONNRESET, "no close_notify") from None

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self._tls.send(data)
        except SSL.WantWriteError:
            raise BlockingIOError(errno.EAGAIN, "no room") from None
        except SSL.Error:
            self.reset = True
            raise ConnectionResetError(errno.ECONNRESET, "the proxy is gone") from None

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.shut = True
        with suppress(SSL.Error):
            self._tls.shutdown()

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """A unix socket knows no reset: a FIN without close_notify stands for it."""

    def close(self) -> None:
        self.closed = True
        self._socket.close()


def secured_client(proxy: Proxy, *, address: bytes = b"192.0.2.1", trusted: bool = False) -> End:
    """As ``proxy.client``, its handshake complete."""
    ours, theirs = socket.socketpair()
    server, client = (SSL.Connection(each, sock) for each, sock in zip(contexts(), (ours, theirs), strict=True))
    server.set_accept_state()
    client.set_connect_state()
    for sock in (ours, theirs):
        sock.setblocking(False)
    for connection in (client, server, client, server):
        with suppress(SSL.WantReadError):
            connection.do_handshake()
    stream = _SecuredStream(ours, server, proxy.network, proxy.budget)  # type: ignore[arg-type]  # a reactor by its behaviour
    stream.sock = _Watched(ours)
    stream.fin_is_departure = True
    end = proxy.network.end(_ClientSocket(theirs, client))  # type: ignore[arg-type]  # a socket by its behaviour
    proxy.clients.append(end)
    who = Client(address, trusted=trusted, scheme=b"https", port=8080)
    who.tls = ClientTLS(b"a.example")
    Channel(proxy.frontend, stream, who).begin()
    proxy.network.settle()
    return end
