"""All by which people and their tools look at a proxy and order it about: the control socket, and TCP where it is asked
for, in front of one and the same tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.web.server import Site

from revproxy.admin.root import admin_root, admin_site
from revproxy.config.model import Config
from revproxy.service.admin_listener import AdminListener
from revproxy.service.control import Control
from revproxy.service.listeners import Handed
from revproxy.service.master import Master
from revproxy.service.opened import Bound
from revproxy.service.operating import Operations
from revproxy.service.privileges import Identity
from revproxy.service.totals import Totals


class Administration:
    """Bound when it is made, since that may take rights that are given up later. Raises ConfigError.

    :param handed: sockets of the process whose place this one takes.
    """

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        environment: Mapping[str, str],
        identity: Identity | None = None,
        handed: Handed | None = None,
    ) -> None:
        self._reactor = reactor
        self._operations: Operations | None = None
        self._totals: Totals | None = None
        self._control: Control | None = None
        self._listener: AdminListener | None = None
        if config.admin.listen is not None:
            self._listener = AdminListener(config.admin, reactor, handed)
        try:
            self._control = Control(
                config.control.socket, self._site, reactor, environment=environment, identity=identity
            )
        except BaseException:
            self.stop()
            raise

    @property
    def sockets(self) -> list[Bound]:
        """What a process is handed that takes our place."""
        return self._listener.sockets if self._listener is not None else []

    def attend(self, master: Master, upgrade: Callable[[], Any], end: Callable[[], None]) -> None:
        """Listens to what this master's workers tell."""
        self._totals = Totals(master, self._reactor)
        self._operations = Operations(master, self._totals, upgrade, end)

    def start(self) -> None:
        """Begins to answer."""
        assert self._operations is not None and self._totals is not None
        self._totals.start()
        if self._control is not None:
            self._control.start()
        if self._listener is not None:
            self._listener.start(admin_root(self._operations, self._listener.sessions))

    def _site(self) -> Site:
        assert self._operations is not None
        sessions = self._listener.sessions if self._listener is not None else None
        return admin_site(admin_root(self._operations, sessions), self._reactor)

    def drop(self) -> None:
        """In a child: closes copies, and nothing else."""
        if self._control is not None:
            self._control.drop()
        if self._listener is not None:
            self._listener.drop()

    def stop(self) -> None:
        """Answers no more."""
        if self._totals is not None:
            self._totals.stop()
        if self._control is not None:
            self._control.stop()
        if self._listener is not None:
            self._listener.stop()
