"""Gradient descent on one flat buffer, in place: every parameter of a model in a single call."""

from __future__ import annotations

import numpy as np

from minivae.types import Array


def sgd_update(theta: Array, grad: Array, velocity: Array, lr: float, momentum: float) -> None:
    """velocity ← momentum · velocity + grad;  θ ← θ - lr · velocity      (E32)

    theta, grad, velocity (P,); theta and velocity are changed in place.
    """
    velocity *= momentum
    velocity += grad
    theta -= lr * velocity


def adam_update(
    theta: Array, grad: Array, m: Array, v: Array,
    lr: float, beta1: float, beta2: float, eps: float, t: int,
) -> None:  # fmt: skip
    """θ ← θ - lr m̂ / (√v̂ + eps), m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)    (E33)

    theta, grad, m, v (P,); theta, m and v are changed in place; t = 1, 2, … counts the
    updates. Kingma & Ba 2015, algorithm 1.
    """
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * (grad * grad)
    rate = lr / (1 - beta1**t)
    theta -= rate * m / (np.sqrt(v * (1 / (1 - beta2**t))) + eps)


def adagrad_update(theta: Array, grad: Array, total: Array, lr: float, eps: float) -> None:
    """total ← total + grad²;  θ ← θ - lr · grad / (√total + eps)         (E58)

    theta, grad, total (P,); theta and total are changed in place. Duchi, Hazan & Singer 2011.
    """
    total += grad * grad
    theta -= lr * (grad / (np.sqrt(total) + eps))


def adamw_update(
    theta: Array, grad: Array, m: Array, v: Array,
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, t: int,
) -> None:  # fmt: skip
    """θ ← (1 - lr · weight_decay) θ, then Adam's update (E33)           (E59)

    theta, grad, m, v (P,); theta, m and v are changed in place. Loshchilov & Hutter 2019: the
    decay acts on the parameters themselves, not through the gradient's running means.
    """
    theta *= 1 - lr * weight_decay
    adam_update(theta, grad, m, v, lr, beta1, beta2, eps, t)


def rmsprop_update(
    theta: Array, grad: Array, v: Array, lr: float, decay: float, eps: float
) -> None:
    """v ← decay · v + (1 - decay) grad²;  θ ← θ - lr · grad / (√v + eps)   (E60)

    theta, grad, v (P,); theta and v are changed in place. Tieleman & Hinton 2012.
    """
    v *= decay
    v += (1 - decay) * (grad * grad)
    theta -= lr * (grad / (np.sqrt(v) + eps))
