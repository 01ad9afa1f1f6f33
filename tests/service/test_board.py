"""The page that workers share: figures, and whose turn it is to accept."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from revproxy.service.board import MARGIN, PATIENCE, STALE, Board, Sums, Turn

COUNTS = st.integers(0, 2**62)


@given(st.lists(st.builds(Sums, *[COUNTS] * 6), min_size=1, max_size=5))
def test_each_worker_writes_to_a_slot_of_its_own(all_sums: list[Sums]) -> None:
    board = Board(len(all_sums))
    for number, sums in enumerate(all_sums):
        board.write(number, number + 0.5, sums)
    assert [board.read(number) for number in range(board.count)] == all_sums
    assert [board.beat(number) for number in range(board.count)] == [n + 0.5 for n in range(len(all_sums))]
    board.clear(0)
    assert board.read(0) == Sums()
    assert [board.read(number) for number in range(1, board.count)] == all_sums[1:]


def test_another_process_sees_what_one_wrote() -> None:
    board = Board(2)
    pid = os.fork()
    if not pid:
        board.write(1, 7.0, Sums(3, 2, 1000))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert (board.beat(1), board.read(1)) == (7.0, Sums(3, 2, 1000))


def test_totals_are_sums_and_what_is_over_is_not_in_them() -> None:
    total = Sums(1, 1, 10, 1, 2, 3).plus(Sums(4, 0, 5, 0, 1, 1))
    assert total == Sums(5, 1, 15, 1, 3, 4)
    assert total.lasting == Sums(0, 0, 15, 0, 3, 4)


class Two:
    """A worker's turn, beside another worker."""

    def __init__(self, other_connections: int, other_beat: float = 0.0) -> None:
        self.now = 0.0
        self.own = 0
        self.board = Board(2)
        self.board.write(1, other_beat, Sums(other_connections))
        self.turn = Turn(self.board, 0, lambda: self.own, lambda: self.now)


def test_who_has_fewer_takes_all() -> None:
    two = Two(5)
    for own in range(5 + MARGIN + 1):
        two.own = own
        assert two.turn.take()
    two.own = 5 + MARGIN + 1
    assert not two.turn.take()
    # The other one sees at once how many that are.
    assert two.board.read(0).connections == two.own


def test_nobody_waits_long_for_a_worker_that_does_not_come() -> None:
    two = Two(0)
    two.own = 10
    assert not two.turn.take()
    two.now = PATIENCE * 0.9
    assert not two.turn.take()
    two.now = PATIENCE
    assert two.turn.take()
    # And then it begins anew.
    assert not two.turn.take()


def test_a_worker_without_a_sign_of_life_is_not_waited_for() -> None:
    two = Two(0)
    two.own = 10
    two.now = STALE
    assert two.turn.take()


def test_one_alone_takes_everything() -> None:
    board = Board(1)
    assert Turn(board, 0, lambda: 1000, lambda: 0.0).take()


@given(st.lists(st.booleans(), min_size=40, max_size=200))
def test_whoever_the_kernel_wakes_both_end_with_as_many(wakes: list[bool]) -> None:
    """Connections that stay, each seen by one worker first, by the other if that one leaves it."""
    board = Board(2)
    own = [0, 0]
    turns = [Turn(board, 0, lambda: own[0], lambda: 0.0), Turn(board, 1, lambda: own[1], lambda: 0.0)]
    for number in (0, 1):
        board.write(number, 0.0, Sums())
    for first in wakes:
        for number in (int(first), int(not first)):
            if turns[number].take():
                own[number] += 1
                break
    assert sum(own) == len(wakes)
    assert abs(own[0] - own[1]) <= MARGIN + 1
