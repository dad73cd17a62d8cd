"""Does the forward match the maths? A right gradient of the wrong loss passes every gradient
check."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from minivae import ops
from minivae.ops.philox import EPS
from minivae.proof.identity import Meaning, gauss_hermite, largest, linear_decoder
from minivae.proof.model_meaning import evidence_identity, importance_weighted
from minivae.proof.tolerances import tol
from minivae.types import Array


def posterior() -> tuple[Array, Array]:
    """Means and log-variances of three data in two dimensions."""
    mu = np.array([[0.7, -1.1], [0.2, 0.4], [-0.9, 1.3]])
    logvar = np.array([[-0.8, 0.5], [0.3, -1.2], [0.9, -0.4]])
    return mu, logvar


def draws(K: Any, points: int = 5) -> tuple[Array, Array, Array]:
    """z at the quadrature's nodes (n, B, J), their weights (n,), and the nodes as eps."""
    mu, logvar = posterior()
    nodes, weights = gauss_hermite(points, 2)
    eps = np.repeat(nodes[:, None, :], len(mu), axis=1)
    return np.asarray(K.reparameterise_forward(mu, logvar, eps)), weights, eps


def sample_moments(K: Any) -> list[Meaning]:
    """z has the mean and the variance that the KL assumes: exp(logvar) is a variance, not a
    deviation."""
    mu, logvar = posterior()
    z, w, _ = draws(K)
    mean = np.tensordot(w, z, 1)
    variance = np.tensordot(w, (z - mu) ** 2, 1)
    op = "reparameterise_forward"
    return [
        Meaning("mean of the sampled z is mu", op, largest(mean - mu, mu), tol("complex_step")),
        Meaning(
            "variance of the sampled z is exp(logvar)",
            op,
            largest(variance - np.exp(logvar), variance),
            tol("complex_step"),
        ),
    ]


def kl_by_quadrature(K: Any) -> list[Meaning]:
    """KL = E_q[log q(z) - log p(z)], with z drawn without the op on trial."""
    mu, logvar = posterior()
    nodes, w = gauss_hermite(5, 2)
    z = mu + np.exp(logvar / 2) * nodes[:, None, :]
    log_q = -0.5 * (nodes[:, None, :] ** 2 + logvar + math.log(2 * math.pi))
    log_p = -0.5 * (z**2 + math.log(2 * math.pi))
    exact = np.tensordot(w, log_q - log_p, 1)
    mine = np.asarray(K.kl_forward(mu, logvar))
    limit = tol("meaning_quadrature")
    full = [
        float(K.gaussian_kl_forward(m, np.diag(np.exp(v)), np.zeros(2), np.eye(2)))
        for m, v in zip(mu, logvar, strict=True)
    ]
    return [
        Meaning(
            "closed-form KL against quadrature", "kl_forward", largest(mine - exact, exact), limit
        ),
        Meaning(
            "full-covariance KL against quadrature",
            "gaussian_kl_forward",
            largest(full - exact.sum(1), exact.sum(1)),
            limit,
        ),
    ]


def normalisation(K: Any) -> list[Meaning]:
    """Probabilities add up to one: over all binary pictures, and over a fine grid."""
    logits = np.array([0.3, -1.7, 2.1, 0.8])
    pictures = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    nll = np.asarray(K.bernoulli_nll_forward(np.broadcast_to(logits, (1, 16, 4)), pictures))
    bernoulli = abs(float(np.exp(-nll).sum()) - 1)
    logc = np.array(-0.6)
    grid = np.linspace(-12, 12, 2401)
    flat = np.asarray(K.gaussian_nll_forward(np.full((1, grid.size, 1), 0.4), grid[:, None], logc))
    gaussian = abs(float(np.exp(-flat).sum() * (grid[1] - grid[0])) - 1)
    limit = tol("meaning_quadrature")
    return [
        Meaning("Bernoulli probabilities add up to 1", "bernoulli_nll_forward", bernoulli, limit),
        Meaning("the Gaussian density integrates to 1", "gaussian_nll_forward", gaussian, limit),
    ]


