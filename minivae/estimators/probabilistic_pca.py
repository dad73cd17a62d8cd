"""Probabilistic PCA as an estimator: the linear-Gaussian model at its maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from minivae.estimators.arguments import as_plain, as_seed, as_weights, settle_latent_dim
from minivae.estimators.base import LatentEstimator, whole_or_unchanged
from minivae.models.linear_gaussian import LinearGaussian, log_marginal, posterior, ppca_solution
from minivae.settings import require_int
from minivae.types import Array


class ProbabilisticPCA(LatentEstimator):
    """The linear-Gaussian model at its maximum likelihood, as an estimator (E12, E13).

    Parameters: latent_dim J, at least one less than n_features so that noise is left to measure
    (None: 2, or 1 where there are but two features); random_state seeds `sample`;
    standardise: take each column's mean and deviation out first (`model_` is then of those units;
    data and log p stay in the user's).
    After fit: `model_` (weight, mean, c), `c_`, `mean_` (D,), `components_` (J, D).
    `transform` gives the posterior mean; `score_samples` the exact log p(x) in nats.
    """

    FITTED = ("components_", "mean_")

    def __init__(
        self, latent_dim: int | None = None, random_state: Any = 0, standardise: bool = False
    ) -> None:
        self.latent_dim = latent_dim
        self.random_state = random_state
        self.standardise = standardise

    @whole_or_unchanged
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the maximum of the likelihood of X (N, D); y is ignored.

        A row of weight w counts as w rows. Raises ValueError where weights (N,) cannot be.
        """
        X = self._validate(X, reset=True, min_samples=2)
        weight = as_weights(sample_weight, X)
        X = self._learn_units(X, weight)
        at_most = min(len(X), X.shape[1] - 1)
        self.latent_dim_ = settle_latent_dim(self.latent_dim, X.shape, at_most)
        self._keep(ppca_solution(X.astype(np.float64), self.latent_dim_, weight))
        return self

    def _keep(self, model: LinearGaussian) -> None:
        self.model_, self.c_ = model, model.c
        self.mean_, self.components_ = model.mean, model.weight.T

    def _facts(self) -> dict[str, Any]:
        return {"c": self.c_}

    def _restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        super()._restore(facts, tensors)
        self._keep(LinearGaussian(tensors["components_"].T, tensors["mean_"], facts["c"]))

    def _encode(self, X: Array) -> Array:
        return posterior(X.astype(np.float64), self.model_)[0].astype(X.dtype)

    def _decode(self, Z: Array) -> Array:
        x = self.model_.mean + Z.astype(np.float64) @ self.model_.weight.T
        return x.astype(Z.dtype)

    def score_samples(self, X: Any) -> Array:
        """log p(x) (N,) in nats."""
        X = self._inward(self._validate(X, reset=False).astype(np.float64))
        return log_marginal(X, self.model_) - self._log_volume

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) in nats per datum; y is ignored."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None, *, mean: bool = False) -> Array:
        """n_samples new data (n, D): z from the prior, then x drawn from p(x|z)  (E10).

        mean=True gives the decoded E[x|z], without the noise. random_state: an int, a RandomState
        or None, which takes the estimator's own.
        """
        return sample_linear(self, n_samples, random_state, mean=mean)


def sample_linear(estimator: Any, n_samples: Any, random_state: Any, *, mean: bool) -> Array:
    """Data (n, D) from the linear-Gaussian `model_` of a fitted estimator, or their means."""
    check_is_fitted(estimator)
    require_int("n_samples", as_plain(n_samples), 1)
    rng = np.random.default_rng(
        as_seed(estimator.random_state if random_state is None else random_state)
    )
    weight, centre, c = estimator.model_
    decoded = centre + rng.standard_normal((n_samples, weight.shape[1])) @ weight.T
    if not mean:
        decoded = decoded + np.sqrt(c) * rng.standard_normal((n_samples, weight.shape[0]))
    return np.asarray(estimator._outward(decoded))
