"""Neighbouring ops as one: here the plain composition, in a backend fewer passes over memory.

A fused op is an op like any other. What stands here says what it computes; a kernel of the
same name must agree with it. The dense ones serve where no backward pass follows
(`layers.hidden_layers`), the latent pair each datum's own posterior (`models/inference.py`), the
batch's every update; the Bernoulli loss with its gradient is what the
likelihood's ladder climbs to.
"""

from __future__ import annotations

import numpy as np

from minivae.ops.activation import relu_forward, tanh_forward
from minivae.ops.batch import binarise, gather
from minivae.ops.dense import dense_forward
from minivae.ops.latent import (
    kl_backward,
    kl_forward,
    reparameterise_backward,
    reparameterise_forward,
)
from minivae.ops.likelihood import bernoulli_nll_backward, bernoulli_nll_forward
from minivae.ops.philox import uniforms
from minivae.types import Array


def dense_relu_forward(x: Array, W: Array, b: Array) -> Array:
    """y = relu(x W + b); x (B, I), W (I, O), b (O,) -> y (B, O)          (E5, E7)"""
    return relu_forward(dense_forward(x, W, b))


def dense_relu_backward(dy: Array, y: Array) -> Array:
    """The gradient before the ReLU, read off its output: dy where y > 0  (E7)

    dy, y (B, O) -> da (B, O); (E6) takes it from there.
    """
    return np.where(y.real <= 0, 0, dy)


def dense_tanh_forward(x: Array, W: Array, b: Array) -> Array:
    """y = tanh(x W + b); x (B, I), W (I, O), b (O,) -> y (B, O)          (E5, E8)"""
    return tanh_forward(dense_forward(x, W, b))


def dense_tanh_backward(dy: Array, y: Array) -> Array:
    """The gradient before the tanh, read off its output: dy (1 - y)(1 + y)   (E8)

    dy, y (B, O) -> da (B, O). Where y has rounded to ±1 it is 0; `tanh_backward`, from the
    input, still has its digits there.
    """
    return dy * ((1 - y) * (1 + y))


def latent_forward(mu: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """The draw z (L, B, J) and its price kl (B, J)                       (E26, E15)"""
    return reparameterise_forward(mu, logvar, eps), kl_forward(mu, logvar)


def latent_backward(
    dz: Array, dkl: Array, mu: Array, logvar: Array, eps: Array
) -> tuple[Array, Array]:
    """dmu, dlogvar (B, J) from both of `latent_forward`'s outputs        (E27, E16)"""
    dmu_z, dlogvar_z = reparameterise_backward(dz, logvar, eps)
    dmu_kl, dlogvar_kl = kl_backward(dkl, mu, logvar)
    return dmu_z + dmu_kl, dlogvar_z + dlogvar_kl


def bernoulli_nll_grad(dnll: Array, logits: Array, x: Array) -> tuple[Array, Array]:
    """nll (L, B) and dlogits (L, B, D) in one pass over the logits       (E23, E24)"""
    return bernoulli_nll_forward(logits, x), bernoulli_nll_backward(dnll, logits, x)


def gather_binarise(
    data: Array, rows: Array, scale: float, seed: int, stream: int, step: int
) -> Array:
    """Rows of the data as a fresh Bernoulli draw of every pixel: (B, D) of 0 and 1   (E35)"""
    x = gather(data, rows, scale)
    return binarise(x, uniforms(seed, stream, step, rows, x.shape[1]))
