"""The demo over HTTPS: a configuration with the internal authority, and how to believe it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS
from zope.interface import implementer

from revproxy.certificates.authority import open_authority
from revproxy.certificates.state import state_folder
from revproxy.certificates.trust import root_pem
from revproxy.config.model import TLSOptions

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint
    from twisted.python.failure import Failure

_CONFIG = """\
[[listener]]
address = "{listen}"
tls = true

[tls]
internal = true

[[site]]
hosts = ["*"]

  [[site.route]]
  proxy = "{backend}"
"""
_TRUST = """\
  Its certificate is signed by a root of this machine's own: the browser warns until it is told to trust that.
  The root is       {file}
  How to trust it:  {program} ca
  For one request:  curl --cacert {file} {url}
"""
HOST = "localhost"


@implementer(IHandshakeListener)
class _Shaking(Protocol):
    """A connection that waits for the end of its handshake."""

    def __init__(self) -> None:
        self.shaken: Deferred[IProtocol] = Deferred()

    def handshakeCompleted(self) -> None:
        self.shaken.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.shaken.called:
            self.shaken.errback(reason)


class Secured:
    """What the demo's proxy needs for HTTPS."""

    def __init__(self) -> None:
        """Opens the internal authority, or makes it. Raises ConfigError."""
        self.authority = open_authority(state_folder(TLSOptions(internal=True)), time.time())
        self._folder = tempfile.TemporaryDirectory(prefix="revproxy-demo-")

    def configure(self, listen: str, backend: str) -> tuple[str, str]:
        """Writes the configuration: its file, and its text."""
        file = os.path.join(self._folder.name, "revproxy.toml")
        text = _CONFIG.format(listen=listen, backend=backend)
        with open(file, "w", encoding="utf-8") as written:
            written.write(text)
        return file, text

    def connect(self, endpoint: IStreamClientEndpoint) -> Deferred[IProtocol]:
        """Connects as one who trusts the root; fires when the proxy has proved itself."""
        root = Certificate.loadPEM(root_pem(self.authority).encode("ascii"))
        wrapped = wrapClientTLS(optionsForClientTLS(HOST, trustRoot=root), endpoint)
        shaking = _Shaking()
        return wrapped.connect(Factory.forProtocol(lambda: shaking)).addCallback(lambda _: shaking.shaken)

    def trust_text(self, url: str) -> str:
        """Where the root is, and the shortest ways to believe it."""
        program = os.path.join(os.path.dirname(sys.executable), "revproxy")
        return _TRUST.format(file=self.authority.file, program=program, url=url)

    def clear(self) -> None:
        """Removes what was written."""
        self._folder.cleanup()
