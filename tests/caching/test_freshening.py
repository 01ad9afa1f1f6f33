"""Answers to validations and to HEAD (RFC 9111 §3.2, §4.3.3 to §4.3.5)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revproxy.caching.decisions import Freshen, PassOn, Refetch, Replace, Revalidate, ValidationDecision
from revproxy.caching.directives import response_directives
from revproxy.caching.freshening import updated_fields
from revproxy.caching.freshness import judged
from revproxy.caching.options import DEFAULT_OPTIONS, CacheOptions
from revproxy.caching.policy import on_head, on_request, on_validation
from revproxy.caching.reasons import Reason
from revproxy.caching.stored import StoredResponse
from revproxy.caching.vary import matching
from revproxy.http.dates import format_date
from tests.caching.scenes import NOW, URL, controls, fields, stored

R = Reason
LATER = NOW + 100
STALE = "Cache-Control: max-age=5"


def validate(
    answer: str,
    variants: Sequence[StoredResponse],
    status: int = 304,
    *,
    request: str = "",
    method: bytes = b"GET",
    options: CacheOptions = DEFAULT_OPTIONS,
) -> ValidationDecision:
    """What is done about the answer to the validation that a request makes necessary 100 seconds later."""
    selected = matching(variants, fields(request), LATER)
    asked = on_request(method, controls(request), selected, variants, options, LATER)
    assert isinstance(asked, Revalidate), asked
    return on_validation(method, controls(request), asked, selected, status, fields(answer), options, LATER, LATER + 1)


@pytest.mark.parametrize(
    ("responses", "answer", "expected", "reason"),
    [
        # A strong validator identifies each response that has it; one that nothing has, none (§4.3.4).
        (['ETag: "a"'], 'ETag: "a"', [0], R.VALIDATED),
        (['ETag: "a"', 'ETag: "a"'], 'ETag: "a"', [0, 1], R.VALIDATED),
        (['ETag: "a"', 'ETag: "b"'], 'ETag: "b"', [1], R.VALIDATED),
        (['ETag: "a"'], 'ETag: "b"', None, R.UNKNOWN_VALIDATOR),
        (['ETag: W/"a"'], 'ETag: "a"', None, R.UNKNOWN_VALIDATOR),
        (['ETag: "a" | Last-Modified: @-9'], 'ETag: "b" | Last-Modified: @-9', None, R.UNKNOWN_VALIDATOR),
        (["Last-Modified: @-9"], 'ETag: "b" | Last-Modified: @-9', None, R.UNKNOWN_VALIDATOR),
        # A weak one, the most recent that corresponds.
        (['ETag: W/"a"'], 'ETag: W/"a"', [0], R.VALIDATED),
        (['ETag: "a"'], 'ETag: W/"a"', [0], R.VALIDATED),
        (['ETag: W/"a"', 'ETag: W/"a"'], 'ETag: W/"a"', [0], R.VALIDATED),
        (['ETag: W/"a"'], 'ETag: W/"b"', None, R.UNKNOWN_VALIDATOR),
        (["Last-Modified: @-9"], 'ETag: W/"a"', None, R.UNKNOWN_VALIDATOR),
        (["Last-Modified: @-9"], "Last-Modified: @-9", [0], R.VALIDATED),
        (["Last-Modified: @-9"], "Last-Modified: @-8", None, R.UNKNOWN_VALIDATOR),
        (['ETag: "a" | Last-Modified: @-9'], "Last-Modified: @-9", [0], R.VALIDATED),
        (['ETag: "a" | Last-Modified: @-9'], "Last-Modified: @-8", None, R.UNKNOWN_VALIDATOR),
        # No validator at all: it can only be the one that was asked about.
        (['ETag: "a"'], "", [0], R.VALIDATED),
        (['ETag: "a"'], "Last-Modified: @-9", [0], R.VALIDATED),
        (['ETag: "a"'], "ETag: x", [0], R.VALIDATED),
        (["Last-Modified: @-9"], "", [0], R.VALIDATED),
        (['ETag: "a"', 'ETag: "b"'], "", None, R.UNKNOWN_VALIDATOR),
    ],
)
def test_which_are_freshened(responses: list[str], answer: str, expected: list[int] | None, reason: Reason) -> None:
    # The first is the most recent.
    variants = [stored(f"{STALE} | {text} | Date: @-{number}") for number, text in enumerate(responses)]
    decision = validate(answer, variants)
    assert decision.reason is reason
    if expected is None:
        assert isinstance(decision, Refetch)
    else:
        assert isinstance(decision, Freshen)
        assert [which for which, _ in decision.updates] == [variants[number] for number in expected]
        assert decision.serve is not None
        assert decision.serve[0] is variants[expected[0]]
        assert (decision.drop, decision.invalidate) == ((), ())


def test_a_variant_that_vary_does_not_select_is_used_but_not_updated() -> None:
    """RFC 9111 §4.3.2 and §4.3.4."""
    variants = [
        stored(f'{STALE} | Vary: A | ETag: "a"', request="A: 1"),
        stored(f'{STALE} | Vary: A | ETag: "b"', request="A: 2"),
    ]
    decision = validate('ETag: "b" | X: new', variants, request="A: 1")
    assert isinstance(decision, Freshen)
    assert (decision.updates, decision.reason) == ((), R.VALIDATED_VARIANT)
    assert decision.serve is not None
    assert decision.serve[0] is variants[1]
    assert decision.serve[1].fields.get(b"x") == b"new"


def test_the_new_head() -> None:
    one = stored(f'{STALE} | ETag: "a" | X: old | Y: old | Age: 90 | Surrogate-Key: s', invalidated=True)
    decision = validate('ETag: "a" | X: new | Cache-Control: max-age=50 | Surrogate-Key: t', [one])
    assert isinstance(decision, Freshen)
    [(which, head)] = decision.updates
    assert which is one
    assert (head.request_time, head.response_time, head.invalidated) == (LATER, LATER + 1, False)
    assert (head.key, head.url, head.status, head.tags) == (b"key", URL, 200, frozenset({b"t"}))
    judgement = judged(head, DEFAULT_OPTIONS)
    # Born again when it was asked about: its old age is gone.
    assert judgement.initial_age == 1
    assert judgement.fresh_until == LATER + 50
    assert {name: head.fields.get(name) for name in (b"x", b"y", b"age")} == {b"x": b"new", b"y": b"old", b"age": None}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # Each field of the new response replaces all lines of the old (§3.2).
        ("X: 1", "X: 2", "X: 2"),
        ("X: 1 | X: 2", "X: 3", "X: 3"),
        ("X: 1", "X: 2 | X: 3", "X: 2 | X: 3"),
        ("X: 1", "x: 2", "x: 2"),
        ("X: 1", "Y: 2", "X: 1 | Y: 2"),
        ("X: 1", "", "X: 1"),
        ("Content-Type: a", "Content-Type: b", "Content-Type: b"),
        ("Content-Location: a", "Content-Location: b", "Content-Location: b"),
        ("Content-Foo: a", "Content-Foo: b", "Content-Foo: b"),
        ("ETag: a", "ETag: b", "ETag: b"),
        ("Expires: 0", "Expires: 1", "Expires: 1"),
        ("Set-Cookie: a", "Set-Cookie: b", "Set-Cookie: b"),
        # Not those about the octets that are stored.
        ("X: 1", "Content-Length: 9", "X: 1"),
        ("Content-Encoding: gzip", "Content-Encoding: br", "Content-Encoding: gzip"),
        ("X: 1", "Content-Encoding: br", "X: 1"),
        ("X: 1", "Content-Range: bytes 0-1/2", "X: 1"),
        ("X: 1", "Content-Digest: x", "X: 1"),
        # Not those that end at the connection, or at a proxy (§3.1).
        ("X: 1", "Connection: X, Y | X: 2 | Y: 3", "X: 1"),
        ("X: 1", "Transfer-Encoding: chunked | Keep-Alive: a | TE: a | Upgrade: b", "X: 1"),
        ("X: 1", "Proxy-Authenticate: a | Proxy-Authentication-Info: b | Proxy-Authorization: c", "X: 1"),
        # The age begins anew.
        ("Age: 5 | X: 1", "", "X: 1"),
        ("Age: 5 | X: 1", "Age: 7", "X: 1 | Age: 7"),
    ],
)
def test_which_fields_are_updated(old: str, new: str, expected: str) -> None:
    found = updated_fields(fields(f"{old} | Date: x"), fields(f"{new} | Date: y"), NOW)
    assert found == fields(f"{expected} | Date: y" if "Age: 7" not in expected else "X: 1 | Age: 7 | Date: y")


def test_an_answer_without_date_was_made_when_it_came() -> None:
    """RFC 9110 §6.6.1: the old Date would make it as old as before."""
    found = updated_fields(fields("Date: @-500"), fields(""), NOW)
    assert found == fields("Date: @0")


@pytest.mark.parametrize(
    ("old", "answer", "options", "kept"),
    [
        # Who asked gets all; what is stored follows the rules for storing.
        ("", "Set-Cookie: mine", {}, False),
        (STALE, "Set-Cookie: mine", {}, True),
        (STALE, "Set-Cookie: mine", {"set_cookie": "never"}, False),
        (STALE, "Set-Cookie: mine", {"set_cookie": "strip"}, False),
        ("", "Set-Cookie: mine", {"set_cookie": "always"}, True),
        (STALE, 'Set-Cookie: mine | Cache-Control: max-age=5, private="set-cookie"', {}, False),
        (STALE, 'Set-Cookie: mine | Cache-Control: max-age=5, no-cache="set-cookie"', {}, False),
    ],
)
def test_cookies_of_a_304(old: str, answer: str, options: dict[str, object], kept: bool) -> None:
    made = CacheOptions(**options)  # type: ignore[arg-type]
    decision = validate(f'ETag: "a" | {answer}', [stored(f'{old} | ETag: "a"')], options=made)
    assert isinstance(decision, Freshen)
    assert decision.serve is not None
    assert decision.serve[1].fields.get(b"set-cookie") == b"mine"
    [(_, head)] = decision.updates
    assert (b"set-cookie" in head.fields) is kept


def test_fields_that_became_private_leave_the_store() -> None:
    one = stored(f'{STALE} | ETag: "a" | X: old')
    decision = validate('ETag: "a" | Cache-Control: private="x", max-age=5', [one])
    assert isinstance(decision, Freshen)
    assert b"x" not in decision.updates[0][1].fields


@pytest.mark.parametrize(
    ("answer", "options", "dropped"),
    [
        ("Cache-Control: no-store", {}, True),
        ("Cache-Control: private", {}, True),
        ("Cache-Control: private, max-age=9", {}, True),
        ("Cache-Control: no-store, must-understand", {}, False),
        ("Cache-Control: no-cache", {}, False),
        ("CDN-Cache-Control: no-store", {}, True),
        ("Vary: *", {}, True),
        (f"Surrogate-Key: {'k' * 2000}", {}, True),
        ("Cache-Control: no-store", {"force": True, "ttl": 9.0}, False),
    ],
)
def test_a_304_can_forbid_to_keep_what_it_validates(answer: str, options: dict[str, object], dropped: bool) -> None:
    one = stored(f'{STALE} | ETag: "a"')
    decision = validate(f'ETag: "a" | {answer}', [one], options=CacheOptions(**options))  # type: ignore[arg-type]
    assert isinstance(decision, Freshen)
    assert decision.serve is not None
    assert decision.serve[0] is one
    assert decision.drop == ((one,) if dropped else ())
    assert len(decision.updates) == (0 if dropped else 1)


@pytest.mark.parametrize(
    ("request_fields", "old", "updated"),
    [
        ("", "", True),
        ("Cache-Control: no-store", "", False),
        ("Authorization: x", "", False),
        ("Authorization: x", ", public", True),
        ("Authorization: x | Cache-Control: no-store", ", public", False),
        ("Authorization: x", ", must-revalidate", True),
    ],
)
def test_answers_for_one_user_update_nothing(request_fields: str, old: str, updated: bool) -> None:
    """RFC 9111 §5.2.1.5, §3.5: the client is served, what is stored stays as it was."""
    one = stored(f'{STALE}{old} | ETag: "a"')
    decision = validate('ETag: "a" | X: mine', [one], request=request_fields)
    assert isinstance(decision, Freshen)
    assert len(decision.updates) == int(updated)
    assert decision.drop == ()
    assert decision.serve is not None
    assert decision.serve[1].fields.get(b"x") == b"mine"


def test_a_304_can_change_what_vary_names() -> None:
    one = stored(f'{STALE} | ETag: "a" | Vary: A', request="A: 1 | B: 2")
    decision = validate('ETag: "a" | Vary: A, B', [one], request="A: 1 | B: 2")
    assert isinstance(decision, Freshen)
    assert decision.updates[0][1].selecting == ((b"a", b"1"), (b"b", b"2"))
    same = validate('ETag: "a"', [one], request="A: 1 | B: 2")
    assert isinstance(same, Freshen)
    assert same.updates[0][1].selecting == ((b"a", b"1"),)


# The client's own validators.


@pytest.mark.parametrize(
    ("old", "request_fields", "answer", "updates"),
    [
        # Nothing of ours was sent: the 304 is the client's (RFC 9110 §15.4.5).
        ("", 'If-None-Match: "c"', 'ETag: "c"', 0),
        ("", "If-Modified-Since: @-9", "Last-Modified: @-9", 0),
        # No validator on either side, and one stored response: it is updated (§4.3.4).
        ("", "If-Modified-Since: @-9", "", 1),
        # Of what has one it says nothing.
        ("Last-Modified: @-9", "If-Modified-Since: @-9 | Range: bytes=0-1", "", 0),
        ("Last-Modified: @-9", "If-Modified-Since: @-9 | Range: bytes=0-1", "Last-Modified: @-9", 1),
    ],
)
def test_a_304_for_the_client_is_passed_on(old: str, request_fields: str, answer: str, updates: int) -> None:
    decision = validate(answer, [stored(f"{STALE} | {old}")], request=request_fields)
    assert decision.reason is R.CLIENTS_VALIDATOR
    if updates:
        assert isinstance(decision, Freshen)
        assert (len(decision.updates), decision.serve) == (updates, None)
    else:
        assert isinstance(decision, PassOn)


def test_a_304_without_validators_is_about_one_stored_response_or_none() -> None:
    """RFC 9111 §4.3.4, the third case."""
    two = [stored(STALE), stored(f"{STALE} | Date: @-5")]
    assert validate("", two, request="If-Modified-Since: @-9") == PassOn(R.CLIENTS_VALIDATOR)


def test_a_304_says_nothing_of_a_stored_error() -> None:
    """RFC 9110 §15.4.5: it stands for a 200."""
    for old, new in (("", ""), ("Last-Modified: @-9", "Last-Modified: @-9"), ('ETag: "a"', 'ETag: "a"')):
        decision = validate(new, [stored(f"{STALE} | {old}", 404)], request="If-Modified-Since: @-9")
        assert decision == PassOn(R.CLIENTS_VALIDATOR)


@pytest.mark.parametrize("status", [200, 206, 301, 404, 410, 416, 500, 503])
def test_any_other_answer_replaces(status: int) -> None:
    """RFC 9111 §4.3.3."""
    decision = validate("", [stored(f'{STALE} | ETag: "a"')], status)
    assert decision == Replace(R.REPLACED)


# HEAD.


@pytest.mark.parametrize(
    ("old", "new", "agrees"),
    [
        # Every validator that came must be the stored one's, and the length too (§4.3.5).
        ('ETag: "a"', 'ETag: "a"', True),
        ('ETag: "a"', 'ETag: "b"', False),
        ('ETag: "a"', 'ETag: W/"a"', False),
        ('ETag: "a"', "", True),
        ("", 'ETag: "a"', False),
        ("Last-Modified: @-9", "Last-Modified: @-9", True),
        ("Last-Modified: @-9", "Last-Modified: @-8", False),
        ("", "Last-Modified: @-8", False),
        ('ETag: "a" | Last-Modified: @-9', 'ETag: "a" | Last-Modified: @-8', False),
        ("", "Content-Length: 5", True),
        ("", "Content-Length: 6", False),
        ("", "Content-Length: 05", False),
        ('ETag: "a"', 'ETag: "a" | Content-Length: 6', False),
        ('ETag: "a"', 'ETag: "a" | Content-Length: 5', True),
        ("", "", True),
    ],
)
def test_head(old: str, new: str, agrees: bool) -> None:
    one = stored(f"{STALE} | {old}")
    decision = on_head(controls(), [one], 200, fields(f"{new} | X: new"), DEFAULT_OPTIONS, LATER, LATER)
    assert isinstance(decision, Freshen)
    assert decision.serve is None
    if agrees:
        assert decision.reason is R.HEAD_AGREES
        [(which, head)] = decision.updates
        assert which is one
        assert head.fields.get(b"x") == b"new"
        assert head.response_time == LATER
        assert decision.invalidate == ()
    else:
        assert (decision.reason, decision.updates, decision.invalidate) == (R.HEAD_DISAGREES, (), (one,))


def test_head_on_a_part_compares_the_length_of_the_whole() -> None:
    one = stored('ETag: "a"', 206, size=5, total=100)
    for length, agrees in ((100, True), (5, False)):
        answer = fields(f'ETag: "a" | Content-Length: {length}')
        decision = on_head(controls(), [one], 200, answer, DEFAULT_OPTIONS, LATER, LATER)
        assert isinstance(decision, Freshen)
        assert bool(decision.updates) is agrees


@pytest.mark.parametrize(
    ("status", "request_fields", "old_status", "invalidates"),
    [
        # Another state of the resource than what is stored.
        (404, "", 200, True),
        (410, "", 200, True),
        (410, "", 206, True),
        (301, "", 200, True),
        (204, "", 200, True),
        (200, "", 404, True),
        # The same, or a server that does not know HEAD, or is in trouble.
        (404, "", 404, False),
        (301, "", 301, False),
        (304, "", 200, False),
        (403, "", 200, False),
        (405, "", 200, False),
        (501, "", 200, False),
        (503, "", 200, False),
        (410, "Cache-Control: no-store", 200, False),
        (200, "Cache-Control: no-store", 200, False),
    ],
)
def test_other_answers_to_head(status: int, request_fields: str, old_status: int, invalidates: bool) -> None:
    one = stored(STALE, old_status)
    asked = controls(request_fields)
    decision = on_head(asked, [one], status, fields('ETag: "b"'), DEFAULT_OPTIONS, LATER, LATER)
    if invalidates:
        assert decision == Freshen((), None, (), (one,), R.HEAD_DISAGREES)
    else:
        assert decision == PassOn(R.HEAD)


def test_head_of_a_stale_response_updates_it() -> None:
    """The request was a Revalidate without conditions."""
    one = stored(f'{STALE} | ETag: "a"')
    decision = validate('ETag: "a"', [one], 200, method=b"HEAD")
    assert isinstance(decision, Freshen)
    assert decision.reason is R.HEAD_AGREES


def test_a_304_for_head_is_the_clients() -> None:
    one = stored(f'{STALE} | ETag: "a"')
    decision = validate('ETag: "c"', [one], method=b"HEAD", request='If-None-Match: "c"')
    assert decision == PassOn(R.CLIENTS_VALIDATOR)


ANSWERS = st.lists(
    st.sampled_from([
        "X: 1", "X: 2", "Y: 3", "Age: 4", "Age: x", "Date: @0", "Date: @-60", "Expires: @9", "Cache-Control: max-age=9",
        "Cache-Control: no-cache", "Cache-Control: no-store", 'Cache-Control: private="x"', "Connection: y", 'ETag: "a"',
        "Last-Modified: @-9", "Content-Length: 9", "Content-Encoding: br", "Set-Cookie: a", "Vary: A", "Vary: *",
        "Transfer-Encoding: chunked", "Content-Range: bytes 0-1/2",
    ]),
    max_size=6,
).map(" | ".join)  # fmt: skip


@given(ANSWERS, ANSWERS)
def test_any_update(old: str, new: str) -> None:
    before, answer = fields(f"Content-Encoding: gzip | {old}"), fields(new)
    after = updated_fields(before, answer, NOW)
    assert updated_fields(after, answer, NOW) == after, "the same answer again changes nothing"
    assert after.get(b"content-encoding") == before.get(b"content-encoding")
    assert after.all(b"age") == answer.all(b"age")
    assert after.all(b"date") == (answer.all(b"date") or [format_date(NOW)])
    taken = set(answer.names()) - {b"content-length", b"content-encoding", b"content-range", b"transfer-encoding"}
    for name in taken - {b"connection"} - set(answer.members(b"connection")):
        assert after.all(name) == answer.all(name)
    for name in set(before.names()) - set(answer.names()) - {b"age", b"date"}:
        assert after.all(name) == before.all(name)


@given(ANSWERS)
def test_any_304(new: str) -> None:
    """Nothing is kept that a response must not be kept with, and the client is always served what was validated."""
    one = stored(f'{STALE} | ETag: "a" | X: old')
    decision = validate(f'{new} | ETag: "a"' if "ETag" not in new else new, [one])
    if isinstance(decision, Refetch):
        return
    assert isinstance(decision, Freshen)
    assert decision.serve is not None
    assert decision.serve[0] is one
    assert len(decision.updates) + len(decision.drop) == 1
    said = response_directives(fields(new))
    assert bool(decision.drop) is (said.no_store or "Vary: *" in new)
    for _, head in decision.updates:
        assert b"x" not in head.fields or b"x" not in said.private_fields
        assert not head.invalidated
        assert head.response_time == LATER + 1
