"""How many threads a block of updates gets: all, unless others keep the cores busy."""

from __future__ import annotations

from minivae_kernels.cpu.threads.team_size import COST, LAST, TeamSize


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
    assert used[1] == 1
    assert 0 < used.count(1) * 0.5 <= COST * 200  # what its trials cost


def test_slow_for_a_while_it_takes_one_thread_and_comes_back() -> None:
    """Nobody else runs, but the cores have moved apart: two threads take 0.80 ms, not 0.37."""
    size = TeamSize(2)
    assert set(blocks(size, {2: 0.37, 1: 0.63}, 0.99, 50)) == {2}
    slow = blocks(size, {2: 0.80, 1: 0.63}, 0.99, 200)
    assert slow[:3] == [2, 1, 1]
    assert 0 < slow[3:].count(2) * (0.80 - 0.63) <= COST * 0.63 * 200
    fast = blocks(size, {2: 0.37, 1: 0.63}, 0.99, 50)
    assert set(fast[8:]) == {2}


def test_one_long_block_costs_a_few() -> None:
    """A process that was stopped, or a first block beside a compiler."""
    for before in (0, 20):
        size = TeamSize(2)
        blocks(size, {2: 1.0, 1: 1.6}, 0.99, before)
        blocks(size, {2: 50.0, 1: 50.0}, 0.02, 1)
        after = blocks(size, {2: 1.0, 1: 1.6}, 0.99, 60)
        assert after.count(1) <= 4
        assert set(after[4:]) == {2}


def test_a_short_last_batch_makes_no_trials() -> None:
    """Nine updates of 100 rows in each epoch, then one of 50, which takes half as long or more."""
    size, used = TeamSize(2), []
    for _ in range(50):
        for rows, seconds in ((900, 9.0), (50, 0.6)):
            used.append(size.now)
            size.report(rows, seconds, seconds)
    assert set(used) == {2}
