"""Variational inference for a decoder that is given: each datum's own best Gaussian."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from minivae.layers import HiddenCache, Parameters, linear_forward, mlp_backward, mlp_forward
from minivae.models.config import ModelConfig
from minivae.models.descend import descend
from minivae.models.vae import encode, nll_backward, nll_forward
from minivae.types import Array


class InferenceCache(NamedTuple):
    """x (B, D), eps (L, B, J), mu and logvar (B, J), the decoder's, out (L, B, D), nll, kl."""

    x: Array
    eps: Array
    mu: Array
    logvar: Array
    decoder: tuple[HiddenCache, ...]
    out: Array
    nll: Array
    kl: Array


class FreePosteriors(NamedTuple):
    """Each datum's own mu and logvar (B, J), the ELBO it reaches (B,) and the losses (steps,)."""

    mu: Array
    logvar: Array
    elbo: Array
    losses: Array


class Gap(NamedTuple):
    """Mean ELBO in nats of the encoder's and of each datum's best q, and their difference (E42)."""

    amortised: float
    free: float
    gap: float


def cubature_draws(latent_dim: int, batch: int) -> Array:
    """2J draws eps (2J, B, J), ±√J along each axis: mean 0 and covariance I exactly.

    An average over them is the exact expectation of any quadratic, so for a linear decoder with a
    Gaussian likelihood the bound (E17) carries no Monte-Carlo noise at all.
    """
    axes = np.sqrt(latent_dim) * np.concatenate([np.eye(latent_dim), -np.eye(latent_dim)])
    return np.repeat(axes[:, None, :], batch, axis=1)


def inference_forward(
    K: Any, p: Parameters, q: Parameters, x: Array, eps: Array, config: ModelConfig
) -> tuple[Array, InferenceCache]:
    """The negative ELBO as a function of q alone, in nats per datum      (E17)

    q = {"mu": (B, J), "logvar": (B, J)}: one Gaussian per datum, free of any encoder. p holds the
    decoder, which stays as it is. x (B, D), eps (L, B, J) -> loss (), cache.
    """
    L, B, J = eps.shape
    mu, logvar = q["mu"], q["logvar"]
    z, kl = K.latent_forward(mu, logvar, eps)  # (L, B, J), (B, J)                 E26, E15
    depth, kind = len(config.hidden), config.activation
    hz, decoder = mlp_forward(K, p, "decoder", z.reshape(L * B, J), depth, kind)
    out = linear_forward(K, p, "decoder.out", hz).reshape(L, B, -1)  # (L, B, D)
    nll = nll_forward(K, p, out, x, config)  # (L, B)                              E20, E23
    loss = nll.sum() / (L * B) + config.beta * kl.sum() / B
    return loss, InferenceCache(x, eps, mu, logvar, decoder, out, nll, kl)


def inference_backward(
    K: Any, dloss: Array, cache: InferenceCache, p: Parameters, config: ModelConfig
) -> Parameters:
    """The gradient of `inference_forward` in mu and logvar, {"mu", "logvar"}   (E17, E29)"""
    x, eps, mu, logvar, decoder, out, nll, kl = cache
    L, B, J = eps.shape
    dnll = np.broadcast_to(dloss / (L * B), nll.shape)
    unused: Parameters = {}  # the decoder's own gradients: it is fixed here
    dout = nll_backward(K, p, unused, dnll, out, x, config).reshape(L * B, -1)  #   E21, E24
    dhz = K.dense_backward_input(dout, p["decoder.out.W"])
    dz = mlp_backward(K, p, unused, "decoder", dhz, decoder, config.activation, input_gradient=True)
    dkl = np.broadcast_to(dloss * config.beta / B, kl.shape)
    dz = dz.reshape(L, B, J)
    dmu, dlogvar = K.latent_backward(dz, dkl, mu, logvar, eps)  #                  E27, E16
    return {"mu": dmu, "logvar": dlogvar}


def fit_posteriors(
    K: Any,
    p: Parameters,
    x: Array,
    eps: Array,
    config: ModelConfig,
    start: tuple[Array, Array] | None = None,
    steps: int = 1000,
    lr: float = 0.05,
) -> FreePosteriors:
    """Each datum's best q by gradient descent, the decoder and the noise held fixed   (E17)

    x (B, D), eps (L, B, J): `cubature_draws` where the decoder is linear, many normal draws where
    it is not. `start` is (mu, logvar) (B, J); None starts at the prior.
    """
    batch, latent = eps.shape[1:]
    flat = np.zeros(2 * batch * latent, dtype=x.dtype)
    q = dict(zip(("mu", "logvar"), flat.reshape(2, batch, latent), strict=True))
    if start is not None:
        q["mu"][...], q["logvar"][...] = start
    # Each datum is a problem of its own: the sum, not the mean, keeps gradients off Adam's eps.
    upstream = np.full_like(x, len(x), shape=())

    def loss_and_gradient(t: int) -> tuple[float, Array]:
        loss, cache = inference_forward(K, p, q, x, eps, config)
        g = inference_backward(K, upstream, cache, p, config)
        return float(loss), np.concatenate([g["mu"].ravel(), g["logvar"].ravel()])

    # A short memory of the squared gradient: the first ones, from a prior far too wide, can be a
    # thousand times the last, and with beta2 = 0.999 they would hold the steps small to the end.
    losses = descend(K, flat, loss_and_gradient, steps, lr, beta2=0.95)
    return FreePosteriors(q["mu"], q["logvar"], elbo_of(K, p, q, x, eps, config), losses)


def elbo_of(
    K: Any, p: Parameters, q: Parameters, x: Array, eps: Array, config: ModelConfig
) -> Array:
    """The ELBO of each datum (B,) in nats under its own q, by the draws eps (L, B, J) (E17)."""
    _, cache = inference_forward(K, p, q, x, eps, config)
    elbo: Array = -(cache.nll.mean(axis=0) + cache.kl.sum(axis=1))
    return elbo


def amortisation_gap(
    K: Any,
    p: Parameters,
    x: Array,
    fitting: Array,
    judging: Array,
    config: ModelConfig,
    steps: int = 500,
    lr: float = 0.02,
) -> Gap:
    """What one encoder for all costs against a best q for each, in nats   (E42)

    x (B, D). The free posteriors are fitted with the draws `fitting` (L, B, J) and both are judged
    with the draws `judging`, which neither has seen: fitting to the noise earns nothing. Both at
    β = 1, whatever the model was trained with: the ELBO is what is compared.
    """
    config = replace(config, beta=1.0)
    mu, logvar = encode(K, p, x, config)
    best = fit_posteriors(K, p, x, fitting, config, (mu, logvar), steps, lr)
    amortised = elbo_of(K, p, {"mu": mu, "logvar": logvar}, x, judging, config)
    free = elbo_of(K, p, {"mu": best.mu, "logvar": best.logvar}, x, judging, config)
    low, high = float(amortised.mean()), float(free.mean())
    return Gap(low, high, high - low)
