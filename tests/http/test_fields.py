"""Fields as a value, and the rules about their names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.http.fields import (
    CLIENT_CLAIMS,
    FORBIDDEN_TRAILERS,
    FRAMING,
    HOP_BY_HOP,
    NO_FIELDS,
    FieldError,
    Fields,
    is_claim,
    lower_name,
    may_trail,
    needs_thought,
    parse_fields,
)
from revproxy.http.render import REASONS, field_lines, status_line

PAIRS = [(b"A", b"1"), (b"b", b""), (b"a", b"2, ,3"), (b"C", b"X, y\t,Z")]


def test_looking_up() -> None:
    for fields in (Fields.of(PAIRS), parse_fields(b"A: 1\r\nb:\r\na: 2, ,3\r\nC: X, y\t,Z", 10)):
        assert fields.get(b"a") == b"1, 2, ,3"
        assert fields.get(b"b") == b""
        assert fields.get(b"A") is None
        assert fields.all(b"a") == [b"1", b"2, ,3"]
        assert fields.members(b"a") == [b"1", b"2", b"3"]
        assert fields.members(b"c") == [b"x", b"y", b"z"]
        assert fields.members(b"d") == []
        assert (fields.is_repeated(b"a"), fields.is_repeated(b"b"), fields.is_repeated(b"d")) == (True, False, False)
        assert b"b" in fields and b"B" not in fields
        assert list(fields.names()) == [b"a", b"b", b"c"]
        assert len(fields) == 4
        assert field_lines(fields) == b"A: 1\r\nb: \r\na: 2, ,3\r\nC: X, y\t,Z\r\n"


def test_equality_is_of_the_lines_alone() -> None:
    one, other = Fields.of(PAIRS), Fields.of(PAIRS)
    one.memo = "something"
    assert one == other and hash(one) == hash(other)
    assert one != Fields.of(PAIRS[:3])
    assert Fields.of([(b"A", b"1")]) != Fields.of([(b"a", b"1")])
    assert parse_fields(b"", 1) is NO_FIELDS


names = st.text("aZ9-_!", min_size=1, max_size=6).map(str.encode)
values = st.text("aé \t:,", max_size=8).map(lambda text: text.strip(" \t").encode("latin-1"))


@settings(deadline=None)
@given(st.lists(st.tuples(names, values), min_size=1, max_size=8))
def test_what_is_rendered_is_parsed_back(pairs: list[tuple[bytes, bytes]]) -> None:
    fields = Fields.of(pairs)
    for _ in range(2):  # the second time from what is remembered of names and lines
        parsed = parse_fields(field_lines(fields)[:-2], len(pairs))
        assert parsed == fields
        assert {name: parsed.get(name) for name in parsed.names()} == {name: fields.get(name) for name in fields.names()}
        assert [parsed.is_repeated(name) for name in parsed.names()] == [fields.is_repeated(name) for name in fields.names()]


@pytest.mark.parametrize("octet", range(256))
def test_each_octet_in_a_name(octet: int) -> None:
    name = b"x" + bytes([octet]) + b"y"
    # RFC 9110 §5.6.2.
    if chr(octet).isascii() and (chr(octet).isalnum() or chr(octet) in "!#$%&'*+-.^_`|~"):
        assert lower_name(name) == name.lower()
    else:
        with pytest.raises(FieldError):
            lower_name(name)


@pytest.mark.parametrize("octet", range(256))
def test_each_octet_in_a_value(octet: int) -> None:
    # RFC 9110 §5.5.
    for name in (b"X", b"Accept"):
        block = name + b": a" + bytes([octet]) + b"b"
        if octet in (9, *range(32, 127), *range(128, 256)):
            assert parse_fields(block, 1).get(name.lower()) == block.partition(b": ")[2]
        else:
            with pytest.raises(FieldError):
                parse_fields(block, 1)


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | FRAMING | CLIENT_CLAIMS | {b"x-forwarded-for", b"x-forwarded-new"}))
def test_names_with_a_meaning_need_thought_in_every_spelling(name: bytes) -> None:
    assert needs_thought(name)
    assert not may_trail(name)
    twin = name.replace(b"-", b"_")
    if twin != name:
        assert is_claim(twin)
        assert needs_thought(twin)
        assert not may_trail(twin)
        # The second look comes from what was remembered.
        assert needs_thought(twin)


@pytest.mark.parametrize("name", [b"accept", b"x-custom", b"snake_case", b"x-forwarded", b"xforwarded-for", b"connections"])
def test_other_names_need_none(name: bytes) -> None:
    assert not needs_thought(name)
    assert not is_claim(name)
    assert may_trail(name)


def test_forbidden_trailers_stay_forbidden() -> None:
    assert not any(may_trail(name) for name in FORBIDDEN_TRAILERS)


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (200, b"", b"HTTP/1.1 200 OK\r\n"),
        (200, b"OK", b"HTTP/1.1 200 OK\r\n"),
        (200, b"Fine", b"HTTP/1.1 200 Fine\r\n"),
        (299, b"", b"HTTP/1.1 299 \r\n"),
        (999, b"Odd", b"HTTP/1.1 999 Odd\r\n"),
        (100, b"", b"HTTP/1.1 100 Continue\r\n"),
    ],
)
def test_status_lines(status: int, reason: bytes, expected: bytes) -> None:
    assert status_line(status, reason) == expected
    assert all(status_line(code, b"").startswith(b"HTTP/1.1 %d " % code) for code in REASONS)
