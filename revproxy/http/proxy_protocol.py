"""The PROXY protocol, versions 1 and 2: the line or block by which a load balancer in front tells whose connection it
passes on. Read from the front of a connection, before anything of HTTP.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

import attrs

from revproxy.http.forward import plain_address

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
LONGEST_LINE: Final = 107
LONGEST_BLOCK: Final = 4096


class ProxyProtocolError(ValueError):
    """The connection does not begin with a valid header."""


@attrs.frozen
class ProxyHeader:
    """What the header says."""

    consumed: int
    """Octets that it took."""
    source: bytes | None
    """The client's address; None where the balancer speaks for itself (health checks) or does not know."""
    port: int
    """The port that the client connected to; 0 where that is not told."""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the front of ``data``, or None while it is incomplete. Raises ProxyProtocolError."""
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _parse_block(data) if len(data) >= len(SIGNATURE) + 4 else None
    if data[:6] == b"PROXY "[: len(data)]:
        return _parse_line(data)
    raise ProxyProtocolError("no header")


def _parse_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProxyProtocolError("the line does not end")
        return None
    parts = data[:end].split(b" ")
    if parts[1:2] == [b"UNKNOWN"]:
        return ProxyHeader(end + 2, None, 0)
    if len(parts) != 6 or parts[1] not in (b"TCP4", b"TCP6"):
        raise ProxyProtocolError("the line is malformed")
    family = ipaddress.IPv4Address if parts[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        for address in parts[2:4]:
            family(address.decode("ascii"))
    except ValueError:
        raise ProxyProtocolError("an address is malformed") from None
    if b"%" in parts[2] or b"%" in parts[3]:
        raise ProxyProtocolError("an address has a zone")
    for port in parts[4:6]:
        if not port.isdigit() or len(port) > 5 or int(port) > 65535:
            raise ProxyProtocolError("a port is malformed")
    return ProxyHeader(end + 2, plain_address(parts[2].decode("ascii")).encode("ascii"), int(parts[5]))


def _parse_block(data: bytes) -> ProxyHeader | None:
    version_command, family, length = struct.unpack_from("!BBH", data, len(SIGNATURE))
    if version_command >> 4 != 2 or version_command & 15 > 1:
        raise ProxyProtocolError("unknown version or command")
    start = len(SIGNATURE) + 4
    if length > LONGEST_BLOCK:
        raise ProxyProtocolError("the block is too long")
    if len(data) < start + length:
        return None
    consumed = start + length
    if version_command & 15 == 0:
        return ProxyHeader(consumed, None, 0)
    if family == 0x11:
        size = 12
    elif family == 0x21:
        size = 36
    else:
        return ProxyHeader(consumed, None, 0)
    if length < size:
        raise ProxyProtocolError("the block is too short for its addresses")
    width = (size - 4) // 2
    source = str(ipaddress.ip_address(data[start : start + width]))
    port = int.from_bytes(data[start + size - 2 : start + size], "big")
    return ProxyHeader(consumed, plain_address(source).encode("ascii"), port)