def unbiasedness(K: Any) -> list[Meaning]:
    """Pathwise gradient = score-function gradient in expectation, by quadrature: no Monte
    Carlo (E43)."""
    W, b, logc, x = linear_decoder()
    W, b, x = 0.3 * W, 0.3 * b, 0.3 * x
    mu, logvar = posterior()
    z, w, eps = draws(K)
    mean = z @ W + b
    nll = np.asarray(K.gaussian_nll_forward(mean, x, logc))
    dnll = np.repeat(w[:, None], len(x), axis=1)
    dmean, _ = K.gaussian_nll_backward(dnll, mean, x, logc)
    dmu, dlogvar = K.reparameterise_backward(dmean @ W.T, logvar, eps)
    away, variance = z - mu, np.exp(logvar)
    # E[score] = 0, so a baseline changes no expectation; it keeps the sum from cancelling.
    signal = (nll - w @ nll) * dnll
    score_mu = (signal[..., None] * (away / variance)).sum(axis=0)
    score_logvar = (signal[..., None] * (0.5 * (away**2 / variance - 1))).sum(axis=0)
    limit = tol("quadrature")
    op = "reparameterise_backward"
    return [
        Meaning("pathwise = score function, mu", op, largest(dmu - score_mu, dmu), limit),
        Meaning(
            "pathwise = score function, logvar", op, largest(dlogvar - score_logvar, dlogvar), limit
        ),
    ]


def replayed(K: Any) -> list[Meaning]:
    """One eps always gives one z, bit for bit, and the noise's moments are a normal's."""
    mu, logvar = posterior()
    eps = np.asarray(K.normals(3, EPS, 7, np.arange(3), 8), dtype=np.float64)
    eps = eps.reshape(3, 4, 2).transpose(1, 0, 2)
    first = np.asarray(K.reparameterise_forward(mu, logvar, eps))
    again = np.asarray(K.reparameterise_forward(mu, logvar, eps.copy()))
    noise = np.asarray(K.normals(5, EPS, 0, np.arange(500), 40), dtype=np.float64)
    n = noise.size
    z_mean = abs(float(noise.mean())) * math.sqrt(n)
    z_variance = abs(float((noise**2).mean()) - 1) * math.sqrt(n / 2)
    z_fourth = abs(float((noise**4).mean()) - 3) * math.sqrt(n / 96)
    limit = tol("z_score")
    return [
        Meaning(
            "replayed eps gives the same bits",
            "reparameterise_forward",
            float(np.any(first != again)),
            0.0,
        ),
        Meaning("mean of the noise (standard errors)", "normals", z_mean, limit),
        Meaning("variance of the noise (standard errors)", "normals", z_variance, limit),
        Meaning("fourth moment of the noise (standard errors)", "normals", z_fourth, limit),
    ]


def kl_by_monte_carlo(K: Any) -> list[Meaning]:
    """The KL as a mean of log q - log p over samples, in standard errors."""
    mu, logvar = posterior()
    rng = np.random.default_rng(12)
    eps = rng.normal(size=(20_000, *mu.shape))
    z = np.asarray(K.reparameterise_forward(mu, logvar, eps))
    sample = (-0.5 * (eps**2 + logvar) + 0.5 * z**2).sum(axis=(1, 2))
    exact = float(np.asarray(K.kl_forward(mu, logvar)).sum())
    error = abs(sample.mean() - exact) / (sample.std() / math.sqrt(len(sample)))
    return [
        Meaning(
            "KL against Monte Carlo (standard errors)", "kl_forward", float(error), tol("z_score")
        )
    ]


def checks(K: Any = ops) -> list[Meaning]:
    """Every identity, under a namespace of ops."""
    groups = (
        sample_moments,
        kl_by_quadrature,
        normalisation,
        unbiasedness,
        evidence_identity,
        replayed,
        kl_by_monte_carlo,
        importance_weighted,
    )
    return [result for group in groups for result in group(K)]
