"""The folder for what is made here and must outlive the process: the local root, accounts, issued certificates."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from revproxy.config.model import TLSOptions
from revproxy.errors import ConfigError


def state_folder(options: TLSOptions, environment: Mapping[str, str] = os.environ) -> str:
    """``tls.state``, else what systemd gives (StateDirectory=), else the user's own folder for such things."""
    if options.state:
        return options.state
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    if os.geteuid() == 0:
        return "/var/lib/revproxy"
    home = environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "revproxy")


def private_folder(path: str) -> str:
    """The folder; where it is missing it is made, for its owner alone. Raises ConfigError."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as reason:
        raise ConfigError(
            f"tls.state: can't keep anything in {path}: {reason.strerror or reason}; set tls.state to a folder that the"
            " proxy may write"
        ) from None
    return path


def write_private(path: str, octets: bytes) -> None:
    """Writes a file that its owner alone may read, whole or not at all. Raises OSError."""
    folder = os.path.dirname(path)
    fd, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
    try:
        with open(fd, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
