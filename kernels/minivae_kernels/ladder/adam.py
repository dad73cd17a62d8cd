"""Adam over one flat buffer, from the formula as it reads to one pass at the speed of memory."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from minivae_kernels.ladder.base import Args, Ladder, chosen


def _inputs(rng: np.random.Generator, rows: int) -> Args:
    theta, grad, m = (rng.standard_normal(rows, dtype=np.float32) for _ in range(3))
    v = rng.random(rows, dtype=np.float32)
    return theta, grad, m, v, 1e-3, 0.9, 0.999, 1e-8, 7


LADDER = Ladder(op="adam_update", unit="parameter", rows=653_624, inputs=_inputs,
                work=lambda args: args[0].size, mutates=(0, 2, 3))  # fmt: skip


@LADDER.version(part=256)
def adam_v0(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """a Python loop over the parameters"""
    for i in range(len(theta)):
        m[i] = beta1 * m[i] + (1 - beta1) * grad[i]
        v[i] = beta2 * v[i] + (1 - beta2) * grad[i] ** 2
        below = math.sqrt(v[i] / (1 - beta2**t)) + eps
        theta[i] -= lr * (m[i] / (1 - beta1**t)) / below


@LADDER.version()
def adam_v1(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """whole arrays: a dozen passes over memory, each with a temporary of its own"""
    m[:] = beta1 * m + (1 - beta1) * grad
    v[:] = beta2 * v + (1 - beta2) * grad**2
    theta -= lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)


SCRATCH: dict[int, tuple[np.ndarray, np.ndarray]] = {}


@LADDER.version()
def adam_v2(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """the same passes into two buffers that are kept: nothing is allocated"""
    if len(theta) not in SCRATCH:
        SCRATCH[len(theta)] = np.empty_like(theta), np.empty_like(theta)
    a, b = SCRATCH[len(theta)]
    np.multiply(m, beta1, out=m)
    m += np.multiply(grad, 1 - beta1, out=a)
    np.multiply(v, beta2, out=v)
    np.multiply(grad, grad, out=a)
    v += np.multiply(a, 1 - beta2, out=a)
    np.sqrt(np.multiply(v, 1 / (1 - beta2**t), out=b), out=b)
    b += eps
    np.divide(m, b, out=a)
    theta -= np.multiply(a, lr / (1 - beta1**t), out=a)


@LADDER.version()
@njit
def adam_v3(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """one compiled pass: each byte touched once, but in float64, and divisions test for zero"""
    for i in range(len(theta)):
        m[i] = beta1 * m[i] + (1 - beta1) * grad[i]
        v[i] = beta2 * v[i] + (1 - beta2) * grad[i] * grad[i]
        below = math.sqrt(v[i] / (1 - beta2**t)) + eps
        theta[i] -= lr * (m[i] / (1 - beta1**t)) / below


@njit(error_model="numpy")
def _pass(theta, grad, m, v, rate, beta1, rest1, beta2, rest2, correction, eps):
    for i in range(len(theta)):
        m[i] = beta1 * m[i] + rest1 * grad[i]
        v[i] = beta2 * v[i] + rest2 * grad[i] * grad[i]
        theta[i] -= rate * m[i] / (np.sqrt(v[i] * correction) + eps)


@LADDER.version()
def adam_v4(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """constants taken out and rounded to float32, no test for zero: the loop vectorises"""
    constants = (lr / (1 - beta1**t), beta1, 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**t), eps)
    _pass(theta, grad, m, v, *(np.float32(c) for c in constants))


@LADDER.version(chosen=True)
def adam_v5(theta, grad, m, v, lr, beta1, beta2, eps, t):
    """chosen: the same pass, shared out among the team of threads"""
    chosen("adam_update")(theta, grad, m, v, lr, beta1, beta2, eps, t)
