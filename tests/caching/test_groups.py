"""Cache groups and tags: how they are read, how many there may be, who sees them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.groups import (
    LONGEST_GROUP,
    LONGEST_TAG,
    MOST_GROUPS,
    MOST_TAGS,
    NO_LABELS,
    invalidated_groups,
    labels_of,
    without_tags,
)
from revproxy.http.fields import Fields

GROUPS = b"Cache-Groups"
INVALIDATION = b"Cache-Group-Invalidation"

READ: list[tuple[bytes, set[bytes] | None]] = [
    (b'"scripts"', {b"scripts"}),
    (b'"a", "b"', {b"a", b"b"}),
    (b'"a","a"', {b"a"}),
    (b'"a";x=1;y, "b"', {b"a", b"b"}),
    (b'"A", "a"', {b"A", b"a"}),
    (b'"a b\\"\\\\"', {b'a b"\\'}),
    (b'""', {b""}),
    (b"", set()),
    # Not a list of strings: nothing of it counts.
    (b"a", None),
    (b'"a", b', None),
    (b'"a", 1', None),
    (b'"a", ("b")', None),
    (b'"a", :YQ==:', None),
    (b'"a', None),
    (b'"a" "b"', None),
    (b'"a",', None),
    (b'"\xc3\xa9"', None),
    (b"'a'", None),
    (b'%"a"', None),
]


@pytest.mark.parametrize(("value", "groups"), READ)
def test_groups(value: bytes, groups: set[bytes] | None) -> None:
    # RFC 9875 §2, §3
    labels = labels_of(Fields.of([(GROUPS, value)]))
    assert labels.groups == (groups or set())
    assert bool(labels.problem) is (groups is None)
    assert not labels.is_excessive
    assert invalidated_groups(b"POST", Fields.of([(INVALIDATION, value)])) == (groups or set())


def test_groups_on_several_lines() -> None:
    assert labels_of(Fields.of([(GROUPS, b'"a"'), (GROUPS, b'"b", "c"')])).groups == {b"a", b"b", b"c"}


@pytest.mark.parametrize(
    ("method", "counts"),
    [
        (b"POST", True),
        (b"PUT", True),
        (b"DELETE", True),
        (b"PATCH", True),
        (b"FROBNICATE", True),
        (b"get", True),
        (b"GET", False),
        (b"HEAD", False),
        (b"OPTIONS", False),
        (b"TRACE", False),
    ],
)
def test_safe_methods_invalidate_nothing(method: bytes, counts: bool) -> None:
    # RFC 9875 §3
    assert bool(invalidated_groups(method, Fields.of([(INVALIDATION, b'"a"')]))) is counts


def test_as_many_groups_as_the_rfc_wants() -> None:
    value = b", ".join(b'"%032d"' % n for n in range(32))
    assert len(labels_of(Fields.of([(GROUPS, value)])).groups) == 32
    assert len(invalidated_groups(b"POST", Fields.of([(INVALIDATION, value)]))) == 32


def test_groups_are_bounded() -> None:
    many = b", ".join(b'"%d"' % n for n in range(MOST_GROUPS + 1))
    labels = labels_of(Fields.of([(GROUPS, many), (b"Surrogate-Key", b"a")]))
    assert labels.is_excessive and labels.problem and not labels.groups and not labels.tags
    assert len(invalidated_groups(b"POST", Fields.of([(INVALIDATION, many)]))) == MOST_GROUPS
    long = b'"%b"' % (b"a" * (LONGEST_GROUP + 1))
    assert labels_of(Fields.of([(GROUPS, long)])).is_excessive
    assert not invalidated_groups(b"POST", Fields.of([(INVALIDATION, long)]))


TAGS: list[tuple[list[tuple[bytes, bytes]], set[bytes]]] = [
    ([(b"Surrogate-Key", b"a b  c")], {b"a", b"b", b"c"}),
    ([(b"Surrogate-Key", b"a\tb"), (b"surrogate-key", b"c")], {b"a", b"b", b"c"}),
    ([(b"Surrogate-Key", b"a,b")], {b"a,b"}),
    ([(b"Cache-Tag", b"a, b ,,c")], {b"a", b"b", b"c"}),
    ([(b"Cache-Tag", b"a b, c")], {b"a b", b"c"}),
    ([(b"Cache-Tag", b"a"), (b"Cache-Tag", b"b")], {b"a", b"b"}),
    ([(b"xkey", b"a b")], {b"a", b"b"}),
    ([(b"Surrogate-Key", b"a"), (b"Cache-Tag", b"A"), (b"xkey", b"b")], {b"a", b"A", b"b"}),
    ([(b"Surrogate-Key", b"")], set()),
    ([(b"Surrogate-Key", b"a \xc3\xa9")], {b"a"}),
]


@pytest.mark.parametrize(("pairs", "tags"), TAGS)
def test_tags(pairs: list[tuple[bytes, bytes]], tags: set[bytes]) -> None:
    labels = labels_of(Fields.of(pairs))
    assert labels.tags == tags and not labels.groups and not labels.is_excessive
    assert bool(labels.problem) is any(b"\xc3" in value for _, value in pairs)


def test_tags_are_bounded() -> None:
    enough = b" ".join(b"%d" % n for n in range(MOST_TAGS))
    assert len(labels_of(Fields.of([(b"Surrogate-Key", enough)])).tags) == MOST_TAGS
    assert labels_of(Fields.of([(b"Surrogate-Key", enough + b" x")])).is_excessive
    assert not labels_of(Fields.of([(b"Cache-Tag", b"a" * LONGEST_TAG)])).is_excessive
    assert labels_of(Fields.of([(b"Cache-Tag", b"a" * (LONGEST_TAG + 1))])).is_excessive


def test_most_responses_have_none() -> None:
    assert labels_of(Fields.of([(b"Content-Type", b"text/html")])) is NO_LABELS
    assert invalidated_groups(b"POST", Fields.of([])) == frozenset()


def test_clients_see_groups_and_no_tags() -> None:
    plain = Fields.of([(GROUPS, b'"a"'), (INVALIDATION, b'"a"'), (b"ETag", b'"a"')])
    assert without_tags(plain) is plain
    tagged = Fields([*plain.lines, *Fields.of([(b"SURROGATE-key", b"a"), (b"Cache-Tag", b"a"), (b"xkey", b"a")]).lines])
    assert without_tags(tagged) == plain


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20), max_size=10))
def test_any_strings_are_read_back(texts: list[str]) -> None:
    value = ", ".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts).encode()
    assert labels_of(Fields.of([(GROUPS, value)])).groups == {text.encode() for text in texts}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_octets_are_read(value: bytes) -> None:
    labels_of(Fields.of([(GROUPS, value), (b"Surrogate-Key", value), (b"Cache-Tag", value)]))
