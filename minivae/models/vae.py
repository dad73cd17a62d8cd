"""The variational autoencoder of MATHS.md, section 7: forward and backward, line by line.

Read `elbo_forward` and `elbo_backward` side by side: each line of the second undoes one line of
the first, last to first. K is a backend (`minivae.backend.load_backend`), p the named parameters.
Every symbol is in the table of MATHS.md: B data in a batch of D numbers each, J latent dimensions,
L draws. A gradient is called d and the name of what it belongs to. The numbers on the right are
MATHS.md's equations.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minivae.layers import (
    HiddenCache,
    Parameters,
    hidden_layers,
    linear_backward,
    linear_forward,
    mlp_backward,
    mlp_forward,
)
from minivae.models.config import ModelConfig
from minivae.params import Layout, Shape
from minivae.parts import LIKELIHOODS, OBJECTIVES, Terms
from minivae.parts.likelihoods import log_scale
from minivae.types import Array


class Cache(NamedTuple):
    """Everything the backward pass needs, and everything worth printing on the way."""

    x: Array  # (B, D)
    eps: Array  # (L, B, J)
    beta: float
    trunk: tuple[HiddenCache, ...]  # one of each hidden layer of the encoder ...
    h: Array  # (B, H) ... and what the last one gives to both heads
    mu: Array  # (B, J)
    raw_logvar: Array  # (B, J) before the bound
    logvar: Array  # (B, J)
    decoder: tuple[HiddenCache, ...]  # one of each hidden layer of the decoder ...
    hz: Array  # (L·B, H) ... and what the last one gives to the output
    out: Array  # (L, B, D) what the likelihood takes: logits, or a mean
    terms: Terms  # what the objective is made of: nll (L, B), kl (B, J), z (L, B, J), …

    @property
    def nll(self) -> Array:
        """-log p(x | z) of every draw and datum, (L, B), nats."""
        return self.terms.nll

    @property
    def kl(self) -> Array:
        """KL of every datum and latent dimension, (B, J), nats."""
        return self.terms.kl

    @property
    def z(self) -> Array:
        """The codes drawn, (L, B, J)."""
        return self.terms.z


def elbo_forward(
    K: Any,
    p: Parameters,
    x: Array,
    eps: Array,
    beta: float,
    config: ModelConfig,
    weight: Array | None = None,
) -> tuple[Array, Cache]:
    """The loss of a batch, in nats per datum; for the objective "elbo" it is the negative ELBO

    mean_n [ mean_l nll_ln ] + β Σ_j max(free_bits, mean_n kl_nj)                       (E28)

    x (B, D), eps (L, B, J) from N(0, I) -> loss (), cache. The objective is the only place where
    a mean over the batch is taken; weight (B,) is how much each datum counts in it (E64). Kingma &
    Welling 2014, equations 7 and 10.
    """
    depth, kind = len(config.hidden), config.activation
    objective = OBJECTIVES[config.objective]
    L, B, J = eps.shape

    h, trunk = mlp_forward(K, p, "encoder", x, depth, kind)  # (B, H)                  E25
    mu = linear_forward(K, p, "encoder.mu", h)  # (B, J)
    raw_logvar = linear_forward(K, p, "encoder.logvar", h)  # (B, J)
    logvar = K.bound_logvar_forward(raw_logvar)  # within ±40, lest exp overflow
    z = K.reparameterise_forward(mu, logvar, eps)  # (L, B, J)                         E26
    hz, decoder = mlp_forward(K, p, "decoder", z.reshape(L * B, J), depth, kind)
    out = linear_forward(K, p, "decoder.out", hz).reshape(L, B, -1)  # (L, B, D)
    nll = nll_forward(K, p, out, x, config)  # (L, B)                            E20, E23
    kl = K.kl_forward(mu, logvar)  # (B, J)                                            E15
    terms = Terms(nll, kl, mu, logvar, z, eps, weight)
    loss = objective.forward(K, terms, beta, config.free_bits)  # ()                   E28

    return loss, Cache(x, eps, beta, trunk, h, mu, raw_logvar, logvar, decoder, hz, out, terms)


def elbo_backward(
    K: Any, dloss: Array, cache: Cache, p: Parameters, config: ModelConfig
) -> Parameters:
    """The gradient of `elbo_forward` in every parameter, by p's names   (E29)

    dloss () -> {name: gradient of that tensor's shape}.
    """
    kind = config.activation
    objective = OBJECTIVES[config.objective]
    x, eps, beta, trunk, h, _mu, raw_logvar, logvar, decoder, hz, out, terms = cache
    L, B, J = eps.shape
    g: Parameters = {}

    d = objective.backward(K, dloss, terms, beta, config.free_bits)  #          E16, E28
    dnll, dmu_kl, dlogvar_kl = d  # (L, B), (B, J), (B, J)
    dout = nll_backward(K, p, g, dnll, out, x, config)  # (L, B, D)              E21, E24
    dout = dout.reshape(L * B, -1)
    linear_backward(K, g, "decoder.out", dout, hz)
    dhz = K.dense_backward_input(dout, p["decoder.out.W"])  # (L·B, H)
    dz = mlp_backward(K, p, g, "decoder", dhz, decoder, kind, input_gradient=True)
    dmu_z, dlogvar_z = K.reparameterise_backward(dz.reshape(L, B, J), logvar, eps)  #  E27
    dmu = dmu_z + dmu_kl  # (B, J): two paths meet, the reconstruction's and the KL's
    dlogvar = K.bound_logvar_backward(dlogvar_z + dlogvar_kl, raw_logvar)
    linear_backward(K, g, "encoder.logvar", dlogvar, h)
    linear_backward(K, g, "encoder.mu", dmu, h)
    if trunk:  # both heads stand on one trunk, so their gradients add              E25
        dh = K.dense_backward_input(dmu, p["encoder.mu.W"])
        dh = dh + K.dense_backward_input(dlogvar, p["encoder.logvar.W"])
        mlp_backward(K, p, g, "encoder", dh, trunk, kind, input_gradient=False)
    return g


def nll_forward(K: Any, p: Parameters, out: Array, x: Array, config: ModelConfig) -> Array:
    """-log p(x | z) in nats from the decoder's output: (L, B, D) -> (L, B)

    (E20, E23, E52 to E57, E66), whichever likelihood it is.
    """
    return LIKELIHOODS[config.likelihood].nll_forward(K, out, x, beside_output(p, x, config))


def nll_backward(
    K: Any, p: Parameters, g: Parameters, dnll: Array, out: Array, x: Array, config: ModelConfig
) -> Array:
    """Its gradient in the decoder's output, and in log c where c is learned

    (E21, E24, E52 to E57, E66), whichever likelihood it is.
    """
    likelihood = LIKELIHOODS[config.likelihood]
    dout, dlogc = likelihood.nll_backward(K, dnll, out, x, beside_output(p, x, config))
    if likelihood.scale is not None and config.learns_c:
        g[likelihood.scale.tensor] = dlogc
    return dout


def beside_output(p: Parameters, x: Array, config: ModelConfig) -> tuple[Any, ...]:
    """What the likelihood takes besides the decoder's output and x.

    log c, a parameter where c is learned and a constant in x's precision where it is given; the
    sizes of the groups of columns; or nothing.
    """
    likelihood = LIKELIHOODS[config.likelihood]
    extra: tuple[Any, ...] = (config.groups,) if likelihood.grouped else ()
    if likelihood.scale is None:
        return extra
    if config.learns_c:
        return (p[likelihood.scale.tensor], *extra)
    shape = likelihood.scale.shape(config.data_dim)
    return (np.full_like(x, log_scale(config.c), shape=shape), *extra)


def encode(K: Any, p: Parameters, x: Array, config: ModelConfig) -> tuple[Array, Array]:
    """The posterior q(z | x) = N(mu, exp(logvar)): x (B, D) -> mu, logvar (B, J)   (E25)"""
    h = hidden_layers(K, p, "encoder", x, len(config.hidden), config.activation)
    mu = linear_forward(K, p, "encoder.mu", h)
    return mu, K.bound_logvar_forward(linear_forward(K, p, "encoder.logvar", h))


def decode(K: Any, p: Parameters, z: Array, config: ModelConfig) -> Array:
    """The decoder's output, what the likelihood takes: z (B, J) -> (B, D)   (E10)"""
    return decode_output(K, p, decode_hidden(K, p, z, config))


def decode_hidden(K: Any, p: Parameters, z: Array, config: ModelConfig) -> Array:
    """The decoder's last hidden layer: z (B, J) -> (B, H)                   (E10)"""
    return hidden_layers(K, p, "decoder", z, len(config.hidden), config.activation)


def decode_output(K: Any, p: Parameters, h: Array) -> Array:
    """The decoder's output from its last hidden layer: h (B, H) -> (B, D)   (E10)"""
    return linear_forward(K, p, "decoder.out", h)


def decode_mean(K: Any, p: Parameters, z: Array, config: ModelConfig) -> Array:
    """E[x | z], the picture itself: z (B, J) -> (B, D)                  (E10, E22)"""
    out = decode(K, p, z, config)
    return LIKELIHOODS[config.likelihood].mean(K, out, *beside_output(p, out, config))


def layout_of(config: ModelConfig) -> Layout:
    """Where each parameter lies in the flat buffer: encoder, heads, decoder, log c."""
    D, J, hidden = config.data_dim, config.latent_dim, config.hidden
    shapes: dict[str, Shape] = {}

    def dense(name: str, I: int, O: int) -> None:
        shapes[f"{name}.W"], shapes[f"{name}.b"] = (I, O), (O,)

    trunk, mirror = (D, *hidden), (J, *reversed(hidden))
    for i in range(len(hidden)):
        dense(f"encoder.{i}", trunk[i], trunk[i + 1])
    dense("encoder.mu", trunk[-1], J)
    dense("encoder.logvar", trunk[-1], J)
    for i in range(len(hidden)):
        dense(f"decoder.{i}", mirror[i], mirror[i + 1])
    dense("decoder.out", mirror[-1], D)
    scale = LIKELIHOODS[config.likelihood].scale
    if scale is not None and config.learns_c:
        shapes[scale.tensor] = scale.shape(D)
    return Layout.of(shapes)
