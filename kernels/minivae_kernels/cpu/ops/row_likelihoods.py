"""Likelihoods that a panel's 32 outputs do not settle by themselves.

Three have a scale whose gradient is a sum of its own, for all columns or one a column; one is
over groups of columns. The training step scores them by rows, once all outputs are there
(step/row_scores.py). A new one is a loop, its two ops and an `add(…)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY
from minivae_kernels.cpu.compile.decorators import inline, inner
from minivae_kernels.cpu.compile.side_by_side import for_each
from minivae_kernels.cpu.compile.ufunc import floats_at, stack_floats
from minivae_kernels.cpu.gemm.address import stretch
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.likelihoods import log_factorial
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.ops.row_likelihood_kernel import grouped, grouped_gradient, scaled

f32 = np.float32
HALF_LOG_2PI, LOG_8_THIRDS = 0.5 * math.log(2 * math.pi), math.log(8 / 3)
GROUPS = types.int64[::1]
LANES = np.int64(16)
stack_lanes = stack_floats(int(LANES))


class RowLikelihood(NamedTuple):
    """A loop over outputs a, which become scale · ∂nll/∂a.

    With a log-scale s: loop(a, x, s, terms, slopes, scale) fills terms with what nll is the sum of,
    and slopes with ∂nll/∂s; s has an entry for every number. With groups: loop(a, x, groups, total,
    scale) takes one row; total[0] is its nll. each: every column has an s of its own.
    """

    loop: Loop
    grouped: bool = False
    each: bool = False


ROW_LIKELIHOODS: dict[str, RowLikelihood] = {}
OPS: list[Callable[..., Any]] = []


def add(name: str, likelihood: RowLikelihood, *ops: Callable[..., Any]) -> None:
    """Serve a likelihood's ops, and its loop to the training step, under its name."""
    ROW_LIKELIHOODS[name] = likelihood
    OPS.extend(ops)


def _scaled_loop(name: str, function: Callable[..., None]) -> Loop:
    return Loop(name, function, ARRAY, ARRAY, ARRAY, ARRAY, ARRAY, types.float32)


def _gaussian_diagonal(y, x, logc, terms, slopes, scale):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        r, precision = y[i] - x[i], m.exp(-logc[i])
        half = f32(0.5) * (precision * (r * r))
        terms[i] = f32(HALF_LOG_2PI) + f32(0.5) * logc[i] + half
        slopes[i] = f32(0.5) - half
        y[i] = scale * (precision * r)


GAUSSIAN_DIAGONAL = RowLikelihood(
    _scaled_loop("gaussian_diagonal_loop", _gaussian_diagonal), each=True
)


def gaussian_diagonal_nll_forward(mean: Any, x: Any, logc: Any) -> np.ndarray:
    """½ Σ_d [log 2π + log c_d + (x_d - mean_d)² / c_d], in nats          (E52)"""
    return scaled("gaussian_diagonal_nll_forward", GAUSSIAN_DIAGONAL.loop, None, mean, x, logc)[0]


def gaussian_diagonal_nll_backward(
    dnll: Any, mean: Any, x: Any, logc: Any
) -> tuple[np.ndarray, np.ndarray]:
    """dmean (L, B, D) and dlogc (D,)                                     (E52)"""
    op = "gaussian_diagonal_nll_backward"
    _, dmean, slopes = scaled(op, GAUSSIAN_DIAGONAL.loop, dnll, mean, x, logc)
    return dmean, slopes.sum(axis=0, dtype=np.float64).astype(f32)


add(
    "gaussian-diagonal",
    GAUSSIAN_DIAGONAL,
    gaussian_diagonal_nll_forward,
    gaussian_diagonal_nll_backward,
)


def _student_t(y, x, logb, terms, slopes, scale):  # type: ignore[no-untyped-def]
    precision = f32(0.25) * m.exp(f32(-2) * logb[0])  # one for all columns
    constant = f32(LOG_8_THIRDS) + logb[0]
    for i in range(len(y)):
        r = y[i] - x[i]
        q = precision * (r * r)
        terms[i] = constant + f32(2.5) * m.log(f32(1) + q)
        slopes[i] = f32(1) - f32(5) * (q / (f32(1) + q))
        y[i] = scale * (f32(5) * precision * r / (f32(1) + q))


