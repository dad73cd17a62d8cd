"""The dense layer's ops with products in bfloat16: the same three products, from plain arrays.

Each is C = S + A B with k along A's rows: dy Wᵀ and xᵀ dy are handed a transposed copy. A is
rounded once, B a panel at a time. The sums are those of the training step (step/rounded.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.decorators import entry, inner
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm import bfloat16 as b16
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import BLOCK, NOUGHT, ONE, halves_of
from minivae_kernels.cpu.gemm.plain import pack_columns
from minivae_kernels.cpu.ops.arguments import flat, fresh
from minivae_kernels.cpu.ops.dense import PER_UNIT, finish_panel, panel_columns, rows_of_piece
from minivae_kernels.cpu.ops.dense_arguments import forward_ops, input_arguments, params_arguments
from minivae_kernels.cpu.threads.barrier import atomic_load
from minivae_kernels.cpu.threads.count import crew_for, team
from minivae_kernels.cpu.threads.crew import at_most, laid_out, share_out
from minivae_kernels.cpu.threads.waking import TEAM

GROUP = 64  # rows that are rounded together, and of which a piece of the product has whole ones
RUN = 256  # most rows of a piece
TILE = RUN * PANEL  # floats of a member's panel of C; 32 of S follow, two rows, and a panel of B
LINES = TILE + PANEL
SPARE = LINES + 2 * PANEL
HALF = np.int64(BLOCK // 2)


@inner
def round_piece(k, member, a, shape, shadow, scratch):
    """GROUP rows of the row-major A, rounded, as rows of panels (gemm/bfloat16.py)."""
    own, (rows, inner, _) = scratch[member], shape
    even, odd, spare = address(own, LINES), address(own, LINES + PANEL), address(own, SPARE)
    for panel in range((inner + PANEL - 1) // PANEL):
        column, wide = panel_columns(panel, inner)
        for r in range(k * GROUP, min((k + 1) * GROUP, rows), 2):
            last = min(r + 1, rows - 1)
            pack_columns(a, r * inner + column, NOUGHT, ONE, wide, own, LINES)
            pack_columns(a, last * inner + column, NOUGHT, ONE, wide, own, LINES + PANEL)
            to = (panel * (rows + 1) + r) * b16.ROW
            b16.round_two(even, odd, address(shadow, to), spare)


@inner
def product_piece(k, member, shadow, b, start, c, shape, activation, scratch):
    """One piece of C = act(S + A B). shape: rows, inner, columns, rows of a piece; a row of
    `scratch` holds C, 32 of S and a panel of B before and after rounding."""
    own, (rows, inner, columns, block) = scratch[member], shape
    across, words = (columns + PANEL - 1) // PANEL, (inner + 1) // 2
    panel, first = k % across, k // across * block
    count = min(block, rows - first)
    column, wide = panel_columns(panel, columns)
    pairs0 = SPARE + (inner + PANEL - 1) // PANEL * BLOCK
    pack_columns(start, column, NOUGHT, ONE, wide, own, TILE)
    pack_columns(b, column, columns, inner, wide, own, SPARE)
    own[SPARE + inner * PANEL : pairs0] = np.float32(0)
    for r in range(0, 2 * words, 2):
        row = SPARE + r * PANEL
        b16.round_two(
            address(own, row), address(own, row + PANEL), address(own, LINES),
            address(own, pairs0 + r * b16.ROW),
        )  # fmt: skip
    b16.product_panel(
        address(shadow, first * b16.ROW), (rows + 1) * b16.ROW, address(own, pairs0), HALF,
        address(own, NOUGHT), address(own, TILE), NOUGHT, count, words,
        halves_of(columns, panel),
    )  # fmt: skip
    finish_panel(own, count, activation, panel, c, columns, first)


@entry
def product_kernel(crew, a, b, start, c, shape, activation, shadow, scratch):
    """C = act(S + A B), all row-major, shared out; `shadow` has room for A, rounded."""
    rows, inner, columns = shape
    job = at_most(laid_out(round_piece, (a, shape, shadow, scratch)), len(scratch))
    share_out(crew, job, (rows + GROUP - 1) // GROUP, rows * inner)
    across = (columns + PANEL - 1) // PANEL
    block = (rows_of_piece(rows, across, atomic_load(crew, TEAM)) + GROUP - 1) // GROUP * GROUP
    given = (shadow, b, start, c, (rows, inner, columns, block), activation, scratch)
    count = across * ((rows + block - 1) // block)
    job = at_most(laid_out(product_piece, given), len(scratch))
    share_out(crew, job, count, rows * inner * columns // PER_UNIT)


def _product(a: Any, b: Any, start: Any, activation: int = 0) -> np.ndarray:
    """act(S + A B): a (rows, inner), b (inner, columns), start (columns,)."""
    (rows, inner), columns = a.shape, b.shape[1]
    c = fresh((rows, columns))
    if c.size:
        crew, across = crew_for(c.size * inner // PER_UNIT), panels(inner)
        shadow = aligned(across * (rows + 1) * PANEL // 2)
        floats = int(SPARE + across * BLOCK * 3 // 2 + PANEL)
        scratch = aligned(team() * floats).reshape(-1, floats)
        product_kernel(crew, flat(a), flat(b), flat(start), c.reshape(-1), (rows, inner, columns),
                       activation, shadow, scratch)  # fmt: skip
    return c


def dense_backward_input(dy: Any, W: Any) -> np.ndarray:
    """dx = dy Wᵀ; dy (B, O), W (I, O) -> dx (B, I)                       (E6)"""
    dy, W = input_arguments(dy, W)
    return _product(dy, np.ascontiguousarray(W.T), np.zeros(len(W), np.float32))


def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """dW = xᵀ dy and db = Σ_n dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
    dy, x = params_arguments(dy, x)
    zeros = np.zeros(dy.shape[1], np.float32)
    return _product(np.ascontiguousarray(x.T), dy, zeros), dy.sum(axis=0, dtype=np.float32)


OPS = (*forward_ops(_product), dense_backward_params, dense_backward_input)
