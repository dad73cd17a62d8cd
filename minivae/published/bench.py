"""Where an experiment's measures are taken: its trained runs, their data, and who computes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minivae.data.dataset import Dataset
from minivae.metrics.likelihood import Evaluation, evaluate
from minivae.models.config import ModelConfig
from minivae.models.vae import layout_of
from minivae.published.measured import Measured
from minivae.published.run import Run
from minivae.runs.checkpoint import tensor_digest
from minivae.runs.config import TrainConfig
from minivae.types import Array

T = TypeVar("T")


class Trained(NamedTuple):
    """A run as far as it came: theta (P,) after `updates` of `of`, and a record for each epoch.

    measured: where its evaluations are kept.
    """

    run: Run
    path: Path
    model: ModelConfig
    config: TrainConfig
    dataset: Dataset
    K: Any
    theta: Array
    updates: int
    of: int
    history: list[dict[str, Any]]
    measured: Measured

    @property
    def complete(self) -> bool:
        """Whether the whole schedule was run."""
        return self.updates >= self.of

    @property
    def epochs(self) -> float:
        """Passes over the training rows so far."""
        return self.updates * self.config.epochs / self.of

    def curve(self, part: str, key: str) -> list[float]:
        """A figure of each epoch, of "train" or "held_out"."""
        return [float(record[part][key]) for record in self.history]

    @property
    def samples(self) -> list[int]:
        """Training samples seen by the end of each epoch."""
        rows = len(self.dataset.train)
        return [int(record["epoch"]) * rows for record in self.history]

    def evaluate(self, samples: int, rows: int | None = None) -> Evaluation:
        """Importance sampling on the first test rows, all of them by default; nats per datum.

        Kept beside the runs, and taken from there while nothing changes that decides its bits.
        """
        data = self.dataset.test[:rows]
        how: dict[str, Any] = {
            "samples": samples,
            "seed": self.config.seed,
            "scale": self.dataset.scale,
            "binarise": self.config.binarise == "dynamic" and not self.dataset.fixed_binary,
        }
        p = layout_of(self.model).views(self.K.to_device(self.theta))
        of = {
            "theta": tensor_digest(self.theta),
            "model": self.model.to_dict(),
            "rows": tensor_digest(data),
            "backend": self.K.name,
            **how,
        }
        make = lambda: evaluate(self.K, p, data, self.model, **how)  # noqa: E731
        return self.measured.take(Evaluation, self.run.name, of, make)

    def decode(self, z: Array, likelihood: str | None = None) -> Array:
        """The mean of p(x | z) (N, D) for codes z (N, J), of another likelihood if one is named."""
        from minivae.sampling import decode_all

        p = layout_of(self.model).views(self.K.to_device(self.theta))
        other = {} if likelihood is None else {"likelihood": likelihood}
        model = ModelConfig.from_dict({**self.model.to_dict(), **other})
        return np.asarray(decode_all(self.K, p, z, model))


class BudgetOver(Exception):
    """The budget ended within a piece of work that is no run, which the message names."""


@dataclass
class Bench:
    """All runs of an experiment that have finished an epoch, by name, and how to get more data.

    of: how many runs the experiment is made of. until: the second of time.monotonic() at which the
    budget ends. pieces: of work that is no run, how many were done and of how many.
    """

    load: Callable[[str], Dataset]
    K: Any
    measured: Measured
    seed: int = 0
    say: Callable[[str], None] = print
    runs: dict[str, Trained] = field(default_factory=dict)
    of: int = 0
    until: float = math.inf
    pieces: dict[str, list[int]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every run of the experiment is."""
        return len(self.runs) == self.of and all(run.complete for run in self.runs.values())

    @property
    def computed_by(self) -> str:
        """Whose kernels trained the runs, whoever measures them; NumPy where there are none."""
        return ", ".join(sorted({run.config.backend for run in self.runs.values()} or {"numpy"}))

    def look(self) -> None:
        """Raise BudgetOver when the budget is over."""
        if time.monotonic() >= self.until:
            raise BudgetOver

    def within_budget(self, what: str, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """What the jobs give, in their order, as far as the budget goes.

        Each is to `look` at it; one that was done before need not, and counts. Raises BudgetOver
        where it does not go as far as one of them.
        """
        found: list[T] = []
        try:
            for job in jobs:
                found.append(job())
        except BudgetOver:
            if not found:
                raise BudgetOver(f"one of {len(jobs)} {what}") from None
        self.pieces[what] = [len(found), len(jobs)]
        return found
