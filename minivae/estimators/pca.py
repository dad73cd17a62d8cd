"""Principal component analysis as an estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from minivae.estimators.arguments import as_weights, check_latent_dim
from minivae.estimators.base import LatentEstimator, whole_or_unchanged
from minivae.models.pca import pca_decode, pca_encode, principal_axes
from minivae.types import Array

LEAST = 1e-3  # of rows beyond the first; weights scaled to sum to 1 leave rounding errors


class PCA(LatentEstimator):
    """Principal component analysis as an estimator (E3, E4).

    Parameters: latent_dim, the number J of axes kept, at most min(n_samples, n_features);
    standardise: take each column's mean and deviation out first (the axes of the correlations).
    After fit: `components_` (J, D) orthonormal rows, `mean_` (D,), `eigenvalues_` of the
    covariance divided by N (all of them, largest first), `explained_variance_` (J,) divided by
    N - 1 and `explained_variance_ratio_` (J,), as scikit-learn has them.
    """

    FITTED = (
        "mean_",
        "components_",
        "eigenvalues_",
        "explained_variance_",
        "explained_variance_ratio_",
    )

    def __init__(self, latent_dim: int = 2, standardise: bool = False) -> None:
        self.latent_dim = latent_dim
        self.standardise = standardise

    @whole_or_unchanged
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the axes of X (N, D); y is ignored. A row of weight w counts as w rows.

        Raises ValueError where J is too large, or the weights (N,) cannot be, or count one row.
        """
        X = self._validate(X, reset=True, min_samples=2)
        weight = as_weights(sample_weight, X)
        count = float(len(X) if weight is None else weight.sum())
        if not count - 1 > LEAST:
            raise ValueError(
                f"sample_weight sums to {count:g}, but weights count rows, and a variance takes "
                "more than one: scale them, sample_weight * len(X) / sample_weight.sum()."
            )
        X = self._learn_units(X, weight)
        check_latent_dim(self.latent_dim, X.shape, at_most=min(X.shape))
        mean, axes, values = principal_axes(X, self.latent_dim, weight)
        self.latent_dim_ = self.latent_dim
        self.mean_ = mean.astype(X.dtype)
        self.components_ = np.ascontiguousarray(axes.T).astype(X.dtype)
        self.eigenvalues_ = values
        total = values.sum()
        self.explained_variance_ = values[: self.latent_dim] * count / (count - 1)
        # Constant data have no variance to explain; 0/0 would be NaN.
        self.explained_variance_ratio_ = values[: self.latent_dim] / (total if total > 0 else 1.0)
        return self

    def _encode(self, X: Array) -> Array:
        return pca_encode(X, self.mean_.astype(X.dtype), self.components_.T.astype(X.dtype))

    def _decode(self, Z: Array) -> Array:
        return pca_decode(Z, self.mean_.astype(Z.dtype), self.components_.T.astype(Z.dtype))
