"""The likelihoods' ops: negative log-likelihood and gradient of whole rows in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL, multiply_rows, sum_rows
from minivae_kernels.cpu.ops import generic
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, fresh, matrix, precision
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
BERNOULLI, GAUSSIAN = range(2)
LIKELIHOOD_CODES = {"bernoulli": BERNOULLI, "gaussian": GAUSSIAN}
LOG_2PI = math.log(2 * math.pi)


@inner
def _bernoulli_row(a, x, linear, factor, d, dnll):
    """softplus(a) - x a as `linear` + log `factor`, and d = dnll (s(a) - x) where there is room."""
    for i in range(len(a)):
        e = m.exp(-m.magnitude(a[i]))
        positive = m.kept_where_positive(a[i], a[i])
        linear[i] = positive - x[i] * a[i]
        factor[i] = f32(1) + e
    for i in range(len(d)):
        e = m.exp(-m.magnitude(a[i]))
        d[i] = dnll * ((f32(1) if a[i] > f32(0) else e) / (f32(1) + e) - x[i])


@inner
def _row_sum(values, v0, lines, out, o0):
    """The sum of lines x 32 values: lane by lane in float32, then the lanes in float64."""
    total = 0.0
    for first in range(0, lines, 64):
        sum_rows(values, v0 + first * PANEL, min(64, lines - first), out, o0)
        for i in range(PANEL):
            total += np.float64(out[o0 + i])
    return total


@inner
def _row_log(factors, f0, lines, out, o0):
    """Σ log of lines x 32 factors in [1, 2]: up to 64 are multiplied before a logarithm."""
    total = 0.0
    for first in range(0, lines, 64):
        multiply_rows(factors, f0 + first * PANEL, min(64, lines - first), out, o0)
        for i in range(PANEL):
            total += np.float64(m.log(out[o0 + i]))
    return total


@entry
def bernoulli_kernel(member, team, sync, dnll, logits, x, nll, dlogits):
    """Rows of logits (R, D) against x (B, D), R a multiple of B; dlogits (R, D) or nothing."""
    if not barrier(sync, team):
        return
    D = logits.shape[1]
    lines = (D + PANEL - 1) // PANEL
    linear = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    factor = np.ones((lines + 1) * PANEL, dtype=np.float32)
    low, high = share(len(logits), member, team)
    for r in range(low, high):
        d = dlogits[r] if len(dlogits) > 0 else linear[:0]
        weight = dnll[r] if len(dnll) > 0 else f32(0)
        _bernoulli_row(logits[r], x[r % len(x)], linear[:D], factor[:D], d, weight)
        total = _row_sum(linear, 0, lines, linear, lines * PANEL)
        nll[r] = f32(total + _row_log(factor, 0, lines, factor, lines * PANEL))


@inner
def _gaussian_row(y, x, squares, d, weight):
    for i in range(len(y)):
        r = y[i] - x[i]
        squares[i] = r * r
    for i in range(len(d)):
        d[i] = weight * (y[i] - x[i])


@entry
def gaussian_kernel(member, team, sync, dnll, mean, x, logc, nll, dmean, dlogc):
    """The same for the Gaussian; dlogc[r] is each row's share."""
    if not barrier(sync, team):
        return
    D = mean.shape[1]
    lines = (D + PANEL - 1) // PANEL
    squares = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    precision_ = np.exp(-logc)
    low, high = share(len(mean), member, team)
    for r in range(low, high):
        d = dmean[r] if len(dmean) > 0 else squares[:0]
        weight = dnll[r] if len(dnll) > 0 else f32(0)
        _gaussian_row(mean[r], x[r % len(x)], squares[:D], d, f32(weight * precision_))
        total = precision_ * _row_sum(squares, 0, lines, squares, lines * PANEL)
        nll[r] = f32(0.5 * (D * (LOG_2PI + logc) + total))
        dlogc[r] = weight * (0.5 * (D - total))


EMPTY, NO_ROWS = np.zeros(0, dtype=np.float32), np.zeros((0, 0), dtype=np.float32)


