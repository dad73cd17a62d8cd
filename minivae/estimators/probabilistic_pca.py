"""Probabilistic PCA as an estimator: the linear-Gaussian model at its maximum likelihood."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from minivae.estimators.base import LatentEstimator, check_latent_dim
from minivae.models.linear_gaussian import log_marginal, posterior, ppca_solution
from minivae.types import Array


class ProbabilisticPCA(LatentEstimator):
    """The linear-Gaussian model at its maximum likelihood, as an estimator (E12, E13).

    Parameters: latent_dim J, at least one less than n_features so that noise is left to measure;
    random_state seeds `sample`. After fit: `model_` (weight, mean, c), `c_`, `components_` (J, D).
    `transform` gives the posterior mean; `score_samples` the exact log p(x) in nats.
    """

    def __init__(self, latent_dim: int = 2, random_state: int = 0) -> None:
        self.latent_dim = latent_dim
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the maximum of the likelihood of X (N, D); y is ignored."""
        X = self._validate(X, reset=True, min_samples=2)
        check_latent_dim(self.latent_dim, X.shape, at_most=min(len(X), X.shape[1] - 1))
        self.model_ = ppca_solution(X.astype(np.float64), self.latent_dim)
        self.latent_dim_ = self.latent_dim
        self.c_ = self.model_.c
        self.components_ = self.model_.weight.T
        return self

    def _encode(self, X: Array) -> Array:
        return posterior(X.astype(np.float64), self.model_)[0].astype(X.dtype)

    def _decode(self, Z: Array) -> Array:
        x = self.model_.mean + Z.astype(np.float64) @ self.model_.weight.T
        return x.astype(Z.dtype)

    def score_samples(self, X: Any) -> Array:
        """log p(x) (N,) in nats."""
        return log_marginal(self._validate(X, reset=False).astype(np.float64), self.model_)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) in nats per datum; y is ignored."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n: int = 1) -> Array:
        """n new data (n, D): a latent from the prior, then a datum around its decoding (E10)."""
        self._validate_codes(np.zeros((1, getattr(self, "latent_dim_", 1))))
        rng = np.random.default_rng(self.random_state)
        weight, mean, c = self.model_
        z = rng.standard_normal((n, weight.shape[1]))
        noise = rng.standard_normal((n, weight.shape[0]))
        x: Array = mean + z @ weight.T + np.sqrt(c) * noise
        return x
