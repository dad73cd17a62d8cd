"""What changes from update to update: the learning rate and the weight of the KL term."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minivae.types import Array

Rate = Callable[[int], float]


def beta_at(t: int, beta: float, warmup_updates: float) -> float:
    """β of update t: a straight line from 0 to β over the warm-up       (E30)

    t counts updates from 0; warmup_updates = 0 means β from the start.
    """
    if t >= warmup_updates:
        return beta
    return beta * (t / warmup_updates)


@dataclass(frozen=True)
class Schedule:
    """lr and β as functions of the update's number t alone, so that a resume sees the same."""

    lr: Rate
    beta: float
    warmup_updates: float

    @classmethod
    def of(
        cls,
        lr: float,
        beta: float,
        warmup_epochs: float,
        updates_per_epoch: int,
        lr_steps: Sequence[Sequence[float]] = (),
    ) -> Schedule:
        """The rate lr, times the factor of the last of `lr_steps` (epoch, factor) that is past.

        β's warm-up is given in epochs too.
        """
        starts = [epoch * updates_per_epoch for epoch, _ in lr_steps]
        rates = [lr, *(lr * factor for _, factor in lr_steps)]
        return cls(
            lambda t: rates[bisect_right(starts, t)], beta, warmup_epochs * updates_per_epoch
        )

    def beta_at(self, t: int) -> float:
        """β of update t (E30)."""
        return beta_at(t, self.beta, self.warmup_updates)

    def chunk(self, t: int, n: int) -> tuple[Array, Array]:
        """lr (n,) and β (n,) of updates t … t + n - 1, float64."""
        steps = range(t, t + n)
        return np.array([self.lr(s) for s in steps]), np.array([self.beta_at(s) for s in steps])
