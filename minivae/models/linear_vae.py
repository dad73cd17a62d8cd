"""The linear VAE with a Gaussian likelihood, whose expectation needs no draws."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae.layers import Parameters, linear_backward, linear_forward
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

    mean_n nll(mu_n) + Σ_j σ_j² ||w_j||² / (2c) + mean_n Σ_j KL_nj.  x (B, D) -> loss (), cache.
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
