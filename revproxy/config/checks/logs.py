"""The access log: a file that can be written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config


def check_logs(config: Config) -> Iterator[Mistake]:
    """Mistakes in where the access log goes."""
    file = config.access_log.path
    path: Path = ("access_log", "path")
    if file is None or file == "-":
        return
    folder = os.path.dirname(file) or "."
    if not file or "\0" in file:
        yield Mistake(path=path, text='no file is named: write a path, "-" or "off"')
    elif not os.path.isdir(folder):
        yield Mistake(path=path, text=f'the folder "{folder}" does not exist')
    elif os.path.isdir(file):
        yield Mistake(path=path, text=f'"{file}" is a folder, not a file')
