"""Rate and distortion: the two terms of the objective, on their own axes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae.models.config import ModelConfig
from minivae.models.vae import decode_mean, encode
from minivae.types import Array


class RateDistortion(NamedTuple):
    """Rate: mean KL in nats per datum. Distortion: mean squared error summed over features."""

    rate: float
    distortion: float


def rate_and_distortion(
    K: Any, p: dict[str, Array], x: Array, eps: Array, config: ModelConfig
) -> RateDistortion:
    """(R, Δ) of a trained VAE on x (N, D), with the draws eps (L, N, J) (E44)."""
    mu, logvar = encode(K, p, x, config)
    z = K.reparameterise_forward(mu, logvar, eps)
    squares = [((x - decode_mean(K, p, draw, config)) ** 2).sum(axis=1).mean() for draw in z]
    rate = K.kl_forward(mu, logvar).sum(axis=1).mean()
    return RateDistortion(float(rate), float(np.mean(squares)))


def linear_rate_and_distortion(eigenvalues: Array, c: float, latent_dim: int) -> RateDistortion:
    """(R, Δ) of the best linear decoder for a given c, in closed form (E44, E13).

    eigenvalues (D,) of the covariance, largest first. A direction with λ > c is kept: the
    channel's gain is w² = λ - c and its posterior variance c/λ; one with λ <= c is switched off.
    """
    values = np.asarray(eigenvalues, dtype=np.float64)
    kept = values[:latent_dim][values[:latent_dim] > c]
    rate = 0.5 * np.log(kept / c).sum()
    # E||x - f(z)||² along a kept axis: the residual's bias² c²/λ plus the draw's w² c/λ, c in all.
    distortion = values.sum() - kept.sum() + c * len(kept)
    return RateDistortion(float(rate), float(distortion))
