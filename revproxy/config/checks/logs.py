"""The logs: files that can be written."""

from __future__ import annotations

import os
from collections.abc import Iterator

from revproxy.config.mistakes import Mistake, Path
from revproxy.config.model import Config


def check_logs(config: Config) -> Iterator[Mistake]:
    """Mistakes in where the two logs go."""
    file = config.access_log.path
    if file is not None and file != "-":
        yield from _check_file(file, ("access_log", "path"), 'write a path, "-" or "off"')
    file = config.log.file
    if file is None:
        return
    yield from _check_file(file, ("log", "file"), "write a path")
    if config.log.format == "journal":
        yield Mistake(path=("log", "file"), text='log.format = "journal" writes no file: take one of the two away')
    elif config.access_log.path is not None and os.path.abspath(file) == os.path.abspath(config.access_log.path):
        yield Mistake(path=("log", "file"), text="it is the access log's file: the two have lines of different forms")


def _check_file(file: str, path: Path, advice: str) -> Iterator[Mistake]:
    folder = os.path.dirname(file) or "."
    if not file or "\0" in file:
        yield Mistake(path=path, text=f"no file is named: {advice}")
    elif not os.path.isdir(folder):
        yield Mistake(path=path, text=f'the folder "{folder}" does not exist')
    elif os.path.isdir(file):
        yield Mistake(path=path, text=f'"{file}" is a folder, not a file')
