"""Likelihoods that a panel's 32 outputs do not settle by themselves.

Two have a scale whose gradient is a sum of its own, one for all columns or one a column; one is
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
from minivae_kernels.cpu.compile.decorators import inline
from minivae_kernels.cpu.ops import vector_math as m
from minivae_kernels.cpu.ops.elementwise import Loop
from minivae_kernels.cpu.ops.likelihoods import log_factorial
from minivae_kernels.cpu.ops.row_likelihood_kernel import grouped, grouped_gradient, scaled

f32 = np.float32
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
GROUPS = types.int64[::1]


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
