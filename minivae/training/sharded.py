"""Training with the batch cut into fixed shards: the same bits for any number of processes.

Each shard's gradient is computed alone. They are added in a fixed binary tree, whose upper levels
are the sums between processes: each owns a whole subtree. So one process or eight add the same
numbers in the same order. Rank 0 trains as ever; the others serve its steps (serve.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.training.gradients import make_gradient_step
from minivae.training.plan import StepPlan
from minivae.training.step import RunningSums, StepMetrics
from minivae.training.world import World
from minivae.types import Array

STOP, NEW, RUN, STATE, MEASURE, EVALUATE = range(6)  # what rank 0 asks of the others


def ask(world: World | None, what: int, *numbers: int) -> None:
    """Rank 0 tells the ranks that serve what comes next; those ranks tell nobody."""
    if world is not None and world.rank == 0:
        words = np.zeros(4, dtype=np.int64)
        words[: 1 + len(numbers)] = what, *numbers
        world.spread(words)


class ShardedStep:
    """Training steps whose batches are cut into `shards`, a power of two.

    The arguments are those of every step (training/step.py). world: the processes that share the
    shards out; None where this is the only one. slices: whether each process updates a slice of
    the parameters and gets the others' (less to send and to update), or all of them.
    `bad_step` is the first update whose loss was not finite, or -1, and `bad_rank` the process
    that found it; that update and all later ones are not applied.
    """

    def __init__(
        self, K: Any, plan: StepPlan, theta: Array, moments: Array, data: Array, *,
        shards: int, world: World | None = None, slices: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self.plan, self.shards, self.world = plan, shards, world
        ask(world, NEW, len(moments))
        if world is not None:
            world.patient = True  # until the first update: kernels may have to be compiled
            theta, moments = world.spread(theta.copy()), world.spread(moments.copy())
        largest = plan._replace(max_batch=-(-plan.max_batch // shards))
        self.parts = make_gradient_step(K, largest, theta, moments, data, say)
        self.slices = slices and self.parts.by_slices and world is not None
        levels = (shards // (1 if world is None else world.size)).bit_length()
        self.room = [self.parts.zeros() for _ in range(levels + 1)]
        self.seconds = 0.0
        self.own = slice(0, self.parts.size)
        self.bad_step = self.bad_rank = -1
        self.places: Array | None = None  # where this update's rows lie
        self._sums = RunningSums(plan.latent_dim)

    def own_columns(self, B: int) -> slice:
        """Of the rows (n, B) of a call, the columns that this process computes with."""
        first, last = self._own_shards()
        return slice(B * first // self.shards, B * last // self.shards)

    def __call__(
        self, rows: Array, t: int, lr: Array, beta: Array, places: Array | None = None
    ) -> None:
        """n updates numbered t, t + 1, …: rows (n, B) of the data, lr and beta (n,).

        places (n, B): where this process's rows lie in its data, if not at their numbers.
        """
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        rates = np.ascontiguousarray([lr, beta], dtype=np.float64)
        ask(self.world, RUN, *rows.shape, t)
        if self.world is not None and self.world.rank == 0:
            self.world.spread(rows)
            self.world.spread(rates)
        for i in range(len(rows)):
            if self.bad_step >= 0:
                return
            self.places = None if places is None else places[i]
            self._update(rows[i], t + i, *rates[:, i].tolist())

    def _update(self, rows: Array, t: int, lr: float, beta: float) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # the check below says it better
            sums = self._tree(rows, t, beta, self._own_shards(), 0)
            if self._is_bad(sums, t):
                return
            grad = self.room[0]
            if self.slices:
                self.own = self.world.scatter_add(grad, self.room[-1])  # type: ignore[union-attr]
            elif self.world is not None:
                self.world.add(grad)
            self.parts.descend(grad, lr, t, self.own)
            if self.slices:
                self.world.gather(self.parts.theta)  # type: ignore[union-attr]
        if self.world is not None:
            self.world.patient = False
        self._sums.add(len(rows), float(sums[1]), sums[2:], float(sums[0]))

    def _is_bad(self, sums: Array, t: int) -> bool:
        """Add the sums over all processes, in place; True where a loss is not finite."""
        if self.world is not None:
            ranks = np.zeros(self.world.size)
            ranks[self.world.rank] = not np.isfinite(sums[0])
            together = self.world.add(np.concatenate([sums, ranks]))
            sums[...], ranks = together[: len(sums)], together[len(sums) :]
            self.bad_rank = int(ranks.argmax()) if ranks.any() else -1
        if not np.isfinite(sums[0]):
            self.bad_step = t
        return self.bad_step >= 0

    def _own_shards(self) -> tuple[int, int]:
        """The shards of this process, first and one past the last."""
        if self.world is None:
            return 0, self.shards
        each = self.shards // self.world.size
        return self.world.rank * each, (self.world.rank + 1) * each

    def _tree(self, rows: Array, t: int, beta: float, own: tuple[int, int], level: int) -> Array:
        """Into room[level] the sum of some shards' gradients: of two halves, summed alike.

        Returns their float64 sums. A half that is a single shard is added as it is computed.
        """
        first, last = own
        if last - first == 1:
            return self._shard(rows, t, beta, first, level, add=False)
        middle = (first + last) // 2
        left = self._tree(rows, t, beta, (first, middle), level)
        if last - middle == 1:
            return left + self._shard(rows, t, beta, middle, level, add=True)
        right = self._tree(rows, t, beta, (middle, last), level + 1)
        np.add(self.room[level], self.room[level + 1], out=self.room[level])
        return left + right

    def _shard(
        self, rows: Array, t: int, beta: float, number: int, level: int, *, add: bool
    ) -> Array:
        """One shard by itself: its mean loss counts by its share of the batch."""
        B, out = len(rows), self.room[level]
        part = slice(B * number // self.shards, B * (number + 1) // self.shards)
        mine, places = rows[part], None if self.places is None else self.places[part]
        if len(mine):
            share = len(mine) / B
            return self.parts.gradient(mine, t, beta, share, out, add=add, places=places)
        if not add:  # a batch smaller than the number of shards
            out[...] = 0
        return np.zeros(2 + self.plan.latent_dim)

    def metrics(self) -> StepMetrics:
        """The sums since the last call, which starts them anew."""
        return self._sums.take()

    def state(self) -> tuple[Array, Array]:
        """Copies of theta (P,) and moments (M, P) on the host, whole on every rank."""
        ask(self.world, STATE)
        if self.slices and self.world is not None:
            for row in self.parts.rows_of_moments:
                self.world.gather(row)
        return self.parts.state()
