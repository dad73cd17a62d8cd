"""The optimisers: one pass over parameters, gradient and moments; each is one row of OPTIMISERS.

A loop takes (theta, grad, m, v, k): at most two moments, of which it may leave some alone, and the
float32 constants k of this update, rounded as the reference rounds them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minivae_kernels.cpu.compile.by_address import ARRAY, call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.ops.arguments import float32_only, in_place, readable
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, pieces_of, share_out
from minivae_kernels.support import Unsupported

f32 = np.float32
CONSTANTS = 16  # room for those of one update: a cache line


class OptimiserLoop(NamedTuple):
    """The loop, and its constants(lr, *settings, t) at update t = 1, 2, …"""

    loop: Loop
    constants: Callable[..., tuple[float, ...]]


def _loop(name: str, function: Callable[..., None]) -> Loop:
    return Loop(name, function, ARRAY, ARRAY, ARRAY, ARRAY, ARRAY)


@inner
def update_piece(piece, member, loop, length, theta, grad, m, v, k):
    """One update of some of the parameters."""
    a = piece * length
    b = min(a + length, len(theta))
    call(loop, (theta[a:b], grad[a:b], m[a:b], v[a:b], k))


@entry
def update_kernel(crew, loop, theta, grad, m, v, k):
    """One update of all parameters, shared out."""
    count, length = pieces_of(crew, len(theta))
    job = laid_out(update_piece, (loop, length, theta, grad, m, v, k))
    share_out(crew, job, count, len(theta))


def _update(op: str, loop: Loop, theta: Any, grad: Any, moments: Any, k: tuple[float, ...]) -> None:
    """Run the loop on buffers that are changed where they lie."""
    buffers = theta, grad, *moments
    float32_only(op, *buffers)
    if not all(_walkable(a) for a in buffers):
        raise Unsupported(op, f"{op}: the buffers are not contiguous vectors of float32")
    constants = np.array(k, dtype=f32)
    update_kernel(crew_for(theta.size), loop.address, theta, readable(grad), moments[0],
                  moments[-1], constants)  # fmt: skip


def _walkable(a: Any) -> bool:
    return bool(
        isinstance(a, np.ndarray) and a.dtype == f32 and a.ndim == 1
        and a.flags.c_contiguous and a.flags.aligned
    )  # fmt: skip


def _sgd(theta, grad, velocity, _, k):  # type: ignore[no-untyped-def]
    lr, momentum = k[0], k[1]
    for i in range(len(theta)):
        velocity[i] = velocity[i] * momentum + grad[i]
        theta[i] = theta[i] - lr * velocity[i]


SGD = OptimiserLoop(_loop("sgd_loop", _sgd), lambda lr, momentum, t: (lr, momentum))


def sgd_update(theta: Any, grad: Any, velocity: Any, lr: float, momentum: float) -> None:
    """velocity ← momentum · velocity + grad;  θ ← θ - lr · velocity      (E32)"""
    in_place("sgd_update", grad, theta=theta, velocity=velocity)
    _update("sgd_update", SGD.loop, theta, grad, (velocity,), (lr, momentum))


def _adam(theta, grad, m, v, k):  # type: ignore[no-untyped-def]
    """Adam after weight decay; `kept` is what the decay leaves, 1 where there is none."""
    rate, beta1, rest1, beta2, rest2, correction, eps = k[0], k[1], k[2], k[3], k[4], k[5], k[6]
    kept = k[7]
    for i in range(len(theta)):
        g = grad[i]
        first = f32(f32(m[i] * beta1) + f32(rest1 * g))
        second = f32(f32(v[i] * beta2) + f32(rest2 * f32(g * g)))
        m[i], v[i] = first, second
        below = np.sqrt(second * correction) + eps
        theta[i] = f32(theta[i] * kept) - rate * first / below


def _adam_constants(lr: float, beta1: float, beta2: float, eps: float, t: int) -> tuple[float, ...]:
    rate, correction = lr / (1 - beta1**t), 1 / (1 - beta2**t)
    return rate, beta1, 1 - beta1, beta2, 1 - beta2, correction, eps, 1.0


ADAM = OptimiserLoop(_loop("adam_loop", _adam), _adam_constants)


def adam_update(
    theta: Any, grad: Any, m: Any, v: Any, lr: float, beta1: float, beta2: float, eps: float, t: int
) -> None:
    """θ ← θ - lr m̂ / (√v̂ + eps)                                         (E33)"""
    in_place("adam_update", grad, theta=theta, m=m, v=v)
    constants = _adam_constants(lr, beta1, beta2, eps, t)
    _update("adam_update", ADAM.loop, theta, grad, (m, v), constants)


def _adagrad(theta, grad, total, _, k):  # type: ignore[no-untyped-def]
    lr, eps = k[0], k[1]
    for i in range(len(theta)):
        g = grad[i]
        total[i] = f32(total[i] + f32(g * g))
        theta[i] = theta[i] - lr * f32(g / f32(np.sqrt(total[i]) + eps))


ADAGRAD = OptimiserLoop(_loop("adagrad_loop", _adagrad), lambda lr, eps, t: (lr, eps))


def adagrad_update(theta: Any, grad: Any, total: Any, lr: float, eps: float) -> None:
    """total ← total + grad²;  θ ← θ - lr · grad / (√total + eps)         (E58)"""
    in_place("adagrad_update", grad, theta=theta, total=total)
    _update("adagrad_update", ADAGRAD.loop, theta, grad, (total,), (lr, eps))


def _adamw_constants(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, t: int
) -> tuple[float, ...]:
    return (*_adam_constants(lr, beta1, beta2, eps, t)[:-1], 1 - lr * weight_decay)


ADAMW = OptimiserLoop(ADAM.loop, _adamw_constants)


def adamw_update(
    theta: Any, grad: Any, m: Any, v: Any, lr: float, beta1: float, beta2: float, eps: float,
    weight_decay: float, t: int,
) -> None:  # fmt: skip
    """θ ← (1 - lr · weight_decay) θ, then Adam's update (E33)           (E59)"""
    in_place("adamw_update", grad, theta=theta, m=m, v=v)
    constants = _adamw_constants(lr, beta1, beta2, eps, weight_decay, t)
    _update("adamw_update", ADAM.loop, theta, grad, (m, v), constants)


