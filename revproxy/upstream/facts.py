"""What a group of servers is made of: two that are equal in this are interchangeable, connections and all.

A reload asks whether the group that serves is still the one that is wanted. The files that its TLS options name belong
to the question: a certificate that was renewed under the same name is another one. A file that was not touched since it
was read counts as equal without being read, since whoever gave up root may not be able to.
"""

from __future__ import annotations

import hashlib
import os

import attrs

from revproxy.config.model import Limits, UpstreamOptions
from revproxy.errors import ConfigError


@attrs.frozen
class FileFacts:
    """One file: what it holds."""

    path: str
    digest: bytes
    seen: tuple[int, ...] = attrs.field(eq=False)
    """Which file it was, and when it last changed."""


@attrs.frozen
class GroupFacts:
    """One group of servers."""

    options: UpstreamOptions
    response_head_size: int
    response_head_count: int
    files: tuple[FileFacts, ...]

    def speaks_tls_as(self, other: GroupFacts) -> bool:
        """Whether both come to a server as the same, and believe the same servers."""
        return self.options.tls == other.options.tls and self.files == other.files


def group_facts(options: UpstreamOptions, limits: Limits, known: GroupFacts | None = None) -> GroupFacts:
    """The facts of a group; ``known`` are those of one whose files were read before. Raises ConfigError for a file that
    can't be read."""
    files: tuple[FileFacts, ...] = ()
    if any(server.url.startswith("https:") for server in options.servers):
        tls = options.tls
        named = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
        read = {file.path: file for file in known.files} if known is not None else {}
        files = tuple(
            _facts_of(f"upstream {options.name}: tls.{name}", path, read.get(path))
            for name, path in named.items()
            if path is not None
        )
    return GroupFacts(options, limits.response_head_size, limits.response_head_count, files)


def _facts_of(where: str, path: str, known: FileFacts | None) -> FileFacts:
    try:
        # Looked at first: what changes while it is read is found the next time.
        status = os.stat(path)
        seen = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        if known is not None and known.seen == seen:
            return known
        with open(path, "rb") as file:
            return FileFacts(path, hashlib.sha256(file.read()).digest(), seen)
    except OSError as reason:
        raise ConfigError(f"{where}: {path}: {reason.strerror}") from None
