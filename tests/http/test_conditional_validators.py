"""Validators: entity tags by the grammar, lists of them, dates that are strong or weak."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.fields import Fields
from revproxy.http.validators import (
    ANY,
    entity_tag,
    is_weak,
    last_modified,
    parse_entity_tag,
    parse_entity_tags,
    same_strong_validator,
    strong_date,
    strong_match,
    weak_match,
)

THEN = b"Sun, 06 Nov 1994 08:49:37 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"
NOW = 1800000000.0

TAGS = [b'"xyzzy"', b'W/"xyzzy"', b'""', b'W/""', b'"a,b"', b'"a\\b"', b'"\x80\xff"', b'"!#~"', b'"it\'s"']
NO_TAGS = [
    b"", b"xyzzy", b'"xyzzy', b'xyzzy"', b'"a"b"', b'w/"a"', b'W/ "a"', b'W"a"', b"'a'", b'"a b"', b'"a\tb"', b'"\x7f"',
    b' "a"', b'"a" ', b'"a", "b"', b"*", b"W/", b'"a\n"', b'"a"\n',
]  # fmt: skip


@pytest.mark.parametrize("value", TAGS)
def test_entity_tags(value: bytes) -> None:
    # RFC 9110 §8.8.3
    assert parse_entity_tag(value) == value
    assert entity_tag(Fields.of([(b"etag", value)])) == value
    assert parse_entity_tags(value) == (value,)


@pytest.mark.parametrize("value", NO_TAGS)
def test_what_is_no_entity_tag(value: bytes) -> None:
    assert parse_entity_tag(value) is None
    assert entity_tag(Fields.of([(b"ETag", value)])) is None


def test_an_entity_tag_that_is_there_twice_is_none() -> None:
    assert entity_tag(Fields.of([(b"ETag", b'"a"'), (b"ETag", b'"a"')])) is None
    assert entity_tag(Fields.of([])) is None


LISTS: list[tuple[bytes, tuple[bytes, ...] | None]] = [
    (b"*", ANY),
    (b'"a"', (b'"a"',)),
    (b'"a","b"', (b'"a"', b'"b"')),
    (b'"a" \t,\t "b"', (b'"a"', b'"b"')),
    (b'"a", W/"b", ""', (b'"a"', b'W/"b"', b'""')),
    (b'"a,b", "c"', (b'"a,b"', b'"c"')),
    # RFC 9110 §5.6.1.2: empty members are nothing.
    (b', "a",, ,"b" ,', (b'"a"', b'"b"')),
    (b"", ()),
    (b" , ,", ()),
    (b'"a" ', (b'"a"',)),
    (b'"a", *', None),
    (b"*, *", None),
    (b'*, "a"', None),
    (b"a", None),
    (b'"a" "b"', None),
    (b'"a""b"', None),
    (b'"a", b', None),
    (b'"a", "b', None),
    (b'"a";q=1', None),
]


@pytest.mark.parametrize(("value", "expected"), LISTS)
def test_lists(value: bytes, expected: tuple[bytes, ...] | None) -> None:
    assert parse_entity_tags(value) == expected


opaque = st.binary(max_size=8).map(
    lambda octets: bytes(octet for octet in octets if octet > 0x20 and octet not in (0x22, 0x7F))
)
tags = st.builds(lambda weak, text: (b"W/" if weak else b"") + b'"' + text + b'"', st.booleans(), opaque)
gaps = st.sampled_from([b",", b", ", b" ,", b"\t,,  ,"])


@settings(max_examples=100, deadline=None)
@given(st.lists(tags, min_size=1, max_size=6), gaps)
def test_any_list_is_read_back(members: list[bytes], gap: bytes) -> None:
    assert parse_entity_tags(gap.join(members)) == tuple(members)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=30))
def test_any_octets_are_read(value: bytes) -> None:
    found = parse_entity_tags(value)
    assert found is None or found == ANY or all(parse_entity_tag(tag) == tag for tag in found)


def test_a_long_list_is_read_in_one_pass() -> None:
    assert parse_entity_tags(b" ," * 20000 + b'"a') is None
    assert parse_entity_tags(b'"a" ' + b" " * 40000 + b"b") is None


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),
    [
        # The table of RFC 9110 §8.8.3.2.
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
        (b'"a"', b'"A"', False, False),
    ],
)
def test_comparison(one: bytes, other: bytes, strong: bool, weak: bool) -> None:
    assert (strong_match(one, other), weak_match(one, other)) == (strong, weak)
    assert (strong_match(other, one), weak_match(other, one)) == (strong, weak)


def test_weakness() -> None:
    assert is_weak(b'W/"1"') and not is_weak(b'"W/1"')


Pairs = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("pairs", "modified", "strong"),
    [
        ([(b"Last-Modified", THEN), (b"Date", LATER)], True, True),
        ([(b"Last-Modified", THEN), (b"Date", THEN)], True, False),
        ([(b"Last-Modified", LATER), (b"Date", THEN)], True, False),
        ([(b"Last-Modified", THEN)], True, False),
        ([(b"Last-Modified", THEN), (b"Date", b"now")], True, False),
        ([(b"Last-Modified", b"now"), (b"Date", LATER)], False, False),
        ([(b"Last-Modified", THEN), (b"Last-Modified", THEN), (b"Date", LATER)], False, False),
        ([(b"Date", LATER)], False, False),
    ],
)
def test_dates(pairs: Pairs, modified: bool, strong: bool) -> None:
    # RFC 9110 §8.8.2.2
    fields = Fields.of(pairs)
    assert (last_modified(fields, NOW) is not None, strong_date(fields, NOW) is not None) == (modified, strong)


STRONG: Pairs = [(b"Last-Modified", THEN), (b"Date", LATER)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([(b"ETag", b'"a"')], [(b"ETag", b'"a"')], True),
        ([(b"ETag", b'"a"')], [(b"ETag", b'"b"')], False),
        ([(b"ETag", b'W/"a"')], [(b"ETag", b'W/"a"')], False),
        ([(b"ETag", b'"a"'), *STRONG], [(b"ETag", b'"b"'), *STRONG], False),
        ([(b"ETag", b'"a"'), *STRONG], STRONG, False),
        ([(b"ETag", b"a"), *STRONG], [(b"ETag", b"a"), *STRONG], False),
        (STRONG, STRONG, True),
        (STRONG, [(b"Last-Modified", THEN), (b"Date", THEN)], False),
        (STRONG, [(b"Last-Modified", LATER), (b"Date", b"Sun, 06 Nov 1994 08:49:39 GMT")], False),
        ([], [], False),
    ],
)
def test_same_octets(one: Pairs, other: Pairs, expected: bool) -> None:
    # RFC 9110 §15.3.7.3
    assert same_strong_validator(Fields.of(one), Fields.of(other), NOW) is expected
    assert same_strong_validator(Fields.of(other), Fields.of(one), NOW) is expected
