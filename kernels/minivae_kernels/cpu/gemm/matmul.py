"""Matrix products over panels: rows of activations against one panel of weights.

Every matrix lies in panels of 32 columns: panel p holds columns 32 p … 32 p + 31 of all rows, 32
floats a row. One layout serves all three products a layer needs. Weights are panels of
(I, O), activations of (rows, features).

    y  = x W    rows of x broadcast, a panel of W streamed
    dx = dy Wᵀ  rows of dy broadcast, blocks of W transposed on the way, 32 x 32 at a time
    dW = xᵀ dy  features of x broadcast, a panel of dy streamed
"""

from __future__ import annotations

import numpy as np

from minivae_kernels.cpu.compile.compiled_once import compiled_once
from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, WIDTH, outlined
from minivae_kernels.cpu.gemm.address import FLOATS, ahead
from minivae_kernels.cpu.gemm.ladder import make_ladder, make_strided_ladder
from minivae_kernels.cpu.gemm.product_terms import FLOAT32
from minivae_kernels.cpu.gemm.register_tile import WHOLE, transpose_block

# As NumPy integers: a plain 0 or 32 in a call would be a type of its own, compiled once more.
NOUGHT, ONE, TWO, STEP = np.int64(0), np.int64(1), np.int64(2), np.int64(PANEL)
BLOCK = np.int64(PANEL * PANEL)
YES, NO = np.bool_(True), np.bool_(False)
# Words of k at a time: 128 x 32, a panel's part of 16 KiB, half the first-level cache.
DEPTH = 128


def multiplier(terms):
    """The two products of one kind of terms: along A's panels, and across them (A transposed)."""
    # Few shapes, since each costs compiling: twelve rows, and what is left by fours and ones.
    wide, narrow = make_ladder(32, (12, 4, 1), terms), make_ladder(16, (4, 1), terms)
    across_wide, across_narrow = (make_strided_ladder(n, (8,), terms) for n in (32, 16))

    @inner
    def multiply(a, a_panel, b, b_panel, c, s, s_row, rows, depth, halves):
        """`rows` rows of C = rows of S, s_row apart, + `depth` words of k."""
        outlined()
        if halves == 2:
            wide(a, a_panel, b, b_panel, c, s, s_row, rows, depth)
        else:
            narrow(a, a_panel, b, b_panel, c, s, s_row, rows, depth)

    @inner
    def multiply_across(a, b, c, s, s_row, rows, depth, halves):
        """`rows` features of A's panel, from a on, against B's: rows of C, and padding."""
        outlined()
        whole = (rows + 7) // 8 * 8
        if halves == 2:
            across_wide(a, ONE, STEP, b, STEP, c, STEP, s, s_row, whole, depth)
        else:
            across_narrow(a, ONE, STEP, b, STEP, c, STEP, s, s_row, whole, depth)

    return multiply, multiply_across


def narrow_multiplier(terms):
    """The two products for vectors of eight floats or four, 16 columns at a time."""
    # AVX2 has 16 registers: 6 x 16 takes 12 for sums, 2 for B, 1 for A. Four lanes: 6 x 16 too.
    tiles, across = make_ladder(16, (6, 2, 1), terms), make_strided_ladder(16, (4,), terms)

    @inner
    def multiply(a, a_panel, b, b_panel, c, s, s_row, rows, depth, halves):
        """`rows` rows of C = rows of S, s_row apart, + `depth` words of k."""
        outlined()
        for h in range(0, 16 * halves, 16):
            tiles(a, a_panel, ahead(b, h), b_panel, ahead(c, h), ahead(s, h), s_row, rows, depth)

    @inner
    def multiply_across(a, b, c, s, s_row, rows, depth, halves):
        """`rows` features of A's panel, from a on, against B's: rows of C, and padding."""
        outlined()
        whole = (rows + 3) // 4 * 4
        for h in range(0, 16 * halves, 16):
            across(
                a, ONE, STEP, ahead(b, h), STEP, ahead(c, h), STEP, ahead(s, h), s_row, whole,
                depth,
            )  # fmt: skip

    return multiply, multiply_across


along, multiply_across = (multiplier if WIDTH == 16 else narrow_multiplier)(FLOAT32)


@compiled_once(FLOATS, WHOLE, FLOATS, WHOLE, FLOATS, FLOATS, WHOLE, WHOLE, WHOLE, WHOLE)
def multiply(a, a_panel, b, b_panel, c, s, s_row, rows, depth, halves):
    """`rows` rows of C = rows of S, s_row apart, + `depth` words of k, in float32."""
    along(a, a_panel, b, b_panel, c, s, s_row, rows, depth, halves)


@inner
def halves_of(columns, panel):
    """How many groups of 16 columns panel number `panel` uses: 1 or 2."""
    return 1 if columns - panel * PANEL <= PANEL // 2 else 2


@inner
def forward_panel(x, x_panel, w, bias, y, rows, inputs, halves):
    """One panel of y = x W + b: x and y at the first row, w at the panel's first."""
    multiply(x, x_panel, w, BLOCK, y, bias, NOUGHT, rows, min(DEPTH, inputs), halves)
    for k in range(DEPTH, inputs, DEPTH):
        xk, wk = ahead(x, k // PANEL * x_panel), ahead(w, k * PANEL)
        multiply(xk, x_panel, wk, BLOCK, y, y, STEP, rows, min(DEPTH, inputs - k), halves)


@inner
def backward_panel(dy, dy_panel, w, w_panel, dx, s, s_row, rows, outputs, halves, scratch):
    """One panel of dx = S + dy Wᵀ, S's rows s_row apart: zeros, or dx itself.

    w is the first of W's blocks for this panel of dx; scratch holds DEPTH x 32.
    """
    for k in range(0, outputs, DEPTH):
        depth = min(DEPTH, outputs - k)
        first = k // PANEL
        for q in range((depth + PANEL - 1) // PANEL):
            transpose_block(ahead(w, (first + q) * w_panel), STEP, ahead(scratch, q * BLOCK), STEP)
        a = ahead(dy, first * dy_panel)
        if k == 0:
            multiply(a, dy_panel, scratch, BLOCK, dx, s, s_row, rows, depth, halves)
        else:
            multiply(a, dy_panel, scratch, BLOCK, dx, dx, STEP, rows, depth, halves)


def blocks_of(multiply_across):
    """Blocks of dW = xᵀ dy by one of the two kinds of product; `rows` counts words along k."""

    @inner
    def weight_blocks(x, x_panel, dy, rows, inputs, count, halves, grad, zeros):
        """`count` 32 x 32 blocks of dW, one below the other, against one panel of dy.

        x is the first word of x's first panel of features, `inputs` how many features there are.
        """
        for k in range(0, rows, DEPTH):
            depth = min(DEPTH, rows - k)
            b = ahead(dy, k * PANEL)
            for i in range(count):
                a, c = ahead(x, i * x_panel + k * PANEL), ahead(grad, i * BLOCK)
                high = min(PANEL, inputs - i * PANEL)
                if k == 0:
                    multiply_across(a, b, c, zeros, NOUGHT, high, depth, halves)
                else:
                    multiply_across(a, b, c, c, STEP, high, depth, halves)

    return weight_blocks


weight_blocks = blocks_of(multiply_across)
