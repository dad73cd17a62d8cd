"""Principal component analysis: the best linear encoder and decoder, by eigenvectors."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from minivae.estimator_base import LatentEstimator
from minivae.types import Array


class PrincipalAxes(NamedTuple):
    """The mean (D,), the orthonormal axes (D, J) and all eigenvalues, largest first (E3)."""

    mean: Array
    axes: Array
    eigenvalues: Array


def principal_axes(x: Array, latent_dim: int) -> PrincipalAxes:
    """The eigenvectors of x's covariance with the `latent_dim` largest eigenvalues (E3).

    x (N, D). The covariance divides by N. The smaller of the two Gram matrices would square the
    condition number, so few samples go through the singular values of the data instead.
    """
    x = np.asarray(x, dtype=np.float64)
    mean = x.mean(axis=0)
    centred = x - mean
    if len(x) > 4 * x.shape[1]:
        values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
        values, vectors = values[::-1], vectors[:, ::-1]
    else:
        _, singular, rows = np.linalg.svd(centred, full_matrices=False)
        values, vectors = singular**2 / len(x), rows.T
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


class PCA(LatentEstimator):
    """Principal component analysis as an estimator (E3, E4).

    Parameters: latent_dim, the number J of axes kept, at most min(n_samples, n_features).
    After fit: `components_` (J, D) orthonormal rows, `mean_` (D,), `eigenvalues_` of the
    covariance divided by N (all of them, largest first), `explained_variance_` (J,) divided by
    N - 1 and `explained_variance_ratio_` (J,), as scikit-learn has them.
    """

    def __init__(self, latent_dim: int = 2) -> None:
        self.latent_dim = latent_dim

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the axes of X (N, D); y is ignored. Raises ValueError where J is too large."""
        X = self._validate(X, reset=True, min_samples=2)
        check_latent_dim(self.latent_dim, X.shape, at_most=min(X.shape))
        mean, axes, values = principal_axes(X, self.latent_dim)
        self.latent_dim_ = self.latent_dim
        self.mean_ = mean.astype(X.dtype)
        self.components_ = np.ascontiguousarray(axes.T).astype(X.dtype)
        self.eigenvalues_ = values
        total = values.sum()
        self.explained_variance_ = values[: self.latent_dim] * len(X) / (len(X) - 1)
        # Constant data have no variance to explain; 0/0 would be NaN.
        self.explained_variance_ratio_ = values[: self.latent_dim] / (total if total > 0 else 1.0)
        return self

    def _encode(self, X: Array) -> Array:
        return pca_encode(X, self.mean_.astype(X.dtype), self.components_.T.astype(X.dtype))

    def _decode(self, Z: Array) -> Array:
        return pca_decode(Z, self.mean_.astype(Z.dtype), self.components_.T.astype(Z.dtype))


def check_latent_dim(latent_dim: Any, shape: tuple[int, ...], at_most: int) -> None:
    """Raise ValueError unless `latent_dim` is a whole number from 1 to `at_most`.

    shape is (n_samples, n_features), named in the message so that the reader sees which one binds.
    """
    whole = isinstance(latent_dim, (int, np.integer)) and not isinstance(latent_dim, bool)
    if not (whole and 1 <= latent_dim <= at_most):
        raise ValueError(
            f"latent_dim={latent_dim!r} must be a whole number between 1 and {at_most} "
            f"for data with n_samples={shape[0]}, n_features={shape[1]}."
        )
