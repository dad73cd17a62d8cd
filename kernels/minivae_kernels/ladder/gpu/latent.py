"""The latent head, z = μ + σ ε and its KL, from array calls to one kernel four numbers wide."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.gpu.launcher import Array, Launcher
from minivae_kernels.gpu.ops_model import LatentOps
from minivae_kernels.ladder.base import Args, Ladder


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    mu, logvar, eps = (rng.standard_normal((rows, 20), dtype=np.float32) for _ in range(3))
    return mu, logvar, eps[None]


def ladder(device: Any) -> Ladder:
    """The rungs on one device; arguments are that device's arrays."""
    found = Ladder("latent_forward", "latent", 1 << 18, _inputs, lambda args: args[2].size)
    launcher, xp = Launcher(device), device.xp

    def outputs(mu: Array, eps: Array) -> tuple[Array, Array]:
        return device.empty(eps.shape, np.float32), device.empty(mu.shape, np.float32)

    @found.version()
    def latent_v0(mu: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
        """whole arrays: nine launches, each through all of memory"""
        half = np.float32(0.5)
        return mu + xp.exp(half * logvar) * eps, half * (mu * mu + (xp.expm1(logvar) - logvar))

    @found.version()
    def latent_v1(mu: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
        """one kernel for the draw and one for the KL, a thread a number"""
        (z, kl), n, draws = outputs(mu, eps), mu.size, len(eps)
        launcher.flat("draw_rung", n, (mu, logvar, eps, z, n, draws), np.float32)
        launcher.flat("price_rung", n, (mu, logvar, kl, n), np.float32)
        return z, kl

    @found.version()
    def latent_v2(mu: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
        """one kernel for both: μ and logvar are read once"""
        (z, kl), n, draws = outputs(mu, eps), mu.size, len(eps)
        launcher.flat("head_rung", n, (mu, logvar, eps, z, kl, n, draws), np.float32)
        return z, kl

    return found.topped(
        LatentOps(device).latent_forward,
        "the product's own: four numbers a thread; in the step it makes the noise as well",
    )
