"""What an answer to a validation, or to HEAD, does to stored responses (RFC 9111 §3.2, §4.3.3 to §4.3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from revproxy.caching.controls import RequestControls
from revproxy.caching.decisions import Freshen, PassOn, Refetch, Replace, Revalidate, ValidationDecision
from revproxy.caching.directives import response_directives
from revproxy.caching.freshness import VALIDATED
from revproxy.caching.groups import labels_of
from revproxy.caching.options import CacheOptions
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredHead, StoredResponse
from revproxy.caching.storing import STATE, cookie_policy, forbids_storing, not_kept, storable_fields, without
from revproxy.caching.vary import oversized, selecting_of
from revproxy.http.dates import format_date
from revproxy.http.fields import Fields
from revproxy.http.validators import entity_tag, is_weak, last_modified, strong_match, weak_match

NOT_UPDATED: Final = frozenset({b"content-length", b"content-range", b"content-encoding", b"content-digest"})
"""Fields that stay as they were stored (RFC 9111 §3.2). The octets that are stored have the length and the coding that
they came with; whatever a 304 without content says of either is not about them."""


def on_validation(
    method: bytes,
    controls: RequestControls,
    asked: Revalidate,
    selected: Sequence[StoredResponse],
    status: int,
    fields: Fields,
    options: CacheOptions,
    request_time: float,
    response_time: float,
) -> ValidationDecision:
    """Decides about an answer to the request that ``asked`` made of the client's (RFC 9111 §4.3.3).

    ``selected``: what was stored and selected by the request when it was sent. For 5xx ask ``on_failure`` first.
    """
    if method == b"HEAD" and status != 304:
        return on_head(controls, selected, status, fields, options, request_time, response_time)
    if status != 304:
        return Replace(Reason.REPLACED)
    update = _Update(controls, fields, options, request_time, response_time)
    found = identified(fields, selected, response_time)
    if not asked.add:
        # It answers the client's own validator, and may be about what is stored as well.
        return update.decision(found, (), None, Reason.CLIENTS_VALIDATOR) if found else PassOn(Reason.CLIENTS_VALIDATOR)
    if not found and len(asked.nominated) == 1 and not _contradicts(fields, asked.nominated[0], response_time):
        # Only one validator was sent, so a 304 that forgets to repeat it can mean no other.
        found = [stored for stored in selected if stored is asked.nominated[0]]
    if found:
        return update.decision(found, (), found[0], Reason.VALIDATED)
    other = identified(fields, asked.nominated, response_time)
    if other:
        # Vary does not let this request select it, so it is not updated (§4.3.4), but the server chose it (§4.3.2).
        return Freshen((), (other[0], update.for_client(other[0].head)), (), (), Reason.VALIDATED_VARIANT)
    return Refetch(Reason.UNKNOWN_VALIDATOR)


def identified(new: Fields, stored: Sequence[StoredResponse], now: float) -> list[StoredResponse]:
    """Those stored responses, of which the most recent comes first, that a 304 is about (RFC 9111 §4.3.4)."""
    stored = [one for one in stored if one.head.status in VALIDATED]
    tag = entity_tag(new)
    if tag is not None and not is_weak(tag):
        return [one for one in stored if strong_match(tag, entity_tag(one.head.fields) or b"W/")]
    if tag is not None:
        return [one for one in stored if weak_match(tag, entity_tag(one.head.fields) or b"")][:1]
    modified = last_modified(new, now)
    if modified is not None:
        return [one for one in stored if last_modified(one.head.fields, now) == modified][:1]
    if len(stored) == 1 and not _has_validator(stored[0].head.fields, now):
        return stored
    return []


def _has_validator(fields: Fields, now: float) -> bool:
    return entity_tag(fields) is not None or last_modified(fields, now) is not None


def _contradicts(new: Fields, stored: StoredResponse, now: float) -> bool:
    """Whether a 304 has a validator that differs from the stored one."""
    if entity_tag(new) is not None:
        return True  # else it had been identified
    modified, known = last_modified(new, now), last_modified(stored.head.fields, now)
    return modified is not None and known is not None and modified != known


def on_head(
    controls: RequestControls,
    selected: Sequence[StoredResponse],
    status: int,
    fields: Fields,
    options: CacheOptions,
    request_time: float,
    response_time: float,
) -> Freshen | PassOn:
    """What any answer to HEAD tells of the responses that the request selects (RFC 9111 §4.3.5).

    Beyond what the RFC asks for, another status that tells of the resource makes them invalid too: HEAD is answered as
    GET would be (RFC 9110 §9.3.2). Servers that don't know HEAD say so with others.
    """
    if controls.no_store or not (200 <= status < 304 or 304 < status < 400 or status in STATE):
        return PassOn(Reason.HEAD)
    same: list[StoredResponse] = []
    different: list[StoredResponse] = []
    for stored in selected:
        known = 200 if stored.head.status == 206 else stored.head.status
        if known != status:
            different.append(stored)
        elif status == 200:
            (same if _agrees(fields, stored, response_time) else different).append(stored)
    if not same and not different:
        return PassOn(Reason.HEAD)
    update = _Update(controls, fields, options, request_time, response_time)
    reason = Reason.HEAD_DISAGREES if different else Reason.HEAD_AGREES
    return update.decision(same, tuple(different), None, reason)


def _agrees(new: Fields, stored: StoredResponse, now: float) -> bool:
    """Whether every validator of a response to HEAD is the stored one's too, and Content-Length as well."""
    old = stored.head.fields
    if b"etag" in new and new.get(b"etag") != old.get(b"etag"):
        return False
    if b"last-modified" in new and last_modified(new, now) != last_modified(old, now):
        return False
    length = new.get(b"content-length")
    if length is None:
        return True
    size = stored.head.total if stored.head.status == 206 else stored.content.size
    return size >= 0 and length == b"%d" % size


