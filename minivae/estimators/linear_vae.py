"""The linear VAE as an estimator: whole-batch gradient descent on the exact ELBO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minivae.backend import load_backend
from minivae.estimators.arguments import (
    as_seed,
    as_weights,
    refuse_fit_parameters,
    settle_latent_dim,
)
from minivae.estimators.base import LatentEstimator, whole_or_unchanged
from minivae.estimators.probabilistic_pca import sample_linear
from minivae.layers import Parameters, linear_forward
from minivae.models.descend import descend
from minivae.models.initialise import glorot
from minivae.models.linear_gaussian import LinearGaussian, log_marginal
from minivae.models.linear_vae import linear_vae_backward, linear_vae_forward, linear_vae_layout
from minivae.models.moments import moment_rows, weighted_mean
from minivae.types import Array


class LinearVAE(LatentEstimator):
    """A VAE whose two maps are linear, with c learned, trained on the exact ELBO (E19).

    Its optimum is probabilistic PCA's (E13), which it reaches without having been told: the start
    is random, c starts at the mean variance of a feature. Parameters: latent_dim J < n_features
    (None: 2, or 1 where there are but two features); steps and lr of Adam, its step size falling to
    zero along a cosine; random_state: int, RandomState or None; standardise: take each column's
    mean and deviation out first (`mean_`, `c_` and `params_` are then of those units; data and
    log p stay in the user's).
    After fit: `params_`, `mean_`, `c_`, `losses_` (steps,) in nats per datum.
    """

    FITTED = ("mean_", "losses_")

    def __init__(
        self,
        latent_dim: int | None = None,
        steps: int = 3000,
        lr: float = 0.03,
        random_state: Any = 0,
        standardise: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.steps = steps
        self.lr = lr
        self.random_state = random_state
        self.standardise = standardise

    @whole_or_unchanged
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, **refused: Any) -> Self:
        """Train on X (N, D) by whole-batch gradient descent; y is ignored.

        A row of weight w counts as w rows. Raises ValueError where weights (N,) cannot be.
        """
        refuse_fit_parameters(type(self).__name__, refused)
        X = self._validate(X, reset=True, min_samples=2)
        weight = as_weights(sample_weight, X)
        X = self._learn_units(X, weight)
        self.latent_dim_ = settle_latent_dim(self.latent_dim, X.shape, at_most=X.shape[1] - 1)
        K = load_backend("numpy")
        self.mean_ = weighted_mean(X, weight)
        rows = moment_rows(X, self.mean_, weight)
        if not np.any(rows):
            raise ValueError("X is constant: there is no variance to model, and c would be 0.")
        layout = linear_vae_layout(X.shape[1], self.latent_dim_)
        self.seed_ = as_seed(self.random_state)
        theta = glorot(layout, self.seed_, "float64")
        p, flat = layout.views(theta), np.empty_like(theta)
        p["decoder.logc"][...] = np.log(np.mean(rows * rows))

        def loss_and_gradient(t: int) -> tuple[float, Array]:
            loss, cache = linear_vae_forward(K, p, rows)
            gradient = linear_vae_backward(K, np.ones(()), cache, p)
            return float(loss), layout.flatten(gradient, flat)

        self.losses_ = descend(K, theta, loss_and_gradient, self.steps, self.lr)
        self._keep(p)
        return self

    def _keep(self, p: Parameters) -> None:
        self.params_, self.c_ = p, float(np.exp(p["decoder.logc"]))

    def _tensors(self) -> dict[str, Array]:
        return {**super()._tensors(), **self.params_}

    def _restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        super()._restore(facts, tensors)
        layout = linear_vae_layout(self.n_features_in_, self.latent_dim_)
        self._keep({entry.name: tensors[entry.name] for entry in layout.entries})

    def sample(self, n_samples: int = 1, random_state: Any = None, *, mean: bool = False) -> Array:
        """n_samples new data (n, D): z from the prior, then x drawn from p(x|z)  (E10).

        mean=True gives the decoded E[x|z], without the noise. random_state: an int, a RandomState
        or None, which takes the estimator's own.
        """
        return sample_linear(self, n_samples, random_state, mean=mean)

    @property
    def model_(self) -> LinearGaussian:
        """The trained decoder as the linear-Gaussian model it is: its log p(x) is exact."""
        mean = self.mean_ + self.params_["decoder.out.b"]
        return LinearGaussian(self.params_["decoder.out.W"].T, mean, self.c_)

    def elbo(self, X: Any) -> float:
        """The exact ELBO in nats per datum, with the trained encoder as q."""
        X = self._inward(self._validate(X, reset=False).astype(np.float64))
        loss = linear_vae_forward(load_backend("numpy"), self.params_, X - self.mean_)[0]
        return -float(loss) - self._log_volume

    def score_samples(self, X: Any) -> Array:
        """log p(x) (N,) in nats under the trained decoder (E13)."""
        X = self._inward(self._validate(X, reset=False).astype(np.float64))
        return log_marginal(X, self.model_) - self._log_volume

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log p(x) in nats per datum; y is ignored."""
        return float(np.mean(self.score_samples(X)))

    def _encode(self, X: Array) -> Array:
        K = load_backend("numpy")
        mu = linear_forward(K, self.params_, "encoder.mu", X.astype(np.float64) - self.mean_)
        return mu.astype(X.dtype)

    def _decode(self, Z: Array) -> Array:
        K = load_backend("numpy")
        x = linear_forward(K, self.params_, "decoder.out", Z.astype(np.float64)) + self.mean_
        return x.astype(Z.dtype)
