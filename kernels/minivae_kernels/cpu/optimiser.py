"""SGD with momentum and Adam, one pass over memory: 16 bytes read and 12 written a parameter."""

from __future__ import annotations

import numpy as np

from .compiler import inner

f32 = np.float32


@inner
def sgd(theta, grad, velocity, lr, momentum):
    """velocity = momentum · velocity + grad; theta -= lr · velocity                      (E32)"""
    for i in range(len(theta)):
        velocity[i] = f32(f32(velocity[i] * momentum) + grad[i])
        theta[i] = f32(theta[i] - f32(lr * velocity[i]))


@inner
def adam(theta, grad, m, v, rate, beta1, rest1, beta2, rest2, correction, eps):
    """theta -= rate · m / (sqrt(v · correction) + eps), rounded as the reference rounds    (E33)"""
    for i in range(len(theta)):
        g = grad[i]
        first = f32(f32(m[i] * beta1) + f32(rest1 * g))
        second = f32(f32(v[i] * beta2) + f32(rest2 * f32(g * g)))
        m[i], v[i] = first, second
        below = f32(f32(np.sqrt(f32(second * correction))) + eps)
        theta[i] = f32(theta[i] - f32(f32(rate * first) / below))
