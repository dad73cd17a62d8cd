"""The dense layer's ops with products in bfloat16: the same three products, from plain arrays.

Each is C = S + A B with k along A's rows: dy Wᵀ and xᵀ dy are handed a transposed copy. A is
rounded once, B a panel at a time. The sums are those of the training step (step/rounded.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minivae_kernels.cpu.compile.by_address import call
from minivae_kernels.cpu.compile.decorators import entry
from minivae_kernels.cpu.compile.simd import PANEL
from minivae_kernels.cpu.gemm import bfloat16 as b16
from minivae_kernels.cpu.gemm.address import address
from minivae_kernels.cpu.gemm.layout import aligned, panels
from minivae_kernels.cpu.gemm.matmul import BLOCK, NOUGHT, ONE, halves_of
from minivae_kernels.cpu.gemm.pack import unpack_rows
from minivae_kernels.cpu.gemm.plain import pack_columns
from minivae_kernels.cpu.ops.activations import ACTIVATIONS
from minivae_kernels.cpu.ops.arguments import flat, float32_only, fresh, matrix
from minivae_kernels.cpu.threads.count import team_for
from minivae_kernels.cpu.threads.partition import (
    OWN,
    RUN,
    deal,
    next_piece,
    product_deal,
    row_pieces,
)
from minivae_kernels.cpu.threads.pool import run

TILE = RUN * PANEL  # floats of a member's panel of C; 32 of S follow, two rows, and a panel of B
LINES = TILE + PANEL
SPARE = LINES + 2 * PANEL
HALF = np.int64(BLOCK // 2)


@entry
def round_kernel(member, team, sync, a, shape, shadow, scratch, work):
    """The row-major A, rounded, as rows of panels (gemm/bfloat16.py), `shadow` words in all."""
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    rows, inner, _ = shape
    even, odd, spare = address(own, LINES), address(own, LINES + PANEL), address(own, SPARE)
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        first, count = pieces[k, 1], pieces[k, 2]
        for panel in range((inner + PANEL - 1) // PANEL):
            column = panel * PANEL
            wide = min(PANEL, inner - column)
            for r in range(first, first + count, 2):
                last = min(r + 1, rows - 1)
                pack_columns(a, r * inner + column, NOUGHT, ONE, wide, own, LINES)
                pack_columns(a, last * inner + column, NOUGHT, ONE, wide, own, LINES + PANEL)
                to = (panel * (rows + 1) + r) * b16.ROW
                b16.round_two(even, odd, address(shadow, to), spare)
        turn, k = next_piece(crew, firsts[0], turn)


@entry
def product_kernel(member, team, sync, shadow, b, start, c, shape, activation, scratch, work):
    """C = act(S + A B), all row-major but A; a row of `scratch` holds C, 32 of S and a panel of B
    before and after rounding."""
    crew, own, (pieces, firsts) = (sync, member, team), scratch[member], work
    rows, inner, columns = shape
    words = (inner + 1) // 2
    pairs0 = SPARE + (inner + PANEL - 1) // PANEL * BLOCK
    turn, k = next_piece(crew, firsts[0], OWN)
    while k >= 0:
        panel, first, count = pieces[k, 0], pieces[k, 1], pieces[k, 2]
        column = panel * PANEL
        wide = min(PANEL, columns - column)
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
        if activation != 0:
            call(activation, (own[: count * PANEL],))
        unpack_rows(own, NOUGHT, count, panel, c, columns, first)
        turn, k = next_piece(crew, firsts[0], turn)


def _product(a: Any, b: Any, start: Any, activation: int = 0) -> np.ndarray:
    """act(S + A B): a (rows, inner), b (inner, columns), start (columns,)."""
    (rows, inner), columns = a.shape, b.shape[1]
    c = fresh((rows, columns))
    if c.size:
        team = team_for(c.size * inner / 32)
        across = panels(inner)
        shape, shadow = (rows, inner, columns), aligned(across * (rows + 1) * PANEL // 2)
        floats = SPARE + across * BLOCK * 3 // 2 + PANEL
        scratch = aligned(int(team * floats)).reshape(team, int(floats))
        run(
            round_kernel,
            team,
            flat(a),
            shape,
            shadow,
            scratch,
            deal([row_pieces(0, rows, 64, team)]),
        )
        given = shadow, flat(b), flat(start), c.reshape(-1), shape, activation
        run(product_kernel, team, *given, scratch, product_deal(columns, rows, team))
    return c


def _forward(op: str, x: Any, W: Any, b: Any, activation: int = 0) -> np.ndarray:
    W = matrix(op, "W", W, (None, None))
    x, b = matrix(op, "x", x, (None, len(W))), matrix(op, "b", b, (W.shape[1],))
    float32_only(op, x, W, b)
    return _product(x, W, b, activation)


def dense_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = x W + b; x (B, I), W (I, O), b (O,) -> y (B, O)                (E5)"""
    return _forward("dense_forward", x, W, b)


def dense_relu_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = relu(x W + b)                                                  (E5, E7)"""
    return _forward("dense_relu_forward", x, W, b, ACTIVATIONS["relu"].forward.address)


def dense_tanh_forward(x: Any, W: Any, b: Any) -> np.ndarray:
    """y = tanh(x W + b)                                                  (E5, E8)"""
    return _forward("dense_tanh_forward", x, W, b, ACTIVATIONS["tanh"].forward.address)


def dense_backward_input(dy: Any, W: Any) -> np.ndarray:
    """dx = dy Wᵀ; dy (B, O), W (I, O) -> dx (B, I)                       (E6)"""
    op = "dense_backward_input"
    W = matrix(op, "W", W, (None, None))
    dy = matrix(op, "dy", dy, (None, W.shape[1]))
    float32_only(op, dy, W)
    return _product(dy, np.ascontiguousarray(W.T), np.zeros(len(W), np.float32))


def dense_backward_params(dy: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """dW = xᵀ dy and db = Σ_b dy; dy (B, O), x (B, I) -> dW (I, O), db (O,)   (E6)"""
    op = "dense_backward_params"
    dy = matrix(op, "dy", dy, (None, None))
    x = matrix(op, "x", x, (len(dy), None))
    float32_only(op, dy, x)
    zeros = np.zeros(dy.shape[1], np.float32)
    return _product(np.ascontiguousarray(x.T), dy, zeros), dy.sum(axis=0, dtype=np.float32)


OPS = (
    dense_forward,
    dense_backward_params,
    dense_backward_input,
    dense_relu_forward,
    dense_tanh_forward,
)
