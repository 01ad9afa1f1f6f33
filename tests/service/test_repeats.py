"""What repeats itself is counted; what is new is said at once."""

from __future__ import annotations

from revproxy.service.event_records import Record
from revproxy.service.repeats import Repeats
from tests.service.events import failure_of, record


def down(name: str, detail: str = "refused") -> Record:
    return record("warn", "server {name} is set aside: {detail}", name=name, detail=detail)


def said(repeats: Repeats, made: Record, now: float) -> list[str]:
    return [each.message for each in repeats.take(made, now)]


def test_the_first_five_then_a_count() -> None:
    repeats = Repeats()
    lines = [line for number in range(129) for line in said(repeats, down("a", str(number)), number / 100)]
    assert lines == [f"server a is set aside: {number}" for number in range(5)]
    assert repeats.next_due() == 10.0
    assert list(repeats.due(9.9)) == []
    (count,) = repeats.due(10.0)
    assert count.message == "\N{HORIZONTAL ELLIPSIS} 124 more of these in 10 s, the last: server a is set aside: 128"
    assert (count.repeated, count.level, count.fields["name"]) == (124, "warning", "a")
    assert (repeats.next_due(), repeats.held) == (None, 0)
    # It begins anew.
    assert said(repeats, down("a"), 10.1) == ["server a is set aside: refused"]


def test_few_are_not_counted() -> None:
    repeats = Repeats()
    for number in range(5):
        assert said(repeats, down("a"), number) == ["server a is set aside: refused"]
    assert list(repeats.due(100.0)) == []


def test_other_servers_formats_places_and_errors_are_other_events() -> None:
    repeats = Repeats(written=1)
    first = [
        down("a"),
        down("b"),
        record("info", "server {name} can be reached again", name="a"),
        record("warn", "server {name} is set aside: {detail}", "another.module", name="a", detail=""),
        record("failure", "a resource failed", failure=failure_of(ValueError())),
        record("warn", "a resource failed", failure=failure_of(ConnectionResetError())),
        record("info", "{text}", text="one"),
        record("info", "{text}", text="another"),
        record("info", "{log_io}", "stdout", log_io="one"),
        record("info", "{log_io}", "stdout", log_io="another"),
    ]
    for made in first:
        assert said(repeats, made, 0.0) == [made.message]
    for made in first:
        assert said(repeats, made, 1.0) == []
    assert repeats.held == len(first)


def test_a_count_is_said_before_what_comes_next() -> None:
    repeats = Repeats(written=1)
    for _ in range(3):
        said(repeats, down("a"), 0.0)
    assert said(repeats, down("b"), 11.0) == [
        "\N{HORIZONTAL ELLIPSIS} 2 more of these in 11 s, the last: server a is set aside: refused",
        "server b is set aside: refused",
    ]


def test_the_table_is_bounded_and_hides_nothing_new() -> None:
    repeats = Repeats(written=1, most=3)
    for name in "abcaa":
        said(repeats, down(name), 0.0)
    assert said(repeats, down("d"), 1.0) == [
        "\N{HORIZONTAL ELLIPSIS} 2 more of these in 1 s, the last: server a is set aside: refused",
        "server d is set aside: refused",
    ]
    for number in range(1000):
        assert said(repeats, down(str(number)), 2.0) == [f"server {number} is set aside: refused"]
    assert list(repeats.rest(2.0)) == []


def test_what_is_left_at_the_end() -> None:
    repeats = Repeats(written=1)
    for name in "aabb":
        said(repeats, down(name), 0.0)
    assert [each.repeated for each in repeats.rest(0.5)] == [1, 1]
    said(repeats, down("a"), 0.0)
    said(repeats, down("a"), 0.0)
    repeats.forget()
    assert (list(repeats.rest(1.0)), repeats.next_due()) == ([], None)
