"""Where new codes come from: the prior, the aggregated posterior, a mixture fitted to the codes.

Every draw is a function of (seed, its number), so the same command gives the same pictures.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from minivae.models import vae
from minivae.models.config import ModelConfig
from minivae.ops.philox import GENERATE, normals, uniforms
from minivae.parts import LIKELIHOODS
from minivae.parts.likelihoods import Noise
from minivae.types import Array

SAMPLERS = ("prior", "aggregate", "mixture")
# Steps of the generation stream: one for each purpose, so that no two share their noise.
CODES, CHOICE, PIXELS = 0, 1, 2
MAX_ROWS = 1024


def encode_all(K: Any, p: dict[str, Any], x: Array, config: ModelConfig) -> tuple[Array, Array]:
    """Posterior mean and log-variance (N, J) of all x (N, D), in chunks, on the host (E25)."""
    parts = []
    for start in range(0, len(x), MAX_ROWS):
        mu, logvar = vae.encode(K, p, K.to_device(x[start : start + MAX_ROWS]), config)
        parts.append((K.to_host(mu), K.to_host(logvar)))
    return np.concatenate([m for m, _ in parts]), np.concatenate([v for _, v in parts])


def decode_all(K: Any, p: dict[str, Any], z: Array, config: ModelConfig) -> Array:
    """E[x|z] (N, D) of all codes z (N, J), in chunks, on the host (E10)."""
    z = np.ascontiguousarray(z, dtype=np.float32)
    return np.concatenate(
        [
            K.to_host(vae.decode_mean(K, p, K.to_device(z[start : start + MAX_ROWS]), config))
            for start in range(0, len(z), MAX_ROWS)
        ]
    )


def prior_codes(n: int, latent_dim: int, seed: int) -> Array:
    """n codes (n, J) from N(0, I)  (E10)."""
    return normals(seed, GENERATE, CODES, np.arange(n), latent_dim)


def aggregate_codes(mu: Array, logvar: Array, n: int, seed: int) -> Array:
    """n codes (n, J) from the aggregated posterior: a random datum's, then a draw from it.

    mu, logvar (N, J) are the posteriors of the N data.
    """
    u = uniforms(seed, GENERATE, CHOICE, np.arange(n), 1)[:, 0]
    rows = np.minimum((u.astype(np.float64) * len(mu)).astype(np.int64), len(mu) - 1)
    eps = prior_codes(n, mu.shape[1], seed)
    return np.asarray(mu[rows] + np.exp(0.5 * logvar[rows]) * eps)


def mixture_codes(mu: Array, n: int, seed: int, components: int = 10) -> Array:
    """n codes (n, J) from a Gaussian mixture fitted to the posterior means mu (N, J)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(mu) < 2:
        raise ValueError(f"a mixture needs at least 2 codes to be fitted to, not {len(mu)}")
    components = max(1, min(components, len(mu) // 10))
    mixture = GaussianMixture(components, random_state=seed % 2**32, reg_covar=1e-5)
    with warnings.catch_warnings():  # codes that coincide make fewer components: no fault
        warnings.simplefilter("ignore", ConvergenceWarning)
        codes, _ = mixture.fit(mu.astype(np.float64)).sample(n)
    order = np.argsort(uniforms(seed, GENERATE, CHOICE, np.arange(n), 1)[:, 0], kind="stable")
    return np.asarray(codes[order], dtype=np.float32)  # sample() returns them by component


def draw_all(K: Any, p: dict[str, Any], z: Array, config: ModelConfig, seed: int) -> Array:
    """x (N, D) from p(x|z) for all codes z (N, J); each is a function of (seed, its number) (E10).

    Coin flips for the Bernoulli likelihood, noise added for the Gaussian one: see its record.
    """
    likelihood = LIKELIHOODS[config.likelihood]
    z = np.ascontiguousarray(z, dtype=np.float32)
    parts = []
    for start in range(0, len(z), MAX_ROWS):
        rows = np.arange(start, min(start + MAX_ROWS, len(z)))
        out = vae.decode(K, p, K.to_device(z[rows]), config)
        extra = vae.beside_output(p, out, config)
        mean = K.to_host(likelihood.mean(K, out, *extra))
        host = [K.to_host(e) if hasattr(e, "dtype") else e for e in extra]
        parts.append(likelihood.draw(mean, K.to_host(out), noise_of(seed, rows, mean), *host))
    return np.concatenate(parts)


def noise_of(seed: int, rows: Array, like: Array) -> Noise:
    """The random numbers for drawing the data of these rows, of the shape of `like` (N, D)."""
    D = like.shape[1]
    return Noise(
        uniforms=lambda: uniforms(seed, GENERATE, PIXELS, rows, D),
        normals=lambda: normals(seed, GENERATE, PIXELS, rows, D),
    )


def linear_path(a: Array, b: Array, steps: int) -> Array:
    """Codes (steps, J) on the straight line from a to b (J,)."""
    t = np.linspace(0, 1, steps)[:, None]
    return np.asarray((1 - t) * a + t * b)


def spherical_path(a: Array, b: Array, steps: int) -> Array:
    """Codes (steps, J) on the great arc from a to b, the length changing evenly.

    Between opposite or nearly parallel codes, or from 0, there is no arc: the straight line.
    """
    length_a, length_b = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not (length_a > 1e-12 and length_b > 1e-12):
        return linear_path(a, b, steps)
    cosine = float(np.clip(a @ b / (length_a * length_b), -1, 1))
    angle = float(np.arccos(cosine))
    if not (1e-4 < angle < np.pi - 1e-4):
        return linear_path(a, b, steps)
    t = np.linspace(0, 1, steps)[:, None]
    direction = (np.sin((1 - t) * angle) * a / length_a + np.sin(t * angle) * b / length_b) / (
        np.sin(angle)
    )
    return np.asarray(direction * ((1 - t) * length_a + t * length_b))
