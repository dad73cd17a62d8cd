"""How many threads a block of updates gets: all, unless others keep the cores busy."""

from __future__ import annotations

from minivae_kernels.cpu.threads.team_size import FIRST, LAST, TeamSize


def blocks(size: TeamSize, seconds: dict[int, float], share: float, count: int) -> list[int]:
    """The numbers of threads of so many blocks on a machine where they take so long."""
    used = []
    for _ in range(count):
        used.append(size.now)
        size.report(10, 10 * seconds[size.now], 10 * seconds[size.now] * share)
    return used


def test_undisturbed_nothing_is_tried() -> None:
    assert set(blocks(TeamSize(4), {4: 1.0, 1: 3.0}, 0.99, 200)) == {4}
    assert set(blocks(TeamSize(1), {1: 1.0}, 0.1, 200)) == {1}


def test_disturbed_it_takes_one_thread_where_that_is_faster() -> None:
    size = TeamSize(2)
    assert blocks(size, {2: 5.0, 1: 0.7}, 0.3, 3) == [2, 1, 1]
    assert blocks(size, {2: 5.0, 1: 0.7}, 0.3, 200).count(2) <= 5  # tried, ever more rarely
    after = blocks(size, {2: 0.6, 1: 1.0}, 1.0, 3 * LAST)  # the others have gone
    assert set(after[LAST + 1 :]) == {2}


def test_disturbed_it_keeps_all_where_that_is_faster() -> None:
    used = blocks(TeamSize(2), {2: 1.0, 1: 1.5}, 0.5, 200)
    assert used.count(1) <= 6
    assert used[1] == 1
    assert used[2 : 2 + FIRST] == [2] * FIRST