def _check(op: str, out: Any, x: Any, dnll: Any = None) -> None:
    matrix(op, "x", x, (None, None))
    matrix(op, "the decoder's output", out, (None, *np.shape(x)))
    if dnll is not None:
        matrix(op, "dnll", dnll, np.shape(out)[:2])


def _rows(a: Any) -> np.ndarray:
    return flat(a).reshape(-1, np.shape(a)[-1]) if np.size(a) else NO_ROWS


def _bernoulli(dnll: Any, logits: Any, x: Any, gradient: bool) -> tuple[np.ndarray, np.ndarray]:
    shape = np.shape(logits)
    nll = np.zeros(shape[:2], dtype=np.float32)
    d = fresh(shape if gradient else (0, 0))
    if np.size(logits):
        args = flat(dnll), _rows(logits), _rows(x), nll.reshape(-1), d.reshape(-1, shape[-1])
        run(bernoulli_kernel, team_for(8 * np.size(logits)), *args)
    return nll, d


def bernoulli_nll_forward(logits: Any, x: Any) -> np.ndarray:
    """Σ_d softplus(logit) - x logit, in nats: (L, B, D) -> (L, B)        (E23)"""
    op = "bernoulli_nll_forward"
    _check(op, logits, x)
    if precision(op, logits, x) is not np.float32:
        return generic.bernoulli(np.zeros(np.shape(logits)[:2]), logits, x)[0]
    return _bernoulli(EMPTY, logits, x, False)[0]


def bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> np.ndarray:
    """dlogits = dnll (s(logit) - x)                                      (E24)"""
    return bernoulli_nll_grad(dnll, logits, x)[1]


def bernoulli_nll_grad(dnll: Any, logits: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """nll (L, B) and dlogits (L, B, D) in one pass over the logits       (E23, E24)"""
    op = "bernoulli_nll_grad"
    _check(op, logits, x, dnll)
    if precision(op, dnll, logits, x) is not np.float32:
        return generic.bernoulli(dnll, logits, x)
    return _bernoulli(dnll, logits, x, True)


def _gaussian(
    dnll: Any, mean: Any, x: Any, logc: Any, gradient: bool
) -> tuple[np.ndarray, np.ndarray, Any]:
    shape = np.shape(mean)
    nll = np.zeros(shape[:2], dtype=np.float32)
    d = fresh(shape if gradient else (0, 0))
    shares = np.zeros(nll.size, dtype=np.float64)
    if np.size(mean):
        out = nll.reshape(-1), d.reshape(-1, shape[-1]), shares
        args = flat(dnll), _rows(mean), _rows(x), float(logc)
        run(gaussian_kernel, team_for(2 * np.size(mean)), *args, *out)
    return nll, d, np.float32(shares.sum())


def gaussian_nll_forward(mean: Any, x: Any, logc: Any) -> np.ndarray:
    """½ [D (log 2π + log c) + ‖x - mean‖² / c], in nats                  (E20)"""
    op = "gaussian_nll_forward"
    _check(op, mean, x)
    if precision(op, mean, x, logc) is not np.float32:
        return generic.gaussian(np.zeros(np.shape(mean)[:2]), mean, x, logc)[0]
    return _gaussian(EMPTY, mean, x, logc, False)[0]


def gaussian_nll_backward(dnll: Any, mean: Any, x: Any, logc: Any) -> tuple[np.ndarray, Any]:
    """dmean (L, B, D) and dlogc ()                                       (E21)"""
    _, dmean, dlogc = gaussian_nll_grad(dnll, mean, x, logc)
    return dmean, dlogc


def gaussian_nll_grad(
    dnll: Any, mean: Any, x: Any, logc: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """nll (L, B), dmean (L, B, D) and dlogc () in one pass               (E20, E21)"""
    op = "gaussian_nll_grad"
    _check(op, mean, x, dnll)
    if precision(op, dnll, mean, x, logc) is not np.float32:
        return generic.gaussian(dnll, mean, x, logc)
    return _gaussian(dnll, mean, x, logc, True)
