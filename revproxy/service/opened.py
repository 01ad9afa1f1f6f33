"""What is opened before anything is served: sockets, keys, logs. Whoever starts the process may do it as root, and
workers that are forked later find it open."""

from __future__ import annotations

import socket
import time
from typing import Any

import attrs

from revproxy.certificates.collection import Certificates
from revproxy.certificates.ocsp import Stapling
from revproxy.certificates.responder import Responders
from revproxy.config.model import Config, Listener
from revproxy.service.access_log import AccessLog
from revproxy.service.guarding import in_thread_of
from revproxy.service.inherited import InheritedSockets
from revproxy.service.listeners import Handed, bind, release

Bound = tuple[Listener, socket.socket]


@attrs.define
class Opened:
    """Sockets, certificates and log of one Config."""

    config: Config
    sockets: list[Bound]
    certificates: Certificates | None
    """None where no listener speaks TLS."""
    stapling: Stapling | None
    access_log: AccessLog | None

    def release(self) -> None:
        """Closes the sockets; the files of our own unix sockets go as well."""
        sockets, self.sockets = self.sockets, []
        release(sockets)

    def leave(self) -> None:
        """Closes the sockets, and nothing else: somebody else listens on them."""
        sockets, self.sockets = self.sockets, []
        for _, sock in sockets:
            sock.close()


def open_for(
    config: Config, reactor: Any, inherited: InheritedSockets | None = None, handed: Handed | None = None
) -> Opened:
    """Opens everything, or nothing. Raises ConfigError."""
    certificates, stapling = open_certificates(config, reactor)
    sockets = bind(config.listeners, inherited, handed)
    try:
        log = open_log(config)
    except BaseException:
        release(sockets)
        raise
    return Opened(config, sockets, certificates, stapling, log)


def speaks_tls(config: Config) -> bool:
    """Whether any listener does."""
    return any(listener.tls for listener in config.listeners)


def open_certificates(config: Config, reactor: Any) -> tuple[Certificates | None, Stapling | None]:
    """What TLS is spoken with, and who asks for OCSP answers. Raises ConfigError."""
    if not speaks_tls(config):
        return None, None
    stapling = Stapling(Responders(reactor).ask, time.time) if config.tls.ocsp_stapling else None
    certificates = Certificates(
        config, in_thread=in_thread_of(reactor), staple=stapling.of if stapling is not None else None
    )
    return certificates, stapling


def open_log(config: Config) -> AccessLog | None:
    """The access log; None for none. Raises ConfigError."""
    path = config.access_log.path
    return AccessLog(path, config.access_log.format) if path is not None else None
