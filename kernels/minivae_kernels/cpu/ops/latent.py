"""The stochastic layer's ops: the draw z = μ + σ ε, its KL, and both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inline
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.elementwise import gradient_loop, gradient_op, map_loop, map_op
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
LOGVAR_BOUND = f32(40.0)


@entry
def draw_kernel(member, team, sync, mu, logvar, eps, z, kl):
    """z (L, n) and, where it has room for it, kl (n,)."""
    if not barrier(sync, team):
        return
    low, high = share(len(mu), member, team)
    a, b = mu[low:high], logvar[low:high]
    for draw in range(len(eps)):
        e, out = eps[draw][low:high], z[draw][low:high]
        for i in range(len(a)):
            out[i] = a[i] + m.exp(f32(0.5) * b[i]) * e[i]
    if len(kl) > 0:
        price = kl[low:high]
        for i in range(len(a)):
            price[i] = f32(0.5) * (a[i] * a[i] + (m.expm1(b[i]) - b[i]))


@entry
def draw_backward_kernel(member, team, sync, dz, dkl, mu, logvar, eps, dmu, dlogvar):
    """dmu, dlogvar (n,) from dz (L, n), and from dkl (n,) where there is one."""
    if not barrier(sync, team):
        return
    low, high = share(len(logvar), member, team)
    lv, u, s = logvar[low:high], dmu[low:high], dlogvar[low:high]
    for i in range(len(u)):
        u[i] = s[i] = f32(0)
    for draw in range(len(dz)):
        d, e = dz[draw][low:high], eps[draw][low:high]
        for i in range(len(u)):
            u[i] = u[i] + d[i]
            s[i] = s[i] + d[i] * e[i]
    if len(dz) > 0:
        for i in range(len(u)):
            s[i] = s[i] * (f32(0.5) * m.exp(f32(0.5) * lv[i]))
    if len(dkl) > 0:
        k, a = dkl[low:high], mu[low:high]
        for i in range(len(u)):
            u[i] = u[i] + k[i] * a[i]
            s[i] = s[i] + k[i] * (f32(0.5) * m.expm1(lv[i]))


NOTHING, NO_DRAWS = np.zeros(0, dtype=np.float32), np.zeros((0, 0), dtype=np.float32)


def _shapes(op: str, logvar: Any, **others: Any) -> None:
    shape = np.shape(logvar)
    for name, a in others.items():
        drawn = name in ("eps", "dz")
        have = np.shape(a)
        if (have[1:] if drawn else have) != shape:
            matrix(op, name, a, (None, *shape) if drawn else shape)
    if "dz" in others and np.shape(others["dz"]) != np.shape(others["eps"]):
        raise ValueError(f"{op}: dz {np.shape(others['dz'])} and eps {np.shape(others['eps'])}")


def _draws(a: Any) -> np.ndarray:
    return flat(a).reshape(len(a), -1) if np.size(a) else NO_DRAWS


def reparameterise_forward(mu: Any, logvar: Any, eps: Any) -> np.ndarray:
    """z = μ + exp(logvar / 2) ε                                         (E26)"""
    op = "reparameterise_forward"
    _shapes(op, logvar, mu=mu, eps=eps)
    float32_only(op, mu, logvar, eps)
    return _draw(mu, logvar, eps, NOTHING)


def _draw(mu: Any, logvar: Any, eps: Any, kl: np.ndarray) -> np.ndarray:
    z = fresh(np.shape(eps))
    args = flat(mu), flat(logvar), _draws(eps), z.reshape(len(z), -1) if z.size else NO_DRAWS
    run(draw_kernel, team_for(8 * z.size), *args, kl)
    return z


def kl_forward(mu: Any, logvar: Any) -> np.ndarray:
    """(μ² + exp(logvar) - 1 - logvar) / 2, in nats                       (E15)"""
    _shapes("kl_forward", logvar, mu=mu)
    float32_only("kl_forward", mu, logvar)
    kl = fresh(np.shape(mu))
    run(draw_kernel, team_for(4 * kl.size), flat(mu), flat(logvar), NO_DRAWS, NO_DRAWS,
        kl.reshape(-1))  # fmt: skip
    return kl


def latent_forward(mu: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
    """z (L, B, J) and kl (B, J) in one pass                              (E26, E15)"""
    op = "latent_forward"
    _shapes(op, logvar, mu=mu, eps=eps)
    float32_only(op, mu, logvar, eps)
    kl = fresh(np.shape(mu))
    return _draw(mu, logvar, eps, kl.reshape(-1)), kl


def _backward(dz: Any, dkl: Any, mu: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
    shape = np.shape(logvar)
    dmu, dlogvar = fresh(shape), fresh(shape)
    args = _draws(dz), flat(dkl), flat(mu), flat(logvar), _draws(eps)
    work = 4 * (np.size(dz) + dmu.size)
    run(draw_backward_kernel, team_for(work), *args, dmu.reshape(-1), dlogvar.reshape(-1))
    return dmu, dlogvar


def reparameterise_backward(dz: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
    """dμ = Σ_l dz and dlogvar = Σ_l dz ε σ / 2                           (E27)"""
    op = "reparameterise_backward"
    _shapes(op, logvar, dz=dz, eps=eps)
    float32_only(op, dz, logvar, eps)
    return _backward(dz, NOTHING, NOTHING, logvar, eps)


def kl_backward(dkl: Any, mu: Any, logvar: Any) -> tuple[np.ndarray, np.ndarray]:
    """dμ = dkl μ and dlogvar = dkl (σ² - 1) / 2                          (E16)"""
    _shapes("kl_backward", logvar, dkl=dkl, mu=mu)
    float32_only("kl_backward", dkl, mu, logvar)
    return _backward(NO_DRAWS, dkl, mu, logvar, NO_DRAWS)


def latent_backward(
    dz: Any, dkl: Any, mu: Any, logvar: Any, eps: Any
) -> tuple[np.ndarray, np.ndarray]:
    """dmu, dlogvar (B, J) from both of `latent_forward`'s outputs        (E27, E16)"""
    op = "latent_backward"
    _shapes(op, logvar, dz=dz, dkl=dkl, mu=mu, eps=eps)
    float32_only(op, dz, dkl, mu, logvar, eps)
    return _backward(dz, dkl, mu, logvar, eps)


@inline
def bound_logvar(logvar):
    """min(max(logvar, -40), 40)                                         (E25)"""
    high = LOGVAR_BOUND if logvar > LOGVAR_BOUND else logvar
    return -LOGVAR_BOUND if high < -LOGVAR_BOUND else high


@inline
def bound_logvar_gradient(dbounded, logvar):
    """The gradient inside the bound, 0 outside it                       (E25)"""
    return m.kept_inside(dbounded, logvar, LOGVAR_BOUND)


_bound = map_loop("bound_logvar_forward", bound_logvar)
_bound_backward = gradient_loop("bound_logvar_backward", bound_logvar_gradient)

OPS = (
    reparameterise_forward,
    reparameterise_backward,
    kl_forward,
    kl_backward,
    latent_forward,
    latent_backward,
    map_op("bound_logvar_forward", _bound, bound_logvar),
    gradient_op("bound_logvar_backward", _bound_backward, bound_logvar_gradient),
)
