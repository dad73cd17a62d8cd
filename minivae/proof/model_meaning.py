"""Do the model's loss and the importance-weighted bound match the maths?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.parts import OBJECTIVES, Terms
from minivae.proof.identity import Meaning, gauss_hermite, largest, linear_decoder
from minivae.proof.tolerances import tol
from minivae.types import Array

REPEATS = 1000  # bounds of each number of draws


def evidence_identity(K: Any) -> list[Meaning]:
    """log p(x) = ELBO(q) + KL(q || p(z|x)), the batch's mean, for a linear decoder and any q (E18).

    The ELBO is the model's own loss. Two nodes in each latent dimension have equal weights, as
    draws do, and integrate its squares exactly.
    """
    W, b, logc, x = linear_decoder()
    rng = np.random.default_rng(9)
    heads = ("encoder.mu", "encoder.logvar")
    p = {f"{head}.W": 0.4 * rng.normal(size=(4, 2)) for head in heads}
    p |= {f"{head}.b": rng.normal(size=2) for head in heads}
    p |= {"decoder.out.W": W, "decoder.out.b": b, "decoder.logc": logc}
    config = ModelConfig(4, 2, hidden=(), likelihood="gaussian", c="learned", draws=4)
    nodes, _ = gauss_hermite(2, 2)
    eps = np.repeat(nodes[:, None, :], len(x), axis=1)
    loss, cache = vae.elbo_forward(K, p, x, eps, 1.0, config)
    c = math.exp(float(logc))
    cov = np.linalg.inv(np.eye(2) + W @ W.T / c)
    mean = (x - b) @ W.T @ cov / c
    gap = [
        float(K.gaussian_kl_forward(m, np.diag(np.exp(v)), post, cov))
        for m, v, post in zip(cache.mu, cache.logvar, mean, strict=True)
    ]
    marginal = W.T @ W + c * np.eye(4)
    r = x - b
    quadratic = (r @ np.linalg.inv(marginal) * r).sum(axis=1)
    log_p = -0.5 * (4 * math.log(2 * math.pi) + np.linalg.slogdet(marginal)[1] + quadratic)
    error = largest(-loss + np.mean(gap) - log_p.mean(), log_p)
    return [
        Meaning(
            "log p(x) = ELBO + KL for a linear decoder",
            "elbo_forward",
            error,
            tol("meaning_quadrature"),
        )
    ]


def sampled_bounds(K: Any, S: int, weight: Array, x: Array, rng: np.random.Generator) -> Array:
    """The bounds of S draws on log p(x), (REPEATS,), by the objective itself: a datum each time."""
    mu, logvar = np.full((REPEATS, 1), 0.3), np.full((REPEATS, 1), -0.5)
    eps = rng.normal(size=(S, REPEATS, 1))
    z = np.asarray(K.reparameterise_forward(mu, logvar, eps))
    nll = np.asarray(K.bernoulli_nll_forward(z @ weight, np.repeat(x[None], REPEATS, axis=0)))
    kl = np.asarray(K.kl_forward(mu, logvar))
    objective = OBJECTIVES["iwae"]
    losses = []
    for i in range(REPEATS):
        one = slice(i, i + 1)
        terms = Terms(nll[:, one], kl[one], mu[one], logvar[one], z[:, one], eps[:, one])
        losses.append(objective.forward(K, terms, 1.0, 0.0))
    return -np.array(losses, dtype=np.float64)


def importance_weighted(K: Any) -> list[Meaning]:
    """The importance weights average to p(x), so that bounds rise towards log p(x) (E37, E61).

    log p(x) by quadrature over a 1-D latent; S = 1, 5, 50 by samples of their own, since on the
    same ones the bounds are ordered whatever the numbers are.
    """
    rng = np.random.default_rng(4)
    weight, x = rng.normal(size=(1, 6)) * 2, (rng.random(6) < 0.5) * 1.0
    grid = np.linspace(-9, 9, 3601)
    nll = np.asarray(
        K.bernoulli_nll_forward((grid[:, None] @ weight)[None], np.broadcast_to(x, (3601, 6)))
    )[0]
    log_p = math.log(
        float(np.exp(-nll - grid**2 / 2).sum() * (grid[1] - grid[0])) / math.sqrt(2 * math.pi)
    )
    found = [sampled_bounds(K, S, weight, x, rng) for S in (1, 5, 50)]
    means = np.array([*(bounds.mean() for bounds in found), log_p])
    errors = np.array([*(bounds.std() / math.sqrt(REPEATS) for bounds in found), 0.0])
    steps = np.diff(means) / np.hypot(errors[1:], errors[:-1])
    ratio = np.exp(found[-1] - log_p)
    away = abs(ratio.mean() - 1) / (ratio.std() / math.sqrt(REPEATS))
    op, limit = "iwae_objective_forward", tol("z_score")
    fall = float(np.max([0.0, *-steps]))  # NaN stays
    return [
        Meaning("importance weights average to p(x) (standard errors)", op, float(away), limit),
        Meaning("bounds rise to log p(x): S = 1, 5, 50 (standard errors)", op, fall, limit),
    ]
