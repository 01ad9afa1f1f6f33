"""Targets and paths: the forms of a target, the host it names, and the normalised copy of its path that routes match.

The raw target travels on untouched; only the copy is decoded and resolved (RFC 3986 §6.2.2). Routes are asked with
both, and a request whose two answers differ is refused: nobody slips past the route for ``/admin`` as ``/%61dmin``,
``/x/../admin`` or ``//admin``, and nothing is "repaired" on the way.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from revproxy.errors import BadRequest, MethodNotAllowed, Misdirected

UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_SLASHES: Final = re.compile(rb"/{2,}")
_PARAMETERS: Final = re.compile(rb";[^/]*")
# RFC 3986 §3.2.2: a bracketed IPv6 address, or a registered name / IPv4 address; then perhaps a port. No comma: a
# recipient that joined two Hosts, or that splits lists, would read two hosts in it.
_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)(?::([0-9]*))?")

ALLOWED_METHODS: Final = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"


class Authority:
    """A host and perhaps a port, as Host carries them (RFC 9110 §7.2)."""

    __slots__ = ("host", "port", "raw")

    def __init__(self, raw: bytes, host: bytes, port: int | None) -> None:
        self.raw = raw
        self.host = host
        """Lower case, no trailing dot; an IPv6 address keeps its brackets."""
        self.port = port

    def __repr__(self) -> str:
        return f"<Authority {self.raw!r}>"


NO_AUTHORITY: Final = Authority(b"", b"", None)


def parse_authority(raw: bytes) -> Authority:
    """Reads the value of Host or the authority of a target. Raises BadRequest."""
    match = _AUTHORITY.fullmatch(raw)
    if match is None:
        raise BadRequest("the host is malformed")
    host, port = match.group(1).lower(), match.group(2)
    if port and (len(port) > 5 or not 0 < int(port) < 65536):
        raise BadRequest("the host's port is out of range")
    if host[:1] == b"[":
        try:
            ipaddress.IPv6Address(host[1:-1].decode("ascii"))
        except ValueError:
            raise BadRequest("the host is no IPv6 address") from None
    elif host.endswith(b".") and len(host) > 1:
        host = host[:-1]
    return Authority(raw, host, int(port) if port else None)


class Target:
    """A request's target, taken apart."""

    __slots__ = ("authority", "path", "raw", "scheme")

    def __init__(self, raw: bytes, path: bytes, authority: Authority | None = None, scheme: bytes = b"") -> None:
        self.raw = raw
        """What goes upstream: origin-form or ``*``."""
        self.path = path
        """The path alone, raw; ``*`` for the server as a whole."""
        self.authority = authority
        """The host an absolute target names: it overrides Host (RFC 9112 §3.2.2)."""
        self.scheme = scheme


def parse_target(method: bytes, raw: bytes, *, secured: bool = True) -> Target:
    """Tells the four forms of RFC 9112 §3.2 apart. Raises BadRequest; CONNECT and TRACE are MethodNotAllowed; an https
    URL is Misdirected where the connection is not ``secured`` by TLS, nor a trusted proxy's (RFC 9110 §7.4).

    CONNECT would make an open relay of a reverse proxy (RFC 9110 §9.3.6), TRACE would show a client what trusted
    proxies added to its request (RFC 9110 §9.3.8).
    """
    if method == b"CONNECT" or method == b"TRACE":
        raise MethodNotAllowed(f"{method.decode('ascii')} is not served", allow=ALLOWED_METHODS)
    if raw[:1] == b"/":
        return Target(raw, raw.partition(b"?")[0])
    if raw == b"*":
        if method != b"OPTIONS":
            raise BadRequest("the target * is for OPTIONS alone")
        return Target(raw, raw)
    scheme, separator, rest = raw.partition(b"://")
    scheme = scheme.lower()
    if not separator or scheme not in (b"http", b"https"):
        raise BadRequest("the target is neither a path nor an http URL")
    if scheme == b"https" and not secured:
        raise Misdirected("an https URL was asked for in clear text")
    cut = len(rest)
    for delimiter in (b"/", b"?"):
        at = rest.find(delimiter)
        if 0 <= at < cut:
            cut = at
    authority = parse_authority(rest[:cut])
    origin = rest[cut:]
    if not origin:
        # RFC 9112 §3.2.4: the last proxy turns OPTIONS for a bare authority into the asterisk-form.
        origin = b"*" if method == b"OPTIONS" else b"/"
    elif origin[:1] == b"?":
        origin = b"/" + origin
    return Target(origin, origin.partition(b"?")[0], authority, scheme)


def is_plain(path: bytes) -> bool:
    """Whether a path is its own normalised copy beyond doubt: the usual case, told by four searches."""
    return b"%" not in path and b"//" not in path and b"/." not in path and b"\\" not in path and b";" not in path


def normalised_path(path: bytes) -> bytes:
    """The copy of a path that routes match: unreserved octets decoded, escapes in upper case, dot segments resolved
    (RFC 3986 §6.2.2, §5.2.4), runs of slashes made one. Raises BadRequest for an encoded NUL, and for a ``%`` that
    begins no escape: decoding its neighbours could make one of it."""
    if b"%" in path:
        signs = path.count(b"%")
        path, escapes = _ESCAPE.subn(_decode_unreserved, path)
        if escapes != signs:
            raise BadRequest("the path has a % that begins no escape")
        if b"%00" in path:
            raise BadRequest("the path has an encoded NUL")
    return _resolve(path)


def deepest_path(path: bytes) -> bytes:
    """What the most liberal backend could make of a path: every octet decoded, backslashes read as slashes and
    path parameters (``;...``) taken away before dot segments are resolved. Routes are asked with it as well."""
    path = _ESCAPE.sub(_decode_any, path).replace(b"\\", b"/")
    return _resolve(_PARAMETERS.sub(b"", path))


def _decode_unreserved(match: re.Match[bytes]) -> bytes:
    octet = int(match.group(1), 16)
    return bytes([octet]) if octet in UNRESERVED else b"%%%02X" % octet


def _decode_any(match: re.Match[bytes]) -> bytes:
    return bytes([int(match.group(1), 16)])


def _resolve(path: bytes) -> bytes:
    if b"//" in path:
        path = _SLASHES.sub(b"/", path)
    if b"/." not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments:
        if segment == b"..":
            if len(kept) > 1:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/".join(kept)
