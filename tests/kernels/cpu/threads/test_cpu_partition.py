"""How work is dealt: every piece exactly once, shares of equal work, and nobody waits for one."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from minivae_kernels.cpu.compile.decorators import entry
from minivae_kernels.cpu.threads import pool
from minivae_kernels.cpu.threads.barrier import barrier, new_sync
from minivae_kernels.cpu.threads.partition import (
    deal,
    group_size,
    next_piece,
    product_pieces,
    row_pieces,
)


@pytest.mark.parametrize("team", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("columns", "rows"), [(1, 1), (16, 5), (784, 128), (400, 20), (33, 1000), (20, 64)]
)
def test_every_element_belongs_to_one_piece(columns: int, rows: int, team: int) -> None:
    seen = np.zeros((-(-columns // 32), rows), dtype=int)
    shares = product_pieces(columns, rows, team)
    assert len(shares) == team
    size = group_size.py_func(rows)
    for panel, first, count in (piece for share in shares for piece in share):
        assert count > 0
        assert first % size == 0  # sums over groups of rows must not know the cut
        assert count % size == 0 or first + count == rows
        seen[panel, first : first + count] += 1
    assert (seen == 1).all()


def test_shares_are_of_equal_work() -> None:
    shares = product_pieces(784, 1024, 2)  # the last of 25 panels is half as wide
    work = [sum(n if panel == 24 else 2 * n for panel, _, n in share) for share in shares]
    assert abs(work[0] - work[1]) <= 2 * 64
    assert [[n for *_, n in share] for share in row_pieces(0, 130, 64, 2)] == [[64], [64, 2]]


@entry
def take_all(member, team, sync, firsts, slow, seen):
    """Count every piece that this member takes; the slow member takes none after its first."""
    if not barrier(sync, team):
        return
    crew = (sync, member, team)
    for phase in range(len(firsts)):
        turn, k = next_piece(crew, firsts[phase], 0)
        while k >= 0:
            seen[member, phase, k] += 1
            if member == slow:
                break
            turn, k = next_piece(crew, firsts[phase], turn)
        barrier(sync, team)


@pytest.mark.parametrize("team", [1, 2, 5])
def test_each_piece_is_taken_once_in_every_phase(team: int) -> None:
    shares = [[(0, 10 * m + k, 1) for k in range(3 * m + 2)] for m in range(team)]
    pieces, firsts = deal([shares] * 40)
    assert len(pieces) == 40 * sum(map(len, shares))
    for slow in (-1, 0):
        seen = np.zeros((team, 40, len(pieces)), dtype=np.int64)
        pool.run(take_all, team, firsts, slow if team > 1 else -1, seen)
        for phase in range(40):
            mine = seen[:, phase].sum(axis=0)
            low, high = firsts[phase, 0], firsts[phase, -1]
            assert (mine[low:high] == 1).all()
            assert mine.sum() == high - low
        if slow == 0 and team > 1:  # it was held up: the others did all but its first
            assert (seen[0].sum(axis=1) <= 1).all()


@entry
def take_late(member, sync, firsts, done):
    """Pieces without a barrier before them."""
    crew = (sync, member, 2)
    turn, k = next_piece(crew, firsts, 0)
    while k >= 0:
        done[member, k] = 1.0
        turn, k = next_piece(crew, firsts, turn)


def test_what_a_late_member_has_not_begun_is_done_by_others() -> None:
    """One member comes when the others are through: it finds nothing left."""
    pieces, firsts = deal([[[(0, k, 1) for k in range(4)] for _ in range(2)]])
    done = np.zeros((2, len(pieces)))
    sync = new_sync(2)

    def late(member: int, team: int, _: Any) -> None:
        time.sleep(0.2 * member)
        take_late(member, sync, firsts[0], done)

    take_late(1, np.zeros_like(sync), firsts[0], np.zeros_like(done))
    pool.run(late, 2)
    assert done[0].sum() == len(pieces)
    assert done[1].sum() == 0
