"""The linear-Gaussian model (probabilistic PCA): the one latent variable model that is exact."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minivae.models.pca import principal_axes
from minivae.ops.gaussian import gaussian_kl_forward
from minivae.types import Array


class LinearGaussian(NamedTuple):
    """p(z) = N(0, I), p(x|z) = N(mean + z weightᵀ, c I): weight (D, J), mean (D,), c > 0."""

    weight: Array
    mean: Array
    c: float


class EvidenceSplit(NamedTuple):
    """The three terms of log p(x) = ELBO + KL(q || p(z|x)), each (N,), in nats (E18)."""

    log_p: Array
    elbo: Array
    kl: Array


def posterior(x: Array, model: LinearGaussian) -> tuple[Array, Array]:
    """The exact posterior of each datum: means (N, J) and the covariance (J, J) all share (E12)."""
    weight, mean, c = model
    precision = np.eye(weight.shape[1]) + weight.T @ weight / c
    covariance = np.linalg.inv(precision)
    return (x - mean) @ weight @ covariance / c, covariance


def log_marginal(x: Array, model: LinearGaussian) -> Array:
    """log p(x) (N,) in nats, under N(mean, W Wᵀ + c I) (E13).

    Only a J x J matrix is factored: det(WWᵀ + cI) = c^(D-J) det(cI + WᵀW), and
    (WWᵀ + cI)⁻¹ = (I - W (cI + WᵀW)⁻¹ Wᵀ) / c.
    """
    weight, mean, c = model
    dims, latent = weight.shape
    inner = c * np.eye(latent) + weight.T @ weight
    factor = np.linalg.cholesky(inner)
    residual = x - mean
    whitened = np.linalg.solve(factor, (residual @ weight).T).T
    quadratic = ((residual**2).sum(axis=1) - (whitened**2).sum(axis=1)) / c
    log_det = (dims - latent) * np.log(c) + 2.0 * np.log(np.diag(factor)).sum()
    result: Array = -0.5 * (dims * np.log(2.0 * np.pi) + log_det + quadratic)
    return result


def ppca_solution(x: Array, latent_dim: int, weight: Array | None = None) -> LinearGaussian:
    """The maximum of the likelihood in closed form (Tipping and Bishop 1999) (E13).

    x (N, D); a row of weight w in `weight` (N,) counts as w rows. Raises ValueError where the
    discarded variance is zero: the likelihood then has no maximum, it grows as c goes to 0.
    """
    mean, axes, values = principal_axes(x, latent_dim, weight)
    dims = x.shape[1]
    c = float(values[latent_dim:].sum() / (dims - latent_dim))
    if not c > 1e-12 * values[0]:
        raise ValueError(
            f"the data lie in a subspace of {latent_dim} dimensions or fewer, so the noise "
            f"variance c would be 0 and the likelihood infinite: choose a smaller latent_dim "
            f"(n_samples={len(x)}, n_features={dims})."
        )
    scale = np.sqrt(np.maximum(values[:latent_dim] - c, 0.0))
    return LinearGaussian(axes * scale, mean, c)


def expected_log_likelihood(x: Array, mu: Array, cov: Array, model: LinearGaussian) -> Array:
    """E_q[log p(x|z)] (N,) for q = N(mu, cov), exact because f is linear (E20).

    mu (N, J), cov (J, J) shared or (N, J, J).
    """
    weight, mean, c = model
    residual = x - mean - mu @ weight.T
    spread = np.einsum("ij,...jk,ik->...", weight, cov, weight)
    squares = (residual**2).sum(axis=1) + spread
    result: Array = -0.5 * (squares / c + x.shape[1] * np.log(2.0 * np.pi * c))
    return result


def evidence_split(x: Array, mu: Array, cov: Array, model: LinearGaussian) -> EvidenceSplit:
    """log p(x), the ELBO of q = N(mu_n, cov) and KL(q || p(z|x)), each on its own (E18).

    x (N, D), mu (N, J), cov (J, J). Nothing here uses the identity log p = ELBO + KL: the three are
    computed apart, so adding them up is a proof.
    """
    post_mu, post_cov = posterior(x, model)
    latent = mu.shape[1]
    zero, eye = np.zeros(latent), np.eye(latent)
    prior_kl = np.array([gaussian_kl_forward(m, cov, zero, eye) for m in mu])
    posterior_kl = np.array(
        [gaussian_kl_forward(m, cov, p, post_cov) for m, p in zip(mu, post_mu, strict=True)]
    )
    elbo = expected_log_likelihood(x, mu, cov, model) - prior_kl
    return EvidenceSplit(log_marginal(x, model), elbo, posterior_kl)


def best_diagonal(x: Array, model: LinearGaussian) -> tuple[Array, Array]:
    """The diagonal Gaussian closest to the posterior: means (N, J), variances (J,) (E17).

    Minimising KL(q || p(z|x)) over a diagonal q gives the posterior's mean and one over the
    diagonal of its precision, not the diagonal of its covariance.
    """
    mu, covariance = posterior(x, model)
    return mu, 1.0 / np.diag(np.linalg.inv(covariance))
