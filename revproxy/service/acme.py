"""Wiring of ACME: what reaches the world for it. The libraries of the extra are imported here, and only if wanted."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from twisted.internet.task import deferLater

from revproxy.certificates.collection import Certificates
from revproxy.certificates.state import state_folder
from revproxy.config.model import Config
from revproxy.service.guarding import in_thread_of

if TYPE_CHECKING:
    from revproxy.certificates.acme.issuance import Issuance


def open_acme(config: Config, certificates: Certificates, reactor: Any) -> Issuance | None:
    """What ``[tls.acme]`` asks for; None where it is not written. Raises ConfigError."""
    options = config.tls.acme
    if options is None:
        return None
    from revproxy.certificates.acme.fetching import HttpClient
    from revproxy.certificates.acme.issuance import Issuance, Means
    from revproxy.certificates.acme.store import Store

    async def sleep(seconds: float) -> None:
        await deferLater(reactor, seconds)

    means = Means(
        fetch=HttpClient(reactor, options.ca),
        ask=HttpClient(reactor),
        wall=time.time,
        random=random.SystemRandom().random,
        in_thread=in_thread_of(reactor),
        sleep=sleep,
    )
    return Issuance(config, options, certificates, Store(state_folder(config.tls), options.directory_url), means)
