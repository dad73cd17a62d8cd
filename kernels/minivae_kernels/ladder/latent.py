"""The latent head, z = μ + σ ε and its KL, from nine calls of NumPy to two compiled passes."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minivae_kernels.cpu.ops import vector_math
from minivae_kernels.ladder.base import Args, Ladder, chosen

f32 = np.float32


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    mu, logvar, eps = (rng.standard_normal((rows, 20), dtype=np.float32) for _ in range(3))
    return mu, logvar, eps[None]


LADDER = Ladder(op="latent_forward", unit="latent", rows=1024, inputs=_inputs,
                work=lambda args: args[2].size)  # fmt: skip


@LADDER.version(part=16, rough=1000)  # exp(logvar) - 1 loses digits near 0
def latent_v0(mu, logvar, eps):
    """a Python loop over the latents, from the formula"""
    z, kl = np.empty_like(eps), np.empty_like(mu)
    for b, j in np.ndindex(*mu.shape):
        variance = math.exp(logvar[b, j])
        kl[b, j] = 0.5 * (mu[b, j] ** 2 + variance - 1 - logvar[b, j])
        for draw in range(len(eps)):
            z[draw, b, j] = mu[b, j] + math.sqrt(variance) * eps[draw, b, j]
    return z, kl


@LADDER.version()
def latent_v1(mu, logvar, eps):
    """whole arrays, and expm1 for the digits that exp(logvar) - 1 loses near 0"""
    return mu + np.exp(0.5 * logvar) * eps, 0.5 * (mu * mu + (np.expm1(logvar) - logvar))


BUFFERS: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}


@LADDER.version()
def latent_v2(mu, logvar, eps):
    """the same passes into buffers that are kept: only the two results are copied"""
    if eps.shape not in BUFFERS:
        BUFFERS[eps.shape] = np.empty_like(eps), np.empty_like(mu), np.empty_like(mu)
    z, kl, t = BUFFERS[eps.shape]
    np.exp(np.multiply(logvar, f32(0.5), out=t), out=t)
    np.multiply(t, eps, out=z)
    z += mu
    np.expm1(logvar, out=kl)
    kl -= logvar
    kl += np.multiply(mu, mu, out=t)
    kl *= f32(0.5)
    return z.copy(), kl.copy()


@LADDER.version()
@njit(error_model="numpy")
def latent_v3(mu, logvar, eps):
    """one compiled pass, yet slower: exp and expm1 are calls, where NumPy has vector code"""
    z, kl = np.empty_like(eps), np.empty_like(mu)
    L, B, J = eps.shape
    for b in range(B):
        for j in range(J):
            m, lv = mu[b, j], logvar[b, j]
            kl[b, j] = f32(0.5) * (m * m + (f32(math.expm1(lv)) - lv))
            sigma = f32(math.exp(f32(0.5) * lv))
            for draw in range(L):
                z[draw, b, j] = m + sigma * eps[draw, b, j]
    return z, kl


@njit(error_model="numpy")
def _head(mu, logvar, sigma, kl):
    for i in range(len(mu)):
        sigma[i] = vector_math.exp(f32(0.5) * logvar[i])
        kl[i] = f32(0.5) * (mu[i] * mu[i] + (vector_math.expm1(logvar[i]) - logvar[i]))


@njit(error_model="numpy")
def _draw(mu, sigma, eps, z):
    for i in range(len(mu)):
        z[i] = mu[i] + sigma[i] * eps[i]


@LADDER.version()
@njit(error_model="numpy")
def latent_v4(mu, logvar, eps):
    """polynomials that are inlined, rows flattened into one long loop: sixteen latents at a time"""
    z, kl, sigma = np.empty_like(eps), np.empty_like(mu), np.empty_like(mu)
    _head(mu.ravel(), logvar.ravel(), sigma.ravel(), kl.ravel())
    for draw in range(len(eps)):
        _draw(mu.ravel(), sigma.ravel(), eps[draw].ravel(), z[draw].ravel())
    return z, kl


@LADDER.version(chosen=True)
def latent_v5(mu, logvar, eps):
    """chosen: what the backend serves"""
    return chosen("latent_forward")(mu, logvar, eps)
