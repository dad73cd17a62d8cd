"""The stochastic layer's ops: the draw z = μ + σ ε, its KL, and both gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from minivae_kernels.cpu.compile.decorators import entry, inline, inner
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import (
    F32,
    asked,
    declining,
    flat,
    float32_only,
    fresh,
    matrix,
)
from minivae_kernels.cpu.ops.elementwise import (
    Elementwise,
    c_loop,
    gradient_op,
    map_op,
    part_of,
)
from minivae_kernels.cpu.threads import pool

f32 = np.float32
LOGVAR_BOUND = f32(40.0)


@inline
def drawn(mu, logvar, eps):
    """z = μ + exp(logvar / 2) ε                                         (E26)"""
    return mu + m.exp(f32(0.5) * logvar) * eps


@inline
def price(mu, logvar):
    """(μ² + exp(logvar) - 1 - logvar) / 2, in nats                       (E15)

    By a difference: off by up to about 1e-7 |logvar| near 0, where the reference has a series.
    """
    return f32(0.5) * (mu * mu + (m.expm1(logvar) - logvar))


@inline
def price_backward(dkl, mu, logvar):
    """dμ = dkl μ and dlogvar = dkl (σ² - 1) / 2                          (E16)"""
    return f32(0) + dkl * mu, f32(0) + dkl * (f32(0.5) * m.expm1(logvar))


@inline
def drawn_backward(dz, logvar, eps):
    """dμ = dz and dlogvar = dz ε σ / 2, of one draw                      (E27)"""
    return f32(0) + dz, (f32(0) + dz * eps) * (f32(0.5) * m.exp(f32(0.5) * logvar))


@inner
def add_draws(d, e, u, s):
    """u += Σ_l d and s += Σ_l d e for d, e (L, n)."""
    for draw in range(len(d)):
        given, noise = d[draw], e[draw]
        for i in range(len(u)):
            u[i] = u[i] + given[i]
            s[i] = s[i] + given[i] * noise[i]


@entry
def draws_kernel(dz, logvar, eps, dmu, dlogvar):
    """dmu, dlogvar (n,) from dz, eps (L, n)."""
    dmu[:] = f32(0)
    dlogvar[:] = f32(0)
    add_draws(dz, eps, dmu, dlogvar)
    for i in range(len(dlogvar)):
        dlogvar[i] = dlogvar[i] * (f32(0.5) * m.exp(f32(0.5) * logvar[i]))


_drawn = Elementwise(
    "reparameterise_forward", c_loop("draw_ufunc", part_of(drawn, 3, 1), 4), (3, 1), 2
)
_price = Elementwise("kl_forward", c_loop("price_ufunc", part_of(price, 2, 1), 3), (2, 1), 2)
_price_backward = Elementwise(
    "kl_backward", c_loop("price_backward_ufunc", part_of(price_backward, 3, 2), 5), (3, 2), 3
)
_draw_backward = Elementwise(
    "reparameterise_backward",
    c_loop("draw_backward_ufunc", part_of(drawn_backward, 3, 2), 5), (3, 2), 3,
)  # fmt: skip


def _shapes(op: str, logvar: Any, same: dict[str, Any], drawn: dict[str, Any]) -> None:
    """Raise unless `same` have logvar's shape, and `drawn` that behind an axis of draws."""
    shape = np.shape(logvar)
    for name, a in same.items():
        if np.shape(a) != shape:
            matrix(op, name, a, shape)
    for name, a in drawn.items():
        if np.shape(a)[1:] != shape:
            matrix(op, name, a, (None, *shape))
    if len({np.shape(a) for a in drawn.values()}) > 1:
        shown = " and ".join(f"{name} {np.shape(a)}" for name, a in drawn.items())
        raise ValueError(f"{op}: {shown} have different numbers of draws")


@declining
def reparameterise_forward(reference):  # type: ignore[no-untyped-def]
    def checked(mu: Any, logvar: Any, eps: Any) -> Any:
        _shapes("reparameterise_forward", logvar, {"mu": mu}, {"eps": eps})
        return _drawn(mu, logvar, eps)

    def reparameterise_forward(mu: Any, logvar: Any, eps: Any) -> np.ndarray:
        """z = μ + exp(logvar / 2) ε                                         (E26)"""
        if (
            type(mu) is type(logvar) is type(eps) is ndarray
            and mu.dtype is logvar.dtype is eps.dtype is F32
            and mu.shape == logvar.shape == eps.shape[1:]
            and (eps.size <= _drawn.small or pool.is_up)
        ):
            return _drawn.ufunc(mu, logvar, eps)  # type: ignore[no-any-return]
        return asked(reference, checked, mu, logvar, eps)  # type: ignore[no-any-return]

    return reparameterise_forward


@declining
def kl_forward(reference):  # type: ignore[no-untyped-def]
    def checked(mu: Any, logvar: Any) -> Any:
        _shapes("kl_forward", logvar, {"mu": mu}, {})
        return _price(mu, logvar)

    def kl_forward(mu: Any, logvar: Any) -> np.ndarray:
        """(μ² + exp(logvar) - 1 - logvar) / 2, in nats                       (E15)"""
        if (
            type(mu) is type(logvar) is ndarray
            and mu.dtype is logvar.dtype is F32
            and mu.shape == logvar.shape
            and (mu.size <= _price.small or pool.is_up)
        ):
            return _price.ufunc(mu, logvar)  # type: ignore[no-any-return]
        return asked(reference, checked, mu, logvar)  # type: ignore[no-any-return]

    return kl_forward


