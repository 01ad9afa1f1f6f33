"""Values of an answer's fields that name the backend, rewritten to the public name.

A backend that builds URLs from its own address, or that does not know that a prefix was stripped from its requests,
would lead clients past the proxy. Pure functions of a value and of what is public.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

REWRITTEN: Final = frozenset({b"location", b"content-location", b"refresh", b"set-cookie", b"link"})
"""Fields whose values may name the backend."""

_LINK: Final = re.compile(rb"<([^<>]*)>")
_URL: Final = re.compile(rb"(?i)(?:(https?):)?//([^/?#\\]*)(.*)", re.DOTALL)
_REFRESH: Final = re.compile(rb"(?i)(\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?)(['\"]?)(.*)", re.DOTALL)


@attrs.frozen
class Public:
    """What a client knows: the scheme and authority it used; and what it must not learn: the backends' authorities."""

    scheme: bytes
    authority: bytes
    backends: frozenset[bytes]
    """``host`` (where the port is the scheme's own) and ``host:port``, in lower case."""
    prefix: bytes = b""
    """The path that was stripped, without its closing slash; empty where none was."""


def rewrite_field(name: bytes, value: bytes, public: Public) -> bytes:
    """The public form of a field's value; ``name`` is one of REWRITTEN."""
    if name == b"set-cookie":
        return rewrite_cookie(value, public)
    if name == b"link":
        return _LINK.sub(lambda match: b"<%b>" % rewrite_url(match.group(1), public), value)
    if name == b"refresh":
        match = _REFRESH.fullmatch(value)
        if match is None:
            return value
        quote, url = match.group(2), match.group(3)
        inner, closing, after = url.partition(quote) if quote else (url, b"", b"")
        return match.group(1) + quote + rewrite_url(inner, public) + closing + after
    return rewrite_url(value, public)


def rewrite_url(url: bytes, public: Public) -> bytes:
    """A URL or reference that names a backend gets the public authority; where a prefix was stripped, a path of the
    backend's gets it again, unless the backend put it there itself."""
    match = _URL.fullmatch(url)
    if match is None:
        if url.startswith(b"/") and public.prefix:
            return _prefixed(url, public.prefix)
        return url
    authority, rest = match.group(2), match.group(3)
    named = authority.rpartition(b"@")[2].lower()
    scheme = (match.group(1) or b"").lower()
    if named in public.backends or _without_default_port(named, scheme) in public.backends:
        start = b"%b://%b" % (public.scheme, public.authority) if public.authority else b""
    elif named == public.authority.lower():
        start = url[: len(url) - len(rest)]
    elif _is_public_host_with_backend_port(named, public):
        start = b"%b://%b" % (public.scheme, public.authority)
    else:
        return url
    if public.prefix:
        rest = _prefixed(rest if rest.startswith(b"/") else b"/" + rest, public.prefix)
    if not start and rest.startswith(b"//"):
        # RFC 3986 §4.2: alone it would name a host.
        rest = b"/." + rest
    return (start + rest) or b"/"


def rewrite_cookie(value: bytes, public: Public) -> bytes:
    """A cookie's Domain that names a backend becomes the public host (or goes, where that is an address); its Path gets
    a stripped prefix again. RFC 6265 §5.2: attributes are split at semicolons, names have no case."""
    pair, *attributes = value.split(b";")
    kept = [pair]
    for attribute in attributes:
        name, equals, content = attribute.partition(b"=")
        name = name.strip().lower()
        content = content.strip()
        if name == b"domain" and equals:
            if content.lower().lstrip(b".") in _hosts(public.backends):
                host = _host(public.authority)
                if not host or host.startswith(b"[") or host.replace(b".", b"").isdigit():
                    continue
                attribute = b" Domain=" + host
        elif name == b"path" and public.prefix and content.startswith(b"/"):
            attribute = b" Path=" + _prefixed(content, public.prefix)
        kept.append(attribute)
    return b";".join(kept)


def _prefixed(path: bytes, prefix: bytes) -> bytes:
    if path == prefix or path.startswith((prefix + b"/", prefix + b"?", prefix + b"#")):
        return path
    return prefix + path


def _is_public_host_with_backend_port(named: bytes, public: Public) -> bool:
    """A server that takes the name from Host (or the name it was sent in its place) and the port from its own socket,
    as nginx and Apache do when they redirect to a folder."""
    host = _host(named)
    port = named[len(host) :]
    if len(port) < 2 or not public.authority:
        return False
    if host != _host(public.authority.lower()) and host not in public.backends:
        return False
    return any(backend[len(_host(backend)) :] == port for backend in public.backends)


def _without_default_port(authority: bytes, scheme: bytes) -> bytes:
    if scheme != b"https" and authority.endswith(b":80"):
        return authority[:-3]
    if scheme != b"http" and authority.endswith(b":443"):
        return authority[:-4]
    return authority


def _host(authority: bytes) -> bytes:
    if authority.startswith(b"["):
        return authority.partition(b"]")[0] + b"]"
    return authority.partition(b":")[0]


def _hosts(authorities: frozenset[bytes]) -> set[bytes]:
    return {_host(authority) for authority in authorities}
