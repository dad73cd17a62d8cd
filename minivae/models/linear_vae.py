"""The linear VAE with a Gaussian likelihood: trained by gradient descent, ending at an exact optimum."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from minivae.backend import load_backend
from minivae.estimator_base import LatentEstimator
from minivae.layers import Parameters, linear_backward, linear_forward
from minivae.models.descend import descend
from minivae.models.initialise import glorot
from minivae.models.linear_gaussian import LinearGaussian, log_marginal
from minivae.models.moments import moment_rows
from minivae.models.pca import check_latent_dim
from minivae.params import Layout
from minivae.types import Array


class LinearVaeCache(NamedTuple):
    """x (B, D), mu (B, J), logvar (B, J), mean (1, B, D), squares: σ_j² (J,) and ||w_j||² (J,)."""

    x: Array
    mu: Array
    logvar: Array
    mean: Array
    variance: Array
    norms: Array


def linear_vae_layout(data_dim: int, latent_dim: int) -> Layout:
    """An encoder x -> mu, one variance per latent dimension for all data, a decoder, and log c."""
    return Layout.of(
        {
            "encoder.mu.W": (data_dim, latent_dim),
            "encoder.mu.b": (latent_dim,),
            "encoder.logvar.b": (latent_dim,),
            "decoder.out.W": (latent_dim, data_dim),
            "decoder.out.b": (data_dim,),
            "decoder.logc": (),
        }
    )


def linear_vae_forward(K: Any, p: Parameters, x: Array) -> tuple[Array, LinearVaeCache]:
    """The negative ELBO in nats per datum, its expectation exact        (E19)

    mean_b nll(mu_b) + Σ_j σ_j² ||w_j||² / (2c) + mean_b Σ_j KL_bj.  x (B, D) -> loss (), cache.
    The second term is what the noise in z adds to the squared error; for a linear decoder it does
    not depend on the datum, so nothing has to be drawn.
    """
    mu = linear_forward(K, p, "encoder.mu", x)  # (B, J)
    logvar = p["encoder.logvar.b"] + 0 * mu  # (B, J)
    mean = linear_forward(K, p, "decoder.out", mu)[None]  # (1, B, D)
    logc = p["decoder.logc"]
    nll = K.gaussian_nll_forward(mean, x, logc)  # (1, B)                               E20
    variance = np.exp(p["encoder.logvar.b"])  # (J,)
    norms = (p["decoder.out.W"] * p["decoder.out.W"]).sum(axis=1)  # (J,)
    spread = 0.5 * np.exp(-logc) * (variance * norms).sum()
    kl = K.kl_forward(mu, logvar)  # (B, J)                                             E15
    loss = nll.sum() / len(x) + spread + kl.sum() / len(x)
    return loss, LinearVaeCache(x, mu, logvar, mean, variance, norms)


def linear_vae_backward(K: Any, dloss: Array, cache: LinearVaeCache, p: Parameters) -> Parameters:
    """The gradient of `linear_vae_forward` in every parameter           (E19, E29)"""
    x, mu, logvar, mean, variance, norms = cache
    g: Parameters = {}
    logc, B = p["decoder.logc"], len(x)
    each = dloss / B
    dnll = np.broadcast_to(each, mean.shape[:2])  # (1, B)
    dmean, dlogc = K.gaussian_nll_backward(dnll, mean, x, logc)  #                      E21
    linear_backward(K, g, "decoder.out", dmean[0], mu)
    half = dloss * 0.5 * np.exp(-logc)
    g["decoder.out.W"] = g["decoder.out.W"] + 2 * half * variance[:, None] * p["decoder.out.W"]
    g["decoder.logc"] = dlogc - half * (variance * norms).sum()
    dmu_kl, dlogvar = K.kl_backward(np.broadcast_to(each, mu.shape), mu, logvar)  #     E16
    dmu = K.dense_backward_input(dmean[0], p["decoder.out.W"]) + dmu_kl
    linear_backward(K, g, "encoder.mu", dmu, x)
    g["encoder.logvar.b"] = dlogvar.sum(axis=0) + half * variance * norms
    return g


class LinearVAE(LatentEstimator):  # type: ignore[misc]
    """A VAE whose two maps are linear, with c learned, trained on the exact ELBO (E19).

    Its optimum is probabilistic PCA's (E13), which it reaches without having been told: the start
    is random, c starts at the mean variance of a feature. Parameters: latent_dim J < n_features;
    steps and lr of Adam, its step size falling to zero along a cosine; random_state.
    After fit: `params_`, `mean_`, `c_`, `losses_` (steps,) in nats per datum.
    """

    def __init__(
        self, latent_dim: int = 2, steps: int = 2000, lr: float = 0.02, random_state: int = 0
    ) -> None:
        self.latent_dim = latent_dim
        self.steps = steps
        self.lr = lr
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on X (N, D) by whole-batch gradient descent; y is ignored."""
        X = self._validate(X, reset=True, min_samples=2)
        check_latent_dim(self.latent_dim, X.shape, at_most=X.shape[1] - 1)
        K = load_backend("numpy")
        self.mean_ = X.mean(axis=0, dtype=np.float64)
        rows = moment_rows(X, self.mean_)
        layout = linear_vae_layout(X.shape[1], self.latent_dim)
        theta = glorot(layout, self.random_state, "float64")
        p, flat = layout.views(theta), np.empty_like(theta)
        p["decoder.logc"][...] = np.log(max(float(np.mean(rows * rows)), 1e-12))

        def loss_and_gradient(t: int) -> tuple[float, Array]:
            loss, cache = linear_vae_forward(K, p, rows)
            gradient = linear_vae_backward(K, np.ones(()), cache, p)
            return float(loss), layout.flatten(gradient, flat)

        self.losses_ = descend(K, theta, loss_and_gradient, self.steps, self.lr)
        self.params_, self.latent_dim_ = p, self.latent_dim
        self.c_ = float(np.exp(p["decoder.logc"]))
        return self

    @property
    def model_(self) -> LinearGaussian:
        """The trained decoder as the linear-Gaussian model it is: its log p(x) is exact."""
        mean = self.mean_ + self.params_["decoder.out.b"]
        return LinearGaussian(self.params_["decoder.out.W"].T, mean, self.c_)

    def elbo(self, X: Any) -> float:
        """The exact ELBO in nats per datum, with the trained encoder as q."""
        X = self._validate(X, reset=False).astype(np.float64)
        return -float(linear_vae_forward(load_backend("numpy"), self.params_, X - self.mean_)[0])

    def score_samples(self, X: Any) -> Array:
        """log p(x) (N,) in nats under the trained decoder (E13)."""
        return log_marginal(self._validate(X, reset=False).astype(np.float64), self.model_)

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
