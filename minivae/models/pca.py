"""Principal component analysis: the best linear encoder and decoder, by eigenvectors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae.types import Array


class PrincipalAxes(NamedTuple):
    """The mean (D,), the orthonormal axes (D, J) and all eigenvalues, largest first (E3)."""

    mean: Array
    axes: Array
    eigenvalues: Array


def principal_axes(x: Array, latent_dim: int, weight: Array | None = None) -> PrincipalAxes:
    """The eigenvectors of x's covariance with the `latent_dim` largest eigenvalues (E3).

    x (N, D). The covariance divides by N; with `weight` (N,), a row of weight w counts as w rows,
    and it divides by the sum of weights. The smaller of the two Gram matrices would square the
    condition number, so few samples go through the singular values of the data instead.
    """
    x = np.asarray(x, dtype=np.float64)
    mean, count = x.mean(axis=0), float(len(x))
    centred = x - mean
    if weight is not None:
        count = weight.sum()
        mean = weight @ x / count
        centred = (x - mean) * np.sqrt(weight)[:, None]
    if len(x) > 4 * x.shape[1]:
        values, vectors = np.linalg.eigh(centred.T @ centred / count)
        values, vectors = values[::-1], vectors[:, ::-1]
    else:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        values, vectors = singular**2 / count, rows.T
    axes = fix_signs(vectors[:, :latent_dim])
    return PrincipalAxes(mean, axes, np.maximum(values, 0.0))


def fix_signs(axes: Array) -> Array:
    """Flip each column of axes (D, J) so that its largest entry is positive."""
    largest = axes[np.argmax(np.abs(axes), axis=0), np.arange(axes.shape[1])]
    flipped: Array = axes * np.where(largest < 0, -1.0, 1.0)
    return flipped


def pca_encode(x: Array, mean: Array, axes: Array) -> Array:
    """Orthogonal projection: the coordinates (N, J) of x (N, D) along the axes (E3)."""
    z: Array = (x - mean) @ axes
    return z


def pca_decode(z: Array, mean: Array, axes: Array) -> Array:
    """The point (N, D) of the principal subspace with the coordinates z (N, J) (E4)."""
    x: Array = mean + z @ axes.T
    return x
