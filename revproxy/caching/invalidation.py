"""What an unsafe request makes invalid (RFC 9111 §4.4)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from revproxy.caching.groups import SAFE_METHODS
from revproxy.caching.storing import resolved
from revproxy.http.fields import Fields

_PORTS: Final = {"http": 80, "https": 443}


def invalidated(method: bytes, url: bytes, status: int, fields: Fields) -> tuple[bytes, ...]:
    """The URLs whose stored responses must be validated before they are used again: the target, then those in Location
    and Content-Location that are of the same origin. None for a safe method, or an answer that is an error.

    To be acted upon before the response itself is stored.
    """
    if method in SAFE_METHODS or not 200 <= status < 400:
        return ()
    urls = [url]
    origin = _origin(url)
    for name in (b"location", b"content-location"):
        for value in fields.all(name):
            other = resolved(url, value)
            # A URL of another origin is never touched: else any server could empty the cache of any other.
            if other and origin is not None and _origin(other) == origin:
                # The origin as the target has it, whatever case or port it is written with here.
                other = _split(url)[0] + (_split(other)[1] or b"/")
                if other not in urls:
                    urls.append(other)
    return tuple(urls)


_AUTHORITY: Final = re.compile(rb"(?s)([^:/?]*://[^/?]*)(.*)")


def _split(url: bytes) -> tuple[bytes, bytes]:
    """A URL up to its path, and the rest."""
    found = _AUTHORITY.match(url)
    return (found[1], found[2]) if found is not None else (b"", url)


def _origin(url: bytes) -> tuple[str, str, int] | None:
    """Scheme, host and port (RFC 9110 §4.3.1); None where there are none."""
    try:
        parts = urlsplit(url.decode("latin-1"))
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        return None
    if not host or scheme not in _PORTS:
        return None
    return scheme, host.rstrip("."), _PORTS[scheme] if port is None else port
