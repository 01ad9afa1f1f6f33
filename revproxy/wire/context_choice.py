"""The seam between the wire and the certificates: a client's hello goes in, the context to answer it with comes out."""

from __future__ import annotations

from typing import Any, Protocol

import attrs
from OpenSSL import SSL

from revproxy.wire.client_hello import ClientHello


class HandshakeRefused(Exception):
    """This hello is not answered. The text says why, for the log."""

    def __init__(self, alert: int, reason: str) -> None:
        super().__init__(reason)
        self.alert = alert
        """The alert that tells the client (RFC 8446 §6)."""


@attrs.frozen(eq=False)
class ChosenContext:
    """What a handshake goes on with."""

    context: SSL.Context
    server_name: str = ""
    """The name that the client asked for; empty for none."""
    clients: Any = None
    """What the site demands of client certificates, a value to compare with another site's; None for nothing."""


class ContextChoice(Protocol):
    """Who knows the certificates."""

    def choose(self, hello: ClientHello) -> ChosenContext:
        """The context that answers ``hello``, at once. Raises HandshakeRefused."""
