"""One kernel for all likelihoods: it calls a likelihood's loop row by row, and adds up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from minivae_kernels.cpu.compile.by_address import ARRAY, call
from minivae_kernels.cpu.compile.decorators import allocating, entry, inline, inner
from minivae_kernels.cpu.compile.side_by_side import for_each
from minivae_kernels.cpu.compile.simd import PANEL, multiply_rows, sum_rows
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, rows_of_piece, share_out

f32 = np.float32
SLOPE_WORK = 2  # of an element, where the gradient is wanted alone (threads/crew.py)


class LikelihoodLoop(NamedTuple):
    """A likelihood of n numbers with a log-scale s (0 where it has none), in nats:

        nll = weight (n (constant + s) + exp(-s) Σ (terms + log factors))

    loop(a, x, terms, factors, scale): outputs a become scale · exp(s) ∂nll/∂a; terms and factors
    are filled. logarithms: whether there are factors at all; they must lie in [1, 2], since up to
    64 are multiplied before one logarithm is taken of them. value(a, x, terms, factors) fills them
    alone. work: of an element (threads/crew.py).
    """

    loop: Loop
    weight: float = 1.0
    constant: float = 0.0
    logarithms: bool = False
    value: Loop | None = None
    work: int = 4


def loop(name: str, turn: Callable[..., None]) -> Loop:
    """LikelihoodLoop.loop from what it does to element i."""
    each = inline(turn)

    def whole(a, x, terms, factors, scale):  # type: ignore[no-untyped-def]
        for_each(each, len(a), (a, x, terms, factors, scale))

    return Loop(name, whole, ARRAY, ARRAY, ARRAY, ARRAY, types.float32)


def value_loop(name: str, turn: Callable[..., None]) -> Loop:
    """LikelihoodLoop.value from what it does to element i."""
    each = inline(turn)

    def whole(a, x, terms, factors):  # type: ignore[no-untyped-def]
        for_each(each, len(a), (a, x, terms, factors))

    return Loop(name, whole, ARRAY, ARRAY, ARRAY, ARRAY)


@inline
def _itself(number):
    return number


def _sum_of_lanes(together: Any, of_lane: Any) -> Any:
    """Of lines x 32 values: 64 lines `together` lane by lane in float32, then the sum, in float64,
    of `of_lane` over the lanes."""

    @inner
    def total_of(values, v0, lines, out, o0):  # type: ignore[no-untyped-def]
        total = 0.0
        for first in range(0, lines, 64):
            together(values, v0 + first * PANEL, min(64, lines - first), out, o0)
            for i in range(PANEL):
                total += np.float64(of_lane(out[o0 + i]))
        return total

    return total_of


sum_lines = _sum_of_lanes(sum_rows, _itself)
# Σ log of factors in [1, 2]: up to 64 are multiplied before a logarithm is taken
sum_logarithms = _sum_of_lanes(multiply_rows, m.log)


@allocating
def rows_piece(k, member, loops, numbers, dnll, out, x, nll, dout, dscale):
    """Some rows of outputs (R, D) against x (B, D), R a multiple of B.

    loops: value and gradient, or the value alone; the other is 0. numbers: rows of a piece;
    weight, constant, whether there are logarithms, the log-scale. dout (R, D) or nothing;
    dscale[r] is row r's share of the log-scale's gradient.
    """
    D = out.shape[1]
    lines = (D + PANEL - 1) // PANEL
    terms = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    factors = np.ones((lines + 1) * PANEL, dtype=np.float32)
    line = np.empty(D, dtype=np.float32)
    rows, (weight, constant, logarithms, log_scale) = numbers
    precision = np.exp(-log_scale)
    loop, value = loops
    for r in range(k * rows, min((k + 1) * rows, len(out))):
        upstream = dnll[r] if len(dnll) > 0 else f32(0)
        if value != 0:
            call(value, (out[r], x[r % len(x)], terms[:D], factors[:D]))
        else:
            row = dout[r] if len(dout) > 0 else line
            copy(out[r], row)
            scale = f32(upstream * precision)
            call(loop, (row, x[r % len(x)], terms[:D], factors[:D], scale))
        total = sum_lines(terms, 0, lines, terms, lines * PANEL)
        if logarithms != 0:
            total += sum_logarithms(factors, 0, lines, factors, lines * PANEL)
        total = precision * total
        nll[r] = f32(weight * (D * (constant + log_scale) + total))
        dscale[r] = upstream * (weight * (D - total))


@entry
def likelihood_kernel(crew, work, loops, numbers, dnll, out, x, nll, dout, dscale):
    """All rows, shared out."""
    rows = rows_of_piece(crew, len(out))
    job = laid_out(rows_piece, (loops, (rows, numbers), dnll, out, x, nll, dout, dscale))
    share_out(crew, job, (len(out) + rows - 1) // rows, work)


@inner
def gradient_piece(k, member, loop, rows, dnll, out, x, dout):
    """The gradients alone of some rows of outputs."""
    for r in range(k * rows, min((k + 1) * rows, len(out))):
        copy(out[r], dout[r])
        call(loop, (dout[r], x[r % len(x)], dnll[r]))


@entry
def gradients_kernel(crew, loop, dnll, out, x, dout):
    """The gradients alone, shared out."""
    rows = rows_of_piece(crew, len(out))
    job = laid_out(gradient_piece, (loop, rows, dnll, out, x, dout))
    share_out(crew, job, (len(out) + rows - 1) // rows, SLOPE_WORK * out.size)


EMPTY, NO_ROWS = np.zeros(0, dtype=np.float32), np.zeros((0, 0), dtype=np.float32)


def _check(op: str, out: Any, x: Any, dnll: Any = None) -> None:
    matrix(op, "x", x, (None, None))
    matrix(op, "the decoder's output", out, (None, *np.shape(x)))
    if dnll is not None:
        matrix(op, "dnll", dnll, np.shape(out)[:2])


def _rows(a: Any) -> np.ndarray:
    return flat(a).reshape(-1, np.shape(a)[-1]) if np.size(a) else NO_ROWS


def nll(op: str, likelihood: LikelihoodLoop, out: Any, x: Any, *log_scale: Any) -> np.ndarray:
    """The op -log p(x | z) of outputs (L, B, D) and data (B, D): (L, B)."""
    _check(op, out, x)
    float32_only(op, out, x, *log_scale)
    return _evaluate(likelihood, EMPTY, out, x, *log_scale, gradient=False)[0]


def nll_gradients(
    op: str, likelihood: LikelihoodLoop, dnll: Any, out: Any, x: Any, *log_scale: Any
) -> tuple[np.ndarray, np.ndarray, Any]:
    """-log p(x | z) (L, B), and for upstream dnll (L, B) the gradients of outputs and log-scale."""
    _check(op, out, x, dnll)
    float32_only(op, dnll, out, x, *log_scale)
    return _evaluate(likelihood, dnll, out, x, *log_scale)


def _evaluate(
    likelihood: LikelihoodLoop,
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
        whole = gradient or of.value is None
        loops = (of.loop.address, 0) if whole else (0, of.value.address)
        numbers = of.weight, of.constant, float(of.logarithms), float(log_scale)
        args = flat(dnll), _rows(out), _rows(x), nll.reshape(-1), dout.reshape(-1, shape[-1])
        work = of.work * np.size(out)
        likelihood_kernel(crew_for(work), work, loops, numbers, *args, shares)
    return nll, dout, np.float32(shares.sum())


def gradients(op: str, loop: Loop, dnll: Any, out: Any, x: Any) -> np.ndarray:
    """The outputs' gradient alone, (L, B, D), of a likelihood without a scale.

    loop(a, x, scale): outputs a become scale · ∂nll/∂a.
    """
    _check(op, out, x, dnll)
    float32_only(op, dnll, out, x)
    dout = fresh(np.shape(out))
    if dout.size:
        args = flat(dnll), _rows(out), _rows(x), dout.reshape(-1, dout.shape[-1])
        gradients_kernel(crew_for(SLOPE_WORK * dout.size), loop.address, *args)
    return dout


def slope_loop(name: str, turn: Callable[..., None]) -> Loop:
    """A loop for `gradients`."""
    each = inline(turn)

    def whole(a, x, scale):  # type: ignore[no-untyped-def]
        for_each(each, len(a), (a, x, scale))

    return Loop(name, whole, ARRAY, ARRAY, types.float32)
