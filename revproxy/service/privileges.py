"""Root, and how it is given up: by ``twistd --uid``, which changes user, group and supplementary groups after sockets,
keys and logs are open and before anything is served. What it can't know of is done here."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import attrs
from twisted.logger import Logger

from revproxy.certificates.state import state_folder
from revproxy.config.model import Config

_log = Logger()


@attrs.frozen
class Identity:
    """Whom the process will be."""

    uid: int
    gid: int


def new_identity(twistd: Mapping[str, Any] | None) -> Identity | None:
    """Whom ``twistd --uid`` and ``--gid`` ask for; None where root is not given up.

    Without ``--gid`` it is the user's own group, as for twistd itself.
    """
    uid = twistd.get("uid") if twistd is not None else None
    if twistd is None or uid is None:
        return None
    gid = twistd.get("gid")
    if gid is None:
        try:
            gid = pwd.getpwuid(uid).pw_gid
        except KeyError:
            # A number that has no name: twistd is about to fail for it.
            return None
    return Identity(uid, gid)


class Log(Protocol):
    """What may have a file."""

    def give_to(self, uid: int, gid: int) -> None:
        """Makes them its owner, if it is root's."""


def give_log(log: Log | None, identity: Identity | None) -> None:
    """Lets a log file that root made be opened again by who the process will be."""
    if log is not None and identity is not None and os.geteuid() == 0:
        log.give_to(identity.uid, identity.gid)


def concerns(config: Config, uid: int) -> Iterator[str]:
    """What an operator should know of the user that the process runs as, now that it serves."""
    if uid == 0:
        yield "running as root, which nothing here needs: use twistd --uid and --gid, or the unit for systemd"
        return
    keeps = config.tls.internal or config.tls.acme is not None
    if keeps and any(listener.tls for listener in config.listeners):
        folder = state_folder(config.tls)
        if os.path.isdir(folder) and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield f"the folder {folder} (tls.state) can't be written by user id {uid}: chown -R {uid} {folder}"


def warn(config: Config) -> None:
    """Says so in the log."""
    for text in concerns(config, os.geteuid()):
        _log.warn("{text}", text=text)
