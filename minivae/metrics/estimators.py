"""Two ways to estimate the gradient of an expectation, and how noisy each is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minivae.types import Array

Integrand = Callable[[Array], Array]  # F: z (L, J) -> (L,)


class Gradients(NamedTuple):
    """Single-draw gradient estimates: with respect to mu (L, J) and logvar (L, J)."""

    dmu: Array
    dlogvar: Array


def pathwise_gradients(slope: Integrand, mu: Array, logvar: Array, eps: Array) -> Gradients:
    """One reparameterised gradient of E_q[F(z)] per draw (E43).

    slope: z (L, J) -> dF/dz (L, J); mu, logvar (J,); eps (L, J).
    """
    sigma = np.exp(0.5 * logvar)
    dz = slope(mu + sigma * eps)
    return Gradients(dz, 0.5 * sigma * eps * dz)


def score_function_gradients(
    value: Integrand, mu: Array, logvar: Array, eps: Array, baseline: float = 0.0
) -> Gradients:
    """One score-function (REINFORCE) gradient of E_q[F(z)] per draw (E43).

    value: z (L, J) -> F (L,). A constant baseline leaves the mean alone, as the score's own mean
    is zero, and can lower the variance.
    """
    sigma = np.exp(0.5 * logvar)
    weight = (value(mu + sigma * eps) - baseline)[:, None]
    return Gradients(weight * eps / sigma, weight * 0.5 * (eps**2 - 1.0))


def exact_mean(gradients: Gradients, weights: Array) -> Gradients:
    """The expectation of an estimator from its values at quadrature nodes (E43)."""
    return Gradients(weights @ gradients.dmu, weights @ gradients.dlogvar)


def variance_of_mean(gradients: Gradients, draws: int) -> float:
    """Variance of the mean of `draws` single-draw gradients, summed over their entries (E43).

    Measured on the means themselves, block by block, not by dividing a single draw's by L.
    """
    stacked = np.concatenate([gradients.dmu, gradients.dlogvar], axis=1)
    blocks = len(stacked) // draws
    if not blocks >= 2:
        raise ValueError(f"{len(stacked)} draws do not make two means of {draws}.")
    means = stacked[: blocks * draws].reshape(blocks, draws, -1).mean(axis=1)
    return float(means.var(axis=0, ddof=1).sum())