class _Update:
    """One answer, by which stored responses are updated."""

    def __init__(
        self, controls: RequestControls, new: Fields, options: CacheOptions, request_time: float, response_time: float
    ) -> None:
        self.controls = controls
        self.new = new
        self.options = options
        self.request_time = request_time
        self.response_time = response_time

    def decision(
        self,
        same: Sequence[StoredResponse],
        different: tuple[StoredResponse, ...],
        serve: StoredResponse | None,
        reason: Reason,
    ) -> Freshen:
        updates = []
        drop = []
        for stored in same:
            if self._is_for_one(stored.head):
                continue
            head = self._for_store(stored.head)
            if head is None:
                drop.append(stored)
            else:
                updates.append((stored, head))
        served = None if serve is None else (serve, self.for_client(serve.head))
        return Freshen(tuple(updates), served, tuple(drop), different, reason)

    def _is_for_one(self, head: StoredHead) -> bool:
        """Whether nothing of the answer may be stored: the client forbids it (RFC 9111 §5.2.1.5), or was authorized and
        the answer is not to be shared (§3.5). Then what is stored stays as it is."""
        if not self.controls.authorized:
            return self.controls.no_store
        merged = updated_fields(head.fields, self.new, self.response_time)
        return self.controls.no_store or not response_directives(merged, self.options.targeted).shareable

    def for_client(self, head: StoredHead) -> StoredHead:
        """The head for the client that asked, with everything that the answer says."""
        return self._updated(head, updated_fields(head.fields, self.new, self.response_time))

    def _for_store(self, head: StoredHead) -> StoredHead | None:
        """The head to store; None where the answer forbids to."""
        merged = updated_fields(head.fields, self.new, self.response_time)
        directives = response_directives(merged, self.options.targeted)
        if not self.options.force and forbids_storing(head.status, directives) is not None:
            return None
        kept = storable_fields(merged, directives, self.response_time)
        # What is stored stays, whatever cookie this client is given; but the cookie is its own unless the route's
        # options let it be kept.
        cookies = cookie_policy(kept, directives, self.options, self.response_time)
        if isinstance(cookies, Reason):
            cookies = without(kept, frozenset({b"set-cookie"}))
        updated = self._updated(head, cookies)
        if any(name == b"*" for name, _ in updated.selecting) or oversized(updated.selecting):
            return None
        if labels_of(merged).is_excessive:
            return None
        return updated

    def _updated(self, head: StoredHead, fields: Fields) -> StoredHead:
        selecting = head.selecting
        if b"vary" in self.new:
            selecting = selecting_of(fields.get(b"vary"), self.controls.fields)
        labels = labels_of(fields)
        return StoredHead(
            head.key,
            head.status,
            fields,
            request_time=self.request_time,
            response_time=self.response_time,
            url=head.url,
            method=head.method,
            reason=head.reason,
            selecting=selecting,
            first=head.first,
            total=head.total,
            tags=labels.tags,
            groups=labels.groups,
        )


def updated_fields(stored: Fields, new: Fields, response_time: float) -> Fields:
    """Stored fields, each replaced where the new response has it too (RFC 9111 §3.2).

    The stored Age goes, since it told how old the response was before it was validated. So does the stored Date: a new
    response without one was made when it came (RFC 9110 §6.6.1).
    """
    skipped = not_kept(new, None) | NOT_UPDATED
    added = [line for line in new.lines if line[0] not in skipped]
    if b"date" not in new:
        added.append((b"date", b"Date", format_date(response_time)))
    replaced = {line[0] for line in added} | {b"age"}
    return Fields([line for line in stored.lines if line[0] not in replaced] + added)
