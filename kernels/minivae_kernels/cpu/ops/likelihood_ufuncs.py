"""The likelihoods' ops as NumPy's generalised ufuncs: a short way for arrays that lie plain.

Of a call of 30 µs, checks and views in Python took 10, and after a pause 50.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import allocating, inner
from minivae_kernels.cpu.compile.simd import PANEL, double_of_bits
from minivae_kernels.cpu.compile.ufunc import call_plain, floats_at, word_at
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops.elementwise import (
    CLEAR,
    CREW,
    FIRST_NUMBER,
    LOOP,
    N0,
    N1,
    N2,
    N3,
    WORK,
    Elementwise,
    answering,
)
from minivae_kernels.cpu.ops.likelihood_kernel import (
    SLOPE_WORK,
    LikelihoodLoop,
    sum_lines,
    sum_logarithms,
)
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.threads.crew import laid_out, rows_of_piece, share_out

f32 = np.float32


@allocating
def values_piece(k, member, rows, args, dims, steps, data):
    """-log p(x | z) of some rows of outputs, by a likelihood's `value`; a log-scale for all."""
    D, value = word_at(dims, N1), word_at(data, LOOP)
    weight, constant = number(data, N0), number(data, N1)
    lines = (D + PANEL - 1) // PANEL
    terms = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    factors = np.ones((lines + 1) * PANEL, dtype=np.float32)
    log_scale = np.float64(floats_at(word_at(args, N2), N1)[0])
    precision = np.exp(-log_scale)
    for r in range(k * rows, min((k + 1) * rows, word_at(dims, N0))):
        out = floats_at(row_at(args, steps, N0, r), D)
        x = floats_at(row_at(args, steps, N1, r), D)
        call(value, (out, x, terms[:D], factors[:D]))
        total = sum_lines(terms, 0, lines, terms, lines * PANEL)
        if number(data, N2) != 0:
            total += sum_logarithms(factors, 0, lines, factors, lines * PANEL)
        whole = D * (constant + log_scale) + precision * total
        floats_at(row_at(args, steps, N3, r), N1)[0] = f32(weight * whole)


@allocating
def slopes_piece(k, member, rows, args, dims, steps, data):
    """The gradients of some rows of outputs, by the loop of a likelihood without a scale."""
    D, slope = word_at(dims, N1), word_at(data, LOOP)
    for r in range(k * rows, min((k + 1) * rows, word_at(dims, N0))):
        upstream = floats_at(row_at(args, steps, N0, r), N1)[0]
        gradient = floats_at(row_at(args, steps, N3, r), D)
        copy(floats_at(row_at(args, steps, N1, r), D), gradient)
        call(slope, (gradient, floats_at(row_at(args, steps, N2, r), D), upstream))


@inner
def number(data, k):
    """The k-th of a ufunc's own numbers."""
    return double_of_bits(word_at(data, FIRST_NUMBER + k))


@inner
def row_at(args, steps, operand, r):
    """The address of an argument's r-th row."""
    return word_at(args, operand) + r * word_at(steps, operand)


def row_loop(name: str, piece: Any) -> Any:
    """The C loop that shares out rows."""

    @inner
    def whole(args, dims, steps, data):  # type: ignore[no-untyped-def]
        crew, total = word_at(data, CREW), word_at(dims, N0)
        rows = rows_of_piece(crew, total)
        job = laid_out(piece, (rows, args, dims, steps, data))
        work = total * word_at(dims, N1) * word_at(data, WORK)
        share_out(crew, job, (total + rows - 1) // rows, work)
        call_plain(word_at(data, CLEAR))

    return answering(name, whole)


_values, _slopes = row_loop("values_ufunc", values_piece), row_loop("slopes_ufunc", slopes_piece)


def value_ufunc(op: str, of: LikelihoodLoop) -> Elementwise:
    """nll (L, B) of outputs (L, B, D), data (B, D) and a log-scale (), all plain arrays."""
    numbers = of.weight, of.constant, float(of.logarithms)
    return Elementwise(op, _values, (3, 1), of.work, of.value, "(d),(d),()->()", numbers)


def slope_ufunc(op: str, slope: Loop) -> Elementwise:
    """dout (L, B, D) of dnll (L, B), outputs (L, B, D) and data (B, D), all plain arrays."""
    return Elementwise(op, _slopes, (3, 1), SLOPE_WORK, slope, "(),(d),(d)->(d)")
