"""Parts of one representation made a larger part, or the whole (RFC 9111 §3.4, RFC 9110 §15.3.7.3).

Only parts that certainly are of the same octets are combined, and only where they touch or overlap, so that what is
stored remains one run of octets.
"""

from __future__ import annotations

import attrs

from revproxy.http.fields import Fields
from revproxy.http.validators import same_strong_validator


@attrs.frozen
class Extent:
    """A run of octets of a representation, with the response that brought it."""

    status: int
    """200 (perhaps cut off) or 206."""
    fields: Fields
    first: int
    """The position of its first octet."""
    size: int
    """Its octets."""
    total: int
    """The octets of the complete representation; negative where that is unknown."""


@attrs.frozen
class Piece:
    """Octets to take from one of two contents."""

    is_new: bool
    """Whether it is the new response's content, else the stored one's."""
    offset: int
    length: int


@attrs.frozen
class Combination:
    """What two parts make together."""

    first: int
    size: int
    total: int
    pieces: tuple[Piece, ...]
    """Where its octets come from, in order."""
    only_new_fields: bool
    """Whether its fields are the new response's alone (an incomplete 200); else they are the stored ones, updated with
    the new ones as RFC 9111 §3.2 says."""

    @property
    def is_complete(self) -> bool:
        """Whether it is the whole representation, to be treated as a complete 200 (RFC 9110 §15.3.7.3)."""
        return self.first == 0 and self.size == self.total


def combine(stored: Extent, new: Extent, now: float) -> Combination | str:
    """How a stored part and a new one are combined; a text that says why they are not."""
    if stored.status not in (200, 206) or new.status not in (200, 206):
        return "one of them is no part of a representation"
    if not same_strong_validator(stored.fields, new.fields, now):
        return "they share no strong validator"
    total = new.total if new.total >= 0 else stored.total
    if stored.total >= 0 and stored.total != total:
        return "they tell different lengths of the whole"
    stored_end, new_end = stored.first + stored.size, new.first + new.size
    end = max(stored_end, new_end)
    if 0 <= total < end:
        return "one of them reaches beyond the end of the whole"
    if stored.size == 0 or new.size == 0:
        return "one of them is empty"
    if new.first > stored_end or stored.first > new_end:
        return "there is a gap between them"
    first = min(stored.first, new.first)
    # Where both have an octet, the newer response's is taken.
    pieces = []
    if stored.first < new.first:
        pieces.append(Piece(False, 0, new.first - stored.first))
    pieces.append(Piece(True, 0, new.size))
    if stored_end > new_end:
        pieces.append(Piece(False, new_end - stored.first, stored_end - new_end))
    return Combination(first, end - first, total, tuple(pieces), only_new_fields=new.status == 200)
