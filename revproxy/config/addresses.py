"""Where to listen and where servers are: the texts of the configuration as frozen values.

The parsers raise ``ValueError`` with a text for the operator that says what is wrong with the value, not
where it stood.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import attrs

from revproxy.config.hosts import normal_host

UNIX_PATH_OCTETS = 107
"""Longest path of a unix socket (Linux' sun_path holds 108 octets with the closing NUL)."""

SYSTEMD_NAME_OCTETS = 255
"""Longest name of a socket (FileDescriptorName=, systemd.socket(5))."""

_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[^:]*))?")


@attrs.frozen
class TcpAddress:
    """A host and a port. ``host`` is a name or an IP address without brackets; "" means every address."""

    host: str
    port: int
    secure: bool = False
    """Whether a server there speaks TLS."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as a server's URL."""
        return f"https://{self}" if self.secure else f"http://{self}"


@attrs.frozen
class UnixAddress:
    """The absolute path of a unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"

    @property
    def url(self) -> str:
        """The address as a server's URL."""
        return str(self)


@attrs.frozen
class SystemdAddress:
    """The name of sockets that systemd binds and hands over (FileDescriptorName= of a socket unit)."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


Address = TcpAddress | UnixAddress
"""Where a server is."""
ListenerAddress = TcpAddress | UnixAddress | SystemdAddress


def parse_listener(text: str) -> ListenerAddress:
    """The address of a listener: ":8080", "127.0.0.1:8080", "[::1]:80", "unix:/run/x.sock", "systemd:web".

    Port 0 means any free one. Raises ``ValueError``.
    """
    if text.startswith("unix:"):
        return _unix(text[5:], text)
    if text.startswith("systemd:"):
        return _systemd(text[8:], text)
    if "://" in text:
        raise ValueError(f'"{text}" is a URL: a listener has an address (":8080", "127.0.0.1:8080")')
    if _PORT.fullmatch(text):
        raise ValueError(f'"{text}" is only a port: write ":{text}" to listen on it at every address')
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise ValueError(_no_listener(text))
    host, port = match["host"], match["port"]
    if port is None:
        raise ValueError(f'"{text}" names no port: write "{text}:8080"' if text else "the address is empty")
    number = _port(port, text)
    if not host:
        return TcpAddress("", number)
    if host.startswith("["):
        try:
            return TcpAddress(str(IPv6Address(host[1:-1])), number)
        except AddressValueError:
            raise ValueError(f'"{text}": "{host}" is no IPv6 address') from None
    try:
        return TcpAddress(str(IPv4Address(host)), number)
    except AddressValueError:
        hint = f': write "127.0.0.1:{port}"' if host.lower() == "localhost" else ""
        raise ValueError(f'"{text}": "{host}" is no IP address; a listener takes no names{hint}') from None


def parse_server(text: str) -> Address:
    """The address of a server: "http://host[:port]", "https://host[:port]" (80 and 443 if no port is named), or
    "unix:/path".

    Raises ``ValueError``.
    """
    if text.startswith("unix:"):
        return _unix(text[5:], text)
    scheme, colon, rest = text.partition("://")
    if not colon:
        raise ValueError(f'"{text}" is no server: write "http://host:port" or "unix:/path/to.sock"')
    secure = scheme.lower() == "https"
    if not secure and scheme.lower() != "http":
        raise ValueError(f'"{text}": a server is "http://host:port", "https://host:port" or "unix:/path/to.sock"')
    for sign, what in (("#", "a fragment"), ("?", "a query")):
        if sign in rest:
            raise ValueError(f'"{text}": {what} has no place in a server\'s URL')
    authority, _, path = rest.partition("/")
    if path:
        raise ValueError(f'"{text}": a path has no place in a server\'s URL; write "{scheme}://{authority}"')
    if "@" in authority:
        # The text is not repeated: it may hold a password.
        raise ValueError("a user name has no place in a server's URL")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(_no_authority(text, authority))
    host, port = match["host"], match["port"]
    if not host:
        raise ValueError(f'"{text}" names no host')
    number = (443 if secure else 80) if port is None else _port(port, text)
    if number == 0:
        raise ValueError(f'"{text}": the port must be 1 to 65535')
    name = normal_host(host)
    return TcpAddress(name[1:-1] if name.startswith("[") else name, number, secure)


def is_server(text: str) -> bool:
    """Whether a route's ``proxy`` means one server by its URL rather than an upstream by its name."""
    return "://" in text or text.startswith("unix:")


def overlap(one: ListenerAddress, other: ListenerAddress) -> bool:
    """Whether two listeners would claim the same connections, one of them perhaps by listening everywhere."""
    if not isinstance(one, TcpAddress) or not isinstance(other, TcpAddress):
        return one == other
    if one.port != other.port or one.port == 0:
        return False
    if one.host == other.host or not one.host or not other.host:
        return True
    same_family = (":" in one.host) == (":" in other.host)
    return same_family and ("0.0.0.0" in (one.host, other.host) or "::" in (one.host, other.host))


def _unix(path: str, text: str) -> UnixAddress:
    if path.startswith("//"):
        raise ValueError(f'"{text}": write "unix:/{path.lstrip("/")}"')
    if not path.startswith("/"):
        raise ValueError(f'"{text}": the path of a unix socket must be absolute ("unix:/run/app.sock")')
    if path.endswith("/"):
        raise ValueError(f'"{text}" names a folder, not a socket')
    if "\0" in path or "\n" in path or "\r" in path:
        raise ValueError("the path of a unix socket holds a control character")
    if len(path.encode("utf-8", "surrogateescape")) > UNIX_PATH_OCTETS:
        raise ValueError(f"\"{text}\": a unix socket's path can't be longer than {UNIX_PATH_OCTETS} octets")
    return UnixAddress(path)


def _systemd(name: str, text: str) -> SystemdAddress:
    """The rules for a name are those of FileDescriptorName= (systemd.socket(5))."""
    if not name:
        raise ValueError('"systemd:" names no socket: write "systemd:NAME", with the FileDescriptorName= of its unit')
    if not (name.isascii() and name.isprintable()) or ":" in name:
        raise ValueError(f"{text!r}: the name of a socket is made of printable ASCII characters other than a colon")
    if len(name) > SYSTEMD_NAME_OCTETS:
        raise ValueError(f"the name of a socket from systemd can't be longer than {SYSTEMD_NAME_OCTETS} octets")
    return SystemdAddress(name)


def _port(port: str, text: str) -> int:
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(f'"{text}": "{port}" is no port (0 to 65535)')
    return int(port)


def _no_listener(text: str) -> str:
    host, _, port = text.rpartition(":")
    try:
        IPv6Address(host)
    except AddressValueError:
        return f'"{text}" is no address (":8080", "127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock")'
    return f'"{text}": an IPv6 address needs brackets: "[{host}]:{port}"'


def _no_authority(text: str, authority: str) -> str:
    if authority.count(":") > 1 and "[" not in authority:
        return f'"{text}": an IPv6 address needs brackets ("http://[::1]:8000")'
    return f'"{text}" is no server: write "http://host:port" or "unix:/path/to.sock"'
