"""What a cache key may hold beside the URI: cookies and fields by name, the kind of device, trusted proxies' claims."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final

from revproxy.caching.vary import digest, normalised
from revproxy.http.fields import Fields, is_claim

ABSENT: Final = b"-"
PRESENT: Final = b"="


def netstring(octets: bytes) -> bytes:
    """Octets behind their length: whatever follows, it is clear where they end."""
    return b"%d:%b," % (len(octets), octets)


def listed(name: bytes, value: bytes | None) -> bytes:
    """A name with its value, which may be absent."""
    return netstring(name) + (ABSENT if value is None else PRESENT + netstring(value))


def header_material(names: Iterable[bytes], fields: Fields) -> bytes:
    """Fields of a request by their lower-case names, normalised as Vary has it (RFC 9111 §4.1)."""
    return b"".join([listed(name, normalised(name, fields)) for name in names])


def cookie_material(names: Iterable[bytes], fields: Fields) -> bytes:
    """Cookies by name, all values of each in their order (RFC 6265 §5.4).

    Some servers read quotes, backslashes and commas in Cookie as cookies were first specified, others don't. Where the
    two could find different cookies, a digest of all of Cookie is the material: nobody then shares an answer with
    anybody who sent other octets.
    """
    lines = fields.all(b"cookie")
    if not lines:
        return b"".join([listed(name, None) for name in names])
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        for pair in line.split(b";"):
            name, _, value = pair.strip(b" \t").partition(b"=")
            if b"\\" in pair or b"," in name or (b"," in value and b"=" in value) or pair.count(b'"') % 2:
                return b"*" + digest(b"\0".join(lines))
            found.setdefault(name.strip(b" \t"), []).append(value.strip(b" \t"))
    material = []
    for name in names:
        values = found.get(name)
        material.append(listed(name, None if values is None else b"".join([netstring(value) for value in values])))
    return b"".join(material)


# A client's address and its identity apart, everything that a trusted proxy claims may decide what a server answers.
_ADDRESSES: Final = frozenset(
    (
        b"x-forwarded-for x-real-ip x-client-ip x-cluster-client-ip x-original-forwarded-for true-client-ip "
        b"x-request-id"
    ).split()
)


def claim_material(fields: Fields) -> bytes:
    """What a trusted proxy says of the request, as far as it is passed on and is no address: the host, scheme, port and
    path that were asked for, who the user is. Two requests of which it says different things share nothing."""
    claims = []
    for lower, _, value in fields.lines:
        if not is_claim(lower) or lower in _ADDRESSES or b"_" in lower:
            continue
        if lower == b"forwarded":
            # RFC 7239 §4: pairs between ; and , of which ``for`` names the client.
            pairs = [pair.strip(b" \t") for element in value.split(b",") for pair in element.split(b";")]
            value = b";".join([pair for pair in pairs if pair[:4].lower() != b"for=" or pair.count(b'"') % 2])
            if not value:
                continue
        claims.append(listed(lower, value))
    return b"".join(claims)


MOBILE: Final = b"mobile"
TABLET: Final = b"tablet"
BOT: Final = b"bot"
DESKTOP: Final = b"desktop"

_BOT: Final = re.compile(
    rb"(?i)(?<!cu)bot\b|bot/|crawl|spider|slurp|mediapartners|facebookexternalhit|bingpreview|lighthouse"
)
_TABLET: Final = re.compile(rb"(?i)ipad|tablet|kindle|silk/|playbook|android(?!.*mobile)")
_MOBILE: Final = re.compile(rb"(?i)mobi|iphone|ipod|android|windows phone|blackberry|opera mini")
_LONGEST_AGENT: Final = 512


@functools.lru_cache(maxsize=1024)
def _device_of(agent: bytes, hint: bytes | None) -> bytes:
    if _BOT.search(agent):
        return BOT
    if _TABLET.search(agent):
        return TABLET
    if hint == b"?1" or (hint is None and _MOBILE.search(agent)):
        return MOBILE
    return DESKTOP


def device_of(fields: Fields) -> bytes:
    """The kind of device that sends a request: ``mobile``, ``tablet``, ``bot`` or ``desktop``.

    Told by User-Agent, and by Sec-CH-UA-Mobile where a browser sends it. Rough, as every such guess: for pages that a
    server makes in these four kinds.
    """
    hint = fields.get(b"sec-ch-ua-mobile")
    return _device_of((fields.get(b"user-agent") or b"")[:_LONGEST_AGENT], hint if hint in (b"?0", b"?1") else None)
