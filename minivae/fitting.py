"""Training in memory for the estimator: no run directory, no checkpoint, no resume.

`minivae.training.train` is the road for anything that must survive a stop; this loop makes the
same updates (same noise, same order of the data) on arrays and returns the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae.metrics.likelihood import evaluate
from minivae.models.config import ModelConfig
from minivae.models.initialise import initialise
from minivae.models.vae import layout_of
from minivae.ops.philox import permutation
from minivae.training.plan import make_plan
from minivae.training.schedule import Schedule
from minivae.types import Array

CARVE_EPOCH = 2**32 - 1  # the permutation that picks validation rows; no epoch has this number


class Settings(NamedTuple):
    """How to train; the names are `TrainConfig`'s."""

    epochs: int
    batch_size: int
    lr: float
    optimiser: str
    momentum: float
    warmup: float
    binarise: str
    seed: int
    threads: int | None
    patience: int | None
    validation: float


class Fitted(NamedTuple):
    """The parameters (P,), the loss of each epoch, and the epochs done."""

    theta: Array
    losses: list[float]
    held_out: list[float]


class FitDiverged(ValueError):
    """The loss became NaN or infinite; the message says at which update and what to try."""


def fit_in_memory(
    K: Any, X: Array, model: ModelConfig, s: Settings, report: Callable[[str], None]
) -> Fitted:
    """Train on X (N, D) float32 and return the parameters after the last (or best) epoch.

    With `patience`, rows are held out and the best epoch's parameters are returned. Raises
    FitDiverged where a loss is not finite.
    """
    train_rows, held_rows = split(len(X), s)
    theta = initialise(model, s.seed)
    batch = min(s.batch_size, len(train_rows))
    plan = make_plan(model, scale=1.0, seed=s.seed, max_batch=batch, optimiser=s.optimiser,
                     momentum=s.momentum, binarise=s.binarise, threads=s.threads or 0)  # fmt: skip
    step = K.make_step(plan, theta, np.zeros((2, theta.size), theta.dtype), X)
    updates = -(-len(train_rows) // batch)
    schedule = Schedule.of(s.lr, model.beta, s.warmup, updates)
    losses: list[float] = []
    held: list[float] = []
    best = theta
    for epoch in range(s.epochs):
        order = train_rows[permutation(s.seed, epoch, len(train_rows))]
        run_epoch(step, order, batch, epoch * updates, schedule)
        if step.bad_step >= 0:
            raise FitDiverged(
                f"the loss became NaN or infinite at update {step.bad_step} (epoch {epoch}); "
                f"try a smaller lr than {s.lr:g}, or scale the data to about unit variance"
            )
        metrics = step.metrics()
        losses.append(metrics["loss"] / metrics["samples"])
        line = f"epoch {epoch + 1}/{s.epochs}  loss {losses[-1]:.4f}"
        if s.patience is not None:
            held.append(held_out_loss(K, step.state()[0], X[held_rows], model, s))
            best = step.state()[0] if held[-1] <= min(held) else best
            line += f"  held out {held[-1]:.4f}"
        report(line)
        if s.patience is not None and len(held) - 1 - int(np.argmin(held)) >= s.patience:
            report(f"stopped early: {s.patience} epochs without a better held-out loss")
            break
    return Fitted(best if s.patience is not None else step.state()[0], losses, held)


def split(n: int, s: Settings) -> tuple[Array, Array]:
    """Rows that train and rows held out; none are held out without patience."""
    size = 0 if s.patience is None else round(s.validation * n)
    if s.patience is not None and not 0 < size < n:
        raise ValueError(
            f"validation = {s.validation:g} holds out {size} of n_samples = {n}; "
            "early stopping needs rows on both sides"
        )
    order = permutation(s.seed, CARVE_EPOCH, n)
    return np.sort(order[size:]), np.sort(order[:size])


def run_epoch(step: Any, order: Array, batch: int, t: int, schedule: Schedule) -> None:
    """One pass over the rows in this order: whole batches in one call, then the smaller last."""
    whole = len(order) // batch
    lr, beta = schedule.chunk(t, whole + 1)
    if whole:
        step(order[: whole * batch].reshape(whole, batch), t, lr[:whole], beta[:whole])
    if len(order) % batch:
        step(order[None, whole * batch :], t + whole, lr[whole:], beta[whole:])


def held_out_loss(K: Any, theta: Array, X: Array, model: ModelConfig, s: Settings) -> float:
    """Minus the mean ELBO of the held-out rows, nats per datum."""
    p = layout_of(model).views(K.to_device(theta))
    binarise = s.binarise == "dynamic"
    return -float(evaluate(K, p, X, model, seed=s.seed, binarise=binarise).elbo.mean())
