"""Where the control socket may be: the process that makes it and the tools that look for it go by the same list."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final

SUFFIX: Final = ".sock"
SYSTEM_FOLDER: Final = "/run/revproxy"
"""Of a process that begins as root."""


def folders(environment: Mapping[str, str], uid: int) -> list[str]:
    """Where the socket may be, the best place first: what systemd made for the service, the system's folder for root,
    the user's own, and one in /tmp."""
    found = []
    given = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
    if given:
        found.append(given)
    if uid == 0:
        found.append(SYSTEM_FOLDER)
    own = environment.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        found.append(os.path.join(own, "revproxy"))
    found.append(f"/tmp/revproxy-{uid}")
    return found


def flaw_of(folder: str, uid: int) -> str:
    """Why a folder is not safe to have the socket in; empty if it is."""
    try:
        status = os.lstat(folder)
    except OSError as reason:
        return reason.strerror or str(reason)
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    if status.st_uid not in (0, uid):
        return f"it belongs to user id {status.st_uid}"
    if status.st_mode & 0o022:
        return "others may write to it"
    return ""
