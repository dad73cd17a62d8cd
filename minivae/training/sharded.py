"""Training with the batch cut into fixed shards: the same bits for any number of processes.

Each shard's gradient is computed alone. They are added in a fixed binary tree, whose upper levels
are the sums between processes: each owns a whole subtree. So one process or eight add the same
numbers in the same order. Rank 0 trains as ever; the others serve its steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae.models.vae import elbo_backward, elbo_forward
from minivae.training.plan import StepPlan
from minivae.training.step import ReferenceStep
from minivae.training.world import World
from minivae.types import Array

STOP, NEW, RUN = range(3)  # what rank 0 asks of the others


class Share(NamedTuple):
    """What some shards add up to: their part of the batch's gradient, and sums over their data."""

    grad: Array  # (P,) of the batch's loss
    sums: Array  # (2 + J,) float64: loss · data, nll, the KL of each latent dimension

    def __add__(self, other: Share) -> Share:  # type: ignore[override]
        return Share(self.grad + other.grad, self.sums + other.sums)


class ShardedStep(ReferenceStep):
    """Training steps whose batches are cut into `shards`, a power of two, by any backend's ops.

    world: the processes that share them out; None where this is the only one.
    """

    def __init__(
        self, K: Any, plan: StepPlan, theta: Array, moments: Array, data: Array, *,
        shards: int, world: World | None = None,
    ) -> None:  # fmt: skip
        super().__init__(K, plan, theta, moments, data)
        self.shards, self.world = shards, world
        if world is not None:
            if world.rank == 0:
                world.spread(np.array([NEW, len(moments), 0, 0], dtype=np.int64))
            world.spread(self.theta)
            world.spread(self.moments)

    def __call__(self, rows: Array, t: int, lr: Array, beta: Array) -> None:
        """n updates numbered t, t + 1, …: rows (n, B) of the data, lr and beta (n,)."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        rates = np.ascontiguousarray([lr, beta], dtype=np.float64)
        if self.world is not None and self.world.rank == 0:
            self.world.spread(np.array([RUN, *rows.shape, t], dtype=np.int64))
        if self.world is not None:
            self.world.spread(rows)
            self.world.spread(rates)
        super().__call__(rows, t, *rates)

    def _update(self, rows: Array, t: int, lr: float, beta: float) -> None:
        first, last = self._own()
        with np.errstate(over="ignore", invalid="ignore"):  # the check below says it better
            share = self._tree(rows, t, beta, first, last)
            if self.world is not None:
                share = Share(self.world.add(share.grad), self.world.add(share.sums))
            loss, nll, kl_j = share.sums[0], share.sums[1], share.sums[2:]
            if not np.isfinite(loss):
                self.bad_step = t
                return
            self.grad[...] = share.grad
            self._descend(lr, t)
        self._updates += 1
        self._samples += len(rows)
        self._nll += float(nll)
        self._kl_j += kl_j
        self._loss += float(loss)

    def _own(self) -> tuple[int, int]:
        """The shards of this process, first and one past the last."""
        if self.world is None:
            return 0, self.shards
        each = self.shards // self.world.size
        return self.world.rank * each, (self.world.rank + 1) * each

    def _tree(self, rows: Array, t: int, beta: float, first: int, last: int) -> Share:
        """The sum of shards first … last: of its two halves, each summed the same way."""
        if last - first == 1:
            return self._shard(rows, t, beta, first)
        middle = (first + last) // 2
        return self._tree(rows, t, beta, first, middle) + self._tree(rows, t, beta, middle, last)

    def _shard(self, rows: Array, t: int, beta: float, number: int) -> Share:
        """One shard by itself: its mean loss counts by its share of the batch."""
        B = len(rows)
        mine = rows[B * number // self.shards : B * (number + 1) // self.shards]
        sums = np.zeros(2 + self.plan.latent_dim)
        if len(mine) == 0:  # a batch smaller than the number of shards
            return Share(np.zeros_like(self.theta), sums)
        x, eps = self.batch(mine, t)
        p = self.layout.views(self.theta)
        loss, cache = elbo_forward(self.K, p, x, eps, beta, self.config)
        part = np.full_like(loss, len(mine) / B)
        g = elbo_backward(self.K, part, cache, p, self.config)
        grad = self.layout.flatten(g, np.empty_like(self.theta))
        sums[0] = float(loss) * len(mine)
        sums[1] = float(cache.nll.sum(dtype=np.float64)) / self.plan.draws
        sums[2:] = cache.kl.sum(axis=0, dtype=np.float64)
        return Share(grad, sums)


def serve(K: Any, plan: StepPlan, data: Array, shards: int, world: World, size: int) -> None:
    """Do this process's shards of every update that rank 0 makes, until it says stop.

    size: the number of parameters.
    """
    step: ShardedStep | None = None
    while True:
        asked = world.spread(np.zeros(4, dtype=np.int64), wait=True)
        what, n, B, t = (int(word) for word in asked)
        if what == STOP:
            return
        if what == NEW:
            empty = np.empty(size, dtype=np.float32)
            moments = np.empty((n, size), dtype=np.float32)
            step = ShardedStep(K, plan, empty, moments, data, shards=shards, world=world)
        elif step is not None:
            rates = np.empty((2, n))
            step(np.empty((n, B), dtype=np.int64), t, rates[0], rates[1])


def dismiss(world: World) -> None:
    """Tell the processes that serve to stop."""
    world.spread(np.array([STOP, 0, 0, 0], dtype=np.int64))
