"""Vary: what is nominated, when two requests match, which of several responses is used."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revproxy.caching.stored import NO_CONTENT, StoredHead, StoredResponse
from revproxy.caching.vary import (
    LARGEST_SELECTING,
    MOST_NOMINATED,
    choose,
    matching,
    nominated,
    normalised,
    oversized,
    selecting_of,
    selects,
    surplus,
)
from revproxy.http.dates import format_date
from revproxy.http.fields import NO_FIELDS, Fields

NOW = 1800000000.0
Pairs = list[tuple[bytes, bytes]]


def response(
    vary: bytes | None, request: Fields, *, date: float | None = None, received: float = NOW
) -> StoredResponse:
    fields = Fields.of([] if date is None else [(b"Date", format_date(date))])
    head = StoredHead(
        b"k",
        200,
        fields,
        request_time=received,
        response_time=received,
        url=b"http://a.example/",
        selecting=selecting_of(vary, request),
    )
    return StoredResponse(head, NO_CONTENT)


@pytest.mark.parametrize(
    ("vary", "names"),
    [
        (None, ()),
        (b"", ()),
        (b" , ,", ()),
        (b"Accept", (b"accept",)),
        (b"accept-language,\tAccept , ACCEPT", (b"accept", b"accept-language")),
        (b"*", (b"*",)),
        (b"Accept, *", (b"*",)),
        (b"*, Accept", (b"*",)),
        (b"Accept,*,Cookie", (b"*",)),
        # What is no name may mean anything.
        (b"Accept Cookie", (b"*",)),
        (b'"Accept"', (b"*",)),
        (b"Accept;q=1", (b"*",)),
        (b"**", (b"**",)),
    ],
)
def test_nominated(vary: bytes | None, names: tuple[bytes, ...]) -> None:
    # RFC 9110 §12.5.5
    assert nominated(vary) == names


AE, AL, AC, A, X = b"Accept-Encoding", b"Accept-Language", b"Accept-Charset", b"Accept", b"X-A"

SAME: list[tuple[str, Pairs, Pairs]] = [
    ("9111-4.1 absent", [], []),
    ("9111-4.1 case of the name", [(AE, b"gzip")], [(b"accept-ENCODING", b"gzip")]),
    ("9110-12.5.3 order", [(AE, b"gzip, br")], [(AE, b"br, gzip")]),
    ("9110-12.5.3 space", [(AE, b"gzip,br")], [(AE, b"gzip ,\t br")]),
    ("9110-12.5.3 case", [(AE, b"GZIP")], [(AE, b"gzip")]),
    ("9110-12.4.2 weight", [(AE, b"gzip;q=1.0, br;q=0.50")], [(AE, b"br ; Q=0.5, gzip")]),
    ("9110-12.4.2 weight", [(AE, b"gzip;q=0.000")], [(AE, b"gzip;q=0")]),
    ("9110-12.4.2 weight", [(AE, b"gzip;q=0.")], [(AE, b"gzip;q=0")]),
    ("9110-8.4.1.3", [(AE, b"x-gzip")], [(AE, b"gzip")]),
    ("9110-5.2 lines", [(AE, b"gzip"), (AE, b"br")], [(AE, b"br,gzip")]),
    ("9110-5.6.1 empty members", [(AE, b"gzip,,br,")], [(AE, b"br,gzip")]),
    ("9110-12.5.2 charset", [(AC, b"UTF-8, latin1;q=0.30")], [(AC, b"latin1;q=0.3,utf-8")]),
    ("9110-12.5.4 case and space", [(AL, b"en-GB, de;q=0.80")], [(AL, b"EN-gb,de;q=0.8")]),
    ("9110-12.5.1 space", [(A, b"text/html , */*;q=0.8")], [(A, b"text/html,*/*; q=0.8")]),
    ("9111-4.1 combined", [(X, b"1"), (X, b"2")], [(X, b"1, 2")]),
]
DIFFERENT: list[tuple[str, Pairs, Pairs]] = [
    ("9111-4.1 absent", [(AE, b"gzip")], []),
    ("9111-4.1 absent", [], [(AE, b"gzip")]),
    ("9111-4.1 empty is not absent", [(AE, b"")], []),
    ("9111-4.1 empty is not absent", [(X, b"")], []),
    ("9110-12.5.3", [(AE, b"gzip")], [(AE, b"br")]),
    ("9110-12.5.3", [(AE, b"gzip")], [(AE, b"gzip, br")]),
    ("9110-12.4.2", [(AE, b"gzip;q=0.5")], [(AE, b"gzip")]),
    ("9110-12.4.2", [(AE, b"gzip;q=0")], [(AE, b"gzip")]),
    ("two weights", [(AE, b"gzip;q=0, gzip")], [(AE, b"gzip, gzip;q=0")]),
    ("no list", [(AE, b"gzip;level=9, br")], [(AE, b"br, gzip;level=9")]),
    ("9110-12.5.4 order", [(AL, b"en, de")], [(AL, b"de, en")]),
    ("9110-12.5.1 order", [(A, b"text/html, */*")], [(A, b"*/*, text/html")]),
    ("quoted", [(A, b'a/b;x="1, 2"')], [(A, b'a/b;x="1,2"')]),
    ("unbalanced", [(A, b'a/b;x="1, 2')], [(A, b'a/b;x="1,2')]),
    ("unknown field, space", [(X, b"1, 2")], [(X, b"1,2")]),
    ("unknown field, case", [(X, b"a")], [(X, b"A")]),
    ("unknown field, order", [(X, b"1, 2")], [(X, b"2, 1")]),
    ("user agents hold commas", [(b"User-Agent", b"a (b, c)")], [(b"User-Agent", b"a (b,c)")]),
    ("cookies", [(b"Cookie", b"a=1; b=2")], [(b"Cookie", b"a=1;b=2")]),
]
VARY = b"Accept-Encoding, Accept-Language, Accept-Charset, Accept, X-A, User-Agent, Cookie"


@pytest.mark.parametrize(("rfc", "one", "other"), SAME)
def test_requests_that_match(rfc: str, one: Pairs, other: Pairs) -> None:
    assert selects(response(VARY, Fields.of(one)).head, Fields.of(other))
    assert selects(response(VARY, Fields.of(other)).head, Fields.of(one))


@pytest.mark.parametrize(("rfc", "one", "other"), DIFFERENT)
def test_requests_that_do_not_match(rfc: str, one: Pairs, other: Pairs) -> None:
    assert not selects(response(VARY, Fields.of(one)).head, Fields.of(other))
    assert not selects(response(VARY, Fields.of(other)).head, Fields.of(one))


@pytest.mark.parametrize(("rfc", "one", "other"), DIFFERENT)
def test_what_is_not_nominated_does_not_matter(rfc: str, one: Pairs, other: Pairs) -> None:
    assert selects(response(b"X-B", Fields.of(one)).head, Fields.of(other))
    assert selects(response(None, Fields.of(one)).head, Fields.of(other))


@pytest.mark.parametrize("vary", [b"*", b"Accept, *", b"*, Accept", b"Accept Cookie"])
def test_a_star_never_matches(vary: bytes) -> None:
    request = Fields.of([(A, b"*/*"), (b"*", b"1")])
    assert not selects(response(vary, request).head, request)
    assert not selects(response(vary, NO_FIELDS).head, NO_FIELDS)
    assert choose([response(vary, NO_FIELDS)], NO_FIELDS, NOW) is None


@pytest.mark.parametrize("name", [b"Cookie", b"Authorization"])
def test_no_secret_is_kept(name: bytes) -> None:
    request = Fields.of([(name, b"Bearer s3cret")])
    selecting = selecting_of(name, request)
    assert b"s3cret" not in repr(selecting).encode() and selecting[0][1]
    assert selects(response(name, request).head, request)
    for other in (b"Bearer s3cres", b"", (selecting[0][1] or b"")):
        assert not selects(response(name, request).head, Fields.of([(name, other)]))
    # Combined with a comma, two cookies could be taken for one.
    lines = Fields.of([(name, b"a=1"), (name, b"b=2")])
    assert not selects(response(name, lines).head, Fields.of([(name, b"a=1, b=2")]))


def test_long_values_are_compared_as_they_are() -> None:
    long = b"gzip;q=0.5, " * 100
    assert normalised(b"accept-encoding", Fields.of([(AE, long)])) == long
    assert selects(response(b"Accept-Encoding", Fields.of([(AE, long)])).head, Fields.of([(AE, long)]))


def test_the_most_recent_is_chosen() -> None:
    # RFC 9111 §4: by Date, and by when it came where that says nothing.
    plain = Fields.of([(AE, b"gzip")])
    old = response(b"Accept-Encoding", plain, date=NOW - 10, received=NOW)
    new = response(b"Accept-Encoding, Accept", plain, date=NOW - 5, received=NOW - 5)
    other = response(b"Accept-Encoding", NO_FIELDS, date=NOW)
    assert choose([old, new, other], plain, NOW) is new
    assert matching([old, new, other], plain, NOW) == [new, old]
    undated = response(b"Accept-Encoding, X-A", plain, received=NOW - 1)
    assert choose([old, undated, new], plain, NOW) is undated
    later = response(b"Accept-Encoding", plain, date=NOW - 5, received=NOW - 4)
    assert choose([new, later], plain, NOW) is later


def test_a_response_with_vary_goes_before_one_without() -> None:
    # RFC 9111 §4.1
    plain = Fields.of([(AE, b"gzip")])
    varied = response(b"Accept-Encoding", plain, date=NOW - 10)
    default = response(None, plain, date=NOW)
    assert choose([default, varied], plain, NOW) is varied
    assert choose([default, varied], NO_FIELDS, NOW) is default


def test_nothing_to_choose_from() -> None:
    assert choose([], NO_FIELDS, NOW) is None
    gzip = response(b"Accept-Encoding", Fields.of([(AE, b"gzip")]))
    assert choose([gzip], NO_FIELDS, NOW) is None
    assert choose([gzip, gzip], NO_FIELDS, NOW) is None


def test_what_is_nominated_is_bounded() -> None:
    many = b",".join(b"X-%d" % n for n in range(MOST_NOMINATED))
    assert oversized(selecting_of(many, NO_FIELDS)) == ""
    assert "fields" in oversized(selecting_of(many + b",X-Y", NO_FIELDS))
    assert oversized(selecting_of(b"X-A", Fields.of([(X, b"a" * (LARGEST_SELECTING - 3))]))) == ""
    assert "octets" in oversized(selecting_of(b"X-A", Fields.of([(X, b"a" * (LARGEST_SELECTING - 2))])))
    assert oversized(()) == ""


def test_the_oldest_variants_have_to_go() -> None:
    stored = [response(b"X-A", Fields.of([(X, b"%d" % n)])) for n in range(5)]
    assert surplus(stored, 6) == ()
    assert list(surplus(stored, 5)) == stored[4:]
    assert list(surplus(stored, 3)) == stored[2:]
    assert surplus([]) == ()


words = st.sampled_from([b"gzip", b"br", b"X-GZIP", b"*", b"identity", b"Deflate", b"", b"a b"])
weights = st.sampled_from([b"", b";q=1", b"; q=0.5", b";Q=0.500", b";q=2", b" ;q=0"])
values = st.lists(st.builds(lambda word, weight: word + weight, words, weights), max_size=4).map(b" , ".join)


def acceptable(value: bytes | None) -> dict[str, float] | None:
    """What Accept-Encoding says, by an independent reading; None where it is malformed."""
    if value is None:
        return None
    said: dict[str, float] = {}
    for part in value.decode("latin-1").lower().split(","):
        if not part.strip():
            continue
        coding, _, parameter = (piece.strip() for piece in part.partition(";"))
        coding = {"x-gzip": "gzip"}.get(coding, coding)
        if coding in said or " " in coding or not coding:
            return None
        weight = float(parameter.removeprefix("q=")) if parameter else 1.0
        if weight > 1:
            return None
        said[coding] = weight
    return said


@settings(max_examples=100, deadline=None)
@given(values, values)
def test_normalised_values_are_equal_exactly_where_their_meaning_is(one: bytes, other: bytes) -> None:
    first = normalised(b"accept-encoding", Fields.of([(AE, one)]))
    second = normalised(b"accept-encoding", Fields.of([(AE, other)]))
    meaning = acceptable(one)
    if meaning is None or acceptable(other) is None:
        assert (first == second) is (one == other)
    else:
        assert (first == second) is (meaning == acceptable(other))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"accept", b"accept-encoding", b"accept-language", b"x-a"]))
def test_normalising_twice_changes_nothing_more(value: bytes, name: bytes) -> None:
    once = normalised(name, Fields.of([(name, value)]))
    assert once is not None
    assert normalised(name, Fields.of([(name, once)])) == once