@declining
def latent_forward(reference):  # type: ignore[no-untyped-def]
    def checked(mu: Any, logvar: Any, eps: Any) -> Any:
        _shapes("latent_forward", logvar, {"mu": mu}, {"eps": eps})
        return _drawn(mu, logvar, eps), _price(mu, logvar)

    def latent_forward(mu: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
        """z (L, B, J) and kl (B, J)                                          (E26, E15)"""
        if (
            type(mu) is type(logvar) is type(eps) is ndarray
            and mu.dtype is logvar.dtype is eps.dtype is F32
            and mu.shape == logvar.shape == eps.shape[1:]
            and (eps.size <= _drawn.small or pool.is_up)
        ):
            return _drawn.ufunc(mu, logvar, eps), _price.ufunc(mu, logvar)
        return asked(reference, checked, mu, logvar, eps)  # type: ignore[no-any-return]

    return latent_forward


@declining
def reparameterise_backward(reference):  # type: ignore[no-untyped-def]
    def checked(dz: Any, logvar: Any, eps: Any) -> Any:
        _shapes("reparameterise_backward", logvar, {}, {"dz": dz, "eps": eps})
        float32_only("reparameterise_backward", dz, logvar, eps)
        if len(dz) == 1:
            return _draw_backward(dz[0], logvar, eps[0])
        dmu, dlogvar = fresh(np.shape(logvar)), fresh(np.shape(logvar))
        draws_kernel(_draws(dz), flat(logvar), _draws(eps), dmu.reshape(-1), dlogvar.reshape(-1))
        return dmu, dlogvar

    def reparameterise_backward(dz: Any, logvar: Any, eps: Any) -> tuple[np.ndarray, np.ndarray]:
        """dμ = Σ_l dz and dlogvar = Σ_l dz ε σ / 2                           (E27)"""
        if (
            type(dz) is type(logvar) is type(eps) is ndarray
            and dz.dtype is logvar.dtype is eps.dtype is F32
            and dz.shape == eps.shape == (1, *logvar.shape)
            and (logvar.size <= _draw_backward.small or pool.is_up)
        ):
            return _draw_backward.ufunc(dz[0], logvar, eps[0])  # type: ignore[no-any-return]
        return asked(reference, checked, dz, logvar, eps)  # type: ignore[no-any-return]

    return reparameterise_backward


def _draws(a: Any) -> np.ndarray:
    return flat(a).reshape(len(a), -1) if np.size(a) else NO_DRAWS


NO_DRAWS = np.zeros((0, 0), dtype=np.float32)


@declining
def kl_backward(reference):  # type: ignore[no-untyped-def]
    def checked(dkl: Any, mu: Any, logvar: Any) -> Any:
        _shapes("kl_backward", logvar, {"dkl": dkl, "mu": mu}, {})
        return _price_backward(dkl, mu, logvar)

    def kl_backward(dkl: Any, mu: Any, logvar: Any) -> tuple[np.ndarray, np.ndarray]:
        """dμ = dkl μ and dlogvar = dkl (σ² - 1) / 2                          (E16)"""
        if (
            type(dkl) is type(mu) is type(logvar) is ndarray
            and dkl.dtype is mu.dtype is logvar.dtype is F32
            and dkl.shape == mu.shape == logvar.shape
            and (mu.size <= _price_backward.small or pool.is_up)
        ):
            return _price_backward.ufunc(dkl, mu, logvar)  # type: ignore[no-any-return]
        return asked(reference, checked, dkl, mu, logvar)  # type: ignore[no-any-return]

    return kl_backward


@declining
def latent_backward(reference):  # type: ignore[no-untyped-def]
    def checked(dz: Any, dkl: Any, mu: Any, logvar: Any, eps: Any) -> Any:
        op = "latent_backward"
        _shapes(op, logvar, {"dkl": dkl, "mu": mu}, {"dz": dz, "eps": eps})
        float32_only(op, dz, dkl, mu, logvar, eps)
        u, s = reparameterise_backward(dz, logvar, eps)
        dmu, dlogvar = _price_backward(dkl, mu, logvar)
        return np.add(u, dmu, out=u), np.add(s, dlogvar, out=s)

    def latent_backward(
        dz: Any, dkl: Any, mu: Any, logvar: Any, eps: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """dmu, dlogvar (B, J) from both of `latent_forward`'s outputs        (E27, E16)"""
        if (
            type(dz) is type(dkl) is type(mu) is type(logvar) is type(eps) is ndarray
            and dz.dtype is dkl.dtype is mu.dtype is logvar.dtype is eps.dtype is F32
            and dkl.shape == mu.shape == logvar.shape
            and dz.shape == eps.shape == (1, *mu.shape)
            and (mu.size <= _price_backward.small or pool.is_up)
        ):
            u, s = _draw_backward.ufunc(dz[0], logvar, eps[0])
            dmu, dlogvar = _price_backward.ufunc(dkl, mu, logvar)
            return np.add(u, dmu, out=u), np.add(s, dlogvar, out=s)
        return asked(reference, checked, dz, dkl, mu, logvar, eps)  # type: ignore[no-any-return]

    return latent_backward


@inline
def bound_logvar(logvar):
    """min(max(logvar, -40), 40)                                         (E25)"""
    high = LOGVAR_BOUND if logvar > LOGVAR_BOUND else logvar
    return -LOGVAR_BOUND if high < -LOGVAR_BOUND else high


@inline
def bound_logvar_gradient(dbounded, logvar):
    """The gradient inside the bound, 0 outside it                       (E25)"""
    return m.kept_inside(dbounded, logvar, LOGVAR_BOUND)


OPS = (
    reparameterise_forward,
    reparameterise_backward,
    kl_forward,
    kl_backward,
    latent_forward,
    latent_backward,
    map_op("bound_logvar_forward", bound_logvar),
    gradient_op("bound_logvar_backward", bound_logvar_gradient),
)
