"""Gradient descent for the small models: one loop, Adam, a step size that ends at zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minivae.messages import shown
from minivae.types import Array

LossAndGradient = Callable[[int], tuple[float, Array]]


class DescentError(RuntimeError):
    """The loss stopped being finite."""


def cosine(t: int, steps: int) -> float:
    """Share of the full step size at update t: a short rise to 1, then a cosine down to 0.

    The rise lasts a twentieth of the `steps`: Adam's first averages hold few gradients, and a
    full step on them can throw a model with a learned c far away.
    """
    rise = max(steps // 20, 1)
    return min((t + 1) / rise, 1.0) * 0.5 * (1.0 + float(np.cos(np.pi * t / steps)))


def descend(
    K: Any, theta: Array, loss_and_gradient: LossAndGradient, steps: int, lr: float,
    beta1: float = 0.9, beta2: float = 0.999, schedule: Callable[[int, int], float] = cosine,
) -> Array:  # fmt: skip
    """`steps` updates of Adam (E33) on the flat vector theta (P,), in place.

    loss_and_gradient(t) evaluates at the current theta. Returns the losses (steps,), each before
    its update. Raises DescentError at the first loss that is not finite, before updating, and
    ValueError where lr is no finite number above 0.
    """
    lr = _rate(lr)
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    losses = np.empty(steps)
    for t in range(steps):
        losses[t], gradient = loss_and_gradient(t)
        if not np.isfinite(losses[t]):
            raise DescentError(
                f"the loss is {losses[t]} at update {t}: try a smaller lr than {lr}."
            )
        K.adam_update(theta, gradient, m, v, lr * schedule(t, steps), beta1, beta2, 1e-8, t + 1)
    return losses


def _rate(lr: Any) -> float:
    try:
        rate = float(lr)
    except (TypeError, ValueError, OverflowError):
        rate = np.nan
    if not (0 < rate < np.inf):
        raise ValueError(f"lr={shown(lr)}: must be a finite number above 0.")
    return rate
