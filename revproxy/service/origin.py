"""Where the configuration comes from: a file that can be read again, or the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from revproxy.certificates.checks import check_certificates
from revproxy.config.load import Examination, examine_source, from_servers
from revproxy.config.mistakes import ConfigMistakes
from revproxy.config.model import AccessLog, Config
from revproxy.errors import ConfigError


@attrs.frozen
class Origin:
    """What was said when the process was started."""

    file: str | None = None
    """The configuration file; None where everything is on the command line."""
    servers: tuple[str, ...] = ()
    """Where to send requests; without a file."""
    listen: tuple[str, ...] = ()
    """Addresses that replace the file's."""
    access_log: str | None = None
    log_format: str | None = None

    def source(self) -> bytes | None:
        """The file as it is now; None without one. Raises ConfigError."""
        if self.file is None:
            return None
        try:
            return Path(self.file).read_bytes()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigError(f"{self.file}: the file can't be read: {reason}") from None

    def config(self, source: bytes | None) -> Config:
        """What a text of the file means, with the command line's say. Raises ConfigError, which lists all mistakes."""
        if self.file is None or source is None:
            config = from_servers(list(self.servers), list(self.listen) or ":8080")
        else:
            examined: Examination = examine_source(self.file, source, [check_certificates])
            if examined.config is None:
                raise ConfigMistakes(mistake for mistake in examined.mistakes if not mistake.warning)
            config = examined.config
            if self.listen:
                listeners = from_servers(["http://localhost"], list(self.listen)).listeners
                config = attrs.evolve(config, listeners=listeners)
        return self._with_log(config)

    def _with_log(self, config: Config) -> Config:
        if self.log_format not in (None, "combined", "json"):
            raise ConfigError(f"--log-format {self.log_format!r}: it is 'combined' or 'json'")
        if self.access_log is None and self.log_format is None:
            return config
        log = config.access_log
        path = self.access_log if self.access_log is not None else log.path
        return attrs.evolve(config, access_log=AccessLog(path=path, format=self.log_format or log.format))


def addresses(config: Config) -> Sequence[str]:
    """The addresses that a configuration listens on."""
    return [listener.address for listener in config.listeners]
