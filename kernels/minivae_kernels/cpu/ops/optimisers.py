"""SGD with momentum and Adam, one pass over memory: 16 bytes read and 12 written a parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.ops import generic
from minivae_kernels.cpu.ops.arguments import in_place, precision
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
ADAM, SGD = range(2)
OPTIMISER_CODES = {"adam": ADAM, "sgd": SGD}


@inner
def sgd(theta, grad, velocity, lr, momentum):
    """velocity = momentum · velocity + grad; theta -= lr · velocity                      (E32)"""
    for i in range(len(theta)):
        velocity[i] = velocity[i] * momentum + grad[i]
        theta[i] = theta[i] - lr * velocity[i]


@inner
def adam(theta, grad, m, v, rate, beta1, rest1, beta2, rest2, correction, eps):
    """theta -= rate · m / (sqrt(v · correction) + eps), rounded as the reference rounds    (E33)"""
    for i in range(len(theta)):
        g = grad[i]
        first = f32(f32(m[i] * beta1) + f32(rest1 * g))
        second = f32(f32(v[i] * beta2) + f32(rest2 * f32(g * g)))
        m[i], v[i] = first, second
        below = np.sqrt(second * correction) + eps
        theta[i] = theta[i] - rate * first / below


@entry
def sgd_kernel(member, team, sync, theta, grad, velocity, lr, momentum):
    """One member's stretch."""
    if barrier(sync, team):
        a, b = share(len(theta), member, team)
        sgd(theta[a:b], grad[a:b], velocity[a:b], lr, momentum)


@entry
def adam_kernel(member, team, sync, theta, grad, m, v, k):
    """One member's stretch; k: the seven constants of `adam`."""
    if barrier(sync, team):
        a, b = share(len(theta), member, team)
        adam(theta[a:b], grad[a:b], m[a:b], v[a:b], k[0], k[1], k[2], k[3], k[4], k[5], k[6])


def _compiled(*buffers: Any) -> bool:
    """Whether all can be walked through, and changed, where they lie."""
    return all(
        isinstance(a, np.ndarray) and a.dtype == f32 and a.ndim == 1
        and a.flags.c_contiguous and a.flags.aligned
        for a in buffers
    )  # fmt: skip


def sgd_update(theta: Any, grad: Any, velocity: Any, lr: float, momentum: float) -> None:
    """velocity ← momentum · velocity + grad;  θ ← θ - lr · velocity      (E32)"""
    in_place("sgd_update", theta=theta, grad=grad, velocity=velocity)
    precision("sgd_update", theta, grad, velocity)
    if not _compiled(theta, grad, velocity):
        generic.sgd(theta, grad, velocity, lr, momentum)
        return
    run(sgd_kernel, team_for(theta.size), theta, grad, velocity, f32(lr), f32(momentum))


def adam_update(
    theta: Any, grad: Any, m: Any, v: Any, lr: float, beta1: float, beta2: float, eps: float, t: int
) -> None:
    """θ ← θ - lr m̂ / (√v̂ + eps)                                         (E33)"""
    in_place("adam_update", theta=theta, grad=grad, m=m, v=v)
    precision("adam_update", theta, grad, m, v)
    rate, correction = lr / (1 - beta1**t), 1 / (1 - beta2**t)
    if not _compiled(theta, grad, m, v):
        generic.adam(theta, grad, m, v, rate, beta1, beta2, correction, eps)
        return
    k = np.array([rate, beta1, 1 - beta1, beta2, 1 - beta2, correction, eps], dtype=f32)
    run(adam_kernel, team_for(theta.size), theta, grad, m, v, k)
