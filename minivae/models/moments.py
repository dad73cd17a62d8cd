"""A handful of rows with the mean and covariance of a large data set."""

from __future__ import annotations

import numpy as np

from minivae.types import Array

CHUNK = 4096  # data converted to float64 at once


def weighted_mean(x: Array, weight: Array | None = None) -> Array:
    """The mean (D,) of x (N, D) in float64; a row of weight w in `weight` (N,) counts as w rows."""
    if weight is None:
        return np.asarray(x.mean(axis=0, dtype=np.float64))
    return np.asarray(weight @ x.astype(np.float64) / weight.sum())


def covariance(x: Array, mean: Array, weight: Array | None = None) -> Array:
    """The covariance (D, D) of x (N, D) in float64, divided by N, in bounded memory.

    A row of weight w in `weight` (N,) counts as w rows.
    """
    total = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), CHUNK):
        centred = x[start : start + CHUNK] - mean
        counted = centred if weight is None else centred * weight[start : start + CHUNK, None]
        total += centred.T @ counted
    return total / (len(x) if weight is None else weight.sum())


def moment_rows(x: Array, mean: Array, weight: Array | None = None) -> Array:
    """At most 2D rows whose mean is zero and whose covariance is that of x (N, D) about `mean`.

    A loss that is quadratic in the data (every linear model's, E9 and E19) has the same value and
    the same gradient on these rows as on all N centred data: whole-batch gradient descent at a
    fraction of the cost. The rows are a square root of the covariance, which is symmetric so that
    no axis is singled out, or the data where they are fewer; and the negative of each beside it,
    so that a bias's gradient is exactly zero while the bias is: Adam would make a step of rounding
    errors. A row of weight w in `weight` (N,) counts as w rows.
    """
    mean = np.asarray(mean, dtype=np.float64)
    if len(x) <= x.shape[1]:
        root = np.asarray(x, dtype=np.float64) - mean
        root = root if weight is None else root * np.sqrt(weight / weight.mean())[:, None]
    else:
        values, vectors = np.linalg.eigh(covariance(x, mean, weight))
        root = (vectors * np.sqrt(np.maximum(values, 0.0) * x.shape[1])) @ vectors.T
    return np.stack([root, -root], axis=1).reshape(-1, x.shape[1])
