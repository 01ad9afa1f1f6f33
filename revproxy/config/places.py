"""Where in its file something of a configuration is written."""

from __future__ import annotations

from typing import Any

from revproxy.config.load import parsed
from revproxy.config.locate import locate
from revproxy.config.mistakes import Path, Place
from revproxy.config.model import Config
from revproxy.config.read import toml_path
from revproxy.errors import ConfigError


class Places:
    """The lines of one reading of a file: ``file:line``. Without a file, or for a program's own Config, none is known.

    :param source: the text that the Config was read from, which the file need not have any more.
    """

    def __init__(self, file: str | None, source: bytes | None, config: Config) -> None:
        self._file = file or ""
        self._config = config
        self._data: dict[str, Any] = {}
        self._places: dict[Path, Place] = {}
        if file is None or source is None or file.endswith(".py"):
            return
        try:
            text = source.decode("utf-8-sig")
            self._data = parsed(text)
        except (ValueError, ConfigError):
            return
        self._places = locate(text)

    def of(self, path: Path) -> str:
        """Where a path of the model is written, or what holds it; the file alone where no line is known."""
        path = toml_path(path, self._config, self._data) if self._data else ()
        for length in range(len(path), 0, -1):
            place = self._places.get(path[:length])
            if place is not None:
                return f"{self._file}:{place.line}"
        return self._file
