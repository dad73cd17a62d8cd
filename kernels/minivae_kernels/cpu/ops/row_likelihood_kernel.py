"""The row likelihoods' ops: one kernel for those with a log-scale, one for those over groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import allocating, entry
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm.pack import copy
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix, readable
from minivae_kernels.cpu.ops.likelihood_kernel import sum_lines
from minivae_kernels.cpu.ops.loops import Loop
from minivae_kernels.cpu.threads.count import crew_for
from minivae_kernels.cpu.threads.crew import laid_out, rows_of_piece, share_out

f32 = np.float32
WORK = 16  # of an element (threads/crew.py)
NO_ROWS = np.zeros((0, 0), dtype=np.float32)


@allocating
def scaled_piece(k, member, loop, rows, dnll, out, x, log_scales, nll, dout, slopes):
    """Some rows of outputs (R, D) against x (B, D), R a multiple of B; log_scales (D,).

    dout and slopes (R, D), or nothing: the gradients in the outputs and in each one's log-scale.
    """
    D = out.shape[1]
    lines = (D + PANEL - 1) // PANEL
    terms = np.zeros((lines + 1) * PANEL, dtype=np.float32)
    line, slope = np.empty(D, dtype=np.float32), np.empty(D, dtype=np.float32)
    for r in range(k * rows, min((k + 1) * rows, len(out))):
        upstream = dnll[r] if len(dnll) > 0 else f32(0)
        row = dout[r] if len(dout) > 0 else line
        copy(out[r], row)
        call(loop, (row, x[r % len(x)], log_scales, terms[:D], slope, upstream))
        nll[r] = f32(sum_lines(terms, 0, lines, terms, lines * PANEL))
        if len(slopes) > 0:
            made = slopes[r]
            for i in range(D):
                made[i] = upstream * slope[i]


@entry
def scaled_kernel(crew, loop, dnll, out, x, log_scales, nll, dout, slopes):
    """All rows, shared out."""
    rows = rows_of_piece(crew, len(out))
    job = laid_out(scaled_piece, (loop, rows, dnll, out, x, log_scales, nll, dout, slopes))
    share_out(crew, job, (len(out) + rows - 1) // rows, WORK * out.size)


@allocating
def grouped_piece(k, member, loop, rows, dnll, out, x, groups, nll, dout):
    """Some rows of outputs (R, D) against x (B, D), group of columns by group."""
    line = np.empty(out.shape[1], dtype=np.float32)
    for r in range(k * rows, min((k + 1) * rows, len(out))):
        upstream = dnll[r] if len(dnll) > 0 else f32(0)
        row = dout[r] if len(dout) > 0 else line
        copy(out[r], row)
        call(loop, (row, x[r % len(x)], groups, nll[r : r + 1], upstream))


@entry
def grouped_kernel(crew, loop, dnll, out, x, groups, nll, dout):
    """All rows, shared out."""
    rows = rows_of_piece(crew, len(out))
    job = laid_out(grouped_piece, (loop, rows, dnll, out, x, groups, nll, dout))
    share_out(crew, job, (len(out) + rows - 1) // rows, WORK * out.size)


def _rows(a: Any) -> np.ndarray:
    return flat(a).reshape(-1, np.shape(a)[-1]) if np.size(a) else NO_ROWS


def _checked(op: str, dnll: Any, out: Any, x: Any) -> tuple[np.ndarray, ...]:
    """dnll (R,), or empty; outputs (R, D); data (B, D); room for nll (L, B) and the gradient."""
    matrix(op, "x", x, (None, None))
    matrix(op, "the decoder's output", out, (None, *np.shape(x)))
    if dnll is not None:
        matrix(op, "dnll", dnll, np.shape(out)[:2])
    nll = np.zeros(np.shape(out)[:2], dtype=np.float32)
    dout = np.zeros((0, np.shape(x)[1]), f32) if dnll is None else fresh(np.shape(out))
    return flat(np.zeros(0, f32) if dnll is None else dnll), _rows(out), _rows(x), nll, dout


def scaled(
    op: str, loop: Loop, dnll: Any, out: Any, x: Any, log_scale: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """nll (L, B); for upstream dnll (L, B) the gradients in the outputs (L, B, D) and in the
    log-scale of each of them (L B, D), whose sum is the op's. log_scale () or (D,)."""
    float32_only(op, out, x, log_scale, *([] if dnll is None else [dnll]))
    x, values_alone = np.asarray(x), dnll is None
    dnll, rows, data, nll, dout = _checked(op, dnll, out, x)
    if np.ndim(log_scale):
        matrix(op, "log scale", log_scale, np.shape(x)[1:])
    scales = np.array(np.broadcast_to(log_scale, np.shape(x)[1:]), dtype=np.float32)
    slopes = NO_ROWS if values_alone else fresh((nll.size, x.shape[1]))
    if rows.size:
        given = dnll, rows, data, scales, nll.reshape(-1), dout.reshape(-1, x.shape[1]), slopes
        scaled_kernel(crew_for(WORK * rows.size), loop.address, *given)
    return nll, dout, slopes


def _evaluate_groups(
    op: str, loop: Loop, dnll: Any, out: Any, x: Any, groups: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    float32_only(op, out, x, *([] if dnll is None else [dnll]))
    x = np.asarray(x)
    dnll, rows, data, nll, dout = _checked(op, dnll, out, x)
    sizes = readable(np.array(groups, dtype=np.int64))
    if sizes.sum() != np.shape(x)[1] or sizes.min(initial=1) < 1:
        raise ValueError(f"{op}: groups {tuple(groups)} do not make up {np.shape(x)[1]} columns")
    if rows.size:
        given = dnll, rows, data, sizes, nll.reshape(-1), dout.reshape(-1, x.shape[1])
        grouped_kernel(crew_for(WORK * rows.size), loop.address, *given)
    return nll, dout


def grouped(op: str, loop: Loop, out: Any, x: Any, groups: tuple[int, ...]) -> np.ndarray:
    """nll (L, B) of outputs (L, B, D) and data (B, D), whose columns the groups' sizes part."""
    return _evaluate_groups(op, loop, None, out, x, groups)[0]


def grouped_gradient(
    op: str, loop: Loop, dnll: Any, out: Any, x: Any, groups: tuple[int, ...]
) -> np.ndarray:
    """The outputs' gradient (L, B, D) for upstream dnll (L, B)."""
    return _evaluate_groups(op, loop, dnll, out, x, groups)[1]
