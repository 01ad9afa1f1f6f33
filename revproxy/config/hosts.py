"""Names of hosts, as sites list them: one normal form, so that equal names are equal texts.

``normal_host`` is also what a request's Host has to pass through before it is compared with a site's names.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
_ALL_DIGITS = re.compile(r"[0-9.]+", re.ASCII)


def normal_host(text: str) -> str:
    """A host name in lower case, without a trailing dot, international names as A-labels ("xn--...").

    An IPv6 address is written in brackets and comes back compressed. Raises ``ValueError``, with a text for
    the operator, for what is no host name.
    """
    if text.startswith("["):
        return _normal_ipv6(text)
    if not text:
        raise ValueError("the name is empty")
    if "://" in text or "/" in text:
        raise ValueError(f'"{text}" is no host name: write the name alone, without a scheme or a path')
    if ":" in text:
        raise ValueError(_with_colon(text))
    name = text if text.isascii() else _ascii_form(text)
    name = name.lower()
    if name.endswith("."):
        name = name[:-1]
    if _ALL_DIGITS.fullmatch(name):
        return _normal_ipv4(name, text)
    if len(name) > 253:
        raise ValueError(f'"{text}" is longer than a host name can be (253 characters)')
    for label in name.split("."):
        if not label:
            raise ValueError(f'"{text}" is no host name: a label between its dots is empty')
        if len(label) > 63:
            raise ValueError(f'"{text}" is no host name: a label is longer than 63 characters')
        if not _LABEL.fullmatch(label):
            raise ValueError(f'"{text}" is no host name: "{label}" is not letters, digits and inner hyphens')
    return name


def normal_pattern(text: str) -> str:
    """What a site may list, in its normal form: a host name, "*.example.com", or "*".

    Raises ``ValueError``.
    """
    if text == "*":
        return text
    if text.startswith("*."):
        rest = text[2:]
        if "*" in rest or not rest.strip("."):
            raise ValueError(_with_star(text))
        name = normal_host(rest)
        if name.startswith("[") or _ALL_DIGITS.fullmatch(name):
            raise ValueError(f'"{text}" is no pattern: an address has no names below it')
        return "*." + name
    if "*" in text:
        raise ValueError(_with_star(text))
    return normal_host(text)


def tidy_patterns(value: object) -> object:
    """Every pattern in its normal form. What has none is left as it is: validation will say what is wrong."""
    if isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, tuple):
        return value
    return tuple(_tidy(item) for item in value)


def _tidy(item: object) -> object:
    if not isinstance(item, str):
        return item
    try:
        return normal_pattern(item)
    except ValueError:
        return item


def _with_star(text: str) -> str:
    return f'"{text}" is no pattern: a star stands alone or is the whole first label ("*.example.com")'


def _with_colon(text: str) -> str:
    try:
        IPv6Address(text)
    except AddressValueError:
        name = text.partition(":")[0]
        return f'"{text}" is no host name: write "{name}" without a port (a site answers on every listener)'
    return f'"{text}" needs brackets: write "[{text}]"'


def _normal_ipv4(name: str, text: str) -> str:
    try:
        return str(IPv4Address(name))
    except AddressValueError:
        raise ValueError(f'"{text}" is no host name and no IPv4 address') from None


def _normal_ipv6(text: str) -> str:
    if not text.endswith("]"):
        raise ValueError(f'"{text}" is no IPv6 address in brackets; a port has no place here')
    try:
        return f"[{IPv6Address(text[1:-1])}]"
    except AddressValueError:
        raise ValueError(f'"{text}" is no IPv6 address in brackets') from None


def _ascii_form(text: str) -> str:
    # Imported here: its tables are large, and hardly any configuration needs them.
    import idna

    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f'"{text}" is no host name: {error}') from None
