"""Parts of a representation in the store: one that broke off, two that become one (RFC 9111 §3.3, §3.4).

A stored response with status 206 is a part, whatever brought it; any other is whole.
"""

from __future__ import annotations

from typing import NamedTuple

from revproxy.caching.decisions import Refuse
from revproxy.caching.freshening import updated_fields
from revproxy.caching.groups import labels_of
from revproxy.caching.options import CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.http.combining import Combination, Extent, combine
from revproxy.http.fields import Fields
from revproxy.http.validators import entity_tag, is_weak


def as_incomplete(head: StoredHead, options: CacheOptions, total: int = -1) -> StoredHead | Refuse:
    """The head under which the first octets of a 200 or 206 that broke off are kept (RFC 9111 §3.3).

    It gets status 206, so that nothing can mistake it for the whole. ``total`` is the length of the whole where it is
    known better than the head does. Without a strong validator the rest could never be added (§3.4).
    """
    tag = entity_tag(head.fields)
    if not options.partial or head.status not in (200, 206) or head.method != b"GET" or tag is None or is_weak(tag):
        return Refuse(Reason.INCOMPLETE, False)
    total = total if total >= 0 else head.total
    return _placed(head, 206, head.fields, first=head.first, total=total)


class Combined(NamedTuple):
    """Two parts that make a larger one, or the whole."""

    combination: Combination
    """Which octets come from where."""
    head: StoredHead
    """The head to store them under: 200 where they are the whole."""


def combined(stored: StoredResponse, new: StoredHead, size: int, now: float) -> Combined | str:
    """What a stored part and a new one of ``size`` octets make together; a text that says why nothing (RFC 9111 §3.4).

    ``new`` is the head that ``on_response`` made, with status 200 where that broke off: then its fields alone count
    (RFC 9110 §15.3.7.3).
    """
    old = stored.head
    combination = combine(
        Extent(old.status, old.fields, old.first, stored.content.size, old.total),
        Extent(new.status, new.fields, new.first, size, new.total),
        now,
    )
    if isinstance(combination, str):
        return combination
    if combination.only_new_fields:
        fields = new.fields
    else:
        fields = updated_fields(old.fields, new.fields, new.response_time)
    status = 200 if combination.is_complete else 206
    return Combined(combination, _placed(new, status, fields, first=combination.first, total=combination.total))


def _placed(head: StoredHead, status: int, fields: Fields, *, first: int, total: int) -> StoredHead:
    """A head with another status, other fields and another place in the representation."""
    labels = labels_of(fields)
    return StoredHead(
        head.key,
        status,
        fields,
        request_time=head.request_time,
        response_time=head.response_time,
        url=head.url,
        method=head.method,
        # The phrase that came belongs to the status that came.
        reason=head.reason if status == head.status else b"",
        selecting=head.selecting,
        first=first,
        total=total,
        tags=labels.tags,
        groups=labels.groups,
    )
