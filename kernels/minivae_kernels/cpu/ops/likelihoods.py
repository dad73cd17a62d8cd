"""The likelihoods: each is a loop over outputs and data, its ops, and one row of LIKELIHOODS.

A loop turns a decoder's outputs, in place, into their gradients, and leaves what the negative
log-likelihood is summed from. The ops call it a row at a time, the training step a panel's rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from minivae_kernels.cpu.compile.decorators import inline
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import F32, asked, declining
from minivae_kernels.cpu.ops.likelihood_kernel import (
    LikelihoodLoop,
    gradients,
    loop,
    nll,
    nll_gradients,
    slope_loop,
    value_loop,
)
from minivae_kernels.cpu.ops.likelihood_ufuncs import slope_ufunc, value_ufunc
from minivae_kernels.cpu.threads import pool

f32 = np.float32
LOG_2PI = math.log(2 * math.pi)


LIKELIHOODS: dict[str, LikelihoodLoop] = {}
OPS: list[Callable[..., Any]] = []


def add(name: str, likelihood: LikelihoodLoop, *ops: Callable[..., Any]) -> None:
    """Serve a likelihood's ops, and its loop to the training step, under its name."""
    LIKELIHOODS[name] = likelihood
    OPS.extend(ops)


def _bernoulli(i, a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    e = m.exp_negative(-m.magnitude(a[i]))
    u = f32(1) + e
    positive = m.kept_where_positive(a[i], a[i])
    terms[i] = positive - x[i] * a[i]
    factors[i] = u
    a[i] = scale * ((f32(1) if a[i] > f32(0) else e) / u - x[i])


def _bernoulli_value(i, a, x, terms, factors):  # type: ignore[no-untyped-def]
    terms[i] = m.kept_where_positive(a[i], a[i]) - x[i] * a[i]
    factors[i] = f32(1) + m.exp_negative(-m.magnitude(a[i]))


def _bernoulli_slope(i, a, x, scale):  # type: ignore[no-untyped-def]
    e = m.exp_negative(-m.magnitude(a[i]))
    a[i] = scale * ((f32(1) if a[i] > f32(0) else e) / (f32(1) + e) - x[i])


BERNOULLI = LikelihoodLoop(
    loop("bernoulli_loop", _bernoulli),
    logarithms=True,
    value=value_loop("bernoulli_value", _bernoulli_value),
)
BERNOULLI_SLOPE = slope_loop("bernoulli_slope", _bernoulli_slope)
_bernoulli_nll = value_ufunc("bernoulli_nll_forward", BERNOULLI)
_bernoulli_gradient = slope_ufunc("bernoulli_nll_backward", BERNOULLI_SLOPE)


@declining
def bernoulli_nll_forward(reference):  # type: ignore[no-untyped-def]
    checked = partial(nll, "bernoulli_nll_forward", BERNOULLI)

    def bernoulli_nll_forward(logits: Any, x: Any) -> np.ndarray:
        """Σ_d softplus(logit) - x logit, in nats: (L, B, D) -> (L, B)        (E23)"""
        if (
            type(logits) is type(x) is ndarray and logits.dtype is x.dtype is F32
            and logits.ndim == 3 and x.shape == logits.shape[1:]
            and (pool.is_up or logits.size <= _bernoulli_nll.small)
            and logits.flags.c_contiguous and x.flags.c_contiguous
        ):  # fmt: skip
            return _bernoulli_nll.ufunc(logits, x, f32(0))  # type: ignore[no-any-return]
        return asked(reference, checked, logits, x)  # type: ignore[no-any-return]

    return bernoulli_nll_forward


def bernoulli_nll_grad(dnll: Any, logits: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """nll (L, B) and dlogits (L, B, D) in one pass over the logits       (E23, E24)"""
    return nll_gradients("bernoulli_nll_grad", BERNOULLI, dnll, logits, x)[:2]


@declining
def bernoulli_nll_backward(reference):  # type: ignore[no-untyped-def]
    checked = partial(gradients, "bernoulli_nll_backward", BERNOULLI_SLOPE)

    def bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> np.ndarray:
        """dlogits = dnll (s(logit) - x)                                      (E24)"""
        if (
            type(dnll) is type(logits) is type(x) is ndarray
            and dnll.dtype is logits.dtype is x.dtype is F32 and logits.ndim == 3
            and dnll.shape == logits.shape[:2] and x.shape == logits.shape[1:]
            and (pool.is_up or logits.size <= _bernoulli_gradient.small)
            and logits.flags.c_contiguous and x.flags.c_contiguous
        ):  # fmt: skip
            return _bernoulli_gradient.ufunc(dnll, logits, x)  # type: ignore[no-any-return]
        return asked(reference, checked, dnll, logits, x)  # type: ignore[no-any-return]

    return bernoulli_nll_backward


add("bernoulli", BERNOULLI, bernoulli_nll_forward, bernoulli_nll_backward, bernoulli_nll_grad)


def _gaussian(i, y, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    r = y[i] - x[i]
    terms[i] = r * r
    y[i] = scale * r


def _gaussian_value(i, y, x, terms, factors):  # type: ignore[no-untyped-def]
    r = y[i] - x[i]
    terms[i] = r * r


GAUSSIAN = LikelihoodLoop(
    loop("gaussian_loop", _gaussian),
    weight=0.5,
    constant=LOG_2PI,
    value=value_loop("gaussian_value", _gaussian_value),
    work=1,
)
_gaussian_nll = value_ufunc("gaussian_nll_forward", GAUSSIAN)


@declining
def gaussian_nll_forward(reference):  # type: ignore[no-untyped-def]
    checked = partial(nll, "gaussian_nll_forward", GAUSSIAN)

    def gaussian_nll_forward(mean: Any, x: Any, logc: Any) -> np.ndarray:
        """½ [D (log 2π + log c) + ‖x - mean‖² / c], in nats                  (E20)"""
        if (
            type(mean) is type(x) is ndarray and mean.dtype is x.dtype is F32
            and type(logc) in (f32, ndarray) and logc.dtype is F32 and logc.ndim == 0
            and mean.ndim == 3 and x.shape == mean.shape[1:]
            and (pool.is_up or mean.size <= _gaussian_nll.small)
            and mean.flags.c_contiguous and x.flags.c_contiguous
        ):  # fmt: skip
            return _gaussian_nll.ufunc(mean, x, logc)  # type: ignore[no-any-return]
        return asked(reference, checked, mean, x, logc)  # type: ignore[no-any-return]

    return gaussian_nll_forward


def gaussian_nll_backward(dnll: Any, mean: Any, x: Any, logc: Any) -> tuple[np.ndarray, Any]:
    """dmean (L, B, D) and dlogc ()                                       (E21)"""
    return nll_gradients("gaussian_nll_backward", GAUSSIAN, dnll, mean, x, logc)[1:]


add("gaussian", GAUSSIAN, gaussian_nll_forward, gaussian_nll_backward)


def _laplace(i, y, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    r = y[i] - x[i]
    terms[i] = m.magnitude(r)
    side = f32(1) if r > f32(0) else r * f32(0)  # a NaN stays one
    y[i] = scale * (f32(-1) if r < f32(0) else side)


LAPLACE = LikelihoodLoop(loop("laplace_loop", _laplace), constant=math.log(2))


def laplace_nll_forward(mean: Any, x: Any, logb: Any) -> np.ndarray:
    """D (log 2 + log b) + Σ_d |x_d - mean_d| / b, in nats                (E53)"""
    return nll("laplace_nll_forward", LAPLACE, mean, x, logb)


def laplace_nll_backward(dnll: Any, mean: Any, x: Any, logb: Any) -> tuple[np.ndarray, Any]:
    """dmean = dnll sign(mean - x) / b, and dlogb ()                      (E53)"""
    return nll_gradients("laplace_nll_backward", LAPLACE, dnll, mean, x, logb)[1:]


add("laplace", LAPLACE, laplace_nll_forward, laplace_nll_backward)


# A(a) = a/2 + a²/24 - a⁴/2880 + … near 0, and its derivative
A0, A1, A2, A3 = f32(1 / 24), f32(-1 / 2880), f32(1 / 181440), f32(-1 / 9676800)


def _continuous_bernoulli(i, a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    b = a[i]
    size = m.magnitude(b)
    near = size < f32(0.5)
    far = f32(1) if near else size
    y = b * b if near else f32(0)
    t = m.exp_negative(-far)
    rest = f32(1) - t
    above = m.kept_where_positive(b, b) + m.log(rest / far)
    around = m.fma(m.fma(m.fma(m.fma(A3, y, A2), y, A1), y, A0), y, f32(0.5) * b)
    slope = m.fma(m.fma(m.fma(f32(8) * A3, y, f32(6) * A2), y, f32(4) * A1), y, f32(2) * A0)
    upper, lower = f32(1) / rest - f32(1) / far, f32(1) / far - t / rest
    mean = upper if b > f32(0) else lower
    terms[i] = (around if near else above) - x[i] * b
    a[i] = scale * ((m.fma(slope, b, f32(0.5)) if near else mean) - x[i])


CONTINUOUS_BERNOULLI = LikelihoodLoop(loop("continuous_bernoulli_loop", _continuous_bernoulli))


def continuous_bernoulli_nll_forward(logits: Any, x: Any) -> np.ndarray:
    """Σ_d A(logit) - x logit with A(a) = log((exp a - 1) / a), in nats   (E54)"""
    return nll("continuous_bernoulli_nll_forward", CONTINUOUS_BERNOULLI, logits, x)


def continuous_bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> np.ndarray:
    """dlogits = dnll (A'(logit) - x)                                     (E54)"""
    op = "continuous_bernoulli_nll_backward"
    return nll_gradients(op, CONTINUOUS_BERNOULLI, dnll, logits, x)[1]


add(
    "continuous-bernoulli",
    CONTINUOUS_BERNOULLI,
    continuous_bernoulli_nll_forward,
    continuous_bernoulli_nll_backward,
)


@inline
def _up_to(factor, x):
    """The factor of x!, 1 beyond x."""
    return f32(factor) if f32(factor) <= x else f32(1)


@inline
def log_factorial(x):
    """log x! of a count: of the product, which float32 holds exactly up to 12!, or by Stirling's
    series at x + 1."""
    product = _up_to(2, x) * _up_to(3, x) * _up_to(4, x) * _up_to(5, x) * _up_to(6, x)
    product = product * (_up_to(7, x) * _up_to(8, x) * _up_to(9, x))
    product = product * (_up_to(10, x) * _up_to(11, x) * _up_to(12, x))
    z = x + f32(1)
    large = z > f32(13)
    log = m.log(z if large else product)
    inverse = f32(1) / z
    square = inverse * inverse
    series = m.fma(m.fma(f32(1 / 1260), square, f32(-1 / 360)), square, f32(1 / 12)) * inverse
    by_series = (z - f32(0.5)) * log - z + (f32(0.5 * LOG_2PI) + series)
    return by_series if large else log


def _poisson(i, a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    rate = m.exp(a[i])
    terms[i] = rate - x[i] * a[i] + log_factorial(x[i])
    a[i] = scale * (rate - x[i])


def _poisson_slope(i, a, x, scale):  # type: ignore[no-untyped-def]
    a[i] = scale * (m.exp(a[i]) - x[i])


POISSON = LikelihoodLoop(loop("poisson_loop", _poisson))
POISSON_SLOPE = slope_loop("poisson_slope", _poisson_slope)


def poisson_nll_forward(lograte: Any, x: Any) -> np.ndarray:
    """Σ_d exp(lograte) - x lograte + log x!, in nats                     (E55)"""
    return nll("poisson_nll_forward", POISSON, lograte, x)


def poisson_nll_backward(dnll: Any, lograte: Any, x: Any) -> np.ndarray:
    """dlograte = dnll (exp(lograte) - x)                                 (E55)"""
    return gradients("poisson_nll_backward", POISSON_SLOPE, dnll, lograte, x)


add("poisson", POISSON, poisson_nll_forward, poisson_nll_backward)
