"""Contenders that cheat, each in one way: the harness must throw every one of them out."""

from __future__ import annotations

from typing import Any

import numpy as np

from .minivae_step import MinivaeStep

CHEATS = (
    "honest",
    "nothing",
    "stale",
    "partial",
    "nan",
    "first-only",
    "blocks-only",
    "after-the-first",
    "no-adam",
    "broken-peer",
    "nan-peer",
    "crash",
)


class Cheat(MinivaeStep):
    """The reference step, spoilt. `honest` is not, so that the tests know the gate can pass."""

    def __init__(self, option: str = "honest", threads: int | None = None) -> None:
        super().__init__("numpy", threads=threads)
        if option not in CHEATS:
            raise ValueError(f"unknown cheat {option!r}; known: {', '.join(CHEATS)}")
        self.option = option
        self.exact_noise = not option.endswith("-peer")
        self.kept: Any = None

    def run(self, rows: np.ndarray) -> float:
        """Updates, but: not all of them, or none, or with the wrong result."""
        match self.option:
            case "crash":
                raise RuntimeError("this contender crashes")
            case "nothing":
                return 541.0
            case "nan":
                super().run(rows)
                self.step.theta[7] = np.nan
                return 541.0
            case "partial":  # the last tensors are left as they were
                before = self.step.theta[-900:].copy()
                loss = super().run(rows)
                self.step.theta[-900:] = before
                return loss
            case "no-adam":
                loss = super().run(rows)
                self.step.moments[1] *= 0.99
                return loss
            case "stale":  # the first answer for ever
                if self.kept is None:
                    self.kept = super().run(rows)
                self.t += len(rows)
                return float(self.kept)
            case "blocks-only":  # honest when watched closely, idle in the long blocks
                return super().run(rows) if len(rows) <= 2 else 200.0
            case "after-the-first":  # honest in one long block, and when watched closely
                if len(rows) <= 2 or self.kept is None:
                    loss = super().run(rows)
                    self.kept = loss if len(rows) > 2 else self.kept
                    return loss
                return float(self.kept)
            case "first-only":  # one update of the many
                return super().run(rows[:1])
        return super().run(rows)

    def loss_and_grad(self, theta: np.ndarray, x: np.ndarray, eps: np.ndarray) -> Any:
        """A peer's gate, with a gradient that is wrong in one tensor, or not a number."""
        from minivae.models.vae import elbo_backward, elbo_forward

        step = self.step
        p = step.layout.views(theta)
        loss, cache = elbo_forward(self.K, p, x, eps[None], 1.0, step.config)
        grad = np.zeros_like(theta)
        step.layout.flatten(elbo_backward(self.K, np.ones_like(loss), cache, p, step.config), grad)
        grad[-3] = np.nan if self.option == "nan-peer" else grad[-3] * 1.01 + 1e-3
        return float(loss), grad
