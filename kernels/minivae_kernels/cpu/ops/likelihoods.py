"""The likelihoods: each is a loop over outputs and data, and one row of LIKELIHOODS.

A loop turns a decoder's outputs, in place, into their gradients, and leaves what the negative
log-likelihood is summed from. The ops call it a row at a time, the training step a panel's rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY, call
from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL, multiply_rows, sum_rows
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.elementwise import Loop
from minivae_kernels.cpu.threads.barrier import barrier, share
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.pool import run

f32 = np.float32
LOG_2PI = math.log(2 * math.pi)


class Likelihood(NamedTuple):
    """A likelihood of n numbers with a log-scale s (0 where it has none), in nats:

        nll = weight (n (constant + s) + exp(-s) Σ (terms + log factors))

    loop(a, x, terms, factors, scale): outputs a become scale · exp(s) ∂nll/∂a; terms and factors
    are filled. logarithms: whether there are factors at all; they must lie in [1, 2], since up to
    64 are multiplied before one logarithm is taken of them.
    """

    loop: Loop
    weight: float = 1.0
    constant: float = 0.0
    logarithms: bool = False


def _loop(name: str, function: Callable[..., None]) -> Loop:
    return Loop(name, function, ARRAY, ARRAY, ARRAY, ARRAY, types.float32)


def _bernoulli(a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        e = m.exp_negative(-m.magnitude(a[i]))
        u = f32(1) + e
        positive = m.kept_where_positive(a[i], a[i])
        terms[i] = positive - x[i] * a[i]
        factors[i] = u
        a[i] = scale * ((f32(1) if a[i] > f32(0) else e) / u - x[i])


BERNOULLI = Likelihood(_loop("bernoulli_loop", _bernoulli), logarithms=True)


def _gaussian(y, x, terms, factors, scale):  # type: ignore[no-untyped-def]
    for i in range(len(y)):
        r = y[i] - x[i]
        terms[i] = r * r
        y[i] = scale * r


GAUSSIAN = Likelihood(_loop("gaussian_loop", _gaussian), weight=0.5, constant=LOG_2PI)

LIKELIHOODS = {"bernoulli": BERNOULLI, "gaussian": GAUSSIAN}


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
def likelihood_kernel(member, team, sync, loop, numbers, dnll, out, x, nll, dout, dscale):
    """Rows of outputs (R, D) against x (B, D), R a multiple of B.

    numbers: weight, constant, whether there are logarithms, the log-scale. dout (R, D) or nothing;
    dscale[r] is row r's share of the log-scale's gradient.
    """
    if not barrier(sync, team):
        return
    D = out.shape[1]
    lines = (D + PANEL - 1) // PANEL
    terms = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    factors = np.ones((lines + 1) * PANEL, dtype=np.float32)
    line = np.empty(D, dtype=np.float32)
    weight, constant, logarithms, log_scale = numbers
    precision = np.exp(-log_scale)
    low, high = share(len(out), member, team)
    for r in range(low, high):
        upstream = dnll[r] if len(dnll) > 0 else f32(0)
        row = dout[r] if len(dout) > 0 else line
        copy(out[r], row)
        scale = f32(upstream * precision)
        call(loop, (row, x[r % len(x)], terms[:D], factors[:D], scale))
        total = _row_sum(terms, 0, lines, terms, lines * PANEL)
        if logarithms != 0:
            total += _row_log(factors, 0, lines, factors, lines * PANEL)
        total = precision * total
        nll[r] = f32(weight * (D * (constant + log_scale) + total))
        dscale[r] = upstream * (weight * (D - total))


EMPTY, NO_ROWS = np.zeros(0, dtype=np.float32), np.zeros((0, 0), dtype=np.float32)


def _check(op: str, out: Any, x: Any, dnll: Any = None) -> None:
    matrix(op, "x", x, (None, None))
    matrix(op, "the decoder's output", out, (None, *np.shape(x)))
    if dnll is not None:
        matrix(op, "dnll", dnll, np.shape(out)[:2])


def _rows(a: Any) -> np.ndarray:
    return flat(a).reshape(-1, np.shape(a)[-1]) if np.size(a) else NO_ROWS


def _evaluate(
    likelihood: Likelihood,
    dnll: Any,
    out: Any,
    x: Any,
    log_scale: Any = 0.0,
    *,
    gradient: bool = True,
) -> tuple[np.ndarray, np.ndarray, Any]:
    """nll (L, B), the outputs' gradient (L, B, D) where asked for, and the log-scale's ()."""
    shape = np.shape(out)
    nll = np.zeros(shape[:2], dtype=np.float32)
    dout = fresh(shape if gradient else (0, 0))
    shares = np.zeros(nll.size, dtype=np.float64)
    if np.size(out):
        of = likelihood
        numbers = of.weight, of.constant, float(of.logarithms), float(log_scale)
        args = flat(dnll), _rows(out), _rows(x), nll.reshape(-1), dout.reshape(-1, shape[-1])
        run(likelihood_kernel, team_for(8 * np.size(out)), of.loop.address, numbers, *args, shares)
    return nll, dout, np.float32(shares.sum())


def bernoulli_nll_forward(logits: Any, x: Any) -> np.ndarray:
    """Σ_d softplus(logit) - x logit, in nats: (L, B, D) -> (L, B)        (E23)"""
    op = "bernoulli_nll_forward"
    _check(op, logits, x)
    float32_only(op, logits, x)
    return _evaluate(BERNOULLI, EMPTY, logits, x, gradient=False)[0]


def bernoulli_nll_backward(dnll: Any, logits: Any, x: Any) -> np.ndarray:
    """dlogits = dnll (s(logit) - x)                                      (E24)"""
    return bernoulli_nll_grad(dnll, logits, x)[1]


def bernoulli_nll_grad(dnll: Any, logits: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """nll (L, B) and dlogits (L, B, D) in one pass over the logits       (E23, E24)"""
    op = "bernoulli_nll_grad"
    _check(op, logits, x, dnll)
    float32_only(op, dnll, logits, x)
    return _evaluate(BERNOULLI, dnll, logits, x)[:2]


def gaussian_nll_forward(mean: Any, x: Any, logc: Any) -> np.ndarray:
    """½ [D (log 2π + log c) + ‖x - mean‖² / c], in nats                  (E20)"""
    op = "gaussian_nll_forward"
    _check(op, mean, x)
    float32_only(op, mean, x, logc)
    return _evaluate(GAUSSIAN, EMPTY, mean, x, logc, gradient=False)[0]


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
    float32_only(op, dnll, mean, x, logc)
    return _evaluate(GAUSSIAN, dnll, mean, x, logc)


OPS = (
    bernoulli_nll_forward,
    bernoulli_nll_backward,
    bernoulli_nll_grad,
    gaussian_nll_forward,
    gaussian_nll_backward,
    gaussian_nll_grad,
)
