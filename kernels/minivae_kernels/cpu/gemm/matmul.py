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

from minivae_kernels.cpu.compile.decorators import inner
from minivae_kernels.cpu.compile.simd import PANEL, WIDTH, outlined
from minivae_kernels.cpu.gemm.register_tile import make_tile, transpose_block

BLOCK = PANEL * PANEL
# As NumPy integers: a plain 0 or 32 in a call would be a type of its own, compiled once more.
NOUGHT, ONE, TWO, STEP = np.int64(0), np.int64(1), np.int64(2), np.int64(PANEL)
DEPTH = 128  # k at a time: 128 x 32 floats, a panel's part of 16 KiB, half the first-level cache


@inner
def no_rows(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth):
    """The end of a ladder of tiles."""


def ladder(columns, sizes):
    """Rows of C by tiles of so many columns and of falling sizes, each for what the last left.

    The arguments of the function it makes are the tile's, and the number of rows. More than twelve
    parameters here and below: they are addresses in registers, and a record of them would be
    compiled into a copy in each of the innermost calls.
    """
    if not sizes:
        return no_rows
    size, tile = sizes[0], make_tile(sizes[0], columns, False)
    smaller = ladder(columns, sizes[1:])

    @inner
    def by_tiles(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth):
        done = rows // size * size
        for r in range(0, done, size):
            tile(a, a0 + r * 32, a_panel, b, b0, c, c0 + r * 32, s, s0 + r * s_row, s_row, depth)
        smaller(
            a, a0 + done * 32, a_panel, b, b0, c, c0 + done * 32, s, s0 + done * s_row, s_row,
            rows - done, depth,
        )  # fmt: skip

    return by_tiles


if WIDTH == 16:
    # Few shapes, since each costs compiling: twelve rows, and what is left by fours and ones.
    wide, narrow = ladder(32, (12, 4, 1)), ladder(16, (4, 1))
    across_8, across_half_8 = make_tile(8, 32, True), make_tile(8, 16, True)

    @inner
    def multiply(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth, halves):
        """`rows` rows of C from c0 = rows of S, s_row apart, + `depth` values of k."""
        outlined()
        if halves == 2:
            wide(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth)
        else:
            narrow(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth)

    @inner
    def multiply_across(a, a0, b, b0, c, c0, s, s0, s_row, rows, depth, halves):
        """Features a0 … a0 + rows of A's panel against B's: rows of C, eight at a time."""
        outlined()
        for r in range(0, rows, 8):
            if halves == 2:
                across_8(a, a0 + r, 0, b, b0, c, c0 + r * 32, s, s0 + r * s_row, s_row, depth)
            else:
                across_half_8(a, a0 + r, 0, b, b0, c, c0 + r * 32, s, s0 + r * s_row, s_row, depth)

else:
    # AVX2 has 16 registers: 6 x 16 takes 12 for sums, 2 for B, 1 for A. Four lanes: 6 x 16 too.
    narrow = ladder(16, (6, 2, 1))
    across_half_4 = make_tile(4, 16, True)

    @inner
    def multiply(a, a0, a_panel, b, b0, c, c0, s, s0, s_row, rows, depth, halves):
        """`rows` rows of C from c0 = rows of S, s_row apart, + `depth` values of k."""
        outlined()
        for h in range(0, 16 * halves, 16):
            narrow(a, a0, a_panel, b, b0 + h, c, c0 + h, s, s0 + h, s_row, rows, depth)

    @inner
    def multiply_across(a, a0, b, b0, c, c0, s, s0, s_row, rows, depth, halves):
        """Features a0 … a0 + rows of A's panel against B's: rows of C, four at a time."""
        outlined()
        for h in range(halves):
            for r in range(0, rows, 4):
                cr, sr = c0 + r * 32 + 16 * h, s0 + r * s_row + 16 * h
                across_half_4(a, a0 + r, 0, b, b0 + 16 * h, c, cr, s, sr, s_row, depth)


@inner
def halves_of(columns, panel):
    """How many groups of 16 columns panel number `panel` uses: 1 or 2."""
    return 1 if columns - panel * PANEL <= PANEL // 2 else 2


@inner
def forward_panel(x, x0, x_panel, w, w0, bias, b0, y, y0, rows, inputs, halves):
    """One panel of y = x W + b: x0 and y0 at the first row, w0 at the panel's first."""
    depth = min(DEPTH, inputs)
    multiply(x, x0, x_panel, w, w0, y, y0, bias, b0, NOUGHT, rows, depth, halves)
    for k in range(DEPTH, inputs, DEPTH):
        depth = min(DEPTH, inputs - k)
        a0 = x0 + k // PANEL * x_panel
        multiply(x, a0, x_panel, w, w0 + k * PANEL, y, y0, y, y0, STEP, rows, depth, halves)


@inner
def backward_panel(
    dy, dy0, dy_panel, w, w0, w_panel, panel, dx, dx0, rows, outputs, halves, scratch, s0, zeros
):
    """One panel of dx = dy Wᵀ; `zeros` holds 32 zeros, or nothing: then it is added to dx.

    w0 is the first float of W's panels, `panel` the panel of dx; scratch from s0 holds DEPTH x 32.
    """
    for k in range(0, outputs, DEPTH):
        depth = min(DEPTH, outputs - k)
        first = k // PANEL
        for q in range((depth + PANEL - 1) // PANEL):
            block = w0 + (first + q) * w_panel + panel * BLOCK
            transpose_block(w, block, STEP, scratch, s0 + q * BLOCK)
        a0 = dy0 + first * dy_panel
        if k == 0 and len(zeros) > 0:
            multiply(
                dy, a0, dy_panel, scratch, s0, dx, dx0, zeros, NOUGHT, NOUGHT, rows, depth, halves
            )
        else:
            multiply(dy, a0, dy_panel, scratch, s0, dx, dx0, dx, dx0, STEP, rows, depth, halves)


@inner
def weight_blocks(x, x0, x_panel, dy, dy0, rows, inputs, count, halves, grad, g0, zeros):
    """`count` 32 x 32 blocks of dW = xᵀ dy, one below the other, against one panel of dy.

    x0 is the first float of x's first panel of features, `inputs` how many features there are.
    """
    for k in range(0, rows, DEPTH):
        depth = min(DEPTH, rows - k)
        b0 = dy0 + k * PANEL
        for i in range(count):
            a0 = x0 + i * x_panel + k * PANEL
            c0 = g0 + i * BLOCK
            high = min(PANEL, inputs - i * PANEL)
            if k == 0:
                multiply_across(x, a0, dy, b0, grad, c0, zeros, NOUGHT, NOUGHT, high, depth, halves)
            else:
                multiply_across(x, a0, dy, b0, grad, c0, grad, c0, STEP, high, depth, halves)
