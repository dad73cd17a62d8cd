"""Sums between processes: one order, the same bits on every rank and for any number of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from minivae.backend import load_backend
from minivae.metrics.likelihood import evaluate, one_by_one
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.runs.config import TrainConfig
from minivae.settings import ConfigError
from minivae.training.heldout import Split, measure
from minivae.training.world import ALIGNED, LostRank, World, require_shares

sys.path.insert(0, str(Path(__file__).parent))
from fake_ranks import FakeComm, on_ranks

RNG = np.random.default_rng(0)
VALUES = (RNG.normal(size=(8, 1000)) * 10.0 ** RNG.integers(-6, 6, (8, 1000))).astype(np.float32)


def tree(values):
    """The sum that all must give: of the halves' sums."""
    half = len(values) // 2
    return values[0] if half == 0 else tree(values[:half]) + tree(values[half:])


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_whole_or_by_slices_the_sum_is_the_trees(size):
    expected = tree(VALUES[:size]).tobytes()
    assert size < 4 or sum(VALUES[:size]).tobytes() != expected  # another order, other bits

    def by_slices(world):
        value = VALUES[world.rank].copy()
        own = world.scatter_add(value, np.empty_like(value))
        assert own.start % ALIGNED == 0
        kept = value[own].copy()
        value[:] = np.nan  # of the rest nothing may be used
        value[own] = kept
        return world.gather(value).tobytes()

    assert set(on_ranks(size, lambda w: w.add(VALUES[w.rank].copy()).tobytes())) == {expected}
    assert set(on_ranks(size, by_slices)) == {expected}


def test_pieces_of_work_come_together_in_order():
    work = lambda i: np.full((i + 1, 2), float(i))  # noqa: E731
    for pieces in on_ranks(4, lambda world: world.share_out(7, work)):
        assert [p.shape for p in pieces] == [(i + 1, 2) for i in range(7)]
        assert all((p == i).all() for i, p in enumerate(pieces))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_what_any_rank_tells_comes_to_all(size):
    told = lambda w, root: float(w.spread(np.full(1, 1.0 + w.rank), root=root)[0])  # noqa: E731
    for root in range(size):
        assert on_ranks(size, lambda w, root=root: told(w, root)) == [1.0 + root] * size
    rows = on_ranks(size, lambda w: w.of_all(np.full(2, w.rank)))
    assert all(np.array_equal(r, np.repeat(np.arange(size), 2).reshape(size, 2)) for r in rows)


def test_other_data_on_a_rank_are_named():
    with pytest.raises(ConfigError, match="rank 1 has data that differ"):
        on_ranks(2, lambda w: w.require_same("data", bytes([w.rank]) * 32))


def test_a_rank_that_hangs_is_named():
    from collections import defaultdict
    from queue import Queue

    world = World(FakeComm(0, 4, defaultdict(Queue)), limit=0.05)
    with pytest.raises(LostRank, match="rank 1 has not answered rank 0"):
        world.add(np.zeros(3))
    world.comm.rank = world.rank = 2
    with pytest.raises(LostRank, match="rank 0 has not answered rank 2"):
        world.spread(np.zeros(3))
    with pytest.raises(LostRank, match="rank 0 has not answered rank 2"):
        world.of_all(np.zeros(3))


@pytest.mark.parametrize(("shards", "size"), [(4, 3), (1, 2), (2, 4)])
def test_shards_that_processes_cannot_share(shards, size):
    with pytest.raises(ConfigError, match=f"{size} processes cannot share them out"):
        require_shares(shards, size)
    require_shares(8, 4)


@pytest.mark.parametrize("draws", [1, 3])
def test_held_out_figures_are_the_same_for_any_number_of_ranks(draws):
    objective = "iwae" if draws > 1 else "elbo"
    model = ModelConfig(9, 2, hidden=(6,), draws=draws, objective=objective)
    K, theta = load_backend("numpy"), initialise(model, 0).astype(np.float32)
    data = np.random.default_rng(0).integers(0, 256, (1300, 9)).astype(np.uint8)  # 3 chunks
    split = Split(np.arange(0), "test", data, np.arange(len(data)))
    p = layout_of(model).views(theta)

    def figures(share_out):
        found = measure(
            K, model, theta, split, TrainConfig(), 1 / 255, share_out=share_out
        )  # fmt: skip
        e = evaluate(K, p, data, model, samples=draws, scale=1 / 255, share_out=share_out)
        return repr(found), e.log_p.tobytes(), e.mu.tobytes(), e.kl.tobytes()

    alone = figures(one_by_one)
    for size in (2, 4):
        assert on_ranks(size, lambda world: figures(world.share_out)) == [alone] * size
