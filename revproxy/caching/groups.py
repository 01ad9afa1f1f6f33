"""Names by which stored responses are purged or invalidated together: cache groups (RFC 9875) and tags.

Cache-Groups and Cache-Group-Invalidation are standard fields of an origin, which caches beyond us understand as well,
so they pass to clients. Surrogate-Key, Cache-Tag and xkey are what servers tell the cache that their operator runs in
front of them: they are kept with the stored response, for ``purge``, and are taken out of what clients get, as other
caches do.
"""

from __future__ import annotations

from typing import Final

import attrs
import http_sf

from revproxy.http.fields import Fields

MOST_GROUPS: Final = 128
LONGEST_GROUP: Final = 256
"""Octets. RFC 9875 §2 and §3 want 32 groups of 32 at least."""
MOST_TAGS: Final = 1000
LONGEST_TAG: Final = 1024

SAFE_METHODS: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PROPFIND", b"REPORT", b"SEARCH", b"QUERY"))
"""Methods that are registered as safe (RFC 9110 §9.2.1, §16.1.1). Any other may change what is stored."""

_TAG_SEPARATORS: Final = {b"surrogate-key": b" ", b"xkey": b" ", b"cache-tag": b","}
TAG_FIELDS: Final = frozenset(_TAG_SEPARATORS)
"""Lower-case names of the fields that are the operator's own."""

_TAG_OCTETS: Final = bytes(range(0x21, 0x7F))


@attrs.frozen
class Labels:
    """The names that a response carries."""

    tags: frozenset[bytes] = frozenset()
    groups: frozenset[bytes] = frozenset()
    problem: str = ""
    """What could not be read, for whoever asks why a purge did not find the response."""
    is_excessive: bool = False
    """Whether there are more or longer names than are kept. Such a response is better not stored: a purge by one of
    those that were left out would not find it."""


NO_LABELS: Final = Labels()


def labels_of(response: Fields) -> Labels:
    """The groups and tags of a response."""
    if b"cache-groups" not in response and not any(name in response for name in TAG_FIELDS):
        return NO_LABELS
    groups = _strings(response.get(b"cache-groups"))
    problem = "Cache-Groups is no list of strings (RFC 9875 §2)" if groups is None else ""
    groups = groups or []
    tags: set[bytes] = set()
    for name, separator in _TAG_SEPARATORS.items():
        for line in response.all(name):
            for part in line.replace(b"\t", b" ").split(separator):
                tag = part.strip(b" ")
                if not tag:
                    continue
                if tag.translate(None, _TAG_OCTETS + b" "):
                    problem = "a tag has octets other than printable ASCII"
                    continue
                tags.add(tag)
    if len(groups) > MOST_GROUPS or any(len(group) > LONGEST_GROUP for group in groups):
        return Labels(
            problem=f"more than {MOST_GROUPS} groups, or one of over {LONGEST_GROUP} octets", is_excessive=True
        )
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        return Labels(problem=f"more than {MOST_TAGS} tags, or one of over {LONGEST_TAG} octets", is_excessive=True)
    return Labels(frozenset(tags), frozenset(groups), problem)


def invalidated_groups(method: bytes, response: Fields) -> frozenset[bytes]:
    """The groups that a response invalidates, of the origin that sent it; none in answer to a safe method
    (RFC 9875 §3). Those beyond the bounds are left out: no stored response has them."""
    value = response.get(b"cache-group-invalidation")
    if value is None or method in SAFE_METHODS:
        return frozenset()
    groups = _strings(value) or []
    return frozenset([group for group in groups if len(group) <= LONGEST_GROUP][:MOST_GROUPS])


def _strings(value: bytes | None) -> list[bytes] | None:
    """A List of Strings, whatever parameters they have; None where it is none: then the whole field is ignored
    (RFC 9651 §4.2)."""
    if value is None:
        return []
    try:
        members = http_sf.parse(value, tltype="list")
    except http_sf.StructuredFieldError:
        return None
    found = []
    for member in members if isinstance(members, list) else ():
        text = member[0] if isinstance(member, tuple) else member
        if type(text) is not str:
            return None
        found.append(text.encode("ascii"))
    return found


def origin_of(url: bytes) -> bytes:
    """The origin to which the groups of a URL belong: ``https://example.com`` of ``https://example.com/a`` (RFC 9875
    §2)."""
    scheme, _, rest = url.partition(b"://")
    return (scheme + b"://" + rest.partition(b"/")[0].partition(b"?")[0]).lower()


def without_tags(response: Fields) -> Fields:
    """The fields without those that are the operator's own."""
    if not any(name in response for name in TAG_FIELDS):
        return response
    return Fields([line for line in response.lines if line[0] not in TAG_FIELDS])
