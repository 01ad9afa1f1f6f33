"""Parts of a representation that are combined, and those that are not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.combining import Combination, Extent, Piece, combine
from revproxy.http.fields import Fields

NOW = 1800000000.0
A = Fields.of([(b"ETag", b'"a"')])
B = Fields.of([(b"ETag", b'"b"')])
WEAK = Fields.of([(b"ETag", b'W/"a"')])
DATED = Fields.of([(b"Last-Modified", b"Sun, 06 Nov 1994 08:49:37 GMT"), (b"Date", b"Sun, 06 Nov 1994 08:49:38 GMT")])


def part(first: int, size: int, total: int = 100, *, status: int = 206, fields: Fields = A) -> Extent:
    return Extent(status, fields, first, size, total)


OLD, NEW = False, True

COMBINED: list[tuple[str, Extent, Extent, tuple[int, int, int], list[tuple[bool, int, int]]]] = [
    ("touching", part(0, 50), part(50, 50), (0, 100, 100), [(OLD, 0, 50), (NEW, 0, 50)]),
    ("touching", part(50, 50), part(0, 50), (0, 100, 100), [(NEW, 0, 50), (OLD, 0, 50)]),
    ("overlapping", part(0, 60), part(40, 40), (0, 80, 100), [(OLD, 0, 40), (NEW, 0, 40)]),
    ("overlapping", part(40, 40), part(0, 60), (0, 80, 100), [(NEW, 0, 60), (OLD, 20, 20)]),
    ("inside", part(0, 90), part(40, 10), (0, 90, 100), [(OLD, 0, 40), (NEW, 0, 10), (OLD, 50, 40)]),
    ("around", part(40, 10), part(0, 90), (0, 90, 100), [(NEW, 0, 90)]),
    ("same", part(10, 10), part(10, 10), (10, 10, 100), [(NEW, 0, 10)]),
    ("total unknown", part(0, 10, -1), part(10, 10), (0, 20, 100), [(OLD, 0, 10), (NEW, 0, 10)]),
    ("total unknown", part(0, 10), part(10, 10, -1), (0, 20, 100), [(OLD, 0, 10), (NEW, 0, 10)]),
    ("total unknown", part(0, 10, -1), part(10, 10, -1), (0, 20, -1), [(OLD, 0, 10), (NEW, 0, 10)]),
    ("cut off", part(0, 10, status=200), part(10, 90), (0, 100, 100), [(OLD, 0, 10), (NEW, 0, 90)]),
    ("by date", part(0, 10, fields=DATED), part(10, 10, fields=DATED), (0, 20, 100), [(OLD, 0, 10), (NEW, 0, 10)]),
]


@pytest.mark.parametrize(("name", "stored", "new", "expected", "pieces"), COMBINED)
def test_combined(
    name: str, stored: Extent, new: Extent, expected: tuple[int, int, int], pieces: list[tuple[bool, int, int]]
) -> None:
    made = combine(stored, new, NOW)
    assert isinstance(made, Combination)
    assert (made.first, made.size, made.total) == expected
    assert made.pieces == tuple(Piece(*piece) for piece in pieces)
    assert made.is_complete is (expected == (0, 100, 100))
    assert made.only_new_fields is False


def test_an_incomplete_200_brings_all_its_fields() -> None:
    # RFC 9110 §15.3.7.3
    made = combine(part(50, 50), part(0, 60, status=200), NOW)
    assert isinstance(made, Combination) and made.only_new_fields and made.is_complete


APART: list[tuple[Extent, Extent, str]] = [
    (part(0, 50), part(51, 49), "gap"),
    (part(51, 49), part(0, 50), "gap"),
    (part(0, 50), part(50, 50, fields=B), "validator"),
    (part(0, 50, fields=WEAK), part(50, 50, fields=WEAK), "validator"),
    (part(0, 50, fields=Fields()), part(50, 50, fields=Fields()), "validator"),
    (part(0, 50), part(50, 50, fields=DATED), "validator"),
    (part(0, 50), part(50, 50, 101), "lengths"),
    (part(0, 50, 60), part(50, 20, -1), "beyond"),
    (part(0, 50, -1), part(50, 10, 55), "beyond"),
    (part(0, 0), part(0, 50), "empty"),
    (part(0, 50), part(50, 0), "empty"),
    (part(0, 50), part(50, 50, status=404), "no part"),
    (part(0, 50, status=304), part(50, 50), "no part"),
]


@pytest.mark.parametrize(("stored", "new", "why"), APART)
def test_not_combined(stored: Extent, new: Extent, why: str) -> None:
    made = combine(stored, new, NOW)
    assert isinstance(made, str) and why in made


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(1, 30), st.integers(0, 40), st.integers(1, 30))
def test_the_octets_are_those_of_the_representation(first: int, size: int, new_first: int, new_size: int) -> None:
    whole = bytes(range(100))
    stored, new = whole[first : first + size], whole[new_first : new_first + new_size]
    made = combine(part(first, size), part(new_first, new_size), NOW)
    if isinstance(made, str):
        assert first > new_first + new_size or new_first > first + size
        return
    octets = b"".join((new if p.is_new else stored)[p.offset : p.offset + p.length] for p in made.pieces)
    assert all(p.length > 0 for p in made.pieces)
    assert octets == whole[made.first : made.first + made.size] and len(octets) == made.size
