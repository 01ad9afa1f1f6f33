"""``revproxy purge``: removes responses from the folder that all processes share."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from revproxy.caching.key import canonical_authority
from revproxy.config.model import Config
from revproxy.errors import ProxyError
from revproxy.explain.walk import stored_url
from revproxy.http.target import parse_authority
from revproxy.interfaces import Selection
from revproxy.service.caching import open_folder

OK, FAILED, UNUSABLE = 0, 1, 2


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Purges, and gives the exit code."""
    options = config.cache
    if options.folder is None:
        print("revproxy purge: cache.folder is not set: nothing can be reached from here", file=sys.stderr)
        return UNUSABLE
    try:
        selection = selected(arguments, config)
    except ValueError as mistake:
        print(f"revproxy purge: {mistake}", file=sys.stderr)
        return UNUSABLE
    count: int | None = 0
    if os.path.isdir(os.path.join(options.folder, "index")):
        count = _purged(options, selection)
    if count is None:
        print(f"revproxy purge: the folder {options.folder} can't be written", file=sys.stderr)
        return FAILED
    print("1 response removed" if count == 1 else f"{count} responses removed")
    return OK


def _purged(options: Any, selection: Selection) -> int | None:
    """How many were removed; None where it failed."""
    clock = Clock()
    store = open_folder(options, clock)
    try:
        if store.is_failing:
            return None
        result = store.purge(selection)
        if isinstance(result, Deferred):
            numbers: list[int] = []
            result.addCallback(numbers.append)
            # The rest of the walk comes in turns; here nobody else waits for one.
            while not numbers:
                clock.advance(0)
            result = numbers[0]
        return None if store.is_failing else result
    finally:
        store.stop()


def selected(arguments: argparse.Namespace, config: Config) -> Selection:
    """What is to be removed. Raises ValueError."""
    if arguments.all:
        return Selection(everything=True)
    if arguments.tag is not None:
        return Selection(tag=octets_of(arguments.tag))
    if arguments.group is not None:
        return Selection(group=group_of(*arguments.group))
    if arguments.host is not None:
        return Selection(host=octets_of(arguments.host).lower().rstrip(b"."))
    if arguments.prefix is not None:
        return Selection(prefix=url_of(arguments.prefix))
    url = url_of(arguments.url)
    return Selection(url=stored_url(config, arguments.url) or url)


def group_of(origin: str, group: str) -> tuple[bytes, bytes]:
    """A cache group (RFC 9875) and the origin that it belongs to. Raises ValueError."""
    url = url_of(origin)
    if url.count(b"/") != 3 or not url.endswith(b"/"):
        raise ValueError(f'"{origin}" is no origin: write "https://example.com"')
    return url[:-1], octets_of(group)


def url_of(text: str) -> bytes:
    """A URL as stored responses have it: the scheme and the host in their canonical form, the rest as it is."""
    scheme, separator, rest = octets_of(text.partition("#")[0]).partition(b"://")
    host, slash, path = rest.partition(b"/")
    scheme = scheme.lower()
    if not separator or scheme not in (b"http", b"https") or not host:
        raise ValueError(f'"{text}" is no URL: write "https://example.com/path"')
    try:
        authority = canonical_authority(parse_authority(host), scheme)
    except ProxyError as error:
        raise ValueError(f'"{text}": {error.detail}') from None
    return b"%b://%b/%b" % (scheme, authority, path if slash else b"")


def octets_of(text: str) -> bytes:
    """What may stand in a stored response's name. Raises ValueError."""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f'"{text}" is nothing that is ever stored: write other characters as escapes')
    return text.encode("ascii")