STUDENT_T = RowLikelihood(_scaled_loop("student_t_loop", _student_t))


def student_t_nll_forward(mean: Any, x: Any, logb: Any) -> np.ndarray:
    """D (log 8/3 + log b) + 5/2 Σ_d log(1 + (x_d - mean_d)² / 4b²), in nats   (E66)"""
    return scaled("student_t_nll_forward", STUDENT_T.loop, None, mean, x, logb)[0]


def student_t_nll_backward(dnll: Any, mean: Any, x: Any, logb: Any) -> tuple[np.ndarray, Any]:
    """dmean = dnll 5 (mean - x) / (4b² (1 + q)), and dlogb ()            (E66)"""
    _, dmean, slopes = scaled("student_t_nll_backward", STUDENT_T.loop, dnll, mean, x, logb)
    return dmean, f32(slopes.sum(dtype=np.float64))


add("student-t", STUDENT_T, student_t_nll_forward, student_t_nll_backward)


@inline
def _factor(product, slope, factor, more):
    """One factor more of r (r + 1) … (r + x - 1), and of its derivative, where there are more."""
    longer = slope * factor + product
    return (product * factor if more else product), (longer if more else slope)


@inline
def _stirling(z):
    """What Stirling's formula leaves out of log Γ(z), and what ψ(z) lacks to log z; z >= 8"""
    inverse = f32(1) / z
    square = inverse * inverse
    series = m.fma(m.fma(f32(1 / 1260), square, f32(-1 / 360)), square, f32(1 / 12))
    falling = m.fma(m.fma(f32(5 / 1260), square, f32(-3 / 360)), square, f32(1 / 12))
    return series * inverse, m.fma(falling, square, f32(0.5) * inverse)


@inline
def rise(r, x):
    """log Γ(r + x) - log Γ(r) and its derivative in r, for a whole x: a logarithm of x factors.

    Eight factors are multiplied. The series has the others, and all where r is so large that
    eight might overflow: a difference of two large logarithms would lose its digits, so that of
    the numbers between which it runs, since and since + n, is written as log(1 + n / since).
    """
    near = r <= f32(1e4)
    most = x if near else f32(0)
    p, s, first = 1.0, 0.0, np.float64(r)  # one r is for all data: an error here would add up
    p, s = _factor(p, s, first + 0.0, f32(0) < most)
    p, s = _factor(p, s, first + 1.0, f32(1) < most)
    p, s = _factor(p, s, first + 2.0, f32(2) < most)
    p, s = _factor(p, s, first + 3.0, f32(3) < most)
    p, s = _factor(p, s, first + 4.0, f32(4) < most)
    p, s = _factor(p, s, first + 5.0, f32(5) < most)
    p, s = _factor(p, s, first + 6.0, f32(6) < most)
    p, s = _factor(p, s, first + 7.0, f32(7) < most)
    since = r + f32(8) if near else r
    more = x - f32(8) if near else x
    n = f32(0) if more < f32(0) else more
    to, growth = since + n, m.log1p(n / since)
    since_rest, since_lack = _stirling(since)
    to_rest, to_lack = _stirling(to)
    by = (since - f32(0.5)) * growth + (n * m.log(to) - n) + (to_rest - since_rest)
    return m.log(f32(p)) + by, s / p + np.float64(growth + (since_lack - to_lack))


def _negative_binomial(a, x, logr, terms, slopes, scale):  # type: ignore[no-untyped-def]
    r = m.exp(logr[0])  # one for all columns
    for i in range(len(a)):
        t, n = a[i] - logr[0], x[i]
        e = m.exp_negative(-m.magnitude(t))
        softplus = m.kept_where_positive(t, t) + m.log1p_unit(e)
        by, by_slope = rise(r, n)
        terms[i] = log_factorial(n) - by + (n + r) * softplus - n * t
        share = np.float64(e / (f32(1) + e)) * np.float64(n + r)
        slope = np.float64(r) - share if t > f32(0) else share - np.float64(n)
        slopes[i] = f32(np.float64(r) * (np.float64(softplus) - by_slope) - slope)
        a[i] = scale * f32(slope)