def _rmsprop(theta, grad, v, _, k):  # type: ignore[no-untyped-def]
    lr, decay, rest, eps = k[0], k[1], k[2], k[3]
    for i in range(len(theta)):
        g = grad[i]
        v[i] = f32(f32(v[i] * decay) + f32(rest * f32(g * g)))
        theta[i] = theta[i] - lr * f32(g / f32(np.sqrt(v[i]) + eps))


def _rmsprop_constants(lr: float, decay: float, eps: float, t: int = 0) -> tuple[float, ...]:
    return lr, decay, 1 - decay, eps


RMSPROP = OptimiserLoop(_loop("rmsprop_loop", _rmsprop), _rmsprop_constants)


def rmsprop_update(theta: Any, grad: Any, v: Any, lr: float, decay: float, eps: float) -> None:
    """v ← decay · v + (1 - decay) grad²;  θ ← θ - lr · grad / (√v + eps)   (E60)"""
    in_place("rmsprop_update", grad, theta=theta, v=v)
    constants = _rmsprop_constants(lr, decay, eps)
    _update("rmsprop_update", RMSPROP.loop, theta, grad, (v,), constants)


OPTIMISERS = {"adam": ADAM, "sgd": SGD, "adagrad": ADAGRAD, "adamw": ADAMW, "rmsprop": RMSPROP}
OPS = (adam_update, sgd_update, adagrad_update, adamw_update, rmsprop_update)
