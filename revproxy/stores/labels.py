"""By what a stored response is purged: its URL, its host, its tags, its groups.

A label is one of these as octets, the first of which tells the kind. Stores keep an index from labels to responses, so
that a purge needn't look at every response.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from revproxy.caching.stored import StoredHead
from revproxy.interfaces import Selection

URL: Final = b"u"
HOST: Final = b"h"
TAG: Final = b"t"
GROUP: Final = b"g"

EVERYTHING: Final = Selection(everything=True)


def origin_of(url: bytes) -> bytes:
    """The origin of a URL: ``https://example.com`` of ``https://example.com/a`` (RFC 9110 §4.3.1)."""
    begin = url.find(b"://") + 3
    end = url.find(b"/", begin)
    origin = url if end < 0 else url[:end]
    if end < 0 or b"?" in origin or b"#" in origin:
        origin = origin.partition(b"?")[0].partition(b"#")[0]
    return origin.lower()


def host_of(url: bytes) -> bytes:
    """The host of a URL in lower case, an IPv6 address in its brackets, without a port."""
    return _host_of_origin(origin_of(url))


@lru_cache(maxsize=1024)
def _host_of_origin(origin: bytes) -> bytes:
    authority = origin.partition(b"://")[2]
    host, colon, port = authority.rpartition(b":")
    return host if colon and (not port or port.isdigit()) else authority


def group_label(origin: bytes, group: bytes) -> bytes:
    """Groups belong to an origin: the same name on another origin is another group (RFC 9875 §2)."""
    return GROUP + origin.lower() + b"\0" + group


def names_of(head: StoredHead) -> list[bytes]:
    """The labels that a response was given: its tags and groups."""
    labels = [TAG + tag for tag in head.tags]
    if head.groups:
        origin = origin_of(head.url)
        labels += [group_label(origin, group) for group in head.groups]
    return labels


def labels_of(head: StoredHead) -> list[bytes]:
    """All labels of a response."""
    labels = [URL + head.url, HOST + host_of(head.url)]
    return labels + names_of(head) if head.tags or head.groups else labels


def label_of(selection: Selection) -> bytes | None:
    """The label that exactly the selected responses have; None for a prefix and for everything."""
    if selection.tag:
        return TAG + selection.tag
    if selection.group is not None:
        return group_label(*selection.group)
    if selection.url:
        return URL + selection.url
    if selection.host:
        return HOST + selection.host.lower()
    return None


def matches(selection: Selection, head: StoredHead) -> bool:
    """Whether a response is among those selected."""
    if selection.everything:
        return True
    if selection.prefix:
        return head.url.startswith(selection.prefix)
    label = label_of(selection)
    return label is not None and label in labels_of(head)


class LabelIndex:
    """From labels to the keys of the responses that have them.

    Most labels are a URL, which one key has: that key stands there by itself, and only more of them make a set.
    """

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[bytes, bytes | set[bytes]] = {}

    def add(self, label: bytes, key: bytes) -> None:
        keys = self._keys
        there = keys.get(label)
        if there is None:
            keys[label] = key
        elif isinstance(there, set):
            there.add(key)
        elif there != key:
            keys[label] = {there, key}

    def discard(self, label: bytes, key: bytes) -> None:
        keys = self._keys
        there = keys.get(label)
        if there is None:
            return
        if isinstance(there, set):
            there.discard(key)
            if not there:
                del keys[label]
        elif there == key:
            del keys[label]

    def keys(self, label: bytes) -> list[bytes]:
        """The keys under a label, as a list of one's own."""
        there = self._keys.get(label)
        if there is None:
            return []
        return list(there) if isinstance(there, set) else [there]

    def __len__(self) -> int:
        return len(self._keys)
