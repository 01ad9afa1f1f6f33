"""How a person writes a duration, a size and a network, and how we write them back.

Every parser takes what TOML or Python hands over and raises ``ValueError`` with a text that can be shown as
it is: it says what is wrong with the value, never where the value stood.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from revproxy.config.model import Network, redirect_status

_DURATION_UNITS = {
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_SIZE_UNITS = {
    "b": 1,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
}

NUMBER_PATTERN = r"[0-9]+(\.[0-9]+)?"
DURATION_PATTERN = (
    rf"^({NUMBER_PATTERN}|(?=[0-9])({NUMBER_PATTERN}d)? ?({NUMBER_PATTERN}h)? ?({NUMBER_PATTERN}m)? ?"
    rf"({NUMBER_PATTERN}s)? ?({NUMBER_PATTERN}ms)?)$"
)
"""A regular expression (ECMA 262 and Python) for a duration, for the JSON Schema."""

SIZE_PATTERN = rf"^{NUMBER_PATTERN} ?([kKmMgGtT][iI]?)?[bB]?$"
"""A regular expression (ECMA 262 and Python) for a size, for the JSON Schema."""

_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PART = re.compile(rf"(?P<number>{NUMBER_PATTERN})(?P<unit>ms|[dhms])")
_PLAIN_NUMBER = re.compile(rf"{NUMBER_PATTERN}", re.ASCII)
_SIZE = re.compile(rf"(?P<number>{NUMBER_PATTERN}) ?(?P<unit>[A-Za-z]*)", re.ASCII)


def parse_duration(value: object) -> float:
    """Seconds, from "30s", "5m", "1h30m", "250ms", "1d" or a number of seconds.

    Raises ``ValueError`` for anything else, for what is negative and for what is not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('a duration is expected ("30s", "5m", "1h30m", "250ms", or a number of seconds)')
    if isinstance(value, int | float):
        seconds = _as_float(value)
    else:
        seconds = _as_float(_duration_of_text(value))
    if seconds < 0:
        raise ValueError("a duration can't be negative")
    return seconds


def _as_float(value: int | float | Decimal) -> float:
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise ValueError("a duration must be a finite number")
    return seconds


def _duration_of_text(text: str) -> Decimal:
    text = text.strip()
    if text.startswith("-"):
        raise ValueError("a duration can't be negative")
    if not _DURATION.match(text) or not text.isascii():
        raise ValueError(f'"{text}" is no duration ("30s", "5m", "1h30m", "250ms")')
    if _PLAIN_NUMBER.fullmatch(text):
        return Decimal(text)
    parts = _DURATION_PART.finditer(text)
    return sum((Decimal(part["number"]) * _DURATION_UNITS[part["unit"]] for part in parts), Decimal(0))


def format_duration(seconds: float) -> str:
    """A text in the units of people that ``parse_duration`` reads back as exactly the same number."""
    if seconds == int(seconds):
        rest, text = int(seconds), ""
        for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
            count, rest = divmod(rest, length)
            if count:
                text += f"{count}{unit}"
        return text or "0s"
    exact = Decimal(repr(float(seconds)))
    milliseconds = exact * 1000
    if seconds < 1 and milliseconds == milliseconds.to_integral_value():
        return f"{int(milliseconds)}ms"
    return f"{exact:f}s"


def parse_size(value: object) -> int:
    """Octets, from "64KiB" (1024s), "10MB" (1000s), "4GiB" or a number of octets. Raises ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('a size is expected ("64KiB", "10MB", or a whole number of octets)')
    if isinstance(value, int):
        octets = Decimal(value)
    else:
        octets = _size_of_text(value.strip())
    if octets < 0:
        raise ValueError("a size can't be negative")
    if octets != octets.to_integral_value():
        raise ValueError(f'"{value}" is no whole number of octets')
    return int(octets)


def _size_of_text(text: str) -> Decimal:
    if text.startswith("-"):
        raise ValueError("a size can't be negative")
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no size ("64KiB", "10MB", "4GiB")')
    number, unit = match["number"], match["unit"].lower()
    if not unit:
        return Decimal(number)
    if unit in _SIZE_UNITS:
        return Decimal(number) * _SIZE_UNITS[unit]
    if unit in ("k", "m", "g", "t"):
        letter = unit.upper()
        raise ValueError(f'"{text}" is no size: write "{number}{letter}iB" (1024s) or "{number}{letter}B" (1000s)')
    raise ValueError(f'"{text}" is no size; units are KiB, MiB, GiB, TiB (1024s) and KB, MB, GB, TB (1000s)')


def format_size(octets: int) -> str:
    """The shortest text that ``parse_size`` reads back as the same number of octets."""
    for base, suffix in ((1024, "iB"), (1000, "B")):
        for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
            if octets and octets % base**power == 0:
                return f"{octets // base**power}{letter}{suffix}"
    return f"{octets}B"


def parse_network(value: object) -> Network:
    """A network from "10.0.0.0/8", "2001:db8::/32", or one address.

    An IPv4-mapped one ("::ffff:10.0.0.0/104") is the IPv4 network it stands for. Raises ``ValueError``.
    """
    if not isinstance(value, str):
        raise ValueError('a network is expected ("10.0.0.0/8", "2001:db8::/32", or one address)')
    text = value.strip()
    try:
        network = ip_network(text)
    except ValueError:
        try:
            around = ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f'"{text}" is no network ("10.0.0.0/8") and no address') from None
        alone = text.partition("/")[0]
        raise ValueError(f'"{text}" is an address inside a network: write "{around}" or "{alone}" alone') from None
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        inner = network.network_address.ipv4_mapped
        if inner is not None:
            return IPv4Network((int(inner), network.prefixlen - 96))
    return network


REDIRECTS = (0, 301, 308)
"""Statuses of a redirect to https; 0 for none."""


def parse_redirect(value: object) -> int:
    """A status, from true (308), false (0), 301 or 308. Raises ``ValueError``."""
    status = redirect_status(value)
    if not isinstance(status, int) or status not in REDIRECTS:
        raise ValueError("true, false, 301 or 308 is expected")
    return status


WORKERS: Final = 256
"""The most processes that may serve."""


def parse_workers(value: object) -> int:
    """A number of processes; 0 for "auto", one to each CPU. Raises ``ValueError``."""
    if value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= WORKERS:
        raise ValueError(f'a whole number from 1 to {WORKERS} is expected, or "auto"')
    return value


def format_network(network: Network) -> str:
    """The network as ``parse_network`` reads it; a network of one address is written as that address."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def in_networks(address: str | IPv4Address | IPv6Address, networks: Iterable[Network]) -> bool:
    """Whether the address lies in one of the networks; "::ffff:10.0.0.1" counts as 10.0.0.1.

    What is no IP address (the peer of a unix socket has none) lies in no network.
    """
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)
