"""A handful of rows with the mean and covariance of a large data set."""

from __future__ import annotations

import numpy as np

from minivae.types import Array

CHUNK = 4096  # data converted to float64 at once


def covariance(x: Array, mean: Array) -> Array:
    """The covariance (D, D) of x (N, D) in float64, divided by N, in bounded memory."""
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), CHUNK):
        centred = x[start : start + CHUNK] - mean
        total += centred.T @ centred
    return total / len(x)


def moment_rows(x: Array, mean: Array) -> Array:
    """At most 2D rows whose mean is zero and whose covariance is that of x (N, D) about `mean`.

    A loss that is quadratic in the data (every linear model's, E9 and E19) has the same value and
    the same gradient on these rows as on all N centred data: whole-batch gradient descent at a
    fraction of the cost. The rows are a square root of the covariance, which is symmetric so that
    no axis is singled out, and its negative, which makes the mean zero.
    """
    mean = np.asarray(mean, dtype=np.float64)
    if len(x) <= x.shape[1]:
        return np.asarray(x, dtype=np.float64) - mean  # already as few; and exact
    values, vectors = np.linalg.eigh(covariance(x, mean))
    root = (vectors * np.sqrt(np.maximum(values, 0.0) * x.shape[1])) @ vectors.T
    return np.concatenate([root, -root])