NEGATIVE_BINOMIAL = RowLikelihood(_scaled_loop("negative_binomial_loop", _negative_binomial))


def negative_binomial_nll_forward(logmean: Any, x: Any, logr: Any) -> np.ndarray:
    """Σ_d log Γ(r) + log x! - log Γ(x + r) + (x + r) softplus(t) - x t   (E56)"""
    op = "negative_binomial_nll_forward"
    return scaled(op, NEGATIVE_BINOMIAL.loop, None, logmean, x, logr)[0]


def negative_binomial_nll_backward(
    dnll: Any, logmean: Any, x: Any, logr: Any
) -> tuple[np.ndarray, Any]:
    """dlogmean = dnll ((x + r) s(t) - x), and dlogr ()                   (E56)"""
    op = "negative_binomial_nll_backward"
    _, dlogmean, slopes = scaled(op, NEGATIVE_BINOMIAL.loop, dnll, logmean, x, logr)
    return dlogmean, f32(slopes.sum(dtype=np.float64))


add(
    "negative-binomial",
    NEGATIVE_BINOMIAL,
    negative_binomial_nll_forward,
    negative_binomial_nll_backward,
)


@inner
def largest(a):
    """The largest of a, sixteen lanes at a time; a NaN that is not the first is passed over."""
    lanes = floats_at(stack_lanes(), LANES)
    for j in range(LANES):
        lanes[j] = a[0]
    whole = len(a) // LANES * LANES
    for first in range(0, whole, LANES):
        some = stretch(a, first, LANES)
        for j in range(LANES):
            lanes[j] = some[j] if some[j] > lanes[j] else lanes[j]
    top = a[0]
    for j in range(LANES):
        top = lanes[j] if lanes[j] > top else top
    for i in range(whole, len(a)):
        top = a[i] if a[i] > top else top
    return top


@inline
def _exponential(i, a, top):
    a[i] = m.exp_negative(a[i] - top)


@inline
def _softmax_slope(i, a, x, weight, scale):
    a[i] = scale * (weight * a[i] - x[i])


def _categorical(a, x, groups, total, scale):  # type: ignore[no-untyped-def]
    low, nll = 0, 0.0
    for g in range(len(groups)):
        some, want = stretch(a, low, groups[g]), stretch(x, low, groups[g])
        top, share, dot, mass = largest(some), 0.0, 0.0, 0.0
        for i in range(len(some)):
            share += np.float64(want[i])
            dot += np.float64(want[i]) * np.float64(some[i])
        for_each(_exponential, len(some), (some, top))
        for i in range(len(some)):
            mass += np.float64(some[i])
        nll += share * np.float64(m.log(f32(mass)) + top) - dot
        for_each(_softmax_slope, len(some), (some, want, f32(share / mass), scale))
        low += groups[g]
    total[0] = f32(nll)


CATEGORICAL = RowLikelihood(
    Loop("categorical_loop", _categorical, ARRAY, ARRAY, GROUPS, ARRAY, types.float32), grouped=True
)


def categorical_nll_forward(logits: Any, x: Any, groups: tuple[int, ...]) -> np.ndarray:
    """Σ_g [ log Σ_{d in g} exp(logit_d) - Σ_{d in g} x_d logit_d ], in nats   (E57)"""
    return grouped("categorical_nll_forward", CATEGORICAL.loop, logits, x, groups)


def categorical_nll_backward(dnll: Any, logits: Any, x: Any, groups: tuple[int, ...]) -> np.ndarray:
    """dlogits = dnll (softmax(logits) - x), group by group               (E57)"""
    op = "categorical_nll_backward"
    return grouped_gradient(op, CATEGORICAL.loop, dnll, logits, x, groups)


add("categorical", CATEGORICAL, categorical_nll_forward, categorical_nll_backward)
