"""Parts in the store: one that broke off, two that become one (RFC 9111 §3.3, §3.4; RFC 9110 §15.3.7.3)."""

from __future__ import annotations

import pytest

from revproxy.caching.decisions import Refuse
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.partial import as_incomplete, combined
from revproxy.caching.reasons import Reason
from tests.caching.scenes import NOW, head, stored

TAG = 'ETag: "a"'


@pytest.mark.parametrize(
    ("response", "status", "total", "expected"),
    [
        ('ETag: "a"', 200, -1, -1),
        ('ETag: "a"', 200, 10, 10),
        ('ETag: "a"', 206, 10, 10),
        ('ETag: W/"a"', 200, 10, None),
        ("Last-Modified: @-5", 200, 10, None),
        ("", 200, 10, None),
        ('ETag: "a"', 404, 10, None),
    ],
)
def test_what_broke_off(response: str, status: int, total: int, expected: int | None) -> None:
    """RFC 9111 §3.3, §3.4."""
    found = as_incomplete(head(response, status), DEFAULT_OPTIONS, total)
    if expected is None:
        assert found == Refuse(Reason.INCOMPLETE, False)
    else:
        assert not isinstance(found, Refuse)
        assert (found.status, found.first, found.total) == (206, 0, expected)
        assert found.fields.get(b"etag") == b'"a"'


def test_what_broke_off_is_dropped_where_parts_are_not_kept() -> None:
    assert isinstance(as_incomplete(head('ETag: "a"'), CacheOptions(partial=False)), Refuse)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        # (first, size, total) of the two; of both together, with the status.
        ((0, 5, 10), (5, 5, 10), (200, 0, 10, 10)),
        ((5, 5, 10), (0, 5, 10), (200, 0, 10, 10)),
        ((0, 5, 10), (3, 5, 10), (206, 0, 8, 10)),
        ((2, 3, 10), (5, 5, 10), (206, 2, 8, 10)),
        ((0, 5, -1), (5, 5, 10), (200, 0, 10, 10)),
        ((0, 5, -1), (5, 5, -1), (206, 0, 10, -1)),
        ((0, 5, 10), (6, 4, 10), None),
        ((0, 5, 10), (5, 5, 11), None),
    ],
)
def test_two_parts(
    old: tuple[int, int, int], new: tuple[int, int, int], place: tuple[int, int, int, int] | None
) -> None:
    part = stored(f"{TAG} | X: old | Y: old | Age: 9", 206, first=old[0], size=old[1], total=old[2])
    later = head(f"{TAG} | X: new", 206, at=NOW + 50, first=new[0], total=new[2])
    found = combined(part, later, new[1], NOW)
    if place is None:
        assert isinstance(found, str)
        return
    assert not isinstance(found, str)
    assert (found.head.status, found.head.first, found.combination.size, found.head.total) == place
    # The stored fields, updated by the new ones (§3.4), and as young as those.
    assert [found.head.fields.get(name) for name in (b"x", b"y", b"age")] == [b"new", b"old", None]
    assert found.head.response_time == NOW + 50


@pytest.mark.parametrize("other", ['ETag: "b"', 'ETag: W/"a"', "", "Last-Modified: @-9"])
def test_parts_without_a_common_strong_validator(other: str) -> None:
    part = stored(TAG, 206, first=0, size=5, total=10)
    assert isinstance(combined(part, head(other, 206, first=5, total=10), 5, NOW), str)


def test_a_whole_response_that_broke_off_brings_its_own_fields() -> None:
    part = stored(f"{TAG} | Y: old", 206, first=5, size=5, total=10)
    found = combined(part, head(f"{TAG} | X: new", 200, total=10), 5, NOW)
    assert not isinstance(found, str)
    assert (found.head.status, b"y" in found.head.fields, found.head.fields.get(b"x")) == (200, False, b"new")
