"""The control socket: a name that the kernel takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config

LONGEST: Final = 107
"""Octets of a unix socket's name on Linux (unix(7): sun_path, without its zero octet)."""


def check_control(config: Config) -> Iterator[Mistake]:
    """Mistakes in where the control socket is. Its folder may be made when the service starts."""
    name = config.control.socket
    path: Path = ("control", "socket")
    if name is None or name == "off":
        return
    if not name or "\0" in name:
        yield Mistake(path=path, text='no file is named: write a path, or "off"')
    elif len(os.fsencode(name)) > LONGEST:
        yield Mistake(path=path, text=f"the name of a unix socket has {LONGEST} octets at most: choose a shorter one")
    elif os.path.isdir(name):
        yield Mistake(path=path, text=f'"{name}" is a folder: add the name of the socket')
